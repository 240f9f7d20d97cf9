//! What is lost of the small files and known from elsewhere in the store: records of images that came in, and layers'
//! descriptions. Without it a whole layer, or an image of whole layers, would have to be set aside.

use super::Checker;
use crate::image::{ImageRecord, LocalId};
use crate::layer::{LayerId, LayerInfo};
use crate::transfer::made_layers;
use wiac_oci::digest::{ChainId, Digest};
use wiac_oci::image::ImageConfig;

impl Checker<'_> {
    /// The configuration of an image that came in, which its id is the digest of.
    pub(super) fn configuration(&self, id: &LocalId) -> Option<ImageConfig> {
        let digest: Digest = format!("sha256:{id}").parse().ok()?;
        ImageConfig::parse(&self.seen(self.store.document(&digest))?).ok()
    }

    /// The record of an image that came in: its configuration names its layers. Which directories they are is known from
    /// the index of diff IDs, and from the record as far as it can be read.
    pub(super) fn record_again(&self, id: &LocalId, known: Option<&ImageRecord>) -> Option<ImageRecord> {
        let config = self.configuration(id)?;
        let diff_ids = &config.rootfs.diff_ids;
        // The same tar twice lies in two directories, and the index knows one.
        let known = known
            .map(|known| &known.layers)
            .filter(|layers| layers.len() == diff_ids.len());
        let mut layers: Vec<LayerId> = Vec::new();
        for (number, diff_id) in diff_ids.iter().enumerate() {
            let below = ChainId::of(&diff_ids[..number]);
            let indexed = || Some(self.seen(self.store.find_diff_id(diff_id, below.as_ref()))??.id);
            let named = known.map(|known| known[number].clone());
            let is_proven = |layer: &LayerId| {
                let digests = self.seen(self.store.layer_digests(layer));
                digests.is_some_and(|digests| digests.tar(diff_id).is_some())
            };
            let layer = named.clone().filter(is_proven).or_else(indexed).or(named)?;
            if layers.contains(&layer) || !self.is_whole(&layer) {
                return None;
            }
            layers.push(layer);
        }
        Some(ImageRecord {
            layers,
            config,
            ..ImageRecord::default()
        })
    }

    /// The description of a layer whose directory is here, as an image that has it tells. What made it isn't known again:
    /// no step of a build that lies on it is found any more.
    pub(super) fn description_again(&self, id: &LayerId) -> Option<LayerInfo> {
        let diff = self.store.layer_diff(id);
        if !diff.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
            return None;
        }
        let digests = self.seen(self.store.layer_digests(id)).unwrap_or_default();
        let mut described: Option<LayerInfo> = None;
        for (image, record, number) in self.images_with(id) {
            let export = self.seen(self.store.export(&image)).flatten();
            let came_in = export.is_some_and(|export| export.is_of_arrival(&image));
            let diff_id = record.config.rootfs.diff_ids.get(number).cloned();
            let unpacked_from = diff_id.filter(|diff_id| came_in && digests.tar(diff_id).is_some());
            // An image that is built on one that came in says less of its layers.
            if described.is_some() && unpacked_from.is_none() {
                continue;
            }
            let made = made_layers(&record.config).nth(number)?;
            let random = || LayerId::random().ok().map(|id| id.to_string());
            let lineage = match &unpacked_from {
                Some(diff_id) => diff_id.digest().hex().to_owned(),
                None => random()?,
            };
            described = Some(LayerInfo {
                form: self.store.form(),
                lineage,
                created_by: made.by,
                created: made.when,
                unpacked_from,
                elsewhere: None,
            });
        }
        described
    }

    /// The images that have a layer, as far as they can be read, with its number in each.
    pub(super) fn images_with(&self, layer: &LayerId) -> Vec<(LocalId, ImageRecord, usize)> {
        let mut images: Vec<&LocalId> = self.needed.get(layer).into_iter().flatten().collect();
        images.sort();
        let with_number = |image: &LocalId| {
            let record = self.seen(self.store.image(image))?;
            let number = record.layers.iter().position(|known| known == layer)?;
            Some((image.clone(), record, number))
        };
        images.into_iter().filter_map(with_number).collect()
    }
}
