//! Hashes of files' contents (and extended attributes), remembered by what the file system says of a file, so that an unchanged file is not read
//! again.
//!
//! A file is known by path, device, inode, size, modification and change time. One that is as young as the clock's
//! granularity is not remembered: it could change again without its times telling.

use crate::error::Result;
use crate::key::KeyMaker;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{Mode, OFlags, Stat};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Read;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wiac_oci::digest::{Algorithm, Hasher};
use wiac_store::Store;

/// Begins the file: another version of it is not read.
const MAGIC: &[u8] = b"wiac file hashes 2\n";

/// Coarser than the timestamps of any local file system in use.
const GRANULARITY: Duration = Duration::from_millis(50);

/// What the kernel says of a file: a change of its contents changes at least one of these.
type Identity = [u64; 5];

/// The SHA-256 of a file's contents and extended attributes.
pub(crate) type ContentHash = [u8; 32];

/// The table of one directory tree.
pub(crate) struct HashTable {
    name: String,
    known: HashMap<Vec<u8>, (Identity, ContentHash)>,
    changed: bool,
}

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
        let known = store
            .file_table(&name)?
            .and_then(|bytes| decode(&bytes))
            .unwrap_or_default();
        Ok(Self {
            name,
            known,
            changed: false,
        })
    }

    /// The hash of the regular file `name` in `directory`, `path` below the root, whose status is `stat`.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn hash(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &OsStr,
        path: &[u8],
        stat: &Stat,
    ) -> std::io::Result<ContentHash> {
        let identity = identity(stat);
        if let Some(entry) = self.known.get(path).filter(|entry| entry.0 == identity) {
            return Ok(entry.1);
        }
        // Asked before the file is read, which takes time: a change since its status was taken has to tell.
        let is_too_young = is_too_young(&identity);
        let hash = hash_file(directory, name)?;
        if !is_too_young {
            self.known.insert(path.to_vec(), (identity, hash));
            self.changed = true;
        }
        Ok(hash)
    }

    /// Keeps what is known for the next build.
    pub(crate) fn save(self, store: &Store) -> Result<()> {
        if !self.changed {
            return Ok(());
        }
        Ok(store.write_file_table(&self.name, &encode(&self.known))?)
    }
}

pub(crate) fn hash_file(directory: BorrowedFd<'_>, name: &OsStr) -> std::io::Result<ContentHash> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory.as_fd(), name, flags, Mode::empty())?;
    let mut file = std::fs::File::from(file);
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut buffer = vec![0; 128 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
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
    let mut hash = ContentHash::default();
    let digest = hasher.finish();
    for (byte, pair) in hash.iter_mut().zip(digest.hex().as_bytes().chunks(2)) {
        *byte = std::str::from_utf8(pair)
            .ok()
            .and_then(|pair| u8::from_str_radix(pair, 16).ok())
            .unwrap_or_default();
    }
    Ok(hash)
}

fn encode(table: &HashMap<Vec<u8>, (Identity, ContentHash)>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for (path, (identity, hash)) in table {
        bytes.extend(u32::try_from(path.len()).unwrap_or_default().to_le_bytes());
        bytes.extend(path);
        bytes.extend(identity.iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend(hash);
    }
    bytes
}

/// `None` where the bytes are not a whole table: it is made anew then.
fn decode(bytes: &[u8]) -> Option<HashMap<Vec<u8>, (Identity, ContentHash)>> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let mut table = HashMap::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (path, after) = after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        rest = after;
        let mut identity = Identity::default();
        for number in &mut identity {
            let (value, after) = rest.split_first_chunk::<8>()?;
            *number = u64::from_le_bytes(*value);
            rest = after;
        }
        let (hash, after) = rest.split_first_chunk::<32>()?;
        rest = after;
        table.insert(path.to_vec(), (identity, *hash));
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_survives_the_disk() {
        let table = HashMap::from([
            (b"a/b".to_vec(), ([1, 2, 3, 4, 5], [7; 32])),
            (Vec::new(), ([0; 5], [0; 32])),
        ]);
        assert_eq!(decode(&encode(&table)), Some(table.clone()));
        let bytes = encode(&table);
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
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
