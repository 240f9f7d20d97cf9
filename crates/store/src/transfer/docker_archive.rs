//! Archives of docker's kind: a list `manifest.json` of images, each a configuration and plain tars of its layers.
//!
//! As docker's `image/tarexport` and podman's `docker-archive:` write them. There is no manifest and there are no
//! digests of layers; the diff IDs in the configuration are compared with what the tars hash to.

use super::Archive;
use super::incoming::{DOCUMENT_LIMIT, Incoming};
use crate::error::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize};
use wiac_oci::reference::Reference;

/// The list of images.
pub(super) const LIST: &str = "manifest.json";

/// One image in the list.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    /// The name of its configuration.
    pub(super) config: String,
    /// Its names.
    #[serde(default)]
    pub(super) repo_tags: Option<Vec<String>>,
    /// The names of its layers' tars, base first.
    #[serde(default, deserialize_with = "none_if_null")]
    pub(super) layers: Vec<String>,
}

/// Go writes an empty list as `null`.
fn none_if_null<'d, D: Deserializer<'d>>(deserializer: D) -> std::result::Result<Vec<String>, D::Error> {
    Option::<Vec<String>>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Whether the archive is one of docker's.
pub(super) fn is_docker_archive(archive: &Archive) -> Result<bool> {
    Ok(archive.open(LIST)?.is_some())
}

/// The images in it.
///
/// # Errors
/// A list that can't be read, configurations that are missing or don't fit.
pub(super) fn images(archive: &Archive) -> Result<Vec<Incoming>> {
    let wrong = |reason: String| Error::archive(archive.shown(), reason);
    let list = archive.read(LIST, DOCUMENT_LIMIT)?.unwrap_or_default();
    let entries: Vec<Entry> =
        serde_json::from_slice(&list).map_err(|error| wrong(format!("{LIST} can't be read: {error}")))?;
    if entries.is_empty() {
        return Err(wrong("there is no image in it".to_owned()));
    }
    entries.into_iter().map(|entry| image(archive, entry)).collect()
}

/// Keeps those that are called so, each under that name alone: another may be an image's that was loaded before. `@NUMBER`
/// is one by its place in the list, under all its names.
///
/// # Errors
/// Where nothing is called so.
pub(super) fn choose(images: &mut Vec<Incoming>, called: &str) -> Result<(), String> {
    if let Some(number) = called.strip_prefix('@') {
        let count = images.len();
        let number = number.parse().ok().filter(|number: &usize| *number < count);
        let number = number.ok_or_else(|| format!("there is no {called} in it: its {count} images count from @0"))?;
        *images = vec![images.swap_remove(number)];
        return Ok(());
    }
    let names: Vec<String> = images
        .iter()
        .flat_map(|image| &image.names)
        .map(Reference::familiar)
        .collect();
    let full = called.parse::<Reference>().ok().map(Reference::with_default_tag);
    for image in images.iter_mut() {
        image.names.retain(|known| Some(known) == full.as_ref());
    }
    images.retain(|image| !image.names.is_empty());
    if images.is_empty() {
        return Err(format!("nothing is called {called:?} in it; there is {names:?}"));
    }
    Ok(())
}

fn image(archive: &Archive, entry: Entry) -> Result<Incoming> {
    let names = entry.repo_tags.unwrap_or_default();
    let shown = match names.first() {
        Some(name) => format!("{}: {name}", archive.shown().display()),
        None => format!("{}: {}", archive.shown().display(), entry.config),
    };
    let config = archive
        .read(&entry.config, DOCUMENT_LIMIT)?
        .ok_or_else(|| Error::image(shown.as_str(), format!("its configuration {} is missing", entry.config)))?;
    let places = entry.layers.into_iter().map(|name| (None, name)).collect();
    let mut image = Incoming::new(&shown, config, None, places)?;
    for name in names {
        let reference: Reference = name
            .parse()
            .map_err(|error| Error::image(shown.as_str(), format!("its name {name:?} is none: {error}")))?;
        // A digest is a manifest's, and there is none here: anybody could call anything so.
        if reference.digest().is_none() {
            image.names.push(reference);
        }
    }
    Ok(image)
}
