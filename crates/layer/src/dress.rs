//! Giving owner, mode, attributes and times to what was just made.

use crate::error::{IoExt, Result};
use crate::meta::Meta;
use crate::owners::{Intended, OwnerRecord};
use crate::path::magic_path;
use crate::spot::Spot;
use crate::tar::{Time, refuse};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Gid, Mode, Stat, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use wiac_sys::times;

/// What becomes of owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerPolicy {
    /// They are set; one that can't be is an error.
    Set,
    /// All is made as the caller (a user namespace with a single id), and what was meant is returned.
    Record,
}

/// Dresses files of one layer.
pub(crate) struct Dresser {
    policy: OwnerPolicy,
    fresh: Fresh,
    /// What couldn't be given.
    pub record: OwnerRecord,
    /// Bytes that the record takes, about; what was removed from it is still counted.
    pub recorded: usize,
}

/// What the kernel gives a new file without being asked.
#[derive(Debug, Clone, Copy)]
struct Fresh {
    uid: u32,
    gid: u32,
    umask: u32,
}

impl Dresser {
    /// For files in `root`, an open directory that is empty.
    pub(crate) fn new(root: &OwnedFd, policy: OwnerPolicy) -> Result<Self> {
        Ok(Self {
            policy,
            fresh: Fresh::probe(root)?,
            record: OwnerRecord::default(),
            recorded: 0,
        })
    }

    /// The permission bits of a new file that was asked for with `mode`.
    pub(crate) fn made_with(&self, mode: u32) -> u32 {
        mode & 0o777 & !self.fresh.umask
    }

    /// Gives an open file or directory all its metadata. `made` are the permission bits it has now.
    ///
    /// The owner comes first: a change of it takes set-id bits and capabilities away.
    pub(crate) fn dress(&mut self, fd: BorrowedFd<'_>, path: &[u8], meta: &Meta, made: Option<u32>) -> Result<()> {
        let set = self.settle_owner(path, meta);
        if let Some((uid, gid)) = set {
            owned(rustix::fs::fchown(fd, Some(uid), Some(gid)), path, meta)?;
        }
        if made != Some(meta.mode) {
            rustix::fs::fchmod(fd, Mode::from_raw_mode(meta.mode)).at("set the mode of", path)?;
        }
        for (name, value) in &meta.xattrs {
            let result = rustix::fs::fsetxattr(fd, OsStr::from_bytes(name), value, XattrFlags::empty());
            self.attribute_set(path, meta, name, value, result)?;
        }
        rustix::fs::futimens(fd, &times(meta.modified)).at("set the time of", path)
    }

    /// The same for what can't be opened: a symlink (which has no mode), a device, a pipe.
    pub(crate) fn dress_unopened(&mut self, spot: &Spot<'_>, meta: &Meta, made: Option<u32>) -> Result<()> {
        let (parent, path) = (spot.parent.as_fd(), spot.path.as_slice());
        if let Some((uid, gid)) = self.settle_owner(path, meta) {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            owned(
                rustix::fs::chownat(parent, spot.name, Some(uid), Some(gid), flags),
                path,
                meta,
            )?;
        }
        self.finish_unopened(spot, meta, made)
    }

    /// All but the owner.
    fn finish_unopened(&mut self, spot: &Spot<'_>, meta: &Meta, made: Option<u32>) -> Result<()> {
        let (parent, path) = (spot.parent.as_fd(), spot.path.as_slice());
        if made.is_some() && made != Some(meta.mode) {
            set_mode(parent, spot.name, meta.mode).at("set the mode of", &spot.path)?;
        }
        if !meta.xattrs.is_empty() {
            let magic = magic_path(parent, spot.name);
            for (name, value) in &meta.xattrs {
                let result = rustix::fs::lsetxattr(&magic, OsStr::from_bytes(name), value, XattrFlags::empty());
                self.attribute_set(path, meta, name, value, result)?;
            }
        }
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(parent, spot.name, &times(meta.modified), flags).at("set the time of", &spot.path)
    }

