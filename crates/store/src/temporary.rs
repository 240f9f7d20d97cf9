//! Unfinished things: directories in `tmp/`, each owned by a lock, swept by the next command when the lock is gone.

use crate::data::Store;
use crate::error::{Error, IoExt, Result};
use crate::lock::Lock;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, RawDirEntry, unlinkat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Bytes of a directory's list that are read at once while it is deleted.
const LIST: usize = 1 << 10;

/// A directory in `tmp/` that only this process uses. Dropping it deletes what is left of it.
#[derive(Debug)]
pub struct Temporary {
    path: PathBuf,
    /// Held until the directory is gone; also by the monitor of a container whose overlay uses it.
    _lock: Lock,
}

impl Temporary {
    /// Makes an empty directory (mode 0700).
    pub fn new(store: &Store) -> Result<Self> {
        let parent = store.path("tmp");
        let path = parent.join(random_name()?);
        // A sweeper must not see the directory between its making and its lock.
        let making = Lock::shared(&parent)?;
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => {
                return Err(Error::ReadOnly {
                    path: store.root().to_owned(),
                });
            }
            result => result.on("create", &path)?,
        }
        let lock = Lock::exclusive(&path)?;
        drop(making);
        Ok(Self { path, _lock: lock })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a directory in it.
    pub fn create_dir(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir(&path).on("create", &path)?;
        Ok(path)
    }

    /// Deletes it, and says when that doesn't work.
    pub fn remove(self) -> Result<()> {
        remove_tree(&self.path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // A failure leaves it to the next command's sweep.
        let _ = remove_tree(&self.path);
    }
}

impl Store {
    /// The directory that holds everything unfinished, without symlinks.
    pub fn temporary_place(&self) -> PathBuf {
        let path = self.path("tmp");
        path.canonicalize().unwrap_or(path)
    }
}

/// Deletes a directory tree; one that is gone already is no error. No symlink is followed.
///
/// Most directories of a container that did little are empty: each is removed without a look into it, and only where
/// that fails it is opened. A throw-away container spends a quarter of the calls std's `remove_dir_all` would.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    remove_directory(CWD, path.as_os_str()).on("delete", path)
}

fn remove_directory(parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<()> {
    if is_removed(parent, name)? {
        return Ok(());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    // On the heap, since trees may be deep; small, since most lists are short and a piece touched first costs a page.
    let mut buffer = Vec::with_capacity(LIST);
    let mut entries = RawDir::new(&directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        remove_listed(directory.as_fd(), &entry?)?;
        // Whether that was the end of the list is told by the removal itself.
        if entries.is_buffer_empty() && is_removed(parent, name)? {
            return Ok(());
        }
    }
    if is_removed(parent, name)? {
        Ok(())
    } else {
        Err(Errno::NOTEMPTY)
    }
}

/// Removes a directory where it is empty. Whether it is gone.
fn is_removed(parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<bool> {
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn remove_listed(directory: BorrowedFd<'_>, entry: &RawDirEntry<'_>) -> rustix::io::Result<()> {
    let name = OsStr::from_bytes(entry.file_name().to_bytes());
    if name == "." || name == ".." {
        return Ok(());
    }
    let result = match entry.file_type() {
        FileType::Directory => remove_directory(directory, name),
        FileType::Unknown => match unlinkat(directory, name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => remove_directory(directory, name),
            result => result,
        },
        _ => unlinkat(directory, name, AtFlags::empty()),
    };
    match result {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}

/// 128 random bits in hexadecimal.
pub(crate) fn random_name() -> Result<String> {
    let mut bytes = [0u8; 16];
    rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())
        .on("read", Path::new("/dev/urandom"))?;
    Ok(hex(&bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Deletes directories in `tmp/` whose owner is gone. Another sweeper at work is left to it.
pub(crate) fn sweep(store: &Store) -> Result<()> {
    let parent = store.path("tmp");
    if is_empty(&parent)? {
        return Ok(());
    }
    let entries: Vec<PathBuf> = fs::read_dir(&parent)
        .on("read", &parent)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    let Some(_sweeping) = Lock::try_exclusive(&parent)? else {
        return Ok(());
    };
    for path in entries {
        // Gone already, or in use: neither concerns us.
        if let Ok(Some(abandoned)) = Lock::try_exclusive(&path)
            && abandoned.is_of(&path).unwrap_or(false)
        {
            remove_entry(&path);
        }
    }
    Ok(())
}

/// Whether nothing is in a directory: for those that every command looks into and that are empty nearly always. std's
/// `read_dir` would take 32 KiB of memory for that.
pub(crate) fn is_empty(path: &Path) -> Result<bool> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty()).on("read", path)?;
    let mut buffer = [const { MaybeUninit::uninit() }; LIST];
    let mut entries = RawDir::new(directory, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry.on("read", path)?;
        if ![&b"."[..], b".."].contains(&entry.file_name().to_bytes()) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn remove_entry(path: &Path) {
    // What can't be deleted now (a full table of something, a busy mount) is tried again by the next command.
    let _ = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use wiac_layer::Form;

    #[test]
    fn sweeps_only_what_is_abandoned() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        let used = Temporary::new(&store).expect("made");
        let abandoned = store.path("tmp/abandoned");
        fs::create_dir_all(abandoned.join("deep/er")).expect("mkdir");
        sweep(&store).expect("swept");
        assert!(used.path().is_dir());
        assert!(!abandoned.exists());
    }
}
