//! Copies a directory by a list of what is in it, with an earlier copy at hand.
//!
//! First all directories are made, then what is known to be in the earlier copy is linked from there, by several threads where
//! it is much, then the rest is copied, and the directories get their metadata. Nothing is taken that isn't listed. Directories
//! are opened beneath those that the caller gave and without following symlinks, so that nobody who changes the tree
//! meanwhile can lead the copy elsewhere.

#![allow(clippy::unnecessary_debug_formatting, reason = "a hostile name is shown escaped")]

use super::again;
use super::directory::{Parent, Target};
use super::engine::{Engine, Facts};
use super::entry::{At, FileKind, Wanted};
use super::error::{Fault, Side};
use super::links::Spot;
use super::listed::{ListedDirectory, ListedEntry};
use super::options::Options;
use rustix::fs::{Mode, OFlags, ResolveFlags, fstat, mkdirat, openat2};
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;

/// So many files are linked before another thread has begun.
const FEW: usize = 3000;

/// As many threads as are of use: more wait for each other in the kernel.
const MOST: usize = 4;

/// A directory to copy, as it was listed.
#[derive(Debug, Clone, Copy)]
pub struct ListedTree<'t> {
    /// The directory itself, and then all below it, each after the one above it.
    pub directories: &'t [ListedDirectory],
    /// The directory that the paths of these start at.
    pub source: BorrowedFd<'t>,
    /// Where the earlier copy of the tree is: below this directory,
    pub earlier: BorrowedFd<'t>,
    /// under this path.
    pub earlier_path: &'t Path,
}

/// The copy of one.
pub(super) struct Copying<'c> {
    pub(super) tree: ListedTree<'c>,
    pub(super) to: At<'c>,
    /// The path below the top of what is being copied.
    pub(super) at: PathBuf,
}

impl Copying<'_> {
    /// Copies all of it. After an error `at` tells where it stopped; after a request to end, something is missing.
    pub(super) fn run(&mut self, engine: &mut Engine) -> Result<(), Fault> {
        let Some(top) = self.tree.directories.first() else {
            return Ok(());
        };
        let source = self.source(top)?;
        let facts = Facts::of(self.to.dir);
        let parent = Parent {
            dir: self.to.dir,
            facts,
            top: true,
        };
        let stat = fstat(&source).reading("fstat", || self.to.show())?;
        let target = Target::make(&engine.options, &parent, self.to.name, &stat)?;
        drop((source, target));
        self.make_directories()?;
        // What inherits an ACL isn't what was made before.
        if !facts.default_acl {
            self.link(engine);
        }
        let directories = self.tree.directories;
        for (number, listed) in directories.iter().enumerate().rev() {
            if engine.stop().is_some_and(|goes_on| !goes_on()) {
                return Ok(());
            }
            self.at = self.below(listed).to_owned();
            self.finish(engine, listed, number == 0 && facts.default_acl)?;
        }
        Ok(())
    }

    /// The path of a directory below the top.
    fn below<'l>(&self, listed: &'l ListedDirectory) -> &'l Path {
        let top = self.tree.directories.first().map_or(0, |top| top.path.len());
        let rest = listed.path.get(top..).unwrap_or_default();
        Path::new(OsStr::from_bytes(rest.strip_prefix(b"/").unwrap_or(rest)))
    }

    fn source(&self, listed: &ListedDirectory) -> Result<OwnedFd, Fault> {
        open(self.tree.source, listed.path()).reading("openat2", || format!("{:?}", listed.path()))
    }

    fn target(&self, listed: &ListedDirectory) -> Result<OwnedFd, Fault> {
        let path = Path::new(OsStr::from_bytes(self.to.name.to_bytes())).join(self.below(listed));
        open(self.to.dir, &path).writing("openat2", || format!("{path:?}"))
    }

    fn make_directories(&mut self) -> Result<(), Fault> {
        for listed in self.tree.directories {
            let is_directory = |entry: &&ListedEntry| entry.kind() == FileKind::Directory;
            let mut below = listed.entries.iter().filter(is_directory).peekable();
            if below.peek().is_none() {
                continue;
            }
            self.at = self.below(listed).to_owned();
            let target = self.target(listed)?;
            for entry in below {
                let name = listed.name(entry);
                // For the caller alone, until it gets its metadata.
                mkdirat(&target, name, Mode::RWXU).writing("mkdirat", || format!("{name:?}"))?;
            }
        }
        Ok(())
    }

    /// Links what the earlier copy has. Whatever fails here is copied later.
    fn link(&self, engine: &Engine) {
        let (options, stop) = (&engine.options, engine.stop());
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(listed) = self.tree.directories.get(next.fetch_add(1, Ordering::Relaxed))
                && stop.as_ref().is_none_or(|goes_on| goes_on())
            {
                self.link_one(options, listed);
            }
        };
        let count: usize = self.tree.directories.iter().map(|listed| listed.entries.len()).sum();
        std::thread::scope(|scope| {
            if count > FEW {
                let processors = std::thread::available_parallelism().map_or(1, usize::from);
                for _ in 1..processors.min(MOST) {
                    // Without another thread it takes longer.
                    let _ = Builder::new().name("linking".to_owned()).spawn_scoped(scope, work);
                }
            }
            work();
        });
    }

    fn link_one(&self, options: &Options, listed: &ListedDirectory) {
        let path = self.tree.earlier_path.join(self.below(listed));
        let (Ok(earlier), Ok(target)) = (open(self.tree.earlier, &path), self.target(listed)) else {
            return;
        };
        for entry in &listed.entries {
            again::link(options, listed, entry, earlier.as_fd(), target.as_fd());
        }
    }

    /// Copies what isn't linked of a directory, and gives it its metadata.
    fn finish(&mut self, engine: &mut Engine, listed: &ListedDirectory, inherits_acl: bool) -> Result<(), Fault> {
        let (source, target) = (self.source(listed)?, self.target(listed)?);
        let is = fstat(&target).writing("fstat", String::new)?;
        let mut facts = Facts::default();
        if inherits_acl {
            facts = Facts::of(target.as_fd());
        }
        let above = self.at.clone();
        for entry in &listed.entries {
            if entry.is_linked() {
                engine.report.files += 1;
            } else if entry.kind() != FileKind::Directory {
                let name = listed.name(entry);
                self.at = above.join(OsStr::from_bytes(name.to_bytes()));
                let [from, to] = [&source, &target].map(|directory| At {
                    dir: directory.as_fd(),
                    name,
                });
                let spot = Spot {
                    base: self.to.dir,
                    name: Path::new(OsStr::from_bytes(self.to.name.to_bytes())),
                    relative: &self.at,
                };
                engine.copy(from, entry.looks.file_type(), to, &mut facts, spot)?;
            }
        }
        self.at = above;
        let stat = fstat(&source).reading("fstat", String::new)?;
        let wanted = Wanted::new(&stat, &engine.options);
        engine.dress_directory(source.as_fd(), target.as_fd(), &wanted, &is, inherits_acl)?;
        engine.report.directories += 1;
        Ok(())
    }
}

/// Opens a directory beneath another one; the empty path is that one itself.
fn open(directory: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    openat2(directory, path, flags, Mode::empty(), inside)
}
