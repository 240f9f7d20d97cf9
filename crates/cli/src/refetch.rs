//! Blobs that were let go of (`wiac prune --blobs`), or never came since their layers were here already: an image goes out
//! as it came, so they are fetched from where it came from.

use crate::data::Data;
use crate::error::Failure;
use crate::registry::{RegistryOptions, document};
use wiac_oci::digest::DiffId;
use wiac_oci::manifest::{Descriptor, Manifest};
use wiac_oci::reference::Reference;
use wiac_store::blobs::HeldBlob;
use wiac_store::transfer::{Wanted, regain_blob};
use wiac_store::{Export, LayerId, LocalId};

/// Fetches what is missing of images that are about to go out. Where that fails it is told: packing their layers gives
/// the same image, under another digest.
///
/// # Errors
/// What the disk says.
pub(crate) fn missing_blobs(data: &Data, images: &[Wanted]) -> Result<Vec<HeldBlob>, Failure> {
    let mut held = Vec::new();
    for image in images {
        regain_documents(data, image)?;
        let Some((manifest, blobs)) = missing(data, image)? else {
            continue;
        };
        let Some(name) = origin(data, image)? else { continue };
        match fetch(data, &name, &manifest, &blobs) {
            Ok(fetched) => held.extend(fetched),
            Err(failure) => eprintln!(
                "wiac: warning: {}: the blobs that it came with aren't held, and can't be fetched again: {failure}; \
                 packing its layers, which may give it another digest",
                image.shown
            ),
        }
    }
    Ok(held)
}

/// Fetches the configuration and the manifest that an image came with, where one of them is lost. Where that fails it is told.
fn regain_documents(data: &Data, image: &Wanted) -> Result<(), Failure> {
    let Some(id) = &image.id else { return Ok(()) };
    let export = data.store.export(id)?.filter(|export| export.is_of_arrival(id));
    let Some(export) = export else { return Ok(()) };
    let is_here = |digest| Ok::<_, Failure>(data.store.hold_blob(digest)?.is_some());
    let has_config = is_here(&export.config)?;
    let mut has_manifest = !export.are_lost;
    for known in &export.manifests {
        has_manifest = has_manifest || is_here(&known.digest)?;
    }
    if has_config && has_manifest {
        return Ok(());
    }
    let why = match origin(data, image)? {
        Some(name) => match fetch_documents(data, &name, (id, &export)) {
            Ok(()) => {
                eprintln!("{}: configuration and manifest fetched again", name.familiar());
                return Ok(());
            }
            Err(failure) => format!(" and can't be fetched again: {failure}"),
        },
        None => String::new(),
    };
    let (what, name) = if has_config {
        ("manifest", "digest")
    } else {
        ("configuration", "id")
    };
    eprintln!(
        "wiac: warning: {}: the {what} that it came with is lost{why}; it goes out with one made anew, under another {name} \
         (load or pull it again where it is to keep it)",
        image.shown
    );
    Ok(())
}

fn fetch_documents(data: &Data, name: &Reference, (id, export): (&LocalId, &Export)) -> Result<(), Failure> {
    let client = RegistryOptions::default().client(data.caller.uid);
    let mut problem = Failure::new("no manifest of it is known");
    for known in export.manifests.iter().rev() {
        let reference: Reference = format!("{}@{}", name.name(), known.digest).parse()?;
        let fetched = match client.manifest(&reference) {
            Ok(fetched) => fetched,
            Err(error) => {
                problem = error.into();
                continue;
            }
        };
        let manifest: Manifest = serde_json::from_slice(&fetched.bytes)
            .map_err(|error| Failure::new(format!("manifest {}: {error}", known.digest.short())))?;
        if manifest.config.digest != export.config {
            problem = Failure::new(format!("manifest {} is another image's", known.digest.short()));
            continue;
        }
        let config = document(&client, &reference, &manifest.config)?;
        let _config = data.store.add_document(&config)?;
        let _manifest = data.store.add_document(&fetched.bytes)?;
        let regained = Export {
            config: export.config.clone(),
            manifests: vec![known.clone()],
            are_lost: false,
        };
        return Ok(data.store.add_export(id, &regained)?);
    }
    Err(problem)
}

/// The manifest that an image came or went with and would go out by, and what isn't here of its layers' blobs; `None` where it was made
/// here, or all is here.
fn missing(data: &Data, image: &Wanted) -> Result<Option<(Descriptor, Vec<Missing>)>, Failure> {
    let Some(id) = &image.id else { return Ok(None) };
    let Some(export) = data.store.export(id)? else {
        return Ok(None);
    };
    let is_from_elsewhere = export.config.hex() == id.as_str();
    for descriptor in image.manifests(&data.store, &export)? {
        let Some(document) = data.store.hold_blob(&descriptor.digest)? else {
            continue;
        };
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&document.read()?) else {
            continue;
        };
        if manifest.layers.len() != image.record.layers.len() {
            continue;
        }
        let mut missing = Vec::new();
        let mut diff_ids = image.record.config.rootfs.diff_ids.iter();
        for (blob, layer) in manifest.layers.into_iter().zip(&image.record.layers) {
            // What was made here is packed, unless the whole image came in: then its bytes are known by its manifest.
            let named = diff_ids.next().filter(|_| is_from_elsewhere).cloned();
            let diff_id = match named {
                Some(diff_id) => Some(diff_id),
                None => data.store.layer_info(layer)?.unpacked_from,
            };
            if let Some(diff_id) = diff_id
                && data.store.hold_blob(&blob.digest)?.is_none()
            {
                missing.push(Missing {
                    blob,
                    layer: layer.clone(),
                    diff_id,
                });
            }
        }
        return Ok((!missing.is_empty()).then_some((descriptor, missing)));
    }
    Ok(None)
}

/// A name that an image has, or had a manifest under, in a registry.
fn origin(data: &Data, image: &Wanted) -> Result<Option<Reference>, Failure> {
    let names = data.store.names()?;
    let mut came = names
        .into_iter()
        .filter(|name| Some(&name.image) == image.id.as_ref() && name.manifest.is_some());
    Ok(came.find_map(|name| name.name.parse().ok()))
}

/// A blob that isn't here, of a layer that is.
struct Missing {
    blob: Descriptor,
    layer: LayerId,
    /// The hash of the layer's tar.
    diff_id: DiffId,
}

fn fetch(data: &Data, name: &Reference, manifest: &Descriptor, blobs: &[Missing]) -> Result<Vec<HeldBlob>, Failure> {
    // Who we are to the place an image goes to is nothing that the place it came from needs to know.
    let client = RegistryOptions::default().client(data.caller.uid);
    let reference: Reference = format!("{}@{}", name.name(), manifest.digest).parse()?;
    let mut held = Vec::new();
    for Missing { blob, layer, diff_id } in blobs {
        let from = client.blob(&reference, blob, 0)?;
        let fetched = regain_blob(&data.store, (layer, diff_id), blob, Box::new(from));
        held.extend(fetched.map_err(|error| Failure::new(format!("{}: {error}", name.registry())))?);
    }
    eprintln!("{}: {} blobs fetched again", name.familiar(), held.len());
    Ok(held)
}
