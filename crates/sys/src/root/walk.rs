//! Resolution of a path step by step, which tells every symlink crossed and gives the canonical path.
//!
//! Each step opens or stats one name without following it, and ".." is taken off the canonical path rather than asked
//! of the kernel: a tree that changes underneath can make a lookup fail, never lead out of the root.

#![allow(clippy::unnecessary_debug_formatting, reason = "a hostile name is shown escaped")]

use super::{FileKind, Metadata, Root, open_regular, openat2, read_link_at, stat_at};
use crate::{Error, Result, ResultExt};
use rustix::fs::{OFlags, ResolveFlags};
use rustix::io::Errno;
use std::collections::{HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// The kernel's own limit of symlinks in one lookup (path_resolution(7)).
const MAX_LINKS: usize = 40;
/// Longest path taken, as PATH_MAX; symlinks can't make the remaining part longer than this many steps either.
const MAX_STEPS: usize = 4096;
/// Open directories kept at a time.
const MAX_DIRECTORIES: usize = 64;

/// Steps by name alone: neither symlinks nor other ways out.
const ONE_STEP: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

/// A symlink that a lookup went through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where it stands: an absolute path in the root whose directories are canonical.
    pub path: PathBuf,
    /// Its text, unchanged.
    pub target: PathBuf,
    /// Of the symlink itself.
    pub metadata: Metadata,
}

/// Where a path led.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The absolute path in the root, free of symlinks, "." and "..".
    pub path: PathBuf,
    /// Every symlink crossed, in order.
    pub links: Vec<Link>,
    /// Every directory that was entered and left again by "..": the path leads nowhere without them. Canonical paths.
    pub left: Vec<PathBuf>,
    /// Of what `path` names.
    pub metadata: Metadata,
}

/// Where a path stopped leading anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// The step that failed: a path whose directories are canonical.
    pub at: PathBuf,
    /// Every symlink crossed before it, in order.
    pub links: Vec<Link>,
    /// Why it failed.
    pub errno: Errno,
}

/// Lookups in one root that share what they have seen.
///
/// Canonical paths are remembered as their bytes: comparing and hashing a [`Path`] takes it apart each time.
#[derive(Debug)]
pub struct Walk<'r> {
    root: &'r Root,
    directories: HashMap<OsString, OwnedFd>,
    seen: HashMap<OsString, Seen>,
}

#[derive(Debug, Clone)]
enum Seen {
    Link(PathBuf, Metadata),
    Other(Metadata),
    Failed(Errno),
}

/// One lookup under way.
struct Lookup {
    at: PathBuf,
    metadata: Option<Metadata>,
    links: Vec<Link>,
    left: Vec<PathBuf>,
    rest: VecDeque<OsString>,
}

impl<'r> Walk<'r> {
    pub(super) fn new(root: &'r Root) -> Self {
        Self {
            root,
            directories: HashMap::new(),
            seen: HashMap::new(),
        }
    }

