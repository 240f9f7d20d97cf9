//! The sources of `wiac copy`, found as the user names them before anything is written.

#![allow(clippy::unnecessary_debug_formatting, reason = "a hostile name is shown escaped")]

use super::entry::{FileKind, Place, file_type, kind};
use super::error::Error;
use super::words::Form;
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, statat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// A source that is there.
pub(super) struct Source {
    dir: OwnedFd,
    /// Its name in that directory; "." for the directory itself.
    name: OsString,
    shown: PathBuf,
    /// The name of its copy in a directory; none for what is in the source.
    pub(super) base: Option<OsString>,
    pub(super) kind: FileKind,
}

impl Source {
    /// Finds a source. Symlinks on the way to it are followed, the last name isn't, unless a slash follows it.
    pub(super) fn find(path: &Path) -> Result<Self, Error> {
        if path.as_os_str().is_empty() || path.as_os_str().as_bytes().contains(&0) {
            return Err(Error::BadPath { path: path.to_owned() });
        }
        let dot = OsStr::new(".");
        let (parent, name, base) = match Form::of(path) {
            Form::Entry { parent, name } => (parent, name, Some(name)),
            Form::Directory { path, name } => (path, dot, Some(name)),
            Form::Contents { path } => (path, dot, None),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(CWD, parent, flags, Mode::empty()).map_err(|errno| unreadable(path, "openat", errno))?;
        let stat = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|errno| unreadable(path, "fstatat", errno))?;
        Ok(Self {
            dir,
            name: name.to_owned(),
            shown: path.to_owned(),
            base: base.map(OsStr::to_owned),
            kind: kind(file_type(&stat)),
        })
    }

    pub(super) fn place(&self) -> Place<'_> {
        Place {
            dir: self.dir.as_fd(),
            name: &self.name,
            shown: &self.shown,
        }
    }

    /// The path as the user wrote it.
    pub(super) fn shown(&self) -> &Path {
        &self.shown
    }
}

fn unreadable(path: &Path, call: &'static str, errno: Errno) -> Error {
    if errno == Errno::NOENT {
        return Error::Missing {
            path: path.to_owned(),
            nearest: nearest(path),
        };
    }
    Error::Read {
        path: path.to_owned(),
        source: wiac_sys::Error::new(call, format!("{path:?}"), errno),
    }
}

/// The path with the first name that isn't there replaced by the nearest one that is.
fn nearest(path: &Path) -> Option<String> {
    let mut so_far = PathBuf::new();
    let missing = path.components().find_map(|component| {
        so_far.push(component);
        let Component::Normal(name) = component else {
            return None;
        };
        statat(CWD, &so_far, AtFlags::SYMLINK_NOFOLLOW).is_err().then_some(name)
    })?;
    let parent = so_far.parent()?;
    let names = names(if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    })?;
    let found = wiac_suggest::nearest(missing.to_str()?, names.iter().map(String::as_str))?;
    Some(parent.join(found).display().to_string())
}

fn names(dir: &Path) -> Option<Vec<String>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = openat(CWD, dir, flags, Mode::empty()).ok()?;
    let entries = Dir::new(dir).ok()?.flatten();
    let names = entries.filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned));
    Some(names.filter(|name| name != "." && name != "..").collect())
}
