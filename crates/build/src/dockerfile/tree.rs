//! The sources of COPY and ADD: which entries of a tree are meant.

use super::selection::{Include, Selection};
use crate::context::Source;
use crate::error::{Error, IoExt, Result};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use wiac_dockerfile::glob::{Glob, has_wildcards};
use wiac_dockerfile::ignore::IgnorePatterns;
use wiac_sys::root::FileKind;

/// An entry that COPY takes.
#[derive(Debug, Clone)]
pub(super) struct Picked {
    /// The name it was found by: what it is called where a directory takes it.
    pub(super) name: OsString,
    /// Its path below the tree's root, without symlinks; empty for the root itself.
    pub(super) path: PathBuf,
    /// Whether its contents are meant and not itself.
    pub(super) is_directory: bool,
    /// With `--parents`: what of the directory is taken.
    pub(super) include: Option<Include>,
}

impl Picked {
    /// What is taken below it.
    pub(super) fn selection<'s>(&'s self, source: &'s Source, exclude: &'s IgnorePatterns) -> Selection<'s> {
        Selection {
            source,
            base: &self.path,
            include: self.include.as_ref(),
            exclude,
        }
    }
}

/// Finds the entries that `sources` name: paths are looked up, globs matched. A glob that matches nothing is fine.
/// What `exclude` matches by its name is left out of what a glob finds.
///
/// # Errors
/// A missing path, with the nearest name or the ignore file as the reason.
pub(super) fn pick(source: &Source, sources: &[String], exclude: &IgnorePatterns) -> Result<Vec<Picked>> {
    let mut picked = Vec::new();
    for written in sources {
        pick_one(source, written, &mut picked)?;
    }
    picked.retain(|one| one.is_directory || !exclude.is_ignored(&one.name.to_string_lossy()));
    Ok(picked)
}

fn pick_one(source: &Source, written: &str, picked: &mut Vec<Picked>) -> Result<()> {
    let path = relative(written);
    let text = path.to_string_lossy();
    let glob = Glob::parse(&text).map_err(|error| Error::wrong(format!("{written}: {error}")))?;
    if let Some(literal) = glob.literal() {
        let one = pick_path(source, written, Path::new(&literal))?;
        picked.push(one.ok_or_else(|| left_out(source, written))?);
        return Ok(());
    }
    check_directory(source, written, &glob)?;
    pick_matching(source, &glob, Path::new(""), picked)
}

/// A glob may match nothing; the directory that it is for, before the first wildcard, has to be there.
fn check_directory(source: &Source, written: &str, glob: &Glob) -> Result<()> {
    let shown = glob.literal_prefix();
    if shown.is_empty() {
        return Ok(());
    }
    let directory = Path::new(&shown);
    let found = source.root.symlink_metadata(Path::new("/").join(directory));
    let kind = found.map_err(|error| missing(source, &shown, directory, &error))?.kind;
    if !matches!(kind, FileKind::Directory | FileKind::Symlink) {
        return Err(Error::wrong(format!(
            "{written}: {shown} isn't a directory in {}",
            source.description
        )));
    }
    if !is_seen(source, directory, kind == FileKind::Directory)? {
        return Err(left_out(source, &shown));
    }
    Ok(())
}

/// The one entry that a path names, wildcards and all; no path names the tree's root.
///
/// # Errors
/// As [`pick`].
pub(super) fn pick_literal(source: &Source, written: &str) -> Result<Picked> {
    let one = pick_path(source, written, &relative(written))?;
    one.ok_or_else(|| left_out(source, written))
}

