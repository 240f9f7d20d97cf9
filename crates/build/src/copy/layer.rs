//! `wiac copy`: sources as the user names them, into a directory layer, with the meaning of cp.
//!
//! The destination is a path in `LAYER/diff` as if that were "/": neither ".." nor a symlink in it leads out
//! (`openat2(2)`, `RESOLVE_IN_ROOT`).

#![allow(clippy::unnecessary_debug_formatting, reason = "a hostile name is shown escaped")]

use super::Copier;
use super::entry::{FileKind, Place, file_type, kind};
use super::error::Error;
use super::options::{Merged, Options, Report};
use super::sources::Source;
use super::words::Destination;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, fchmod, mkdirat, open, openat2, readlinkat, statat,
};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::DirBuilder;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use wiac_sys::root::Root;

/// Directories that are made on the way.
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);

/// Copies `sources` into `layer`/diff, at `destination`, as `cp -a` would into a root directory; see cp(1).
///
/// - `layer`, its `diff`, and the directories above the destination are made where they're missing (those in the layer
///   with mode 0755, owned by the caller).
/// - A destination that is a directory, or is written as one (`a/`, `.`, `/`; made where it's missing), takes the
///   sources under their own names; else it's the name of the copy. Several sources need a directory.
/// - A source that ends in `.` stands for what is in that directory, which goes into the destination; that keeps its
///   owner, mode and times where it's there already. A source that is a symlink is copied as a symlink.
/// - Owners, modes, times, extended attributes, hard links and holes are kept, where the caller may and the file system
///   can; the report counts what wasn't.
/// - A file that comes to stand on a symlink goes to where that leads within the layer.
///
/// # Errors
/// All sources are looked up before anything is written. Then the first entry that can't be copied ends the copy; of
/// that nothing is left, what was copied before it stays.
pub fn copy_into_layer(layer: &Path, sources: &[PathBuf], destination: &OsStr) -> Result<Report, Error> {
    if destination.is_empty() || destination.as_bytes().contains(&0) {
        return Err(Error::BadPath {
            path: destination.into(),
        });
    }
    let sources = sources
        .iter()
        .map(|path| Source::find(path))
        .collect::<Result<Vec<_>, _>>()?;
    if sources.is_empty() {
        return Err(Error::NoSource);
    }
    let layer = Layer::open(layer)?;
    let target = layer.target(&Destination::parse(destination), &sources)?;
    let mut copier = Copier::new(Options::default());
    match target {
        Target::Into { dir, path } => {
            refuse_twice(&layer, &sources, &path)?;
            for source in &sources {
                layer.put(&mut copier, source, dir.as_fd(), &path)?;
            }
        }
        Target::Name { dir, path, name } => {
            for source in &sources {
                layer.copy(&mut copier, source, dir.as_fd(), &path, &name, Merged::Source)?;
            }
        }
    }
    Ok(copier.report())
}

/// An open layer.
struct Layer {
    root: Root,
    /// Its `diff`, as messages show it.
    shown: PathBuf,
}

/// Where the sources go; the path is the directory's in the layer.
enum Target {
    /// Into a directory, under their own names.
    Into { dir: OwnedFd, path: PathBuf },
    /// To a name in a directory.
    Name {
        dir: OwnedFd,
        path: PathBuf,
        name: OsString,
    },
}

