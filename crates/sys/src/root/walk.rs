//! Resolution of a path step by step, which tells every symlink crossed and gives the canonical path.
//!
//! Each step opens or stats one name without following it, and ".." is taken off the canonical path rather than asked
//! of the kernel: a tree that changes underneath can make a lookup fail, never lead out of the root.

#![allow(clippy::unnecessary_debug_formatting, reason = "a hostile name is shown escaped")]

mod rest;

use super::{DirectoryEntry, FileKind, Metadata, Root, open_regular, openat2, read_link_at, stat_at};
use crate::map::HashMap;
use crate::{Error, Result, ResultExt};
use rest::Rest;
use rustix::fs::{OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The kernel's own limit of symlinks in one lookup (path_resolution(7)).
const MAX_LINKS: usize = 40;
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
    /// Where the path of a step is put together, to be looked up.
    key: OsString,
    shortage: Option<Shortage>,
}

/// An answer of the kernel that says nothing of the path it was asked about: no more files may be opened, or the
/// disk or the memory fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// The path.
    pub path: PathBuf,
    /// The answer.
    pub errno: Errno,
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
}

impl<'r> Walk<'r> {
    pub(super) fn new(root: &'r Root) -> Self {
        Self {
            root,
            directories: HashMap::default(),
            seen: HashMap::default(),
            key: OsString::new(),
            shortage: None,
        }
    }

    /// The first answer so far that said nothing of its path. Who passes over paths that lead nowhere must ask in the
    /// end: what was taken for missing may be there.
    pub fn take_shortage(&mut self) -> Option<Shortage> {
        self.shortage.take()
    }

    fn note(&mut self, path: &Path, errno: Errno) {
        let says_nothing = matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::IO);
        if says_nothing && self.shortage.is_none() {
            let path = path.to_owned();
            self.shortage = Some(Shortage { path, errno });
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
    /// ENAMETOOLONG is a path that symlinks make longer than 64 KiB.
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
        let opened = self.sparing(|walk| walk.open_seen(resolved), Error::errno);
        opened.inspect_err(|error| self.note(&resolved.path, error.errno()))
    }

    /// [`Root::read_dir`].
    pub fn read_dir(&mut self, path: impl AsRef<Path>) -> Result<Vec<DirectoryEntry>> {
        let path = path.as_ref();
        let entries = self.sparing(|walk| walk.root.read_dir(path), Error::errno);
        entries.inspect_err(|error| self.note(path, error.errno()))
    }

    /// Where no more files may be open, those go that are kept for later.
    fn sparing<T, E>(
        &mut self,
        open: impl Fn(&mut Self) -> std::result::Result<T, E>,
        errno: impl Fn(&E) -> Errno,
    ) -> std::result::Result<T, E> {
        match open(self) {
            Err(error) if matches!(errno(&error), Errno::MFILE | Errno::NFILE) && !self.directories.is_empty() => {
                self.directories.clear();
                open(self)
            }
            result => result,
        }
    }

    fn open_seen(&mut self, resolved: &Resolved) -> Result<File> {
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
        let followed = self.take_steps(path, follow);
        followed.inspect_err(|blocked| self.note(path, blocked.errno))
    }

