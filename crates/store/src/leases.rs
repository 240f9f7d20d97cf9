//! Leases: a container layer that a user named lies outside the store and runs on layers of it. As long as it does,
//! they are kept.
//!
//! The container layer says in its `container.json` what it runs on; the lease says where the container layer is. Where
//! one of the two is gone, or they don't agree any more, the lease is void.

use crate::collect::is_gone;
use crate::data::Store;
use crate::error::{IoExt, Result};
use crate::layer::{LayerId, from_json, to_json};
use crate::lock::Lock;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use wiac_oci::digest::Digest;

/// The file in a container layer that says what it runs on.
pub const CONTAINER_FILE: &str = "container.json";

/// What keeps layers for a container layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Where the container layer is.
    #[serde(with = "wiac_oci::paths::one")]
    pub path: PathBuf,
    /// The layers of this store that it runs on, base first.
    pub layers: Vec<LayerId>,
}

/// The name of a running container: its directory in `containers/`, which goes with it.
#[derive(Debug)]
pub struct ContainerName {
    path: PathBuf,
    /// Also the container's monitor holds it, so that a name stays taken as long as the container runs.
    _lock: Lock,
}

impl Drop for ContainerName {
    fn drop(&mut self) {
        // What a killed command leaves is taken away by a collector, or used again under the same name.
        let _ = fs::remove_dir(&self.path);
    }
}

/// What [`CONTAINER_FILE`] says, as far as a lease needs it.
#[derive(Deserialize)]
struct Container {
    #[serde(default, with = "wiac_oci::paths::many")]
    lowerdirs: Vec<PathBuf>,
    /// The layer that the container layer's changes are about to become.
    #[serde(default)]
    committing: Option<LayerId>,
}

impl Store {
    /// Keeps the layers of this store that are among `lowers` for the container layer at `path`, and lets `record` write
    /// down there what it runs on: a collector sees both or neither. The caller holds the layers.
    ///
    /// # Errors
    /// What `record` says; a lease that can't be written.
    pub fn lease<E: From<crate::Error>>(
        &self,
        path: &Path,
        lowers: &[PathBuf],
        record: impl FnOnce() -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let layers = self.own_layers(lowers);
        let _adding = self.adding_images()?;
        record()?;
        if layers.is_empty() {
            return Ok(());
        }
        let lease = Lease {
            path: path.to_owned(),
            layers,
        };
        let file = self.lease_path(path);
        if from_json::<Lease>(&file).ok().as_ref() != Some(&lease) {
            self.write_durably(&file, &to_json(&lease))?;
        }
        Ok(())
    }

    /// Takes a name for a container that runs; `None` where a running container has it. `name` is one part of a path.
    pub fn take_container_name(&self, name: &str) -> Result<Option<ContainerName>> {
        /// A collector looks into a name for a moment: only who holds it longer has it.
        const TRIES: u32 = 5;
        let path = self.path("containers").join(name);
        let mut tries = 0;
        loop {
            fs::create_dir_all(&path).on("create", &path)?;
            match Lock::try_exclusive(&path) {
                Ok(Some(lock)) if lock.is_of(&path)? => return Ok(Some(ContainerName { path, _lock: lock })),
                // Taken away just now, by its last holder.
                Ok(Some(_)) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error),
                Ok(None) if tries == TRIES => return Ok(None),
                Ok(None) => {
                    tries += 1;
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
            }
        }
    }

    /// One for each path: a container layer that runs on other layers now doesn't keep the old ones.
    fn lease_path(&self, path: &Path) -> PathBuf {
        let id = Digest::sha256(path.as_os_str().as_encoded_bytes());
        self.path("leases").join(&id.hex()[..32])
    }

