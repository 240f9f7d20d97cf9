//! Why a copy failed: each error names the file, the call that failed, and what to do next.

use super::entry::FileKind;
use rustix::io::Errno;
use std::fmt;
use std::path::PathBuf;

/// Why something can't be copied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The source isn't there.
    #[error("{}: there is no such file or directory{}", .path.display(), meant(.nearest.as_deref()))]
    Missing {
        /// The source as asked for.
        path: PathBuf,
        /// The name in its directory that is nearest to it.
        nearest: Option<String>,
    },
    /// The source can't be read.
    #[error("{}: can't read it: {source}{}", .path.display(), read_hint(.source.errno()))]
    Read {
        /// The file.
        path: PathBuf,
        /// The call that failed.
        source: wiac_sys::Error,
    },
    /// The destination can't be written; nothing half-written is left of this file.
    #[error("{}: can't write it: {source}{}", .path.display(), write_hint(.source.errno()))]
    Write {
        /// The file.
        path: PathBuf,
        /// The call that failed.
        source: wiac_sys::Error,
    },
    /// A device node can't be made.
    #[error("{}: can't make the device node: {source}; leave {} out, or run as root", .path.display(), .from.display())]
    Device {
        /// The device to copy.
        from: PathBuf,
        /// Where it should have been made.
        path: PathBuf,
        /// The call that failed.
        source: wiac_sys::Error,
    },
    /// The source is an overlay whiteout, which would delete files of the layers below.
    #[error(
        "{}: this is an overlay whiteout (character device 0:0), the mark of a deleted file, which isn't copied; \
         copy from the merged tree instead, or leave it out",
        .path.display()
    )]
    Whiteout {
        /// The whiteout.
        path: PathBuf,
    },
    /// A directory and something else under the same name.
    #[error(
        "{}: {} is there already, and {} can't replace it with {}; remove one of the two, or choose another destination",
        .path.display(), name_of(*.there), .from.display(), name_of(*.wanted)
    )]
    Conflict {
        /// What should have been copied.
        from: PathBuf,
        /// What it is.
        wanted: FileKind,
        /// Where to.
        path: PathBuf,
        /// What is there.
        there: FileKind,
    },
    /// Source and destination are one file.
    #[error("{} and {} are the same file; choose another destination", .from.display(), .path.display())]
    Same {
        /// The source.
        from: PathBuf,
        /// The destination.
        path: PathBuf,
    },
    /// The destination lies inside of the directory to copy.
    #[error(
        "can't copy the directory {} into itself, {}; choose a destination outside of it",
        .from.display(), .path.display()
    )]
    IntoItself {
        /// The directory.
        from: PathBuf,
        /// The destination.
        path: PathBuf,
    },
    /// Somebody replaced or moved a file while it was being copied.
    #[error("{}: it was replaced by something else while it was copied; try again when nothing changes it", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// No source was given.
    #[error("nothing to copy: give at least one source and a destination")]
    NoSource,
    /// A path that can't be one: empty, or with a NUL byte in it.
    #[error("{path:?}: this can't be a path: it {}", if .path.as_os_str().is_empty() { "is empty" } else { "has a NUL byte in it" })]
    BadPath {
        /// The path as asked for.
        path: PathBuf,
    },
    /// Several sources, and the destination isn't a directory.
    #[error(
        "{}: several sources need a directory to go into, and this is {}; {}",
        .path.display(), .there.map_or("not there yet", name_of), several_hint(*.there)
    )]
    NotADirectory {
        /// The destination as asked for.
        path: PathBuf,
        /// What is there.
        there: Option<FileKind>,
    },
    /// Something that isn't a directory stands where the destination needs one.
    #[error(
        "{}: {} is there, where a directory is needed; remove it, or choose another destination",
        .path.display(), name_of(*.there)
    )]
    InTheWay {
        /// The path in the layer.
        path: PathBuf,
        /// What is there.
        there: FileKind,
    },
    /// Two sources would end under the same name.
    #[error("{} and {} would both become {}; copy them one by one", .first.display(), .second.display(), .path.display())]
    Twice {
        /// The source named first.
        first: PathBuf,
        /// The source named later.
        second: PathBuf,
        /// Where both should have gone.
        path: PathBuf,
    },
    /// The destination is a symlink that leads nowhere within the layer.
    #[error("{}: this symlink in the layer leads to {}, which isn't there; remove it, or name another destination", .path.display(), .text.display())]
    Dangling {
        /// The destination.
        path: PathBuf,
        /// The symlink's text.
        text: PathBuf,
    },
}

