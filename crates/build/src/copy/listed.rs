//! A tree that was gone through before it is copied: what is to be taken of it, and how each entry looked then.

use super::entry::{FileKind, kind};
use super::options::Choice;
use crate::hashes::same_file;
use rustix::fs::{FileType, Stat};
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// One directory, without what is in those below it.
#[derive(Debug)]
pub struct ListedDirectory {
    /// Below the top of the tree.
    pub(crate) path: Vec<u8>,
    /// All names, each with the zero byte that ends it.
    names: Vec<u8>,
    pub(crate) entries: Vec<ListedEntry>,
}

/// What is to be taken of a directory.
#[derive(Debug)]
pub struct ListedEntry {
    /// Where its name begins.
    name: usize,
    /// How it looked.
    pub(crate) looks: Looks,
    /// Device, inode, size and times.
    pub(crate) identity: [u8; 40],
    /// [`Choice::Include`]; or [`Choice::Descend`] for a directory that is needed for something below it.
    pub(crate) choice: Choice,
    /// A file whose earlier copy has its contents and attributes for sure, as long as it has this identity, and no other name.
    pub(crate) is_known: bool,
    /// A further name of the earlier copy was made: nothing was read.
    is_linked: AtomicBool,
}

/// What a copy takes over from a file, but for what is in it.
#[derive(Debug, Clone, Copy)]
pub struct Looks {
    /// Type and permission bits.
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) size: i64,
    pub(super) modified: (i64, u64),
}

impl Looks {
    #[allow(clippy::unnecessary_cast, reason = "the width differs between architectures")]
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            mode: stat.st_mode,
            owner: (stat.st_uid, stat.st_gid),
            size: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec as u64),
        }
    }

    pub(super) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }
}

impl ListedDirectory {
    /// An empty directory.
    pub(crate) fn new(path: &[u8]) -> Self {
        Self {
            path: path.to_vec(),
            names: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Adds an entry; `is_known`: of a file, whether an earlier copy is known to have its contents.
    pub(crate) fn add(&mut self, name: &CStr, stat: &Stat, choice: Choice, is_known: bool) {
        let start = self.names.len();
        self.names.extend(name.to_bytes_with_nul());
        self.entries.push(ListedEntry {
            name: start,
            looks: Looks::of(stat),
            identity: same_file(stat),
            choice,
            // The names of one file stay together: those that were copied before belong to another copy.
            is_known: is_known && stat.st_nlink == 1,
            is_linked: AtomicBool::new(false),
        });
    }

    /// Takes the last entry back.
    pub(crate) fn remove_last(&mut self) {
        self.entries.pop();
    }

    /// Below the top of the tree.
    pub(crate) fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }

    /// The entry called `name`: they are in the order of their names.
    pub(crate) fn find(&self, name: &OsStr) -> Option<&ListedEntry> {
        let found = self
            .entries
            .binary_search_by(|entry| self.name(entry).to_bytes().cmp(name.as_bytes()));
        self.entries.get(found.ok()?)
    }

    /// The name of one of its entries.
    pub(crate) fn name(&self, entry: &ListedEntry) -> &CStr {
        let bytes = self.names.get(entry.name..).unwrap_or_default();
        CStr::from_bytes_until_nul(bytes).unwrap_or_default()
    }
}

impl ListedEntry {
    pub(crate) fn kind(&self) -> FileKind {
        kind(self.looks.file_type())
    }

    pub(crate) fn is_linked(&self) -> bool {
        self.is_linked.load(Ordering::Relaxed)
    }

    pub(crate) fn set_linked(&self) {
        self.is_linked.store(true, Ordering::Relaxed);
    }
}
