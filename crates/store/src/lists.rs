//! Indexes that are put together by hand (`wiac manifest create`): lists of manifests in registries and of images here.

use crate::data::Store;
use crate::error::{IoExt, Result};
use crate::image::LocalId;
use crate::layer::{from_json, to_json};
use crate::names::file_name;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use wiac_oci::manifest::{Descriptor, Platform};
use wiac_oci::reference::Reference;

/// An index that isn't anywhere yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexList {
    /// In full: `docker.io/library/app:1`.
    pub name: String,
    /// What the index says beside.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// In order.
    #[serde(default)]
    pub entries: Vec<IndexEntry>,
}

/// One manifest of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexEntry {
    /// As it was named.
    pub name: String,
    /// Where it is.
    pub place: EntryPlace,
    /// What it is for.
    pub platform: Platform,
    /// What the index says of it beside.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// Where a manifest of an index is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EntryPlace {
    /// In a registry.
    Registry {
        /// The repository with the digest.
        reference: String,
        /// The manifest.
        descriptor: Box<Descriptor>,
    },
    /// An image of this store.
    Image(LocalId),
}

impl Store {
    fn list_path(&self, name: &Reference) -> PathBuf {
        let name = name.clone().with_default_tag().to_string();
        self.path("images/lists").join(file_name(&name))
    }

    /// The index called so; `None` where there is none.
    ///
    /// # Errors
    /// A damaged file.
    pub fn list(&self, name: &Reference) -> Result<Option<IndexList>> {
        match from_json(&self.list_path(name)) {
            Err(error) if crate::collect::is_gone(&error) => Ok(None),
            result => result.map(Some),
        }
    }

    /// Writes an index; one of that name is replaced.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write_list(&self, name: &Reference, list: &IndexList) -> Result<()> {
        let path = self.list_path(name);
        if let Some(parent) = path.parent() {
            // A data directory that nobody made one in lacks it.
            fs::create_dir_all(parent).on("create", parent)?;
        }
        self.write_durably(&path, &to_json(list))
    }

    /// Deletes an index; `false` where there is none.
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove_list(&self, name: &Reference) -> Result<bool> {
        let path = self.list_path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            result => result.map(|()| true).on("delete", &path),
        }
    }
}
