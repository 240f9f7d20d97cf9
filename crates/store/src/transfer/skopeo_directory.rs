//! Directories of the kind skopeo calls `dir:` and podman `docker-dir`: one image, its manifest in `manifest.json`, its
//! blobs beside it under the hexadecimal digits of their digests (containers-transports(5)).

use super::Archive;
use super::incoming::{DOCUMENT_LIMIT, Incoming, describe, parse_manifest};
use crate::error::{Error, Result};
use wiac_oci::manifest::{Index, Platform, media_type};
use wiac_oci::platform::choose;

/// What says that a directory is of this kind.
const VERSION: &str = "version";

/// How its content begins; the number behind it has never changed what is read here.
const VERSION_BEGINS: &[u8] = b"Directory Transport Version: ";

const MANIFEST: &str = "manifest.json";

/// Whether the archive is such a directory.
pub(super) fn is_skopeo_directory(archive: &Archive) -> Result<bool> {
    let version = archive.read(VERSION, DOCUMENT_LIMIT)?;
    Ok(version.is_some_and(|text| text.starts_with(VERSION_BEGINS)))
}

/// The image in it; of several platforms', which skopeo copy --all leaves there, the one for `platform`.
///
/// # Errors
/// Documents that are missing, can't be read or don't fit; where there is none for the platform.
pub(super) fn image(archive: &Archive, platform: &Platform) -> Result<Incoming> {
    let shown = archive.shown().display().to_string();
    let document = |name: &str, what: &str| {
        let bytes = archive.read(name, DOCUMENT_LIMIT)?;
        bytes.ok_or_else(|| Error::archive(archive.shown(), format!("{what} ({name}) is missing: it isn't whole")))
    };
    let mut manifest = document(MANIFEST, "its manifest")?;
    if let Some(index) = as_index(&manifest) {
        let wrong = |reason: String| Error::archive(archive.shown(), reason);
        let chosen = choose(&index.manifests, platform).map_err(wrong)?;
        let name = format!("{}.manifest.json", chosen.digest.hex());
        manifest = document(&name, "a manifest")?;
        let damaged = |error| wrong(format!("a manifest ({name}) is damaged: {error}"));
        chosen.digest.verify(&manifest).map_err(damaged)?;
    }
    let parsed = parse_manifest(&shown, &manifest)?;
    let config = document(parsed.config.digest.hex(), "its configuration")?;
    let media_type = parsed.media_type.as_deref().unwrap_or(media_type::MANIFEST);
    let mut image = Incoming::with_manifest(&shown, (describe(media_type, &manifest), manifest), config)?;
    for layer in &mut image.layers {
        if let Some(descriptor) = &layer.descriptor {
            descriptor.digest.hex().clone_into(&mut layer.place);
        }
    }
    Ok(image)
}

/// The document as an index, where it is one.
fn as_index(document: &[u8]) -> Option<Index> {
    serde_json::from_slice::<Index>(document)
        .ok()
        .filter(|index| !index.manifests.is_empty())
}
