//! The last part of loading a layer: what was unpacked, and is what it should be, gets its place in the store.

use super::super::record;
use super::super::stream::Streamed;
use super::Loading;
use crate::blobs::HeldBlob;
use crate::digests::{LayerDigests, LayerTar};
use crate::error::{Error, Result};
use crate::layer::{Draft, HeldLayer, LayerInfo};
use std::sync::PoisonError;
use wiac_layer::unpack::Unpacked;
use wiac_oci::manifest::Descriptor;

/// A layer that was unpacked.
pub(super) struct Fresh {
    pub(super) draft: Draft,
    pub(super) unpacked: Unpacked,
    pub(super) streamed: Streamed,
}

impl Loading<'_> {
    /// Puts a layer that is right in place at once: who waits for its blob need not wait for the image.
    pub(super) fn place(&self, number: usize, fresh: Fresh) -> Result<(HeldLayer, HeldBlob)> {
        let Fresh {
            draft,
            unpacked,
            streamed,
        } = fresh;
        let blob = streamed
            .blob
            .ok_or_else(|| Error::image("a layer", "its blob wasn't kept"))?;
        let described = Descriptor::new(streamed.media_type, blob.digest.clone(), blob.size);
        if blob.is_download() {
            // It gets its name last: who waits for it looks for the layer then, and would unpack it once more.
            let held = self.place_layer(number, draft, &unpacked, described)?;
            return Ok((held, blob.commit(self.store)?));
        }
        // It lies in the room of the draft, which becomes the layer.
        let blob = blob.commit(self.store)?;
        Ok((self.place_layer(number, draft, &unpacked, described)?, blob))
    }

    fn place_layer(
        &self,
        number: usize,
        draft: Draft,
        unpacked: &Unpacked,
        described: Descriptor,
    ) -> Result<HeldLayer> {
        let (store, layer) = (self.store, &self.image.layers[number]);
        let depends_on_lower = unpacked.depends_on_lower;
        draft.set_digests(&LayerDigests {
            size: Some(unpacked.size),
            depends_on_lower,
            tars: vec![LayerTar {
                diff_id: layer.diff_id.clone(),
                clamp: None,
                blobs: vec![layer.descriptor.clone().unwrap_or(described)],
            }],
        })?;
        if let Some(owners) = &unpacked.owners {
            draft.write_owners(owners)?;
        }
        let made = record::history(&self.image.config).nth(number);
        let info = LayerInfo {
            form: store.form(),
            lineage: layer.diff_id.digest().hex().to_owned(),
            created_by: made.as_ref().map(|made| made.by.clone()).unwrap_or_default(),
            created: made.map(|made| made.when).unwrap_or_default(),
            unpacked_from: Some(layer.diff_id.clone()),
            elsewhere: None,
        };
        let held = draft.commit(store, &info)?;
        self.used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(held.id.clone());
        let parent = self.parents[number].as_ref().filter(|_| depends_on_lower);
        store.remember_diff_id(&layer.diff_id, parent, &held.id)?;
        Ok(held)
    }
}
