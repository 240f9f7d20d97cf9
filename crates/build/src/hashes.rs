//! Hashes of files' contents (and extended attributes), remembered by what the file system says of a file, so that an unchanged file is not read
//! again.
//!
//! A file is known by path, device, inode, size, modification and change time. One that is as young as the clock's
//! granularity is not remembered: it could change again without its times telling.
//!
//! The table is the file as it stands on disk: records of 64 bytes, sorted. So a context of a million files costs 64 MB
//! of memory and no decoding.

use crate::error::Result;
use crate::key::KeyMaker;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{Mode, OFlags, Stat};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Read;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wiac_oci::digest::{Algorithm, Hasher};
use wiac_store::{LayerId, Store};

/// Begins the file: another version of it is not read.
const MAGIC: &[u8] = b"wiac file hashes 4\n";

/// What follows: a random name of this state of the table, by which it is known again.
const NAME: usize = 16;

/// Half a SHA-256: of a path, or of what the kernel says of a file.
pub(crate) type Short = [u8; 16];

/// The hash of a path, of what the kernel says, of the contents.
const RECORD: usize = 16 + 16 + 32;

/// As many changed files as are kept in mind.
const MOST_CHANGED: usize = 16;

/// Coarser than the timestamps of any local file system in use.
const GRANULARITY: Duration = Duration::from_millis(50);

/// What the kernel says of a file: a change of its contents changes at least one of these.
type Identity = [u64; 5];

/// The SHA-256 of a file's contents and extended attributes.
pub(crate) type ContentHash = [u8; 32];

/// The table of one directory tree.
pub(crate) struct HashTable {
    name: String,
    /// The name of its state when it was read; `None` where there was none.
    state: Option<String>,
    /// Copies to remember when it is written: key → layer.
    copies: Mutex<Vec<(String, LayerId)>>,
    /// What earlier builds remembered: sorted records.
    known: Vec<u8>,
    /// Where in them to look.
    starts: Vec<usize>,
    /// What this one adds, by path. Stages that are built at the same time share it, and read files side by side.
    new: Mutex<Added>,
    changed: Mutex<Vec<String>>,
}

/// What was hashed now: path → what the kernel says, and the contents.
type Added = HashMap<Short, (Short, ContentHash)>;

fn identity(stat: &Stat) -> Identity {
    let nanoseconds = |seconds: i64, rest: u64| seconds.cast_unsigned().wrapping_mul(1_000_000_000).wrapping_add(rest);
    [
        stat.st_dev,
        stat.st_ino,
        stat.st_size.cast_unsigned(),
        nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
        nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
    ]
}

/// What the kernel says of a file, as bytes.
pub(crate) fn describe(stat: &Stat) -> Vec<u8> {
    identity(stat).iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Whether a change right now could go unnoticed.
fn is_too_young(identity: &Identity) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let limit = now.saturating_sub(GRANULARITY).as_nanos();
    identity[3..].iter().any(|&time| u128::from(time) > limit)
}

impl HashTable {
    /// The table for the tree at `root`, with what earlier builds remembered.
    pub(crate) fn load(store: &Store, root: &std::path::Path) -> Result<Self> {
        let mut key = KeyMaker::new("file table");
        key.add(root.as_os_str().as_encoded_bytes());
        let name = key.finish();
        let mut known = store.file_table(&name)?.unwrap_or_default();
        let head = MAGIC.len() + NAME;
        let is_ours = known.starts_with(MAGIC) && known.len() >= head && (known.len() - head).is_multiple_of(RECORD);
        let mut state = None;
        if is_ours {
            state = known[MAGIC.len()..head].try_into().ok().map(hex);
            known.drain(..head);
        } else {
            known.clear();
        }
        Ok(Self {
            name,
            state,
            copies: Mutex::default(),
            starts: starts(&known),
            known,
            new: Mutex::default(),
            changed: Mutex::default(),
        })
    }

    /// The hash of the regular file `name` in `directory`, `path` below the root, whose status is `stat`.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn hash(
        &self,
        directory: BorrowedFd<'_>,
        name: &OsStr,
        path: &[u8],
        stat: &Stat,
        goes_on: &dyn Fn() -> bool,
    ) -> std::io::Result<ContentHash> {
        let identity = identity(stat);
        let (short_path, described) = (short(path), short(&describe(stat)));
        if let Some(hash) = self.find(&short_path, &described) {
            return Ok(hash);
        }
        // Asked before the file is read, which takes time: a change since its status was taken has to tell.
        let is_too_young = is_too_young(&identity);
        let hash = hash_file(directory, name, goes_on)?;
        if let Some((_, before)) = self.find_known(&short_path)
            && before != hash
        {
            self.note_changed(path);
        }
        if !is_too_young {
            self.added().insert(short_path, (described, hash));
        }
        Ok(hash)
    }

    /// Files whose contents are others than an earlier build remembered, the first few of them.
    pub(crate) fn changed(&self) -> Vec<String> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note_changed(&self, path: &[u8]) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        if changed.len() < MOST_CHANGED {
            changed.push(String::from_utf8_lossy(path).into_owned());
        }
    }

    fn added(&self) -> MutexGuard<'_, Added> {
        self.new.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hash of a path that the kernel says this of, if it is remembered.
    fn find(&self, path: &Short, described: &Short) -> Option<ContentHash> {
        let is_same = |(known, hash)| (known == *described).then_some(hash);
        // What is known from before needs no lock, and is most.
        let known = self.find_known(path).and_then(is_same);
        known.or_else(|| self.added().get(path).copied().and_then(is_same))
    }

    /// What earlier builds remembered of a path.
    fn find_known(&self, path: &Short) -> Option<(Short, ContentHash)> {
        let record = |index: usize| self.known.get(index * RECORD..(index + 1) * RECORD);
        let bucket = bucket(path, self.starts.len().saturating_sub(1));
        let (start, end) = (*self.starts.get(bucket)?, *self.starts.get(bucket + 1)?);
        let mut records = (start..end).filter_map(record);
        let found = records.find(|record| record[..16] == path[..])?;
        Some((found[16..32].try_into().ok()?, found[32..].try_into().ok()?))
    }

    /// Whether the table, as it was read, has this very file: it has not changed since that state was written.
    pub(crate) fn had(&self, path: &[u8], stat: &Stat) -> bool {
        let found = self.find_known(&short(path));
        found.is_some_and(|(known, _)| known == short(&describe(stat)))
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
        let mut new: Vec<_> = added.iter().collect();
        new.sort();
        let mut bytes = Vec::with_capacity(MAGIC.len() + NAME + self.known.len() + new.len() * RECORD);
        let mut new = new.into_iter().peekable();
        bytes.extend(MAGIC);
        bytes.extend(state);
        let add = |(path, (described, hash)): (&Short, &(Short, ContentHash)), bytes: &mut Vec<u8>| {
            bytes.extend(path);
            bytes.extend(described);
            bytes.extend(hash);
        };
        for record in self.known.chunks_exact(RECORD) {
            while let Some(earlier) = new.next_if(|(path, _)| path[..] < record[..16]) {
                add(earlier, &mut bytes);
            }
            if new.peek().is_none_or(|(path, _)| path[..] != record[..16]) {
                bytes.extend(record);
            }
        }
        new.for_each(|record| add(record, &mut bytes));
        bytes
    }
}

