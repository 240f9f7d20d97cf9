//! The records of extended headers: "LENGTH KEY=VALUE\n", again and again.

use super::encoding::{base64_decoded, percent_decoded};
use super::sparse::PaxSparse;
use super::{Entry, Time, acl, bad};
use crate::error::Result;

/// Splits records into keys and values; an error ends them.
pub(super) struct Records<'d> {
    rest: &'d [u8],
}

impl<'d> Records<'d> {
    pub(super) fn new(data: &'d [u8]) -> Self {
        Self { rest: data }
    }

    fn take(&mut self) -> Option<(&'d [u8], &'d [u8])> {
        let space = self.rest.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(&self.rest[..space]).ok()?.parse().ok()?;
        let record = self.rest.get(..length)?;
        let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        self.rest = &self.rest[length..];
        Some((&record[..equals], &record[equals + 1..]))
    }
}

impl<'d> Iterator for Records<'d> {
    type Item = Result<(&'d [u8], &'d [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        // Some programs fill the block up, or end with zero bytes.
        if self.rest.iter().all(|byte| *byte == 0) {
            return None;
        }
        let record = self.take();
        if record.is_none() {
            self.rest = &[];
        }
        Some(record.ok_or_else(|| bad(b"", "an extended (PAX) header isn't made of valid records")))
    }
}

/// What records say about an entry: `None` where they say nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Overrides {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    uid: Option<i64>,
    gid: Option<i64>,
    pub size: Option<u64>,
    modified: Option<Time>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub sparse: PaxSparse,
}

impl Overrides {
    pub(super) fn is_empty(&self) -> bool {
        self.path.is_none()
            && self.link.is_none()
            && self.uid.is_none()
            && self.gid.is_none()
            && self.size.is_none()
            && self.modified.is_none()
            && self.xattrs.is_empty()
            && self.sparse.is_empty()
    }

    /// Takes one record. A value of nothing takes back what a global header or the header itself said (pax(1)); keys
    /// that don't concern us are passed over.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        match key {
            b"path" => self.path = filled(value),
            b"linkpath" => self.link = filled(value),
            b"uid" => self.uid = parsed(key, value)?,
            b"gid" => self.gid = parsed(key, value)?,
            b"size" => self.size = parsed(key, value)?,
            b"mtime" => self.modified = time(value)?,
            b"SCHILY.acl.access" => self.acl(acl::ACCESS, value)?,
            b"SCHILY.acl.default" => self.acl(acl::DEFAULT, value)?,
            // GNU tar's own record of the label; the attribute of the file system has a zero byte at its end.
            b"RHT.security.selinux" => self.attribute(b"security.selinux", value),
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.attribute(name, value);
                } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                    // Next to the other form, which libarchive writes as well, it says the same again.
                    if !self.xattrs.iter().any(|(known, _)| known == &percent_decoded(name)) {
                        let value = base64_decoded(value).ok_or_else(|| not_valid(key, value))?;
                        self.attribute(&percent_decoded(name), &value);
                    }
                } else if let Some(name) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.take(name, value)?;
                }
            }
        }
        Ok(())
    }

    /// Lets the records speak over the header.
    pub(super) fn apply(mut self, entry: &mut Entry) {
        if let Some(path) = self.sparse.take_name().or(self.path) {
            entry.path = path;
        }
        if let Some(link) = self.link {
            entry.link = link;
        }
        entry.uid = self.uid.unwrap_or(entry.uid);
        entry.gid = self.gid.unwrap_or(entry.gid);
        entry.modified = self.modified.unwrap_or(entry.modified);
        entry.xattrs = self.xattrs;
    }

    fn acl(&mut self, attribute: &str, text: &[u8]) -> Result<()> {
        if !text.is_empty() {
            let value = acl::to_attribute(text)?;
            self.attribute(attribute.as_bytes(), &value);
        }
        Ok(())
    }

    fn attribute(&mut self, name: &[u8], value: &[u8]) {
        match self.xattrs.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value.to_vec(),
            None => self.xattrs.push((name.to_vec(), value.to_vec())),
        }
    }
}

