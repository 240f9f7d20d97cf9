//! Images from registries: what the command line says of them, and the way into the store.

use crate::data::Data;
use crate::ending;
use crate::error::Failure;
use crate::transfers::Transfers;
use clap::Args;
use std::io::Read;
use std::path::PathBuf;
use wiac_oci::digest::Digest;
use wiac_oci::manifest::{Descriptor, Index, Manifest, Platform, media_type};
use wiac_oci::platform::choose;
use wiac_oci::reference::Reference;
use wiac_registry::{Client, Fetched, Settings};
use wiac_store::HeldImage;
use wiac_store::transfer::{Incoming, IncomingLayer, LayerSource, load};

/// Indexes in indexes that are followed: more is a cycle, or meant to hurt.
const DEEPEST: usize = 4;

/// Layers that are fetched at once.
const AT_ONCE: usize = 3;

// Options of every command that talks to registries; clap makes the help of the comments below.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RegistryOptions {
    /// Whether certificates must be right; false also allows plain HTTP
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) tls_verify: Option<bool>,
    /// User and password for the registry
    #[arg(long, value_name = "USER[:PASSWORD]")]
    pub(crate) creds: Option<String>,
    /// Read (and write) credentials in this file
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// Take the authorities' and the client's certificates from this directory
    #[arg(long, value_name = "DIR")]
    cert_dir: Option<PathBuf>,
}

impl RegistryOptions {
    /// The settings for a user.
    pub(crate) fn settings(&self, uid: u32) -> Settings {
        let mut settings = Settings::from_environment(uid);
        settings.tls_verify = self.tls_verify;
        settings.creds = self.creds.as_deref().map(|text| match text.split_once(':') {
            Some((user, password)) => (user.to_owned(), password.to_owned()),
            None => (text.to_owned(), String::new()),
        });
        if let Some(path) = &self.authfile {
            settings.credentials.written.clone_from(path);
            settings.credentials.read = vec![path.clone()];
            settings.credentials.must_exist = true;
        }
        settings.cert_dir.clone_from(&self.cert_dir);
        settings.ending = ending::of_transfers();
        settings
    }

    /// A client with these settings.
    pub(crate) fn client(&self, uid: u32) -> Client {
        Client::new(self.settings(uid))
    }
}

/// An image that was pulled.
pub(crate) struct Pulled {
    /// In the store.
    pub(crate) image: HeldImage,
    /// What it was pulled as.
    pub(crate) name: Reference,
    /// The digest that the name had there: of an index, where it was one.
    pub(crate) digest: Digest,
    /// Layers that were here already.
    pub(crate) reused: usize,
}

/// Pulls what a written name means: the first of its meanings that there is.
///
/// # Errors
/// Why none of them could be pulled.
pub(crate) fn pull(
    data: &Data,
    client: &Client,
    name: &str,
    platform: &Platform,
    quiet: bool,
) -> Result<Pulled, Failure> {
    let mut reasons = Vec::new();
    for reference in client.candidates(name)? {
        match pull_one(data, client, &reference.clone().with_default_tag(), platform, quiet) {
            Ok(pulled) => return Ok(pulled),
            Err(failure) => reasons.push(failure.to_string()),
        }
    }
    Err(Failure::new(reasons.join("\n")))
}

fn pull_one(
    data: &Data,
    client: &Client,
    reference: &Reference,
    platform: &Platform,
    quiet: bool,
) -> Result<Pulled, Failure> {
    let pulled = fetch(data, client, reference, platform, quiet)?;
    // A digest is what was asked for: whether the tag beside it still means that, nobody has looked.
    let name = match reference.digest() {
        Some(digest) => format!("{}@{digest}", reference.name()).parse()?,
        None => reference.clone(),
    };
    data.store
        .name_manifest(&name, &pulled.image.id, Some(&pulled.digest))?;
    Ok(pulled)
}

/// The same without giving it a name.
///
/// # Errors
/// As [`pull`].
pub(crate) fn fetch(
    data: &Data,
    client: &Client,
    reference: &Reference,
    platform: &Platform,
    quiet: bool,
) -> Result<Pulled, Failure> {
    fetch_found(data, client, (reference, client.manifest(reference)?), platform, quiet)
}

