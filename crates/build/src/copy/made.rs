//! Making a new entry so that nothing half-made is ever left under its name.
//!
//! Where the name is free, the entry is made under it, and removed again should the copy fail. Where something is
//! there already, the entry is made under a temporary name beside it and put in its place by one rename.

use super::entry::{At, FileKind, Identity, file_type, identity, kind};
use super::error::{Fault, Side};
use super::options::Conflict;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often a name is tried that others make and remove meanwhile.
const TRIES: u32 = 1000;

/// Makes temporary names differ within a process; between processes its id does.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A new entry. It vanishes again unless it's finished.
#[derive(Debug)]
pub(super) struct Made<'a> {
    at: At<'a>,
    temporary: Option<CString>,
    finished: bool,
}

/// What a new entry is a copy of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Original {
    pub(super) kind: FileKind,
    pub(super) identity: Identity,
}

impl<'a> Made<'a> {
    /// Makes an entry at `at` with `create`, which is given the name to use and must fail where that exists.
    pub(super) fn new<T>(
        at: At<'a>,
        original: Original,
        conflict: Conflict,
        call: &'static str,
        mut create: impl FnMut(&CStr) -> rustix::io::Result<T>,
    ) -> Result<(T, Self), Fault> {
        match create(at.name) {
            Err(Errno::EXIST) => check_replaceable(at, original, conflict)?,
            result => {
                let value = result.writing(call, || at.show())?;
                return Ok((value, Self::unfinished(at, None)));
            }
        }
        for _ in 0..TRIES {
            let name = temporary_name();
            match create(&name) {
                Err(Errno::EXIST) => {}
                result => {
                    let value = result.writing(call, || format!("{name:?}"))?;
                    return Ok((value, Self::unfinished(at, Some(name))));
                }
            }
        }
        Err(Errno::EXIST).writing(call, || at.show())
    }

    fn unfinished(at: At<'a>, temporary: Option<CString>) -> Self {
        Self {
            at,
            temporary,
            finished: false,
        }
    }

    /// Where the entry is for now.
    pub(super) fn at(&self) -> At<'_> {
        At {
            dir: self.at.dir,
            name: self.temporary.as_deref().unwrap_or(self.at.name),
        }
    }

    /// Puts the entry under its name for good.
    pub(super) fn finish(mut self, conflict: Conflict) -> Result<(), Fault> {
        if let Some(temporary) = &self.temporary {
            let rename = || renameat(self.at.dir, temporary, self.at.dir, self.at.name);
            match rename() {
                Err(Errno::ISDIR) if conflict == Conflict::Replace => {
                    remove(self.at)?;
                    rename()
                }
                result => result,
            }
            .writing("renameat", || format!("{temporary:?}, {:?}", self.at.name))?;
        }
        self.finished = true;
        Ok(())
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        if !self.finished {
            let at = self.at();
            // The error that led here is the one to report.
            let _ = unlinkat(at.dir, at.name, AtFlags::empty());
        }
    }
}

fn check_replaceable(at: At<'_>, original: Original, conflict: Conflict) -> Result<(), Fault> {
    let stat = match statat(at.dir, at.name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        result => result.writing("fstatat", || at.show())?,
    };
    if identity(&stat) == original.identity {
        return Err(Fault::Same);
    }
    let there = kind(file_type(&stat));
    if there == FileKind::Directory && (conflict == Conflict::Refuse || at.name == c".") {
        return Err(Fault::Conflict {
            wanted: original.kind,
            there,
        });
    }
    Ok(())
}

fn temporary_name() -> CString {
    let process = rustix::process::getpid().as_raw_nonzero();
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    CString::new(format!(".wiac-{process:x}-{number:x}")).unwrap_or_default()
}

/// Removes what is at `at`, with everything below it, without following symlinks or entering other file systems'
/// names (a mount point is an error).
pub(super) fn remove(at: At<'_>) -> Result<(), Fault> {
    match unlinkat(at.dir, at.name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(errno) => return Err(errno).writing("unlinkat", || at.show()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = openat(at.dir, at.name, flags, Mode::empty()).writing("openat", || at.show())?;
    for name in names(&dir).writing("getdents64", || at.show())? {
        remove(At {
            dir: rustix::fd::AsFd::as_fd(&dir),
            name: &name,
        })?;
    }
    drop(dir);
    unlinkat(at.dir, at.name, AtFlags::REMOVEDIR).writing("unlinkat", || at.show())
}

fn names(dir: impl rustix::fd::AsFd) -> rustix::io::Result<Vec<CString>> {
    let dir: BorrowedFd<'_> = dir.as_fd();
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}
