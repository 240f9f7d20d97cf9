//! What was meant for the files of a stack's layers, where it couldn't be put on disk (a user with a single id).
//!
//! A layer that came in has a record. One made on it here has none, and what overlayfs copied up into it is on disk as
//! the user's own: it is still meant for whoever the file below is. A directory that is merged with the one below is
//! the same directory; a file that was copied up says so by overlayfs's `origin`.

use crate::data::Store;
use crate::error::Result;
use crate::layer::{HeldLayer, LayerId};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{Metadata, symlink_metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wiac_layer::owners::{Intended, OwnerRecord};

/// Overlayfs's own of a user's layers: only they have records.
const ORIGIN: &str = "user.overlay.origin";
const OPAQUE: &str = "user.overlay.opaque";

impl Store {
    /// For each of these layers (base first) what couldn't be put on disk as it was meant.
    ///
    /// # Errors
    /// What the disk says.
    pub fn intended(&self, layers: &[HeldLayer]) -> Result<Vec<Option<Arc<OwnerRecord>>>> {
        let layers: Vec<(PathBuf, Option<LayerId>)> = layers
            .iter()
            .map(|layer| (self.layer_diff(&layer.id), Some(layer.id.clone())))
            .collect();
        self.gather(&layers)
    }

    /// The same by the directories (base first), which need not be the store's: a container's changes are none yet.
    ///
    /// # Errors
    /// As [`Store::intended`].
    pub fn intended_in(&self, directories: &[PathBuf]) -> Result<Vec<Option<Arc<OwnerRecord>>>> {
        let layers: Vec<(PathBuf, Option<LayerId>)> = directories
            .iter()
            .map(|path| (path.clone(), self.own_layer(path)))
            .collect();
        self.gather(&layers)
    }

    /// The record of each layer: its own, and what it has from below.
    fn gather(&self, layers: &[(PathBuf, Option<LayerId>)]) -> Result<Vec<Option<Arc<OwnerRecord>>>> {
        let mut meant = Meant::new();
        let mut records = Vec::with_capacity(layers.len());
        for (diff, id) in layers {
            let own = id.as_ref().map(|id| self.layer_owners(id)).transpose()?.flatten();
            if own.is_none() && meant.is_empty() {
                records.push(None);
                continue;
            }
            let mut record = match id {
                Some(id) if self.layer_info(id)?.unpacked_from.is_some() => OwnerRecord::default(),
                _ => inherited(&meant, diff),
            };
            for (path, intended) in own.iter().flat_map(OwnerRecord::iter) {
                record.insert(path, intended.clone());
            }
            meant.retain(|path, _| matches!(found(diff, path), Found::Nothing));
            meant.extend(record.iter().map(|(path, intended)| (path.to_vec(), intended.clone())));
            records.push(Some(Arc::new(record)).filter(|record| !record.is_empty()));
        }
        Ok(records)
    }
}

/// What is meant for each path, as far as it isn't on disk.
type Meant = BTreeMap<Vec<u8>, Intended>;

/// What is meant for the files of a layer that were copied up from below.
fn inherited(meant: &Meant, diff: &Path) -> OwnerRecord {
    let mut record = OwnerRecord::default();
    for (path, intended) in meant {
        if let Found::CopiedUp(meta) = found(diff, path) {
            let mut intended = intended.clone();
            // A file that stands for a device is empty.
            intended.device = intended.device.filter(|_| meta.is_file() && meta.size() == 0);
            record.insert(path, intended);
        }
    }
    record
}

/// What a layer has to say of a path of the layers below.
enum Found {
    /// It shows what is below.
    Nothing,
    /// The same file.
    CopiedUp(Metadata),
    /// Another one, or a deletion.
    Replaced,
}

fn found(diff: &Path, path: &[u8]) -> Found {
    let mut at = diff.to_owned();
    let mut names = path.split(|byte| *byte == b'/').peekable();
    while let Some(name) = names.next() {
        at.push(OsStr::from_bytes(name));
        let Ok(meta) = symlink_metadata(&at) else {
            return Found::Nothing;
        };
        let is_last = names.peek().is_none();
        if meta.is_dir() && !has(&at, OPAQUE) {
            if is_last {
                return Found::CopiedUp(meta);
            }
        } else if is_last && meta.is_file() && !meta.file_type().is_char_device() && has(&at, ORIGIN) {
            return Found::CopiedUp(meta);
        } else {
            return Found::Replaced;
        }
    }
    Found::Nothing
}

fn has(path: &Path, attribute: &str) -> bool {
    let mut value = [0; 256];
    rustix::fs::lgetxattr(path, attribute, &mut value[..]).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn meant(paths: &[&str]) -> Meant {
        let intended = Intended {
            uid: 1000,
            gid: 50,
            ..Intended::default()
        };
        paths
            .iter()
            .map(|path| (path.as_bytes().to_vec(), intended.clone()))
            .collect()
    }

    #[test]
    fn what_was_copied_up_is_still_its_owners() {
        let dir = tempfile::tempdir().expect("tempdir");
        let set = |path: &str, name: &str| {
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(dir.path().join(path), name, b"y", flags).expect("an attribute");
        };
        for name in ["merged", "fresh"] {
            fs::create_dir(dir.path().join(name)).expect("mkdir");
        }
        for name in ["merged/copied", "merged/new", "fresh/x", "file"] {
            fs::write(dir.path().join(name), "x").expect("write");
        }
        set("fresh", OPAQUE);
        set("merged/copied", ORIGIN);
        let paths = [
            "merged",
            "merged/copied",
            "merged/new",
            "merged/below",
            "fresh",
            "fresh/x",
            "file/below",
        ];
        let record = inherited(&meant(&paths), dir.path());
        let kept: Vec<&[u8]> = record.iter().map(|(path, _)| path).collect();
        assert_eq!(kept, [&b"merged"[..], b"merged/copied"]);
    }
}
