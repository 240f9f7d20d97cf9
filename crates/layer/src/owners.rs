//! What couldn't be put on disk as a tar meant it: owners where only one can be set, device nodes where none may be
//! made, attributes that the file system or the user namespace refuses. Kept beside the layer, so that packing gives
//! the same tar again.
//!
//! # The file
//! Text, one line for each path, sorted by path:
//! ```text
//! wiac owners 1
//! 33 33 - - var/www
//! 0 6 b:8:0 - dev/sda
//! 0 0 - security.capability=0100000200000000,user.a%20b= bin/ping
//! ```
//! User and group; the device (`c` or `b`, major, minor) that an empty regular file stands for; attributes, values in
//! hexadecimal; the path from the layer's root, without a slash in front (the root itself is empty). In names and
//! paths, bytes that aren't visible ASCII and the characters `%`, `,` and `=` are written as `%XX`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, Write};

const FIRST_LINE: &str = "wiac owners 1";

/// What was meant for each path that got something else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnerRecord {
    entries: BTreeMap<Vec<u8>, Intended>,
}

/// What was meant for one path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Intended {
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The device node that an empty regular file stands for.
    pub device: Option<Device>,
    /// Attributes that are missing on disk.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// A block device rather than a character device.
    pub block: bool,
    /// The major number.
    pub major: u32,
    /// The minor number.
    pub minor: u32,
}

impl OwnerRecord {
    /// What was meant for `path` (from the layer's root, no slash in front).
    pub fn get(&self, path: &[u8]) -> Option<&Intended> {
        self.entries.get(path)
    }

    /// Whether everything on disk is as it was meant.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All paths with what was meant for them, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Intended)> {
        self.entries.iter().map(|(path, intended)| (path.as_slice(), intended))
    }

    /// Notes what was meant for `path`.
    pub fn insert(&mut self, path: &[u8], intended: Intended) {
        self.entries.insert(path.to_vec(), intended);
    }

    /// Takes all of another record.
    pub(crate) fn extend(&mut self, other: Option<Self>) {
        self.entries.extend(other.into_iter().flat_map(|other| other.entries));
    }

    /// Forgets `path` and everything below it.
    pub fn remove(&mut self, path: &[u8]) {
        if self.entries.is_empty() {
            return;
        }
        self.entries.remove(path);
        remove_below(&mut self.entries, path);
    }

    /// Writes the file. See the module's documentation for its form.
    ///
    /// # Errors
    /// What the writer reports.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{FIRST_LINE}")?;
        for (path, intended) in &self.entries {
            let device = intended.device.map_or_else(|| "-".to_owned(), Device::text);
            let mut xattrs = String::new();
            for (name, value) in &intended.xattrs {
                if !xattrs.is_empty() {
                    xattrs.push(',');
                }
                xattrs.push_str(&escaped(name));
                xattrs.push('=');
                for byte in value {
                    let _ = write!(xattrs, "{byte:02x}");
                }
            }
            if xattrs.is_empty() {
                xattrs.push('-');
            }
            let (uid, gid, path) = (intended.uid, intended.gid, escaped(path));
            writeln!(out, "{uid} {gid} {device} {xattrs} {path}")?;
        }
        Ok(())
    }

    /// Reads the file.
    ///
    /// # Errors
    /// What the reader reports; [`io::ErrorKind::InvalidData`] where the file isn't in this form.
    pub fn read(source: &mut dyn BufRead) -> io::Result<Self> {
        let mut lines = source.lines();
        if lines.next().transpose()?.as_deref() != Some(FIRST_LINE) {
            return Err(invalid("it doesn't start with \"wiac owners 1\""));
        }
        let mut entries = BTreeMap::new();
        for line in lines {
            let line = line?;
            let (path, intended) = parse(&line).ok_or_else(|| invalid(&line))?;
            entries.insert(path, intended);
        }
        Ok(Self { entries })
    }
}

impl Device {
    fn text(self) -> String {
        let kind = if self.block { 'b' } else { 'c' };
        format!("{kind}:{}:{}", self.major, self.minor)
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, numbers) = text.split_once(':')?;
        let (major, minor) = numbers.split_once(':')?;
        Some(Self {
            block: match kind {
                "b" => true,
                "c" => false,
                _ => return None,
            },
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        })
    }
}

