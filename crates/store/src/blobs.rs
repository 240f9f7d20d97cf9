//! Blobs: files known by the hash of their bytes. Layers as they came in, so that they go out byte for byte, and the
//! configurations and manifests of images that came in or went out.

use crate::data::Store;
use crate::error::{Error, IoExt, Result};
use crate::lock::Lock;
use crate::sync;
use crate::temporary::Temporary;
use rustix::fs::{Mode, OFlags};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use wiac_oci::digest::{Algorithm, Digest, Hasher};

/// The largest document (configuration, manifest, index) that is read: as large as registries and docker take.
pub const DOCUMENT_LIMIT: u64 = 4 << 20;

/// How long to wait before looking again whether another process has downloaded a blob.
const DOWNLOADING: std::time::Duration = std::time::Duration::from_millis(20);

/// A blob being written: it gets its name when its bytes turn out to have the digest it should have.
#[derive(Debug)]
pub struct BlobDraft {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    size: u64,
    /// So many bytes were there already: they are hashed when they are written, and stay.
    begun: u64,
    /// Of a download: others who want the blob wait for it.
    lock: Option<Lock>,
}

/// A blob that is there, with the lock that keeps it from being deleted.
#[derive(Debug)]
pub struct HeldBlob {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    path: PathBuf,
    /// Held as long as the blob is needed.
    _lock: Lock,
}

impl HeldBlob {
    /// Opens it for reading.
    pub fn open(&self) -> Result<File> {
        // Of a pipe in its place it would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(&self.path, flags, Mode::empty()).on("open", &self.path)?;
        Ok(File::from(file))
    }

    /// Its bytes, for a document: compared with its digest.
    pub fn read(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let limited = self.open()?.take(DOCUMENT_LIMIT + 1).read_to_end(&mut bytes);
        limited.on("read", &self.path)?;
        self.digest.verify(&bytes).map_err(|error| Error::Damaged {
            path: self.path.clone(),
            reason: error.to_string(),
        })?;
        Ok(bytes)
    }
}

impl BlobDraft {
    /// An empty one in `room`, to get a digest of `like`'s algorithm.
    pub fn new(room: &Temporary, name: &str, like: Option<&Digest>) -> Result<Self> {
        let path = room.path().join(name);
        let file = File::create_new(&path).on("create", &path)?;
        let algorithm = like.map_or(Algorithm::Sha256, Digest::algorithm);
        Ok(Self {
            path,
            file,
            hasher: Hasher::new(algorithm),
            size: 0,
            begun: 0,
            lock: None,
        })
    }

    /// One that is downloaded: what comes of it stays in `partial/` for the next attempt, of whatever process, unless it
    /// gets its name. Waits for another process that downloads the same, as long as `goes_on` says so.
    ///
    /// Everything is to be written to it from the beginning, [`BlobDraft::begun`] first.
    ///
    /// # Errors
    /// What the disk says; that it isn't waited for any longer.
    pub fn download(store: &Store, digest: &Digest, goes_on: &dyn Fn() -> bool) -> Result<Self> {
        let path = store.path("partial").join(mark_name(digest));
        make_parent(&path)?;
        loop {
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            let file = options.open(&path).on("create", &path)?;
            let lock = match Lock::try_exclusive(&path) {
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => continue,
                result => result?,
            };
            let meta = file.metadata().on("look at", &path)?;
            match lock {
                // Another process may have given it its name meanwhile.
                Some(lock) if lock.is_of(&path)? && path.metadata().is_ok_and(|now| now.ino() == meta.ino()) => {
                    return Ok(Self {
                        hasher: Hasher::new(digest.algorithm()),
                        size: 0,
                        begun: meta.len(),
                        lock: Some(lock),
                        path,
                        file,
                    });
                }
                Some(_) => {}
                // Not waited for by the lock itself: its holder keeps it when the blob has its name, until the image is
                // whole, and may wait for a blob of ours.
                None if goes_on() => std::thread::sleep(DOWNLOADING),
                None => {
                    let ended = io::Error::other("another process is at it, and waiting for it was ended early");
                    return Err(ended).on("download", &path);
                }
            }
        }
    }

