//! Names of one file stay names of one file: which files with several names were copied, and to where.

use super::entry::{At, Identity, identity};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, fstat, linkat, openat2};
use rustix::io::{Errno, Result};
use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Files with several names that were copied, by the source's identity.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// The directories that the paths start at, one for each call.
    bases: Vec<OwnedFd>,
    /// Whether the last of them is the current call's.
    current: bool,
    seen: HashMap<Identity, First>,
}

/// The first copy of a file.
#[derive(Debug)]
struct First {
    base: usize,
    path: PathBuf,
    identity: Identity,
    /// Names of the source that haven't been met yet.
    left: u64,
}

/// How the copy of an entry is reached from the directory that the caller gave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot<'a> {
    pub(super) base: BorrowedFd<'a>,
    /// The name that the caller gave.
    pub(super) name: &'a Path,
    /// The path below it; empty for itself.
    pub(super) relative: &'a Path,
}

impl Links {
    /// A new call starts: its paths start at another directory.
    pub(super) fn start(&mut self) {
        self.current = false;
    }

    /// Remembers the first copy of a file with `names` names.
    pub(super) fn remember(&mut self, source: Identity, names: u64, spot: Spot<'_>, copy: Identity) -> Result<()> {
        if !self.current {
            self.bases.push(rustix::io::fcntl_dupfd_cloexec(spot.base, 0)?);
            self.current = true;
        }
        let path = if spot.relative.as_os_str().is_empty() {
            spot.name.to_owned()
        } else {
            spot.name.join(spot.relative)
        };
        let first = First {
            base: self.bases.len() - 1,
            path,
            identity: copy,
            left: names.saturating_sub(1),
        };
        self.seen.insert(source, first);
        Ok(())
    }

    /// The copy of a file, opened for its path, if there is one already that is still where it was made.
    pub(super) fn find(&mut self, source: Identity) -> Option<(OwnedFd, Identity)> {
        let first = self.seen.get_mut(&source)?;
        first.left = first.left.saturating_sub(1);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let copy = openat2(&self.bases[first.base], &first.path, flags, Mode::empty(), inside).ok()?;
        let expected = first.identity;
        if first.left == 0 {
            self.seen.remove(&source);
        }
        let stat = fstat(&copy).ok()?;
        (identity(&stat) == expected).then_some((copy, expected))
    }
}

/// Gives the open file another name.
pub(super) fn link(file: BorrowedFd<'_>, dir: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    match linkat(file, c"", dir, name, AtFlags::EMPTY_PATH) {
        // Older kernels want CAP_DAC_READ_SEARCH for this.
        Err(Errno::NOENT) => {
            let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
            linkat(CWD, path, dir, name, AtFlags::SYMLINK_FOLLOW)
        }
        result => result,
    }
}

/// Whether a link can't be made here, so that the file has to be copied once more: link(2).
pub(super) fn is_impossible(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::XDEV | Errno::MLINK | Errno::PERM | Errno::OPNOTSUPP | Errno::NOENT
    )
}

/// The name of the entry that `at` names, as an identity, or none.
pub(super) fn identity_at(at: At<'_>) -> Option<Identity> {
    rustix::fs::statat(at.dir, at.name, AtFlags::SYMLINK_NOFOLLOW)
        .ok()
        .map(|stat| identity(&stat))
}