    /// Those of these directories that are layers of this store, by whatever path.
    pub(crate) fn own_layers(&self, lowers: &[PathBuf]) -> Vec<LayerId> {
        let Ok(layers) = self.path("layers").canonicalize() else {
            return Vec::new();
        };
        let own = |lower: &PathBuf| {
            // It may be about to be put there: then only the directory that it belongs into has a path.
            let in_place = || Some(lower.parent()?.canonicalize().ok()?.join(lower.file_name()?));
            let lower = lower.canonicalize().ok().or_else(in_place)?;
            let (directory, diff) = (lower.parent()?, lower.file_name()?);
            let is_ours = diff == "diff" && directory.parent()? == layers;
            is_ours
                .then(|| LayerId::parse(directory.file_name()?.to_str()?))
                .flatten()
        };
        lowers.iter().filter_map(own).collect()
    }

    /// The layer of this store that a directory is, by whatever path.
    pub fn own_layer(&self, directory: &Path) -> Option<LayerId> {
        self.own_layers(&[directory.to_owned()]).pop()
    }

    /// All leases: the file of each, and what it says (`None` where it is damaged).
    pub fn leases(&self) -> Result<Vec<(PathBuf, Option<Lease>)>> {
        let directory = self.path("leases");
        let mut leases = Vec::new();
        for entry in fs::read_dir(&directory).on("read", &directory)? {
            let path = entry.on("read", &directory)?.path();
            let lease = from_json(&path).ok();
            leases.push((path, lease));
        }
        Ok(leases)
    }

    /// Whether the container layer of a lease is still there and runs on the lease's layers, or is about to. Where that
    /// can't be looked at, since a directory is closed to us, it counts.
    pub(crate) fn is_valid(&self, lease: &Lease) -> bool {
        let container = match fs::read(lease.path.join(CONTAINER_FILE)) {
            Err(error) => return error.kind() == std::io::ErrorKind::PermissionDenied,
            Ok(text) => serde_json::from_slice::<Container>(&text),
        };
        let Ok(container) = container else { return false };
        let is_made = |id: &LayerId| container.committing.as_ref() == Some(id);
        lease
            .layers
            .iter()
            .any(|id| is_made(id) || self.stands_on(&container, id))
    }

    /// Whether the container layer of a lease runs on this layer.
    pub(crate) fn lease_stands_on(&self, lease: &Lease, id: &LayerId) -> bool {
        let container = from_json::<Container>(&lease.path.join(CONTAINER_FILE));
        container.is_ok_and(|container| self.stands_on(&container, id))
    }

    fn stands_on(&self, container: &Container, id: &LayerId) -> bool {
        // By name too, for a layer that is gone has no path to compare.
        let is_named = |lower: &PathBuf| {
            lower.ends_with("diff") && lower.parent().is_some_and(|parent| parent.ends_with(id.as_str()))
        };
        container.lowerdirs.iter().any(is_named) || self.own_layers(&container.lowerdirs).contains(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wiac_layer::Form;

    #[test]
    fn a_name_goes_with_its_container() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        let name = store.take_container_name("box").expect("asked").expect("free");
        assert!(store.take_container_name("box").expect("asked").is_none());
        drop(name);
        assert!(!store.path("containers/box").exists());
        assert!(store.take_container_name("box").expect("asked").is_some());
    }

    fn write(path: &Path, lowers: &[PathBuf]) {
        let text = serde_json::json!({ "lowerdirs": lowers }).to_string();
        fs::write(path.join(CONTAINER_FILE), text).expect("write");
    }

    #[test]
    fn a_lease_is_void_when_its_container_layer_says_otherwise() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(&dir.path().join("data"), Form::Trusted).expect("store");
        let id = LayerId::random().expect("id");
        let lower = store.layer_diff(&id);
        fs::create_dir_all(&lower).expect("mkdir");
        let container = dir.path().join("container");
        fs::create_dir(&container).expect("mkdir");
        let lowers = [dir.path().to_owned(), lower];
        let record = || {
            write(&container, &lowers);
            Ok::<_, crate::Error>(())
        };
        store.lease(&container, &lowers, record).expect("leased");
        let leases = store.leases().expect("listed");
        let lease = leases[0].1.as_ref().expect("whole");
        assert_eq!(lease.layers, [id]);
        assert!(store.is_valid(lease));
        write(&container, &lowers[..1]);
        assert!(!store.is_valid(lease));
        fs::remove_dir_all(&container).expect("deleted");
        assert!(!store.is_valid(lease));
    }
}
