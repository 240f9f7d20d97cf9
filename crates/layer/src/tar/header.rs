//! The 512 bytes in front of an entry.

use super::{BLOCK, Entry, Kind, Time, bad, refuse};
use crate::error::Result;
use std::ops::Range;

/// One header block.
pub(super) struct Header<'b>(pub &'b [u8; BLOCK]);

/// What a header announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// An entry.
    Entry(Kind),
    /// An entry with an old GNU sparse map in the header.
    Sparse,
    /// The path of the next entry.
    LongName,
    /// The link target of the next entry.
    LongLink,
    /// PAX records for the next entry.
    Local,
    /// PAX records for all entries from here on.
    Global,
    /// The name of the archive.
    Label,
}

const NAME: Range<usize> = 0..100;
const MODE: Range<usize> = 100..108;
const UID: Range<usize> = 108..116;
const GID: Range<usize> = 116..124;
const SIZE: Range<usize> = 124..136;
const MTIME: Range<usize> = 136..148;
const CHECKSUM: Range<usize> = 148..156;
const TYPE: usize = 156;
const LINK: Range<usize> = 157..257;
const MAGIC: Range<usize> = 257..263;
const MAJOR: Range<usize> = 329..337;
const MINOR: Range<usize> = 337..345;
const PREFIX: Range<usize> = 345..500;
/// star's prefix is shorter, and "tar" stands at the end of the block.
const STAR_PREFIX: Range<usize> = 345..476;
const STAR_MAGIC: Range<usize> = 508..512;

impl Header<'_> {
    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// Whether the sum in the header is that of its bytes, taken as unsigned or, as some old programs did, signed.
    pub(super) fn sum_is_right(&self) -> bool {
        let Some(stored) = number(&self.0[CHECKSUM]) else {
            return false;
        };
        let (mut unsigned, mut signed) = (0_i64, 0_i64);
        for (place, byte) in self.0.iter().enumerate() {
            let byte = if CHECKSUM.contains(&place) { b' ' } else { *byte };
            unsigned += i64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        stored == unsigned || stored == signed
    }

    pub(super) fn role(&self) -> Result<Role> {
        Ok(match self.0[TYPE] {
            b'0' | 0 | b'7' => Role::Entry(Kind::File),
            b'1' => Role::Entry(Kind::HardLink),
            b'2' => Role::Entry(Kind::Symlink),
            b'3' => Role::Entry(Kind::CharacterDevice),
            b'4' => Role::Entry(Kind::BlockDevice),
            // D is a directory in GNU tar's incremental archives, with a list of names as its data.
            b'5' | b'D' => Role::Entry(Kind::Directory),
            b'6' => Role::Entry(Kind::Fifo),
            b'S' => Role::Sparse,
            b'L' => Role::LongName,
            b'K' => Role::LongLink,
            // X is what Solaris wrote before pax was a standard.
            b'x' | b'X' => Role::Local,
            b'g' => Role::Global,
            b'V' => Role::Label,
            b'M' => return refuse(&self.path(), "is the rest of a file from another volume of the archive"),
            other => {
                let shown = other.escape_ascii();
                return refuse(&self.path(), format!("has a type that isn't known: '{shown}'"));
            }
        })
    }

    /// Whether an entry of this type has data, whatever it gives as its size: that of a directory may say how large it may
    /// grow (pax(1), "ustar Interchange Format"), links, devices and fifos have none for GNU tar and Go either.
    pub(super) fn has_data(&self) -> bool {
        matches!(self.0[TYPE], b'0' | 0 | b'7' | b'S' | b'D')
    }

    /// Whether the type is that of archives from before ustar, in which a directory is a file whose name ends in a slash.
    pub(super) fn may_be_old_directory(&self) -> bool {
        self.0[TYPE] == 0
    }

    /// How many bytes of data follow, padding not counted.
    pub(super) fn size(&self) -> Result<u64> {
        let size = number(&self.0[SIZE]).and_then(|size| u64::try_from(size).ok());
        size.ok_or_else(|| bad(&self.path(), "has no valid size"))
    }

    /// Takes everything from the header but the kind and the size.
    pub(super) fn read_into(&self, entry: &mut Entry) -> Result<()> {
        entry.path = self.path();
        entry.link.clear();
        entry.link.extend_from_slice(until_nul(&self.0[LINK]));
        let field = |range: Range<usize>, what: &str| {
            number(&self.0[range]).ok_or_else(|| bad(&entry.path, format!("has no valid {what}")))
        };
        // Some programs write the type of the file into the mode too.
        entry.mode = u32::try_from(field(MODE, "mode")? & 0o7777).unwrap_or_default();
        entry.uid = field(UID, "owner")?;
        entry.gid = field(GID, "group")?;
        entry.modified = Time {
            seconds: field(MTIME, "modification time")?,
            nanoseconds: 0,
        };
        entry.device = (0, 0);
        if matches!(entry.kind, Kind::CharacterDevice | Kind::BlockDevice) {
            entry.device = (field(MAJOR, "device number")?, field(MINOR, "device number")?);
        }
        Ok(())
    }

    fn path(&self) -> Vec<u8> {
        let name = until_nul(&self.0[NAME]);
        // GNU's magic goes on with a space: times stand where the prefix would be.
        let prefix: &[u8] = if &self.0[MAGIC] != b"ustar\0" {
            b""
        } else if &self.0[STAR_MAGIC] == b"tar\0" {
            until_nul(&self.0[STAR_PREFIX])
        } else {
            until_nul(&self.0[PREFIX])
        };
        if prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number in octal digits between spaces and zero bytes, or (the first bit set) in base 256, in two's complement.
/// `None` for anything else and for what doesn't fit.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => base_256(field),
        _ => octal(field),
    }
}

fn octal(field: &[u8]) -> Option<i64> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !is_blank(byte)).unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(is_blank).unwrap_or(digits.len());
    let mut value = 0_i64;
    for digit in &digits[..end] {
        if !(b'0'..=b'7').contains(digit) {
            return None;
        }
        value = value.checked_mul(8)?.checked_add(i64::from(digit - b'0'))?;
    }
    Some(value)
}

fn base_256(field: &[u8]) -> Option<i64> {
    // The first bit says that it is base 256; the second is the sign.
    let first = field[0] & 0x7f;
    let mut value = if first & 0x40 == 0 {
        i128::from(first)
    } else {
        i128::from(first) - 0x80
    };
    for byte in &field[1..] {
        value = value.checked_mul(256)?.checked_add(i128::from(*byte))?;
    }
    i64::try_from(value).ok()
}
