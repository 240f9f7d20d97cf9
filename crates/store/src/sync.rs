//! Durability: one syncfs for all the layers of a build, and what becomes of layers that a crash came before.
//!
//! `unsynced/<boot id>/<layer id>` (or a blob's name) stands from before a layer is moved into place until it was
//! synced. After a crash of the machine the boot id is another one, and the layers still listed are set aside.

use crate::blobs;
use crate::data::Store;
use crate::error::{IoExt, Result};
use crate::layer::LayerId;
use crate::lock::Lock;
use crate::temporary;
use rustix::fs::{Mode, OFlags};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn boot_id() -> Result<String> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    Ok(fs::read_to_string(path).on("read", path)?.trim().to_owned())
}

fn marks(store: &Store) -> Result<PathBuf> {
    Ok(store.path("unsynced").join(store.boot_id()?))
}

/// Lists what is about to be moved into place: a layer by its id, a blob by the name of its file.
pub(crate) fn mark(store: &Store, name: &str) -> Result<()> {
    let marks = marks(store)?;
    let path = marks.join(name);
    loop {
        match fs::write(&path, "") {
            // Not there yet, or just removed by another process that had synced all in it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fs::create_dir_all(&marks).on("create", &marks)?;
            }
            result => return result.on("write", &path),
        }
    }
}

impl Store {
    /// Writes everything to the disk, once, if one of `layers` is not there yet.
    ///
    /// # Errors
    /// What the disk says: the layers then stay listed as not synced.
    pub fn sync(&self, layers: &[LayerId]) -> Result<()> {
        self.sync_names(layers.iter().map(LayerId::as_str))
    }