/// The same with `--parents`: what is before the pivot `/./` (or the whole tree) is a directory, of which what the
/// rest matches is taken, under its path.
///
/// # Errors
/// As [`pick`].
pub(super) fn pick_parents(source: &Source, sources: &[String]) -> Result<Vec<Picked>> {
    let mut picked = Vec::new();
    for written in sources {
        let (base, pattern) = written.split_once("/./").unwrap_or(("", written));
        let pattern = relative(pattern);
        if pattern.as_os_str().is_empty() {
            pick_one(source, base, &mut picked)?;
            continue;
        }
        let include = Include::parse(&pattern.to_string_lossy())?;
        if !has_wildcards(base) && !has_wildcards(&include.written) {
            let whole = relative(base).join(&pattern);
            let literal = Glob::parse(&whole.to_string_lossy())
                .ok()
                .and_then(|glob| glob.literal());
            let one = pick_path(source, written, &literal.map_or(whole, PathBuf::from))?;
            one.ok_or_else(|| left_out(source, written))?;
        }
        let first = picked.len();
        pick_one(source, base, &mut picked)?;
        for one in &mut picked[first..] {
            one.include = Some(include.clone());
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

/// The entry at `path`; `None` where the ignore file leaves it out, or what a symlink leads to.
fn pick_path(source: &Source, written: &str, path: &Path) -> Result<Option<Picked>> {
    let resolved = source
        .root
        .resolve(Path::new("/").join(path))
        .map_err(|error| missing(source, written, path, &error))?;
    let inner = resolved.path.strip_prefix("/").unwrap_or(&resolved.path).to_owned();
    let is_directory = resolved.metadata.kind == FileKind::Directory;
    // The symlink itself has to be there too.
    let is_link_seen = inner == path || is_seen(source, path, false)?;
    if !is_link_seen || !is_seen(source, &inner, is_directory)? {
        return Ok(None);
    }
    Ok(Some(Picked {
        name: path.file_name().unwrap_or_default().to_owned(),
        path: inner,
        is_directory,
        include: None,
    }))
}

fn left_out(source: &Source, written: &str) -> Error {
    Error::wrong_with_hint(
        format!("{written}: .dockerignore leaves it out of {}", source.description),
        "add a line that begins with ! to let it in again",
    )
}

/// Whether COPY sees an entry: the ignore file doesn't leave it out, or lets something below it in again.
pub(super) fn is_seen(source: &Source, path: &Path, is_directory: bool) -> Result<bool> {
    let ignore = &source.ignore;
    if !ignore.is_ignored(&path.to_string_lossy()) {
        return Ok(true);
    }
    if !is_directory || nothing_below_is_seen(ignore, path) {
        return Ok(false);
    }
    let place = source.place.join(path);
    let directory = open_directory(source, path)?;
    for name in names(directory.as_fd(), &place)? {
        let stat = rustix::fs::statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW).on("look at", &place)?;
        let is_directory = FileType::from_raw_mode(stat.st_mode).is_dir();
        if is_seen(source, &path.join(&name), is_directory)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether no pattern could let anything below a directory in again: it need not be looked into.
fn nothing_below_is_seen(ignore: &IgnorePatterns, directory: &Path) -> bool {
    let mut here = ignore.top();
    let mut path = PathBuf::new();
    for name in directory {
        path.push(name);
        here = ignore.enter(&here, &path.to_string_lossy());
    }
    ignore.can_prune(&here, &path.to_string_lossy())
}

fn missing(source: &Source, written: &str, path: &Path, error: &wiac_sys::Error) -> Error {
    if error.errno() != rustix::io::Errno::NOENT {
        return Error::wrong(format!("{written}: can't be read in {}: {error}", source.description));
    }
    if let Some((link, target)) = broken_link(source, path) {
        let (link, target) = (link.display().to_string(), target.display());
        let subject = if link == written {
            String::new()
        } else {
            format!("{written}: ")
        };
        return Error::wrong_with_hint(
            format!(
                "{subject}{link} is a symlink to {target}, which isn't there in {}",
                source.description
            ),
            "symlinks are followed inside of it alone: copy what it leads to into it",
        );
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

/// The first symlink on the way that leads to nothing, and what it says.
fn broken_link(source: &Source, path: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut way = PathBuf::from("/");
    for name in path {
        way.push(name);
        if source.root.resolve(&way).is_err() {
            let target = source.root.read_link(&way).ok()?;
            return Some((way.strip_prefix("/").unwrap_or(&way).to_owned(), target));
        }
    }
    None
}

fn pick_matching(source: &Source, glob: &Glob, directory: &Path, picked: &mut Vec<Picked>) -> Result<()> {
    let place = Path::new("/").join(directory);
    let mut entries = source.root.read_dir(&place).on("read", &source.place.join(directory))?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    for entry in entries {
        let path = directory.join(&entry.name);
        let text = path.to_string_lossy().into_owned();
        if glob.matches(&text) {
            picked.extend(pick_path(source, &text, &path)?);
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

/// The names in a directory, sorted.
pub(super) fn names(directory: BorrowedFd<'_>, path: &Path) -> Result<Vec<OsString>> {
    /// Bytes asked of the kernel at a time.
    const LISTED: usize = 32 << 10;
    let mut names = Vec::new();
    // Whoever looked before may have left it at its end.
    rustix::fs::seek(directory, rustix::fs::SeekFrom::Start(0)).on("read", path)?;
    let mut buffer = Vec::with_capacity(LISTED);
    let mut listing = rustix::fs::RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = listing.next() {
        let entry = entry.on("read", path)?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
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
