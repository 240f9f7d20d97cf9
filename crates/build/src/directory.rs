//! The metadata of single directories: owner, mode, attributes and times, without what is in them.

use crate::error::{IoExt, Result};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Gid, Mode, OFlags, Uid, XattrFlags, fstat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use wiac_layer::marks;
use wiac_sys::times;

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

/// Whose a directory is after its metadata was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The original's.
    Copied,
    /// Whose it was.
    Left,
}

/// Gives the directory `to` owner (if asked to), mode, extended attributes (but overlayfs's own) and times of `from`.
///
/// # Errors
/// What the kernel refuses, but for attributes the file system doesn't have and owners that an ordinary user can't set.
pub(crate) fn copy_metadata(from: Shown<'_>, to: Shown<'_>, owner: Owner) -> Result<()> {
    let (wanted, is) = (
        fstat(from.directory).on("look at", from.path)?,
        fstat(to.directory).on("look at", to.path)?,
    );
    if owner == Owner::Copied && (wanted.st_uid, wanted.st_gid) != (is.st_uid, is.st_gid) {
        let (uid, gid) = (Uid::from_raw(wanted.st_uid), Gid::from_raw(wanted.st_gid));
        match rustix::fs::fchown(to.directory, Some(uid), Some(gid)) {
            Err(Errno::PERM | Errno::INVAL) => {}
            result => result.on("change the owner of", to.path)?,
        }
    }
    copy_attributes(from, to)?;
    rustix::fs::fchmod(to.directory, Mode::from_raw_mode(wanted.st_mode)).on("change the mode of", to.path)?;
    let times = times::modified_as(&wanted);
    rustix::fs::futimens(to.directory, &times).on("set the times of", to.path)
}

fn copy_attributes(from: Shown<'_>, to: Shown<'_>) -> Result<()> {
    for (name, value) in attributes(from.directory).on("read the attributes of", from.path)? {
        match rustix::fs::fsetxattr(to.directory, &name, &value, XattrFlags::empty()) {
            // What the file system or the user namespace can't carry; the copier treats files the same way.
            Err(Errno::NOTSUP | Errno::PERM | Errno::INVAL) => {}
            result => result.on("set an attribute of", to.path)?,
        }
    }
    Ok(())
}

/// The extended attributes of an open file (not `O_PATH`) but overlayfs's own, sorted by name.
pub(crate) fn attributes(file: BorrowedFd<'_>) -> rustix::io::Result<Vec<(OsString, Vec<u8>)>> {
    /// The kernel's limit of a list of names and of a value: xattr(7).
    const LIMIT: usize = 64 << 10;
    let mut few = [0; 256];
    let names = match rustix::fs::flistxattr(file, &mut few[..]) {
        Ok(length) => few[..length].to_vec(),
        Err(Errno::NOTSUP) => Vec::new(),
        Err(Errno::RANGE) => {
            let mut many = vec![0; LIMIT];
            let length = rustix::fs::flistxattr(file, &mut many[..])?;
            many.truncate(length);
            many
        }
        Err(errno) => return Err(errno),
    };
    let is_overlay = |name: &&[u8]| {
        let starts = |prefix: &&str| name.starts_with(prefix.as_bytes());
        marks::PREFIXES.iter().any(starts)
    };
    let mut found = Vec::new();
    for name in names
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty() && !is_overlay(name))
    {
        let mut value = vec![0; LIMIT];
        match rustix::fs::fgetxattr(file, name, &mut value[..]) {
            Ok(length) => value.truncate(length),
            // Gone meanwhile, or not to be read by this user.
            Err(Errno::NODATA | Errno::NOTSUP | Errno::PERM | Errno::ACCESS) => continue,
            Err(errno) => return Err(errno),
        }
        found.push((OsStr::from_bytes(name).to_owned(), value));
    }
    found.sort();
    Ok(found)
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
        Owner::Copied,
    )
}
