//! OCI image layouts, in a directory or a tar: which images are in one (image-spec, image-layout.md).

use super::Archive;
use super::incoming::{DOCUMENT_LIMIT, Incoming};
use crate::error::{Error, Result};
use wiac_oci::digest::Digest;
use wiac_oci::manifest::{ANNOTATION_REF_NAME, Descriptor, ImageLayout, Index, Manifest, Platform, media_type};
use wiac_oci::platform::choose;
use wiac_oci::reference::Reference;

/// Where docker and containerd write an image's name in full.
pub(crate) const ANNOTATION_IMAGE_NAME: &str = "io.containerd.image.name";

/// Indexes in indexes that are followed: more is a cycle, or meant to hurt.
const DEEPEST: usize = 4;

/// Whether the archive is an image layout.
pub(super) fn is_layout(archive: &Archive) -> Result<bool> {
    Ok(archive.read("oci-layout", 4096)?.is_some())
}

/// The images of a layout for one platform: all, or what is called so. What says something about an image (a signature, an
/// attestation: ORAS and cosign put them into the same index) stays behind where nobody named it.
///
/// # Errors
/// A layout of an unknown version, documents that are missing or don't have their digest, an index without anything
/// for the platform, a layout with artifacts alone.
pub(super) fn images(archive: &Archive, platform: &Platform, called: Option<&str>) -> Result<Vec<Incoming>> {
    let index = index(archive, called)?;
    let layout = Layout { archive, platform };
    if index.manifests.is_empty() {
        return Err(Error::archive(archive.shown(), "there is no image in it"));
    }
    let mut picked = Vec::new();
    for (name, group) in by_name(index.manifests) {
        picked.push((name, layout.pick(&group, 0)?));
    }
    if called.is_none() && picked.len() > 1 {
        let is_image: Vec<bool> = picked.iter().map(|(_, entry)| !layout.is_beside(entry)).collect();
        if is_image.contains(&true) {
            let mut is_image = is_image.into_iter();
            picked.retain(|_| is_image.next().unwrap_or(true));
        }
    }
    let mut images = Vec::new();
    for (name, descriptor) in picked {
        let mut image = layout.image(descriptor)?;
        image.names.extend(name);
        images.push(image);
    }
    Ok(images)
}

/// A manifest or index that is alone in a layout.
pub(super) struct OnlyManifest {
    pub(super) descriptor: Descriptor,
    pub(super) bytes: Vec<u8>,
    /// What it is called there.
    pub(super) names: Vec<Reference>,
}

/// The manifest or index that a layout has, where it has no other, or none that is called so; whatever it is of.
///
/// # Errors
/// As [`images`].
pub(super) fn only_manifest(archive: &Archive, called: Option<&str>) -> Result<Option<OnlyManifest>> {
    if !is_layout(archive)? {
        return Ok(None);
    }
    let mut manifests = index(archive, called)?.manifests;
    let names = manifests.iter().filter_map(name_of).collect();
    manifests.dedup_by(|one, other| one.digest == other.digest);
    let Some(only) = manifests.pop().filter(|_| manifests.is_empty()) else {
        return Ok(None);
    };
    if !media_type::is_manifest(&only.media_type) && !media_type::is_index(&only.media_type) {
        return Ok(None);
    }
    let bytes = document(archive, &only, "its manifest")?;
    Ok(Some(OnlyManifest {
        descriptor: only,
        bytes,
        names,
    }))
}

fn index(archive: &Archive, called: Option<&str>) -> Result<Index> {
    let wrong = |reason: String| Error::archive(archive.shown(), reason);
    let text = archive.read("oci-layout", 4096)?.unwrap_or_default();
    let layout: ImageLayout =
        serde_json::from_slice(&text).map_err(|error| wrong(format!("oci-layout can't be read: {error}")))?;
    if !layout.image_layout_version.starts_with("1.") {
        return Err(wrong(format!(
            "the layout has version {}, known is 1.0.0",
            layout.image_layout_version
        )));
    }
    let text = archive
        .read("index.json", DOCUMENT_LIMIT)?
        .ok_or_else(|| wrong("index.json is missing".to_owned()))?;
    let mut index: Index =
        serde_json::from_slice(&text).map_err(|error| wrong(format!("index.json can't be read: {error}")))?;
    if let Some(name) = called {
        let names: Vec<&String> = index.manifests.iter().filter_map(shown_name).collect();
        let there = format!("{names:?}");
        let mut number = 0..;
        index
            .manifests
            .retain(|entry| number.next().is_some_and(|number| is_called(entry, number, name)));
        if index.manifests.is_empty() {
            return Err(wrong(format!("nothing is called {name:?} in it; there is {there}")));
        }
    }
    Ok(index)
}

/// Manifests with the same name are one image for several platforms; each one without a name is an image.
fn by_name(manifests: Vec<Descriptor>) -> Vec<(Option<Reference>, Vec<Descriptor>)> {
    let mut groups: Vec<(Option<Reference>, Vec<Descriptor>)> = Vec::new();
    for descriptor in manifests {
        let name = name_of(&descriptor);
        let known = groups.iter_mut().find(|(other, _)| name.is_some() && *other == name);
        match known {
            Some((_, group)) => group.push(descriptor),
            None => groups.push((name, vec![descriptor])),
        }
    }
    groups
}

