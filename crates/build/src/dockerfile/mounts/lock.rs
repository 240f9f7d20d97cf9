//! Locks of cache mounts: flock(2) on the directory, which ends with the process whatever happens to it.

use crate::error::{IoExt, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, flock};
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

impl CacheLock {
    /// The lock of one among several users; `None` where somebody wants to be alone.
    pub(super) fn try_shared(directory: &Path) -> Result<Option<Self>> {
        attempt(directory, FlockOperation::NonBlockingLockShared)
    }

    /// The lock of the only user; `None` where there is another one.
    pub(super) fn try_exclusive(directory: &Path) -> Result<Option<Self>> {
        attempt(directory, FlockOperation::NonBlockingLockExclusive)
    }
}

fn attempt(path: &Path, operation: FlockOperation) -> Result<Option<CacheLock>> {
    let directory = crate::directory::open(path)?;
    match rustix::io::retry_on_intr(|| flock(&directory, operation)) {
        Err(Errno::WOULDBLOCK) => Ok(None),
        result => result.on("lock", path).map(|()| Some(CacheLock { directory })),
    }
}
