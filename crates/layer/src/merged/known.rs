//! What was found in a stack of layers, for whoever puts one more on top and asks again.
//!
//! Layers don't change: what a name was below stays right, and only the layers above need to be asked. So a build of
//! thousands of steps doesn't ask thousands of layers in each of them.

use super::{Found, LookUp, Part};
use crate::error::{Error, IoExt, Result};
use crate::marks::{is_opaque_at, is_whiteout, status};
use rustix::fd::OwnedFd;
use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So few layers are asked faster than remembered: each RUN looks up eight names in the root and in /etc, in every layer.
pub(super) const FEW: usize = 4;

/// As many answers as are kept, and names.
const MOST: usize = 1 << 16;

/// A directory with more names in one layer isn't listed: the layer is asked for each name.
const LARGE: usize = 4096;

/// Answers about layers, of which more and more are put on each other. A clone knows nothing yet: something else may be put
/// on top of what it is for.
#[derive(Debug, Default)]
pub struct KnownLayers(Arc<Mutex<Known>>);

impl Clone for KnownLayers {
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[derive(Debug, Default)]
struct Known {
    /// Of the layers, base first.
    directories: Vec<PathBuf>,
    /// By path from the root, no slash in front.
    answers: HashMap<Vec<u8>, Answer>,
    /// By path of a directory.
    listings: HashMap<Vec<u8>, Listing>,
    /// How many names these have.
    names: usize,
}

/// Which layers have which names in a directory, as far as they were asked.
#[derive(Debug, Default)]
struct Listing {
    /// As of an [`Answer`].
    asked: usize,
    lowest: usize,
    /// Name → layers, base first.
    names: HashMap<Vec<u8>, Vec<usize>>,
    /// Layers that have too many names to keep.
    large: Vec<usize>,
}

/// What is at a path, as far as some of the layers go.
#[derive(Debug, Default)]
struct Answer {
    /// The layers below this number were asked.
    asked: usize,
    /// The lowest layer that the directory around it is merged from.
    lowest: usize,
    what: What,
    hides: bool,
}

/// What is at a path. Layers are numbered from the base.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum What {
    #[default]
    Nothing,
    /// No directory, in this layer.
    Other(usize),
    /// A directory, merged from these layers, base first.
    Directory(Vec<usize>),
}

/// The part of a merged directory that lower layers have, which aren't opened but for the topmost.
#[derive(Debug, Clone)]
pub(super) struct Lower {
    /// In the topmost layer that has it.
    pub(super) top: Part,
    known: Arc<Mutex<Known>>,
    /// From the root, no slash in front.
    path: Vec<u8>,
    /// Base first.
    layers: Vec<usize>,
    /// How many layers the stack has.
    count: usize,
}

impl KnownLayers {
    /// The root directory of these layers; `None` where it is better to ask them.
    pub(super) fn root(&self, directories: &[PathBuf]) -> Result<Option<Lower>> {
        let mut known = lock(&self.0);
        if directories.len() < FEW || !directories.starts_with(&known.directories) {
            return Ok(None);
        }
        let Some(new) = directories.get(known.directories.len()..) else {
            return Ok(None);
        };
        known.directories.extend_from_slice(new);
        let layers: Vec<usize> = (0..directories.len()).collect();
        Ok(Some(Lower {
            top: known.part(directories.len() - 1, b"")?,
            known: Arc::clone(&self.0),
            path: Vec::new(),
            layers,
            count: directories.len(),
        }))
    }
}

impl Lower {
    /// What `name` is in it, and whether layers below have no say there.
    pub(super) fn look_up(&self, name: &OsStr) -> Result<(What, bool)> {
        let path = self.join(name);
        let mut known = lock(&self.known);
        let having = known.having(self, name)?;
        let Known {
            directories, answers, ..
        } = &mut *known;
        if answers.len() >= MOST {
            answers.clear();
        }
        let below = Path::new(OsStr::from_bytes(&path)).to_owned();
        let answer = answers.entry(path).or_default();
        let lowest = self.lowest();
        if answer.lowest != lowest {
            // The directory around it was deleted, or hidden, and made again.
            *answer = Answer {
                lowest,
                ..Answer::default()
            };
        }
        let new = having.partition_point(|layer| *layer < answer.asked);
        for &layer in having.get(new..).unwrap_or_default() {
            if let Some(directory) = directories.get(layer) {
                answer.add(layer, &directory.join(&below))?;
            }
        }
        answer.asked = self.count;
        Ok((answer.what.clone(), answer.hides))
    }

    fn lowest(&self) -> usize {
        self.layers.first().copied().unwrap_or_default()
    }

    /// The directory `name` in it, which is merged from these layers.
    pub(super) fn directory(&self, name: &OsStr, layers: Vec<usize>) -> Result<Option<Self>> {
        let Some(&top) = layers.last() else { return Ok(None) };
        let path = self.join(name);
        Ok(Some(Self {
            top: lock(&self.known).part(top, &path)?,
            known: Arc::clone(&self.known),
            path,
            layers,
            count: self.count,
        }))
    }

