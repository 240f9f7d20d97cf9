//! What a build takes from elsewhere, files of the web and git repositories: asked for here, fetched by whoever knows
//! the network.

use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::Path;
use wiac_dockerfile::remote::GitSource;

/// Fetches for ADD. Steps of several stages may ask at once.
pub trait Fetcher: Sync {
    /// Asks for the file at an address. `known`: what it was the last time; nothing where it has to come in any case.
    ///
    /// # Errors
    /// Where it can't be had; the message names the address.
    fn download<'f>(&'f self, address: &str, known: &Validators) -> Result<Download<'f>>;

    /// The commit that a repository's ref is at present.
    ///
    /// # Errors
    /// Where there is no such ref, or git is missing.
    fn resolve(&self, git: &GitSource, around: &dyn Surroundings) -> Result<String>;

    /// Puts the files of a commit, with its submodules, into the empty directory `into`. The repository's `.git` is in
    /// it where it is to be kept.
    ///
    /// # Errors
    /// As [`Fetcher::resolve`].
    fn checkout(
        &self,
        git: &GitSource,
        commit: &str,
        keep_git_dir: bool,
        into: &Path,
        around: &dyn Surroundings,
    ) -> Result<()>;
}

/// What goes on around a fetcher that starts programs.
pub trait Surroundings {
    /// Calls `start`, which starts a program, while no container starts: that one would keep the program's pipes open.
    fn start(&self, start: &mut dyn FnMut());

    /// Whether what is asked for isn't wanted any more.
    fn is_ending(&self) -> bool;
}

/// Nothing: no container is near.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

impl Surroundings for Alone {
    fn start(&self, start: &mut dyn FnMut()) {
        start();
    }

    fn is_ending(&self) -> bool {
        false
    }
}

/// What a server is asked with whether a file is still the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// HTTP's `ETag`.
    pub etag: Option<String>,
    /// HTTP's `Last-Modified`.
    pub last_modified: Option<String>,
}

/// The answer for a file.
pub enum Download<'f> {
    /// It is what it was.
    Unchanged,
    /// It comes now.
    File {
        /// What to ask with the next time.
        validators: Validators,
        /// When it was changed, in seconds since 1970, where that is known.
        modified: Option<i64>,
        /// Its bytes; fails where they aren't whole.
        body: Box<dyn Read + 'f>,
    },
}
