//! Unpacking a layer once more from the blob that it came with, as it was unpacked then.

use super::stream::{Expected, stream};
use crate::blobs::HeldBlob;
use crate::data::Store;
use crate::error::{IoExt, Result};
use crate::layer::Draft;
use std::fs::File;
use std::sync::Arc;
use wiac_layer::merged::LayerStack;
use wiac_layer::unpack::{self, OwnerPolicy, UnpackOptions, Unpacked};
use wiac_oci::digest::DiffId;

/// A layer that was unpacked again, in `tmp/`.
pub(crate) struct Again {
    pub(crate) draft: Draft,
    pub(crate) unpacked: Unpacked,
}

/// Why a layer couldn't be unpacked again, in words.
pub(crate) enum NotAgain {
    /// The blob isn't the tar that it is said to be.
    Another(String),
    /// It can't be told: no room on the disk, an owner that can't be set any more.
    Hindered(String),
}

/// Unpacks `blob` into a draft and compares its tar with `diff_id`. The blob's own digest isn't compared: who asks has
/// done that. `lower` is as in [`UnpackOptions`].
pub(crate) fn unpack_again(
    store: &Store,
    (blob, diff_id): (&HeldBlob, &DiffId),
    owners: OwnerPolicy,
    lower: &(dyn Fn() -> wiac_layer::Result<LayerStack> + Sync),
) -> Result<Again, NotAgain> {
    let hindered = |error: crate::Error| NotAgain::Hindered(error.to_string());
    let (draft, directory, source) = prepare(store, blob).map_err(hindered)?;
    let options = UnpackOptions {
        form: store.form(),
        owners,
        lower,
        limits: unpack::Limits::default(),
    };
    let expected = Expected {
        diff_id: Some(diff_id),
        ..Expected::default()
    };
    let mut has_begun = false;
    let mut failed = None;
    let streamed = stream(Box::new(source), None, expected, &Arc::default(), |tar| {
        has_begun = true;
        unpack::unpack(tar, &directory, &options).map_err(|error| {
            let words = error.to_string();
            failed = Some(error);
            words
        })
    });
    match (streamed.map_err(|wrong| wrong.reason), failed) {
        (Ok((_, unpacked)), _) => Ok(Again { draft, unpacked }),
        // It can't be inflated; or its tar is another one.
        (Err(reason), Some(wiac_layer::Error::Source(_))) => Err(NotAgain::Another(reason)),
        (Err(reason), None) if has_begun => Err(NotAgain::Another(reason)),
        (Err(reason), _) => Err(NotAgain::Hindered(reason)),
    }
}

fn prepare(store: &Store, blob: &HeldBlob) -> Result<(Draft, File, File)> {
    let draft = Draft::new(store)?;
    let diff = draft.diff();
    let directory = File::open(&diff).on("open", &diff)?;
    Ok((draft, directory, blob.open()?))
}