/// Where each bucket of sorted records begins, and where the last one ends: paths are hashes, so that their first digits
/// divide them evenly, into about as many buckets as there are records.
fn starts(known: &[u8]) -> Vec<usize> {
    let count = known.len() / RECORD;
    let buckets = count.next_power_of_two();
    let mut starts = Vec::with_capacity(buckets + 1);
    for (index, record) in known.chunks_exact(RECORD).enumerate() {
        let mut path = Short::default();
        path.copy_from_slice(&record[..16]);
        let bucket = bucket(&path, buckets);
        starts.resize(starts.len().max(bucket + 1), index);
    }
    starts.resize(buckets + 1, count);
    starts
}

/// The bucket of a path, of a power of two of them.
fn bucket(path: &Short, buckets: usize) -> usize {
    let mut first = [0; 8];
    first.copy_from_slice(&path[..8]);
    let place = (u128::from(u64::from_be_bytes(first)) * buckets as u128) >> 64;
    usize::try_from(place).unwrap_or(0)
}

/// The name of a state, as text.
fn hex(name: Short) -> String {
    format!("{:032x}", u128::from_be_bytes(name))
}

/// Half the SHA-256 of some bytes.
pub(crate) fn short(bytes: &[u8]) -> Short {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    let mut half = Short::default();
    half.copy_from_slice(&finished(hasher)[..16]);
    half
}

/// The bytes of a finished SHA-256.
fn finished(hasher: Hasher) -> ContentHash {
    let mut hash = ContentHash::default();
    hash.copy_from_slice(&hasher.finish_bytes());
    hash
}

/// The hash of a file; `goes_on` is asked now and then.
///
/// # Errors
/// When it can't be read, or isn't to be any more.
pub(crate) fn hash_file(
    directory: BorrowedFd<'_>,
    name: &OsStr,
    goes_on: &dyn Fn() -> bool,
) -> std::io::Result<ContentHash> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory.as_fd(), name, flags, Mode::empty())?;
    let mut file = std::fs::File::from(file);
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut buffer = vec![0; 128 << 10];
    loop {
        match file.read(&mut buffer)? {
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
mod tests {
    use super::*;

    #[test]
    fn a_table_survives_the_disk() {
        let entry = |number: u32| (short(&number.to_le_bytes()), (short(b"described"), [7; 32]));
        let mut table = HashTable {
            name: String::new(),
            state: None,
            copies: Mutex::default(),
            known: Vec::new(),
            starts: Vec::new(),
            new: Mutex::new((0..100).map(entry).collect()),
            changed: Mutex::default(),
        };
        table.known = table.encode([1; NAME]).split_off(MAGIC.len() + NAME);
        table.new = Mutex::new((100..200).map(entry).collect());
        // One that was known changes.
        let changed = short(&5_u32.to_le_bytes());
        table.added().insert(changed, (short(b"other"), [8; 32]));
        table.known = table.encode([1; NAME]).split_off(MAGIC.len() + NAME);
        table.added().clear();
        table.starts = starts(&table.known);
        assert_eq!(table.known.len(), 200 * RECORD);
        for number in (0..200).filter(|number| *number != 5) {
            let (path, expected) = entry(number);
            assert_eq!(table.find_known(&path), Some(expected));
        }
        assert_eq!(table.find(&changed, &short(b"other")), Some([8; 32]));
        assert_eq!(table.find(&changed, &short(b"described")), None);
        assert_eq!(table.find(&short(b"unknown"), &short(b"described")), None);
    }

    #[test]
    fn a_young_file_is_not_remembered() {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_nanos();
        let now = u64::try_from(now).expect("before 2554");
        assert!(is_too_young(&[0, 0, 0, now, 0]));
        assert!(is_too_young(&[0, 0, 0, 0, now]));
        assert!(!is_too_young(&[0, 0, 0, now - 1_000_000_000, now - 1_000_000_000]));
    }
}
