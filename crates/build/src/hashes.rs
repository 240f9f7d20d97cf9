//! Hashes of files' contents (and extended attributes), remembered by what the file system says of a file, so that an unchanged file is not read
//! again.
//!
//! A file is known by path, device, inode, size, modification and change time. One that is as young as the clock's
//! granularity is not remembered: it could change again without its times telling.
//!
//! The table is the file as it stands on disk, and is looked up as it is: directories in the order of their paths, in each the
//! files in the order of their names ([`records`]). Whoever goes through a tree asks in that very order, so that memory is read
//! from one end to the other and nothing is computed to find a file.

mod records;

use crate::error::Result;
use crate::key::KeyMaker;
use records::{Identity, Record, Records, identity};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{Mode, OFlags, Stat};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::Read;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wiac_oci::digest::{Algorithm, Hasher};
use wiac_store::{LayerId, Store};

pub(crate) use records::same_file;

/// Begins the file: another version of it is not read.
const MAGIC: &[u8] = b"wiac file hashes 5\n";

/// What follows: a random name of this state of the table, by which it is known again.
const NAME: usize = 16;

/// As many changed files as are kept in mind.
const MOST_CHANGED: usize = 16;

/// Coarser than the timestamps of any local file system in use.
const GRANULARITY: Duration = Duration::from_millis(50);

/// Half a SHA-256.
pub(crate) type Short = [u8; 16];

/// The SHA-256 of a file's contents and extended attributes.
pub(crate) type ContentHash = [u8; 32];

/// The table of one directory tree.
pub(crate) struct HashTable {
    name: String,
    /// The name of its state when it was read; `None` where there was none.
    state: Option<String>,
    /// Copies to remember when it is written: key → layer.
    copies: Mutex<Vec<(String, LayerId)>>,
    /// What earlier builds remembered: the directories, as they stand in the file.
    known: Bytes,
    /// Where in it each of them is, in the order of their paths.
    index: Vec<records::Section>,
    /// What this one adds, by directory. Stages that are built at the same time share it, and read files side by side.
    new: Mutex<Added>,
    changed: Mutex<BTreeSet<String>>,
}

/// Bytes in memory, or of a file that is mapped.
type Bytes = Box<dyn Deref<Target = [u8]> + Send + Sync>;

/// What was hashed now: the path of a directory → records of files in it.
type Added = BTreeMap<Vec<u8>, Arc<[u8]>>;

/// The part of the table that is one directory's, for whoever goes through its files in the order of their names.
pub(crate) struct Directory<'t> {
    table: &'t HashTable,
    path: Vec<u8>,
    /// Of earlier builds.
    known: Records<'t>,
    /// Of this one, and how far they have been gone through.
    added: Option<Arc<[u8]>>,
    at: usize,
    /// Hashed through this value.
    new: Vec<u8>,
}

/// What came of asking for a file's hash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hashed {
    /// The hash.
    pub(crate) hash: ContentHash,
    /// The table had this very file when it was read: it has not changed since that state was written.
    pub(crate) was_known: bool,
}

/// Whether a change right now could go unnoticed.
fn is_too_young(identity: &Identity) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let limit = now.saturating_sub(GRANULARITY).as_nanos();
    identity.times().iter().any(|&time| u128::from(time) > limit)
}

impl HashTable {
    /// The table for the tree at `root`, with what earlier builds remembered.
    pub(crate) fn load(store: &Store, root: &Path) -> Result<Self> {
        let mut key = KeyMaker::new("file table");
        key.add(root.as_os_str().as_encoded_bytes());
        let name = key.finish();
        Ok(match store.map_file_table(&name)? {
            Some(known) => Self::of(name, Box::new(known)),
            None => Self::of(name, Box::new(Vec::new())),
        })
    }

    /// The table whose file has this content; an empty one where that isn't a table.
    fn of(name: String, known: Bytes) -> Self {
        let head = known.strip_prefix(MAGIC).and_then(|rest| rest.first_chunk::<NAME>());
        let index = records::index(&known, MAGIC.len() + NAME);
        let (state, known, index) = match head.zip(index) {
            Some((state, index)) => (Some(hex(*state)), known, index),
            None => (None, Box::new(Vec::new()) as Bytes, Vec::new()),
        };
        Self {
            name,
            state,
            copies: Mutex::default(),
            known,
            index,
            new: Mutex::default(),
            changed: Mutex::default(),
        }
    }

