//! Copies trees of files as `cp -a` does, for `wiac copy`, `wiac bundle` and Dockerfile's COPY.
//!
//! [`Copier`] copies one entry, given as a name in an open directory, to another such name; nothing is ever looked up
//! by a longer path, so that nobody who changes a tree meanwhile can lead the copy elsewhere. [`copy_into_layer`] is
//! `wiac copy`: names as the user gives them, and a destination that stays within the layer.
//!
//! Where it differs from `cp -a`: a file takes the place of another one by a rename (the old file stays whole until
//! then, its other names keep its content, and a symlink of that name is replaced, not followed); a directory made in one
//! with the set-group-id bit gets it only if its source has it; the copy stops at the first error; overlay's own
//! attributes are left out and whiteouts refused.

mod again;
mod data;
mod directory;
mod dress;
mod engine;
mod entry;
mod error;
mod layer;
mod links;
mod listed;
mod listing;
mod made;
mod options;
mod shell;
mod sources;
mod tree;
mod walk;
mod words;
mod xattrs;

pub(crate) use entry::kind;
pub use entry::{FileKind, Place};
pub use error::Error;
pub use layer::copy_into_layer;
pub use listed::{ListedDirectory, ListedEntry};
pub use options::{Choice, Conflict, Merged, ModeRule, Options, Ownership, Report};
pub use shell::{ShellStep, plan_in_shell};
pub use tree::ListedTree;

use directory::is_within;
use engine::{Engine, Facts};
use entry::{At, file_type, identity};
use error::{Fault, Side};
use links::Spot;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tree::Copying;
use walk::{Filter, Walk};

/// Copies entries; hard links are kept among everything that one of these copies.
#[derive(Debug)]
pub struct Copier {
    engine: Engine,
}

impl Copier {
    /// A copier with these options. It starts no threads; the umask is looked at once, here.
    pub fn new(options: Options) -> Self {
        Self {
            engine: Engine::new(options),
        }
    }

    /// Copies the entry `from` (a directory with everything below it, a symlink as such) to the name `to`: cp(1),
    /// `cp -a -T`. A directory may be named "." on both sides.
    ///
    /// # Errors
    /// The first entry that can't be copied; of that nothing is left, what was copied before it stays.
    pub fn copy(&mut self, from: &Place<'_>, to: &Place<'_>) -> Result<(), Error> {
        self.run(from, to, None)
    }

    /// As [`Copier::copy`], and `filter` is asked about each entry below the directory `from`, by its path from there,
    /// before anything of it is read. (It isn't asked about `from` itself.)
    pub fn copy_filtered(
        &mut self,
        from: &Place<'_>,
        to: &Place<'_>,
        filter: &mut dyn FnMut(&Path, FileKind) -> Choice,
    ) -> Result<(), Error> {
        self.run(from, to, Some(filter))
    }

    /// Copies a directory as it was listed to the name `to`, where nothing is: what an earlier copy has becomes another name
    /// of that, nothing is taken that isn't listed. `shown`: how messages call the directory to copy.
    ///
    /// # Errors
    /// As [`Copier::copy`].
    pub fn copy_listed(&mut self, tree: ListedTree<'_>, shown: &Path, to: &Place<'_>) -> Result<(), Error> {
        let name = name(to)?;
        let mut copying = Copying {
            tree,
            to: At {
                dir: to.dir,
                name: &name,
            },
            at: PathBuf::new(),
        };
        self.engine.links.start();
        let result = copying.run(&mut self.engine);
        result.map_err(|fault| fault.between(below(shown, &copying.at), below(to.shown, &copying.at)))
    }

    /// Makes a listed file in the directory `to` another name of its earlier copy in the directory `earlier`; `false` where
    /// it has to be copied.
    pub fn link_listed(
        &mut self,
        listed: &ListedDirectory,
        entry: &ListedEntry,
        earlier: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
    ) -> bool {
        if entry.is_known && !Facts::of(to).default_acl {
            again::link(&self.engine.options, listed, entry, earlier, to);
        }
        self.engine.report.files += u64::from(entry.is_linked());
        entry.is_linked()
    }

    /// Asks now and then whether to go on; the copy fails where it isn't to.
    pub fn until(&mut self, goes_on: std::sync::Arc<dyn Fn() -> bool + Send + Sync>) {
        self.engine.until(goes_on);
    }

    /// What has been copied so far.
    pub fn report(&self) -> Report {
        self.engine.report()
    }

    fn run(&mut self, from: &Place<'_>, to: &Place<'_>, filter: Option<Filter<'_>>) -> Result<(), Error> {
        let (from_name, to_name) = (name(from)?, name(to)?);
        let source = At {
            dir: from.dir,
            name: &from_name,
        };
        let target = At {
            dir: to.dir,
            name: &to_name,
        };
        let (result, relative) = self.entry(source, target, filter);
        result.map_err(|fault| fault.between(below(from.shown, &relative), below(to.shown, &relative)))
    }

    /// Copies an entry; with an error comes the path below it where it happened.
    fn entry(&mut self, from: At<'_>, to: At<'_>, filter: Option<Filter<'_>>) -> (Result<(), Fault>, PathBuf) {
        self.engine.links.start();
        let found = statat(from.dir, from.name, AtFlags::SYMLINK_NOFOLLOW).reading("fstatat", || from.show());
        let stat = match found {
            Ok(stat) => stat,
            Err(fault) => return (Err(fault), PathBuf::new()),
        };
        let mut facts = Facts::of(to.dir);
        if file_type(&stat) != FileType::Directory {
            let spot = Spot {
                base: to.dir,
                name: Path::new(OsStr::from_bytes(to.name.to_bytes())),
                relative: Path::new(""),
            };
            let result = self.engine.copy(from, file_type(&stat), to, &mut facts, spot);
            return (result, PathBuf::new());
        }
        if let Err(fault) = refuse_itself(identity(&stat), to) {
            return (Err(fault), PathBuf::new());
        }
        let mut walk = Walk::new(&mut self.engine, to, facts, filter);
        let result = walk.run(from);
        let relative = walk.relative().to_owned();
        walk.abandon();
        (result, relative)
    }
}

/// An error where the directory to copy is `to` or lies above it.
fn refuse_itself(source: entry::Identity, to: At<'_>) -> Result<(), Fault> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let there = openat(to.dir, to.name, flags, Mode::empty());
    let within = match &there {
        Ok(there) => is_within(there.as_fd(), source),
        Err(_) => is_within(to.dir, source),
    };
    if within { Err(Fault::IntoItself) } else { Ok(()) }
}

fn name(place: &Place<'_>) -> Result<CString, Error> {
    let bytes = place.name.as_bytes();
    let bad = || Error::BadPath {
        path: place.name.into(),
    };
    if bytes.is_empty() || bytes.contains(&b'/') {
        return Err(bad());
    }
    CString::new(bytes).map_err(|_| bad())
}

fn below(top: &Path, relative: &Path) -> PathBuf {
    if relative.as_os_str().is_empty() {
        top.to_owned()
    } else {
        top.join(relative)
    }
}
