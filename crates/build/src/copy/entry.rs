//! The words of one copied entry: its place, its identity, what it is, and how its copy should look.

use super::options::{Options, Ownership};
use rustix::fs::{FileType, Mode, Stat, Timespec, Timestamps};
use std::ffi::{CStr, OsStr};
use std::os::fd::BorrowedFd;
use std::path::Path;

pub use wiac_sys::root::FileKind;

/// Where an entry is or will be: a name in an open directory.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The directory (`O_PATH` is enough).
    pub dir: BorrowedFd<'a>,
    /// The name in it: a single one without slashes, or "." for the directory itself.
    pub name: &'a OsStr,
    /// How messages name the entry.
    pub shown: &'a Path,
}

/// A name in an open directory, as system calls take it.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) dir: BorrowedFd<'a>,
    pub(super) name: &'a CStr,
}

impl At<'_> {
    /// The name as an error shows it.
    pub(super) fn show(&self) -> String {
        format!("{:?}", self.name)
    }
}

/// File system and inode: equal for two names of one file.
pub(super) type Identity = (u64, u64);

#[allow(clippy::unnecessary_cast, reason = "the width differs between architectures")]
pub(super) fn identity(stat: &Stat) -> Identity {
    (stat.st_dev as u64, stat.st_ino as u64)
}

pub(super) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// What COPY sees of a file's type.
pub(crate) fn kind(file_type: FileType) -> FileKind {
    match file_type {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        _ => FileKind::Special,
    }
}

/// How the copy of an entry should look.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// Owner and group; `None` for whatever the kernel gives it.
    pub(super) owner: Option<(u32, u32)>,
    /// The permission bits (07777).
    pub(super) mode: u32,
    /// Times of access and modification; `None` for the time of the copy.
    pub(super) times: Option<Timestamps>,
}

impl Wanted {
    pub(super) fn new(stat: &Stat, options: &Options) -> Self {
        let owner = match options.ownership {
            Ownership::Keep => Some((stat.st_uid, stat.st_gid)),
            Ownership::Fixed { uid, gid } => Some((uid, gid)),
            Ownership::Caller => None,
        };
        let mode = options.mode.apply(kind(file_type(stat)), stat.st_mode & 0o7777);
        let times = options.times.then(|| times(stat));
        Self { owner, mode, times }
    }
}

#[allow(
    clippy::cast_possible_wrap,
    clippy::unnecessary_cast,
    reason = "the width differs between architectures"
)]
fn times(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: stat.st_atime as i64,
            tv_nsec: stat.st_atime_nsec as _,
        },
        last_modification: Timespec {
            tv_sec: stat.st_mtime as i64,
            tv_nsec: stat.st_mtime_nsec as _,
        },
    }
}

/// Permission bits as rustix takes them.
pub(super) fn mode(bits: u32) -> Mode {
    Mode::from_raw_mode(bits & 0o7777)
}
