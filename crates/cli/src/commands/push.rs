//! `wiac push`: an image to a registry.

use super::compressing::Compressing;
use super::save::wanted_for;
use crate::data::Data;
use crate::error::Failure;
use crate::exit::ExitCode;
use crate::located::meant;
use crate::place::{self, Change};
use crate::registry::RegistryOptions;
use crate::transfers::Transfers;
use crate::{Global, data};
use clap::{Args, ValueEnum};
use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use wiac_oci::digest::Digest;
use wiac_oci::manifest::{Descriptor, Manifest, Platform, media_type};
use wiac_oci::manifest_kind::{KindError, ManifestKind};
use wiac_oci::reference::Reference;
use wiac_registry::Client;
use wiac_store::temporary::Temporary;
use wiac_store::transfer::{Outgoing, OutgoingIndex, OutgoingLayer, Packing, Wanted, prepare_index};

/// Blobs that are sent at once.
const AT_ONCE: usize = 3;

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The image, by name or id
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Where to, if not under its own name
    #[arg(value_name = "NAME")]
    destination: Option<String>,
    /// Every name that the repository IMAGE has here
    #[arg(short, long, conflicts_with_all = ["destination", "digestfile"])]
    all_tags: bool,
    /// Print the digest alone
    #[arg(short, long)]
    quiet: bool,
    /// Of an image for several platforms, push this one's alone
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    #[command(flatten)]
    compressing: Compressing,
    /// The manifest's kind, by itself oci; an image that came in keeps its own where none is named
    #[arg(long, short, value_name = "KIND")]
    format: Option<ManifestFormat>,
    /// Write the manifest's digest to this file
    #[arg(long, value_name = "FILE")]
    digestfile: Option<PathBuf>,
    #[command(flatten)]
    registry: RegistryOptions,
}

/// The kinds of manifests, as podman and skopeo call them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ManifestFormat {
    /// OCI's
    Oci,
    /// docker's, schema 2
    #[value(alias = "docker")]
    V2s2,
}

impl ManifestFormat {
    /// What it is called where manifests are made.
    pub(crate) fn kind(self) -> ManifestKind {
        match self {
            Self::Oci => ManifestKind::Oci,
            Self::V2s2 => ManifestKind::Docker,
        }
    }
}

