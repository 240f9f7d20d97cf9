//! An image on its way out: its layers as blobs, its configuration and manifest.
//!
//! A layer that came in goes out with the bytes it came with, as long as its blob is here. A layer made here is packed
//! now; what it is called then is remembered.

use super::incoming::describe;
use super::packing::{HashingWriter, Stack};
use super::save::Wanted;
use crate::blobs::{BlobDraft, FinishedBlob, HeldBlob};
use crate::data::Store;
use crate::digests::{LayerDigests, LayerTar};
use crate::error::{Error, Result};
use crate::image::{Export, ImageRecord, LocalId};
use crate::layer::{HeldLayer, LayerId};
use crate::temporary::Temporary;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;
use wiac_layer::compression::{Compression, Encoder, decoder};
use wiac_oci::digest::{DiffId, Digest};
use wiac_oci::image::ImageConfig;
use wiac_oci::manifest::{Descriptor, Manifest, media_type};

/// How layers made here are packed.
#[derive(Debug, Clone, Copy)]
pub struct Packing {
    /// None, gzip or zstd.
    pub compression: Compression,
    /// The level; the compression's own default where it is `None`.
    pub level: Option<i32>,
    /// SOURCE_DATE_EPOCH: newer times of layers made here become this one.
    pub clamp: Option<i64>,
}

/// An image ready to go out.
#[derive(Debug)]
pub struct Outgoing {
    /// Its configuration with every diff ID.
    pub config: Vec<u8>,
    /// Its manifest.
    pub manifest: Vec<u8>,
    /// The manifest's descriptor.
    pub descriptor: Descriptor,
    /// Its layers, base first, as in the manifest.
    pub layers: Vec<OutgoingLayer>,
}

/// One layer of it.
#[derive(Debug, Clone)]
pub struct OutgoingLayer {
    /// Its blob.
    pub descriptor: Descriptor,
    /// The hash of its tar.
    pub diff_id: DiffId,
    blob: Blob,
}

#[derive(Debug, Clone)]
enum Blob {
    Held(Arc<HeldBlob>),
    Packed(Arc<FinishedBlob>),
}

/// Layers packed for images that go out together: each is packed once.
#[derive(Debug, Default)]
pub(super) struct Packed(RefCell<HashMap<LayerId, OutgoingLayer>>);

impl OutgoingLayer {
    /// Opens the blob.
    pub fn open(&self) -> Result<File> {
        match &self.blob {
            Blob::Held(blob) => blob.open(),
            Blob::Packed(blob) => blob.open(),
        }
    }
}

/// An image being prepared.
pub(super) struct Preparing<'a> {
    store: &'a Store,
    wanted: &'a Wanted,
    packing: &'a Packing,
    room: &'a Temporary,
    packed: &'a Packed,
    stack: Stack<'a>,
    /// What it is called outside, as far as that is known.
    export: Option<Export>,
}

/// Makes an image ready: packs what has to be packed into `room`, and remembers what it is called outside.
///
/// # Errors
/// A layer that isn't here, or whose blob isn't and can't be made again.
pub fn prepare(store: &Store, wanted: &Wanted, packing: &Packing, room: &Temporary) -> Result<Outgoing> {
    prepare_beside(store, wanted, packing, room, &Packed::default())
}

/// The same for one of several images: `packed` has what was packed for those before.
pub(super) fn prepare_beside(
    store: &Store,
    wanted: &Wanted,
    packing: &Packing,
    room: &Temporary,
    packed: &Packed,
) -> Result<Outgoing> {
    let preparing = Preparing {
        store,
        wanted,
        packing,
        room,
        packed,
        stack: Stack::new(store, store.hold_layers(&wanted.record.layers)?),
        export: wanted.id.as_ref().map(|id| store.export(id)).transpose()?.flatten(),
    };
    if let Some(outgoing) = preparing.as_it_came()? {
        return Ok(outgoing);
    }
    let layers = (0..wanted.record.layers.len())
        .map(|number| preparing.layer(number))
        .collect::<Result<Vec<_>>>()?;
    let config = preparing.config(&layers)?;
    let mut manifest = Manifest::new(
        describe(media_type::CONFIG, &config),
        layers.iter().map(|layer| layer.descriptor.clone()).collect(),
    );
    manifest.annotations.clone_from(&wanted.record.annotations);
    let manifest = crate::layer::to_compact_json(&manifest);
    let outgoing = Outgoing {
        descriptor: describe(media_type::MANIFEST, &manifest),
        config,
        manifest,
        layers,
    };
    if let Some(id) = &wanted.id
        && !preparing.goes_by_another_name(id, &outgoing)
    {
        remember(store, id, &outgoing)?;
    }
    Ok(outgoing)
}

