//! What is written, where it was listed before: by the list, with what the layer of an earlier COPY has.

use super::super::earlier::{Again, below_root};
use super::super::names::os;
use super::super::selection::Selection;
use super::super::tree;
use super::{From, Writer};
use crate::copy::{self, Choice, ListedTree, Place};
use crate::error::{IoExt, Result};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, FileType};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use wiac_sys::root::FileKind;

impl Writer<'_> {
    /// What is in a directory, or was when it was listed.
    pub(super) fn names(&self, from: &From<'_>, place: &Path) -> Result<Vec<OsString>> {
        let Some(again) = self.again else {
            return tree::names(from.directory, place);
        };
        let listed = again.directory(from.relative);
        let names = listed.into_iter().flat_map(|listed| {
            let name = |entry| os(listed.name(entry)).to_owned();
            listed.entries.iter().map(name)
        });
        Ok(names.collect())
    }

    /// What an entry is, and what becomes of it.
    pub(super) fn choose(
        &self,
        selection: &Selection<'_>,
        from: &From<'_>,
        relative: &Path,
        name: &OsStr,
    ) -> Result<(FileKind, Choice)> {
        if !self.goes_on() {
            return Ok((FileKind::Special, Choice::Exclude));
        }
        if let Some(again) = self.again {
            let entry = again.directory(from.relative).and_then(|listed| listed.find(name));
            return Ok(entry.map_or((FileKind::Special, Choice::Exclude), |entry| {
                (entry.kind(), entry.choice)
            }));
        }
        let place = selection.source.place.join(selection.base.join(relative));
        let kind = kind_of(from.directory, name, &place)?;
        Ok((kind, selection.choose(relative, kind)))
    }

    /// Copies a listed entry to where nothing is: what the earlier layer has comes from there.
    pub(super) fn put_listed(
        &mut self,
        again: &Again<'_>,
        (from_place, from): (&Place<'_>, &From<'_>),
        relative: &Path,
        to: &Place<'_>,
    ) -> Result<()> {
        let Some(listed) = again.directory(from.relative) else {
            return Ok(());
        };
        let entry = listed.find(from_place.name);
        if entry.is_some_and(|entry| entry.kind() == FileKind::Directory) {
            let tree = ListedTree {
                directories: again.tree(relative),
                source: from.top,
                earlier: again.layer.diff.as_fd(),
                earlier_path: below_root(to.shown),
            };
            return Ok(self.copier.copy_listed(tree, from_place.shown, to)?);
        }
        let parent = to.shown.parent().unwrap_or(Path::new("/"));
        if let (Some(entry), Some(earlier)) = (entry.filter(|entry| entry.is_known), again.open(parent))
            && self.copier.link_listed(listed, entry, earlier.as_fd(), to.dir)
        {
            return Ok(());
        }
        Ok(self.copier.copy(from_place, to)?)
    }
}

fn kind_of(directory: BorrowedFd<'_>, name: &OsStr, path: &Path) -> Result<FileKind> {
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).on("look at", path)?;
    Ok(copy::kind(FileType::from_raw_mode(stat.st_mode)))
}