    /// The same for whatever was listed under these names by [`mark`].
    pub(crate) fn sync_names<'n>(&self, names: impl Iterator<Item = &'n str>) -> Result<()> {
        let directory = marks(self)?;
        let waiting: Vec<PathBuf> = names
            .map(|name| directory.join(name))
            .filter(|path| path.exists())
            .collect();
        if waiting.is_empty() {
            return Ok(());
        }
        let root = rustix::fs::open(self.root(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        rustix::fs::syncfs(root.on("open", self.root())?).on("sync", self.root())?;
        for path in waiting {
            // Another process that uses the same layer may have been faster.
            let _ = fs::remove_file(path);
        }
        // Gone when it is empty: then nobody has to look which boot it was of.
        let _ = fs::remove_dir(&directory);
        Ok(())
    }

    /// Writes a small file of the store so that it is either whole on the disk or not there.
    pub(crate) fn write_durably(&self, path: &Path, contents: &[u8]) -> Result<()> {
        self.write_by_rename(path, |fresh| {
            let mut file = fs::File::create(fresh)?;
            std::io::Write::write_all(&mut file, contents)?;
            file.sync_all()
        })?;
        match path.parent() {
            Some(parent) => fs::File::open(parent)
                .and_then(|directory| directory.sync_all())
                .on("sync", parent),
            None => Ok(()),
        }
    }

    /// Writes a small file by rename: whole or not at all for every reader, but not forced to the disk.
    pub(crate) fn write_whole(&self, path: &Path, contents: &[u8]) -> Result<()> {
        self.write_by_rename(path, |fresh| fs::write(fresh, contents))
    }

    fn write_by_rename(&self, path: &Path, write: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<()> {
        let directory = self.path("tmp");
        let fresh = directory.join(format!("file-{}", temporary::random_name()?));
        // A sweeper takes files in there for abandoned ones.
        let _writing = Lock::shared(&directory)?;
        let result = write(&fresh).and_then(|()| fs::rename(&fresh, path));
        result.inspect_err(|_| drop(fs::remove_file(&fresh))).on("write", path)
    }
}

/// Sets aside the layers that another boot of the machine didn't sync.
pub(crate) fn quarantine_unsynced(store: &Store) -> Result<()> {
    let parent = store.path("unsynced");
    if temporary::is_empty(&parent)? {
        return Ok(());
    }
    for entry in fs::read_dir(&parent).on("read", &parent)? {
        let entry = entry.on("read", &parent)?;
        if entry.file_name() != store.boot_id()? {
            quarantine_boot(store, &entry.path())?;
        }
    }
    Ok(())
}

/// Where a thing that is listed under this name belongs.
pub(crate) fn place_of(store: &Store, name: &OsStr) -> PathBuf {
    blobs::place_of(store, name).unwrap_or_else(|| store.path("layers").join(name))
}

/// The layers of all images. A record is written after its layers were synced: one that is still listed lost only the
/// deletion of its mark, which some file systems write later than the record.
fn layers_of_images(store: &Store) -> Result<HashSet<String>> {
    let mut layers = HashSet::new();
    for id in store.images()? {
        // A damaged record says nothing; `wiac store check` does.
        if let Ok(record) = store.image(&id) {
            layers.extend(record.layers.iter().map(ToString::to_string));
        }
    }
    Ok(layers)
}

fn quarantine_boot(store: &Store, marks: &Path) -> Result<()> {
    let _alone = Lock::exclusive(&store.path("unsynced"))?;
    let Ok(entries) = fs::read_dir(marks) else {
        return Ok(());
    };
    let synced = layers_of_images(store)?;
    // Without it nothing could be moved, which would look as if there were nothing to be moved.
    let quarantine = store.path("quarantine");
    fs::create_dir_all(&quarantine).on("create", &quarantine)?;
    for entry in entries {
        let entry = entry.on("read", marks)?;
        if entry.file_name().to_str().is_some_and(|name| synced.contains(name)) {
            fs::remove_file(entry.path()).on("delete", &entry.path())?;
            continue;
        }
        let place = place_of(store, &entry.file_name());
        let aside = quarantine.join(entry.file_name());
        match fs::rename(&place, &aside) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).on("set aside", &place),
            _ => fs::remove_file(entry.path()).on("delete", &entry.path())?,
        }
    }
    fs::remove_dir(marks).on("delete", marks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wiac_layer::Form;

    #[test]
    fn layers_of_another_boot_are_set_aside() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        let id = LayerId::random().expect("random");
        fs::create_dir_all(store.layer_directory(&id)).expect("mkdir");
        fs::create_dir_all(store.path("unsynced/other-boot")).expect("mkdir");
        fs::write(store.path("unsynced/other-boot").join(id.as_str()), "").expect("write");
        fs::remove_dir(store.path("quarantine")).expect("deleted, as an empty directory may be");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        assert!(!store.layer_directory(&id).exists());
        assert!(store.path("quarantine").join(id.as_str()).exists());
        assert!(!store.path("unsynced/other-boot").exists());
    }

    #[test]
    fn a_layer_of_an_image_was_synced() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        let id = LayerId::random().expect("random");
        fs::create_dir_all(store.layer_directory(&id)).expect("mkdir");
        let record = crate::ImageRecord {
            layers: vec![id.clone()],
            config: wiac_oci::image::ImageConfig::default(),
            ..crate::ImageRecord::default()
        };
        store.add_image(&record).expect("added");
        fs::create_dir_all(store.path("unsynced/other-boot")).expect("mkdir");
        fs::write(store.path("unsynced/other-boot").join(id.as_str()), "").expect("write");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        assert!(store.layer_directory(&id).exists());
        assert!(!store.path("unsynced/other-boot").exists());
    }

    #[test]
    fn a_synced_layer_is_listed_no_more() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        let id = LayerId::random().expect("random");
        mark(&store, id.as_str()).expect("marked");
        store.sync(std::slice::from_ref(&id)).expect("synced");
        assert!(!marks(&store).expect("boot id").join(id.as_str()).exists());
    }

    #[test]
    fn a_sweep_takes_no_file_that_is_being_written() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for number in 0..2000 {
                    store
                        .write_whole(&store.path("cache/steps/x"), number.to_string().as_bytes())
                        .expect("written");
                }
            });
            while !writer.is_finished() {
                crate::temporary::sweep(&store).expect("swept");
            }
        });
    }
}