/// The diff IDs of an image's layers, base first: computed where they aren't known, and remembered.
pub fn diff_ids(store: &Store, record: &ImageRecord, clamp: Option<i64>) -> Result<Vec<DiffId>> {
    let stack = Stack::new(store, store.hold_layers(&record.layers)?);
    let mut diff_ids = Vec::new();
    for (number, layer) in stack.layers.iter().enumerate() {
        let digests = store.layer_digests(&layer.id)?;
        if let Some(tar) = own_tar(store, layer, &digests, clamp)? {
            diff_ids.push(tar.diff_id.clone());
            continue;
        }
        let mut hashing = HashingWriter::new(io::sink());
        stack.pack(number, clamp, &mut hashing)?;
        let diff_id = DiffId(hashing.hasher.finish());
        remember_tar(store, layer, &diff_id, clamp, None)?;
        diff_ids.push(diff_id);
    }
    Ok(diff_ids)
}

/// The tar that a layer is: the one it came as, or the one that packing it with this clamp gave before.
fn own_tar<'d>(
    store: &Store,
    layer: &HeldLayer,
    digests: &'d LayerDigests,
    clamp: Option<i64>,
) -> Result<Option<&'d LayerTar>> {
    Ok(match store.layer_info(&layer.id)?.unpacked_from {
        Some(diff_id) => digests.tar(&diff_id),
        None => digests.packed(clamp),
    })
}

fn remember_tar(
    store: &Store,
    layer: &HeldLayer,
    diff_id: &DiffId,
    clamp: Option<i64>,
    blob: Option<&Descriptor>,
) -> Result<()> {
    let tar = LayerTar {
        diff_id: diff_id.clone(),
        clamp,
        blobs: blob.into_iter().cloned().collect(),
    };
    store.update_digests(&layer.id, |digests| digests.add(tar))?;
    // What was made here is found by its diff ID from now on; packed on these layers, it depends on nothing else. What
    // another tool may delete is no answer to who looks for a layer to keep.
    if clamp.is_none() && store.layer_info(&layer.id)?.elsewhere.is_none() {
        store.remember_diff_id(diff_id, None, &layer.id)?;
    }
    Ok(())
}

impl<'a> Preparing<'a> {
    /// Layers that lie on each other, whatever image they are of.
    pub(super) fn of_layers(
        store: &'a Store,
        wanted: &'a Wanted,
        packing: &'a Packing,
        room: &'a Temporary,
        packed: &'a Packed,
    ) -> Result<Self> {
        Ok(Self {
            store,
            wanted,
            packing,
            room,
            packed,
            stack: Stack::new(store, store.hold_layers(&wanted.record.layers)?),
            export: None,
        })
    }

    /// What is known of a layer's tar, without packing it.
    pub(super) fn known(&self, number: usize) -> Result<Option<LayerTar>> {
        let layer = &self.stack.layers[number];
        let digests = self.store.layer_digests(&layer.id)?;
        Ok(own_tar(self.store, layer, &digests, self.packing.clamp)?.cloned())
    }

    /// Whether an image that came in goes out with another configuration, its own being lost: it keeps its id here, and
    /// is called by what came with it again once that comes by.
    fn goes_by_another_name(&self, id: &LocalId, outgoing: &Outgoing) -> bool {
        let arrived = self.export.as_ref().filter(|export| export.is_of_arrival(id));
        arrived.is_some_and(|export| export.config != Digest::sha256(&outgoing.config))
    }

