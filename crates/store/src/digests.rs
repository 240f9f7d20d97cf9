//! What layers are called outside: the hashes of their tars (diff IDs) and of their blobs, and the way back from a
//! diff ID to the layer.
//!
//! Beside each layer stands `digests.json`, absent until something is known. Of a layer that came in it is written with
//! the layer; of one made here when it is first packed. It can be made again and is never trusted blindly: what packing
//! gives is compared with it.

use crate::collect::text_of_entry;
use crate::data::Store;
use crate::error::{IoExt, Result};
use crate::layer::{Draft, HeldLayer, LayerId, read_whole, to_json};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::PathBuf;
use wiac_oci::digest::{ChainId, DiffId};
use wiac_oci::manifest::Descriptor;

/// The file beside a layer's `diff`.
pub(crate) const FILE: &str = "digests.json";

/// What is known about a layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LayerDigests {
    /// The bytes of its files' contents, hard links once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Parents' metadata or linked files were taken from the layers below: on others the same tar is another layer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub depends_on_lower: bool,
    /// Its tars: the one that it was unpacked from, or those that were packed of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tars: Vec<LayerTar>,
}

/// One tar of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerTar {
    /// The hash of the tar.
    pub diff_id: DiffId,
    /// Newer times were clamped to this second when it was packed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clamp: Option<i64>,
    /// Blobs of it, whether or not they are here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<Descriptor>,
}

impl LayerDigests {
    /// The tar with this diff ID.
    pub fn tar(&self, diff_id: &DiffId) -> Option<&LayerTar> {
        self.tars.iter().find(|tar| tar.diff_id == *diff_id)
    }

    /// The tar packed with this clamp.
    pub fn packed(&self, clamp: Option<i64>) -> Option<&LayerTar> {
        self.tars.iter().find(|tar| tar.clamp == clamp)
    }

    /// Adds a tar, or a blob of one that is known.
    pub fn add(&mut self, tar: LayerTar) {
        let known = self
            .tars
            .iter_mut()
            .find(|known| known.diff_id == tar.diff_id && known.clamp == tar.clamp);
        let Some(known) = known else {
            self.tars.push(tar);
            return;
        };
        for blob in tar.blobs {
            if !known.blobs.iter().any(|other| other.digest == blob.digest) {
                known.blobs.push(blob);
            }
        }
    }
}

impl Draft {
    /// Says what the layer that is being made is called outside.
    pub fn set_digests(&self, digests: &LayerDigests) -> Result<()> {
        self.write(FILE, &to_json(digests))
    }
}

impl Store {
    fn digests_path(&self, id: &LayerId) -> PathBuf {
        self.layer_directory(id).join(FILE)
    }

    /// What is known about a layer; nothing is where nobody asked yet, or where the file is damaged.
    pub fn layer_digests(&self, id: &LayerId) -> Result<LayerDigests> {
        let path = self.digests_path(id);
        match read_whole(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(LayerDigests::default()),
            Err(error) => Err(error).on("read", &path),
        }
    }

    /// Changes what is known about a layer. Two processes that learn something at once: what one learned may be lost,
    /// and is found out again.
    pub fn update_digests(&self, id: &LayerId, change: impl FnOnce(&mut LayerDigests)) -> Result<()> {
        let mut digests = self.layer_digests(id)?;
        let before = digests.clone();
        change(&mut digests);
        if digests == before {
            return Ok(());
        }
        self.write_durably(&self.digests_path(id), &to_json(&digests))
    }

    /// The layer whose tar has this hash, held. `parent`: the chain below it, for a layer that depends on it.
    pub fn find_diff_id(&self, diff_id: &DiffId, parent: Option<&ChainId>) -> Result<Option<HeldLayer>> {
        for name in [
            Some(file_name(diff_id, None)),
            parent.map(|parent| file_name(diff_id, Some(parent))),
        ] {
            let Some(name) = name else { continue };
            let path = self.path("diff-ids").join(name);
            let Some(text) = text_of_entry(&path)? else { continue };
            if let Some(id) = LayerId::parse(text.trim())
                && let Some(held) = self.hold_layer(id)?
                && self.layer_digests(&held.id)?.tar(diff_id).is_some()
            {
                return Ok(Some(held));
            }
        }
        Ok(None)
    }

    /// Remembers which layer a tar with this hash is. `parent`: only on this chain.
    pub fn remember_diff_id(&self, diff_id: &DiffId, parent: Option<&ChainId>, layer: &LayerId) -> Result<()> {
        let path = self.path("diff-ids").join(file_name(diff_id, parent));
        self.write_whole(&path, format!("{layer}\n").as_bytes())
    }

    /// Entries of the index: the name of each one's file, and the layer that it says.
    pub fn diff_id_entries(&self) -> Result<Vec<(PathBuf, Option<LayerId>)>> {
        let directory = self.path("diff-ids");
        let mut entries = Vec::new();
        for entry in fs::read_dir(&directory).on("read", &directory)? {
            let path = entry.on("read", &directory)?.path();
            if let Some(text) = text_of_entry(&path)? {
                entries.push((path, LayerId::parse(text.trim())));
            }
        }
        Ok(entries)
    }
}

/// Digests of other algorithms than sha256 are told apart by their length.
fn file_name(diff_id: &DiffId, parent: Option<&ChainId>) -> String {
    let hex = diff_id.digest().hex();
    match parent {
        None => hex.to_owned(),
        Some(parent) => format!("{hex}.{}", parent.digest().hex()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::LayerInfo;
    use wiac_layer::Form;
    use wiac_oci::digest::Digest;

    fn tar(diff_id: &DiffId) -> LayerTar {
        LayerTar {
            diff_id: diff_id.clone(),
            clamp: None,
            blobs: Vec::new(),
        }
    }

    fn layer(store: &Store) -> HeldLayer {
        let info = LayerInfo {
            form: Form::Trusted,
            lineage: String::new(),
            created_by: String::new(),
            created: String::new(),
            unpacked_from: None,
            elsewhere: None,
        };
        Draft::new(store)
            .expect("draft")
            .commit(store, &info)
            .expect("committed")
    }

    #[test]
    fn a_layer_is_found_by_its_diff_id() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        let id = DiffId(Digest::sha256("tar"));
        let layer = layer(&store);
        store.remember_diff_id(&id, None, &layer.id).expect("remembered");
        let find = || store.find_diff_id(&id, None).expect("looked up").map(|held| held.id);
        assert_eq!(find(), None, "the layer itself has to say so too");
        store
            .update_digests(&layer.id, |digests| digests.add(tar(&id)))
            .expect("updated");
        assert_eq!(find(), Some(layer.id.clone()));
        fs::remove_dir_all(store.layer_directory(&layer.id)).expect("deleted");
        assert_eq!(find(), None);
    }

    #[test]
    fn one_that_depends_on_its_parent_is_found_on_it_alone() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        let id = DiffId(Digest::sha256("tar"));
        let [one, other] = ["one", "other"].map(|text| ChainId(Digest::sha256(text)));
        let layer = layer(&store);
        store
            .update_digests(&layer.id, |digests| digests.add(tar(&id)))
            .expect("updated");
        store.remember_diff_id(&id, Some(&one), &layer.id).expect("remembered");
        assert!(store.find_diff_id(&id, Some(&one)).expect("looked up").is_some());
        assert!(store.find_diff_id(&id, Some(&other)).expect("looked up").is_none());
        assert!(store.find_diff_id(&id, None).expect("looked up").is_none());
    }
}