/// What went wrong with one entry, before the paths are known.
#[derive(Debug)]
pub(super) enum Fault {
    Read(wiac_sys::Error),
    Write(wiac_sys::Error),
    Device(wiac_sys::Error),
    Whiteout,
    Conflict { wanted: FileKind, there: FileKind },
    Same,
    IntoItself,
    Changed,
}

impl Fault {
    /// Puts the paths beside it.
    pub(super) fn between(self, from: PathBuf, to: PathBuf) -> Error {
        let path = to;
        match self {
            Self::Read(source) if source.errno() == Errno::NOENT => Error::Missing {
                path: from,
                nearest: None,
            },
            Self::Read(source) => Error::Read { path: from, source },
            Self::Write(source) => Error::Write { path, source },
            Self::Device(source) => Error::Device { from, path, source },
            Self::Whiteout => Error::Whiteout { path: from },
            Self::Conflict { wanted, there } => Error::Conflict {
                from,
                wanted,
                path,
                there,
            },
            Self::Same => Error::Same { from, path },
            Self::IntoItself => Error::IntoItself { from, path },
            Self::Changed => Error::Changed { path: from },
        }
    }
}

/// Says on which side a call failed.
pub(super) trait Side<T> {
    /// The source couldn't be read.
    fn reading<A: Into<String>>(self, call: &'static str, arguments: impl FnOnce() -> A) -> Result<T, Fault>;
    /// The destination couldn't be written.
    fn writing<A: Into<String>>(self, call: &'static str, arguments: impl FnOnce() -> A) -> Result<T, Fault>;
}

impl<T> Side<T> for rustix::io::Result<T> {
    fn reading<A: Into<String>>(self, call: &'static str, arguments: impl FnOnce() -> A) -> Result<T, Fault> {
        self.map_err(|errno| Fault::Read(wiac_sys::Error::new(call, arguments(), errno)))
    }

    fn writing<A: Into<String>>(self, call: &'static str, arguments: impl FnOnce() -> A) -> Result<T, Fault> {
        self.map_err(|errno| Fault::Write(wiac_sys::Error::new(call, arguments(), errno)))
    }
}

fn name_of(kind: FileKind) -> &'static str {
    match kind {
        FileKind::File => "a file",
        FileKind::Directory => "a directory",
        FileKind::Symlink => "a symlink",
        FileKind::Special => "a device, FIFO or socket",
    }
}

fn meant(nearest: Option<&str>) -> impl fmt::Display {
    nearest.map_or(String::new(), |name| format!("; did you mean {name}?"))
}

fn read_hint(errno: Errno) -> &'static str {
    match errno {
        Errno::ACCESS | Errno::PERM => "; make it readable for this user, or run as root",
        Errno::LOOP => "; its symlinks lead in a circle or are too many",
        Errno::NFILE => "; raise the machine's limit of open files (sysctl fs.file-max)",
        _ => "",
    }
}

fn write_hint(errno: Errno) -> &'static str {
    match errno {
        Errno::NOSPC => "; free space on that file system (df shows which) and try again",
        Errno::DQUOT => "; the disk quota is used up: free space and try again",
        Errno::ROFS => "; choose a destination on a file system that can be written",
        Errno::ACCESS | Errno::PERM => "; choose a destination that this user may write, or run as root",
        Errno::LOOP => "; its symlinks lead in a circle or are too many",
        Errno::NFILE => "; raise the machine's limit of open files (sysctl fs.file-max)",
        _ => "",
    }
}

fn several_hint(there: Option<FileKind>) -> &'static str {
    match there {
        None => "put a slash behind it to have it made",
        Some(_) => "name a directory",
    }
}