    /// A download that came whole, and whose process was killed before it gave it its name: read through, so that
    /// [`BlobDraft::finish`] tells its digest. `None` where there is none of this size, or somebody is at it.
    pub fn whole_download(store: &Store, digest: &Digest, size: u64) -> Result<Option<Self>> {
        let path = store.path("partial").join(mark_name(digest));
        let lock = match Lock::try_exclusive(&path) {
            Ok(Some(lock)) if lock.is_of(&path)? => lock,
            Ok(_) => return Ok(None),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let file = File::options().read(true).write(true).open(&path).on("open", &path)?;
        let mut draft = Self {
            hasher: Hasher::new(digest.algorithm()),
            size: 0,
            begun: file.metadata().on("look at", &path)?.len(),
            lock: Some(lock),
            path,
            file,
        };
        if draft.begun != size {
            return Ok(None);
        }
        let (_, mut begun) = draft.begun()?;
        io::copy(&mut begun, &mut draft).on("read", &draft.path.clone())?;
        Ok(Some(draft))
    }

    /// What was there already: its length, and a reader of it.
    pub fn begun(&self) -> Result<(u64, impl Read + Send + use<>)> {
        let file = File::open(&self.path).on("open", &self.path)?;
        Ok((self.begun, file.take(self.begun)))
    }

    /// Whether something was there already.
    pub fn is_begun(&self) -> bool {
        self.begun > 0
    }

    /// Throws away what was there already where it is longer than the whole may be; whether it was.
    pub fn begin_anew_after(&mut self, size: u64) -> Result<bool> {
        if self.begun <= size {
            return Ok(false);
        }
        self.file.set_len(0).on("empty", &self.path)?;
        self.begun = 0;
        Ok(true)
    }

    /// Whether it is one that others may wait for, and that stays when it isn't finished.
    pub fn is_download(&self) -> bool {
        self.lock.is_some()
    }

    /// How much was written.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Which digest it is to get.
    pub fn algorithm(&self) -> Algorithm {
        self.hasher.algorithm()
    }

    /// Writes what somebody else hashes: all of it comes this way then, and [`BlobDraft::finish_as`] ends it.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let begun = usize::try_from(self.begun.saturating_sub(self.size)).unwrap_or(usize::MAX);
        let known = begun.min(bytes.len());
        self.file.write_all_at(&bytes[known..], self.size + known as u64)?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// As [`BlobDraft::finish`], with the digest of what was appended.
    pub fn finish_as(self, digest: Digest) -> FinishedBlob {
        FinishedBlob {
            path: self.path,
            digest,
            size: self.size,
            lock: self.lock,
        }
    }

    /// Deletes it: it isn't what it should be.
    pub fn discard(self) {
        let _ = fs::remove_file(&self.path);
    }

    /// Ends the writing: the digest and size of what was written, to be compared, and then the blob to be put in place.
    pub fn finish(mut self) -> FinishedBlob {
        let hasher = std::mem::replace(&mut self.hasher, Hasher::new(Algorithm::Sha256));
        self.finish_as(hasher.finish())
    }
}

impl Write for BlobDraft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes)?;
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A blob that is written and has no name yet.
#[derive(Debug)]
pub struct FinishedBlob {
    path: PathBuf,
    /// Of the bytes written.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
    /// Of a download.
    lock: Option<Lock>,
}

impl FinishedBlob {
    /// As [`BlobDraft::is_download`].
    pub fn is_download(&self) -> bool {
        self.lock.is_some()
    }

    /// Opens it for reading.
    pub fn open(&self) -> Result<File> {
        File::open(&self.path).on("open", &self.path)
    }

    /// Deletes it: it isn't what it should be.
    pub fn discard(self) {
        let _ = fs::remove_file(&self.path);
    }

    /// Puts it in place. It may not be on the disk before [`Store::sync_blobs`].
    pub fn commit(self, store: &Store) -> Result<HeldBlob> {
        if let Some(held) = store.hold_blob(&self.digest)? {
            let _ = fs::remove_file(&self.path);
            return Ok(held);
        }
        let lock = match self.lock {
            Some(lock) => lock.into_shared()?,
            None => Lock::shared(&self.path)?,
        };
        let path = store.blob_path(&self.digest);
        sync::mark(store, &mark_name(&self.digest))?;
        make_parent(&path)?;
        fs::rename(&self.path, &path).on("move into place", &self.path)?;
        Ok(HeldBlob {
            digest: self.digest,
            size: self.size,
            path,
            _lock: lock,
        })
    }
}

fn make_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(parent) if !parent.is_dir() => fs::create_dir_all(parent).on("create", parent),
        _ => Ok(()),
    }
}

/// The name under which a blob is listed as not synced.
fn mark_name(digest: &Digest) -> String {
    digest.as_str().replace(':', "-")
}

/// The blob that is listed under `name` as not synced; `None` where that is no blob.
pub(crate) fn place_of(store: &Store, name: &OsStr) -> Option<PathBuf> {
    let digest: Digest = name.to_str()?.replacen('-', ":", 1).parse().ok()?;
    Some(store.blob_path(&digest))
}