    /// Its part for the directory `path` below the root.
    pub(crate) fn directory(&self, path: &[u8]) -> Directory<'_> {
        let path = path.to_vec();
        Directory {
            known: self.known_of(&path),
            added: self.added().get(&path).cloned(),
            at: 0,
            table: self,
            path,
            new: Vec::new(),
        }
    }

    /// The hash of the one regular file `name` in `directory`, `path` below the root, whose status is `stat`.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn hash(
        &self,
        directory: BorrowedFd<'_>,
        name: &OsStr,
        path: &Path,
        stat: &Stat,
    ) -> std::io::Result<ContentHash> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let mut part = self.directory(parent.as_os_str().as_bytes());
        let read = || hash_file(directory, name, &mut Vec::new(), &|| true);
        let hashed = part.hash(path.file_name().unwrap_or_default(), stat, read)?;
        Ok(hashed.hash)
    }

    /// Files whose contents are others than an earlier build remembered: the first few of them.
    pub(crate) fn changed(&self) -> Vec<String> {
        let changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed.iter().cloned().collect()
    }

    fn note_changed(&self, path: &[u8], name: &OsStr) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let path = Path::new(OsStr::from_bytes(path)).join(name);
        changed.insert(path.to_string_lossy().into_owned());
        // The first in order, whoever came first.
        if changed.len() > MOST_CHANGED {
            changed.pop_last();
        }
    }

    fn added(&self) -> MutexGuard<'_, Added> {
        self.new.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What earlier builds remembered of a directory's files.
    fn known_of(&self, path: &[u8]) -> Records<'_> {
        let found = self
            .index
            .binary_search_by(|section| section.path(&self.known).cmp(path));
        Records(found.map_or(&[], |at| self.index[at].records(&self.known)))
    }

    /// About how many files below the directory `path` earlier builds remembered: at most so many.
    pub(crate) fn count_below(&self, path: &Path) -> usize {
        let bytes = path.as_os_str().as_bytes();
        let first = self.index.partition_point(|section| section.path(&self.known) < bytes);
        let near = self.index[first..].iter();
        let near = near.take_while(|section| section.path(&self.known).starts_with(bytes));
        let below = near.filter(|section| Path::new(OsStr::from_bytes(section.path(&self.known))).starts_with(path));
        let length: usize = below.map(|section| section.records(&self.known).len()).sum();
        length / records::LEAST
    }

    /// The name of the state that was read.
    pub(crate) fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Remembers, once the table is written, that `layer` has the files as they are in it.
    pub(crate) fn remember_copy(&self, key: String, layer: LayerId) {
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        copies.push((key, layer));
    }

    /// Keeps what is known for the next build.
    pub(crate) fn save(&self, store: &Store) -> Result<()> {
        let mut state = self.state.clone();
        if !self.added().is_empty() {
            let new = short(LayerId::random()?.as_str().as_bytes());
            store.write_file_table(&self.name, &self.encode(new))?;
            state = Some(hex(new));
        }
        let copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, layer) in copies.iter() {
            if let Some(state) = &state {
                store.remember_copy(key, layer, state)?;
            }
        }
        Ok(())
    }

    /// Old records and new ones, of which the latter count, in order, as the state with this name.
    fn encode(&self, state: Short) -> Vec<u8> {
        let added = self.added();
        let more: usize = added
            .iter()
            .map(|(path, new)| path.len() + new.len() + records::HEAD)
            .sum();
        let mut bytes = Vec::with_capacity(MAGIC.len() + NAME + self.known.len() + more);
        bytes.extend(MAGIC);
        bytes.extend(state);
        let mut new = added.iter().peekable();
        for section in &self.index {
            let (path, known) = (section.path(&self.known), section.records(&self.known));
            while let Some((earlier, new)) = new.next_if(|(new, _)| new.as_slice() < path) {
                records::add_section(&mut bytes, earlier, new);
            }
            match new.next_if(|(new, _)| new.as_slice() == path) {
                Some((_, new)) => records::add_section(&mut bytes, path, &records::merge(known, new)),
                None => records::add_section(&mut bytes, path, known),
            }
        }
        for (path, new) in new {
            records::add_section(&mut bytes, path, new);
        }
        bytes
    }
}

