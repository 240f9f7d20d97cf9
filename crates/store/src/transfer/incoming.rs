//! An image that is about to come in: its documents, read and compared with their digests, and where its layers are.

use super::Archive;
use crate::error::{Error, Result};
use std::io::Read;
use wiac_oci::digest::{DiffId, Digest};
use wiac_oci::image::ImageConfig;
use wiac_oci::manifest::{Descriptor, Manifest, media_type};
use wiac_oci::reference::Reference;

/// The largest document that is read: as large as registries and docker take.
pub(crate) use crate::blobs::DOCUMENT_LIMIT;

/// An image whose documents are here.
#[derive(Debug)]
pub struct Incoming {
    /// How it is called in messages.
    pub shown: String,
    /// Names it brings along.
    pub names: Vec<Reference>,
    /// Its configuration, byte for byte.
    pub config_bytes: Vec<u8>,
    /// The same, read.
    pub config: ImageConfig,
    /// Its manifest, byte for byte, with its descriptor; `None` where it comes without one (a docker archive).
    pub manifest: Option<(Descriptor, Vec<u8>)>,
    /// Its layers, base first: as many as the configuration has diff IDs.
    pub layers: Vec<IncomingLayer>,
}

/// One of its layers.
#[derive(Debug, Clone)]
pub struct IncomingLayer {
    /// Its diff ID, from the configuration.
    pub diff_id: DiffId,
    /// What the manifest says of the blob; `None` where it comes without a manifest.
    pub descriptor: Option<Descriptor>,
    /// Where it is: a name that the source of layers knows.
    pub place: String,
}

/// Gives the bytes of layers: an archive, later a registry.
pub trait LayerSource: Sync {
    /// Opens the blob of a layer, as it is (mostly compressed).
    ///
    /// # Errors
    /// Where it isn't there, or can't be read.
    fn open<'s>(&'s self, layer: &IncomingLayer) -> Result<Box<dyn Read + Send + 's>>;

    /// Whether layers come from another machine: what came of one that was cut off is then kept, to go on from.
    fn is_remote(&self) -> bool {
        false
    }

    /// Opens the blob from a byte on.
    ///
    /// # Errors
    /// As [`LayerSource::open`].
    fn resume<'s>(&'s self, layer: &IncomingLayer, from: u64) -> Result<Box<dyn Read + Send + 's>> {
        let mut source = self.open(layer)?;
        std::io::copy(&mut source.by_ref().take(from), &mut std::io::sink())
            .map_err(|error| Error::image(layer.place.as_str(), error.to_string()))?;
        Ok(source)
    }

    /// Told where what an earlier attempt got of a layer is damaged: it was thrown away, and all of it is asked for next.
    fn begins_anew(&self, _layer: &IncomingLayer) {}

    /// Whether somebody still wants what comes of it: asked while another process downloads the same.
    fn goes_on(&self) -> bool {
        true
    }

    /// How many layers to read at once, at least: a network makes one wait, not the processor.
    fn at_once(&self) -> usize {
        1
    }
}

impl LayerSource for Archive {
    fn open<'s>(&'s self, layer: &IncomingLayer) -> Result<Box<dyn Read + Send + 's>> {
        match Archive::open(self, &layer.place)? {
            Some(content) => Ok(Box::new(content)),
            None => Err(Error::archive(
                self.shown(),
                format!("layer {} is missing: the archive isn't whole", layer.place),
            )),
        }
    }
}

impl Incoming {
    /// An image with a manifest.
    ///
    /// # Errors
    /// What isn't a Linux image, or doesn't fit together.
    pub fn with_manifest(shown: &str, manifest: (Descriptor, Vec<u8>), config_bytes: Vec<u8>) -> Result<Self> {
        let parsed = parse_manifest(shown, &manifest.1)?;
        parsed
            .config
            .digest
            .verify(&config_bytes)
            .map_err(|error| Error::image(shown, format!("its configuration is damaged: {error}")))?;
        let places = parsed
            .layers
            .iter()
            .map(|layer| (Some(layer.clone()), layer.digest.to_string()))
            .collect();
        Self::new(shown, config_bytes, Some(manifest), places)
    }

