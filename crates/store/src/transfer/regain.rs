//! Blobs that were let go of (`wiac prune --blobs`) and come by again: what is loaded can be saved again as it came.

use super::incoming::{IncomingLayer, LayerSource};
use super::stream::{Expected, stream};
use crate::blobs::{BlobDraft, HeldBlob};
use crate::data::Store;
use crate::digests::LayerTar;
use crate::error::{Error, IoExt, Result};
use crate::layer::{HeldLayer, LayerId};
use crate::temporary::Temporary;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use wiac_oci::digest::{DiffId, Digest};
use wiac_oci::manifest::{Descriptor, media_type};
use wiac_sys::error::words;

/// Keeps the blob of a layer that is in the store already, where the store hasn't got it and the source is at hand. A blob that
/// nobody has compared with the layer yet is, before anything refers to it: the image may be anybody's, and the layer others'
/// too. What isn't right of one that was is not kept, and no error: the layer was right when it came in. A source that says no
/// blobs (docker's archive) has the tar itself, which is of use where no other blob of it is here.
///
/// # Errors
/// A blob that isn't the layer's; what the disk says.
pub(super) fn regain(
    store: &Store,
    source: &dyn LayerSource,
    (layer, shown): (&IncomingLayer, &str),
    held: &HeldLayer,
) -> Result<Option<HeldBlob>> {
    let came_in = store.layer_info(&held.id)?.unpacked_from.is_some();
    let Some(descriptor) = &layer.descriptor else {
        return if came_in {
            plain_tar(store, source, layer, held)
        } else {
            Ok(None)
        };
    };
    let digests = store.layer_digests(&held.id)?;
    let mut blobs = digests.tar(&layer.diff_id).into_iter().flat_map(|tar| &tar.blobs);
    let known = blobs.find(|blob| blob.digest == descriptor.digest);
    let here = store.hold_blob(&descriptor.digest)?;
    if let Some(size) = known.map(|known| known.size).or(here.as_ref().map(|here| here.size))
        && size != descriptor.size
    {
        return Err(Error::image(
            shown,
            format!("it has {size} bytes instead of {}", descriptor.size),
        ));
    }
    let of = Proved {
        store,
        layer: &held.id,
        diff_id: &layer.diff_id,
        descriptor,
        shown,
    };
    match (known, here) {
        (Some(_), Some(_)) => Ok(None),
        (Some(_), None) if !came_in => Ok(None),
        (Some(_), None) if source.is_remote() => finish_download(store, layer),
        (Some(_), None) => match source.open(layer) {
            Ok(from) => keep(store, &descriptor.digest, Some(descriptor.size), from),
            Err(_) => Ok(None),
        },
        (None, Some(here)) => {
            of.prove(Box::new(here.open()?), None)?;
            Ok(Some(here))
        }
        // Nothing is said of it until it is fetched: see `regain_blob`.
        (None, None) if source.is_remote() || !came_in => Ok(None),
        (None, None) => match source.open(layer) {
            Ok(from) => of.prove_and_keep(from),
            Err(_) => Ok(None),
        },
    }
}

/// A blob that is said to be a layer's.
struct Proved<'p> {
    store: &'p Store,
    layer: &'p LayerId,
    diff_id: &'p DiffId,
    descriptor: &'p Descriptor,
    /// How messages call it.
    shown: &'p str,
}

impl Proved<'_> {
    /// Compares the blob with the layer's tar, and writes down that it is one of the layer's. `draft`: where it is kept.
    fn prove(&self, from: Box<dyn Read + Send + '_>, draft: Option<BlobDraft>) -> Result<Option<HeldBlob>> {
        let expected = Expected {
            descriptor: Some(self.descriptor),
            diff_id: Some(self.diff_id),
            blameless: None,
        };
        let (streamed, ()) = stream(from, draft, expected, &Arc::default(), |tar| {
            let read = std::io::copy(tar, &mut std::io::sink());
            read.map(drop).map_err(|error| words(&error))
        })
        .map_err(|wrong| Error::image(self.shown, wrong.reason))?;
        let kept = streamed.blob.map(|blob| blob.commit(self.store)).transpose()?;
        self.store.update_digests(self.layer, |digests| {
            let clamp = digests.tar(self.diff_id).and_then(|tar| tar.clamp);
            digests.add(LayerTar {
                diff_id: self.diff_id.clone(),
                clamp,
                blobs: vec![self.descriptor.clone()],
            });
        })?;
        Ok(kept)
    }

    fn prove_and_keep(&self, from: Box<dyn Read + Send + '_>) -> Result<Option<HeldBlob>> {
        let room = Temporary::new(self.store)?;
        let draft = BlobDraft::new(&room, "blob", Some(&self.descriptor.digest))?;
        self.prove(from, Some(draft))
    }
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
    let blob = keep(store, layer.diff_id.digest(), None, from)?;
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

/// Keeps the blob that a manifest says of a layer that is here, whose tar has this hash.
///
/// # Errors
/// Where other bytes come; what the disk says, or whoever gives the bytes.
pub fn regain_blob(
    store: &Store,
    (layer, diff_id): (&LayerId, &DiffId),
    descriptor: &Descriptor,
    from: Box<dyn Read + Send + '_>,
) -> Result<Option<HeldBlob>> {
    let held = Proved {
        store,
        layer,
        diff_id,
        descriptor,
        shown: &format!("blob {}", descriptor.digest.short()),
    }
    .prove_and_keep(from)?;
    store.sync_all(&[], std::slice::from_ref(&descriptor.digest))?;
    Ok(held)
}

/// Keeps what has this digest, and this size; `None` where other bytes come.
fn keep(store: &Store, digest: &Digest, size: Option<u64>, from: impl Read) -> Result<Option<HeldBlob>> {
    let room = Temporary::new(store)?;
    let mut blob = BlobDraft::new(&room, "blob", Some(digest))?;
    let limit = size.map_or(u64::MAX, |size| size.saturating_add(1));
    std::io::copy(&mut from.take(limit), &mut blob).on("copy", Path::new(digest.as_str()))?;
    let blob = blob.finish();
    if blob.digest != *digest || size.is_some_and(|size| blob.size != size) {
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
