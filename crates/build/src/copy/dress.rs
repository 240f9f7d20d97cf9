//! Gives copies their owner, attributes, mode and times.
//!
//! The order is the kernel's: writing and chown take away set-id bits and file capabilities, so attributes come after
//! the owner and the mode after both; times come last.

use super::engine::Engine;
use super::entry::{At, Wanted, mode};
use super::error::{Fault, Side};
use super::xattrs::Subject;
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Uid, chmodat, chownat, fchmod, fchown, fstat, futimens, openat,
    utimensat,
};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// A copy whose metadata is to be set.
pub(super) struct Copy<'a> {
    pub(super) from: Subject<'a>,
    pub(super) to: To<'a>,
    pub(super) wanted: &'a Wanted,
    /// Its owner and mode so far; the mode is `None` where it has to be set in any case.
    pub(super) owner: (u32, u32),
    pub(super) mode: Option<u32>,
    pub(super) inherits_acl: bool,
}

#[derive(Clone, Copy)]
pub(super) enum To<'a> {
    Open(BorrowedFd<'a>),
    /// Something that isn't opened: a symlink has no mode, other nodes do.
    Node(At<'a>, FileType),
}

impl Engine {
    /// Gives a directory its metadata: `is` is how it looks now. Called when everything below it is there.
    pub(super) fn dress_directory(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        wanted: &Wanted,
        is: &Stat,
        inherits_acl: bool,
    ) -> Result<(), Fault> {
        self.dress(&Copy {
            from: Subject::Open(from),
            to: To::Open(to),
            wanted,
            owner: (is.st_uid, is.st_gid),
            mode: Some(is.st_mode & 0o7777),
            inherits_acl,
        })
    }

    /// Gives a copy the owner, attributes, mode and times it should have.
    pub(super) fn dress(&mut self, copy: &Copy<'_>) -> Result<(), Fault> {
        let mut bits = copy.wanted.mode;
        let mut has = copy.mode;
        if let Some(owner) = copy.wanted.owner.filter(|owner| *owner != copy.owner) {
            has = None;
            if !self.chown(copy.to, owner)? {
                bits &= 0o777;
            }
        }
        if self.options.xattrs {
            let to = copy.to.subject();
            if copy.inherits_acl {
                to.remove_acls();
            }
            self.xattrs.copy(&copy.from, &to)?;
        }
        if has != Some(bits) || copy.inherits_acl {
            chmod(copy.to, bits)?;
        }
        let Some(times) = &copy.wanted.times else {
            return Ok(());
        };
        match copy.to {
            To::Open(fd) => futimens(fd, times).writing("futimens", String::new),
            To::Node(at, _) => {
                utimensat(at.dir, at.name, times, AtFlags::SYMLINK_NOFOLLOW).writing("utimensat", || at.show())
            }
        }
    }

    /// Sets the owner; whether the kernel let it. Where it doesn't, the group alone is tried, as in cp.
    fn chown(&mut self, to: To<'_>, (uid, gid): (u32, u32)) -> Result<bool, Fault> {
        let set = |uid: Option<Uid>, gid: Option<Gid>| match to {
            To::Open(fd) => fchown(fd, uid, gid),
            To::Node(at, _) => chownat(at.dir, at.name, uid, gid, AtFlags::SYMLINK_NOFOLLOW),
        };
        let group = Some(Gid::from_raw(gid));
        match set(Some(Uid::from_raw(uid)), group) {
            Ok(()) => Ok(true),
            Err(Errno::PERM | Errno::INVAL) if !self.options.ownership_required => {
                let _ = set(None, group);
                self.report.owners_lost += 1;
                Ok(false)
            }
            Err(errno) => Err(errno).writing("fchown", || format!("{uid}, {gid}")),
        }
    }
}

impl<'a> To<'a> {
    fn subject(self) -> Subject<'a> {
        match self {
            Self::Open(fd) => Subject::Open(fd),
            Self::Node(at, _) => Subject::named(at),
        }
    }
}

fn chmod(to: To<'_>, bits: u32) -> Result<(), Fault> {
    match to {
        To::Open(fd) => fchmod(fd, mode(bits)).writing("fchmod", || format!("{bits:#o}")),
        To::Node(_, FileType::Symlink) => Ok(()),
        To::Node(at, file_type) => {
            // There's no chmod before Linux 6.6 that doesn't follow a symlink somebody may have put there.
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let node: OwnedFd = openat(at.dir, at.name, flags, Mode::empty()).writing("openat", || at.show())?;
            let stat = fstat(&node).writing("fstat", || at.show())?;
            if FileType::from_raw_mode(stat.st_mode) != file_type {
                return Err(Fault::Changed);
            }
            if stat.st_mode & 0o7777 == bits {
                return Ok(());
            }
            let path = format!("/proc/self/fd/{}", node.as_raw_fd());
            chmodat(CWD, path, mode(bits), AtFlags::empty()).writing("fchmodat", || format!("{bits:#o}"))
        }
    }
}
