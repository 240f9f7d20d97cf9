//! Files into a layer, as if they were written through the merged tree of the layers below: symlinks on the way are
//! resolved in it, and directories that exist below keep their owner, mode and attributes.

use super::transfer::Prepared;
use super::tree::{self, Picked};
use crate::context::Source;
use crate::copy::{Choice, Copier, ModeRule, Options, Ownership, Place};
use crate::directory::{self, Owner, Shown, open_in};
use crate::error::{Error, IoExt, Result};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use wiac_layer::merged::{Found, LayerStack};
use wiac_sys::root::FileKind;

/// Writes into the directory `diff` of a new layer.
pub(super) struct Writer<'w> {
    /// The layers below with `diff` on top.
    stack: LayerStack,
    diff: OwnedFd,
    copier: Copier,
    prepared: &'w Prepared,
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
            mode: prepared.mode.map_or(ModeRule::Keep, ModeRule::Fixed),
            ..Options::default()
        };
        Ok(Self {
            stack: lower.with_upper(diff),
            diff: directory::open(diff)?,
            copier: Copier::new(options),
            prepared,
        })
    }

    /// Copies one picked entry of `source` to the destination.
    pub(super) fn put(&mut self, source: &Source, picked: &Picked) -> Result<()> {
        if picked.is_directory {
            let from = tree::open_directory(source, &picked.path)?;
            let destination = PathBuf::from(self.prepared.destination.clone());
            return self.put_contents(source, from.as_fd(), &picked.path, &destination);
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
        let mode = Mode::from_raw_mode(self.prepared.mode.unwrap_or(0o644));
        rustix::fs::fchmod(&file, mode).on("change the mode of", &path)
    }

    /// Makes a directory and its missing parents.
    pub(super) fn make_directory(&mut self, path: &Path) -> Result<()> {
        self.enter(path).map(drop)
    }

    /// The directory and name that a file goes to: into the destination where that is a directory, else to its name.
    fn destination_of_file(&self, name: &OsStr) -> Result<(PathBuf, std::ffi::OsString)> {
        let destination = Path::new(&self.prepared.destination);
        let is_directory = self.prepared.destination.ends_with('/')
            || matches!(self.stack.resolve(destination)?.found, Some(Found::Directory(_)));
        if is_directory {
            return Ok((destination.to_owned(), name.to_owned()));
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

    /// Copies what is in the directory `from` into the directory `destination`.
    fn put_contents(
        &mut self,
        source: &Source,
        from: BorrowedFd<'_>,
        from_path: &Path,
        destination: &Path,
    ) -> Result<()> {
        let to = self.enter(destination)?;
        for name in tree::names(from, &source.place.join(from_path))? {
            let path = from_path.join(&name);
            let is_directory = kind_of(from, &name, &path)? == FileKind::Directory;
            if tree::is_seen(source, &path, is_directory)? {
                self.merge(source, from, &name, &path, to.as_fd(), destination)?;
            }
        }
        Ok(())
    }

    /// Copies one entry into a directory that exists below: directories are merged with what is there.
    fn merge(
        &mut self,
        source: &Source,
        from: BorrowedFd<'_>,
        name: &OsStr,
        path: &Path,
        to: BorrowedFd<'_>,
        destination: &Path,
    ) -> Result<()> {
        let target = destination.join(name);
        let Some(Found::Directory(parent)) = self.stack.resolve(destination)?.found else {
            return Err(Error::wrong(format!("{} is not a directory", destination.display())));
        };
        let is_directory = kind_of(from, name, path)? == FileKind::Directory;
        match (parent.entry(name)?, is_directory) {
            (Some(Found::Directory(_)), true) => {
                let from = open_in(from, name).on("open", path)?;
                self.put_contents(source, from.as_fd(), path, &target)
            }
            (Some(Found::Directory(_)), false) => Err(not_replaced(&target)),
            (Some(Found::Other { .. }), true) => Err(Error::wrong(format!(
                "{} is there already and no directory: one can't take its place",
                target.display()
            ))),
            _ => self.copy_tree(source, (from, name, path), (to, name, &target)),
        }
    }

    fn copy_tree(
        &mut self,
        source: &Source,
        from: (BorrowedFd<'_>, &OsStr, &Path),
        to: (BorrowedFd<'_>, &OsStr, &Path),
    ) -> Result<()> {
        let shown = source.place.join(from.2);
        let from_place = Place {
            dir: from.0,
            name: from.1,
            shown: &shown,
        };
        let to_place = Place {
            dir: to.0,
            name: to.1,
            shown: to.2,
        };
        let mut filter = |relative: &Path, kind: FileKind| choose(source, &from.2.join(relative), kind);
        Ok(self.copier.copy_filtered(&from_place, &to_place, &mut filter)?)
    }

    /// Opens a directory of the layer, made or copied up with all above it. Symlinks lead where they lead in the
    /// merged tree.
    fn enter(&mut self, path: &Path) -> Result<OwnedFd> {
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
            here = self.enter_one(&here, name, &so_far)?;
        }
        Ok(here)
    }

    fn enter_one(&self, parent: &OwnedFd, name: &OsStr, path: &Path) -> Result<OwnedFd> {
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
            let (uid, gid) = self.prepared.owner;
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

fn kind_of(directory: BorrowedFd<'_>, name: &OsStr, path: &Path) -> Result<FileKind> {
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).on("look at", path)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        _ => FileKind::Special,
    })
}

/// What the ignore file says of an entry of the tree.
fn choose(source: &Source, path: &Path, kind: FileKind) -> Choice {
    if !source.ignore.is_ignored(&path.to_string_lossy()) {
        return Choice::Include;
    }
    if kind == FileKind::Directory && source.ignore.has_negations() {
        Choice::Descend
    } else {
        Choice::Exclude
    }
}
