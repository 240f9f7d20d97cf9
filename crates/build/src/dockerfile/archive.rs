//! Archives that ADD unpacks: known by their content, whatever they are called.

use super::tree::{self, Picked};
use crate::context::Source;
use crate::error::{IoExt, Result};
use rustix::fs::{FileType, Mode, OFlags};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use wiac_layer::compression::{Compression, decoder};
use wiac_layer::tar::{Entry, Limits, Reader};

/// An archive, inflated while it is read.
pub(super) struct Archive {
    pub(super) tar: Box<dyn Read + Send>,
    /// How messages call it.
    pub(super) shown: PathBuf,
}

/// Opens what was picked if it is a tar archive, compressed or not: as in BuildKit that is what begins with a valid
/// header.
///
/// # Errors
/// When the file can't be read.
pub(super) fn open(source: &Source, picked: &Picked) -> Result<Option<Archive>> {
    let shown = source.place.join(&picked.path);
    let directory = tree::open_parent(source, &picked.path)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let name = picked.path.file_name().unwrap_or_default();
    let file = rustix::fs::openat(&directory, name, flags, Mode::empty()).on("open", &shown)?;
    let status = rustix::fs::fstat(&file).on("look at", &shown)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let file = File::from(file);
    let mut first = [0; Compression::MAGIC];
    let length = file.read_at(&mut first, 0).on("read", &shown)?;
    let compression = Compression::detect(&first[..length]);
    let copy = file.try_clone().on("copy a descriptor of", &shown)?;
    let Ok(probe) = decoder(compression, Box::new(At { file: copy, at: 0 })) else {
        return Ok(None);
    };
    if !begins_with_a_header(probe) {
        return Ok(None);
    }
    let tar = decoder(compression, Box::new(At { file, at: 0 })).on("unpack", &shown)?;
    Ok(Some(Archive { tar, shown }))
}

/// Whether a stream begins as a tar does.
pub(super) fn begins_with_a_header(mut tar: Box<dyn Read + Send>) -> bool {
    /// Enough for the extended headers in front of a first entry.
    const ENOUGH: u64 = 1 << 20;
    let mut beginning = Vec::new();
    // A damaged stream may still begin well; what is wrong with it is said when it is unpacked.
    let _ = tar.by_ref().take(ENOUGH).read_to_end(&mut beginning);
    let mut beginning = beginning.as_slice();
    // A path that the kernel doesn't take is an archive's, too: unpacking it says so.
    let limits = Limits {
        path: usize::MAX,
        ..Limits::default()
    };
    let mut reader = Reader::new(&mut beginning, limits);
    matches!(reader.next(&mut Entry::default()), Ok(true))
}

/// A file read from a place of its own: the descriptor's place is shared with its copies.
struct At {
    file: File,
    at: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