/// The name that a layout's index gives an image; a bare tag is none, nor is a name with the digest of something else: who
/// asks for that digest must get what has it.
fn name_of(descriptor: &Descriptor) -> Option<Reference> {
    let full = descriptor.annotations.get(ANNOTATION_IMAGE_NAME);
    let text = full.or_else(|| {
        let name = descriptor.annotations.get(ANNOTATION_REF_NAME)?;
        name.contains(['/', ':']).then_some(name)
    })?;
    let name: Reference = text.parse().ok()?;
    let is_its_own = name.digest().is_none_or(|digest| *digest == descriptor.digest);
    is_its_own.then_some(name)
}

/// How an entry is called in messages: in full, where it says that.
fn shown_name(entry: &Descriptor) -> Option<&String> {
    let full = entry.annotations.get(ANNOTATION_IMAGE_NAME);
    full.or_else(|| entry.annotations.get(ANNOTATION_REF_NAME))
}

/// Whether an entry, the one with this number, is called so: `@NUMBER`, `@DIGEST` or a name.
fn is_called(entry: &Descriptor, number: usize, name: &str) -> bool {
    if let Some(text) = name.strip_prefix('@') {
        return text == entry.digest.as_str() || text.parse() == Ok(number);
    }
    let has = |key: &str| entry.annotations.get(key).map(String::as_str);
    let full = name
        .parse::<Reference>()
        .map(|full| full.with_default_tag().to_string());
    has(ANNOTATION_REF_NAME) == Some(name) || full.is_ok_and(|full| has(ANNOTATION_IMAGE_NAME) == Some(full.as_str()))
}

struct Layout<'a> {
    archive: &'a Archive,
    platform: &'a Platform,
}

impl Layout<'_> {
    /// The manifest for the platform among several of one image.
    fn pick(&self, manifests: &[Descriptor], depth: usize) -> Result<Descriptor> {
        let wrong = |reason: String| Error::archive(self.archive.shown(), reason);
        let picked = match manifests {
            // What was named is taken for whatever it is.
            [only] if depth == 0 => only,
            several => choose(several, self.platform).map_err(wrong)?,
        };
        if !media_type::is_index(&picked.media_type) {
            return Ok(picked.clone());
        }
        if depth == DEEPEST {
            return Err(wrong("indexes are nested too deeply in it".to_owned()));
        }
        let bytes = document(self.archive, picked, "an index")?;
        let index: Index = serde_json::from_slice(&bytes)
            .map_err(|error| wrong(format!("index {} can't be read: {error}", picked.digest)))?;
        self.pick(&index.manifests, depth + 1)
    }

    /// Whether an entry is an artifact that says something about an image. What can't be read isn't: reading it as an image
    /// tells why.
    fn is_beside(&self, descriptor: &Descriptor) -> bool {
        let bytes = document(self.archive, descriptor, "its manifest").ok();
        let manifest = bytes.and_then(|bytes| serde_json::from_slice::<Manifest>(&bytes).ok());
        manifest.is_some_and(|manifest| super::incoming::is_beside(&manifest))
    }

    fn image(&self, descriptor: Descriptor) -> Result<Incoming> {
        let shown = format!(
            "{}: image {}",
            self.archive.shown().display(),
            descriptor.digest.short()
        );
        if !media_type::is_manifest(&descriptor.media_type) {
            return Err(Error::image(
                shown,
                format!("{} is no image manifest", descriptor.media_type),
            ));
        }
        let manifest = document(self.archive, &descriptor, "its manifest")?;
        let parsed = super::incoming::parse_manifest(&shown, &manifest)?;
        let config = document(self.archive, &parsed.config, "its configuration")?;
        let mut image = Incoming::with_manifest(&shown, (descriptor, manifest), config)?;
        for layer in &mut image.layers {
            if let Some(descriptor) = &layer.descriptor {
                layer.place = blob_name(&descriptor.digest);
            }
        }
        Ok(image)
    }
}

/// A document, compared with its size and digest.
pub(super) fn document(archive: &Archive, descriptor: &Descriptor, what: &str) -> Result<Vec<u8>> {
    let name = blob_name(&descriptor.digest);
    let wrong = |reason: String| Error::archive(archive.shown(), format!("{what} ({name}) {reason}"));
    let bytes = archive
        .read(&name, DOCUMENT_LIMIT)?
        .ok_or_else(|| wrong("is missing: the layout isn't whole".to_owned()))?;
    if bytes.len() as u64 != descriptor.size {
        return Err(wrong(format!(
            "has {} bytes instead of {}",
            bytes.len(),
            descriptor.size
        )));
    }
    descriptor
        .digest
        .verify(&bytes)
        .map_err(|error| wrong(format!("is damaged: {error}")))?;
    Ok(bytes)
}

/// Where a blob stands in a layout.
pub(crate) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}
