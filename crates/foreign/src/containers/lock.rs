//! The locks of containers/storage: POSIX record locks over whole files (pkg/lockfile: `F_SETLKW`, `F_RDLCK` to read).
//!
//! Such a lock belongs to the process, and closing *any* descriptor of the file ends it. Two images open at once would
//! end each other's, so every lock file is opened once and stays open until the process ends; a count says when to
//! unlock. A child process has no part in the locks of its parent.

use crate::error::{IoExt, Result};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FlockOperation, Mode, OFlags, fcntl_lock, fstat, open, stat};
use rustix::io::Errno;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A lock file that is open.
struct Open {
    device: u64,
    inode: u64,
    file: Arc<OwnedFd>,
    holders: usize,
}

static OPEN: Mutex<Vec<Open>> = Mutex::new(Vec::new());

fn all_open() -> MutexGuard<'static, Vec<Open>> {
    // A panic in here leaves the list whole: every change is one statement.
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks held on a store; they end when this is dropped.
#[derive(Debug, Default)]
pub struct Guard {
    locks: Vec<Lock>,
}

impl Guard {
    /// Waits for one more shared lock. `false` where there is no lock file, or none that may be opened: nothing is
    /// made in somebody else's store, and without the file no tool has ever written there, or it is read-only.
    pub(crate) fn add(&mut self, path: &Path) -> Result<bool> {
        let lock = Lock::shared(path)?;
        let held = lock.is_some();
        self.locks.extend(lock);
        Ok(held)
    }
}

/// A held shared lock.
#[derive(Debug)]
struct Lock {
    file: Arc<OwnedFd>,
}

impl Lock {
    fn shared(path: &Path) -> Result<Option<Self>> {
        let Some(lock) = Self::register(path)? else {
            return Ok(None);
        };
        // Outside of the list's mutex: this waits for a writer. Asking again for a held lock does nothing.
        rustix::io::retry_on_intr(|| fcntl_lock(lock.file.as_fd(), FlockOperation::LockShared)).on("lock", path)?;
        Ok(Some(lock))
    }

    /// Counts one more holder of the lock file, opening it where it isn't open yet.
    fn register(path: &Path) -> Result<Option<Self>> {
        let mut all = all_open();
        // By its identity first: opening it again would mean closing it again.
        let (device, inode) = match stat(path) {
            Ok(stat) => (stat.st_dev, stat.st_ino),
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(errno) => return Err(errno).on("look at", path),
        };
        if let Some(entry) = all
            .iter_mut()
            .find(|entry| (entry.device, entry.inode) == (device, inode))
        {
            entry.holders += 1;
            return Ok(Some(Self::of(entry)));
        }
        let file = match open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty()) {
            Ok(file) => Arc::new(file),
            Err(Errno::NOENT | Errno::ACCESS | Errno::PERM) => return Ok(None),
            Err(errno) => return Err(errno).on("open", path),
        };
        let stat = fstat(&file).on("look at", path)?;
        let entry = Open {
            device: stat.st_dev,
            inode: stat.st_ino,
            file,
            holders: 1,
        };
        let lock = Self::of(&entry);
        all.push(entry);
        Ok(Some(lock))
    }

    fn of(entry: &Open) -> Self {
        Self {
            file: Arc::clone(&entry.file),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut all = all_open();
        let Some(entry) = all.iter_mut().find(|entry| Arc::ptr_eq(&entry.file, &self.file)) else {
            return;
        };
        entry.holders -= 1;
        if entry.holders == 0 {
            // Fails only for a descriptor that isn't open.
            let _ = fcntl_lock(entry.file.as_fd(), FlockOperation::Unlock);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Whether another process could write. Python's lockf is the same kind of lock as containers/storage's.
    fn others_can_write(path: &Path) -> bool {
        let script = "import fcntl, sys\nf = open(sys.argv[1], 'r+')\ntry: fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)\nexcept OSError: sys.exit(3)";
        let status = Command::new("python3").args(["-c", script]).arg(path).status();
        let status = status.expect("python3 is needed to take a lock from another process");
        assert!(matches!(status.code(), Some(0 | 3)), "python3 failed");
        status.success()
    }

    #[test]
    fn holds_as_long_as_the_last_guard() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("images.lock");
        std::fs::write(&path, "").unwrap();
        assert!(others_can_write(&path));
        let (mut first, mut second) = (Guard::default(), Guard::default());
        assert!(first.add(&path).unwrap());
        assert!(second.add(&path).unwrap());
        assert!(!others_can_write(&path));
        drop(first);
        assert!(!others_can_write(&path));
        drop(second);
        assert!(others_can_write(&path));
    }

    #[test]
    fn a_missing_file_is_not_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("images.lock");
        assert!(!Guard::default().add(&path).unwrap());
        assert!(!path.exists());
    }
}