    /// The same for a file that has metadata already (`status`), which another header of the archive may change. What doesn't
    /// change isn't touched: a change of owner takes set-id bits and capabilities away.
    pub(crate) fn dress_again(&mut self, spot: &Spot<'_>, meta: &Meta, status: &Stat) -> Result<()> {
        let recorded = self.record.get(&spot.path).map(|intended| (intended.uid, intended.gid));
        let owner = recorded.unwrap_or((status.st_uid, status.st_gid));
        let mut mode = status.st_mode & 0o7777;
        if owner != (meta.uid, meta.gid) {
            match self.policy {
                OwnerPolicy::Set => {
                    let (uid, gid) = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
                    let flags = AtFlags::SYMLINK_NOFOLLOW;
                    let result = rustix::fs::chownat(&spot.parent, spot.name, Some(uid), Some(gid), flags);
                    owned(result, &spot.path, meta)?;
                    mode &= 0o1777;
                }
                OwnerPolicy::Record => self.intend(&spot.path, meta, |_| {}),
            }
        }
        // The owner is settled, and a symlink has no mode.
        let is_symlink = FileType::from_raw_mode(status.st_mode) == FileType::Symlink;
        self.finish_unopened(spot, meta, (!is_symlink).then_some(mode))
    }

    /// The owner to be set, where one must be; notes it where it can't be.
    fn settle_owner(&mut self, path: &[u8], meta: &Meta) -> Option<(Uid, Gid)> {
        let differs = (meta.uid, meta.gid) != (self.fresh.uid, self.fresh.gid);
        match self.policy {
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
            // A list names ids that the user namespace doesn't have; capabilities count in another one, and give nothing in this.
            Err(Errno::INVAL)
                if is_list && self.policy == OwnerPolicy::Record || is_capability_elsewhere(name, value) =>
            {
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
    pub(crate) fn intend(&mut self, path: &[u8], meta: &Meta, change: impl FnOnce(&mut Intended)) {
        let mut intended = self.record.get(path).cloned().unwrap_or_default();
        (intended.uid, intended.gid) = (meta.uid, meta.gid);
        change(&mut intended);
        // An attribute that isn't the first one is counted again with those before it: they are few.
        let xattrs: usize = intended
            .xattrs
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        self.recorded += path.len() + xattrs + size_of::<Intended>();
        self.record.insert(path, intended);
    }
}

/// Capabilities that count below a user id that is root of a user namespace: revision 3 of the attribute, capability.h.
fn is_capability_elsewhere(name: &[u8], value: &[u8]) -> bool {
    name == b"security.capability" && value.len() == 24 && value[3] == 3
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
        result => result.at("set the owner of", path),
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

fn times(modified: Time) -> Timestamps {
    times::at(modified.seconds, modified.nanoseconds)
}

impl Fresh {
    /// Makes a directory and looks at it: the umask, the file system and a default access list have their say.
    fn probe(root: &OwnedFd) -> Result<Self> {
        for list in ["system.posix_acl_default", "system.posix_acl_access"] {
            match rustix::fs::fremovexattr(root, list) {
                Ok(()) | Err(Errno::NODATA | Errno::NOTSUP | Errno::PERM) => {}
                Err(errno) => return Err(errno).on("take the access list from", Path::new(".")),
            }
        }
        let name = ".wh..wh.probe";
        let asked = Mode::from_raw_mode(0o777);
        rustix::fs::mkdirat(root, name, asked).on("create a directory in", Path::new("."))?;
        let stat = rustix::fs::statat(root, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
        rustix::fs::unlinkat(root, name, rustix::fs::AtFlags::REMOVEDIR).on("remove", Path::new(name))?;
        let stat = stat.on("look at", Path::new(name))?;
        Ok(Self {
            uid: stat.st_uid,
            gid: stat.st_gid,
            umask: 0o777 & !stat.st_mode,
        })
    }
}