/// From where to where the paths below a directory lie, in a map or set sorted by paths.
pub(crate) fn below(path: &[u8]) -> (Vec<u8>, Vec<u8>) {
    // What starts with "path/" lies between it and "path0", the byte after the slash.
    ([path, b"/"].concat(), [path, b"0"].concat())
}

/// Removes everything below the directory `path` from a map by paths.
pub(crate) fn remove_below<V>(map: &mut BTreeMap<Vec<u8>, V>, path: &[u8]) {
    let (first, after) = below(path);
    let gone: Vec<Vec<u8>> = map.range(first..after).map(|(path, _)| path.clone()).collect();
    for path in gone {
        map.remove(&path);
    }
}

fn invalid(what: &str) -> io::Error {
    let what: String = what.escape_default().take(100).collect();
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("this is not a valid record of owners: {what}"),
    )
}

fn parse(line: &str) -> Option<(Vec<u8>, Intended)> {
    let mut fields = line.splitn(5, ' ');
    let mut next = || fields.next();
    let (uid, gid) = (next()?.parse().ok()?, next()?.parse().ok()?);
    let device = match next()? {
        "-" => None,
        text => Some(Device::parse(text)?),
    };
    let xattrs = match next()? {
        "-" => Vec::new(),
        text => text.split(',').map(parse_xattr).collect::<Option<_>>()?,
    };
    let path = unescaped(next()?)?;
    let intended = Intended {
        uid,
        gid,
        device,
        xattrs,
    };
    Some((path, intended))
}

fn parse_xattr(text: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let (name, value) = text.split_once('=')?;
    if value.len() % 2 != 0 || !value.is_ascii() {
        return None;
    }
    let byte = |place: usize| u8::from_str_radix(&value[place..place + 2], 16).ok();
    let value = (0..value.len()).step_by(2).map(byte).collect::<Option<_>>()?;
    Some((unescaped(name)?, value))
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_graphic() && !b"%,=".contains(byte) {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> OwnerRecord {
        let mut record = OwnerRecord::default();
        let owner = |uid, gid| Intended {
            uid,
            gid,
            ..Intended::default()
        };
        record.insert(b"var/www", owner(33, 33));
        record.insert(b"", owner(1000, 0));
        record.insert(b"var/with space\n%,=\xff", owner(u32::MAX - 1, 7));
        record.insert(
            b"dev/sda",
            Intended {
                device: Some(Device {
                    block: true,
                    major: 8,
                    minor: 1_048_575,
                }),
                xattrs: vec![(b"user.a=b".to_vec(), vec![0, 255]), (b"user.c".to_vec(), Vec::new())],
                ..owner(0, 6)
            },
        );
        record.insert(
            b"dev/null",
            Intended {
                device: Some(Device {
                    block: false,
                    major: 1,
                    minor: 3,
                }),
                ..owner(0, 0)
            },
        );
        record
    }

    #[test]
    fn what_is_written_is_read() {
        let mut file = Vec::new();
        sample().write(&mut file).expect("written");
        let read = OwnerRecord::read(&mut file.as_slice()).expect("read");
        assert_eq!(read, sample());
    }

    #[test]
    fn a_directory_goes_with_what_is_in_it() {
        let mut record = sample();
        record.insert(b"var-", Intended::default());
        record.insert(b"var0", Intended::default());
        record.remove(b"var");
        let paths: Vec<&[u8]> = record.iter().map(|(path, _)| path).collect();
        assert_eq!(paths, [&b""[..], b"dev/null", b"dev/sda", b"var-", b"var0"]);
    }

    #[test]
    fn what_is_damaged_is_refused() {
        for text in [
            "",
            "wiac owners 2\n",
            "wiac owners 1\n0 0 - -\n",
            "wiac owners 1\n0 0 c:1 - a\n",
            "wiac owners 1\n0 0 p:1:2 - a\n",
            "wiac owners 1\n0 0 - user.a=012 a\n",
            "wiac owners 1\n0 0 - user.a=é0 a\n",
            "wiac owners 1\n0 0 - - a%4\n",
        ] {
            let error = OwnerRecord::read(&mut text.as_bytes()).expect_err("refused");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{text}");
        }
    }
}
