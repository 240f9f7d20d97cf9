//! Writes archives: ustar headers, with PAX records in front where ustar has no room. The same entries always give
//! the same bytes: no names of users, no time or process of the one who packs.

use super::{BLOCK, Entry, Kind, Time};
use std::io::{self, Write};

/// An archive being written.
pub struct Writer<W: Write> {
    out: W,
    written: u64,
}

/// The name of every block of PAX records: it never becomes a file.
const EXTENDED: &[u8] = b"PaxHeader";

impl<W: Write> Writer<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out, written: 0 }
    }

    /// Writes the header of an entry. Its `size` bytes of data are to follow by [`Self::data`], then [`Self::pad`].
    pub fn header(&mut self, entry: &Entry) -> io::Result<()> {
        let mut header = Header::new();
        let mut records = Records::default();
        header.path(&entry.path, &mut records);
        header.link(&entry.link, &mut records);
        header.octal(100..108, u64::from(entry.mode));
        header.number(108..116, b"uid", entry.uid.unsigned_abs(), &mut records);
        header.number(116..124, b"gid", entry.gid.unsigned_abs(), &mut records);
        header.number(124..136, b"size", entry.size, &mut records);
        header.time(entry.modified, &mut records);
        header.bytes[156] = match entry.kind {
            Kind::File => b'0',
            Kind::HardLink => b'1',
            Kind::Symlink => b'2',
            Kind::CharacterDevice => b'3',
            Kind::BlockDevice => b'4',
            Kind::Directory => b'5',
            Kind::Fifo => b'6',
        };
        header.octal(329..337, entry.device.0.unsigned_abs());
        header.octal(337..345, entry.device.1.unsigned_abs());
        for (name, value) in &entry.xattrs {
            records.attribute(name, value);
        }
        if !records.list.is_empty() {
            self.extended(&records.text())?;
        }
        self.block(&header.finished())
    }

    /// Writes data of the current entry.
    pub fn data(&mut self, data: &[u8]) -> io::Result<()> {
        self.out.write_all(data)?;
        self.written += data.len() as u64;
        Ok(())
    }

    /// Fills the last block of an entry's data up.
    pub fn pad(&mut self) -> io::Result<()> {
        let over = usize::try_from(self.written % BLOCK as u64).unwrap_or_default();
        if over == 0 {
            return Ok(());
        }
        self.data(&[0; BLOCK][over..])
    }

    /// Writes the end of the archive; how many bytes it has.
    pub fn finish(mut self) -> io::Result<u64> {
        self.data(&[0; 2 * BLOCK])?;
        self.out.flush()?;
        Ok(self.written)
    }

    fn block(&mut self, block: &[u8; BLOCK]) -> io::Result<()> {
        self.data(block)
    }

    fn extended(&mut self, records: &[u8]) -> io::Result<()> {
        let mut header = Header::new();
        header.put(0..100, EXTENDED);
        header.octal(100..108, 0o644);
        header.octal(108..116, 0);
        header.octal(116..124, 0);
        header.octal(124..136, records.len() as u64);
        header.octal(136..148, 0);
        header.bytes[156] = b'x';
        header.octal(329..337, 0);
        header.octal(337..345, 0);
        self.block(&header.finished())?;
        self.data(records)?;
        self.pad()
    }
}

struct Header {
    bytes: [u8; BLOCK],
}

impl Header {
    fn new() -> Self {
        let mut header = Self { bytes: [0; BLOCK] };
        header.put(257..265, b"ustar\x0000");
        header
    }

    fn put(&mut self, field: std::ops::Range<usize>, text: &[u8]) {
        let length = text.len().min(field.len());
        self.bytes[field.start..field.start + length].copy_from_slice(&text[..length]);
    }

    /// Octal digits with zeros in front, and a zero byte at the end.
    fn octal(&mut self, field: std::ops::Range<usize>, mut value: u64) {
        for place in self.bytes[field.start..field.end - 1].iter_mut().rev() {
            *place = b'0' + (value & 7) as u8;
            value >>= 3;
        }
    }

