//! The build context: a directory whose files COPY may take, without those that .dockerignore leaves out.

use crate::dockerfile::Stop;
use crate::error::{Error, IoExt, Result};
use crate::hashes::HashTable;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wiac_dockerfile::ignore::IgnorePatterns;
use wiac_store::Store;
use wiac_sys::root::Root;

/// A tree that COPY takes files from.
pub struct Source {
    /// The tree.
    pub root: Root,
    /// Where it is, for messages and for remembered hashes.
    pub place: PathBuf,
    /// What is left out.
    pub ignore: IgnorePatterns,
    /// Remembered hashes; none for trees that live for one build.
    pub(crate) hashes: Option<HashTable>,
    /// How messages call it.
    pub description: String,
    /// A directory of this machine: the owners of its files mean nothing in an image, and they may change meanwhile.
    pub is_local: bool,
    /// Ends the reading of many files.
    stop: Option<Arc<Stop>>,
}

impl Source {
    /// The build context in `directory`, with the ignore file that belongs to the Dockerfile `dockerfile`.
    ///
    /// # Errors
    /// When the directory can't be opened or its ignore file not be read.
    pub fn context(store: &Store, directory: &Path, dockerfile: Option<&Path>) -> Result<Self> {
        let place = std::fs::canonicalize(directory).on("open the build context", directory)?;
        if !place.is_dir() {
            return Err(Error::wrong_with_hint(
                format!("the build context {} is not a directory", directory.display()),
                "name the directory the Dockerfile is in",
            ));
        }
        let root = Root::open(&place).on("open the build context", &place)?;
        let ignore = read_ignore(&place, dockerfile)?;
        // A context that was fetched for this build is never met again.
        let is_fetched = place.starts_with(store.temporary_place());
        let hashes = if is_fetched {
            None
        } else {
            Some(HashTable::load(store, &place)?)
        };
        Ok(Self {
            root,
            place,
            ignore,
            hashes,
            description: "the build context".to_owned(),
            is_local: true,
            stop: None,
        })
    }

    /// A directory named by `--build-context`, with an ignore file of its own.
    ///
    /// # Errors
    /// As [`Source::context`].
    pub fn named(store: &Store, name: &str, directory: &Path) -> Result<Self> {
        let mut source = Self::context(store, directory, None)?;
        source.description = format!("the build context {name}");
        Ok(source)
    }

    /// The merged tree of some layers, such as another stage.
    pub fn tree(root: Root, place: PathBuf, description: String) -> Self {
        Self {
            root,
            place,
            ignore: IgnorePatterns::default(),
            hashes: None,
            description,
            is_local: false,
            stop: None,
        }
    }

    /// The same, and whoever goes through it ends when `stop` says so.
    #[must_use]
    pub(crate) fn until(mut self, stop: &Arc<Stop>) -> Self {
        self.stop = Some(Arc::clone(stop));
        self
    }

    /// Whether to go on to the next file.
    pub(crate) fn goes_on(&self) -> bool {
        self.stop.as_ref().is_none_or(|stop| stop.goes_on())
    }

    /// Says why, where something wasn't gone on with.
    ///
    /// # Errors
    /// As [`Stop::check`].
    pub(crate) fn check(&self) -> Result<()> {
        self.stop.as_ref().map_or(Ok(()), |stop| stop.check())
    }

    /// Keeps the hashes that were computed, for the next build.
    ///
    /// # Errors
    /// When the data directory can't be written.
    pub fn save_hashes(&self, store: &Store) -> Result<()> {
        self.hashes.as_ref().map_or(Ok(()), |hashes| hashes.save(store))
    }
}

/// `<Dockerfile>.dockerignore` beside the Dockerfile counts before `.dockerignore` in the context.
fn read_ignore(context: &Path, dockerfile: Option<&Path>) -> Result<IgnorePatterns> {
    let own = dockerfile.map(|path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".dockerignore");
        PathBuf::from(name)
    });
    for path in own.into_iter().chain([context.join(".dockerignore")]) {
        match read_file(&path) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                return IgnorePatterns::parse(&text).map_err(|error| Error::Ignore {
                    path,
                    message: error.to_string(),
                });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).on("read", &path),
        }
    }
    Ok(IgnorePatterns::default())
}

/// A regular file's content: what a fetched context has may be anything, or lead anywhere.
fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.is_file() {
        return std::fs::read(path);
    }
    Err(std::io::Error::other("it isn't a regular file"))
}
