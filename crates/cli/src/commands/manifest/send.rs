//! `wiac manifest push`: the manifests that a registry lacks, then the index.

use super::lists::existing;
use crate::artifacts::{Repository, Target};
use crate::commands::compressing::Compressing;
use crate::commands::push::{self, ManifestFormat, refuse_zstd};
use crate::data::Data;
use crate::error::Failure;
use crate::exit::ExitCode;
use crate::refetch::missing_blobs;
use crate::registry::RegistryOptions;
use clap::Args;
use std::path::PathBuf;
use wiac_oci::digest::Digest;
use wiac_oci::manifest::{Descriptor, Index, Manifest};
use wiac_oci::manifest_kind::{KindError, ManifestKind};
use wiac_oci::reference::Reference;
use wiac_registry::Client;
use wiac_store::LocalId;
use wiac_store::lists::{EntryPlace, IndexList};
use wiac_store::temporary::Temporary;
use wiac_store::transfer::{Wanted, prepare};

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(super) struct Push {
    /// The index
    #[arg(value_name = "LIST")]
    list: Reference,
    /// Where to, if not under its own name
    #[arg(value_name = "NAME")]
    destination: Option<String>,
    /// Accepted as podman has it: the manifests are sent in any case
    #[arg(long)]
    all: bool,
    /// Delete the index here afterwards
    #[arg(long, short, visible_alias = "rm")]
    purge: bool,
    /// Print the digest alone
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    compressing: Compressing,
    /// The kind of the index and its manifests, by itself oci; manifests keep their own where none is named
    #[arg(long, short, value_name = "KIND")]
    format: Option<ManifestFormat>,
    /// Write the index's digest to this file
    #[arg(long, value_name = "FILE")]
    digestfile: Option<PathBuf>,
    #[command(flatten)]
    registry: RegistryOptions,
}

impl Push {
    pub(super) fn run(&self, data: &Data) -> Result<ExitCode, Failure> {
        refuse_zstd(self.format, &self.compressing)?;
        let list = existing(data, &self.list)?;
        if list.entries.is_empty() {
            return Err(Failure::new(format!(
                "{}: nothing is in it; add images first (wiac manifest add)",
                self.list.familiar()
            )));
        }
        let to = match &self.destination {
            Some(text) => text.strip_prefix("docker://").unwrap_or(text).parse()?,
            None => self.list.clone(),
        };
        let to = to.with_default_tag();
        let sending = Sending {
            data,
            client: self.registry.client(data.caller.uid),
            to: &to,
            push: self,
        };
        let index = sending.manifests(&list)?;
        let bytes = serde_json::to_vec(&index)?;
        let kind = self.format.map_or(ManifestKind::Oci, ManifestFormat::kind);
        let digest = sending.client.put_manifest(&to, kind.index_type(), &bytes)?;
        if let Some(path) = &self.digestfile {
            crate::output::write_file(path, digest.as_str())?;
        }
        if self.purge {
            data.store.remove_list(&self.list)?;
        }
        if self.quiet {
            println!("{digest}");
        } else {
            println!("{}: digest: {digest} size: {}", to.familiar(), bytes.len());
        }
        Ok(ExitCode::SUCCESS)
    }
}

struct Sending<'s> {
    data: &'s Data,
    client: Client,
    to: &'s Reference,
    push: &'s Push,
}

impl Sending<'_> {
    /// The kind that was asked for.
    fn kind(&self) -> Option<ManifestKind> {
        self.push.format.map(ManifestFormat::kind)
    }

    /// Sends what the registry lacks, and gives the index.
    fn manifests(&self, list: &IndexList) -> Result<Index, Failure> {
        let mut index = Index::new(Vec::new());
        index.annotations.clone_from(&list.annotations);
        for entry in &list.entries {
            let mut descriptor = match &entry.place {
                EntryPlace::Image(id) => self.image(id, &entry.name)?,
                EntryPlace::Registry { reference, descriptor } => self.copy(&reference.parse()?, descriptor)?,
            };
            descriptor.platform = Some(entry.platform.clone());
            descriptor.annotations.clone_from(&entry.annotations);
            index.manifests.push(descriptor);
        }
        Ok(match self.kind() {
            Some(kind) => kind.index(&index, index.manifests.clone()),
            None => index,
        })
    }

    /// The name of a manifest beside the index.
    fn beside(&self, digest: &Digest) -> Result<Reference, Failure> {
        Ok(format!("{}@{digest}", self.to.name()).parse()?)
    }

    /// An image of the store.
    fn image(&self, id: &LocalId, name: &str) -> Result<Descriptor, Failure> {
        let wanted = [Wanted {
            id: Some(id.clone()),
            record: self.data.store.image(id)?,
            shown: name.to_owned(),
            ..Wanted::default()
        }];
        let _blobs = missing_blobs(self.data, &wanted)?;
        let room = Temporary::new(&self.data.store)?;
        let packing = self.push.compressing.packing()?;
        let mut outgoing = prepare(&self.data.store, &wanted[0], &packing, &room)?;
        if let Some(kind) = self.kind() {
            outgoing = outgoing.into_kind(kind, name, &room)?;
        }
        let to = self.beside(&outgoing.descriptor.digest)?;
        push::send(self.data, &self.client, &to, &outgoing, self.push.quiet)?;
        Ok(outgoing.descriptor)
    }

    /// A manifest of a registry, from repository to repository: nothing of it is kept here. Gives what it is there.
    fn copy(&self, from: &Reference, known: &Descriptor) -> Result<Descriptor, Failure> {
        let is_there = from.registry() == self.to.registry() && from.repository() == self.to.repository();
        let other_kind = self.kind().filter(|kind| *kind != ManifestKind::of(&known.media_type));
        if is_there && other_kind.is_none() {
            return Ok(known.clone());
        }
        // Who we are to the place the index goes to is nothing that another registry needs to know.
        let is_own = from.registry() == self.to.registry();
        let source = if is_own {
            self.client.clone()
        } else {
            RegistryOptions::default().client(self.data.caller.uid)
        };
        let found = source.manifest(from)?;
        let unusable = |why: String| Failure::new(format!("{}: {why}", from.familiar()));
        let mut manifest: Manifest = serde_json::from_slice(&found.bytes)
            .map_err(|error| unusable(format!("its manifest can't be read: {error}")))?;
        let (mut descriptor, mut bytes) = (found.descriptor, found.bytes);
        if let Some(kind) = other_kind {
            manifest = kind.manifest(&manifest).map_err(|error| unusable(advice(&error)))?;
            bytes = serde_json::to_vec(&manifest)?;
            descriptor = Descriptor::new(kind.manifest_type(), Digest::sha256(&bytes), bytes.len() as u64);
        }
        let blobs: Vec<&Descriptor> = manifest.layers.iter().chain([&manifest.config]).collect();
        let target = Target {
            client: &self.client,
            to: &self.beside(&descriptor.digest)?,
            quiet: self.push.quiet,
        };
        let repository = Repository {
            client: &source,
            reference: from,
        };
        target.send(&repository, Some(from), (&descriptor, &bytes), &blobs)?;
        // Where it stays what it was, what its index said of it stays too.
        Ok(if other_kind.is_some() {
            descriptor
        } else {
            known.clone()
        })
    }
}

/// Why a manifest of a registry can't be turned into another kind, and what can be done.
fn advice(error: &KindError) -> String {
    match error {
        KindError::Zstd => format!("{error}; pull it and add the image here, whose layers are packed anew then"),
        KindError::Unknown(_) => error.to_string(),
    }
}
