//! Locks of cache mounts: flock(2) on the directory, which ends with the process whatever happens to it.

use crate::error::{IoExt, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use std::path::Path;

/// A held lock; dropping it lets go, also for containers that other threads started meanwhile and that have copies of
/// the descriptor.
#[derive(Debug)]
pub(super) struct CacheLock {
    directory: OwnedFd,
}

impl Drop for CacheLock {
    fn drop(&mut self) {
        // Closed without copies, the descriptor lets go too.
        let _ = flock(&self.directory, FlockOperation::Unlock);
    }
}

/// What came of asking for a lock.
#[derive(Debug)]
pub(super) enum Attempt {
    Held(CacheLock),
    /// Somebody else has it.
    Taken,
    /// The directory was removed, or made anew, meanwhile.
    Gone,
}

impl CacheLock {
    /// Asks for the lock of a directory, as the only user or as one among several, without waiting.
    pub(super) fn attempt(path: &Path, is_alone: bool) -> Result<Attempt> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = match rustix::fs::open(path, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(Attempt::Gone),
            result => result.on("open", path)?,
        };
        let operation = if is_alone {
            FlockOperation::NonBlockingLockExclusive
        } else {
            FlockOperation::NonBlockingLockShared
        };
        match rustix::io::retry_on_intr(|| flock(&directory, operation)) {
            Err(Errno::WOULDBLOCK) => return Ok(Attempt::Taken),
            result => result.on("lock", path)?,
        }
        let lock = Self { directory };
        let held = rustix::fs::fstat(&lock.directory).on("look at", path)?;
        match rustix::fs::lstat(path) {
            Ok(found) if (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino) => Ok(Attempt::Held(lock)),
            Ok(_) | Err(Errno::NOENT) => Ok(Attempt::Gone),
            Err(errno) => Err(errno).on("look at", path),
        }
    }
}
