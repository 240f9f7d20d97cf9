//! The end of taking an image in: its record, once all its layers are in place.

use super::incoming::{Incoming, LayerSource};
use super::load::{Loaded, State};
use super::regain::regain;
use crate::blobs::HeldBlob;
use crate::data::Store;
use crate::error::{Error, Result};
use crate::image::{Export, ImageRecord};
use wiac_oci::digest::Digest;
use wiac_oci::image::ImageConfig;
use wiac_oci::manifest::Descriptor;

/// Writes the image's record, with its layers in place.
///
/// # Errors
/// What the disk says.
pub(super) fn write(store: &Store, image: &Incoming, source: &dyn LayerSource, states: Vec<State>) -> Result<Loaded> {
    let mut held = Vec::new();
    let mut blobs = Vec::new();
    let mut reused = 0;
    for (number, (state, layer)) in states.into_iter().zip(&image.layers).enumerate() {
        match state {
            State::Here(here) => {
                reused += 1;
                let shown = image.layer_name(number);
                blobs.extend(regain(store, source, (layer, &shown), &here)?);
                held.push(here);
            }
            State::Fresh(fresh, blob) => {
                held.push(fresh);
                blobs.push(blob);
            }
            State::Waiting | State::Failed(_) => {
                return Err(Error::image(image.shown.as_str(), "a layer wasn't unpacked"));
            }
        }
    }
    let config = store.add_document(&image.config_bytes)?;
    let manifest = match &image.manifest {
        Some((descriptor, bytes)) => {
            let document = store.add_document(bytes)?;
            Some((document, descriptor.clone()))
        }
        None => None,
    };
    let export = Export {
        config: config.digest.clone(),
        // What an index said of it there doesn't belong to it.
        manifests: manifest
            .iter()
            .map(|(_, one)| Descriptor::new(one.media_type.clone(), one.digest.clone(), one.size))
            .collect(),
        are_lost: false,
    };
    let record = ImageRecord {
        layers: held.iter().map(|layer| layer.id.clone()).collect(),
        config: image.config.clone(),
        ..ImageRecord::default()
    };
    let digests: Vec<Digest> = blobs.iter().map(|blob: &HeldBlob| blob.digest.clone()).collect();
    Ok(Loaded {
        image: store.add_imported(&record, &export, &digests)?,
        manifest: manifest.map(|(_, descriptor)| descriptor.digest),
        reused,
    })
}

/// What the history says of a layer.
pub(crate) struct Made {
    pub(crate) by: String,
    pub(crate) when: String,
}

/// What the history says of each layer, base first; nothing where it says nothing.
pub(crate) fn history(config: &ImageConfig) -> impl Iterator<Item = Made> + '_ {
    let unknown = || Made {
        by: String::new(),
        when: config.created.clone().unwrap_or_default(),
    };
    let said = config.history.iter().filter(|step| !step.empty_layer).map(|step| Made {
        by: step.created_by.clone().unwrap_or_default(),
        when: step.created.clone().unwrap_or_default(),
    });
    said.chain(std::iter::repeat_with(unknown))
}
