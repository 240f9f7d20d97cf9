//! The metadata of single directories: owner, mode, attributes and times, without what is in them.

use crate::copy::{Choice, Copier, FileKind, Options, Place};
use crate::error::{IoExt, Result};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use std::ffi::OsStr;
use std::path::Path;

/// A directory and how messages call it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'d> {
    pub(crate) directory: BorrowedFd<'d>,
    pub(crate) path: &'d Path,
}

/// Opens a directory for reading.
pub(crate) fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).on("open", path)
}

/// Opens the directory `name` in `parent` for reading; a symlink is not followed.
pub(crate) fn open_in(parent: impl AsFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Gives the directory `to` the metadata of `from`, as `copier` keeps it.
pub(crate) fn copy_metadata(copier: &mut Copier, from: Shown<'_>, to: Shown<'_>) -> Result<()> {
    let mut nothing = |_: &Path, _: FileKind| Choice::Exclude;
    let from_place = Place { dir: from.directory, name: OsStr::new("."), shown: from.path };
    let to_place = Place { dir: to.directory, name: OsStr::new("."), shown: to.path };
    Ok(copier.copy_filtered(&from_place, &to_place, &mut nothing)?)
}

/// Gives the directory at `to` all the metadata of the one at `from`.
pub(crate) fn copy_all_metadata(from: &Path, to: &Path) -> Result<()> {
    let (from_fd, to_fd) = (open(from)?, open(to)?);
    let mut copier = Copier::new(Options::default());
    let from = Shown { directory: from_fd.as_fd(), path: from };
    copy_metadata(&mut copier, from, Shown { directory: to_fd.as_fd(), path: to })
}
