//! The sources of COPY: which entries of a tree are meant, and what they contribute to a cache key.

use crate::context::Source;
use crate::error::{Error, IoExt, Result};
use crate::key::KeyMaker;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use wiac_dockerfile::glob::Glob;
use wiac_sys::root::FileKind;

/// An entry that COPY takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picked {
    /// The name it was found by: what it is called where a directory takes it.
    pub(super) name: OsString,
    /// Its path below the tree's root, without symlinks; empty for the root itself.
    pub(super) path: PathBuf,
    /// Whether its contents are meant and not itself.
    pub(super) is_directory: bool,
}

/// Finds the entries that `sources` name: paths are looked up, globs matched. A glob that matches nothing is fine.
///
/// # Errors
/// A missing path, with the nearest name or the ignore file as the reason.
pub(super) fn pick(source: &Source, sources: &[String]) -> Result<Vec<Picked>> {
    let mut picked = Vec::new();
    for written in sources {
        let path = relative(written);
        let text = path.to_string_lossy();
        let glob = Glob::parse(&text).map_err(|error| Error::wrong(format!("{written}: {error}")))?;
        match glob.literal() {
            Some(literal) => picked.push(pick_path(source, written, Path::new(&literal))?),
            None => pick_matching(source, &glob, Path::new(""), &mut picked)?,
        }
    }
    Ok(picked)
}

/// The path below the tree's root: ".." ends there.
fn relative(written: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for component in Path::new(written).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => drop(path.pop()),
            _ => {}
        }
    }
    path
}

fn pick_path(source: &Source, written: &str, path: &Path) -> Result<Picked> {
    let is_top = path.as_os_str().is_empty();
    if !is_top && is_hidden(source, path) {
        return Err(Error::wrong_with_hint(
            format!("{written}: .dockerignore leaves it out of {}", source.description),
            "add a line that begins with ! to let it in again",
        ));
    }
    let resolved = source
        .root
        .resolve(Path::new("/").join(path))
        .map_err(|error| missing(source, written, path, &error))?;
    let name = path.file_name().unwrap_or_default().to_owned();
    let inner = resolved.path.strip_prefix("/").unwrap_or(&resolved.path).to_owned();
    Ok(Picked {
        name,
        path: inner,
        is_directory: resolved.metadata.kind == FileKind::Directory,
    })
}

/// Left out, and nothing below it is let in again.
fn is_hidden(source: &Source, path: &Path) -> bool {
    !source.ignore.has_negations() && source.ignore.is_ignored(&path.to_string_lossy())
}

fn missing(source: &Source, written: &str, path: &Path, error: &wiac_sys::Error) -> Error {
    if error.errno() != rustix::io::Errno::NOENT {
        return Error::wrong(format!("{written}: can't be read in {}: {error}", source.description));
    }
    let parent = Path::new("/").join(path.parent().unwrap_or(Path::new("")));
    let names = source.root.read_dir(parent).unwrap_or_default();
    let names: Vec<String> = names
        .iter()
        .map(|entry| entry.name.to_string_lossy().into_owned())
        .collect();
    let wanted = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let nearest = wiac_suggest::nearest(&wanted, names.iter().map(String::as_str)).map(str::to_owned);
    Error::wrong_with_hint(
        format!(
            "{written}: there is no such file or directory in {}",
            source.description
        ),
        match nearest {
            Some(nearest) => format!("did you mean {nearest}?"),
            None if written.starts_with("..") => "COPY takes nothing from outside of it".to_owned(),
            None => format!("it was looked for in {}", source.place.display()),
        },
    )
}

fn pick_matching(source: &Source, glob: &Glob, directory: &Path, picked: &mut Vec<Picked>) -> Result<()> {
    let place = Path::new("/").join(directory);
    let mut entries = source.root.read_dir(&place).on("read", &source.place.join(directory))?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    for entry in entries {
        let path = directory.join(&entry.name);
        let text = path.to_string_lossy().into_owned();
        if glob.matches(&text) {
            if !source.ignore.is_ignored(&text) {
                picked.push(pick_path(source, &text, &path)?);
            }
        } else if entry.kind.is_none_or(|kind| kind == FileKind::Directory) && glob.may_match_below(&text) {
            let is_directory = source
                .root
                .symlink_metadata(Path::new("/").join(&path))
                .is_ok_and(|m| m.kind == FileKind::Directory);
            if is_directory {
                pick_matching(source, glob, &path, picked)?;
            }
        }
    }
    Ok(())
}

