//! A directory that acts as "/": every path is resolved inside it, whatever symlinks a hostile tree holds.
//!
//! The kernel does the containment (`openat2` with `RESOLVE_IN_ROOT`, openat2(2)); [`Walk`] takes single steps where
//! the caller has to know which symlinks were crossed. Magic links (`/proc/PID/root` and the like) are never followed.

#![allow(clippy::unnecessary_debug_formatting, reason = "a hostile name is shown escaped")]

mod walk;

use crate::{Error, Result, ResultExt};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, Stat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

pub use walk::{Blocked, Link, Resolved, Shortage, Walk};

const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// How often a lookup is tried again that a concurrent rename disturbed.
const TRIES: u32 = 256;
/// Bytes of a directory's listing that are asked for at once.
const LISTING: usize = 8 * 1024;

/// A directory that acts as "/".
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
}

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, a FIFO or a socket: never opened.
    Special,
}

/// The part of an inode's metadata that a copy needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// What the path names.
    pub kind: FileKind,
    /// The permission bits, with set-id and sticky bits (07777).
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The length in bytes.
    pub size: u64,
    /// Seconds and nanoseconds of the last modification.
    pub modified: (i64, u32),
    /// The file system and the inode: equal for two names of one file.
    pub identity: (u64, u64),
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The name, without slashes.
    pub name: OsString,
    /// What it names; `None` where the file system doesn't say in the listing.
    pub kind: Option<FileKind>,
}

impl Root {
    /// The directory at `path` of the calling process becomes "/".
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).call("open", || show(path, "O_PATH|O_DIRECTORY"))?;
        Ok(Self { fd })
    }

    /// Takes an open directory as "/"; ENOTDIR for anything else.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        let stat = rustix::fs::fstat(&fd).call("fstat", || "a root directory")?;
        if Metadata::from(&stat).kind == FileKind::Directory {
            Ok(Self { fd })
        } else {
            Err(Error::new("fstat", "a root directory", Errno::NOTDIR))
        }
    }

    /// Opens a regular file for reading, following symlinks. Anything else is an error (EISDIR for a directory, EINVAL
    /// for a device, a FIFO or a socket, which are never opened).
    pub fn open_file(&self, path: impl AsRef<Path>) -> Result<File> {
        let path = path.as_ref();
        let expected = self.metadata(path)?;
        let file = open_regular(self.fd.as_fd(), path, INSIDE, &expected)?;
        Ok(file)
    }

    /// The metadata of what `path` leads to, as stat(2).
    pub fn metadata(&self, path: impl AsRef<Path>) -> Result<Metadata> {
        self.stat(path.as_ref(), OFlags::empty())
    }

    /// The metadata of `path` itself, as lstat(2).
    pub fn symlink_metadata(&self, path: impl AsRef<Path>) -> Result<Metadata> {
        self.stat(path.as_ref(), OFlags::NOFOLLOW)
    }

    fn stat(&self, path: &Path, flags: OFlags) -> Result<Metadata> {
        let fd = self.open_path(path, flags)?;
        let stat = rustix::fs::fstat(&fd).call("fstat", || show(path, "O_PATH"))?;
        Ok(Metadata::from(&stat))
    }

    /// The text of the symlink at `path`, as readlink(2).
    pub fn read_link(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let path = path.as_ref();
        let fd = self.open_path(path, OFlags::NOFOLLOW)?;
        read_link_at(fd.as_fd(), OsStr::new("")).call("readlink", || format!("{path:?}"))
    }

    /// The names in a directory, sorted, without "." and "..".
    pub fn read_dir(&self, path: impl AsRef<Path>) -> Result<Vec<DirectoryEntry>> {
        let path = path.as_ref();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let fd = openat2(self.fd.as_fd(), path, flags, INSIDE).call("openat2", || show(path, "O_DIRECTORY"))?;
        list(fd).call("getdents64", || format!("{path:?}"))
    }

    /// Whether the mount that `path` lies on forbids starting programs (`noexec`, mount(2)).
    pub fn is_noexec(&self, path: impl AsRef<Path>) -> Result<bool> {
        let path = path.as_ref();
        let fd = self.open_path(path, OFlags::empty())?;
        let info = rustix::fs::fstatvfs(&fd).call("fstatvfs", || format!("{path:?}"))?;
        Ok(info.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC))
    }

    /// Follows `path` from the root and tells every symlink crossed on the way; see [`Walk::resolve`], which
    /// remembers directories between calls.
    pub fn resolve(&self, path: impl AsRef<Path>) -> Result<Resolved> {
        self.walk().resolve(path)
    }

    /// A resolver that remembers what it has seen: for many lookups in a tree that doesn't change meanwhile.
    pub fn walk(&self) -> Walk<'_> {
        Walk::new(self)
    }

    fn open_path(&self, path: &Path, flags: OFlags) -> Result<OwnedFd> {
        openat2(self.fd.as_fd(), path, OFlags::PATH | flags, INSIDE).call("openat2", || show(path, "O_PATH"))
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<&Stat> for Metadata {
    fn from(stat: &Stat) -> Self {
        let kind = kind_of(FileType::from_raw_mode(stat.st_mode)).unwrap_or(FileKind::Special);
        // The width of these fields differs between architectures.
        #[allow(clippy::cast_sign_loss, clippy::unnecessary_cast, clippy::cast_possible_truncation)]
        Self {
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: stat.st_size.max(0) as u64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            identity: (stat.st_dev as u64, stat.st_ino as u64),
        }
    }
}

fn kind_of(kind: FileType) -> Option<FileKind> {
    match kind {
        FileType::RegularFile => Some(FileKind::File),
        FileType::Directory => Some(FileKind::Directory),
        FileType::Symlink => Some(FileKind::Symlink),
        FileType::Unknown => None,
        _ => Some(FileKind::Special),
    }
}

fn show(path: &Path, flags: &str) -> String {
    format!("{path:?}, {flags}")
}

/// `openat2` with close-on-exec, tried again where a rename elsewhere made the kernel unsure about a "..".
fn openat2(dir: BorrowedFd<'_>, path: &Path, flags: OFlags, resolve: ResolveFlags) -> rustix::io::Result<OwnedFd> {
    let mut tries = 0;
    loop {
        match rustix::fs::openat2(dir, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) if tries < TRIES => tries += 1,
            result => return result,
        }
    }
}

