//! What layers are called outside (`digests.json`): whether it can be right, and what it should say.
//!
//! Of a layer that came in it names the tar and the blobs that prove the layer. Without them the layer could be compared with
//! nothing any more, and what it is by now would pass for what it was: so it is made again, of what the images say that
//! brought the layer along.

use super::images::label;
use super::{Checker, Repair};
use crate::digests::FILE;
use crate::layer::{DESCRIPTION, LayerId, LayerInfo, from_json};
use crate::{LayerDigests, LayerTar};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use wiac_oci::digest::DiffId;
use wiac_oci::manifest::{Descriptor, Manifest};

/// Whether nothing of this name is there, which is another thing than that it can't be looked at.
fn is_absent(path: &Path) -> bool {
    path.symlink_metadata()
        .is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

impl Checker<'_> {
    pub(super) fn digests_path(&self, id: &LayerId) -> PathBuf {
        self.store.layer_directory(id).join(FILE)
    }

    /// Looks at what is known about a layer.
    pub(super) fn digests_of(&mut self, id: &LayerId) {
        let Some(info) = self.seen(self.store.layer_info(id)) else {
            return;
        };
        let path = self.digests_path(id);
        let problem = match from_json::<LayerDigests>(&path) {
            Err(_) if is_absent(&path) => {
                let is_missed = info.unpacked_from.is_some() && info.elsewhere.is_none();
                is_missed.then(|| "is missing".to_owned())
            }
            Err(error) => Some(self.reason(&error)),
            Ok(digests) => {
                self.note_other_sizes(id, &digests);
                let came = info.unpacked_from.as_ref().filter(|came| digests.tar(came).is_none());
                if let Some(came) = came
                    && self.is_misdescribed(id, came, &info)
                {
                    return;
                }
                came.map(|came| format!("doesn't have the tar {came} that the layer was unpacked from"))
            }
        };
        if let Some(problem) = problem {
            let repair = self.digests_again(id, |_| true);
            self.found(label(&path), problem, repair, None);
        }
    }

    /// Whether it is the layer's description that is wrong about the tar: the images and `digests.json` agree on another one.
    fn is_misdescribed(&mut self, id: &LayerId, came: &DiffId, info: &LayerInfo) -> bool {
        let Some(meant) = self.description_again(id).and_then(|again| again.unpacked_from) else {
            return false;
        };
        let path = self.store.layer_directory(id).join(DESCRIPTION);
        let problem = format!("says that the layer was unpacked from the tar {came}, and its images name {meant}");
        let info = LayerInfo {
            unpacked_from: Some(meant),
            ..info.clone()
        };
        self.found(
            label(&path),
            problem,
            Repair::Describe(id.clone(), Box::new(info)),
            None,
        );
        true
    }

    /// Where a blob has another length than is said here, one of the two is wrong: the blob's bytes tell.
    fn note_other_sizes(&mut self, id: &LayerId, digests: &LayerDigests) {
        for blob in digests.tars.iter().flat_map(|tar| &tar.blobs) {
            let length = std::fs::metadata(self.store.blob_path(&blob.digest)).map(|meta| meta.len());
            if length.is_ok_and(|length| length != blob.size) {
                self.proofs.other_sizes.push((id.clone(), blob.clone()));
            }
        }
    }

    /// Judges blobs of another length than their layers say, once all blobs were hashed.
    pub(super) fn other_sizes(&mut self) {
        for (id, blob) in std::mem::take(&mut self.proofs.other_sizes) {
            if self.proofs.damaged_blobs.contains(&blob.digest) {
                continue;
            }
            let problem = format!(
                "says that blob {} has {} bytes, which it hasn't",
                blob.digest, blob.size
            );
            let (repair, advice) = if self.options.quick {
                let advice = "wiac store check, not --quick, looks which of the two is wrong";
                (Repair::Nothing, Some(advice.to_owned()))
            } else {
                (self.digests_again(&id, |known| *known != blob), None)
            };
            self.found(label(&self.digests_path(&id)), problem, repair, advice);
        }
    }

    /// What is to be written, of the blobs that `is_right` leaves and of those that images name.
    pub(super) fn digests_again(&self, id: &LayerId, is_right: impl Fn(&Descriptor) -> bool) -> Repair {
        let mut digests = self.seen(self.store.layer_digests(id)).unwrap_or_default();
        for tar in &mut digests.tars {
            tar.blobs.retain(&is_right);
        }
        let info = self.seen(self.store.layer_info(id));
        if let Some(came) = info.and_then(|info| info.unpacked_from) {
            let blobs = self.blobs_of(id, &came).into_iter().filter(is_right).collect();
            digests.add(LayerTar {
                diff_id: came,
                clamp: None,
                blobs,
            });
        }
        if digests == LayerDigests::default() {
            // It is made again when it is needed.
            return Repair::Delete(self.digests_path(id));
        }
        Repair::Digests(id.clone(), Box::new(digests))
    }

    /// The blobs of a layer's tar, as the manifests of the images say that have the layer.
    fn blobs_of(&self, id: &LayerId, tar: &DiffId) -> Vec<Descriptor> {
        let mut blobs: Vec<Descriptor> = Vec::new();
        for (image, record, number) in self.images_with(id) {
            if record.config.rootfs.diff_ids.get(number) != Some(tar) {
                continue;
            }
            let export = self.seen(self.store.export(&image)).flatten();
            for known in export.into_iter().flat_map(|export| export.manifests) {
                let document = self.seen(self.store.document(&known.digest));
                let manifest = document.and_then(|bytes| serde_json::from_slice::<Manifest>(&bytes).ok());
                let blob = manifest.and_then(|manifest| manifest.layers.into_iter().nth(number));
                blobs.extend(blob.filter(|blob| !blobs.contains(blob)));
            }
        }
        blobs
    }
}
