//! Files into a layer, as if they were written through the merged tree of the layers below: symlinks on the way are
//! resolved in it. What becomes of directories that are there already is BuildKit's rule (fsutil, copy/copy.go): the
//! destination of a directory's contents keeps owner and mode and gets the source's time; directories below it get all
//! of the source's; those above keep all.

mod listed;

use super::Stop;
use super::earlier::Again;
use super::prepared::Prepared;
use super::selection::Selection;
use super::tree::{self, Picked};
use crate::context::Source;
use crate::copy::{Choice, Copier, ModeRule, Options, Ownership, Place};
use crate::directory::{self, Owner, Shown, open_in};
use crate::error::{Error, IoExt, Result};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use wiac_dockerfile::ignore::IgnorePatterns;
use wiac_layer::merged::{Found, LayerStack, MergedDirectory};
use wiac_sys::root::FileKind;
use wiac_sys::times;

/// A directory of the source whose contents are being copied.
struct From<'f> {
    /// The picked one.
    top: BorrowedFd<'f>,
    directory: BorrowedFd<'f>,
    /// Below the picked one.
    relative: &'f Path,
}

/// A directory that is copied into.
struct Here {
    to: OwnedFd,
    merged: MergedDirectory,
    path: PathBuf,
}

/// A directory that is made only once something in it is copied.
struct Pending {
    source: OwnedFd,
    destination: PathBuf,
    made: bool,
}

/// Writes into the directory `diff` of a new layer.
pub(super) struct Writer<'w> {
    /// The layers below with `diff` on top.
    pub(super) stack: LayerStack,
    diff: OwnedFd,
    copier: Copier,
    prepared: &'w Prepared,
    pending: Vec<Pending>,
    /// What this step copied the last time, and what to copy now.
    again: Option<&'w Again<'w>>,
    stop: Option<Arc<Stop>>,
}

impl<'w> Writer<'w> {
    /// A writer into the empty directory `diff` above `lower`.
    pub(super) fn new(lower: &LayerStack, diff: &Path, prepared: &'w Prepared) -> Result<Self> {
        if let Some(top) = lower.directories().last() {
            crate::directory::copy_metadata_at(top, diff)?;
        }
        let (uid, gid) = prepared.owner;
        let options = Options {
            ownership: if prepared.keeps_owners {
                Ownership::Keep
            } else {
                Ownership::Fixed { uid, gid }
            },
            ownership_required: true,
            mode: prepared.mode.as_ref().map_or(ModeRule::Keep, super::chmod::Chmod::rule),
            ..Options::default()
        };
        Ok(Self {
            stack: lower.with_upper(diff),
            diff: directory::open(diff)?,
            copier: Copier::new(options),
            prepared,
            pending: Vec::new(),
            again: None,
            stop: None,
        })
    }

    /// What is listed is copied; of that, what was copied before and looks as it did then is taken from there.
    pub(super) fn with_earlier(mut self, again: Option<&'w Again<'w>>) -> Self {
        self.again = again;
        self
    }

    /// The same, which ends when `stop` says so.
    pub(super) fn until(mut self, stop: &Arc<Stop>) -> Self {
        self.stop = Some(Arc::clone(stop));
        let stop = Arc::clone(stop);
        self.copier.until(Arc::new(move || stop.goes_on()));
        self
    }

    /// Whether to go on with the next of many entries.
    pub(super) fn goes_on(&self) -> bool {
        self.stop.as_ref().is_none_or(|stop| stop.goes_on())
    }

    /// Copies one picked entry of `source` to the destination.
    pub(super) fn put(&mut self, source: &Source, picked: &Picked, exclude: &IgnorePatterns) -> Result<()> {
        let result = self.put_entry(source, picked, exclude);
        // Where that wasn't gone on with, something is missing, or half there.
        source.check()?;
        result
    }

