//! A root filesystem in a tar becomes a layer made here: what leaves later is packed anew.

use super::copy::pack_into;
use super::pipe::pipe;
use super::stream::{Expected, start, stream};
use crate::data::Store;
use crate::digests::LayerDigests;
use crate::error::{Error, IoExt, Result};
use crate::layer::{Draft, HeldLayer, LayerInfo};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use wiac_layer::merged::LayerStack;
use wiac_layer::unpack::{self, UnpackOptions};
use wiac_sys::error::words;

/// Unpacks a tar, compressed or not, into a layer on nothing. `shown`: its name in messages.
///
/// # Errors
/// What isn't a tar, or can't be unpacked.
pub fn import(
    store: &Store,
    source: Box<dyn Read + Send + '_>,
    shown: &Path,
    owners: unpack::OwnerPolicy,
    (created_by, created): (&str, &str),
) -> Result<HeldLayer> {
    let draft = Draft::new(store)?;
    let options = UnpackOptions {
        form: store.form(),
        owners,
        lower: &|| Ok(LayerStack::default()),
        limits: unpack::Limits::default(),
    };
    let diff = draft.diff();
    let directory = std::fs::File::open(&diff).on("open", &diff)?;
    let (streamed, unpacked) = stream(source, None, Expected::default(), &Arc::default(), |tar| {
        // Not even the zeros at the end of a tar without entries, which is an empty root: a pipe whose writer failed.
        if tar.fill_buf().map_err(|error| words(&error))?.is_empty() {
            return Err("there is nothing in it".to_owned());
        }
        unpack::unpack(tar, &directory, &options).map_err(|error| error.to_string())
    })
    .map_err(|wrong| Error::archive(shown, wrong.reason))?;
    draft.set_digests(&LayerDigests {
        size: Some(unpacked.size),
        ..LayerDigests::default()
    })?;
    if let Some(owners) = &unpacked.owners {
        draft.write_owners(owners)?;
    }
    draft.commit(
        store,
        &LayerInfo {
            form: store.form(),
            // The same tar is the same for what builds on it.
            lineage: streamed.diff_id.digest().hex().to_owned(),
            created_by: created_by.to_owned(),
            created: created.to_owned(),
            unpacked_from: None,
            elsewhere: None,
        },
    )
}

/// The same for a directory: everything in it, as it stands there.
///
/// # Errors
/// As [`import`], and what can't be read.
pub fn import_directory(
    store: &Store,
    path: &Path,
    owners: unpack::OwnerPolicy,
    made: (&str, &str),
) -> Result<HeldLayer> {
    let directory = std::fs::File::open(path).on("open", path)?;
    std::thread::scope(|scope| {
        let (writer, reader) = pipe();
        start(scope, move || pack_into(&directory, &LayerStack::default(), writer)).on("read", path)?;
        // What goes wrong while packing is told through the pipe.
        import(store, Box::new(reader), path, owners, made)
    })
}
