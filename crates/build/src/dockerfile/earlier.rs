//! What a COPY made the last time, when other files were in the build context: those that have not changed since are
//! in that layer, and need not be copied again. The copy goes by the list that was made while the files were hashed, so that the
//! layer has what its key says, whatever becomes of the build context meanwhile.
//!
//! That a file has not changed is known from the table of file hashes: the state of it that was written when the layer was
//! made has what the kernel said of each file then. One directory is copied, so that each file of the layer comes from one
//! file of the context; which one that is can't have changed.

use super::prepared::Prepared;
use super::stage::Stage;
use super::tree::{Picked, open_directory, open_parent};
use crate::context::Source;
use crate::copy::{Choice, ListedDirectory, ListedEntry};
use crate::error::Result;
use crate::hashes::same_file;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, openat2};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use wiac_store::{HeldLayer, Store};

/// The layer of an earlier COPY.
pub(super) struct EarlierLayer {
    pub(super) diff: OwnedFd,
    /// Nobody deletes it meanwhile.
    _held: HeldLayer,
}

/// What it has of the files that are copied now.
pub(super) struct Again<'a> {
    pub(super) layer: &'a EarlierLayer,
    /// The directory that is copied, as its key says: in the order of the paths.
    pub(super) list: &'a [ListedDirectory],
}

/// What is known of a COPY before its files are looked at.
pub(super) enum Before {
    /// It is none whose copies are remembered.
    NotAsked,
    /// Nothing of it is remembered: it was never made here.
    Never,
    /// It was made, of other files.
    Once(Option<EarlierLayer>),
}

/// The key under which a COPY of one directory is remembered: all that makes it the same step, but for its files.
pub(super) fn key(stage: &Stage, prepared: &Prepared, source: &Source, picked: &[Picked]) -> Result<Option<String>> {
    let [one] = picked else { return Ok(None) };
    let is_asked = source.hashes.is_some() && !prepared.unpack && prepared.inline.is_empty();
    if !is_asked || !is_large(source, one)? {
        return Ok(None);
    }
    let (key, ()) = prepared.key(stage, "last copy", |key| {
        key.add(source.place.as_os_str().as_bytes());
        key.add(one.path.as_os_str().as_bytes());
        Ok(())
    })?;
    Ok(Some(key))
}

/// Whether remembering may pay: a directory, or a file that takes a while to read.
fn is_large(source: &Source, one: &Picked) -> Result<bool> {
    const LARGE: i64 = 1 << 20;
    if one.is_directory {
        return Ok(true);
    }
    let parent = open_parent(source, &one.path)?;
    let name = one.path.file_name().unwrap_or_default();
    let stat = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW);
    Ok(stat.is_ok_and(|stat| stat.st_size >= LARGE))
}

/// Looks for what the COPY with this key made the last time.
pub(super) fn find(store: &Store, key: &str, source: &Source) -> Result<Before> {
    let Some(table) = &source.hashes else {
        return Ok(Before::NotAsked);
    };
    let Some((held, state)) = store.last_copy(key)? else {
        return Ok(Before::Never);
    };
    // Of another state it isn't known what the files were when the layer was made.
    if table.state() != Some(state.as_str()) || store.layer_owners(&held.id)?.is_some() {
        return Ok(Before::Once(None));
    }
    let diff = crate::directory::open(&store.layer_diff(&held.id))?;
    Ok(Before::Once(Some(EarlierLayer { diff, _held: held })))
}

impl<'a> Again<'a> {
    /// What is listed of the directory `path`, with all below it; nothing where it isn't listed.
    pub(super) fn tree(&self, path: &Path) -> &'a [ListedDirectory] {
        let start = self.list.partition_point(|listed| listed.path() < path);
        let rest = self.list.get(start..).unwrap_or_default();
        let end = rest.partition_point(|listed| listed.path().starts_with(path));
        rest.get(..end).unwrap_or_default()
    }

    /// What is listed of the directory `path`.
    pub(super) fn directory(&self, path: &Path) -> Option<&'a ListedDirectory> {
        self.tree(path).first()
    }

    /// Opens a directory of the earlier layer by its path in the image, reached without symlinks.
    pub(super) fn open(&self, path: &Path) -> Option<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        openat2(&self.layer.diff, below_root(path), flags, Mode::empty(), inside).ok()
    }
}

/// A path in the image as it is below a layer's directory.
pub(super) fn below_root(path: &Path) -> &Path {
    let below = path.strip_prefix("/").unwrap_or(path);
    if below.as_os_str().is_empty() {
        Path::new(".")
    } else {
        below
    }
}

/// Whether everything that was read is still as its key says: what was linked wasn't read.
pub(super) fn is_unchanged(source: &Source, picked: &Picked, list: &[ListedDirectory]) -> Result<bool> {
    let top = open_directory(source, &picked.path)?;
    for listed in list {
        let mut read = listed
            .entries
            .iter()
            .filter(|entry| entry.choice == Choice::Include && !entry.is_linked())
            .peekable();
        if read.peek().is_none() {
            continue;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let Ok(directory) = openat2(&top, below_root(listed.path()), flags, Mode::empty(), inside) else {
            return Ok(false);
        };
        let is_same = |entry: &ListedEntry| {
            let stat = rustix::fs::statat(&directory, listed.name(entry), AtFlags::SYMLINK_NOFOLLOW);
            stat.is_ok_and(|stat| same_file(&stat) == entry.identity)
        };
        if !read.all(is_same) {
            return Ok(false);
        }
    }
    Ok(true)
}
