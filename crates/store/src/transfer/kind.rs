//! An image on its way out under another kind of manifest than it has: its blobs stay as they are, but those that docker has no
//! word for.

use super::incoming::describe;
use super::outgoing::{Outgoing, OutgoingLayer};
use super::save::OutgoingIndex;
use crate::error::{Error, Result};
use crate::layer::to_compact_json;
use crate::temporary::Temporary;
use std::collections::HashMap;
use wiac_oci::digest::Digest;
use wiac_oci::manifest::{Descriptor, Index, Manifest, media_type};
use wiac_oci::manifest_kind::ManifestKind;

impl OutgoingIndex {
    /// The same images under manifests of this kind. What has it already stays byte for byte; layers compressed with zstd are
    /// packed anew, into `room`, where docker's manifests shall name them. `shown`: how messages call the image.
    ///
    /// # Errors
    /// A layer that this kind has no word for.
    pub fn into_kind(mut self, kind: ManifestKind, shown: &str, room: &Temporary) -> Result<Self> {
        let mut exchanged = HashMap::new();
        let mut packed = HashMap::new();
        for image in &mut self.images {
            let before = image.descriptor.digest.clone();
            image.turn_into(kind, shown, (room, &mut packed))?;
            exchanged.insert(before, image.descriptor.clone());
        }
        if let Some((descriptor, bytes)) = &self.index
            && ManifestKind::of(&descriptor.media_type) != kind
        {
            let index: Index = parse(bytes, shown)?;
            let manifests = index
                .manifests
                .iter()
                .map(|entry| entry_of(entry, &exchanged))
                .collect();
            let bytes = to_compact_json(&kind.index(&index, manifests));
            self.index = Some((describe(kind.index_type(), &bytes), bytes));
        }
        Ok(self)
    }
}

impl Outgoing {
    /// The same image under a manifest of this kind, as [`OutgoingIndex::into_kind`] makes it.
    ///
    /// # Errors
    /// A layer that this kind has no word for.
    pub fn into_kind(mut self, kind: ManifestKind, shown: &str, room: &Temporary) -> Result<Self> {
        self.turn_into(kind, shown, (room, &mut HashMap::new()))?;
        Ok(self)
    }

    /// `packed`: layers that were packed anew, by what they were before.
    fn turn_into(
        &mut self,
        kind: ManifestKind,
        shown: &str,
        (room, packed): (&Temporary, &mut HashMap<Digest, OutgoingLayer>),
    ) -> Result<()> {
        if ManifestKind::of(&self.descriptor.media_type) == kind {
            return Ok(());
        }
        let mut manifest: Manifest = parse(&self.manifest, shown)?;
        for (layer, descriptor) in self.layers.iter_mut().zip(&mut manifest.layers) {
            if kind == ManifestKind::Docker && descriptor.media_type == media_type::LAYER_ZSTD {
                let digest = layer.descriptor.digest.clone();
                if !packed.contains_key(&digest) {
                    packed.insert(digest.clone(), layer.as_gzip(room)?);
                }
                *layer = packed[&digest].clone();
                *descriptor = layer.descriptor.clone();
            }
        }
        let manifest = kind
            .manifest(&manifest)
            .map_err(|error| Error::image(shown, error.to_string()))?;
        for (layer, descriptor) in self.layers.iter_mut().zip(&manifest.layers) {
            layer.descriptor = descriptor.clone();
        }
        self.manifest = to_compact_json(&manifest);
        self.descriptor = describe(kind.manifest_type(), &self.manifest);
        Ok(())
    }
}

/// An index's entry for a manifest that is another one now.
fn entry_of(entry: &Descriptor, exchanged: &HashMap<Digest, Descriptor>) -> Descriptor {
    let mut made = entry.clone();
    if let Some(now) = exchanged.get(&entry.digest) {
        (made.media_type, made.digest, made.size) = (now.media_type.clone(), now.digest.clone(), now.size);
    }
    made
}

fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8], shown: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::image(shown, format!("its manifest can't be read: {error}")))
}