    fn take_steps(&mut self, path: &Path, follow: bool) -> std::result::Result<Resolved, Blocked> {
        let mut lookup = Lookup::new();
        if path.as_os_str().is_empty() {
            return Err(lookup.blocked(path.to_owned(), Errno::NOENT));
        }
        let mut rest = Rest::new(path);
        loop {
            self.leap(&mut lookup, &mut rest);
            let Some((name, is_last)) = rest.next() else { break };
            match self.step(&mut lookup, name, follow || !is_last) {
                Ok(None) => {}
                Ok(Some(target)) => {
                    if let Err(errno) = rest.put_before(&target) {
                        let at = lookup.links.pop().map(|link| link.path).unwrap_or_default();
                        return Err(lookup.blocked(at, errno));
                    }
                }
                Err(errno) => {
                    let at = lookup.at.join(name);
                    return Err(lookup.blocked(at, errno));
                }
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
    fn leap(&mut self, lookup: &mut Lookup, rest: &mut Rest) {
        // In the middle of a path this was tried before.
        if lookup.metadata.is_some() {
            return;
        }
        let Some((first, parents)) = rest.parents() else { return };
        let mut parent = PathBuf::with_capacity(lookup.at.as_os_str().len() + rest.left().len() + 1);
        parent.push(&lookup.at);
        parent.push(first);
        // What the single steps have seen of it already costs nothing.
        let is_new = !self.seen.contains_key(parent.as_os_str());
        parent.push(OsStr::from_bytes(&parents.as_bytes()[first.len() + 1..]));
        if self.directories.contains_key(parent.as_os_str()) || (is_new && self.directory(&parent).is_ok()) {
            lookup.at = parent;
            rest.done += parents.len() + 1;
        }
    }

    /// Takes one step. Gives the text of the symlink that is to be followed now.
    fn step(&mut self, lookup: &mut Lookup, name: &OsStr, follow: bool) -> rustix::io::Result<Option<PathBuf>> {
        if lookup.metadata.is_some_and(|seen| seen.kind != FileKind::Directory) {
            return Err(Errno::NOTDIR);
        }
        if name == "." {
            return Ok(None);
        }
        if name == ".." {
            let left = lookup.at.clone();
            if lookup.at.pop() && !lookup.left.contains(&left) {
                lookup.left.push(left);
            }
            lookup.metadata = None;
            return Ok(None);
        }
        match self.look(&lookup.at, name)? {
            Seen::Link(target, metadata) if follow => lookup.follow(name, target, metadata).map(Some),
            Seen::Link(_, metadata) | Seen::Other(metadata) => {
                lookup.enter(name, metadata);
                Ok(None)
            }
            Seen::Failed(errno) => Err(errno),
        }
    }

    fn look(&mut self, parent: &Path, name: &OsStr) -> rustix::io::Result<Seen> {
        self.key.clear();
        self.key.push(parent);
        if parent.as_os_str() != "/" {
            self.key.push("/");
        }
        self.key.push(name);
        if let Some(seen) = self.seen.get(&self.key) {
            return Ok(seen.clone());
        }
        let seen = if let Some(open) = self.directories.get(&self.key) {
            // It was opened on a straight way: it is a directory, and the one above needn't be opened for it.
            Seen::Other(rustix::fs::fstat(open).map(|stat| Metadata::from(&stat))?)
        } else {
            let directory = self.directory(parent)?;
            match stat_at(directory, name) {
                Ok(metadata) if metadata.kind == FileKind::Symlink => {
                    Seen::Link(read_link_at(directory, name)?, metadata)
                }
                Ok(metadata) => Seen::Other(metadata),
                Err(errno) => Seen::Failed(errno),
            }
        };
        self.seen.insert(self.key.clone(), seen.clone());
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
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            let fd = self.sparing(
                |walk| openat2(walk.root.as_fd(), inside, flags, ONE_STEP),
                |errno| *errno,
            )?;
            self.directories.insert(key.to_owned(), fd);
        }
        self.directories.get(key).map(AsFd::as_fd).ok_or(Errno::BADF)
    }

    fn directory_metadata(&mut self, path: &Path) -> rustix::io::Result<Metadata> {
        rustix::fs::fstat(self.directory(path)?).map(|stat| Metadata::from(&stat))
    }
}

impl Lookup {
    fn new() -> Self {
        Self {
            at: PathBuf::from("/"),
            metadata: None,
            links: Vec::new(),
            left: Vec::new(),
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

    fn follow(&mut self, name: &OsStr, target: PathBuf, metadata: Metadata) -> rustix::io::Result<PathBuf> {
        if self.links.len() >= MAX_LINKS {
            return Err(Errno::LOOP);
        }
        if target.as_os_str().is_empty() {
            return Err(Errno::NOENT);
        }
        let path = self.at.join(name);
        if target.has_root() {
            self.at = PathBuf::from("/");
        }
        self.metadata = None;
        let followed = target.clone();
        self.links.push(Link { path, target, metadata });
        Ok(followed)
    }
}

fn failure(path: &Path, at: &Path, errno: Errno) -> Error {
    let arguments = if path == at {
        format!("{path:?}")
    } else {
        format!("{path:?}, at {at:?}")
    };
    Error::new("resolve", arguments, errno)
}
