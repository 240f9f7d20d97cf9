//! What is taken from the layers below.

use super::Unpacker;
use super::path::Place;
use crate::error::{Error, IoExt, Result};
use crate::merged::Found;
use crate::meta::{Meta, meta_of_name};
use crate::path::join;
use crate::spot::Spot;
use crate::tar::{Entry, refuse};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, Stat};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

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
        let Some((found, layer)) = directory.entry_and_layer(OsStr::from_bytes(place.name))? else {
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
        let path = join(&names.join(&b'/'), place.name);
        let intended = lower.intended(layer, &path).cloned();
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
            parent: self.inside.directory(&made).at("open", &made)?,
            name: OsStr::from_bytes(place.name),
            path: join(&made, place.name),
        };
        let mut meta = meta_of_name(&parent, &name, &status)?;
        if let Some(intended) = &intended {
            meta.correct(intended);
        }
        self.copy(&parent, &name, &status, &meta, &spot)?;
        if let Some(device) = intended.and_then(|intended| intended.device) {
            self.dresser
                .intend(&spot.path, &meta, |intended| intended.device = Some(device));
        }
        Ok(Some(spot))
    }

    /// Makes an independent copy of a file of this layer, where another link can't be made.
    pub(super) fn copy_file(&mut self, from: &Spot<'_>, to: &Spot<'_>) -> Result<()> {
        let status = rustix::fs::statat(&from.parent, from.name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
            .at("look at", &from.path)?;
        let meta = meta_of_name(&from.parent, from.name, &status)?;
        self.copy(&from.parent, from.name, &status, &meta, to)
    }

    /// Copies anything but a directory, with all metadata.
    fn copy(&mut self, parent: &OwnedFd, name: &OsStr, status: &Stat, meta: &Meta, to: &Spot<'_>) -> Result<()> {
        let kind = FileType::from_raw_mode(status.st_mode);
        match kind {
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let from = rustix::fs::openat(parent, name, flags, Mode::empty()).at("open", &to.path)?;
                let file = self.create(to, meta.mode)?;
                crate::copy::contents(&from, &file).at("copy", &to.path)?;
                let length = u64::try_from(status.st_size).unwrap_or_default();
                self.result.size = self.result.size.saturating_add(length);
                return self.dresser.dress(file.as_fd(), &to.path, meta, None);
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(parent, name, Vec::new()).at("read the link", &to.path)?;
                self.replacing(to, || rustix::fs::symlinkat(&target, &to.parent, to.name))?;
                return self.dresser.dress_unopened(to, meta, None);
            }
            _ => {}
        }
        let mode = Mode::from_raw_mode(meta.mode & 0o777);
        self.replacing(to, || {
            rustix::fs::mknodat(&to.parent, to.name, kind, mode, status.st_rdev)
        })?;
        self.dresser
            .dress_unopened(to, meta, Some(self.dresser.made_with(meta.mode)))
    }
}
