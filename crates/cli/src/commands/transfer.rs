//! `wiac transfer SRC DST`: an image from any place to any other, by way of the store; an artifact past it.

use super::compressing::Compressing;
use super::save::wanted;
use crate::artifacts::{Repository, Target};
use crate::data::Data;
use crate::error::Failure;
use crate::located::{Located, Origin, copy_into_store};
use crate::refetch::missing_blobs;
use crate::registry::{RegistryOptions, fetch_found};
use crate::{Global, data};
use clap::Args;
use std::path::Path;
use std::process::ExitCode;
use wiac_oci::digest::Digest;
use wiac_oci::manifest::Platform;
use wiac_oci::reference::Reference;
use wiac_registry::{Client, Fetched};
use wiac_store::HeldImage;
use wiac_store::blobs::HeldBlob;
use wiac_store::temporary::Temporary;
use wiac_store::transfer::{Archive, Artifact, BlobSource, Format, Wanted, load, prepare_index, save_to};

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// NAME (of the store), docker://NAME (a registry), oci:DIR, oci-archive:FILE, docker-archive:FILE,
    /// containers-storage:NAME, docker-storage:NAME
    #[arg(value_name = "SRC")]
    source: String,
    /// The same but for the stores of podman and docker, which are never written to
    #[arg(value_name = "DST")]
    destination: String,
    /// Say nothing
    #[arg(short, long)]
    quiet: bool,
    /// Of an image for several platforms, take this one's
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    #[command(flatten)]
    compressing: Compressing,
    #[command(flatten)]
    registry: RegistryOptions,
}

/// A place where images are.
#[derive(Debug, PartialEq, Eq)]
enum Place<'t> {
    /// A registry.
    Registry(&'t str),
    /// An image layout or an archive.
    File(Format, &'t str),
    /// A name of the store, or of another tool's.
    Name(&'t str),
}

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let to = place(&arguments.destination);
    if matches!(to, Place::Name(name) if wiac_foreign::parse(name).is_some()) {
        return Err(Failure::usage(format!(
            "{}: wiac never writes to another tool's store; write an archive and let that tool load it",
            arguments.destination
        )));
    }
    let data = data::open(global)?;
    let from = open(&data, arguments)?;
    if let Some(artifact) = from.artifact()? {
        from.pass(&data, arguments, &artifact, &to)?;
        return Ok(ExitCode::SUCCESS);
    }
    let source = read(&data, arguments, from)?;
    write(&data, arguments, &source, &to)?;
    drop(source.held);
    if let Some(image) = source.fetched.filter(|_| source.is_new) {
        forget(&data, image)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn place(text: &str) -> Place<'_> {
    for (prefix, format) in [
        ("oci:", Format::OciDirectory),
        ("oci-archive:", Format::OciArchive),
        ("docker-archive:", Format::DockerArchive),
    ] {
        if let Some(path) = text.strip_prefix(prefix) {
            return Place::File(format, path);
        }
    }
    match text.strip_prefix("docker://") {
        Some(name) => Place::Registry(name),
        None => Place::Name(text),
    }
}

/// What is transferred.
struct Source {
    wanted: Wanted,
    /// Its manifest's digest where it came from.
    manifest: Option<Digest>,
    /// Held while it is needed.
    fetched: Option<HeldImage>,
    /// It came into the store for this alone.
    is_new: bool,
    held: Vec<Located>,
    /// Blobs that were fetched again.
    _blobs: Vec<HeldBlob>,
}

/// Where it comes from, looked at so far that it is known what it is.
enum Opened<'t> {
    Registry(Client, Reference, Box<Fetched>),
    File(Archive, &'t str),
    Name(&'t str),
}

fn open<'t>(data: &Data, arguments: &'t Arguments) -> Result<Opened<'t>, Failure> {
    Ok(match place(&arguments.source) {
        Place::Name(name) => Opened::Name(name),
        Place::Registry(name) => {
            let reference = name.parse::<Reference>()?.with_default_tag();
            let client = arguments.registry.client(data.caller.uid);
            let found = client.manifest(&reference)?;
            Opened::Registry(client, reference, Box::new(found))
        }
        Place::File(_, path) => Opened::File(Archive::open_path(&data.store, Path::new(path))?, path),
    })
}

impl Opened<'_> {
    /// What it is, if not an image.
    fn artifact(&self) -> Result<Option<Artifact>, Failure> {
        match self {
            Self::Registry(_, reference, found) => {
                let artifact = Artifact::of(&found.descriptor, &found.bytes);
                let names = vec![reference.clone()];
                Ok(artifact.map(|artifact| Artifact { names, ..artifact }))
            }
            Self::File(archive, _) => Ok(Artifact::in_archive(archive)?),
            Self::Name(_) => Ok(None),
        }
    }

    /// Takes an artifact to its destination, past the store.
    fn pass(&self, data: &Data, arguments: &Arguments, artifact: &Artifact, to: &Place<'_>) -> Result<(), Failure> {
        let repository;
        let (source, from): (&dyn BlobSource, _) = match self {
            Self::Registry(client, reference, _) => {
                repository = Repository { client, reference };
                (&repository, Some(reference))
            }
            Self::File(archive, _) => (archive, None),
            Self::Name(name) => return Err(Failure::new(format!("{name}: no artifact"))),
        };
        match to {
            Place::Registry(name) => {
                let target = Target {
                    client: &arguments.registry.client(data.caller.uid),
                    to: &name.parse::<Reference>()?.with_default_tag(),
                    quiet: arguments.quiet,
                };
                let blobs: Vec<_> = artifact.blobs.iter().collect();
                target.send(source, from, (&artifact.descriptor, &artifact.manifest), &blobs)
            }
            Place::File(format, path) => Ok(artifact.save(source, *format, Path::new(path))?),
            Place::Name(_) => Err(Failure::new(format!(
                "{}: it is an artifact, not an image, and the store takes images alone; name a registry (docker://) or a \
                 layout (oci:)",
                arguments.source
            ))),
        }
    }
}

