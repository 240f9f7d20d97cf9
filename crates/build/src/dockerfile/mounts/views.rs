//! Bind mounts: files of a build context, a stage or an image, as they are or with changes that are thrown away.

use super::super::selection::Selection;
use super::super::transfer::Origin;
use super::super::tree::{self, Picked};
use super::super::worker::Worker;
use super::own_namespace;
use super::{Ready, pick, word};
use crate::context::Source;
use crate::copy::Choice;
use crate::error::{Error, IoExt, Result};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode};
use std::path::{Path, PathBuf};
use wiac_dockerfile::ignore::IgnorePatterns;
use wiac_layer::Form;
use wiac_sys::root::{FileKind, Metadata};

impl Worker<'_, '_> {
    /// Shows `source` of `from` at `target`.
    pub(super) fn bind(
        &mut self,
        ready: &mut Ready,
        (from, source): (Option<&str>, &str),
        read_only: bool,
        target: &Path,
        room: &Path,
    ) -> Result<()> {
        std::fs::create_dir_all(room).on("create", room)?;
        let path = self.view(ready, from, source, room)?;
        if read_only {
            ready.bind(&path, target, true);
            return Ok(());
        }
        let changed = room.join("changed");
        if path.is_dir() {
            let directories = ["upper", "work"].map(|name| room.join(name));
            for directory in &directories {
                std::fs::create_dir(directory).on("create", directory)?;
            }
            crate::directory::copy_metadata_at(&path, &directories[0])?;
            let [upper, work] = [
                crate::directory::open(&directories[0])?,
                crate::directory::open(&directories[1])?,
            ];
            let lower = [crate::directory::open(&path)?];
            let is_user = self.shared.store.form() == Form::User;
            ready.attached.push(own_namespace::overlay(
                &lower,
                Some((&upper, &work)),
                is_user,
                &changed,
            )?);
        } else {
            std::fs::copy(&path, &changed).on("copy", &path)?;
        }
        ready.bind(&changed, target, false);
        Ok(())
    }

    /// Where `source` of `from` can be seen.
    pub(super) fn view(&mut self, ready: &mut Ready, from: Option<&str>, source: &str, room: &Path) -> Result<PathBuf> {
        match self.origin(word(from).as_ref())? {
            Origin::Local(name) => {
                let local = self.local(name.as_deref())?;
                let picked = pick(local, source)?;
                let one = picked.first().ok_or_else(|| Error::wrong("nothing to mount"))?;
                let is_user = self.shared.store.form() == Form::User;
                without_ignored(ready, local, one, is_user, room)
            }
            Origin::Layers { layers, description } => {
                if layers.is_empty() {
                    return Ok(room.to_owned());
                }
                let directories = self.shared.directories(&layers)?;
                let form = self.shared.store.form();
                let merged = wiac_run::view::open_merged(&directories, form == Form::User)?;
                let copy = merged.try_clone().on("open", Path::new(&description))?;
                let root = wiac_sys::root::Root::from_fd(copy).on("open", Path::new(&description))?;
                let tree = Source::tree(root, PathBuf::from(&description), description);
                let one = tree::pick_literal(&tree, source)?;
                if let [only] = directories.as_slice() {
                    return Ok(only.join(&one.path));
                }
                let place = room.join("view");
                ready.attached.push(own_namespace::attach(&merged, &place)?);
                Ok(place.join(&one.path))
            }
        }
    }
}

/// A directory of a build context without what its ignore file leaves out: the latter is hidden by a layer of
/// whiteouts.
fn without_ignored(ready: &mut Ready, source: &Source, one: &Picked, is_user: bool, room: &Path) -> Result<PathBuf> {
    let path = source.place.join(&one.path);
    if !one.is_directory || source.ignore.is_empty() {
        return Ok(path);
    }
    let exclude = IgnorePatterns::default();
    let selection = one.selection(source, &exclude);
    let mask = room.join("mask");
    std::fs::create_dir(&mask).on("create", &mask)?;
    let directory = tree::open_directory(source, &one.path)?;
    if !hide(&selection, &directory, Path::new(""), &mask)? {
        return Ok(path);
    }
    let lower = [crate::directory::open(&mask)?, crate::directory::open(&path)?];
    let place = room.join("view");
    ready
        .attached
        .push(own_namespace::overlay(&lower, None, is_user, &place)?);
    Ok(place)
}

/// Makes whiteouts in `mask` for what isn't selected below `directory`; `false` where there is nothing to hide.
fn hide(selection: &Selection<'_>, directory: &OwnedFd, relative: &Path, mask: &Path) -> Result<bool> {
    let shown = selection.source.place.join(selection.base).join(relative);
    let mut hides = false;
    for name in tree::names(directory.as_fd(), &shown)? {
        let stat = rustix::fs::statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW).on("look at", &shown)?;
        let kind = Metadata::from(&stat).kind;
        let is_directory = kind == FileKind::Directory;
        let (relative, mask) = (relative.join(&name), mask.join(&name));
        if selection.choose(&relative, kind) == Choice::Exclude {
            rustix::fs::mknodat(CWD, &mask, FileType::CharacterDevice, Mode::empty(), 0).on("create", &mask)?;
            hides = true;
        } else if is_directory {
            std::fs::create_dir(&mask).on("create", &mask)?;
            let below = crate::directory::open_in(directory, &name).on("open", &shown)?;
            let hides_below = hide(selection, &below, &relative, &mask)?;
            if !hides_below {
                std::fs::remove_dir(&mask).on("delete", &mask)?;
            }
            hides |= hides_below;
        }
    }
    if hides {
        crate::directory::copy_metadata_at(&shown, mask)?;
    }
    Ok(hides)
}