impl Layer {
    fn open(layer: &Path) -> Result<Self, Error> {
        let shown = layer.join("diff");
        let failed = |call, errno| not_made(&shown, call, errno);
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(layer)
            .map_err(|error| not_made(layer, "mkdir", errno_of(&error)))?;
        let made = mkdirat(CWD, &shown, DIRECTORY_MODE);
        if !matches!(made, Ok(()) | Err(Errno::EXIST)) {
            made.map_err(|errno| failed("mkdir", errno))?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let diff = open(&shown, flags, Mode::empty()).map_err(|errno| failed("open", errno))?;
        if made.is_ok() {
            // Whatever the umask: this is the container's "/".
            fchmod(&diff, DIRECTORY_MODE).map_err(|errno| failed("fchmod", errno))?;
        }
        let root = Root::from_fd(diff).map_err(|source| Error::Write {
            path: shown.clone(),
            source,
        })?;
        Ok(Self { root, shown })
    }

    /// Finds or makes what `wanted` names.
    fn target(&self, wanted: &Destination, sources: &[Source]) -> Result<Target, Error> {
        let path: PathBuf = wanted.names.iter().collect();
        if wanted.is_directory {
            let dir = self.enter(&wanted.names)?;
            return Ok(Target::Into { dir, path });
        }
        let Some((name, above)) = wanted.names.split_last() else {
            return Ok(Target::Into {
                dir: self.enter(&[])?,
                path,
            });
        };
        let there = match self.resolve(&path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(dir) => return Ok(Target::Into { dir, path }),
            Err(Errno::NOTDIR) => Some(FileKind::File),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(write_error(&self.show(&path), "openat2", errno)),
        };
        if sources.len() > 1 {
            let there = self.kind_of(&path).or(there);
            return Err(Error::NotADirectory {
                path: self.show(&path),
                there,
            });
        }
        Ok(Target::Name {
            dir: self.enter(above)?,
            path: above.iter().collect(),
            name: name.clone(),
        })
    }

    /// Copies a source into a directory of the layer.
    fn put(&self, copier: &mut Copier, source: &Source, dir: BorrowedFd<'_>, path: &Path) -> Result<(), Error> {
        match &source.base {
            Some(name) => self.copy(copier, source, dir, path, name, Merged::Source),
            None => self.copy(copier, source, dir, path, OsStr::new("."), Merged::SourceBelow),
        }
    }

    /// Copies a source to a name in a directory of the layer.
    fn copy(
        &self,
        copier: &mut Copier,
        source: &Source,
        dir: BorrowedFd<'_>,
        path: &Path,
        name: &OsStr,
        merged: Merged,
    ) -> Result<(), Error> {
        copier.engine.options.merged = merged;
        let shown = if name == "." {
            self.show(path)
        } else {
            self.show(&path.join(name))
        };
        if source.kind == FileKind::File && is_symlink(dir, name) {
            let (dir, path, name) = self.follow(dir, &path.join(name), name)?;
            let shown = self.show(&path.join(&name));
            let to = Place {
                dir: dir.as_fd(),
                name: &name,
                shown: &shown,
            };
            return copier.copy(&source.place(), &to);
        }
        let to = Place {
            dir,
            name,
            shown: &shown,
        };
        copier.copy(&source.place(), &to)
    }

    /// Where a symlink in the layer leads within it.
    fn follow(&self, dir: BorrowedFd<'_>, path: &Path, name: &OsStr) -> Result<(OwnedFd, PathBuf, OsString), Error> {
        let resolved = match self.root.resolve(path) {
            Ok(resolved) => resolved,
            Err(error) if error.errno() == Errno::NOENT => return Err(self.dangling(dir, path, name)),
            Err(source) => {
                return Err(Error::Write {
                    path: self.show(path),
                    source,
                });
            }
        };
        let name = resolved.path.file_name().unwrap_or(OsStr::new(".")).to_owned();
        let parent = resolved.path.parent().unwrap_or(Path::new("/")).to_owned();
        let dir = self
            .resolve(&parent, OFlags::RDONLY | OFlags::DIRECTORY)
            .map_err(|errno| write_error(&self.show(&parent), "openat2", errno))?;
        Ok((dir, parent, name))
    }

    fn dangling(&self, dir: BorrowedFd<'_>, path: &Path, name: &OsStr) -> Error {
        let text = readlinkat(dir, name, Vec::new()).unwrap_or_default();
        Error::Dangling {
            path: self.show(path),
            text: PathBuf::from(OsString::from_vec(text.into_bytes())),
        }
    }

    /// Opens a directory of the layer, made with all above it where it's missing.
    fn enter(&self, names: &[OsString]) -> Result<OwnedFd, Error> {
        let mut path = PathBuf::from(".");
        let mut dir = self.step(&path)?;
        for name in names {
            path.push(name);
            dir = match self.resolve(&path, OFlags::RDONLY | OFlags::DIRECTORY) {
                Err(Errno::NOENT) => self.make(dir.as_fd(), &path, name)?,
                Err(Errno::NOTDIR) => {
                    return Err(Error::InTheWay {
                        path: self.show(&path),
                        there: self.kind_of(&path).unwrap_or(FileKind::File),
                    });
                }
                result => result.map_err(|errno| write_error(&self.show(&path), "openat2", errno))?,
            };
        }
        Ok(dir)
    }

    fn make(&self, dir: BorrowedFd<'_>, path: &Path, name: &OsStr) -> Result<OwnedFd, Error> {
        match mkdirat(dir, name, DIRECTORY_MODE) {
            Ok(()) => {
                let made = self.step(path)?;
                fchmod(&made, DIRECTORY_MODE).map_err(|errno| write_error(&self.show(path), "fchmod", errno))?;
                Ok(made)
            }
            Err(Errno::EXIST) if is_symlink(dir, name) => Err(self.dangling(dir, path, name)),
            Err(Errno::EXIST) => self.step(path),
            Err(errno) => Err(write_error(&self.show(path), "mkdirat", errno)),
        }
    }

    fn step(&self, path: &Path) -> Result<OwnedFd, Error> {
        let dir = self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY);
        dir.map_err(|errno| write_error(&self.show(path), "openat2", errno))
    }