fn read(data: &Data, arguments: &Arguments, from: Opened<'_>) -> Result<Source, Failure> {
    let platform = arguments.platform.clone().unwrap_or_else(Platform::host);
    let before = data.store.images()?;
    let (image, manifest, names) = match from {
        Opened::Name(name) => {
            let (mut images, held) = wanted(data, &[name.to_owned()])?;
            let blobs = missing_blobs(data, &images)?;
            let wanted = images.pop().ok_or_else(|| Failure::new(format!("{name}: no image")))?;
            return Ok(Source {
                wanted,
                manifest: None,
                is_new: false,
                fetched: None,
                held,
                _blobs: blobs,
            });
        }
        Opened::Registry(client, reference, found) => {
            let pulled = fetch_found(data, &client, (&reference, *found), &platform, arguments.quiet)?;
            (pulled.image, Some(pulled.digest), vec![reference])
        }
        Opened::File(archive, path) => {
            let images = archive.images(&platform)?;
            let [image] = images.as_slice() else {
                return Err(Failure::new(format!(
                    "{path}: there are {} images in it; wiac load takes them all",
                    images.len()
                )));
            };
            let loaded = load(&data.store, image, &archive, data.owner_policy())?;
            (loaded.image, loaded.manifest, image.names.clone())
        }
    };
    let record = data.store.image(&image.id)?;
    Ok(Source {
        wanted: Wanted {
            id: Some(image.id.clone()),
            record,
            config_bytes: None,
            shown: arguments.source.clone(),
            names,
            ..Wanted::default()
        },
        manifest,
        is_new: !before.contains(&image.id),
        fetched: Some(image),
        held: Vec::new(),
        _blobs: Vec::new(),
    })
}

fn write(data: &Data, arguments: &Arguments, source: &Source, to: &Place<'_>) -> Result<(), Failure> {
    let packing = arguments.compressing.packing()?;
    match to {
        Place::Registry(name) => {
            let reference: Reference = name.parse()?;
            let reference = reference.with_default_tag();
            let client = arguments.registry.client(data.caller.uid);
            let room = Temporary::new(&data.store)?;
            let outgoing = prepare_index(&data.store, &source.wanted, &packing, &room)?;
            super::push::send_index(data, &client, &reference, &outgoing, arguments.quiet)
        }
        Place::File(format, path) => {
            let wanted = std::slice::from_ref(&source.wanted);
            save_to(&data.store, wanted, *format, &packing, Path::new(path))?;
            Ok(())
        }
        Place::Name(name) => {
            let reference: Reference = name.parse()?;
            let id = match (&source.wanted.id, source.held.first()) {
                (Some(id), _) => id.clone(),
                (None, Some(located)) => copied(data, &arguments.source, located)?.id,
                (None, None) => return Err(Failure::new(format!("{name}: nothing to name"))),
            };
            Ok(data.store.name_manifest(&reference, &id, source.manifest.as_ref())?)
        }
    }
}

fn copied(data: &Data, text: &str, located: &Located) -> Result<HeldImage, Failure> {
    match &located.origin {
        Origin::Elsewhere(image) => copy_into_store(data, text, located, image),
        Origin::Stored(_) => Err(Failure::new(format!("{text}: it is in the store"))),
    }
}

/// Takes the image out of the store again, unless it has a name. Its layers go with the next prune.
fn forget(data: &Data, image: HeldImage) -> Result<(), Failure> {
    let id = image.id.clone();
    drop(image);
    if data.store.names()?.iter().all(|name| name.image != id) {
        data.store.remove_image(&id)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_by_what_stands_before() {
        assert_eq!(place("docker://a/b"), Place::Registry("a/b"));
        assert_eq!(place("oci:dir"), Place::File(Format::OciDirectory, "dir"));
        assert_eq!(
            place("docker-archive:/x.tar"),
            Place::File(Format::DockerArchive, "/x.tar")
        );
        assert_eq!(place("localhost:5000/x"), Place::Name("localhost:5000/x"));
        assert_eq!(place("containers-storage:x"), Place::Name("containers-storage:x"));
    }
}
