//! Locks: flock on a directory, held by a descriptor and ending with it, whatever happens to the process.

use crate::error::{Error, IoExt, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use std::io::ErrorKind;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// How often a lock is asked for that nobody may hold, and the pause before it is asked for again.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(2);

/// A held lock. Children made by clone hold it too, and keep it where this process is killed; dropping it lets go for all
/// of them, since among them may be containers that another thread started and that have nothing to do with it.
#[derive(Debug)]
pub struct Lock {
    fd: OwnedFd,
}

impl Lock {
    /// Waits for the shared lock of a directory or file: who uses it.
    pub fn shared(path: &Path) -> Result<Self> {
        lock(path, FlockOperation::LockShared)
    }

    /// The same, or `None` where there is nothing, or nothing that this user may open.
    pub fn shared_where_allowed(path: &Path) -> Result<Option<Self>> {
        match Self::shared(path) {
            Err(Error::Io { source, .. })
                if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) =>
            {
                Ok(None)
            }
            lock => lock.map(Some),
        }
    }

    /// Waits for the exclusive lock: who changes it.
    pub fn exclusive(path: &Path) -> Result<Self> {
        lock(path, FlockOperation::LockExclusive)
    }

    /// The exclusive lock, or `None` where somebody uses it. Who counts or collects (`df`, `prune`, `store check`) holds
    /// things for a moment only to see whether they are used: that isn't to keep anybody from using them.
    pub fn unless_used(path: &Path) -> Result<Option<Self>> {
        Self::tried(path, || sleep(PAUSE))
    }

    fn tried(path: &Path, mut pause: impl FnMut()) -> Result<Option<Self>> {
        for _ in 0..TRIES {
            let lock = Self::try_exclusive(path)?;
            if lock.is_some() {
                return Ok(lock);
            }
            pause();
        }
        Self::try_exclusive(path)
    }

    /// Lets others use it too, without letting go in between.
    pub fn into_shared(self) -> Result<Self> {
        rustix::io::retry_on_intr(|| flock(&self.fd, FlockOperation::LockShared)).on("lock", Path::new("a file"))?;
        Ok(self)
    }

    /// The exclusive lock, or `None` where somebody else holds it.
    pub fn try_exclusive(path: &Path) -> Result<Option<Self>> {
        let fd = open(path)?;
        match flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Ok(None),
            result => result.on("lock", path).map(|()| Some(Self { fd })),
        }
    }
}

impl Lock {
    /// The exclusive lock of a file that is made where it isn't there, or `None` where somebody else holds it.
    pub(crate) fn try_exclusive_file(path: &Path) -> Result<Option<Self>> {
        let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::from_raw_mode(0o600)).on("open", path)?;
        match flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Ok(None),
            result => result.on("lock", path).map(|()| Some(Self { fd })),
        }
    }

    /// Whether the locked file still has a name: one that was deleted before the lock was given is nobody's any more.
    pub(crate) fn is_somewhere(&self, path: &Path) -> Result<bool> {
        Ok(rustix::fs::fstat(&self.fd).on("look at", path)?.st_nlink > 0)
    }

    /// Whether what is locked still stands at `path`: it may have been moved away before the lock was given.
    pub fn is_of(&self, path: &Path) -> Result<bool> {
        let held = rustix::fs::fstat(&self.fd).on("look at", path)?;
        match rustix::fs::lstat(path) {
            Ok(found) => Ok((found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno).on("look at", path),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closed without copies, the descriptor lets go too.
        let _ = flock(&self.fd, FlockOperation::Unlock);
    }
}

fn open(path: &Path) -> Result<OwnedFd> {
    // Of a pipe it would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).on("open", path)
}

fn lock(path: &Path, operation: FlockOperation) -> Result<Lock> {
    let fd = open(path)?;
    rustix::io::retry_on_intr(|| flock(&fd, operation)).on("lock", path)?;
    Ok(Lock { fd })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_keeps_nobody_from_using_something() {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut look = Lock::try_exclusive(dir.path()).expect("asked");
        assert!(look.is_some(), "nobody has it yet");
        let user = Lock::tried(dir.path(), || drop(look.take())).expect("asked");
        assert!(user.is_some(), "it was a look alone");
        // Who uses it longer has it.
        let mut pauses = 0;
        assert!(Lock::tried(dir.path(), || pauses += 1).expect("asked").is_none());
        assert_eq!(pauses, TRIES);
    }
}
