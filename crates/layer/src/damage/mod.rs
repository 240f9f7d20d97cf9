//! A layer directory beside one that was just unpacked of the same tar: what became of its files since.
//!
//! Unlike [`compare`](crate::compare), which looks at two builds, one of the two is known to be right: what is found names
//! what is there and what should be. What couldn't be put on disk (see [`owners`](crate::owners)) counts as if it were there.
//! Both directories are walked by open descriptors, and no symlink in them is followed. Memory is needed for the names of
//! one directory, for the paths of directories not yet looked into, and for files with several names.

mod content;
mod difference;
mod node;

pub use difference::{Difference, Kind};

use crate::error::{IoExt, Result};
use crate::owners::{Intended, OwnerRecord};
use crate::path::join;
use crate::unpack::inside::Inside;
use node::{Node, Spot};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{Dir, Mode, OFlags};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A layer directory with what couldn't be put on disk of it.
#[derive(Clone, Copy)]
pub struct Side<'s> {
    /// The directory; may be O_PATH.
    pub directory: BorrowedFd<'s>,
    /// The record beside it.
    pub owners: Option<&'s OwnerRecord>,
}

/// One path of a layer that isn't what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// From the layer's root, with a slash in front, safe to print.
    pub path: String,
    /// At least one.
    pub differences: Vec<Difference>,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Damages {
    /// The first ones, those of a directory before those in its directories.
    pub first: Vec<Damaged>,
    /// How many paths there are that aren't what they should be.
    pub count: u64,
}

impl Damages {
    /// Whether the layer is what it should be.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// Looks for what in the layer `found` isn't as in `meant`; keeps the first `most` of it.
///
/// Not looked at are change and access times, how a file is divided into holes and data, what the machine gives to files
/// (labels of security modules), when a whiteout was made, and overlayfs's `origin`, which only says whether whiteouts
/// are listed.
///
/// # Errors
/// [`crate::Error::Io`]: a layer's root can't be read. What can't be read in it is a difference.
pub fn damages(found: Side<'_>, meant: Side<'_>, most: usize) -> Result<Damages> {
    let mut looking = Looking {
        roots: [inside(found.directory)?, inside(meant.directory)?],
        owners: [found.owners, meant.owners],
        waiting: vec![Vec::new()],
        pairs: Pairs::default(),
        most,
        result: Damages::default(),
    };
    let root = [0, 1].map(|side: usize| looking.roots[side].root().clone());
    let spots = [0, 1].map(|side: usize| Spot {
        parent: &root[side],
        name: OsStr::new("."),
        intended: looking.intended(side, b""),
    });
    let differences = compare(&spots, &nodes(&spots, b"")?, b"");
    looking.note(b"", differences);
    while let Some(path) = looking.waiting.pop() {
        if let Err(error) = looking.directory(&path) {
            looking.note(&path, vec![Difference::Unreadable(error.to_string())]);
        }
    }
    Ok(looking.result)
}

fn inside(directory: BorrowedFd<'_>) -> Result<Inside> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(directory, ".", flags, Mode::empty()).at("open", b"")?;
    Ok(Inside::new(root))
}

/// A look at two layers: first the one that was found, then the one that was meant.
struct Looking<'l> {
    roots: [Inside; 2],
    owners: [Option<&'l OwnerRecord>; 2],
    /// Directories that both have and that weren't looked into yet, the next one last.
    waiting: Vec<Vec<u8>>,
    pairs: Pairs,
    most: usize,
    result: Damages,
}

impl<'l> Looking<'l> {
    fn intended(&self, side: usize, path: &[u8]) -> Option<&'l Intended> {
        self.owners[side].and_then(|record| record.get(path))
    }

    fn note(&mut self, path: &[u8], differences: Vec<Difference>) {
        if differences.is_empty() {
            return;
        }
        self.result.count += 1;
        if self.result.first.len() < self.most {
            let path = format!("/{}", crate::tar::shown(path));
            self.result.first.push(Damaged { path, differences });
        }
    }

