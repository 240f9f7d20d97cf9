//! A layer directory from elsewhere (podman's, docker's, one that a user made) copied into the store, as if it had been
//! packed and unpacked: marks of another form become ours.

use super::pipe::pipe;
use super::stream::{Expected, start, stream};
use crate::data::Store;
use crate::digests::{LayerDigests, LayerTar};
use crate::error::{Error, IoExt, Result};
use crate::layer::{Draft, HeldLayer, LayerInfo};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use wiac_layer::merged::LayerStack;
use wiac_layer::pack::{PackOptions, pack};
use wiac_layer::unpack::{self, UnpackOptions};

/// Where the copy comes from and what is written down of it.
#[derive(Debug, Clone, Copy)]
pub struct Copied<'c> {
    /// The instruction that made it.
    pub created_by: &'c str,
    /// When, RFC 3339.
    pub created: &'c str,
}

/// Copies the layer directory `path`, which lies on `below`, into the store. It is made here from now on: its diff ID is
/// what packing gives.
///
/// # Errors
/// What can't be read or written.
pub fn copy_layer(
    store: &Store,
    path: &Path,
    below: &LayerStack,
    owners: unpack::OwnerPolicy,
    copied: &Copied<'_>,
) -> Result<HeldLayer> {
    let directory = File::open(path).on("open", path)?;
    let draft = Draft::new(store)?;
    let options = UnpackOptions {
        form: store.form(),
        owners,
        lower: &|| Ok(below.clone()),
        limits: unpack::Limits::default(),
    };
    let diff = draft.diff();
    let into = File::open(&diff).on("open", &diff)?;
    let (streamed, unpacked) = std::thread::scope(|scope| {
        let (writer, reader) = pipe();
        let packing = start(scope, move || pack_into(&directory, below, writer)).on("copy", path)?;
        let streamed = stream(Box::new(reader), None, Expected::default(), &Arc::default(), |tar| {
            unpack::unpack(tar, &into, &options).map_err(|error| error.to_string())
        });
        let packed = packing
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the packing thread has panicked")));
        match (streamed, packed) {
            (Err(wrong), _) => Err(Error::archive(path, wrong.reason)),
            (Ok(_), Err(error)) => Err(Error::archive(path, error.to_string())),
            (Ok(streamed), Ok(())) => Ok(streamed),
        }
    })?;
    draft.set_digests(&LayerDigests {
        size: Some(unpacked.size),
        depends_on_lower: unpacked.depends_on_lower,
        tars: vec![LayerTar {
            diff_id: streamed.diff_id.clone(),
            clamp: None,
            blobs: Vec::new(),
        }],
    })?;
    if let Some(owners) = &unpacked.owners {
        draft.write_owners(owners)?;
    }
    draft.commit(
        store,
        &LayerInfo {
            form: store.form(),
            lineage: streamed.diff_id.digest().hex().to_owned(),
            created_by: copied.created_by.to_owned(),
            created: copied.created.to_owned(),
            unpacked_from: None,
            elsewhere: None,
        },
    )
}

/// Packs a layer directory into a pipe, whose reader is told where that fails.
pub(super) fn pack_into(directory: &File, below: &LayerStack, mut writer: super::pipe::PipeWriter) -> io::Result<()> {
    let options = PackOptions {
        lower: below,
        owners: None,
        clamp: None,
    };
    match pack(directory, &mut writer, &options) {
        Ok(_) => writer.flush(),
        Err(error) => {
            let error = error.to_string();
            // The tar so far must not look whole.
            let _ = writer.fail(io::Error::other(error.clone()));
            Err(io::Error::other(error))
        }
    }
}
