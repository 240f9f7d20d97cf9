//! What can go wrong with the data directory.

use std::io;
use std::path::{Path, PathBuf};
use wiac_sys::error::words;

/// An error of the store.
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
    /// A file of the store doesn't hold what it should.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The data directory was written by another version.
    #[error("the data directory {} has format {found:?}, this wiac knows {known:?}: use the wiac that made it, or \
        another directory (--data DIR or WIAC_DATA)", path.display())]
    Format {
        /// The data directory.
        path: PathBuf,
        /// What its format file says.
        found: String,
        /// What this version writes.
        known: String,
    },
    /// The data directory's layers have marks that mean nothing to this user's overlays.
    #[error("the data directory {} was made by {owner}, whose layers mark deleted files in another way; \
        name another one (--data DIR or WIAC_DATA)", path.display())]
    OtherForm {
        /// The data directory.
        path: PathBuf,
        /// Whose it is.
        owner: &'static str,
    },
    /// The data directory's file system can't hold marks.
    #[error("the file system of the data directory {} keeps no {kind} attributes, by which layers mark deleted \
        directories; name a directory on another one, such as ext4, xfs or btrfs (--data DIR or WIAC_DATA)",
        path.display())]
    NoAttributes {
        /// The data directory.
        path: PathBuf,
        /// The kind of attributes.
        kind: &'static str,
    },
    /// Nothing can be put together in the data directory.
    #[error("the data directory {0} is on a file system that is mounted read-only: images, inspect, history, layers, df, export and \
        store check work on it; to run an image of it, name another one and the image's layers: wiac --data OTHER run \
        \"$(wiac --data {0} layers -q IMAGE)\" CHANGES COMMAND", path.display())]
    ReadOnly {
        /// The data directory.
        path: PathBuf,
    },
    /// The data directory is not ours.
    #[error("{} is not empty and not a data directory of wiac; name another one (--data DIR or WIAC_DATA)",
        path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// A check can't tell what is damaged.
    #[error("the check of {} can't go on, and takes nothing for damaged that it couldn't look at: {reason}", path.display())]
    Hindered {
        /// The data directory.
        path: PathBuf,
        /// What couldn't be looked at, and why.
        reason: String,
    },
    /// No image has this name or id.
    #[error("no image is called {name:?}{}", nearest.as_ref().map(|n| format!(" (did you mean {n}?)")).unwrap_or_default())]
    NoSuchImage {
        /// What was asked for.
        name: String,
        /// The name nearest to it.
        nearest: Option<String>,
    },
    /// The beginning of an id fits several images.
    #[error("{prefix:?} is the beginning of {count} image ids; give more of it")]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// How many it fits.
        count: usize,
    },
    /// An image's layer isn't there.
    #[error("layer {id} is missing; build or load the image again")]
    NoSuchLayer {
        /// Its id.
        id: String,
    },
    /// A blob isn't there.
    #[error("blob {digest} is missing; load or pull the image again")]
    NoSuchBlob {
        /// Its digest.
        digest: String,
    },
    /// An archive or layout of images can't be used.
    #[error("{}: {reason}", path.display())]
    Archive {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// An image can't be taken into the store.
    #[error("{image}: {reason}")]
    Image {
        /// What it is called.
        image: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A name isn't an image reference.
    #[error(transparent)]
    Reference(#[from] wiac_oci::reference::ReferenceError),
    /// A layer directory.
    #[error(transparent)]
    Layer(#[from] wiac_layer::Error),
}

impl Error {
    /// Something wrong with an archive.
    pub(crate) fn archive(path: &Path, reason: impl Into<String>) -> Self {
        Self::Archive {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    /// Something wrong with an image.
    pub(crate) fn image(image: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Image {
            image: image.into(),
            reason: reason.into(),
        }
    }
}

/// What most of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Says what was attempted on which path.
pub trait IoExt<T> {
    /// Turns an I/O error into [`Error::Io`].
    fn on(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T, E: Into<io::Error>> IoExt<T> for std::result::Result<T, E> {
    fn on(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|error| Error::Io {
            action,
            path: path.to_owned(),
            source: error.into(),
        })
    }
}