/// Opens a file that was seen to be regular, and makes sure that it still is the same one: the open of a device or
/// a FIFO could block or do something.
fn open_regular(dir: BorrowedFd<'_>, path: &Path, resolve: ResolveFlags, expected: &Metadata) -> Result<File> {
    let arguments = || show(path, "O_RDONLY");
    match expected.kind {
        FileKind::File => {}
        FileKind::Directory => return Err(Error::new("open", arguments(), Errno::ISDIR)),
        FileKind::Symlink => return Err(Error::new("open", arguments(), Errno::LOOP)),
        FileKind::Special => return Err(Error::new("open", arguments(), Errno::INVAL)),
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = openat2(dir, path, flags, resolve).call("openat2", arguments)?;
    let stat = rustix::fs::fstat(&fd).call("fstat", arguments)?;
    if Metadata::from(&stat).identity == expected.identity {
        Ok(File::from(fd))
    } else {
        Err(Error::new("openat2", arguments(), Errno::STALE))
    }
}

fn read_link_at(dir: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<PathBuf> {
    let text = rustix::fs::readlinkat(dir, name, Vec::new())?;
    Ok(PathBuf::from(OsString::from_vec(text.into_bytes())))
}

fn stat_at(dir: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<Metadata> {
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| Metadata::from(&stat))
}

fn list(fd: OwnedFd) -> rustix::io::Result<Vec<DirectoryEntry>> {
    let mut entries = Vec::new();
    let mut buffer = [MaybeUninit::uninit(); LISTING];
    let mut listing = RawDir::new(fd, &mut buffer);
    while let Some(entry) = listing.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            entries.push(DirectoryEntry {
                name: OsStr::from_bytes(name).to_owned(),
                kind: kind_of(entry.file_type()),
            });
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

#[cfg(test)]
mod tests;