/// docker's manifests have no word for what was asked for.
pub(crate) fn refuse_zstd(format: Option<ManifestFormat>, compressing: &Compressing) -> Result<(), Failure> {
    if format == Some(ManifestFormat::V2s2) && compressing.is_zstd() {
        return Err(Failure::usage(format!(
            "{}: leave --format v2s2 or --compression zstd out",
            KindError::Zstd
        )));
    }
    Ok(())
}

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    if arguments.all_tags {
        let data = data::open(global)?;
        for name in all_tags(&data, &arguments.image)? {
            push(&data, arguments, &name.to_string(), &name)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut to = destination(arguments)?;
    let data = data::open(global)?;
    let is_named = arguments.destination.is_some() || data.store.find_name(&arguments.image)?.is_some();
    let own = if is_named { None } else { meant(&data, &arguments.image) };
    if let Some(own) = own {
        // Found by a short name, it goes where that leads, never to docker.io.
        to = own.with_default_tag();
    } else if !is_named && data.store.find_image(&arguments.image).is_ok() {
        return Err(Failure::usage(format!(
            "{0}: it is an id, not a name; say where to push it: wiac push {0} NAME",
            arguments.image
        )));
    }
    push(&data, arguments, &arguments.image, &to)
}

/// The names here that a repository has.
fn all_tags(data: &Data, repository: &str) -> Result<Vec<Reference>, Failure> {
    let wanted: Reference = repository.parse()?;
    if wanted.tag().is_some() || wanted.digest().is_some() {
        return Err(Failure::usage(format!(
            "{repository}: --all-tags takes a repository, without a tag"
        )));
    }
    let names = data.store.names()?;
    let parsed = names.iter().filter_map(|name| name.name.parse::<Reference>().ok());
    let found: Vec<Reference> = parsed
        .filter(|name| name.name() == wanted.name() && name.tag().is_some() && name.digest().is_none())
        .collect();
    if found.is_empty() {
        return Err(Failure::new(format!("{repository}: no image here is called so")));
    }
    Ok(found)
}

/// Sends an image of the store, of several platforms one or all, and gives what its name points to there.
pub(crate) fn send_stored(
    data: &Data,
    client: &Client,
    (image, platform): (&str, Option<&Platform>),
    to: &Reference,
    (packing, format): (&Packing, Option<ManifestFormat>),
    quiet: bool,
) -> Result<Descriptor, Failure> {
    let (images, _held) = wanted_for(data, &[image.to_owned()], platform)?;
    let [image] = images.as_slice() else {
        return Err(Failure::new(format!("{image}: one image is expected")));
    };
    let _blobs = crate::refetch::missing_blobs(data, &images)?;
    let room = Temporary::new(&data.store)?;
    let mut outgoing = prepare_index(&data.store, image, packing, &room)?;
    if let Some(format) = format {
        outgoing = outgoing.into_kind(format.kind(), &image.shown, &room)?;
    }
    send_index(data, client, to, &outgoing, quiet)?;
    let descriptor = outgoing.descriptor();
    if let Some(id) = &image.id {
        note_name(data, to, id, &descriptor.digest)?;
    }
    Ok(descriptor.clone())
}

/// Sends what was built under its digest alone: no tag of the repository changes.
pub(crate) fn send_by_digest(
    data: &Data,
    client: &Client,
    image: &Wanted,
    repository: &Reference,
    packing: &Packing,
    quiet: bool,
) -> Result<(), Failure> {
    let _blobs = crate::refetch::missing_blobs(data, std::slice::from_ref(image))?;
    let room = Temporary::new(&data.store)?;
    let outgoing = prepare_index(&data.store, image, packing, &room)?;
    let to = format!("{}@{}", repository.name(), outgoing.descriptor().digest);
    send_index(data, client, &to.parse()?, &outgoing, quiet)
}

fn push(data: &Data, arguments: &Arguments, image: &str, to: &Reference) -> Result<ExitCode, Failure> {
    let client = arguments.registry.client(data.caller.uid);
    refuse_zstd(arguments.format, &arguments.compressing)?;
    let packing = arguments.compressing.packing()?;
    let what = (image, arguments.platform.as_ref());
    let descriptor = send_stored(data, &client, what, to, (&packing, arguments.format), arguments.quiet)?;
    let digest = &descriptor.digest;
    if let Some(path) = &arguments.digestfile {
        crate::output::write_file(path, digest.as_str())?;
    }
    if arguments.quiet {
        println!("{digest}");
    } else {
        println!("{}: digest: {digest} size: {}", to.familiar(), descriptor.size);
    }
    Ok(ExitCode::SUCCESS)
}

/// The name to push under: the given one, or the image's own. `docker://NAME` is how skopeo and podman write one.
fn destination(arguments: &Arguments) -> Result<Reference, Failure> {
    let text = arguments.destination.as_ref().unwrap_or(&arguments.image);
    refuse_other_places(arguments, text)?;
    let text = text.strip_prefix("docker://").unwrap_or(text);
    let reference: Reference = text.parse().map_err(|error| {
        Failure::usage(format!(
            "{text}: {error}; say where to push it: wiac push {} NAME",
            arguments.image
        ))
    })?;
    Ok(reference.with_default_tag())
}

/// What podman's push writes to files would be taken for a name of docker.io's.
fn refuse_other_places(arguments: &Arguments, text: &str) -> Result<(), Failure> {
    if arguments.destination.is_some() {
        place::refuse_other_tools(text, Change::Add)?;
        place::refuse_unknown(text, false)?;
    }
    if arguments.destination.is_some() && place::inside(text).is_some() {
        return Err(Failure::usage(format!(
            "{text}: wiac push sends to registries alone; wiac transfer {} {text} writes it there",
            arguments.image
        )));
    }
    Ok(())
}

/// A name of ours that has this manifest where it was pushed.
fn note_name(data: &Data, to: &Reference, id: &wiac_store::LocalId, digest: &Digest) -> Result<(), Failure> {
    if data.store.find_name(&to.to_string())?.as_ref() == Some(id) {
        data.store.name_manifest(to, id, Some(digest))?;
    }
    Ok(())
}

/// Says before anything is sent that the name has the digest of something else.
pub(super) fn refuse_other_digest(to: &Reference, digest: &Digest) -> Result<(), Failure> {
    match to.digest() {
        Some(other) if other != digest => Err(Failure::usage(format!(
            "{}: what goes there has the digest {digest}; leave the digest out, or name a tag",
            to.familiar()
        ))),
        _ => Ok(()),
    }
}

/// Sends an image, and those for other platforms first: each under its digest, and the index last.
pub(super) fn send_index(
    data: &Data,
    client: &Client,
    to: &Reference,
    outgoing: &OutgoingIndex,
    quiet: bool,
) -> Result<(), Failure> {
    refuse_other_digest(to, &outgoing.descriptor().digest)?;
    let Some((descriptor, index)) = &outgoing.index else {
        return outgoing
            .images
            .iter()
            .try_for_each(|image| send(data, client, to, image, quiet));
    };
    for image in &outgoing.images {
        let name = format!("{}@{}", to.name(), image.descriptor.digest);
        send(data, client, &name.parse()?, image, quiet)?;
    }
    client.put_manifest(to, &descriptor.media_type, index)?;
    Ok(())
}

/// Sends an image: its blobs, as many at once as is useful, and its manifest last.
pub(crate) fn send(
    data: &Data,
    client: &Client,
    to: &Reference,
    outgoing: &Outgoing,
    quiet: bool,
) -> Result<(), Failure> {
    let total = outgoing.layers.iter().map(|layer| layer.descriptor.size).sum();
    let sending = Sending {
        client,
        to,
        elsewhere: blobs_elsewhere(data, to)?,
        transfers: Transfers::new(quiet, total),
        quiet,
    };
    let next = AtomicUsize::new(0);
    let work = || -> Result<(), Failure> {
        while let Some(layer) = outgoing.layers.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = sending.layer(layer);
            if result.is_err() {
                // The others need not begin any more.
                next.store(outgoing.layers.len(), Ordering::Relaxed);
                return result;
            }
        }
        Ok(())
    };
    let results: Vec<Result<(), Failure>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE.min(outgoing.layers.len()))
            .filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        if threads.is_empty() {
            return vec![work()];
        }
        let panicked = |_| Err(Failure::new("a sending thread has panicked"));
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(panicked))
            .collect()
    });
    sending.transfers.finish();
    results.into_iter().collect::<Result<(), Failure>>()?;
    sending.document(media_type::CONFIG, &outgoing.config)?;
    client.put_manifest(to, &outgoing.descriptor.media_type, &outgoing.manifest)?;
    Ok(())
}

