//! Caches of other machines, as a build asks them: an index of keys that is read first, and layers that are fetched one by
//! one when their files are needed.

use super::CacheFrom;
use crate::data::Data;
use crate::error::Failure;
use crate::registry::{RegistryOptions, Remote, document, of_platform};
use crate::transfers::Transfers;
use std::collections::HashMap;
use std::path::Path;
use wiac_build::Error;
use wiac_build::import::{ImportedStep, StepCache};
use wiac_layer::unpack::OwnerPolicy;
use wiac_oci::build_cache::{self, BuildCache, CachedLayer};
use wiac_oci::digest::Digest;
use wiac_oci::image::{History, ImageConfig};
use wiac_oci::manifest::{ANNOTATION_REF_NAME, Descriptor, Index, Manifest, Platform, media_type};
use wiac_oci::reference::Reference;
use wiac_registry::Client;
use wiac_store::blobs::DOCUMENT_LIMIT;
use wiac_store::transfer::{Archive, IncomingLayer, load_layer};
use wiac_store::{HeldLayer, Store};

/// What caches of other machines have.
pub(in crate::commands::build) struct Imports<'d> {
    store: &'d Store,
    owners: OwnerPolicy,
    sources: Vec<Source>,
    /// Which source and which of its layers a key means.
    keys: HashMap<String, (usize, usize)>,
}

/// A cache that could be read.
struct Source {
    /// How messages call it.
    shown: String,
    layers: Vec<(CachedLayer, Descriptor)>,
    place: Place,
}

/// Where its layers are.
enum Place {
    Layout(Archive),
    Registry(Client, Reference),
}

/// A manifest, with the configuration that it names.
type Documents = (Manifest, Vec<u8>);

impl<'d> Imports<'d> {
    /// Reads caches. One that nobody can read is told, and passed over.
    pub(in crate::commands::build) fn open(data: &'d Data, from: &[CacheFrom], platform: Option<&Platform>) -> Self {
        let mut imports = Self {
            store: &data.store,
            owners: data.owner_policy(),
            sources: Vec::new(),
            keys: HashMap::new(),
        };
        let platform = platform.cloned().unwrap_or_else(Platform::host);
        for one in from {
            let opened = match one {
                CacheFrom::Local { directory, tag, digest } => open_layout(directory, tag, digest.as_deref()),
                CacheFrom::Registry(name) => open_registry(data, name, &platform),
            };
            match opened {
                Ok(source) => imports.add(source),
                Err(failure) => eprintln!("wiac: warning: the build cache isn't used: {failure}"),
            }
        }
        imports
    }

    fn add(&mut self, source: Source) {
        let number = self.sources.len();
        for (position, (layer, _)) in source.layers.iter().enumerate() {
            for key in &layer.keys {
                self.keys.entry(key.clone()).or_insert((number, position));
            }
        }
        self.sources.push(source);
    }

    /// What is known of the layer that a step made.
    pub(super) fn layer(&self, key: &str) -> Option<&(CachedLayer, Descriptor)> {
        let (source, layer) = self.keys.get(key)?;
        self.sources.get(*source)?.layers.get(*layer)
    }
}

impl StepCache for Imports<'_> {
    fn find(&self, key: &str) -> Option<ImportedStep> {
        let (layer, _) = self.layer(key)?;
        Some(ImportedStep {
            lineage: layer.lineage.clone(),
            created: layer.created.clone(),
            keys: layer.keys.clone(),
        })
    }

    fn fetch(&self, key: &str) -> wiac_build::Result<HeldLayer> {
        let missing = || Error::wrong("the step is in no build cache");
        let (source, _) = self.keys.get(key).ok_or_else(missing)?;
        let (layer, descriptor) = self.layer(key).ok_or_else(missing)?;
        let source = &self.sources[*source];
        let made = History {
            created: Some(layer.created.clone()),
            created_by: Some(layer.created_by.clone()),
            ..History::default()
        };
        let incoming = IncomingLayer {
            diff_id: layer.diff_id.clone(),
            descriptor: Some(descriptor.clone()),
            place: blob_name(&descriptor.digest),
        };
        let transfers = Transfers::new(true, descriptor.size);
        let wanted = (incoming, made);
        Ok(match &source.place {
            Place::Layout(archive) => load_layer(self.store, &source.shown, wanted, archive, self.owners)?,
            Place::Registry(client, reference) => {
                let remote = Remote::new(client, reference, &transfers);
                load_layer(self.store, &source.shown, wanted, &remote, self.owners)?
            }
        })
    }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

/// The configuration of a cache that BuildKit has written.
const BUILDKITS: &str = "application/vnd.buildkit.cacheconfig.v0";

