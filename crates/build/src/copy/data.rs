//! The content of a file: shared where the file system can (FICLONE), else copied in the kernel, else by hand; holes
//! stay holes.

use super::entry::Identity;
use super::error::{Fault, Side};
use rustix::fs::{SeekFrom, Stat, copy_file_range, fstat, ftruncate, ioctl_ficlone, seek};
use rustix::io::{Errno, read, write};
use std::os::fd::BorrowedFd;
use std::sync::Arc;

/// The size of the buffer, and of the files that are copied by one read and one write: cheaper than setting up
/// anything cleverer.
const SMALL: usize = 128 * 1024;
/// What one `copy_file_range` is asked for, so that a signal, or somebody who wants it ended, can get in between.
const PIECE: u64 = 64 << 20;

/// Says whether to go on.
pub(super) type GoesOn = Arc<dyn Fn() -> bool + Send + Sync>;

/// Copies contents; remembers what the file systems can't do.
pub(super) struct Contents {
    buffer: Vec<u8>,
    /// The devices of source and destination between which extents can't be shared.
    no_clone: Option<(u64, u64)>,
    /// The devices between which `copy_file_range` isn't there.
    no_range: Option<(u64, u64)>,
    goes_on: Option<GoesOn>,
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contents").finish_non_exhaustive()
    }
}

/// An open source and an open, empty destination.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) from: BorrowedFd<'a>,
    pub(super) to: BorrowedFd<'a>,
    /// Their devices.
    pub(super) devices: (u64, u64),
}

impl Contents {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; SMALL],
            no_clone: None,
            no_range: None,
            goes_on: None,
        }
    }

    pub(super) fn until(&mut self, goes_on: GoesOn) {
        self.goes_on = Some(goes_on);
    }

    pub(super) fn stop(&self) -> Option<GoesOn> {
        self.goes_on.clone()
    }

    fn go_on(&self) -> Result<(), Fault> {
        match &self.goes_on {
            Some(goes_on) if !goes_on() => Err(Errno::CANCELED).writing("write", String::new),
            _ => Ok(()),
        }
    }

    /// Copies everything that was in the file when `stat` was taken (all there is where that says 0, as in /proc);
    /// a file that shrinks meanwhile is copied as far as it goes. Returns the bytes copied.
    pub(super) fn copy(&mut self, pair: Pair<'_>, stat: &Stat) -> Result<u64, Fault> {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size == 0 {
            return self.by_hand(pair, u64::MAX);
        }
        if size > SMALL as u64 && self.clone(pair) {
            return Ok(size);
        }
        if is_sparse(stat, size) {
            return self.extents(pair, size);
        }
        self.stretch(pair, size)
    }

    fn clone(&mut self, pair: Pair<'_>) -> bool {
        if self.no_clone == Some(pair.devices) {
            return false;
        }
        let done = ioctl_ficlone(pair.to, pair.from).is_ok();
        if !done {
            self.no_clone = Some(pair.devices);
        }
        done
    }

    /// Copies the parts of a sparse file that aren't holes. See lseek(2), `SEEK_DATA`.
    fn extents(&mut self, pair: Pair<'_>, size: u64) -> Result<u64, Fault> {
        let mut copied = 0;
        let mut at = 0;
        let mut written = 0;
        while at < size {
            let start = match seek(pair.from, SeekFrom::Data(at)) {
                Ok(start) if start < size => start,
                Ok(_) | Err(Errno::NXIO) => break,
                Err(Errno::INVAL | Errno::OPNOTSUPP) if at == 0 => return self.stretch(pair, size),
                Err(errno) => return Err(errno).reading("lseek", || format!("SEEK_DATA, {at}")),
            };
            let end = match seek(pair.from, SeekFrom::Hole(start)) {
                // It has become shorter since.
                Err(Errno::NXIO) => break,
                result => result.reading("lseek", || format!("SEEK_HOLE, {start}"))?,
            };
            let end = end.min(size);
            seek(pair.from, SeekFrom::Start(start)).reading("lseek", || start.to_string())?;
            seek(pair.to, SeekFrom::Start(start)).writing("lseek", || start.to_string())?;
            let length = end - start;
            let done = self.stretch(pair, length)?;
            copied += done;
            written = start + done;
            if done < length {
                break;
            }
            at = end;
        }
        // A hole at the end; not beyond where the source ends by now.
        let now = fstat(pair.from).reading("fstat", String::new)?.st_size;
        let size = size.min(u64::try_from(now).unwrap_or(0));
        if written < size {
            ftruncate(pair.to, size).writing("ftruncate", || size.to_string())?;
        }
        Ok(copied)
    }

    /// Copies `length` bytes, or until the source ends, from where both files stand.
    fn stretch(&mut self, pair: Pair<'_>, length: u64) -> Result<u64, Fault> {
        if length <= SMALL as u64 || self.no_range == Some(pair.devices) {
            return self.by_hand(pair, length);
        }
        let mut copied = 0;
        while copied < length {
            self.go_on()?;
            let piece = usize::try_from((length - copied).min(PIECE)).unwrap_or(usize::MAX);
            match copy_file_range(pair.from, None, pair.to, None, piece) {
                // Some file systems say 0 for files that have content (/proc): reading finds out.
                Ok(0) if copied == 0 => return self.by_hand(pair, length),
                Ok(0) => break,
                Ok(count) => copied += count as u64,
                Err(Errno::INTR) => {}
                Err(errno) if copied == 0 && is_unsupported(errno) => {
                    self.no_range = Some(pair.devices);
                    return self.by_hand(pair, length);
                }
                Err(errno) => return Err(errno).writing("copy_file_range", || piece.to_string()),
            }
        }
        Ok(copied)
    }

    fn by_hand(&mut self, pair: Pair<'_>, length: u64) -> Result<u64, Fault> {
        let mut copied = 0;
        while copied < length {
            self.go_on()?;
            let wanted = usize::try_from(length - copied).unwrap_or(SMALL).min(SMALL);
            let count = match read(pair.from, &mut self.buffer[..wanted]) {
                Ok(0) => break,
                Ok(count) => count,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno).reading("read", || wanted.to_string()),
            };
            write_all(pair.to, &self.buffer[..count])?;
            copied += count as u64;
        }
        Ok(copied)
    }
}

fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Fault> {
    while !bytes.is_empty() {
        match write(to, bytes) {
            Ok(0) => return Err(Errno::IO).writing("write", || bytes.len().to_string()),
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).writing("write", || bytes.len().to_string()),
        }
    }
    Ok(())
}

#[allow(clippy::unnecessary_cast, reason = "the width differs between architectures")]
fn is_sparse(stat: &Stat, size: u64) -> bool {
    u64::try_from(stat.st_blocks as i64).unwrap_or(0) * 512 < size
}

/// Whether `copy_file_range` can't be used here at all, rather than having failed (`copy_file_range(2)`).
fn is_unsupported(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM | Errno::BADF | Errno::TXTBSY
    )
}

/// The devices of a source and of a directory that its copy is in.
pub(super) fn devices(from: Identity, to: Option<u64>) -> (u64, u64) {
    (from.0, to.unwrap_or(u64::MAX))
}