impl Directory<'_> {
    /// The hash of the regular file `name`, whose status is `stat`; `read` computes it where it isn't known. Names come in
    /// order: what was passed isn't found again.
    ///
    /// # Errors
    /// What `read` says.
    pub(crate) fn hash(
        &mut self,
        name: &OsStr,
        stat: &Stat,
        read: impl FnOnce() -> std::io::Result<ContentHash>,
    ) -> std::io::Result<Hashed> {
        let identity = identity(stat);
        let bytes = name.as_bytes();
        let known = self.known.find(bytes);
        if let Some(known) = known.filter(|known| known.identity == identity.0) {
            return Ok(Hashed {
                hash: *known.hash,
                was_known: true,
            });
        }
        if let Some(hash) = self.find_added(bytes, &identity) {
            return Ok(Hashed { hash, was_known: false });
        }
        // Asked before the file is read, which takes time: a change since its status was taken has to tell.
        let is_too_young = is_too_young(&identity);
        let hash = read()?;
        if known.is_some_and(|known| *known.hash != hash) {
            self.table.note_changed(&self.path, name);
        }
        if !is_too_young {
            let record = Record {
                name: bytes,
                identity: identity.0,
                hash: &hash,
            };
            record.add_to(&mut self.new);
        }
        Ok(Hashed { hash, was_known: false })
    }

    /// What another walk of this build has found out.
    fn find_added(&mut self, name: &[u8], identity: &Identity) -> Option<ContentHash> {
        let added = self.added.as_ref()?;
        let mut rest = Records(added.get(self.at..)?);
        let found = rest.find(name).filter(|record| record.identity == identity.0);
        let hash = found.map(|record| *record.hash);
        self.at = added.len() - rest.0.len();
        hash
    }
}

/// What was hashed is kept also where a later file couldn't be.
impl Drop for Directory<'_> {
    fn drop(&mut self) {
        if self.new.is_empty() {
            return;
        }
        let mut added = self.table.added();
        let before = added.get(&self.path);
        let new = match before {
            Some(before) => records::merge(before, &self.new).into(),
            None => Arc::from(self.new.as_slice()),
        };
        added.insert(std::mem::take(&mut self.path), new);
    }
}

/// The name of a state, as text.
fn hex(name: Short) -> String {
    format!("{:032x}", u128::from_be_bytes(name))
}

/// Half the SHA-256 of some bytes.
pub(crate) fn short(bytes: &[u8]) -> Short {
    let mut half = Short::default();
    half.copy_from_slice(&whole(bytes)[..16]);
    half
}

/// The SHA-256 of some bytes.
pub(crate) fn whole(bytes: &[u8]) -> ContentHash {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    finished(hasher)
}

/// The bytes of a finished SHA-256.
fn finished(hasher: Hasher) -> ContentHash {
    let mut hash = ContentHash::default();
    hash.copy_from_slice(&hasher.finish_bytes());
    hash
}

/// The hash of a file, which is read through `buffer` (an empty one is made large enough); `goes_on` is asked now and then.
///
/// # Errors
/// When it can't be read, or isn't to be any more.
pub(crate) fn hash_file(
    directory: BorrowedFd<'_>,
    name: &OsStr,
    buffer: &mut Vec<u8>,
    goes_on: &dyn Fn() -> bool,
) -> std::io::Result<ContentHash> {
    /// What is read at a time.
    const PIECE: usize = 128 << 10;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory.as_fd(), name, flags, Mode::empty())?;
    let mut file = std::fs::File::from(file);
    let mut hasher = Hasher::new(Algorithm::Sha256);
    buffer.resize(PIECE, 0);
    loop {
        match file.read(buffer)? {
            0 => break,
            _ if !goes_on() => return Err(std::io::ErrorKind::Interrupted.into()),
            length => hasher.update(&buffer[..length]),
        }
    }
    for (name, value) in crate::directory::attributes(file.as_fd())? {
        // The label that this machine's policy gives a file is none of its own.
        if name != "security.selinux" {
            hasher.update(name.as_encoded_bytes());
            hasher.update(b"\0");
            hasher.update(&(value.len() as u64).to_le_bytes());
            hasher.update(&value);
        }
    }
    Ok(finished(hasher))
}

#[cfg(test)]
mod tests;
