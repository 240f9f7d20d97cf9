//! What has to be remembered of directories until the end of an archive: what they shall look like, and which marks
//! they get.
//!
//! Memory grows with the number of directories (not of files) and of whiteouts, and is bounded by [`Limits::memory`].
//!
//! [`Limits::memory`]: crate::tar::Limits

use crate::error::Result;
use crate::meta::Meta;
use crate::owners::{below, remove_below};
use crate::path::split;
use crate::tar::{Entry, refuse};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What an entry costs beside its path, about.
const OVERHEAD: usize = 160;

/// The directories of the layer so far, by path; sorted, so that those above come first.
pub(super) struct Directories {
    known: BTreeMap<Vec<u8>, Directory>,
    whiteouts: BTreeSet<Vec<u8>>,
    memory: Memory,
}

/// One directory.
#[derive(Debug, Clone, Default)]
pub(super) struct Directory {
    /// The permission bits it was made with, where it was made with any.
    pub made: Option<u32>,
    /// What the archive says; `None` for a directory that it didn't name (yet).
    pub meta: Option<Box<Meta>>,
    /// Has an opaque mark.
    pub opaque: bool,
    /// Has whiteouts in it.
    pub has_whiteouts: bool,
    /// A mark above hides what lower layers have here; known after [`Directories::hide`].
    hidden: bool,
}

struct Memory {
    used: usize,
    most: usize,
}

impl Memory {
    fn charge(&mut self, path: &[u8], bytes: usize) -> Result<()> {
        self.used = self.used.saturating_add(bytes);
        if self.used > self.most {
            let most = self.most;
            return refuse(
                path,
                format!("the archive has too many directories: they take more than {most} bytes"),
            );
        }
        Ok(())
    }
}

impl Directories {
    pub(super) fn new(most: usize) -> Self {
        Self {
            known: BTreeMap::new(),
            whiteouts: BTreeSet::new(),
            memory: Memory { used: 0, most },
        }
    }

    pub(super) fn get(&self, path: &[u8]) -> Option<&Directory> {
        self.known.get(path)
    }

    /// Notes what the archive says about the directory at `path`, which was just `made` with these permissions, or is
    /// there already.
    pub(super) fn name(&mut self, path: &[u8], entry: &Entry, made: Option<u32>) -> Result<()> {
        let meta = Meta::of(entry)?;
        self.memory.charge(&entry.path, path.len() + OVERHEAD + meta.bytes())?;
        let directory = self.known.entry(path.to_vec()).or_default();
        directory.made = made.or(directory.made);
        directory.meta = Some(Box::new(meta));
        Ok(())
    }

    /// Notes a directory that the archive puts something into, and that was just made for that with mode 0700.
    pub(super) fn add_unnamed(&mut self, path: &[u8]) -> Result<()> {
        self.memory.charge(path, path.len() + OVERHEAD)?;
        self.known.entry(path.to_vec()).or_default();
        Ok(())
    }

    /// Notes an opaque mark in a directory that is known.
    pub(super) fn make_opaque(&mut self, path: &[u8]) {
        self.known.entry(path.to_vec()).or_default().opaque = true;
    }

    /// Notes a whiteout in a directory that is known.
    pub(super) fn note_whiteout(&mut self, path: &[u8]) -> Result<()> {
        self.memory.charge(path, path.len() + OVERHEAD)?;
        if let Some((above, _)) = split(path) {
            self.known.entry(above.to_vec()).or_default().has_whiteouts = true;
        }
        self.whiteouts.insert(path.to_vec());
        Ok(())
    }

    /// Whether the archive says that lower layers' `path` is deleted.
    pub(super) fn is_whiteout(&self, path: &[u8]) -> bool {
        self.whiteouts.contains(path)
    }

    /// Forgets the directory at `path` and what was below it. That a whiteout was at `path` itself still holds.
    pub(super) fn remove(&mut self, path: &[u8]) {
        self.known.remove(path);
        remove_below(&mut self.known, path);
        let (first, after) = below(path);
        let gone: Vec<Vec<u8>> = self.whiteouts.range(first..after).cloned().collect();
        for path in gone {
            self.whiteouts.remove(&path);
        }
    }

    /// Whether the archive hides what lower layers have at `path`: by a mark at it or at a directory above.
    pub(super) fn hides(&self, path: &[u8]) -> bool {
        if self.is_whiteout(path) {
            return true;
        }
        let mut ends = path
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(end, _)| &path[..end]);
        let is_opaque = |path: &[u8]| self.get(path).is_some_and(|directory| directory.opaque);
        is_opaque(b"") || ends.any(|above| self.is_whiteout(above) || is_opaque(above))
    }

    /// Works out what the marks hide, for [`Self::take_last`]. Every directory's own directory is known as well, and
    /// comes before it.
    pub(super) fn hide(&mut self) {
        // Directories in which all of the lower layers is hidden.
        let mut hiding: HashSet<&[u8]> = HashSet::new();
        for (path, directory) in &mut self.known {
            let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            let above = !path.is_empty() && hiding.contains(&path[..end]);
            directory.hidden = above || self.whiteouts.contains(path);
            if directory.hidden || directory.opaque {
                hiding.insert(path);
            }
        }
    }

    /// Takes the last one out: what is below a directory comes before it. Its path, itself, and whether lower layers'
    /// directory of this path is hidden.
    pub(super) fn take_last(&mut self) -> Option<(Vec<u8>, Directory, bool)> {
        let (path, directory) = self.known.pop_last()?;
        let hidden = directory.hidden;
        Some((path, directory, hidden))
    }
}
