//! The merged view of a stack of layers, without mounting it: what a container on these layers would see.
//!
//! Lookups go component by component through descriptors and never follow a symlink by the kernel, so that a layer
//! written by a stranger can't lead out of the stack.

mod descent;
mod known;
mod walk;

use crate::error::{IoExt, Result};
use crate::marks::{is_opaque, is_whiteout, status};
use crate::owners::{Intended, OwnerRecord};
pub(crate) use descent::Descent;
pub use known::KnownLayers;
use known::{Lower, What};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Dir, FileType, Mode, OFlags, Stat};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use walk::Walk;

/// Directories of layers, base first.
#[derive(Debug, Default)]
pub struct LayerStack {
    directories: Vec<PathBuf>,
    /// For each layer, base first, what couldn't be put on disk as it was meant; may be shorter.
    owners: Vec<Option<Arc<OwnerRecord>>>,
    /// The directories opened, topmost first, from the first lookup on.
    roots: OnceLock<Vec<Part>>,
    /// What is known of the lowest layers.
    known: Option<Lower>,
}

/// A clone opens the directories anew.
impl Clone for LayerStack {
    fn clone(&self) -> Self {
        Self {
            known: self.known.clone(),
            ..Self::new(self.directories.clone()).with_owners(self.owners.clone())
        }
    }
}

/// One directory of the merged tree: the directories it is merged from, topmost first.
#[derive(Debug, Clone)]
pub struct MergedDirectory {
    parts: Vec<Part>,
    /// What layers below these have of it, of which more is known.
    lower: Option<Lower>,
}

/// A directory in one layer.
#[derive(Debug, Clone)]
struct Part {
    directory: Arc<OwnedFd>,
    /// The number of the layer, counted from the base.
    layer: usize,
}

/// What a lookup found.
#[derive(Debug)]
pub enum Found {
    /// A directory, merged from one or more layers.
    Directory(MergedDirectory),
    /// Anything else: its directory in the topmost layer that has it, its name there, its status.
    Other {
        /// The directory in one layer.
        parent: Arc<OwnedFd>,
        /// The name in it.
        name: OsString,
        /// Its status.
        status: Box<Stat>,
    },
}

/// Where a path leads: what is there, under which path without symlinks.
#[derive(Debug)]
pub struct Resolved {
    /// The path from the root, without symlinks; components past the first missing one as they were given.
    pub path: PathBuf,
    /// What is there; `None` where nothing is.
    pub found: Option<Found>,
    /// The deepest directory that exists on the way, with the number of components of `path` that lead to it.
    pub deepest: (MergedDirectory, usize),
}

impl LayerStack {
    /// The stack of these directories, base first.
    pub fn new(directories: Vec<PathBuf>) -> Self {
        Self {
            directories,
            owners: Vec::new(),
            roots: OnceLock::new(),
            known: None,
        }
    }

    /// The same, which remembers in `known` what it finds, and finds there what was found before.
    ///
    /// # Errors
    /// The topmost layer can't be opened.
    pub fn remembering(mut self, known: &KnownLayers) -> Result<Self> {
        self.known = known.root(&self.directories)?;
        Ok(self)
    }

    /// The same with what couldn't be put on disk as it was meant, for each layer, base first.
    #[must_use]
    pub fn with_owners(mut self, owners: Vec<Option<Arc<OwnerRecord>>>) -> Self {
        self.owners = owners;
        self
    }

    /// What was meant for `path` (from the root, no slash in front, no symlinks) in one layer.
    pub(crate) fn intended(&self, layer: usize, path: &[u8]) -> Option<&Intended> {
        self.owners.get(layer)?.as_ref()?.get(path)
    }

    /// The directories, base first.
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// The same with one more directory on top.
    #[must_use]
    pub fn with_upper(&self, upper: &Path) -> Self {
        let mut directories = self.directories.clone();
        directories.push(upper.to_owned());
        Self {
            known: self.known.clone(),
            ..Self::new(directories).with_owners(self.owners.clone())
        }
    }

    /// Whether there is no layer at all.
    pub fn is_empty(&self) -> bool {
        self.directories.is_empty()
    }

    /// The root directory.
    pub fn root(&self) -> Result<MergedDirectory> {
        let lower = self.known.clone();
        if let Some(roots) = self.roots.get() {
            let parts = roots.clone();
            return Ok(MergedDirectory { parts, lower });
        }
        let known = lower.as_ref().map_or(0, Lower::count);
        let mut parts = Vec::with_capacity(self.directories.len() - known);
        for (layer, path) in self.directories.iter().enumerate().skip(known).rev() {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let directory = Arc::new(rustix::fs::open(path, flags, Mode::empty()).on("open", path)?);
            parts.push(Part { directory, layer });
        }
        Ok(MergedDirectory {
            parts: self.roots.get_or_init(|| parts).clone(),
            lower,
        })
    }

    /// Follows `path`, symlinks included, from the root; ".." never leads above it.
    ///
    /// # Errors
    /// Too many symlinks, a component that is no directory, or what the disk says.
    pub fn resolve(&self, path: &Path) -> Result<Resolved> {
        Walk::new(self, path)?.run()
    }