    /// Looks at all names in a directory that both have.
    fn directory(&mut self, path: &[u8]) -> Result<()> {
        let open = |side: &Inside| side.open(path, OFlags::RDONLY).at("open", path);
        let opened = [open(&self.roots[0])?, open(&self.roots[1])?];
        let [found, meant] = [names(&opened[0], path)?, names(&opened[1], path)?];
        let (mut found, mut meant) = (found.iter().peekable(), meant.iter().peekable());
        let first = self.waiting.len();
        loop {
            let order = match (found.peek(), meant.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => one.cmp(other),
            };
            let here = if order.is_le() { found.next() } else { None };
            let there = if order.is_ge() { meant.next() } else { None };
            let Some(name) = here.or(there) else { break };
            let path = join(path, name.as_bytes());
            match order {
                Ordering::Equal => self.name(&opened, name, path)?,
                Ordering::Less => self.note(&path, vec![Difference::Added]),
                Ordering::Greater => {
                    let spot = self.spot(1, &opened[1], name, &path);
                    let kind = node::look(&spot, &path)?.map_or(Kind::File, |node| node.kind);
                    self.note(&path, vec![Difference::Missing(kind)]);
                }
            }
        }
        // In their order, though taken from the end.
        self.waiting[first..].reverse();
        Ok(())
    }

    fn spot<'p>(&self, side: usize, parent: &'p OwnedFd, name: &'p OsStr, path: &[u8]) -> Spot<'p>
    where
        'l: 'p,
    {
        Spot {
            parent,
            name,
            intended: self.intended(side, path),
        }
    }

    /// Looks at a name that both directories have.
    fn name(&mut self, opened: &[OwnedFd; 2], name: &OsStr, path: Vec<u8>) -> Result<()> {
        let spots = [0, 1].map(|side: usize| self.spot(side, &opened[side], name, &path));
        let nodes = nodes(&spots, &path)?;
        if nodes[0].kind == Kind::Directory && nodes[1].kind == Kind::Directory {
            self.note(&path, compare(&spots, &nodes, &path));
            self.waiting.push(path);
            return Ok(());
        }
        let differences = match self.pairs.meet(&nodes, &path) {
            // What is to be said of the file was said at its first name.
            Met::Again => Vec::new(),
            Met::First => compare(&spots, &nodes, &path),
            Met::Wrong(difference) => {
                let mut differences = compare(&spots, &nodes, &path);
                differences.push(difference);
                differences
            }
        };
        self.note(&path, differences);
        Ok(())
    }
}

/// What can't be read is wrong, too, and the rest is looked at all the same.
fn compare(spots: &[Spot<'_>; 2], nodes: &[Node; 2], path: &[u8]) -> Vec<Difference> {
    let differences = node::compare(spots, nodes, path);
    differences.unwrap_or_else(|error| vec![Difference::Unreadable(error.to_string())])
}

fn nodes(spots: &[Spot<'_>; 2], path: &[u8]) -> Result<[Node; 2]> {
    let there = |spot: &Spot<'_>| {
        let gone = || std::io::Error::from(std::io::ErrorKind::NotFound);
        node::look(spot, path)?.ok_or_else(gone).at("look at", path)
    };
    Ok([there(&spots[0])?, there(&spots[1])?])
}

/// The names in a directory, sorted.
fn names(directory: &OwnedFd, path: &[u8]) -> Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory).at("read", path)? {
        let name = entry.at("read", path)?.file_name().to_bytes().to_vec();
        if !matches!(name.as_slice(), b"." | b"..") {
            names.push(OsString::from_vec(name));
        }
    }
    names.sort();
    Ok(names)
}

/// Which file of the one layer is which of the other, of those with several names. How many names a file has isn't
/// compared: a layer that was made of several shares its files with them by hard links.
#[derive(Default)]
struct Pairs {
    /// By the file that is meant: the one that was found, and where.
    by_meant: HashMap<u64, (u64, Box<[u8]>)>,
    /// By the file that was found: the one that is meant, and where.
    by_found: HashMap<u64, (u64, Box<[u8]>)>,
}

enum Met {
    First,
    Again,
    Wrong(Difference),
}

impl Pairs {
    fn meet(&mut self, [found, meant]: &[Node; 2], path: &[u8]) -> Met {
        // Whiteouts may share an inode, and mean nothing by it.
        if found.links.max(meant.links) < 2 || found.kind != meant.kind || meant.kind == Kind::Whiteout {
            return Met::First;
        }
        let first = |at: &[u8]| format!("/{}", crate::tar::shown(at));
        match (self.by_meant.get(&meant.inode), self.by_found.get(&found.inode)) {
            (Some((other, _)), _) if *other == found.inode => Met::Again,
            (Some((_, at)), _) => Met::Wrong(Difference::Parted(first(at))),
            (None, Some((_, at))) => Met::Wrong(Difference::Linked(first(at))),
            (None, None) => {
                self.by_meant.insert(meant.inode, (found.inode, path.into()));
                self.by_found.insert(found.inode, (meant.inode, path.into()));
                Met::First
            }
        }
    }
}
