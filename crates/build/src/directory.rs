//! The metadata of single directories: owner, mode, attributes and times, without what is in them.

use crate::error::{IoExt, Result};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, fstat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use wiac_store::overlay_marks;

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

/// Gives the directory `to` owner, mode, extended attributes (but overlayfs's own) and times of `from`.
///
/// # Errors
/// What the kernel refuses, but for attributes the file system doesn't have and owners that an ordinary user can't set.
pub(crate) fn copy_metadata(from: Shown<'_>, to: Shown<'_>) -> Result<()> {
    let (wanted, is) = (
        fstat(from.directory).on("look at", from.path)?,
        fstat(to.directory).on("look at", to.path)?,
    );
    if (wanted.st_uid, wanted.st_gid) != (is.st_uid, is.st_gid) {
        let (uid, gid) = (Uid::from_raw(wanted.st_uid), Gid::from_raw(wanted.st_gid));
        match rustix::fs::fchown(to.directory, Some(uid), Some(gid)) {
            Err(Errno::PERM | Errno::INVAL) => {}
            result => result.on("change the owner of", to.path)?,
        }
    }
    copy_attributes(from, to)?;
    rustix::fs::fchmod(to.directory, Mode::from_raw_mode(wanted.st_mode)).on("change the mode of", to.path)?;
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: wanted.st_mtime,
            tv_nsec: i64::try_from(wanted.st_mtime_nsec).unwrap_or_default(),
        },
    };
    rustix::fs::futimens(to.directory, &times).on("set the times of", to.path)
}

fn copy_attributes(from: Shown<'_>, to: Shown<'_>) -> Result<()> {
    let mut names = [0; 4096];
    let length = match rustix::fs::flistxattr(from.directory, &mut names[..]) {
        Err(Errno::NOTSUP) => return Ok(()),
        result => result.on("read the attributes of", from.path)?,
    };
    for name in names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let name = OsStr::from_bytes(name);
        if overlay_marks::PREFIXES
            .iter()
            .any(|prefix| name.as_bytes().starts_with(prefix.as_bytes()))
        {
            continue;
        }
        let mut value = vec![0; 64 << 10];
        let length =
            rustix::fs::fgetxattr(from.directory, name, &mut value[..]).on("read an attribute of", from.path)?;
        match rustix::fs::fsetxattr(to.directory, name, &value[..length], XattrFlags::empty()) {
            // What the file system or the user namespace can't carry; the copier treats files the same way.
            Err(Errno::NOTSUP | Errno::PERM | Errno::INVAL) => {}
            result => result.on("set an attribute of", to.path)?,
        }
    }
    Ok(())
}

/// As [`copy_metadata`], by paths.
pub(crate) fn copy_metadata_at(from: &Path, to: &Path) -> Result<()> {
    let (from_fd, to_fd) = (open(from)?, open(to)?);
    let from = Shown {
        directory: from_fd.as_fd(),
        path: from,
    };
    copy_metadata(
        from,
        Shown {
            directory: to_fd.as_fd(),
            path: to,
        },
    )
}