    /// An image whose layers are at these places, base first, each with what a manifest says of it.
    ///
    /// # Errors
    /// As [`Incoming::with_manifest`].
    pub fn new(
        shown: &str,
        config_bytes: Vec<u8>,
        manifest: Option<(Descriptor, Vec<u8>)>,
        places: Vec<(Option<Descriptor>, String)>,
    ) -> Result<Self> {
        let config = ImageConfig::parse(&config_bytes)
            .map_err(|error| Error::image(shown, format!("its configuration can't be read: {error}")))?;
        if !config.os.is_empty() && config.os != "linux" {
            return Err(Error::image(
                shown,
                format!("it is an image for {}, not for Linux", config.os),
            ));
        }
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != places.len() {
            return Err(Error::image(
                shown,
                format!(
                    "its configuration has {} layers, its manifest {}: they don't belong together",
                    diff_ids.len(),
                    places.len()
                ),
            ));
        }
        let layer = |(diff_id, (descriptor, place)): (&DiffId, (Option<Descriptor>, String))| IncomingLayer {
            diff_id: diff_id.clone(),
            descriptor,
            place,
        };
        let layers = diff_ids.iter().zip(places).map(layer).collect();
        Ok(Self {
            shown: shown.to_owned(),
            names: Vec::new(),
            config_bytes,
            config,
            manifest,
            layers,
        })
    }
}

impl Incoming {
    /// What messages call one of its layers.
    pub(super) fn layer_name(&self, number: usize) -> String {
        let digest = self.layers.get(number).map_or_else(String::new, |layer| {
            let descriptor = layer.descriptor.as_ref();
            let digest = descriptor.map_or(layer.diff_id.digest(), |descriptor| &descriptor.digest);
            format!(" ({})", digest.short())
        });
        format!("{}: layer {} of {}{digest}", self.shown, number + 1, self.layers.len())
    }
}

/// Reads the manifest of an image of one platform, and refuses what is none.
pub(crate) fn parse_manifest(shown: &str, bytes: &[u8]) -> Result<Manifest> {
    let manifest: Manifest = serde_json::from_slice(bytes)
        .map_err(|error| Error::image(shown, format!("its manifest can't be read: {error}")))?;
    if let Some(media_type) = &manifest.media_type
        && !media_type::is_manifest(media_type)
    {
        return Err(Error::image(shown, format!("{media_type} is no image manifest")));
    }
    let config = &manifest.config.media_type;
    if manifest.artifact_type.is_some() || config == media_type::EMPTY {
        return Err(Error::image(
            shown,
            "it is an artifact, not an image: there is nothing to run in it; wiac transfer copies it as it is",
        ));
    }
    if is_artifact(&manifest) {
        return Err(Error::image(
            shown,
            format!(
                "its configuration is of the unknown type {config}: it is an artifact, not an image; wiac transfer copies \
                 it as it is"
            ),
        ));
    }
    if let Some(layer) = manifest.layers.iter().find(|layer| !is_layer(&layer.media_type)) {
        let why = if layer.media_type.ends_with("+encrypted") {
            "is encrypted: decrypt the image first (skopeo copy --decryption-key)"
        } else {
            "is of a type that no layer has"
        };
        return Err(Error::image(
            shown,
            format!("layer {} ({}) {why}", layer.digest.short(), layer.media_type),
        ));
    }
    Ok(manifest)
}

/// Whether a manifest is of something else than an image: by what it says, or by what its configuration is.
pub(super) fn is_artifact(manifest: &Manifest) -> bool {
    let config = manifest.config.media_type.as_str();
    manifest.artifact_type.is_some() || !matches!(config, media_type::CONFIG | media_type::DOCKER_CONFIG)
}

/// Whether a manifest is of something that goes with an image: an artifact, or one that looks like an image and has no layer of
/// one (cosign's signatures, BuildKit's attestations).
pub(super) fn is_beside(manifest: &Manifest) -> bool {
    let is_none = |layer: &Descriptor| !is_layer(&layer.media_type) && !layer.media_type.ends_with("+encrypted");
    let has_other_layers = !manifest.layers.is_empty() && manifest.layers.iter().all(is_none);
    is_artifact(manifest) || has_other_layers
}

/// A tar, however it is compressed: that is found by looking at it.
fn is_layer(media_type: &str) -> bool {
    const BEGINNINGS: [&str; 4] = [
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
    ];
    let rest = BEGINNINGS
        .iter()
        .find_map(|beginning| media_type.strip_prefix(beginning));
    matches!(rest, Some("" | "+gzip" | ".gzip" | "+zstd" | ".zstd"))
}

/// A descriptor of bytes that are here.
pub(crate) fn describe(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor::new(media_type, Digest::sha256(bytes), bytes.len() as u64)
}