fn filled(value: &[u8]) -> Option<Vec<u8>> {
    (!value.is_empty()).then(|| value.to_vec())
}

pub(super) fn parsed<T: std::str::FromStr>(key: &[u8], value: &[u8]) -> Result<Option<T>> {
    if value.is_empty() {
        return Ok(None);
    }
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| not_valid(key, value))
}

pub(super) fn not_valid(key: &[u8], value: &[u8]) -> crate::Error {
    let (key, value) = (super::shown(key), super::shown(&value[..value.len().min(40)]));
    bad(
        b"",
        format!("an extended (PAX) header has the value \"{value}\" for {key}"),
    )
}

/// Seconds with a fraction of any length; what is finer than a nanosecond is cut towards the past.
fn time(value: &[u8]) -> Result<Option<Time>> {
    if value.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(value).map_err(|_| not_valid(b"mtime", value))?;
    parse_time(text).map(Some).ok_or_else(|| not_valid(b"mtime", value))
}

fn parse_time(text: &str) -> Option<Time> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    if !whole.starts_with('-') || fraction.bytes().all(|byte| byte == b'0') {
        return Some(Time { seconds, nanoseconds });
    }
    // Below zero the fraction counts downwards; the rest of a nanosecond too.
    let finer = fraction.bytes().skip(9).any(|byte| byte != b'0');
    let down = nanoseconds + u32::from(finer);
    Some(Time {
        seconds: seconds.checked_sub(1)?,
        nanoseconds: 1_000_000_000 - down,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_fractions_and_signs() {
        let time = |text| parse_time(text).map(|time| (time.seconds, time.nanoseconds));
        assert_eq!(time("12"), Some((12, 0)));
        assert_eq!(time("12.5"), Some((12, 500_000_000)));
        assert_eq!(time("12.1234567899"), Some((12, 123_456_789)));
        assert_eq!(time("-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time("-0.000000001"), Some((-1, 999_999_999)));
        assert_eq!(time("-3.0"), Some((-3, 0)));
        assert_eq!(time("-1.9999999999"), Some((-2, 0)));
        for text in ["", "x", "1.x", "1e5", "99999999999999999999", "nan", "1.-5", "."] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn records_are_checked() {
        let all = |data: &[u8]| {
            Records::new(data)
                .collect::<Result<Vec<_>>>()
                .map(|found| found.len())
                .ok()
        };
        assert_eq!(all(b"9 a=b=c\n\n11 k=a\nb c\n"), Some(2));
        assert_eq!(all(b"8 a=b=c\n11 k=a\nb c\n"), Some(2));
        assert_eq!(all(b"6 a=b\n\0\0\0"), Some(1));
        for data in [
            &b"6 a=b"[..],
            b"7 a=b\n",
            b"5 a=b\n",
            b"0 a=b\n",
            b"6 abb\n",
            b"-6 a=b\n",
            b"99999999999999999999 a=b\n",
        ] {
            assert_eq!(all(data), None, "{}", data.escape_ascii());
        }
    }

    #[test]
    fn both_forms_of_attributes_are_read() {
        let mut overrides = Overrides::default();
        overrides
            .take(b"LIBARCHIVE.xattr.user.a%3Db%25", b"AAECAw")
            .expect("taken");
        overrides.take(b"SCHILY.xattr.user.c", b"\0\n=").expect("taken");
        overrides.take(b"LIBARCHIVE.xattr.user.c", b"AAECAw==").expect("taken");
        let expected = [
            (b"user.a=b%".to_vec(), vec![0, 1, 2, 3]),
            (b"user.c".to_vec(), b"\0\n=".to_vec()),
        ];
        assert_eq!(overrides.xattrs, expected);
    }
}
