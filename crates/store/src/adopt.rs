//! A finished upper directory from outside the store becomes a layer: by one rename, where it is on the same mount.
//!
//! Until the rename it stays where it is, and its owner can write down beforehand which layer it is about to become: a
//! crash at any moment leaves it in one of the two places, whole.

use crate::data::Store;
use crate::error::{Error, IoExt, Result};
use crate::layer::{DESCRIPTION, HeldLayer, LayerId, LayerInfo, to_json};
use crate::lock::Lock;
use crate::temporary::Temporary;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

/// A directory that shows whether directories can be moved.
const PROBE: &str = ".wiac-probe";

impl Store {
    /// Makes `upper` a layer. It is on the disk when this returns. `announce` is told the layer's id before the
    /// directory is moved; what it writes down must be on the disk when it returns.
    ///
    /// `None` where `upper` is on another mount: nothing was moved, and `announce` was not called.
    ///
    /// # Errors
    /// What `announce` says, or the disk.
    pub fn adopt<E: From<Error>>(
        &self,
        upper: &Path,
        info: &LayerInfo,
        announce: impl FnOnce(&LayerId) -> Result<(), E>,
    ) -> Result<Option<HeldLayer>, E> {
        if !self.is_on_one_mount(upper)? {
            return Ok(None);
        }
        let id = LayerId::random()?;
        let lock = self.place_description(&id, info)?;
        announce(&id).inspect_err(|_| self.take_back(upper, &id))?;
        self.sync_and_move(upper, &id)
            .inspect_err(|_| self.take_back(upper, &id))?;
        Ok(Some(HeldLayer { id, lock }))
    }

    /// Undoes what went wrong: the directory belongs to whoever has handed it over again, and the description to nobody.
    fn take_back(&self, upper: &Path, id: &LayerId) {
        let moved = fs::rename(self.layer_diff(id), upper);
        if moved.is_ok() || !self.is_adopted(id) {
            let _ = crate::temporary::remove_tree(&self.layer_directory(id));
        }
    }

    /// Whether a layer whose description was placed has got its directory.
    pub fn is_adopted(&self, id: &LayerId) -> bool {
        self.layer_diff(id).is_dir()
    }

    /// A rename works within one mount only, which the kernel says best.
    fn is_on_one_mount(&self, upper: &Path) -> Result<bool> {
        let room = Temporary::new(self)?;
        let parent = upper.parent().unwrap_or(Path::new("/"));
        // Always called the same: one that a kill left is used by the next attempt. Nobody else is at this directory.
        let probe = parent.join(PROBE);
        match fs::create_dir(&probe) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            result => result.on("create", &probe)?,
        }
        let moved = rustix::fs::rename(&probe, room.path().join("probe"));
        let _ = fs::remove_dir(&probe);
        match moved {
            Ok(()) => Ok(true),
            Err(Errno::XDEV) => Ok(false),
            Err(errno) => Err(errno).on("move a directory from", parent),
        }
    }

    /// The layer's directory with its description, on the disk, locked before it can be seen.
    fn place_description(&self, id: &LayerId, info: &LayerInfo) -> Result<Lock> {
        let room = Temporary::new(self)?;
        let fresh = room.create_dir("layer")?;
        let description = fresh.join(DESCRIPTION);
        fs::write(&description, to_json(info)).on("write", &description)?;
        for path in [&description, &fresh] {
            File::open(path).and_then(|file| file.sync_all()).on("sync", path)?;
        }
        let lock = Lock::shared(&fresh)?;
        let directory = self.layer_directory(id);
        fs::rename(&fresh, &directory).on("move into place", &fresh)?;
        sync_directory(&self.path("layers"))?;
        Ok(lock)
    }

    fn sync_and_move(&self, upper: &Path, id: &LayerId) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(upper, flags, Mode::empty()).on("open", upper)?;
        rustix::fs::syncfs(&opened).on("sync", upper)?;
        fs::rename(upper, self.layer_diff(id)).on("move into the store", upper)?;
        sync_directory(&self.layer_directory(id))?;
        match upper.parent() {
            Some(parent) => sync_directory(parent),
            None => Ok(()),
        }
    }
}

fn sync_directory(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .on("sync", path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wiac_layer::Form;

    fn info() -> LayerInfo {
        LayerInfo {
            form: Form::Trusted,
            lineage: "x".into(),
            created_by: String::new(),
            created: String::new(),
            unpacked_from: None,
            elsewhere: None,
        }
    }

    #[test]
    fn an_upper_directory_moves_into_the_store() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(&dir.path().join("data"), Form::Trusted).expect("store");
        let upper = dir.path().join("diff");
        fs::create_dir(&upper).expect("mkdir");
        fs::write(upper.join("file"), "x").expect("write");
        let mut announced = None;
        let announce = |id: &LayerId| {
            announced = Some(id.clone());
            Ok::<_, Error>(())
        };
        let held = store
            .adopt(&upper, &info(), announce)
            .expect("adopted")
            .expect("one mount");
        assert_eq!(announced.as_ref(), Some(&held.id));
        assert!(!upper.exists());
        assert!(store.layer_diff(&held.id).join("file").is_file());
        assert!(store.has_layer(&held.id));
    }

    #[test]
    fn what_a_killed_attempt_left_is_in_nobodys_way() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(&dir.path().join("data"), Form::Trusted).expect("store");
        let upper = dir.path().join("diff");
        fs::create_dir(&upper).expect("mkdir");
        fs::create_dir(dir.path().join(PROBE)).expect("mkdir");
        assert!(store.is_on_one_mount(&upper).expect("found out"));
        assert!(!dir.path().join(PROBE).exists());
    }

    #[test]
    fn what_was_moved_is_moved_back() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(&dir.path().join("data"), Form::Trusted).expect("store");
        let upper = dir.path().join("diff");
        fs::create_dir(&upper).expect("mkdir");
        fs::write(upper.join("file"), "x").expect("write");
        let id = LayerId::random().expect("id");
        let lock = store.place_description(&id, &info()).expect("placed");
        store.sync_and_move(&upper, &id).expect("moved");
        store.take_back(&upper, &id);
        assert!(upper.join("file").is_file());
        assert!(!store.layer_directory(&id).exists());
        drop(lock);
    }

    #[test]
    fn nothing_moves_where_it_could_not_be_written_down() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(&dir.path().join("data"), Form::Trusted).expect("store");
        let upper = dir.path().join("diff");
        fs::create_dir(&upper).expect("mkdir");
        let refuse = |_: &LayerId| Err(Error::image("x", "no"));
        assert!(store.adopt(&upper, &info(), refuse).is_err());
        assert!(upper.is_dir());
        assert_eq!(store.layers().expect("listed"), []);
        assert_eq!(fs::read_dir(dir.path()).expect("read").count(), 2);
    }
}