impl Store {
    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.path("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    /// The blob with this digest, locked against deletion; `None` where it isn't here.
    pub fn hold_blob(&self, digest: &Digest) -> Result<Option<HeldBlob>> {
        let path = self.blob_path(digest);
        let lock = match Lock::shared(&path) {
            Ok(lock) if lock.is_of(&path)? => lock,
            Ok(_) => return Ok(None),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let size = path.metadata().on("look at", &path)?.len();
        Ok(Some(HeldBlob {
            digest: digest.clone(),
            size,
            path,
            _lock: lock,
        }))
    }

    /// Writes a document as a blob, on the disk when this returns.
    pub fn add_document(&self, bytes: &[u8]) -> Result<HeldBlob> {
        let digest = Digest::sha256(bytes);
        if let Some(held) = self.hold_blob(&digest)? {
            return Ok(held);
        }
        // Nobody refers to it yet: a collector must not come between the writing and the holding.
        let _adding = self.adding_images()?;
        self.write_document(bytes)?;
        self.hold_blob(&digest)?.ok_or_else(|| Error::NoSuchBlob {
            digest: digest.to_string(),
        })
    }

    /// Writes a document in its place, whatever is there. The caller keeps collectors away.
    pub(crate) fn write_document(&self, bytes: &[u8]) -> Result<()> {
        let path = self.blob_path(&Digest::sha256(bytes));
        make_parent(&path)?;
        self.write_durably(&path, bytes)
    }

    /// Reads a document that must be here.
    pub fn document(&self, digest: &Digest) -> Result<Vec<u8>> {
        let held = self.hold_blob(digest)?.ok_or_else(|| Error::NoSuchBlob {
            digest: digest.to_string(),
        })?;
        held.read()
    }

    /// Writes blobs and layers to the disk, once, if one of them isn't there yet.
    pub fn sync_all(&self, layers: &[crate::LayerId], blobs: &[Digest]) -> Result<()> {
        let blobs: Vec<String> = blobs.iter().map(mark_name).collect();
        let names = layers.iter().map(crate::LayerId::as_str);
        self.sync_names(names.chain(blobs.iter().map(String::as_str)))
    }

    /// The digests of all blobs, in no order.
    pub fn blobs(&self) -> Result<Vec<Digest>> {
        let parent = self.path("blobs");
        let mut digests = Vec::new();
        for algorithm in fs::read_dir(&parent).on("read", &parent)? {
            let directory = algorithm.on("read", &parent)?;
            let entries = match fs::read_dir(directory.path()) {
                // Something that isn't ours: the check says so.
                Err(error) if matches!(error.kind(), ErrorKind::NotADirectory | ErrorKind::NotFound) => continue,
                result => result.on("read", &directory.path())?,
            };
            for entry in entries {
                let entry = entry.on("read", &directory.path())?;
                let text = format!(
                    "{}:{}",
                    directory.file_name().to_string_lossy(),
                    entry.file_name().to_string_lossy()
                );
                digests.extend(text.parse::<Digest>());
            }
        }
        Ok(digests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wiac_layer::Form;

    #[test]
    fn a_blob_is_known_by_its_bytes() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        let room = Temporary::new(&store).expect("room");
        let mut draft = BlobDraft::new(&room, "blob", None).expect("draft");
        draft.write_all(b"hello").expect("written");
        let finished = draft.finish();
        assert_eq!((finished.size, &finished.digest), (5, &Digest::sha256("hello")));
        let held = finished.commit(&store).expect("committed");
        assert_eq!(held.read().expect("read"), b"hello");
        assert_eq!(store.blobs().expect("listed"), [Digest::sha256("hello")]);
    }

    #[test]
    fn a_download_that_came_whole_is_found() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        let digest = Digest::sha256("hello");
        let whole = || BlobDraft::whole_download(&store, &digest, 5).expect("looked for");
        assert!(whole().is_none());
        let mut draft = BlobDraft::download(&store, &digest, &|| true).expect("draft");
        draft.write_all(b"hel").expect("written");
        assert!(whole().is_none(), "somebody is at it");
        drop(draft);
        assert!(whole().is_none(), "it is too short");
        let mut draft = BlobDraft::download(&store, &digest, &|| true).expect("draft");
        draft.write_all(b"hello").expect("written");
        drop(draft);
        let held = whole().expect("whole").finish().commit(&store).expect("committed");
        assert_eq!((held.size, held.digest), (5, digest.clone()));
        assert!(whole().is_none());
    }

    #[test]
    fn a_damaged_document_is_not_read() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        let held = store.add_document(b"{}").expect("added");
        fs::write(store.blob_path(&held.digest), "[]").expect("write");
        assert!(matches!(store.document(&held.digest), Err(Error::Damaged { .. })));
    }

    #[test]
    fn blobs_of_another_boot_are_set_aside() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        let digest = store.add_document(b"{}").expect("added").digest;
        fs::create_dir_all(store.path("unsynced/other-boot")).expect("mkdir");
        fs::write(store.path("unsynced/other-boot").join(mark_name(&digest)), "").expect("write");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        assert!(store.hold_blob(&digest).expect("looked").is_none());
    }
}