/// Adds what the picked entries are: names, types, modes and contents; no owners and no times.
pub(super) fn add_to_key(source: &mut Source, picked: &[Picked], key: &mut KeyMaker) -> Result<()> {
    for one in picked {
        key.add(one.name.as_bytes());
        let directory = open_parent(source, &one.path)?;
        let name = one.path.file_name().unwrap_or(OsStr::new("."));
        Hashing { source, key }.entry(directory.as_fd(), name, &one.path, true)?;
    }
    Ok(())
}

/// Opens the directory in the tree that holds `path`.
pub(super) fn open_parent(source: &Source, path: &Path) -> Result<OwnedFd> {
    open_directory(source, path.parent().unwrap_or(Path::new("")))
}

/// Opens a directory of the tree by its path without symlinks.
pub(super) fn open_directory(source: &Source, path: &Path) -> Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = rustix::fs::ResolveFlags::IN_ROOT | rustix::fs::ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(source.root.as_fd(), path, flags, Mode::empty(), resolve).on("open", &source.place.join(path))
}

/// A walk that puts a tree into a key.
struct Hashing<'h> {
    source: &'h mut Source,
    key: &'h mut KeyMaker,
}

impl Hashing<'_> {
    /// `picked`: the entry was named itself and is looked at whatever the ignore file says.
    fn entry(&mut self, directory: BorrowedFd<'_>, name: &OsStr, path: &Path, picked: bool) -> Result<()> {
        let place = || self.source.place.join(path);
        let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).on("look at", &place())?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let ignored = !picked && self.source.ignore.is_ignored(&path.to_string_lossy());
        if ignored && !(kind.is_dir() && self.source.ignore.has_negations()) {
            return Ok(());
        }
        if !picked {
            self.key.add(path.as_os_str().as_bytes());
        }
        self.key.add(format!("{:o} {ignored}", stat.st_mode));
        match kind {
            FileType::Directory => self.directory(directory, name, path),
            FileType::RegularFile => self.file(directory, name, path, &stat),
            FileType::Symlink => {
                let text = rustix::fs::readlinkat(directory, name, Vec::new()).on("read", &place())?;
                self.key.add(text.as_bytes());
                Ok(())
            }
            _ => Err(Error::wrong_with_hint(
                format!(
                    "{} is a device, FIFO or socket, which COPY doesn't take",
                    place().display()
                ),
                "leave it out by a line in .dockerignore",
            )),
        }
    }

    fn directory(&mut self, parent: BorrowedFd<'_>, name: &OsStr, path: &Path) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let place = self.source.place.join(path);
        let directory = rustix::fs::openat(parent, name, flags, Mode::empty()).on("open", &place)?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&directory).on("read", &place)? {
            let entry = entry.on("read", &place)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        names.sort();
        for name in names {
            self.entry(directory.as_fd(), &name, &path.join(&name), false)?;
        }
        Ok(())
    }

    fn file(&mut self, directory: BorrowedFd<'_>, name: &OsStr, path: &Path, stat: &Stat) -> Result<()> {
        let place = self.source.place.join(path);
        let bytes = path.as_os_str().as_bytes();
        let hash = match &mut self.source.hashes {
            Some(table) => table.hash(directory, name, bytes, stat),
            None => crate::hashes::hash_file(directory, name),
        };
        self.key.add(hash.on("read", &place)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out() {
        for (written, expected) in [
            ("../../etc/passwd", "etc/passwd"),
            ("/x", "x"),
            ("./a/./b", "a/b"),
            ("a/../..", ""),
            (".", ""),
        ] {
            assert_eq!(relative(written), Path::new(expected), "{written}");
        }
    }
}