/// The layers that a manifest and its configuration name, each with its blob.
fn layers(shown: &str, (manifest, config): &Documents) -> Result<Vec<(CachedLayer, Descriptor)>, Failure> {
    let wrong = |reason: String| Failure::new(format!("{shown}: {reason}"));
    let unreadable = |reason: String| wrong(format!("its configuration can't be read: {reason}"));
    if manifest.config.media_type == build_cache::CONFIG {
        let cache = BuildCache::parse(config).map_err(unreadable)?;
        if cache.layers.len() != manifest.layers.len() {
            return Err(wrong(
                "its configuration and its manifest don't belong together".to_owned(),
            ));
        }
        let blobs = manifest.layers.iter().map(plain);
        return Ok(cache.layers.into_iter().zip(blobs).collect());
    }
    if manifest.config.media_type == BUILDKITS {
        return Err(wrong(
            "it is a cache of BuildKit's, which names other steps than ours; write one with wiac build --cache-to"
                .to_owned(),
        ));
    }
    let config = ImageConfig::parse(config).map_err(|error| unreadable(error.to_string()))?;
    let cache = BuildCache::of_image(&config).map_err(unreadable)?;
    let cache = cache.ok_or_else(|| {
        wrong("it is an image that doesn't say which steps made it (--cache-to type=inline writes that)".to_owned())
    })?;
    let blob = |layer: &CachedLayer| {
        let number = config
            .rootfs
            .diff_ids
            .iter()
            .position(|diff_id| *diff_id == layer.diff_id)?;
        manifest.layers.get(number).map(plain)
    };
    Ok(cache
        .layers
        .into_iter()
        .filter_map(|layer| blob(&layer).map(|blob| (layer, blob)))
        .collect())
}

/// A blob of this place: where else it could be had doesn't count.
fn plain(blob: &Descriptor) -> Descriptor {
    Descriptor::new(blob.media_type.clone(), blob.digest.clone(), blob.size)
}

fn open_layout(directory: &Path, tag: &str, digest: Option<&str>) -> Result<Source, Failure> {
    let shown = directory.display().to_string();
    let wrong = |reason: String| Failure::new(format!("{shown}: {reason}"));
    let archive = Archive::directory(directory)?;
    let read = |name: &str| -> Result<Vec<u8>, Failure> {
        let bytes = archive.read(name, DOCUMENT_LIMIT)?;
        bytes.ok_or_else(|| wrong(format!("{name} is missing: it is no image layout, or not whole")))
    };
    let index: Index = serde_json::from_slice(&read("index.json")?)
        .map_err(|error| wrong(format!("index.json can't be read: {error}")))?;
    let is_it = |one: &&Descriptor| match digest {
        Some(digest) => one.digest.as_str() == digest,
        None => one.annotations.get(ANNOTATION_REF_NAME).map(String::as_str) == Some(tag),
    };
    let entry = index.manifests.iter().find(is_it);
    let entry = entry.ok_or_else(|| wrong(format!("there is no {} in it", digest.unwrap_or(tag))))?;
    let verified = |descriptor: &Descriptor| -> Result<Vec<u8>, Failure> {
        let bytes = read(&blob_name(&descriptor.digest))?;
        let damaged = |error| wrong(format!("{} is damaged: {error}", descriptor.digest.short()));
        descriptor.digest.verify(&bytes).map_err(damaged)?;
        Ok(bytes)
    };
    let manifest = verified(entry)?;
    let manifest: Manifest =
        serde_json::from_slice(&manifest).map_err(|error| wrong(format!("its manifest can't be read: {error}")))?;
    let config = verified(&manifest.config)?;
    Ok(Source {
        layers: layers(&shown, &(manifest, config))?,
        place: Place::Layout(archive),
        shown,
    })
}

fn open_registry(data: &Data, name: &str, platform: &Platform) -> Result<Source, Failure> {
    let client = RegistryOptions::default().client(data.caller.uid);
    let reference = crate::commands::tags::meaning(&client.candidates(name)?, name)?.with_default_tag();
    let found = client.manifest(&reference)?;
    let found = of_platform(&client, &reference, (found.descriptor, found.bytes), platform)?;
    let shown = reference.familiar();
    let wrong = |reason: String| Failure::new(format!("{shown}: {reason}"));
    if !media_type::is_manifest(&found.0.media_type) {
        return Err(wrong(format!("{} is no manifest", found.0.media_type)));
    }
    let manifest: Manifest =
        serde_json::from_slice(&found.1).map_err(|error| wrong(format!("its manifest can't be read: {error}")))?;
    let config = document(&client, &reference, &manifest.config)?;
    Ok(Source {
        layers: layers(&shown, &(manifest, config))?,
        place: Place::Registry(client, reference),
        shown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_of_buildkits_is_called_so() {
        let config = Descriptor::new(BUILDKITS, Digest::sha256("{}"), 2);
        let documents = (Manifest::new(config, Vec::new()), b"{}".to_vec());
        let said = layers("cache:1", &documents).expect_err("refused").to_string();
        assert!(said.starts_with("cache:1: it is a cache of BuildKit's"), "{said}");
    }
}
