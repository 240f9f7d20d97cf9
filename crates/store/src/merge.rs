//! Several layers made one: for a stack of more than the kernel takes, and for `wiac squash`.

use crate::data::Store;
use crate::digests::LayerDigests;
use crate::error::{IoExt, Result};
use crate::layer::{Draft, HeldLayer, LayerId, LayerInfo};
use crate::transfer::{Copied, copy_layer};
use std::fs::File;
use std::path::PathBuf;
use wiac_layer::merge::{MergeOptions, merge};
use wiac_layer::merged::LayerStack;
use wiac_layer::owners::OwnerRecord;
use wiac_layer::unpack::OwnerPolicy;
use wiac_oci::digest::Digest;
use wiac_oci::time::now;

/// Lower layers that an overlay takes (`OVL_MAX_STACK` of the kernel).
pub const MOST_LAYERS: usize = 500;

/// Layers merged at once: each directory of each is open meanwhile.
const BLOCK: usize = 200;

impl Store {
    /// Layers (base first) that a kernel takes and that show the same: where there are too many, the lowest are merged. What
    /// was merged is found again.
    ///
    /// # Errors
    /// A layer that isn't here; what the disk says.
    pub fn fit(&self, layers: Vec<HeldLayer>, owners: OwnerPolicy) -> Result<Vec<HeldLayer>> {
        self.fit_into(layers, MOST_LAYERS, owners)
    }

    /// The same for directories (base first) of which the lower ones are layers of this store, as in a chain that somebody
    /// put together. Those that can't be merged stay as they are, however many they are.
    ///
    /// # Errors
    /// As [`Store::fit`].
    pub fn fit_directories(
        &self,
        directories: &[PathBuf],
        owners: OwnerPolicy,
    ) -> Result<(Vec<PathBuf>, Vec<HeldLayer>)> {
        if directories.len() <= MOST_LAYERS {
            return Ok((directories.to_vec(), Vec::new()));
        }
        let own = |directory: &PathBuf| self.own_layers(std::slice::from_ref(directory)).pop();
        let own: Vec<LayerId> = directories.iter().map_while(own).collect();
        let mut layers = self.hold_layers(&own)?;
        let above = &directories[layers.len()..];
        let most = MOST_LAYERS.saturating_sub(above.len()).max(1);
        if layers.len() > most {
            layers = self.fit_into(layers, most, owners)?;
        }
        let below = layers.iter().map(|held| self.layer_diff(&held.id));
        Ok((below.chain(above.iter().cloned()).collect(), layers))
    }

    fn fit_into(&self, mut layers: Vec<HeldLayer>, most: usize, owners: OwnerPolicy) -> Result<Vec<HeldLayer>> {
        while layers.len() > most {
            let count = BLOCK.min(layers.len() - most + 1);
            let rest = layers.split_off(count);
            let mut fitting = vec![self.merge_layers(&layers, "MERGE", owners)?];
            fitting.extend(rest);
            layers = fitting;
        }
        Ok(layers)
    }

    /// One layer that shows what these (base first, with nothing below them) show together: by hard links, so that it takes
    /// no space of its own.
    ///
    /// # Errors
    /// As [`Store::fit`].
    pub fn merge_layers(&self, layers: &[HeldLayer], created_by: &str, owners: OwnerPolicy) -> Result<HeldLayer> {
        let ids: Vec<&str> = layers.iter().map(|layer| layer.id.as_str()).collect();
        let key = Digest::sha256(format!("merged {}", ids.join(" "))).hex().to_owned();
        if let Some(known) = self.cached_step(&key)? {
            return Ok(known);
        }
        let own = self.own_copies(layers, owners)?;
        let directories: Vec<PathBuf> = own.iter().map(|id| self.layer_diff(id)).collect();
        let records = self.intended_in(&directories)?;
        let records: Vec<Option<&OwnerRecord>> = records.iter().map(Option::as_deref).collect();
        let draft = Draft::new(self)?;
        let diff = draft.diff();
        let into = File::open(&diff).on("open", &diff)?;
        let options = MergeOptions {
            keep_marks: false,
            owners: &records,
        };
        let merged = merge(&directories, &into, self.form(), &options)?;
        if let Some(owners) = &merged.owners {
            draft.write_owners(owners)?;
        }
        draft.set_digests(&LayerDigests::default())?;
        let held = draft.commit(
            self,
            &LayerInfo {
                form: self.form(),
                lineage: key.clone(),
                created_by: created_by.to_owned(),
                created: now(),
                unpacked_from: None,
                elsewhere: None,
            },
        )?;
        self.remember_step(&key, &held.id)?;
        Ok(held)
    }

    /// The layers, those of other tools' stores copied: a hard link would change their files.
    fn own_copies(&self, layers: &[HeldLayer], owners: OwnerPolicy) -> Result<Vec<LayerId>> {
        let mut own: Vec<LayerId> = Vec::new();
        for layer in layers {
            let info = self.layer_info(&layer.id)?;
            if info.elsewhere.is_none() {
                own.push(layer.id.clone());
                continue;
            }
            let below = LayerStack::new(own.iter().map(|id| self.layer_diff(id)).collect());
            let copied = Copied {
                created_by: &info.created_by,
                created: &info.created,
            };
            let copy = copy_layer(self, &self.layer_diff(&layer.id), &below, owners, &copied)?;
            own.push(copy.id);
        }
        Ok(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use wiac_layer::Form;

    fn layer(store: &Store, name: &str) -> HeldLayer {
        let draft = Draft::new(store).expect("draft");
        fs::write(draft.diff().join(name), name).expect("write");
        fs::write(draft.diff().join("last"), name).expect("write");
        let info = LayerInfo {
            form: Form::Trusted,
            lineage: name.to_owned(),
            created_by: String::new(),
            created: String::new(),
            unpacked_from: None,
            elsewhere: None,
        };
        draft.commit(store, &info).expect("committed")
    }

    #[test]
    fn the_lowest_are_merged_until_the_rest_fits() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        let layers: Vec<HeldLayer> = (0..7).map(|number| layer(&store, &number.to_string())).collect();
        let ids: Vec<LayerId> = layers.iter().map(|layer| layer.id.clone()).collect();
        let fitting = store.fit_into(layers, 3, OwnerPolicy::Set).expect("merged");
        assert_eq!(fitting.len(), 3);
        assert_eq!(fitting[1].id, ids[5]);
        let merged = store.layer_diff(&fitting[0].id);
        for name in ["0", "1", "2", "3", "4"] {
            assert_eq!(fs::read_to_string(merged.join(name)).expect("read"), name);
        }
        assert_eq!(fs::read_to_string(merged.join("last")).expect("read"), "4");
        let again = store.fit_into(store.hold_layers(&ids).expect("held"), 3, OwnerPolicy::Set);
        assert_eq!(again.expect("found")[0].id, fitting[0].id);
    }
}