    /// The manifest that the image came with, where every blob of it is here.
    fn as_it_came(&self) -> Result<Option<Outgoing>> {
        let Some(export) = &self.export else {
            return Ok(None);
        };
        let Some(config) = self.store.hold_blob(&export.config)? else {
            return Ok(None);
        };
        for descriptor in self.wanted.manifests(self.store, export)? {
            let Some(manifest) = self.store.hold_blob(&descriptor.digest)? else {
                continue;
            };
            let bytes = manifest.read()?;
            let Ok(parsed) = serde_json::from_slice::<Manifest>(&bytes) else {
                continue;
            };
            if let Some(layers) = self.held_blobs(&parsed)? {
                return Ok(Some(Outgoing {
                    config: config.read()?,
                    manifest: bytes,
                    descriptor,
                    layers,
                }));
            }
        }
        Ok(None)
    }

    fn held_blobs(&self, manifest: &Manifest) -> Result<Option<Vec<OutgoingLayer>>> {
        if manifest.layers.len() != self.stack.layers.len() {
            return Ok(None);
        }
        let mut layers = Vec::new();
        for (descriptor, layer) in manifest.layers.iter().zip(&self.stack.layers) {
            // What was made here may have come by as a blob, too.
            let tars = self.store.layer_digests(&layer.id)?.tars;
            let has = |tar: &LayerTar| tar.blobs.iter().any(|blob| blob.digest == descriptor.digest);
            let Some(diff_id) = tars.into_iter().find(has).map(|tar| tar.diff_id) else {
                return Ok(None);
            };
            let Some(blob) = self.store.hold_blob(&descriptor.digest)? else {
                return Ok(None);
            };
            layers.push(OutgoingLayer {
                descriptor: descriptor.clone(),
                diff_id,
                blob: Blob::Held(Arc::new(blob)),
            });
        }
        Ok(Some(layers))
    }

    /// One layer: a blob of it that is here, else it is packed.
    pub(super) fn layer(&self, number: usize) -> Result<OutgoingLayer> {
        let layer = &self.stack.layers[number];
        let digests = self.store.layer_digests(&layer.id)?;
        if let Some(tar) = own_tar(self.store, layer, &digests, self.packing.clamp)? {
            for descriptor in &tar.blobs {
                if let Some(blob) = self.store.hold_blob(&descriptor.digest)? {
                    return Ok(OutgoingLayer {
                        descriptor: plain_descriptor(descriptor),
                        diff_id: tar.diff_id.clone(),
                        blob: Blob::Held(Arc::new(blob)),
                    });
                }
            }
        }
        if let Some(packed) = self.packed.0.borrow().get(&layer.id) {
            return Ok(packed.clone());
        }
        let packed = self.pack(number)?;
        self.packed.0.borrow_mut().insert(layer.id.clone(), packed.clone());
        Ok(packed)
    }

    fn pack(&self, number: usize) -> Result<OutgoingLayer> {
        let layer = &self.stack.layers[number];
        let blob = BlobDraft::new(self.room, &layer.id.to_string(), None)?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let failed = |error: io::Error| {
            Error::image(
                self.wanted.shown.as_str(),
                format!("can't pack layer {}: {error}", number + 1),
            )
        };
        let encoder = Encoder::new(blob, self.packing.compression, self.packing.level, threads).map_err(failed)?;
        let came_from = self.store.layer_info(&layer.id)?.unpacked_from;
        let clamp = self.packing.clamp.filter(|_| came_from.is_none());
        let mut hashing = HashingWriter::new(encoder);
        self.stack.pack(number, clamp, &mut hashing)?;
        let diff_id = DiffId(hashing.hasher.finish());
        if let Some(expected) = came_from.filter(|expected| *expected != diff_id) {
            return Err(Error::image(
                self.wanted.shown.as_str(),
                format!(
                    "the blob of layer {} isn't held any more, and packing it gives other bytes than those it came \
                     with ({}), and where it came from isn't known; load the image again, or delete and pull it",
                    number + 1,
                    expected.digest().short()
                ),
            ));
        }
        let blob = hashing.out.finish().map_err(failed)?.finish();
        let kind = match self.packing.compression {
            Compression::Gzip => media_type::LAYER_GZIP,
            Compression::Zstd => media_type::LAYER_ZSTD,
            _ => media_type::LAYER,
        };
        let descriptor = Descriptor::new(kind, blob.digest.clone(), blob.size);
        remember_tar(self.store, layer, &diff_id, clamp, Some(&descriptor))?;
        Ok(OutgoingLayer {
            descriptor,
            diff_id,
            blob: Blob::Packed(Arc::new(blob)),
        })
    }