    fn put_entry(&mut self, source: &Source, picked: &Picked, exclude: &IgnorePatterns) -> Result<()> {
        if picked.is_directory {
            let from = tree::open_directory(source, &picked.path)?;
            let destination = self.real_destination()?;
            let to = self.enter(&destination)?;
            let from_here = From {
                top: from.as_fd(),
                directory: from.as_fd(),
                relative: Path::new(""),
            };
            self.put_contents(&picked.selection(source, exclude), &from_here, &destination)?;
            let stat = rustix::fs::fstat(&from).on("look at", &source.place)?;
            return set_time(to.as_fd(), &stat).on("set the times of", &destination);
        }
        let from = tree::open_parent(source, &picked.path)?;
        let name = picked.path.file_name().unwrap_or_default();
        let (directory, to_name) = self.destination_of_file(&picked.name)?;
        let to = self.enter(&directory)?;
        self.refuse_directory(&directory, &to_name)?;
        let from = Place {
            dir: from.as_fd(),
            name,
            shown: &source.place.join(&picked.path),
        };
        Ok(self.copier.copy(
            &from,
            &Place {
                dir: to.as_fd(),
                name: &to_name,
                shown: &directory.join(&to_name),
            },
        )?)
    }

    /// Writes a file whose text stands in the Dockerfile.
    pub(super) fn put_text(&mut self, name: &str, text: &str) -> Result<()> {
        let (directory, name) = self.destination_of_file(OsStr::new(name))?;
        let to = self.enter(&directory)?;
        let path = directory.join(&name);
        self.refuse_directory(&directory, &name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&to, name.as_os_str(), flags, Mode::from_raw_mode(0o644)).on("create", &path)?;
        let mut file = std::fs::File::from(file);
        file.write_all(text.as_bytes()).on("write", &path)?;
        let (uid, gid) = self.prepared.owner;
        rustix::fs::fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .on("change the owner of", &path)?;
        let chmod = self.prepared.mode.as_ref();
        let mode = chmod.map_or(0o644, |chmod| chmod.apply(false, 0o644));
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).on("change the mode of", &path)
    }

    /// Brings a file of the layers below into this one, as it is; `None` where there is none.
    pub(super) fn copy_up(&self, path: &Path) -> Result<Option<()>> {
        let Some(Found::Other { parent, name, .. }) = self.lookup(path)? else {
            return Ok(None);
        };
        let to = self.enter(path.parent().unwrap_or(Path::new("/")))?;
        match rustix::fs::statat(&to, name.as_os_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            result => return result.on("look at", path).map(|_| Some(())),
        }
        let place = |dir| Place {
            dir,
            name: &name,
            shown: path,
        };
        Copier::new(Options::default()).copy(&place(parent.as_fd()), &place(to.as_fd()))?;
        Ok(Some(()))
    }

    /// What is at a path without symlinks; the last component isn't followed.
    fn lookup(&self, path: &Path) -> Result<Option<Found>> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(None);
        };
        match self.stack.resolve(parent)?.found {
            Some(Found::Directory(parent)) => Ok(parent.entry(name)?),
            _ => Ok(None),
        }
    }

    /// Makes a directory and its missing parents.
    pub(super) fn make_directory(&mut self, path: &Path) -> Result<()> {
        self.enter(path).map(drop)
    }

    /// The directory and name that a file goes to: into the destination where that is a directory, else to its name.
    fn destination_of_file(&self, name: &OsStr) -> Result<(PathBuf, OsString)> {
        let destination = Path::new(&self.prepared.destination);
        let is_directory = self.prepared.destination.ends_with('/')
            || matches!(self.stack.resolve(destination)?.found, Some(Found::Directory(_)));
        if is_directory {
            return Ok((destination.to_owned(), name.to_owned()));
        }
        // BuildKit would write one over the other.
        if self.prepared.has_several() {
            return Err(Error::wrong_with_hint(
                format!("{}: several sources need a directory to go into", destination.display()),
                "put a slash behind the destination",
            ));
        }
        let parent = destination.parent().unwrap_or(Path::new("/"));
        let name = destination.file_name().unwrap_or_default();
        // A destination that is a symlink is written through it, inside the tree.
        let resolved = self.stack.resolve(destination)?.path;
        let through = resolved.parent().zip(resolved.file_name());
        let (parent, name) = through.unwrap_or((parent, name));
        Ok((parent.to_owned(), name.to_owned()))
    }

    /// A file takes the place of another one and of a symlink, never of a directory.
    fn refuse_directory(&self, directory: &Path, name: &OsStr) -> Result<()> {
        if let Some(Found::Directory(parent)) = self.stack.resolve(directory)?.found
            && let Some(Found::Directory(_)) = parent.entry(name)?
        {
            return Err(not_replaced(&directory.join(name)));
        }
        Ok(())
    }

    /// The destination without symlinks.
    pub(super) fn real_destination(&self) -> Result<PathBuf> {
        Ok(self.stack.resolve(Path::new(&self.prepared.destination))?.path)
    }

    /// Copies what is selected of the directory `from` into the directory `destination`, which is there, or pending.
    fn put_contents(&mut self, selection: &Selection<'_>, from: &From<'_>, destination: &Path) -> Result<()> {
        let place = selection.source.place.join(selection.base.join(from.relative));
        let mut here = None;
        for name in self.names(from, &place)? {
            let relative = from.relative.join(&name);
            let (kind, choice) = self.choose(selection, from, &relative, &name)?;
            let target = destination.join(&name);
            match choice {
                Choice::Exclude => {}
                Choice::Include => {
                    let here = match &here {
                        Some(here) => here,
                        None => here.insert(self.here(destination)?),
                    };
                    self.merge(selection, from, (&name, kind), here)?;
                }
                Choice::Descend => {
                    let below = open_in(from.directory, &name).on("open", &place.join(&name))?;
                    self.pending.push(Pending {
                        source: below.try_clone().on("copy a descriptor of", &place)?,
                        destination: target.clone(),
                        made: false,
                    });
                    let below = From {
                        top: from.top,
                        directory: below.as_fd(),
                        relative: &relative,
                    };
                    self.put_contents(selection, &below, &target)?;
                    self.pending.pop();
                }
            }
        }
        Ok(())
    }

    /// Opens a directory that is copied into.
    fn here(&mut self, destination: &Path) -> Result<Here> {
        self.make_pending()?;
        let to = self.enter(destination)?;
        match self.stack.resolve(destination)?.found {
            Some(Found::Directory(merged)) => Ok(Here {
                to,
                merged,
                path: destination.to_owned(),
            }),
            _ => Err(Error::wrong(format!("{} is not a directory", destination.display()))),
        }
    }

    /// Makes the directories that something in them is about to be copied into. One that is there gets the source's
    /// mode, a new one all of its metadata.
    fn make_pending(&mut self) -> Result<()> {
        for at in 0..self.pending.len() {
            if self.pending[at].made {
                continue;
            }
            self.pending[at].made = true;
            let destination = self.pending[at].destination.clone();
            let source = self.pending[at].source.try_clone().on("open", &destination)?;
            let is_there = self.stack.resolve(&destination)?.found.is_some();
            let to = self.enter(&destination)?;
            if is_there {
                let stat = rustix::fs::fstat(&source).on("look at", &destination)?;
                rustix::fs::fchmod(&to, Mode::from_raw_mode(stat.st_mode & 0o7777))
                    .on("change the mode of", &destination)?;
            } else {
                self.dress(source.as_fd(), to.as_fd(), &destination)?;
            }
        }
        Ok(())
    }

    /// Copies one entry into the directory `here`: directories are merged with what is there.
    fn merge(
        &mut self,
        selection: &Selection<'_>,
        from: &From<'_>,
        (name, kind): (&OsStr, FileKind),
        here: &Here,
    ) -> Result<()> {
        let relative = from.relative.join(name);
        let shown = selection.source.place.join(selection.base.join(&relative));
        let is_directory = kind == FileKind::Directory;
        let target = &here.path.join(name);
        let there = here.merged.entry(name)?;
        match (there, is_directory) {
            (Some(Found::Directory(_)), true) => {
                let directory = open_in(from.directory, name).on("open", &shown)?;
                let to = self.enter(target)?;
                let below = From {
                    top: from.top,
                    directory: directory.as_fd(),
                    relative: &relative,
                };
                self.put_contents(selection, &below, target)?;
                self.dress(directory.as_fd(), to.as_fd(), target)
            }
            (Some(Found::Directory(_)), false) => Err(not_replaced(target)),
            (Some(Found::Other { .. }), true) => Err(Error::wrong(format!(
                "{} is there already and no directory: one can't take its place",
                target.display()
            ))),
            _ => {
                let from_place = Place {
                    dir: from.directory,
                    name,
                    shown: &shown,
                };
                let to_place = Place {
                    dir: here.to.as_fd(),
                    name,
                    shown: target,
                };
                if let Some(again) = self.again {
                    return self.put_listed(again, (&from_place, from), &relative, &to_place);
                }
                let mut filter = |below: &Path, kind: FileKind| selection.choose(&relative.join(below), kind);
                Ok(self.copier.copy_filtered(&from_place, &to_place, &mut filter)?)
            }
        }
    }

    /// Gives a directory all the metadata that its copy should have.
    fn dress(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, path: &Path) -> Result<()> {
        let place = |dir| Place {
            dir,
            name: OsStr::new("."),
            shown: path,
        };
        let mut nothing = |_: &Path, _: FileKind| Choice::Exclude;
        Ok(self.copier.copy_filtered(&place(from), &place(to), &mut nothing)?)
    }

    /// Opens a directory of the layer, made or copied up with all above it. Symlinks lead where they lead in the
    /// merged tree.
    pub(super) fn enter(&self, path: &Path) -> Result<OwnedFd> {
        self.enter_as(path, self.prepared.owner)
    }

    /// The same with the owner of directories that are made.
    pub(super) fn enter_as(&self, path: &Path, owner: (u32, u32)) -> Result<OwnedFd> {
        let resolved = self.stack.resolve(path)?;
        if matches!(resolved.found, Some(Found::Other { .. })) {
            return Err(Error::wrong(format!(
                "{} is there already and no directory",
                path.display()
            )));
        }
        let mut here = self.diff.try_clone().on("open", path)?;
        let mut so_far = PathBuf::from("/");
        for component in resolved.path.components() {
            let Component::Normal(name) = component else { continue };
            so_far.push(name);
            here = self.enter_one(&here, name, &so_far, owner)?;
        }
        Ok(here)
    }

    fn enter_one(&self, parent: &OwnedFd, name: &OsStr, path: &Path, (uid, gid): (u32, u32)) -> Result<OwnedFd> {
        match open_in(parent, name) {
            Err(Errno::NOENT) => {}
            result => return result.on("open", path),
        }
        // Looked up before it is made: afterwards it would find itself.
        let below = self.stack.resolve(path)?.found;
        rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)).on("create", path)?;
        let made = open_in(parent, name).on("open", path)?;
        if let Some(Found::Directory(merged)) = below {
            if let Some(original) = merged.topmost() {
                // The lookup's descriptor is good for lookups alone.
                let original = open_in(original, OsStr::new(".")).on("open", path)?;
                let [from, to] = [&original, &made].map(|directory| Shown {
                    directory: directory.as_fd(),
                    path,
                });
                directory::copy_metadata(from, to, Owner::Copied)?;
            }
        } else {
            rustix::fs::fchown(&made, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
                .on("change the owner of", path)?;
            rustix::fs::fchmod(&made, Mode::from_raw_mode(0o755)).on("change the mode of", path)?;
        }
        Ok(made)
    }
}

fn not_replaced(path: &Path) -> Error {
    Error::wrong(format!(
        "{} is a directory: a file can't take its place",
        path.display()
    ))
}

/// Sets the time of modification to the one in `stat`.
fn set_time(directory: BorrowedFd<'_>, stat: &Stat) -> rustix::io::Result<()> {
    rustix::fs::futimens(directory, &times::modified_as(stat))
}
