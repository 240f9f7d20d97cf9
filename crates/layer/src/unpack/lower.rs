//! What is taken from the layers below.

use super::directories::Meta;
use super::path::Place;
use super::{Spot, Unpacker, shown};
use crate::error::{Error, IoExt, Result};
use crate::merged::{Found, LayerStack, MergedDirectory};
use crate::tar::{Entry, Time, refuse};
use crate::unpack::attributes::magic_path;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, Stat};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

impl Unpacker<'_> {
    /// Copies a file of the layers below into this one, under its own name; `None` where there is none, or where this
    /// layer hides it.
    pub(super) fn copy_up<'p>(&mut self, place: &Place<'p>, entry: &Entry) -> Result<Option<Spot<'p>>> {
        self.result.depends_on_lower = true;
        let parent = PathBuf::from(OsStr::from_bytes(&place.parents.join(&b'/')));
        let lower = self.lower()?;
        if lower.is_empty() {
            return Ok(None);
        }
        let resolved = match lower.resolve(&parent) {
            // It leads through a file, or round in a circle.
            Err(Error::Merged { .. }) => return Ok(None),
            result => result?,
        };
        let Some(Found::Directory(directory)) = resolved.found else {
            return Ok(None);
        };
        let Some(found) = directory.entry(OsStr::from_bytes(place.name))? else {
            return Ok(None);
        };
        let Found::Other { parent, name, status } = found else {
            return refuse(&entry.path, "is a hard link to a directory");
        };
        let real = resolved.path.as_os_str().as_bytes();
        let names: Vec<&[u8]> = real
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
            .collect();
        let mut path = names.join(&b'/');
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(place.name);
        if self.directories.hides(&path) {
            return Ok(None);
        }
        // Where it has to go may be taken: by a file of this layer in place of a directory, say.
        let target = Place {
            parents: names,
            name: place.name,
        };
        let made = self.made(&target.parents, &entry.path)?;
        let spot = Spot {
            parent: self.inside.directory(&made).on("open", &shown(&made))?,
            name: OsStr::from_bytes(place.name),
            path: if made.is_empty() {
                place.name.to_vec()
            } else {
                [&made, &b"/"[..], place.name].concat()
            },
        };
        let meta = meta_of_name(&parent, &name, &status)?;
        self.copy(&parent, &name, &status, &meta, &spot)?;
        Ok(Some(spot))
    }

    /// Makes an independent copy of a file of this layer, where another link can't be made.
    pub(super) fn copy_file(&mut self, from: &Spot<'_>, to: &Spot<'_>) -> Result<()> {
        let status = rustix::fs::statat(&from.parent, from.name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
            .on("look at", &from.shown())?;
        let meta = meta_of_name(&from.parent, from.name, &status)?;
        self.copy(&from.parent, from.name, &status, &meta, to)
    }

    /// Copies anything but a directory, with all metadata.
    fn copy(&mut self, parent: &OwnedFd, name: &OsStr, status: &Stat, meta: &Meta, to: &Spot<'_>) -> Result<()> {
        let kind = FileType::from_raw_mode(status.st_mode);
        match kind {
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let from = rustix::fs::openat(parent, name, flags, Mode::empty()).on("open", &to.shown())?;
                let file = self.create(to, meta.mode)?;
                crate::copy::contents(&from, &file).on("copy", &to.shown())?;
                return self.dress(file.as_fd(), &to.path, meta, None);
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(parent, name, Vec::new()).on("read the link", &to.shown())?;
                self.replacing(to, || rustix::fs::symlinkat(&target, &to.parent, to.name))?;
                return self.dress_unopened(to, meta, None);
            }
            _ => {}
        }
        let mode = Mode::from_raw_mode(meta.mode & 0o777);
        self.replacing(to, || {
            rustix::fs::mknodat(&to.parent, to.name, kind, mode, status.st_rdev)
        })?;
        self.dress_unopened(to, meta, Some(meta.mode & 0o777 & !self.fresh.umask))
    }
}

/// The directory at `path` in the layers below, no symlink followed: the archive says that these are directories.
pub(crate) fn directory_at(lower: &LayerStack, path: &[u8]) -> Result<Option<MergedDirectory>> {
    let mut current = lower.root()?;
    for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        match current.entry(OsStr::from_bytes(name))? {
            Some(Found::Directory(next)) => current = next,
            _ => return Ok(None),
        }
    }
    Ok(Some(current))
}

/// All metadata of an open directory of a layer (which may be O_PATH).
pub(super) fn meta_of_directory(directory: &OwnedFd) -> Result<Meta> {
    let magic = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    let status = rustix::fs::fstat(directory).on("look at", &magic)?;
    let xattrs = xattrs(&magic, true)?;
    Ok(meta(&status, xattrs))
}

/// All metadata of a name in a directory of a layer.
fn meta_of_name(parent: impl AsFd, name: &OsStr, status: &Stat) -> Result<Meta> {
    let xattrs = xattrs(&magic_path(parent, name), false)?;
    Ok(meta(status, xattrs))
}

fn meta(status: &Stat, xattrs: Vec<(Vec<u8>, Vec<u8>)>) -> Meta {
    Meta {
        mode: status.st_mode & 0o7777,
        uid: status.st_uid,
        gid: status.st_gid,
        modified: Time {
            seconds: status.st_mtime,
            nanoseconds: u32::try_from(status.st_mtime_nsec).unwrap_or_default(),
        },
        xattrs,
    }
}

/// All attributes but overlayfs's own.
fn xattrs(path: &Path, follow: bool) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let all = crate::xattrs::all(path, follow).on("read the attributes of", path)?;
    let is_ours = |name: &[u8]| {
        crate::marks::PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix.as_bytes()))
    };
    Ok(all.into_iter().filter(|(name, _)| !is_ours(name)).collect())
}
