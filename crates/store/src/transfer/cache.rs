//! Layers on their way into a build cache, and a cache as an image layout.

use super::layout::blob_name;
use super::layout_directory;
use super::outgoing::{OutgoingLayer, Packed, Packing, Preparing};
use super::save::Wanted;
use super::sink::Sink;
use crate::data::Store;
use crate::error::Result;
use crate::image::ImageRecord;
use crate::layer::{LayerId, to_compact_json};
use crate::temporary::Temporary;
use std::path::{Path, PathBuf};
use wiac_oci::digest::{DiffId, Digest};
use wiac_oci::image::ImageConfig;
use wiac_oci::manifest::{ANNOTATION_REF_NAME, Descriptor, ImageLayout, media_type};

/// Where a cache goes to.
pub trait CachePlace {
    /// Whether the blob is there already: then the layer need not be packed.
    ///
    /// # Errors
    /// Where that can't be found out.
    fn has(&self, blob: &Descriptor) -> Result<bool>;
}

/// A layer of a cache.
#[derive(Debug, Clone)]
pub struct CacheLayer {
    /// Its blob.
    pub descriptor: Descriptor,
    /// The hash of its tar.
    pub diff_id: DiffId,
    /// The bytes; `None` where the place has them.
    pub blob: Option<OutgoingLayer>,
}

/// Packs layers for a cache, each once.
pub struct CachePacker<'p> {
    store: &'p Store,
    packing: Packing,
    room: Temporary,
    packed: Packed,
    place: &'p dyn CachePlace,
}

impl<'p> CachePacker<'p> {
    /// Nothing is packed yet.
    ///
    /// # Errors
    /// What the disk says.
    pub fn new(store: &'p Store, packing: Packing, place: &'p dyn CachePlace) -> Result<Self> {
        Ok(Self {
            store,
            packing,
            room: Temporary::new(store)?,
            packed: Packed::default(),
            place,
        })
    }

    /// Packs some layers of a stack, by their numbers from its base.
    ///
    /// # Errors
    /// A layer that isn't here or can't be packed.
    pub fn pack(&self, stack: &[LayerId], numbers: &[usize]) -> Result<Vec<CacheLayer>> {
        let wanted = Wanted {
            record: ImageRecord {
                layers: stack.to_vec(),
                config: ImageConfig::default(),
                ..ImageRecord::default()
            },
            shown: "the build cache".to_owned(),
            ..Wanted::default()
        };
        let preparing = Preparing::of_layers(self.store, &wanted, &self.packing, &self.room, &self.packed)?;
        numbers.iter().map(|number| self.layer(&preparing, *number)).collect()
    }

    fn layer(&self, preparing: &Preparing<'_>, number: usize) -> Result<CacheLayer> {
        if let Some(tar) = preparing.known(number)? {
            for blob in &tar.blobs {
                if self.place.has(blob)? {
                    return Ok(CacheLayer {
                        descriptor: Descriptor::new(blob.media_type.clone(), blob.digest.clone(), blob.size),
                        diff_id: tar.diff_id,
                        blob: None,
                    });
                }
            }
        }
        let layer = preparing.layer(number)?;
        Ok(CacheLayer {
            descriptor: layer.descriptor.clone(),
            diff_id: layer.diff_id.clone(),
            blob: Some(layer),
        })
    }
}

/// An image layout in a directory has a blob where its file has the right length: its digest was compared when it was
/// written, and is when it is read.
#[derive(Debug, Clone)]
pub struct CacheLayout(pub PathBuf);

impl CachePlace for CacheLayout {
    fn has(&self, blob: &Descriptor) -> Result<bool> {
        let path = self.0.join(blob_name(&blob.digest));
        Ok(path
            .metadata()
            .is_ok_and(|meta| meta.is_file() && meta.len() == blob.size))
    }
}

/// Writes a cache into an image layout: the blobs first, the index last. What had the tag before loses it.
///
/// # Errors
/// What can't be written; a directory that is something else.
pub fn save_cache(path: &Path, tag: &str, config: &[u8], manifest: &[u8], layers: &[CacheLayer]) -> Result<()> {
    let (mut index, _alone) = layout_directory::open(path, "a build cache")?;
    let place = CacheLayout(path.to_owned());
    let mut sink = Sink::Directory(path.to_owned());
    for layer in layers {
        // Several steps may have made the same.
        if let Some(blob) = &layer.blob
            && !place.has(&layer.descriptor)?
        {
            let name = blob_name(&layer.descriptor.digest);
            sink.file(&name, &blob.open()?, layer.descriptor.size)?;
        }
    }
    for document in [config, manifest] {
        sink.document(&blob_name(&Digest::sha256(document)), document)?;
    }
    let mut entry = super::incoming::describe(media_type::MANIFEST, manifest);
    entry.annotations.insert(ANNOTATION_REF_NAME.to_owned(), tag.to_owned());
    index
        .manifests
        .retain(|old| old.annotations.get(ANNOTATION_REF_NAME).map(String::as_str) != Some(tag));
    index.manifests.push(entry);
    sink.document("oci-layout", &to_compact_json(&ImageLayout::default()))?;
    sink.document("index.json", &to_compact_json(&index))?;
    sink.finish()
}