/// The same of a manifest or index that is here already.
///
/// # Errors
/// As [`pull`].
pub(crate) fn fetch_found(
    data: &Data,
    client: &Client,
    (reference, found): (&Reference, Fetched),
    platform: &Platform,
    quiet: bool,
) -> Result<Pulled, Failure> {
    let digest = found.descriptor.digest.clone();
    let (descriptor, manifest) = of_platform(client, reference, (found.descriptor, found.bytes), platform)?;
    let parsed: Manifest = serde_json::from_slice(&manifest)
        .map_err(|error| Failure::new(format!("{}: its manifest can't be read: {error}", reference.familiar())))?;
    // One that is here was compared with its digest when it came, and is again.
    let config = match data.store.hold_blob(&parsed.config.digest)? {
        Some(here) if parsed.config.size <= wiac_store::blobs::DOCUMENT_LIMIT => here.read()?,
        _ => document(client, reference, &parsed.config)?,
    };
    let shown = reference.familiar();
    let incoming = Incoming::with_manifest(&shown, (descriptor, manifest), config)?;
    let sizes = parsed.layers.iter().map(|layer| layer.size).sum();
    let transfers = Transfers::new(quiet, sizes);
    let source = Remote {
        client,
        reference,
        transfers: &transfers,
    };
    let loaded = load(&data.store, &incoming, &source, data.owner_policy())?;
    transfers.finish();
    Ok(Pulled {
        image: loaded.image,
        name: reference.clone(),
        digest,
        reused: loaded.reused,
    })
}

/// The manifest for a platform: the document itself, or what an index says.
pub(crate) fn of_platform(
    client: &Client,
    reference: &Reference,
    mut document: (Descriptor, Vec<u8>),
    platform: &Platform,
) -> Result<(Descriptor, Vec<u8>), Failure> {
    for _ in 0..=DEEPEST {
        if !media_type::is_index(&document.0.media_type) {
            return Ok(document);
        }
        let wrong = |reason: String| Failure::new(format!("{}: {reason}", reference.familiar()));
        let index: Index =
            serde_json::from_slice(&document.1).map_err(|error| wrong(format!("its index can't be read: {error}")))?;
        let chosen = choose(&index.manifests, platform).map_err(wrong)?;
        let found = client.manifest(&reference.clone().with_digest(chosen.digest.clone()))?;
        document = (found.descriptor, found.bytes);
    }
    Err(Failure::new(format!(
        "{}: its indexes are nested too deeply",
        reference.familiar()
    )))
}

/// A small blob, whole and compared with its digest.
pub(crate) fn document(client: &Client, reference: &Reference, descriptor: &Descriptor) -> Result<Vec<u8>, Failure> {
    let limit = wiac_store::blobs::DOCUMENT_LIMIT;
    if descriptor.size > limit {
        return Err(Failure::new(format!(
            "{}: its configuration has {} bytes; such a document has {limit} at most",
            reference.familiar(),
            descriptor.size
        )));
    }
    let mut bytes = Vec::new();
    client
        .blob(reference, descriptor, 0)?
        .take(limit)
        .read_to_end(&mut bytes)?;
    descriptor.digest.verify(&bytes).map_err(|error| {
        Failure::new(format!(
            "{}: its configuration is damaged: {error}",
            reference.familiar()
        ))
    })?;
    Ok(bytes)
}

/// Layers in a repository of a registry.
pub(crate) struct Remote<'c> {
    client: &'c Client,
    reference: &'c Reference,
    transfers: &'c Transfers,
}

impl<'c> Remote<'c> {
    /// Those of the repository that `reference` is in.
    pub(crate) fn new(client: &'c Client, reference: &'c Reference, transfers: &'c Transfers) -> Self {
        Self {
            client,
            reference,
            transfers,
        }
    }
}

impl LayerSource for Remote<'_> {
    fn open<'s>(&'s self, layer: &IncomingLayer) -> wiac_store::Result<Box<dyn Read + Send + 's>> {
        self.resume(layer, 0)
    }

    fn resume<'s>(&'s self, layer: &IncomingLayer, from: u64) -> wiac_store::Result<Box<dyn Read + Send + 's>> {
        let wrong = |reason: String| wiac_store::Error::Image {
            image: self.reference.familiar(),
            reason,
        };
        let descriptor = layer
            .descriptor
            .as_ref()
            .ok_or_else(|| wrong("a layer has no digest".to_owned()))?;
        let blob = self
            .client
            .blob(self.reference, descriptor, from)
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Box::new(self.transfers.watch(
            descriptor.digest.short(),
            descriptor.size,
            from,
            blob,
        )))
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn begins_anew(&self, layer: &IncomingLayer) {
        if let Some(descriptor) = &layer.descriptor {
            self.transfers.again(descriptor.digest.short(), descriptor.size);
        }
    }

    fn goes_on(&self) -> bool {
        !self.client.is_ended()
    }

    fn at_once(&self) -> usize {
        AT_ONCE
    }
}