    fn resolve(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        loop {
            match openat2(self.root.as_fd(), path, flags | OFlags::CLOEXEC, Mode::empty(), inside) {
                // A rename elsewhere made the kernel unsure about a "..".
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return result,
            }
        }
    }

    fn kind_of(&self, path: &Path) -> Option<FileKind> {
        self.root.metadata(path).ok().map(|metadata| metadata.kind)
    }

    /// How messages name a path in the layer.
    fn show(&self, path: &Path) -> PathBuf {
        let inside = path.strip_prefix("/").unwrap_or(path);
        if inside.as_os_str().is_empty() || inside == Path::new(".") {
            return self.shown.clone();
        }
        self.shown.join(inside.strip_prefix(".").unwrap_or(inside))
    }
}

/// Two files under one name: only directories are merged.
fn refuse_twice(layer: &Layer, sources: &[Source], path: &Path) -> Result<(), Error> {
    for (index, second) in sources.iter().enumerate() {
        let Some(base) = &second.base else { continue };
        let first = sources[..index].iter().find(|first| first.base.as_ref() == Some(base));
        if let Some(first) =
            first.filter(|first| first.kind != FileKind::Directory || second.kind != FileKind::Directory)
        {
            return Err(Error::Twice {
                first: first.shown().to_owned(),
                second: second.shown().to_owned(),
                path: layer.show(&path.join(base)),
            });
        }
    }
    Ok(())
}

fn is_symlink(dir: BorrowedFd<'_>, name: &OsStr) -> bool {
    let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
    stat.is_ok_and(|stat| kind(file_type(&stat)) == FileKind::Symlink)
}

/// Why there's no directory at a path outside of the layer.
fn not_made(path: &Path, call: &'static str, errno: Errno) -> Error {
    match path.metadata() {
        Ok(there) if !there.is_dir() => Error::InTheWay {
            path: path.to_owned(),
            there: kind(FileType::from_raw_mode(there.mode())),
        },
        _ => write_error(path, call, errno),
    }
}

fn write_error(path: &Path, call: &'static str, errno: Errno) -> Error {
    Error::Write {
        path: path.to_owned(),
        source: wiac_sys::Error::new(call, format!("{path:?}"), errno),
    }
}

fn errno_of(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}
