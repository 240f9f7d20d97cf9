//! Owner, mode, attributes and times of what was just made.

use super::directories::Meta;
use super::{OwnerPolicy, Unpacker, shown};
use crate::error::{IoExt, Result};
use crate::owners::Intended;
use crate::tar::{Time, refuse};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

impl Unpacker<'_> {
    /// Gives an open file or directory all its metadata. `made` are the permission bits it has now.
    ///
    /// The owner comes first: a change of it takes set-id bits and capabilities away.
    pub(super) fn dress(&mut self, fd: BorrowedFd<'_>, path: &[u8], meta: &Meta, made: Option<u32>) -> Result<()> {
        let set = self.settle_owner(path, meta);
        if let Some((uid, gid)) = set {
            owned(rustix::fs::fchown(fd, Some(uid), Some(gid)), path, meta)?;
        }
        if made != Some(meta.mode) {
            rustix::fs::fchmod(fd, Mode::from_raw_mode(meta.mode)).on("set the mode of", &shown(path))?;
        }
        for (name, value) in &meta.xattrs {
            let result = rustix::fs::fsetxattr(fd, OsStr::from_bytes(name), value, XattrFlags::empty());
            self.attribute_set(path, meta, name, value, result)?;
        }
        rustix::fs::futimens(fd, &times(meta.modified)).on("set the time of", &shown(path))
    }

    /// The same for what can't be opened: a symlink (which has no mode), a device, a pipe.
    pub(super) fn dress_unopened(&mut self, spot: &super::Spot<'_>, meta: &Meta, made: Option<u32>) -> Result<()> {
        let (parent, path) = (spot.parent.as_fd(), spot.path.as_slice());
        if let Some((uid, gid)) = self.settle_owner(path, meta) {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            owned(
                rustix::fs::chownat(parent, spot.name, Some(uid), Some(gid), flags),
                path,
                meta,
            )?;
        }
        if made.is_some() && made != Some(meta.mode) {
            set_mode(parent, spot.name, meta.mode).on("set the mode of", &spot.shown())?;
        }
        if !meta.xattrs.is_empty() {
            let magic = magic_path(parent, spot.name);
            for (name, value) in &meta.xattrs {
                let result = rustix::fs::lsetxattr(&magic, OsStr::from_bytes(name), value, XattrFlags::empty());
                self.attribute_set(path, meta, name, value, result)?;
            }
        }
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(parent, spot.name, &times(meta.modified), flags).on("set the time of", &spot.shown())
    }

    /// The owner to be set, where one must be; notes it where it can't be.
    fn settle_owner(&mut self, path: &[u8], meta: &Meta) -> Option<(Uid, Gid)> {
        let differs = (meta.uid, meta.gid) != (self.fresh.uid, self.fresh.gid);
        match self.options.owners {
            OwnerPolicy::Set if differs => Some((Uid::from_raw(meta.uid), Gid::from_raw(meta.gid))),
            OwnerPolicy::Record if differs => {
                self.intend(path, meta, |_| {});
                None
            }
            _ => None,
        }
    }

    /// Looks at what became of an attribute; notes one that this file system, this kind of file or the user
    /// namespace doesn't take.
    fn attribute_set(
        &mut self,
        path: &[u8],
        meta: &Meta,
        name: &[u8],
        value: &[u8],
        result: rustix::io::Result<()>,
    ) -> Result<()> {
        let is_list = name.starts_with(b"system.posix_acl_");
        match result {
            Ok(()) => {}
            Err(Errno::PERM | Errno::NOTSUP) => {
                self.intend(path, meta, |intended| {
                    intended.xattrs.push((name.to_vec(), value.to_vec()));
                });
            }
            // A list names ids that the user namespace doesn't have.
            Err(Errno::INVAL) if is_list && self.options.owners == OwnerPolicy::Record => {
                self.intend(path, meta, |intended| {
                    intended.xattrs.push((name.to_vec(), value.to_vec()));
                });
            }
            Err(errno) => {
                let name = crate::tar::shown(name);
                let reason = wiac_sys::error::describe(errno);
                return refuse(
                    path,
                    format!("its attribute {name} ({} bytes) can't be set: {reason}", value.len()),
                );
            }
        }
        Ok(())
    }

    /// Notes something about what `path` was meant to be.
    pub(super) fn intend(&mut self, path: &[u8], meta: &Meta, change: impl FnOnce(&mut Intended)) {
        let mut intended = self.record.get(path).cloned().unwrap_or_default();
        (intended.uid, intended.gid) = (meta.uid, meta.gid);
        change(&mut intended);
        self.record.insert(path, intended);
    }
}

fn owned(result: rustix::io::Result<()>, path: &[u8], meta: &Meta) -> Result<()> {
    match result {
        // EINVAL: the user namespace doesn't have it.
        Err(Errno::INVAL | Errno::PERM) => {
            let (uid, gid) = (meta.uid, meta.gid);
            let reason = format!(
                "its owner {uid}:{gid} can't be set here: give this user more subordinate ids (/etc/subuid, /etc/subgid)"
            );
            refuse(path, reason)
        }
        result => result.on("set the owner of", &shown(path)),
    }
}

/// Sets the mode of a name that isn't a symlink.
fn set_mode(parent: BorrowedFd<'_>, name: &OsStr, mode: u32) -> rustix::io::Result<()> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC;
    let fd = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode);
    if kind == rustix::fs::FileType::Symlink {
        // Somebody swapped it: the link would be followed here.
        return Err(Errno::LOOP);
    }
    rustix::fs::chmod(format!("/proc/self/fd/{}", fd.as_raw_fd()), Mode::from_raw_mode(mode))
}

/// A path for the calls that take no directory: it leads through the open one, and the last name isn't followed.
pub(crate) fn magic_path(parent: impl AsFd, name: &OsStr) -> PathBuf {
    let mut path = PathBuf::from(format!("/proc/self/fd/{}", parent.as_fd().as_raw_fd()));
    path.push(name);
    path
}

pub(crate) fn times(modified: Time) -> Timestamps {
    let time = Timespec {
        tv_sec: modified.seconds,
        tv_nsec: modified.nanoseconds.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
