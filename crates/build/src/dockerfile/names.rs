//! The names in a directory, sorted, in one piece of memory.

use crate::error::{IoExt, Result};
use rustix::fd::BorrowedFd;
use rustix::fs::RawDir;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Bytes asked of the kernel at a time.
const LISTED: usize = 32 << 10;

/// Names.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// One behind the other, each with the zero byte that ends it.
    bytes: Vec<u8>,
    /// Where each begins and ends, with its zero byte.
    places: Vec<(usize, usize)>,
}

impl Names {
    /// Those in a directory that nobody has read from yet; `buffer` is what the kernel writes to.
    pub(super) fn read(directory: BorrowedFd<'_>, buffer: &mut Vec<u8>, path: &dyn Fn() -> PathBuf) -> Result<Self> {
        let mut names = Self::default();
        buffer.clear();
        buffer.reserve(LISTED);
        let mut listing = RawDir::new(directory, buffer.spare_capacity_mut());
        while let Some(entry) = listing.next() {
            let entry = entry.on_path("read", path)?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                let start = names.bytes.len();
                names.bytes.extend(name.to_bytes_with_nul());
                names.places.push((start, names.bytes.len()));
            }
        }
        let bytes = &names.bytes;
        // Without its zero byte: that sorts before all others, so that the order is the same.
        names
            .places
            .sort_unstable_by(|a, b| bytes[a.0..a.1].cmp(&bytes[b.0..b.1]));
        Ok(names)
    }

    /// One after the other.
    pub(super) fn iter(&self) -> impl Iterator<Item = &CStr> {
        let name = |&(start, end): &(usize, usize)| CStr::from_bytes_with_nul(self.bytes.get(start..end)?).ok();
        self.places.iter().filter_map(name)
    }
}

/// A name as the rest of the program takes it.
pub(super) fn os(name: &CStr) -> &OsStr {
    OsStr::from_bytes(name.to_bytes())
}

/// A path in bytes.
pub(super) fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
