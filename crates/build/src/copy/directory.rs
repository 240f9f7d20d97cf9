//! The two sides of a directory that is being copied: the one that is read, and the one that is made or merged into.

use super::engine::{Engine, Facts};
use super::entry::{At, FileKind, Identity, Wanted, file_type, identity, kind};
use super::error::{Fault, Side};
use super::options::{Conflict, Merged, Options};
use super::xattrs::Subject;
use rustix::fs::{AtFlags, Mode, OFlags, Stat, fstat, mkdirat, openat, statat, unlinkat};
use rustix::io::Errno;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const OPEN: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A directory to copy.
pub(super) struct Source {
    fd: Option<OwnedFd>,
    pub(super) stat: Stat,
}

/// Its copy.
pub(super) struct Target {
    fd: Option<OwnedFd>,
    /// As it was when it was opened.
    stat: Stat,
    pub(super) facts: Facts,
    /// Whether it gets the source's metadata at the end.
    dressed: bool,
    /// Whether it may have an ACL that isn't the source's.
    inherits_acl: bool,
}

/// Where a directory is made.
pub(super) struct Parent<'a> {
    pub(super) dir: BorrowedFd<'a>,
    pub(super) facts: Facts,
    /// Whether what is made there is what the caller named.
    pub(super) top: bool,
}

impl Source {
    pub(super) fn open(at: At<'_>) -> Result<Self, Fault> {
        let fd = match openat(at.dir, at.name, OPEN, Mode::empty()) {
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(Fault::Changed),
            result => result.reading("openat", || format!("{}, O_DIRECTORY", at.show()))?,
        };
        let stat = fstat(&fd).reading("fstat", || at.show())?;
        Ok(Self { fd: Some(fd), stat })
    }

    pub(super) fn fd(&self) -> Result<BorrowedFd<'_>, Fault> {
        self.fd.as_ref().map(AsFd::as_fd).ok_or(Fault::Changed)
    }

    pub(super) fn close(&mut self) {
        self.fd = None;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.fd.is_none()
    }

    pub(super) fn give(&mut self, fd: OwnedFd) {
        self.fd = Some(fd);
    }
}

impl Target {
    /// Makes the directory `name`, or opens the one that is there.
    pub(super) fn make(options: &Options, parent: &Parent<'_>, name: &CStr, source: &Stat) -> Result<Self, Fault> {
        let at = At { dir: parent.dir, name };
        let fresh = make(options, at, source)?;
        let fd = openat(at.dir, at.name, OPEN, Mode::empty()).writing("openat", || at.show())?;
        let stat = fstat(&fd).writing("fstat", || at.show())?;
        if identity(&stat) == identity(source) {
            return Err(Fault::Same);
        }
        let dressed = fresh
            || match options.merged {
                Merged::Source => true,
                Merged::SourceBelow => !parent.top,
                Merged::Untouched => false,
            };
        let mut facts = Facts::default();
        if !fresh {
            facts = Facts::of(fd.as_fd());
        } else if parent.facts.default_acl {
            if options.xattrs {
                Subject::Open(fd.as_fd()).remove_acls();
            }
            facts.default_acl = !options.xattrs;
        }
        Ok(Self {
            inherits_acl: !fresh || parent.facts.default_acl,
            fd: Some(fd),
            stat,
            facts,
            dressed,
        })
    }

    pub(super) fn fd(&self) -> Result<BorrowedFd<'_>, Fault> {
        self.fd.as_ref().map(AsFd::as_fd).ok_or(Fault::Changed)
    }

    pub(super) fn identity(&self) -> Identity {
        identity(&self.stat)
    }

    pub(super) fn close(&mut self) {
        self.fd = None;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.fd.is_none()
    }

    pub(super) fn give(&mut self, fd: OwnedFd) {
        self.fd = Some(fd);
    }

    /// Gives it the source's metadata, where it should have that.
    pub(super) fn dress(&mut self, engine: &mut Engine, source: &Source) -> Result<(), Fault> {
        if !self.dressed {
            return Ok(());
        }
        let wanted = Wanted::new(&source.stat, &engine.options);
        engine.dress_directory(source.fd()?, self.fd()?, &wanted, &self.stat, self.inherits_acl)
    }
}

/// Makes a directory for the caller alone; `false` where there is one already.
fn make(options: &Options, at: At<'_>, source: &Stat) -> Result<bool, Fault> {
    let make = || mkdirat(at.dir, at.name, Mode::RWXU);
    match make() {
        Ok(()) => return Ok(true),
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno).writing("mkdirat", || at.show()),
    }
    let stat = statat(at.dir, at.name, AtFlags::SYMLINK_NOFOLLOW).writing("fstatat", || at.show())?;
    let there = kind(file_type(&stat));
    if there == FileKind::Directory {
        return Ok(false);
    }
    if options.conflict == Conflict::Refuse {
        return Err(Fault::Conflict {
            wanted: kind(file_type(source)),
            there,
        });
    }
    unlinkat(at.dir, at.name, AtFlags::empty()).writing("unlinkat", || at.show())?;
    make().writing("mkdirat", || at.show())?;
    Ok(true)
}

/// Opens the directory above, if it's still the one expected.
pub(super) fn reopen_parent(dir: BorrowedFd<'_>, expected: Identity) -> Option<OwnedFd> {
    let parent = openat(dir, c"..", OPEN, Mode::empty()).ok()?;
    let stat = fstat(&parent).ok()?;
    (identity(&stat) == expected).then_some(parent)
}

/// Whether a directory lies below another one or is it, by way of "..".
pub(super) fn is_within(dir: BorrowedFd<'_>, above: Identity) -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let up = |from: BorrowedFd<'_>, name: &CStr| -> Option<(OwnedFd, Identity)> {
        let fd = openat(from, name, flags, Mode::empty()).ok()?;
        let stat = fstat(&fd).ok()?;
        Some((fd, identity(&stat)))
    };
    let mut last = up(dir, c".");
    while let Some((fd, found)) = last {
        if found == above {
            return true;
        }
        last = up(fd.as_fd(), c"..").filter(|(_, next)| *next != found);
    }
    false
}