/// Blobs that other repositories of the registry should have: images came from there, or went there.
fn blobs_elsewhere(data: &Data, to: &Reference) -> Result<HashMap<Digest, Reference>, Failure> {
    let mut blobs = HashMap::new();
    for name in data.store.names()? {
        let Ok(reference) = name.name.parse::<Reference>() else {
            continue;
        };
        let is_other = reference.registry() == to.registry() && reference.repository() != to.repository();
        if !is_other || name.manifest.is_none() {
            continue;
        }
        for manifest in data
            .store
            .export(&name.image)?
            .into_iter()
            .flat_map(|export| export.manifests)
        {
            let Ok(bytes) = data.store.document(&manifest.digest) else {
                continue;
            };
            let Ok(parsed) = serde_json::from_slice::<Manifest>(&bytes) else {
                continue;
            };
            for layer in parsed.layers {
                blobs.insert(layer.digest, reference.clone());
            }
        }
    }
    Ok(blobs)
}

struct Sending<'s> {
    client: &'s Client,
    to: &'s Reference,
    elsewhere: HashMap<Digest, Reference>,
    transfers: Transfers,
    quiet: bool,
}

impl Sending<'_> {
    fn layer(&self, layer: &OutgoingLayer) -> Result<(), Failure> {
        let descriptor = &layer.descriptor;
        if self.client.has_blob(self.to, descriptor)? {
            self.say(descriptor, "is there");
            return Ok(());
        }
        if let Some(from) = self.elsewhere.get(&descriptor.digest)
            && self.client.mount_blob(self.to, from, &descriptor.digest)?
        {
            self.say(descriptor, &format!("is there, in {}", from.repository()));
            return Ok(());
        }
        let open = |from: u64| {
            let mut file = layer.open().map_err(std::io::Error::other)?;
            file.seek(SeekFrom::Start(from))?;
            Ok(Box::new(file) as Box<dyn Read>)
        };
        let sent = AtomicU64::new(0);
        let progress = |now: u64| {
            let before = sent.swap(now, Ordering::Relaxed);
            self.transfers.count(now.saturating_sub(before));
        };
        self.client.upload(self.to, descriptor, &open, &progress)?;
        self.say(descriptor, "sent");
        Ok(())
    }

    fn say(&self, descriptor: &Descriptor, what: &str) {
        if !self.quiet {
            self.transfers.line(&format!(
                "{}: {}: {what}",
                descriptor.digest.short(),
                crate::format::size(descriptor.size)
            ));
        }
    }

    fn document(&self, media_type: &str, bytes: &[u8]) -> Result<(), Failure> {
        let descriptor = Descriptor::new(media_type, Digest::sha256(bytes), bytes.len() as u64);
        if self.client.has_blob(self.to, &descriptor)? {
            return Ok(());
        }
        let bytes = bytes.to_vec();
        let open = move |from: u64| {
            let rest = bytes
                .get(usize::try_from(from).unwrap_or(usize::MAX)..)
                .unwrap_or_default()
                .to_vec();
            Ok(Box::new(std::io::Cursor::new(rest)) as Box<dyn Read>)
        };
        self.client.upload(self.to, &descriptor, &open, &|_| {})?;
        Ok(())
    }
}
