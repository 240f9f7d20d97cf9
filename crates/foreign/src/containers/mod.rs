//! containers/storage: the store of podman, buildah and CRI-O.
//!
//! An image's record names its topmost layer, whose records name their parents. A layer's files are in
//! `overlay/<id>/diff`, its tar-split metadata in `overlay-layers/<id>.tar-split.gz`. Records and layers may also be in
//! additional image stores, which are read-only for the tool itself.

mod config;
pub(crate) mod lock;
mod names;
mod records;
mod registries;

use crate::caller::Caller;
use crate::error::{Error, IoExt, Result};
use crate::image::{Image, Layer, Marks, Owned, Summary};
use crate::reference::Location;
use crate::{platform, read, time};
use config::Store;
use names::Found;
use records::{LayerRecord, Root};
use registries::Registries;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use wiac_layer::Form;
use wiac_oci::digest::{DiffId, Digest};
use wiac_oci::image::ImageConfig;
use wiac_oci::manifest::{Index, Manifest};

const SHIFTED: &str = "copy it with `skopeo copy` to an oci-archive and load that";

/// Finds an image.
pub(crate) fn open(location: &Location, name: &str, caller: &Caller) -> Result<Image> {
    let store = Store::find(location, caller)?;
    let registries = Registries::read(caller)?;
    let (roots, guard) = records::read(&store)?;
    let found = of_this_machine(&roots, names::find(&roots, name, &registries)?, name)?;
    let documents = Documents::read(found)?;
    let (chain, others) = layers(&roots, found, caller)?;
    let mut image = Image {
        id: documents.id,
        names: found.image.names().to_vec(),
        config: documents.config,
        manifest: documents.manifest,
        layers: chain,
        store: found.root.path.clone(),
        others,
        guard,
    };
    image.check_diff_ids(&documents.diff_ids)?;
    Ok(image)
}

/// Every image of the store.
pub(crate) fn list(location: &Location, caller: &Caller) -> Result<Vec<Summary>> {
    let store = Store::find(location, caller)?;
    let (roots, _guard) = records::read(&store)?;
    let mut seen = BTreeSet::new();
    let mut summaries = Vec::new();
    for found in names::all(&roots).filter(|found| seen.insert(found.image.id.clone())) {
        // Ids that are no digests are other tools' images without a configuration.
        let Ok(id) = format!("sha256:{}", found.image.id).parse() else {
            continue;
        };
        let layers = chain(&roots, found).unwrap_or_default();
        let sizes = layers.iter().map(|(_, layer)| u64::try_from(layer.diff_size?).ok());
        summaries.push(Summary {
            id,
            names: found.image.names().to_vec(),
            created: found.image.created.as_deref().and_then(time::seconds),
            size: sizes.sum(),
        });
    }
    Ok(summaries)
}

/// Where the image is a list of images for several platforms: the one for this machine, if the store has it.
fn of_this_machine<'a>(roots: &'a [Root], found: Found<'a>, name: &str) -> Result<Found<'a>> {
    let path = found.root.big_data(found.image, "manifest")?;
    let index = read::document(&path)?.and_then(|bytes| serde_json::from_slice::<Index>(&bytes).ok());
    let Some(index) = index.filter(|_| found.image.layer.as_deref().unwrap_or_default().is_empty()) else {
        return Ok(found);
    };
    let fitting = platform::fitting(&index.manifests);
    let mut held = fitting.iter().filter_map(|descriptor| {
        names::all(roots).find(|other| other.image.id != found.image.id && other.image.has_digest(&descriptor.digest))
    });
    held.next().ok_or_else(|| Error::Platform {
        place: found.root.path.clone(),
        name: name.to_owned(),
        platform: platform::words(&platform::host()),
        remedy: "pull or build it for this platform with podman",
    })
}

/// The documents of an image.
struct Documents {
    id: Digest,
    config: Vec<u8>,
    manifest: Option<Vec<u8>>,
    diff_ids: Vec<DiffId>,
}

impl Documents {
    fn read(found: Found<'_>) -> Result<Self> {
        let manifest = read::document(&found.root.big_data(found.image, "manifest")?)?;
        // An older manifest (schema 1) names no configuration.
        let parsed = manifest
            .as_deref()
            .and_then(|bytes| serde_json::from_slice::<Manifest>(bytes).ok());
        let id = match &parsed {
            Some(manifest) => manifest.config.digest.clone(),
            None => Self::only_configuration(found)?,
        };
        let path = found.root.big_data(found.image, id.as_str())?;
        let config = read::document(&path)?.ok_or_else(|| {
            let reason = format!("the configuration of image {} is missing", found.image.id);
            Error::damaged(&path, reason)
        })?;
        id.verify(&config)
            .map_err(|error| Error::damaged(&path, error.to_string()))?;
        let diff_ids = read::json::<ImageConfig>(&path, &config)?.rootfs.diff_ids;
        Ok(Self {
            id,
            config,
            manifest: manifest.filter(|_| parsed.is_some()),
            diff_ids,
        })
    }