    /// The configuration with every diff ID: byte for byte as it came, for an image that came in, unless that is lost.
    fn config(&self, layers: &[OutgoingLayer]) -> Result<Vec<u8>> {
        let diff_ids: Vec<DiffId> = layers.iter().map(|layer| layer.diff_id.clone()).collect();
        let record = &self.wanted.record;
        if record.config.rootfs.diff_ids == diff_ids {
            if let Some(bytes) = &self.wanted.config_bytes {
                return Ok(bytes.clone());
            }
            let held = self.export.as_ref().map(|export| self.store.hold_blob(&export.config));
            if let Some(held) = held.transpose()?.flatten() {
                return held.read();
            }
        }
        let mut config = record.config.clone();
        config.rootfs.diff_ids = diff_ids;
        if let Some(clamp) = self.packing.clamp {
            clamp_times(&mut config, clamp);
        }
        Ok(config.to_bytes())
    }
}

/// A blob as it is, for whoever has it: where else it could be had isn't said.
fn plain_descriptor(descriptor: &Descriptor) -> Descriptor {
    Descriptor::new(
        descriptor.media_type.clone(),
        descriptor.digest.clone(),
        descriptor.size,
    )
}

/// No time in the configuration is newer than the clamp.
fn clamp_times(config: &mut ImageConfig, clamp: i64) {
    let Some(limit) = wiac_oci::time::second(clamp) else {
        return;
    };
    let times = config.history.iter_mut().map(|step| &mut step.created);
    for time in times.chain([&mut config.created]).flatten() {
        // RFC 3339 in UTC sorts as text, down to the second.
        if time.as_str() > limit.as_str() {
            time.clone_from(&limit);
        }
    }
}

fn remember(store: &Store, id: &LocalId, outgoing: &Outgoing) -> Result<()> {
    let config = store.add_document(&outgoing.config)?;
    let _manifest = store.add_document(&outgoing.manifest)?;
    store.add_export(
        id,
        &Export {
            config: config.digest.clone(),
            manifests: vec![outgoing.descriptor.clone()],
            are_lost: false,
        },
    )
}

/// The tar of a layer, whatever its blob is compressed with.
pub(super) fn plain_tar(layer: &OutgoingLayer) -> Result<Box<dyn io::Read + Send>> {
    let file = layer.open()?;
    let (compression, source) = super::input::detect(Box::new(file)).map_err(|error| layer.unreadable(&error))?;
    decoder(compression, source).map_err(|error| layer.unreadable(&error))
}

impl OutgoingLayer {
    /// The same layer compressed with gzip, packed into `room`.
    pub(super) fn as_gzip(&self, room: &Temporary) -> Result<Self> {
        let unreadable = |error: io::Error| self.unreadable(&error);
        let name = format!("{}-gzip", self.digest().hex());
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let blob = BlobDraft::new(room, &name, None)?;
        let mut encoder = Encoder::new(blob, Compression::Gzip, None, threads).map_err(unreadable)?;
        io::copy(&mut plain_tar(self)?, &mut encoder).map_err(unreadable)?;
        let blob = encoder.finish().map_err(unreadable)?.finish();
        Ok(Self {
            descriptor: Descriptor::new(media_type::LAYER_GZIP, blob.digest.clone(), blob.size),
            diff_id: self.diff_id.clone(),
            blob: Blob::Packed(Arc::new(blob)),
        })
    }

    pub(super) fn unreadable(&self, error: &io::Error) -> Error {
        Error::Damaged {
            path: self.digest().as_str().into(),
            reason: error.to_string(),
        }
    }

    fn digest(&self) -> &Digest {
        &self.descriptor.digest
    }
}
