//! What refers to what.

use crate::data::Store;
use crate::error::{Error, IoExt, Result};
use crate::image::{ImageRecord, LocalId};
use crate::layer::LayerId;
use crate::lock::Lock;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use wiac_oci::digest::Digest;

/// What images refer to.
#[derive(Debug, Default)]
pub(crate) struct References {
    /// Layers.
    pub(crate) layers: HashSet<LayerId>,
    /// Configurations and manifests.
    pub(crate) documents: HashSet<Digest>,
}

impl References {
    pub(crate) fn of_images(store: &Store, images: &[(LocalId, ImageRecord)]) -> Result<Self> {
        let mut references = Self::default();
        for (id, record) in images {
            references.layers.extend(record.layers.iter().cloned());
            if let Some(export) = store.export(id)? {
                references.documents.insert(export.config);
                references
                    .documents
                    .extend(export.manifests.into_iter().map(|manifest| manifest.digest));
            }
        }
        for name in store.names()? {
            references.documents.extend(name.manifest);
        }
        Ok(references)
    }
}

/// Whether an error says that something isn't there.
pub(crate) fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}

/// Entries of the build cache: the file of each, and the layer it says (`None` where that is none).
pub(crate) fn step_entries(store: &Store) -> Result<Vec<(PathBuf, Option<LayerId>)>> {
    let directory = store.path("cache/steps");
    let mut entries = Vec::new();
    for entry in fs::read_dir(&directory).on("read", &directory)? {
        let path = entry.on("read", &directory)?.path();
        if let Some(text) = text_of_entry(&path)? {
            entries.push((path, crate::cache::layer_of_entry(&text)));
        }
    }
    Ok(entries)
}

/// What a small file that points to something says; `None` where it is gone. What is no such file says nothing, and leads
/// nowhere.
pub(crate) fn text_of_entry(path: &Path) -> Result<Option<String>> {
    use std::io::ErrorKind::{IsADirectory, NotFound};
    match crate::layer::read_whole(path) {
        Ok(bytes) => Ok(Some(String::from_utf8(bytes).unwrap_or_default())),
        Err(error) if error.kind() == NotFound => Ok(None),
        Err(error) if error.kind() == IsADirectory => Ok(Some(String::new())),
        Err(error) => Err(error).on("read", path),
    }
}

/// Downloads that were cut off, each locked so that nobody goes on with it.
pub(crate) fn idle_downloads(store: &Store) -> Result<Vec<(PathBuf, Lock)>> {
    let directory = store.path("partial");
    let mut idle = Vec::new();
    // A data directory that nothing was downloaded into may lack it.
    if !directory.exists() {
        return Ok(idle);
    }
    for entry in fs::read_dir(&directory).on("read", &directory)? {
        let path = entry.on("read", &directory)?.path();
        match Lock::try_exclusive(&path) {
            Ok(Some(lock)) if lock.is_of(&path)? => idle.push((path, lock)),
            Ok(_) => {}
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(idle)
}

impl Store {
    /// Files in `images/exports` whose image is gone.
    pub(crate) fn exports_without_image(&self) -> Result<Vec<PathBuf>> {
        let (directory, records) = (self.path("images/exports"), self.path("images/records"));
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory).on("read", &directory)? {
            let entry = entry.on("read", &directory)?;
            if !records.join(entry.file_name()).exists() {
                found.push(entry.path());
            }
        }
        Ok(found)
    }

    /// Directories in `containers/` that no running container holds.
    pub(crate) fn abandoned_names(&self) -> Result<Vec<PathBuf>> {
        let directory = self.path("containers");
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory).on("read", &directory)? {
            let path = entry.on("read", &directory)?.path();
            match Lock::try_exclusive(&path) {
                Ok(Some(_)) => found.push(path),
                Ok(None) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}

impl Store {
    /// Whether anybody reads, mounts or makes something of this layer at the moment.
    pub fn is_layer_used(&self, id: &LayerId) -> Result<bool> {
        match Lock::try_exclusive(&self.layer_directory(id)) {
            Ok(lock) => Ok(lock.is_none()),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Layers that container layers outside of the store run on.
    pub fn leased_layers(&self) -> Result<std::collections::HashSet<LayerId>> {
        let leases = self.leases()?.into_iter().filter_map(|(_, lease)| lease);
        let valid = leases.filter(|lease| self.is_valid(lease));
        Ok(valid.flat_map(|lease| lease.layers).collect())
    }

    /// Whether a container runs on this image, or a container layer of the user's does.
    pub fn is_image_used(&self, record: &ImageRecord) -> Result<bool> {
        let Some(topmost) = record.layers.last() else {
            return Ok(false);
        };
        Ok(self.is_layer_used(topmost)? || self.leased_layers()?.contains(topmost))
    }
}