    fn only_configuration(found: Found<'_>) -> Result<Digest> {
        let mut digests = found
            .image
            .configurations()
            .filter_map(|name| name.parse::<Digest>().ok());
        match (digests.next(), digests.next()) {
            (Some(id), None) => Ok(id),
            _ => Err(Error::damaged(
                found.root.images_json(),
                format!("image {} has no manifest that names its configuration", found.image.id),
            )),
        }
    }
}

/// The records of an image's layers, base first, each with the directory it was found in.
fn chain<'a>(roots: &'a [Root], found: Found<'a>) -> Result<Vec<(&'a Root, &'a LayerRecord)>> {
    let mut chain = Vec::new();
    let mut seen = BTreeSet::new();
    let mut next = found.image.layer.as_deref().filter(|id| !id.is_empty());
    while let Some(id) = next {
        // The image's own directory first: an additional store may have a layer with the same id.
        let mut order = std::iter::once(found.root).chain(roots);
        let (root, layer) = order.find_map(|root| Some((root, root.layer(id)?))).ok_or_else(|| {
            let reason = format!("layer {id} of image {} isn't listed", found.image.id);
            Error::damaged(found.root.layers_json(), reason)
        })?;
        if !seen.insert(id) {
            return Err(Error::damaged(
                root.layers_json(),
                format!("layer {id} is its own parent"),
            ));
        }
        chain.push((root, layer));
        next = layer.parent.as_deref().filter(|id| !id.is_empty());
    }
    chain.reverse();
    Ok(chain)
}

/// The layers, base first, and the first store among theirs that is another user's, with its owner.
fn layers(roots: &[Root], found: Found<'_>, caller: &Caller) -> Result<(Vec<Layer>, Option<Owned>)> {
    let mut layers = Vec::new();
    let mut checked: Option<&Path> = None;
    let mut others = None;
    for (root, record) in chain(roots, found)? {
        records::check_id(&root.layers_json(), &record.id)?;
        let home = roots
            .iter()
            .map(|root| root.path.join("overlay").join(&record.id))
            .find(|path| path.exists())
            .ok_or_else(|| {
                Error::damaged(
                    root.layers_json(),
                    format!("the directory of layer {} is missing", record.id),
                )
            })?;
        if checked != Some(&root.path) {
            others = others.or(other_owner(&root.path)?);
            checked = Some(&root.path);
        }
        layers.push(layer(root, record, &home, caller)?);
    }
    Ok((layers, others))
}

/// A layer, if its directory can be used as it is.
fn layer(root: &Root, record: &LayerRecord, home: &Path, caller: &Caller) -> Result<Layer> {
    let refuse = |what: &str| Err(Error::unsupported(home, what, SHIFTED));
    if record.is_incomplete() {
        let reason = format!("layer {} is incomplete: its tool was interrupted", record.id);
        return Err(Error::damaged(home, reason));
    }
    if record.is_mapped() || home.join("diff1").exists() {
        return refuse("its files have the ids of another user namespace (id-mapped layer)");
    }
    if home.join("composefs-data").exists() {
        return refuse("it is a composefs layer without a plain directory");
    }
    let diff = home.join("diff");
    let kind = std::fs::symlink_metadata(&diff).on("look at", &diff)?.file_type();
    if kind.is_symlink() {
        return refuse("it lies in an additional layer store");
    }
    if !kind.is_dir() {
        return Err(Error::damaged(&diff, "it is no directory"));
    }
    let diff_id = record.diff_digest.as_deref().filter(|text| !text.is_empty());
    let diff_id = diff_id.map(str::parse::<DiffId>).transpose();
    Ok(Layer {
        form: if caller.is_root() { Form::Trusted } else { Form::User },
        marks: Marks::Unknown,
        diff_id: diff_id.map_err(|error| Error::damaged(root.layers_json(), error.to_string()))?,
        size: record.diff_size.and_then(|size| u64::try_from(size).ok()),
        tar_split: existing(
            root.path
                .join("overlay-layers")
                .join(format!("{}.tar-split.gz", record.id)),
        ),
        blob: None,
        diff,
    })
}

fn existing(path: PathBuf) -> Option<PathBuf> {
    path.exists().then_some(path)
}

/// A store's owner, where that is another user: its files' owners mean something else then. Both sides are seen from the
/// same user namespace, whichever it is.
fn other_owner(root: &Path) -> Result<Option<Owned>> {
    let owner = std::fs::metadata(root).on("look at", root)?.uid();
    let is_other = owner != rustix::process::geteuid().as_raw();
    Ok(is_other.then(|| (root.to_owned(), owner)))
}

/// A configuration file in TOML; `None` where there is none.
fn toml<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Some(text) = read::text(path)? else {
        return Ok(None);
    };
    let parsed = toml::from_str(&text).map_err(|error| Error::Configuration {
        path: path.to_owned(),
        reason: error.message().to_owned(),
    })?;
    Ok(Some(parsed))
}

#[cfg(test)]
mod tests;
