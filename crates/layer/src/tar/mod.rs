//! The tar formats: headers, extended headers, sparse maps; a reader and a writer of archives. Public, since the build
//! reads archives as well: ADD unpacks them by rules of its own.
//!
//! Read are POSIX ustar and pax (pax(1), IEEE Std 1003.1-2017, "pax Interchange Format", "ustar Interchange Format"),
//! what GNU tar and star add (tar(5) of libarchive; "Basic Tar Format" and "Storing Sparse Files" in the manual of GNU
//! tar), and archives of before (v7). Nothing here touches a disk.

mod acl;
mod encoding;
mod header;
mod holes;
mod pax;
mod reader;
mod sparse;
mod writer;

pub use reader::Reader;
pub use writer::Writer;

use crate::error::{Error, Result};
use std::fmt::Write as _;

/// The unit of a tar archive.
pub const BLOCK: usize = 512;

/// What may be asked of one archive. Archives are written by strangers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries, extended headers not counted.
    pub entries: u64,
    /// Bytes of the whole (inflated) stream, and of the lengths of all files, holes included.
    pub bytes: u64,
    /// Bytes of a path or of a link's target.
    pub path: usize,
    /// Bytes of what extends one entry: long names, PAX records, the map of a sparse file.
    pub metadata: usize,
    /// Bytes of memory for what has to be remembered to the end: directories, and owners to be recorded.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 10_000_000,
            bytes: 1 << 40,
            // PATH_MAX, limits.h: the kernel takes no longer ones.
            path: 4095,
            metadata: 4 << 20,
            memory: 256 << 20,
        }
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// A regular file, sparse ones included.
    #[default]
    File,
    /// Another name of a file.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

/// A moment: seconds since 1970 (negative before), and nanoseconds after that second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time {
    /// Seconds since 1970-01-01 00:00 UTC.
    pub seconds: i64,
    /// 0 to 999 999 999.
    pub nanoseconds: u32,
}

/// A part of a sparse file that has data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where it starts in the file.
    pub offset: u64,
    /// Its length.
    pub length: u64,
}

/// One entry with everything applied that extends it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// The path as it is written, not checked.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// The target of a link as it is written.
    pub link: Vec<u8>,
    /// Permission, set-id and sticky bits.
    pub mode: u32,
    /// The owner; any number.
    pub uid: i64,
    /// The group; any number.
    pub gid: i64,
    /// The last modification.
    pub modified: Time,
    /// The length of the file, holes included; 0 for everything that isn't a file.
    pub size: u64,
    /// Major and minor number of a device.
    pub device: (i64, i64),
    /// Extended attributes, as named in the file system.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The parts of a sparse file that have data.
    pub sparse: Option<Vec<Piece>>,
}

/// An error in the archive itself; `path` is the entry's, empty where it isn't known.
pub(crate) fn bad(path: &[u8], reason: impl Into<String>) -> Error {
    Error::Archive {
        entry: shown(path),
        reason: reason.into(),
    }
}

/// The same as a result.
pub(crate) fn refuse<T>(path: &[u8], reason: impl Into<String>) -> Result<T> {
    Err(bad(path, reason))
}

/// A name from an archive in a form that is safe to print: control characters escaped, long ones cut.
pub(crate) fn shown(path: &[u8]) -> String {
    const MOST: usize = 200;
    let mut text = String::new();
    for chunk in path[..path.len().min(4 * MOST)].utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || character == '\\' || is_bidirectional(character) {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    if let Some((end, _)) = text.char_indices().nth(MOST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Characters that make a terminal show the text around them in another order.
fn is_bidirectional(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