    /// The text of a small file such as /etc/passwd; `None` where it doesn't exist or isn't a regular file.
    pub fn read_text(&self, path: &Path) -> Result<Option<String>> {
        /// Nobody's user database is larger.
        const LIMIT: u64 = 16 << 20;
        let Some(Found::Other { parent, name, status }) = self.resolve(path)?.found else {
            return Ok(None);
        };
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name.as_os_str(), flags, Mode::empty()).on("open", path)?;
        let mut bytes = Vec::new();
        std::fs::File::from(file)
            .take(LIMIT)
            .read_to_end(&mut bytes)
            .on("read", path)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

impl MergedDirectory {
    /// The directory in the topmost layer that has it: the one whose owner, mode and times count.
    pub fn topmost(&self) -> Option<&OwnedFd> {
        self.topmost_and_layer().map(|(directory, _)| directory)
    }

    /// The same with the number of its layer, counted from the base.
    pub fn topmost_and_layer(&self) -> Option<(&OwnedFd, usize)> {
        let top = self.parts.first().or(self.lower.as_ref().map(|lower| &lower.top));
        top.map(|part| (part.directory.as_ref(), part.layer))
    }

    /// All names in it, sorted.
    pub fn names(&self) -> Result<Vec<OsString>> {
        Ok(self.names_and_deleted()?.0)
    }

    /// All names in it, and those that its layers only delete; both sorted.
    pub(crate) fn names_and_deleted(&self) -> Result<(Vec<OsString>, Vec<OsString>)> {
        let (mut names, mut deleted) = (BTreeSet::new(), BTreeSet::new());
        let lower = self.lower.iter().flat_map(Lower::parts);
        for part in self.parts.iter().cloned().map(Ok).chain(lower) {
            let part = part?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let directory =
                rustix::fs::openat(&part.directory, ".", flags, Mode::empty()).on("open", Path::new("."))?;
            for entry in Dir::new(directory).on("list", Path::new("."))? {
                let entry = entry.on("list", Path::new("."))?;
                let name = OsStr::from_bytes(entry.file_name().to_bytes());
                if name == "." || name == ".." || deleted.contains(name) || names.contains(name) {
                    continue;
                }
                match status(&part.directory, name).on("look up", Path::new(name))? {
                    Some(stat) if is_whiteout(&stat) => deleted.insert(name.to_owned()),
                    Some(_) => names.insert(name.to_owned()),
                    None => false,
                };
            }
        }
        Ok((names.into_iter().collect(), deleted.into_iter().collect()))
    }

    /// Looks `name` up, without following it if it is a symlink.
    pub fn entry(&self, name: &OsStr) -> Result<Option<Found>> {
        Ok(self.entry_and_layer(name)?.map(|(found, _)| found))
    }

    /// The same with the number of the topmost layer that has it, counted from the base.
    pub fn entry_and_layer(&self, name: &OsStr) -> Result<Option<(Found, usize)>> {
        Ok(self.find(name, false)?.found)
    }

    /// The same with what it does to layers below these.
    pub(crate) fn look_up(&self, name: &OsStr) -> Result<LookUp> {
        self.find(name, true)
    }

    /// Looks `name` up. `below_counts`: whether somebody asks what it does to layers below these. Else the lowest layer isn't
    /// asked whether its directory is opaque, which costs more than the rest of most lookups.
    fn find(&self, name: &OsStr, below_counts: bool) -> Result<LookUp> {
        let mut merged: Vec<Part> = Vec::new();
        let mut hides = false;
        let lowest = self.parts.len().saturating_sub(1);
        for (position, part) in self.parts.iter().enumerate() {
            let Some(stat) = status(&part.directory, name).on("look up", Path::new(name))? else {
                continue;
            };
            let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            if !is_directory && merged.is_empty() && !is_whiteout(&stat) {
                let found = Found::Other {
                    parent: Arc::clone(&part.directory),
                    name: name.to_owned(),
                    status: Box::new(stat),
                };
                return Ok(LookUp {
                    found: Some((found, part.layer)),
                    hides: true,
                });
            }
            if !is_directory {
                // A whiteout; or a file that is hidden by a directory of a higher layer, and hides those below.
                hides = true;
                break;
            }
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let directory =
                rustix::fs::openat(&part.directory, name, flags, Mode::empty()).on("open", Path::new(name))?;
            let something_below = below_counts || position < lowest || self.lower.is_some();
            hides = something_below && is_opaque(directory.as_fd())?;
            merged.push(Part {
                directory: Arc::new(directory),
                layer: part.layer,
            });
            if hides {
                break;
            }
        }
        let mut lower = None;
        if let Some(below) = self.lower.as_ref().filter(|_| !hides) {
            let what;
            (what, hides) = below.look_up(name)?;
            match what {
                What::Other(layer) if merged.is_empty() => return below.other(layer, name),
                What::Nothing | What::Other(_) => {}
                What::Directory(layers) => lower = below.directory(name, layers)?,
            }
        }
        let directory = Self { parts: merged, lower };
        let layer = directory.topmost_and_layer().map(|(_, layer)| layer);
        Ok(LookUp {
            found: layer.map(|layer| (Found::Directory(directory), layer)),
            hides,
        })
    }
}

/// The directory at `path` (from the root, no slash in front), no symlink followed.
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

/// What a name is in a merged directory.
pub(crate) struct LookUp {
    /// What is there, with the number of its topmost layer.
    pub found: Option<(Found, usize)>,
    /// Layers below these have no say at this name.
    pub hides: bool,
}

#[cfg(test)]
mod tests;