    /// The root that the lookups stay in.
    pub fn root(&self) -> &'r Root {
        self.root
    }

    /// Follows `path` (taken from "/", also where it's relative) to its end.
    ///
    /// # Errors
    /// ENOENT and ENOTDIR name the first step that fails, ELOOP the symlink at which more than 40 were crossed,
    /// ENAMETOOLONG is a path beyond PATH_MAX.
    pub fn resolve(&mut self, path: impl AsRef<Path>) -> Result<Resolved> {
        self.run(path.as_ref(), true)
    }

    /// Like [`Walk::resolve`], but leaves a symlink at the end unfollowed, as lstat(2).
    pub fn resolve_nofollow(&mut self, path: impl AsRef<Path>) -> Result<Resolved> {
        self.run(path.as_ref(), false)
    }

    /// Opens a resolved regular file for reading; EISDIR or EINVAL for anything else, ESTALE where another file has
    /// taken the path meanwhile.
    pub fn open_file(&mut self, resolved: &Resolved) -> Result<File> {
        let (Some(parent), Some(name)) = (resolved.path.parent(), resolved.path.file_name()) else {
            return Err(failure(&resolved.path, &resolved.path, Errno::ISDIR));
        };
        let directory = self
            .directory(parent)
            .call("openat2", || format!("{parent:?}, O_PATH"))?;
        open_regular(directory, Path::new(name), ONE_STEP, &resolved.metadata)
            .map_err(|error| Error::new("open", format!("{:?}", resolved.path), error.errno()))
    }

    /// Like [`Walk::resolve`], but where the path leads nowhere it tells how far it led: for explanations.
    pub fn trace(&mut self, path: impl AsRef<Path>) -> std::result::Result<Resolved, Blocked> {
        self.follow(path.as_ref(), true)
    }

    fn run(&mut self, path: &Path, follow: bool) -> Result<Resolved> {
        self.follow(path, follow)
            .map_err(|blocked| failure(path, &blocked.at, blocked.errno))
    }

    fn follow(&mut self, path: &Path, follow: bool) -> std::result::Result<Resolved, Blocked> {
        let mut lookup = Lookup::new(path);
        if path.as_os_str().is_empty() {
            return Err(lookup.blocked(path.to_owned(), Errno::NOENT));
        }
        loop {
            self.leap(&mut lookup);
            let Some(name) = lookup.rest.pop_front() else { break };
            if let Err(errno) = self.step(&mut lookup, &name, follow) {
                let at = lookup.at.join(&name);
                return Err(lookup.blocked(at, errno));
            }
        }
        let metadata = match lookup.metadata {
            Some(metadata) => metadata,
            None => match self.directory_metadata(&lookup.at) {
                Ok(metadata) => metadata,
                Err(errno) => {
                    let at = lookup.at.clone();
                    return Err(lookup.blocked(at, errno));
                }
            },
        };
        Ok(Resolved {
            path: lookup.at,
            links: lookup.links,
            left: lookup.left,
            metadata,
        })
    }

    /// Goes straight to the directory of the last name where no symlink is on the way, which the kernel sees at once. Where
    /// one is, or something is missing, it is left to the single steps to say which.
    fn leap(&mut self, lookup: &mut Lookup) {
        let is_plain = |name: &OsString| name != "." && name != "..";
        let parents = lookup.rest.len().saturating_sub(1);
        // In the middle of a path this was tried before.
        if parents < 2 || lookup.metadata.is_some() || !lookup.rest.iter().take(parents).all(is_plain) {
            return;
        }
        let mut parent = lookup.at.clone();
        parent.extend(lookup.rest.iter().take(parents));
        // What the single steps have seen of it already costs nothing.
        let first = lookup.rest.front().map(|first| lookup.at.join(first));
        let is_new = first.is_some_and(|first| !self.seen.contains_key(first.as_os_str()));
        if self.directories.contains_key(parent.as_os_str()) || (is_new && self.directory(&parent).is_ok()) {
            lookup.at = parent;
            lookup.rest.drain(..parents);
        }
    }

    fn step(&mut self, lookup: &mut Lookup, name: &OsStr, follow: bool) -> rustix::io::Result<()> {
        if lookup.metadata.is_some_and(|seen| seen.kind != FileKind::Directory) {
            return Err(Errno::NOTDIR);
        }
        if name == "." {
            return Ok(());
        }
        if name == ".." {
            let left = lookup.at.clone();
            if lookup.at.pop() && !lookup.left.contains(&left) {
                lookup.left.push(left);
            }
            lookup.metadata = None;
            return Ok(());
        }
        match self.look(&lookup.at, name)? {
            Seen::Link(target, metadata) if follow || !lookup.rest.is_empty() => lookup.follow(name, target, metadata),
            Seen::Link(_, metadata) | Seen::Other(metadata) => {
                lookup.enter(name, metadata);
                Ok(())
            }
            Seen::Failed(errno) => Err(errno),
        }
    }

    fn look(&mut self, parent: &Path, name: &OsStr) -> rustix::io::Result<Seen> {
        let path = parent.join(name).into_os_string();
        if let Some(seen) = self.seen.get(&path) {
            return Ok(seen.clone());
        }
        let directory = self.directory(parent)?;
        let seen = match stat_at(directory, name) {
            Ok(metadata) if metadata.kind == FileKind::Symlink => Seen::Link(read_link_at(directory, name)?, metadata),
            Ok(metadata) => Seen::Other(metadata),
            Err(errno) => Seen::Failed(errno),
        };
        self.seen.insert(path, seen.clone());
        Ok(seen)
    }

    /// An open directory of a canonical path.
    fn directory(&mut self, path: &Path) -> rustix::io::Result<BorrowedFd<'_>> {
        let Some(inside) = path.as_os_str().as_bytes().strip_prefix(b"/") else {
            return Err(Errno::INVAL);
        };
        if inside.is_empty() {
            return Ok(self.root.as_fd());
        }
        let key = path.as_os_str();
        if !self.directories.contains_key(key) {
            if self.directories.len() >= MAX_DIRECTORIES {
                self.directories.clear();
            }
            let inside = Path::new(OsStr::from_bytes(inside));
            let fd = openat2(self.root.as_fd(), inside, OFlags::PATH | OFlags::DIRECTORY, ONE_STEP)?;
            self.directories.insert(key.to_owned(), fd);
        }
        self.directories.get(key).map(AsFd::as_fd).ok_or(Errno::BADF)
    }

    fn directory_metadata(&mut self, path: &Path) -> rustix::io::Result<Metadata> {
        rustix::fs::fstat(self.directory(path)?).map(|stat| Metadata::from(&stat))
    }
}

