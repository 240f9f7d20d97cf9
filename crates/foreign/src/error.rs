//! What can go wrong with another tool's store.

use std::io;
use std::path::{Path, PathBuf};
use wiac_sys::error::words;

/// An error of this crate: which store, where, what is wrong, what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operation on a file failed.
    #[error("can't {action} {}: {}", path.display(), words(source))]
    Io {
        /// What was attempted: "read", "lock" …
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A name that begins as one of a store but isn't.
    #[error("invalid name {text:?}: {reason}")]
    Name {
        /// The name as given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no store.
    #[error("no {tool} store at {}: {remedy}", places.join(", "))]
    NoStore {
        /// Whose: "podman", "docker".
        tool: &'static str,
        /// Where it was looked for.
        places: Vec<String>,
        /// What to do.
        remedy: &'static str,
    },
    /// No image has this name or id.
    #[error("the {tool} store at {} has no image {name:?}{}", place.display(), suggestion(nearest.as_deref()))]
    NoSuchImage {
        /// Whose store.
        tool: &'static str,
        /// Where it is.
        place: PathBuf,
        /// What was asked for.
        name: String,
        /// The name nearest to it.
        nearest: Option<String>,
    },
    /// The beginning of an id fits several images.
    #[error("{prefix:?} is the beginning of {count} image ids in {}; give more of it", place.display())]
    Ambiguous {
        /// Where the store is.
        place: PathBuf,
        /// What was given.
        prefix: String,
        /// How many it fits.
        count: usize,
    },
    /// Something that can't be read in place.
    #[error("can't use {} in place: {what}; {remedy}", path.display())]
    Unsupported {
        /// The store, layer or file it is about.
        path: PathBuf,
        /// What it is: a driver, a form.
        what: String,
        /// What to do instead.
        remedy: String,
    },
    /// The store belongs to somebody else: owners of its files would be shifted.
    #[error("the {tool} store at {} belongs to {}: run wiac as that user", path.display(), user(*owner))]
    OtherUser {
        /// Whose format.
        tool: &'static str,
        /// Where it is.
        path: PathBuf,
        /// The owner's id.
        owner: u32,
    },
    /// A record doesn't hold what it should.
    #[error("{} is damaged: {reason}; load or pull the image again with its own tool", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The image has no variant for this machine.
    #[error("image {name:?} in {} has nothing for {platform}: {remedy}", place.display())]
    Platform {
        /// Where the store is.
        place: PathBuf,
        /// What was asked for.
        name: String,
        /// This machine's platform.
        platform: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A configuration file of the tool can't be understood.
    #[error("can't understand {}: {reason}", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// What most of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn damaged(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.into(),
            reason: reason.into(),
        }
    }

    /// A store that this user may not read.
    pub(crate) fn forbidden(path: &Path) -> Self {
        Self::unsupported(path, "this user may not read it", "run wiac as the store's owner")
    }

    pub(crate) fn unsupported(path: impl Into<PathBuf>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Unsupported {
            path: path.into(),
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest
        .map(|name| format!(" (did you mean {name}?)"))
        .unwrap_or_default()
}

/// Says what was attempted on which path.
pub(crate) trait IoExt<T> {
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

/// A user, for messages. One who has no id in this user namespace is shown as the kernel's overflow id (`user_namespaces(7)`):
/// a user's wiac sees root as that.
fn user(id: u32) -> String {
    const OVERFLOW: u32 = 65534;
    match id {
        OVERFLOW => "another user, perhaps root".to_owned(),
        id => format!("user {id}"),
    }
}
