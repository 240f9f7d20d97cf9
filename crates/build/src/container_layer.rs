//! A container layer: the directory a user named for a container's changes, and what stands in its `container.json`.

use crate::error::{IoExt, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use wiac_layer::Form;
use wiac_store::LayerId;
use wiac_store::leases::CONTAINER_FILE;

/// What `container.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// The directories that the container layer lies on, topmost first.
    #[serde(with = "wiac_oci::paths::many")]
    pub lowerdirs: Vec<PathBuf>,
    /// The form of the marks in it.
    pub form: Form,
    /// So many of the directories, the topmost, were committed from it: they belong on any chain it is run on.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub committed: usize,
    /// What was mounted on in its containers: empty files and directories there were made for that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<PathBuf>,
    /// The layer that its `diff` is about to become.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committing: Option<LayerId>,
}

// Serde hands a reference to whatever `skip_serializing_if` names.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl ContainerRecord {
    /// What stands in the container layer `layer`; `None` where it has none (yet), or one that says nothing.
    ///
    /// # Errors
    /// A record that is there and can't be read: taken for none, it would be written anew, without what was committed.
    pub fn read(layer: &Path) -> Result<Option<Self>> {
        let path = layer.join(CONTAINER_FILE);
        match fs::read(&path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            bytes => Ok(serde_json::from_slice(&bytes.on("read", &path)?).ok()),
        }
    }

    /// Writes it down, whole for every reader.
    pub fn write(&self, layer: &Path) -> Result<()> {
        let (path, fresh) = names(layer);
        fs::write(&fresh, self.text()).on("write", &fresh)?;
        fs::rename(&fresh, &path).on("write", &path)
    }

    fn text(&self) -> String {
        format!("{}\n", serde_json::to_string_pretty(self).unwrap_or_default())
    }

    /// The same, and it is on the disk when this returns.
    pub fn write_durably(&self, layer: &Path) -> Result<()> {
        let (path, fresh) = names(layer);
        let text = self.text();
        let written = File::create(&fresh).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.on("write", &fresh)?;
        fs::rename(&fresh, &path).on("write", &path)?;
        File::open(layer)
            .and_then(|directory| directory.sync_all())
            .on("sync", layer)
    }

    /// The directories of a chain that a user named (topmost first) with what was committed from this layer on top.
    pub fn with_committed(&self, chain: &[PathBuf]) -> Option<Vec<PathBuf>> {
        let (committed, base) = self.lowerdirs.split_at_checked(self.committed)?;
        (self.committed > 0 && base == chain).then(|| [committed, chain].concat())
    }

    /// Notes what is mounted on in a container. `true` where that is new.
    pub fn note_mounts(&mut self, targets: &[PathBuf]) -> bool {
        let fresh: Vec<PathBuf> = targets
            .iter()
            .filter(|target| !self.mounts.contains(target))
            .cloned()
            .collect();
        self.mounts.extend(fresh.iter().cloned());
        !fresh.is_empty()
    }
}

/// The file, and how it is called while it is written.
fn names(layer: &Path) -> (PathBuf, PathBuf) {
    let path = layer.join(CONTAINER_FILE);
    let fresh = path.with_extension("json.new");
    (path, fresh)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_committed_goes_on_top_of_the_chain() {
        let record = ContainerRecord {
            lowerdirs: ["/c", "/b", "/a"].map(PathBuf::from).to_vec(),
            form: Form::Trusted,
            committed: 1,
            mounts: Vec::new(),
            committing: None,
        };
        let chain = ["/b", "/a"].map(PathBuf::from);
        assert_eq!(record.with_committed(&chain), Some(record.lowerdirs.clone()));
        assert_eq!(record.with_committed(&chain[1..]), None);
        assert_eq!(record.with_committed(&record.lowerdirs), None);
    }
}
