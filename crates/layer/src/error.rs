//! What can go wrong with a layer directory.

use crate::path::shown;
use std::io;
use std::path::{Path, PathBuf};
use wiac_sys::error::words;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operation on a file failed.
    #[error("can't {action} {}: {}", path.display(), words(source))]
    Io {
        /// What was attempted: "read", "create" …
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A whiteout can't be made where the layer is.
    #[error("can't mark as deleted {}: {}; the data directory's file system keeps no marks of layers, as another \
        overlay and most network file systems don't: use one on ext4, xfs, btrfs or tmpfs (--data DIR or WIAC_DATA)",
        path.display(), wiac_sys::error::describe(*errno))]
    NoMarks {
        /// What was to be marked.
        path: PathBuf,
        /// What the kernel said.
        errno: rustix::io::Errno,
    },
    /// A path of the merged tree leads nowhere.
    #[error("{}: {reason}", path.display())]
    Merged {
        /// The path in the tree.
        path: PathBuf,
        /// Why it can't be followed.
        reason: &'static str,
    },
    /// An archive that isn't valid, or that holds what is refused.
    #[error("{}{reason}", prefix(entry))]
    Archive {
        /// The entry it is about, safe to print; empty where it isn't about one.
        entry: String,
        /// What is wrong.
        reason: String,
    },
    /// The stream that an archive was read from failed.
    #[error("can't read the archive: {}", words(.0))]
    Source(#[source] io::Error),
    /// The stream that an archive was written to failed.
    #[error("can't write the archive: {}", words(.0))]
    Sink(#[source] io::Error),
}

fn prefix(entry: &str) -> String {
    if entry.is_empty() {
        String::new()
    } else {
        format!("{entry}: ")
    }
}

/// What most of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why `path` of a layer can't be marked as deleted: a file system that allows no marks has a message of its own.
pub(crate) fn not_marked(errno: rustix::io::Errno, path: &[u8]) -> Error {
    use rustix::io::Errno;
    let path = shown(path);
    match errno {
        Errno::PERM | Errno::NOTSUP | Errno::NOSYS | Errno::INVAL => Error::NoMarks { path, errno },
        _ => Error::Io {
            action: "mark as deleted",
            path,
            source: errno.into(),
        },
    }
}

/// Says what was attempted on which path.
pub trait IoExt<T> {
    /// Turns an I/O error into [`Error::Io`].
    fn on(self, action: &'static str, path: &Path) -> Result<T>;

    /// The same with a path of a layer, which is made safe to print only where there is an error.
    fn at(self, action: &'static str, path: &[u8]) -> Result<T>;
}

impl<T, E: Into<io::Error>> IoExt<T> for std::result::Result<T, E> {
    fn on(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|error| Error::Io {
            action,
            path: path.to_owned(),
            source: error.into(),
        })
    }

    fn at(self, action: &'static str, path: &[u8]) -> Result<T> {
        self.map_err(|error| Error::Io {
            action,
            path: shown(path),
            source: error.into(),
        })
    }
}
