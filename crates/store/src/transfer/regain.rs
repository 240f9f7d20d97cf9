//! Blobs that were let go of (`wiac prune --blobs`) and come by again: what is loaded can be saved again as it came.

use super::incoming::{IncomingLayer, LayerSource};
use crate::blobs::{BlobDraft, HeldBlob};
use crate::data::Store;
use crate::digests::LayerTar;
use crate::error::{IoExt, Result};
use crate::layer::HeldLayer;
use crate::temporary::Temporary;
use std::io::Read;
use std::path::Path;
use wiac_oci::digest::Digest;
use wiac_oci::manifest::{Descriptor, media_type};

/// Keeps the blob of a layer that is in the store already, where the store hasn't got it and the source is at hand. What
/// isn't right is not kept, and no error: the layer was right when it came in. A source that says no blobs (docker's archive)
/// has the tar itself, which is of use where no other blob of it is here.
///
/// # Errors
/// What the disk says.
pub(super) fn regain(
    store: &Store,
    source: &dyn LayerSource,
    layer: &IncomingLayer,
    held: &HeldLayer,
) -> Result<Option<HeldBlob>> {
    let came_in = store.layer_info(&held.id)?.unpacked_from.is_some();
    if !came_in {
        return Ok(None);
    }
    let Some(descriptor) = &layer.descriptor else {
        return plain_tar(store, source, layer, held);
    };
    let digest = &descriptor.digest;
    if store.hold_blob(digest)?.is_some() {
        return Ok(None);
    }
    if source.is_remote() {
        return finish_download(store, layer);
    }
    let Ok(from) = source.open(layer) else {
        return Ok(None);
    };
    keep(store, digest, descriptor.size, from)
}

/// The layer's tar as its blob, where the layer has none any more.
fn plain_tar(
    store: &Store,
    source: &dyn LayerSource,
    layer: &IncomingLayer,
    held: &HeldLayer,
) -> Result<Option<HeldBlob>> {
    let digests = store.layer_digests(&held.id)?;
    let known = digests.tar(&layer.diff_id);
    for blob in known.iter().flat_map(|tar| &tar.blobs) {
        if store.hold_blob(&blob.digest)?.is_some() {
            return Ok(None);
        }
    }
    let Ok(from) = source.open(layer) else {
        return Ok(None);
    };
    let blob = keep(store, layer.diff_id.digest(), u64::MAX, from)?;
    if let Some(blob) = &blob {
        let tar = LayerTar {
            diff_id: layer.diff_id.clone(),
            clamp: known.and_then(|tar| tar.clamp),
            blobs: vec![Descriptor::new(media_type::LAYER, blob.digest.clone(), blob.size)],
        };
        store.update_digests(&held.id, |digests| digests.add(tar))?;
    }
    Ok(blob)
}

/// Keeps the blob that a descriptor says, of an image that is here; `None` where other bytes come.
///
/// # Errors
/// What the disk says, or whoever gives the bytes.
pub fn regain_blob(store: &Store, descriptor: &Descriptor, from: impl Read) -> Result<Option<HeldBlob>> {
    let held = keep(store, &descriptor.digest, descriptor.size, from)?;
    if held.is_some() {
        store.sync_all(&[], std::slice::from_ref(&descriptor.digest))?;
    }
    Ok(held)
}

fn keep(store: &Store, digest: &Digest, limit: u64, from: impl Read) -> Result<Option<HeldBlob>> {
    let room = Temporary::new(store)?;
    let mut blob = BlobDraft::new(&room, "blob", Some(digest))?;
    std::io::copy(&mut from.take(limit.saturating_add(1)), &mut blob).on("copy", Path::new(digest.as_str()))?;
    let blob = blob.finish();
    if blob.digest != *digest || blob.size > limit {
        return Ok(None);
    }
    blob.commit(store).map(Some)
}

/// Of a layer from another machine what an earlier attempt got whole, and was killed before it could say so.
fn finish_download(store: &Store, layer: &IncomingLayer) -> Result<Option<HeldBlob>> {
    let Some(descriptor) = &layer.descriptor else {
        return Ok(None);
    };
    let Some(blob) = BlobDraft::whole_download(store, &descriptor.digest, descriptor.size)? else {
        return Ok(None);
    };
    let blob = blob.finish();
    if blob.digest != descriptor.digest {
        blob.discard();
        return Ok(None);
    }
    blob.commit(store).map(Some)
}