    /// The same; a number that has no room goes into a record, and 0 into the header.
    fn number(&mut self, field: std::ops::Range<usize>, key: &[u8], value: u64, records: &mut Records) {
        let digits = field.len() - 1;
        let fits = value >> (3 * digits) == 0;
        if !fits {
            records.add(key, value.to_string().as_bytes());
        }
        self.octal(field, if fits { value } else { 0 });
    }

    fn time(&mut self, time: Time, records: &mut Records) {
        let whole = u64::try_from(time.seconds).ok().filter(|seconds| seconds >> 33 == 0);
        if whole.is_none() || time.nanoseconds != 0 {
            records.add(b"mtime", time_text(time).as_bytes());
        }
        self.octal(136..148, whole.unwrap_or(0));
    }

    /// Puts the path into the name, or into prefix and name, or into a record.
    fn path(&mut self, path: &[u8], records: &mut Records) {
        if path.is_ascii() {
            if path.len() <= 100 {
                return self.put(0..100, path);
            }
            if let Some(slash) = split(path) {
                self.put(345..500, &path[..slash]);
                return self.put(0..100, &path[slash + 1..]);
            }
        }
        records.add(b"path", path);
        let name = ascii(&path[..path.len().min(100)]);
        // What is cut must not look like a directory.
        let end = name.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        self.put(0..100, &name[..end]);
    }

    fn link(&mut self, target: &[u8], records: &mut Records) {
        if target.len() > 100 || !target.is_ascii() {
            records.add(b"linkpath", target);
        }
        self.put(157..257, &ascii(target));
    }

    fn finished(mut self) -> [u8; BLOCK] {
        self.put(148..156, b"        ");
        let sum: u64 = self.bytes.iter().map(|byte| u64::from(*byte)).sum();
        self.octal(148..155, sum);
        self.bytes[155] = b' ';
        self.bytes
    }
}

/// The last slash where a path can be split into a prefix of at most 155 bytes and a name of at most 100.
fn split(path: &[u8]) -> Option<usize> {
    let most = path.len().min(156);
    let slash = path[..most].iter().rposition(|byte| *byte == b'/')?;
    let name = path.len() - slash - 1;
    (slash > 0 && name > 0 && name <= 100).then_some(slash)
}

/// What old programs that know no records see.
fn ascii(text: &[u8]) -> Vec<u8> {
    text.iter()
        .map(|byte| if byte.is_ascii() { *byte } else { b'_' })
        .collect()
}

/// Decimal seconds, no zeros at the end; nanoseconds count upwards, a negative decimal downwards.
fn time_text(time: Time) -> String {
    let (sign, whole, nanoseconds) = if time.seconds < 0 && time.nanoseconds != 0 {
        ("-", (time.seconds + 1).unsigned_abs(), 1_000_000_000 - time.nanoseconds)
    } else if time.seconds < 0 {
        ("-", time.seconds.unsigned_abs(), 0)
    } else {
        ("", time.seconds.unsigned_abs(), time.nanoseconds)
    };
    if nanoseconds == 0 {
        return format!("{sign}{whole}");
    }
    format!("{sign}{whole}.{nanoseconds:09}")
        .trim_end_matches('0')
        .to_owned()
}

/// PAX records, sorted when they are written.
#[derive(Default)]
struct Records {
    list: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Records {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.list.push((key.to_vec(), value.to_vec()));
    }

    /// star's form, which every tool reads; a name with "=" in it only has room in libarchive's.
    fn attribute(&mut self, name: &[u8], value: &[u8]) {
        if name.contains(&b'=') {
            let name = super::encoding::percent_encoded(name);
            let value = super::encoding::base64_encoded(value);
            self.add(&[b"LIBARCHIVE.xattr.", name.as_slice()].concat(), &value);
        } else {
            self.add(&[b"SCHILY.xattr.", name].concat(), value);
        }
    }

    fn text(mut self) -> Vec<u8> {
        self.list.sort();
        let mut text = Vec::new();
        for (key, value) in &self.list {
            // The length counts its own digits.
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + digits(length) {
                length = rest + digits(length);
            }
            text.extend_from_slice(length.to_string().as_bytes());
            text.push(b' ');
            text.extend_from_slice(key);
            text.push(b'=');
            text.extend_from_slice(value);
            text.push(b'\n');
        }
        text
    }
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}