impl Lookup {
    fn new(path: &Path) -> Self {
        Self {
            at: PathBuf::from("/"),
            metadata: None,
            links: Vec::new(),
            left: Vec::new(),
            rest: steps(path),
        }
    }

    fn blocked(self, at: PathBuf, errno: Errno) -> Blocked {
        Blocked {
            at,
            links: self.links,
            errno,
        }
    }

    fn enter(&mut self, name: &OsStr, metadata: Metadata) {
        self.at.push(name);
        self.metadata = Some(metadata);
    }

    fn follow(&mut self, name: &OsStr, target: PathBuf, metadata: Metadata) -> rustix::io::Result<()> {
        if self.links.len() >= MAX_LINKS {
            return Err(Errno::LOOP);
        }
        let mut rest = steps(&target);
        if rest.is_empty() && !target.has_root() {
            return Err(Errno::NOENT);
        }
        rest.append(&mut self.rest);
        if rest.len() > MAX_STEPS {
            return Err(Errno::NAMETOOLONG);
        }
        self.rest = rest;
        let path = self.at.join(name);
        if target.has_root() {
            self.at = PathBuf::from("/");
        }
        self.metadata = None;
        self.links.push(Link { path, target, metadata });
        Ok(())
    }
}

/// The steps of a path; a trailing slash is a "." (so that it asks for a directory).
fn steps(path: &Path) -> VecDeque<OsString> {
    let mut steps: VecDeque<OsString> = path
        .components()
        .filter(|component| *component != Component::RootDir)
        .map(|component| component.as_os_str().to_owned())
        .collect();
    let bytes = path.as_os_str().as_bytes();
    if bytes.ends_with(b"/") || bytes.ends_with(b"/.") {
        steps.push_back(OsString::from("."));
    }
    steps
}

fn failure(path: &Path, at: &Path, errno: Errno) -> Error {
    let arguments = if path == at {
        format!("{path:?}")
    } else {
        format!("{path:?}, at {at:?}")
    };
    Error::new("resolve", arguments, errno)
}