    /// What `name` is, which is no directory, in one of its layers.
    pub(super) fn other(&self, layer: usize, name: &OsStr) -> Result<LookUp> {
        let parent = self.open(layer)?.directory;
        let Some(status) = status(&parent, name).on("look up", Path::new(name))? else {
            return Err(Error::Merged {
                path: Path::new(OsStr::from_bytes(&self.path)).join(name),
                reason: "the file is gone; the layers are changed by somebody",
            });
        };
        let found = Found::Other {
            parent,
            name: name.to_owned(),
            status: Box::new(status),
        };
        Ok(LookUp {
            found: Some((found, layer)),
            hides: true,
        })
    }

    /// Opens this directory in each of its layers, topmost first.
    pub(super) fn parts(&self) -> impl Iterator<Item = Result<Part>> + '_ {
        self.layers.iter().rev().map(|&layer| self.open(layer))
    }

    /// How many layers the stack has.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    fn open(&self, layer: usize) -> Result<Part> {
        lock(&self.known).part(layer, &self.path)
    }

    fn join(&self, name: &OsStr) -> Vec<u8> {
        let mut path = self.path.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend(name.as_bytes());
        path
    }
}

impl Known {
    /// The layers that may have `name` in a directory, base first.
    fn having(&mut self, directory: &Lower, name: &OsStr) -> Result<Vec<usize>> {
        let mut listing = self.listings.remove(&directory.path).unwrap_or_default();
        let lowest = directory.lowest();
        if listing.lowest != lowest {
            self.names -= listing.names.len();
            listing = Listing {
                lowest,
                ..Listing::default()
            };
        }
        let before = listing.names.len();
        let new = directory.layers.partition_point(|layer| *layer < listing.asked);
        for &layer in directory.layers.get(new..).unwrap_or_default() {
            let room = MOST.saturating_sub(self.names + listing.names.len());
            let fd = self.open(layer, &directory.path, OFlags::RDONLY)?;
            listing.add(layer, &fd, room)?;
        }
        listing.asked = directory.count;
        self.names += listing.names.len() - before;
        let mut having = listing.names.get(name.as_bytes()).cloned().unwrap_or_default();
        if !listing.large.is_empty() {
            having.extend(&listing.large);
            having.sort_unstable();
        }
        self.listings.insert(directory.path.clone(), listing);
        Ok(having)
    }

    /// Opens a directory in one layer for lookups.
    fn part(&self, layer: usize, path: &[u8]) -> Result<Part> {
        Ok(Part {
            directory: Arc::new(self.open(layer, path, OFlags::PATH)?),
            layer,
        })
    }

    /// Opens a directory in one layer, reached without symlinks.
    fn open(&self, layer: usize, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        let root = self.directories.get(layer).map_or(Path::new(""), PathBuf::as_path);
        let flags = flags | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if path.is_empty() {
            return rustix::fs::open(root, flags, Mode::empty()).on("open", root);
        }
        let top = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = rustix::fs::open(root, top, Mode::empty()).on("open", root)?;
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        openat2(&top, path, flags, Mode::empty(), inside).on("open", &root.join(OsStr::from_bytes(path)))
    }
}

impl Listing {
    /// Adds what a directory has in one layer more, which lies above those listed; or the layer, where it has more names than
    /// `room`, or very many.
    fn add(&mut self, layer: usize, directory: &OwnedFd, room: usize) -> Result<()> {
        let path = Path::new(".");
        let mut names = Vec::new();
        for entry in Dir::read_from(directory).on("list", path)? {
            let name = entry.on("list", path)?.file_name().to_bytes().to_vec();
            if names.len() >= room.min(LARGE) {
                self.large.push(layer);
                return Ok(());
            }
            names.push(name);
        }
        for name in names {
            self.names.entry(name).or_default().push(layer);
        }
        Ok(())
    }
}

impl Answer {
    /// Asks one layer more, which lies above those asked before: `path` is the place there. The directories on the way were found
    /// to be directories in that very layer, which nobody changes.
    fn add(&mut self, layer: usize, path: &Path) -> Result<()> {
        let stat = match rustix::fs::lstat(path) {
            Ok(stat) => stat,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(errno) => return Err(errno).on("look up", path),
        };
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if !is_directory {
            self.what = if is_whiteout(&stat) {
                What::Nothing
            } else {
                What::Other(layer)
            };
            self.hides = true;
        } else if is_opaque_at(path)? {
            self.what = What::Directory(vec![layer]);
            self.hides = true;
        } else if let What::Directory(layers) = &mut self.what {
            layers.push(layer);
        } else {
            // A file below it is hidden, and hides what is further below.
            self.what = What::Directory(vec![layer]);
        }
        Ok(())
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    // Every change is whole when the next thing can fail.
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
