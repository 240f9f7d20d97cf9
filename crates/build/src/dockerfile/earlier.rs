//! What a COPY made the last time, when other files were in the build context: those that have not changed since are
//! in that layer, and need not be copied again.
//!
//! That a file has not changed is known from the table of file hashes: the state of it that was written when the layer was
//! made has what the kernel said of each file then. One directory is copied, so that each file of the layer comes from one
//! file of the context; which one that is can't have changed.

use super::prepared::Prepared;
use super::stage::Stage;
use super::tree::{Picked, open_parent};
use crate::context::Source;
use crate::copy::Earlier;
use crate::error::Result;
use crate::hashes::HashTable;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Stat, openat2};
use std::cell::RefCell;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use wiac_store::{HeldLayer, Store};

/// The layer of an earlier COPY.
pub(super) struct EarlierLayer<'e> {
    diff: OwnedFd,
    table: &'e HashTable,
    /// The directory of it that was asked for last.
    last: RefCell<Option<(PathBuf, Rc<OwnedFd>)>>,
    /// Nobody deletes it meanwhile.
    _held: HeldLayer,
}

/// What it has of one entry that is copied.
pub(super) struct Below<'e> {
    layer: &'e EarlierLayer<'e>,
    /// Where the entry is in the build context.
    source: PathBuf,
    /// Where it goes.
    target: PathBuf,
}

/// What is known of a COPY before its files are looked at.
pub(super) enum Before<'e> {
    /// It is none whose copies are remembered.
    NotAsked,
    /// Nothing of it is remembered: it was never made here.
    Never,
    /// It was made, of other files.
    Once(Option<EarlierLayer<'e>>),
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
pub(super) fn find<'e>(store: &Store, key: &str, source: &'e Source) -> Result<Before<'e>> {
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
    Ok(Before::Once(Some(EarlierLayer {
        diff,
        table,
        last: RefCell::default(),
        _held: held,
    })))
}

impl EarlierLayer<'_> {
    /// Its part of the entry `source` of the build context, which goes to `target`.
    pub(super) fn below(&self, source: &Path, target: &Path) -> Below<'_> {
        Below {
            layer: self,
            source: source.to_owned(),
            target: target.strip_prefix("/").unwrap_or(target).to_owned(),
        }
    }

    /// Opens a directory of it, reached without symlinks. The last one stays open: files come one directory after another.
    fn directory(&self, path: &Path) -> Option<Rc<OwnedFd>> {
        let mut last = self.last.borrow_mut();
        if let Some((_, directory)) = last.as_ref().filter(|(known, _)| known == path) {
            return Some(directory.clone());
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let name = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let directory = Rc::new(openat2(&self.diff, name, flags, Mode::empty(), inside).ok()?);
        *last = Some((path.to_owned(), directory.clone()));
        Some(directory)
    }
}

impl Earlier for Below<'_> {
    fn copy_of(&self, below: &Path, stat: &Stat) -> Option<(Rc<OwnedFd>, CString)> {
        let of = |top: &Path| {
            if below.as_os_str().is_empty() {
                top.to_owned()
            } else {
                top.join(below)
            }
        };
        if !self.layer.table.had(of(&self.source).as_os_str().as_bytes(), stat) {
            return None;
        }
        let target = of(&self.target);
        let name = CString::new(target.file_name()?.as_bytes()).ok()?;
        Some((self.layer.directory(target.parent()?)?, name))
    }
}
