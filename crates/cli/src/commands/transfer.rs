//! `wiac transfer SRC DST`: an image from any place to any other, by way of the store; an artifact past it.

use super::compressing::Compressing;
use super::push::{ManifestFormat, refuse_zstd};
use super::save::wanted_for;
use crate::artifacts::{Repository, Target};
use crate::data::Data;
use crate::error::Failure;
use crate::exit::ExitCode;
use crate::located::{Located, Origin, copy_into_store};
use crate::place::{self, Change, Inside, Place};
use crate::refetch::missing_blobs;
use crate::registry::{RegistryOptions, fetch_found};
use crate::{Global, data};
use clap::Args;
use wiac_oci::digest::Digest;
use wiac_oci::manifest::{Descriptor, Platform};
use wiac_oci::reference::Reference;
use wiac_registry::{Client, Fetched};
use wiac_store::HeldImage;
use wiac_store::blobs::HeldBlob;
use wiac_store::temporary::Temporary;
use wiac_store::transfer::{Archive, Artifact, BlobSource, Wanted, load, prepare_index, save_to};

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// NAME (of the store), docker://NAME (a registry), oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME],
    /// dir:DIR, containers-storage:NAME, docker-storage:NAME
    #[arg(value_name = "SRC")]
    source: String,
    /// The same but for dir: and the stores of podman and docker, which are never written to
    #[arg(value_name = "DST")]
    destination: String,
    /// Say nothing
    #[arg(short, long)]
    quiet: bool,
    /// All of an image for several platforms, byte for byte; by itself one platform's, but of the store's images all
    #[arg(short, long, conflicts_with = "platform")]
    all: bool,
    /// Of an image for several platforms, take this one's
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// User and password for the registry that it comes from
    #[arg(long, value_name = "USER[:PASSWORD]")]
    src_creds: Option<String>,
    /// User and password for the registry that it goes to
    #[arg(long, value_name = "USER[:PASSWORD]")]
    dest_creds: Option<String>,
    #[command(flatten)]
    compressing: Compressing,
    /// For a registry: the manifest's kind, by itself oci; an image that came in keeps its own where none is named
    #[arg(long, short, value_name = "KIND", conflicts_with = "all")]
    format: Option<ManifestFormat>,
    #[command(flatten)]
    registry: RegistryOptions,
}

impl Arguments {
    /// A client for one of the two sides, with what was said of that side.
    fn client(&self, data: &Data, creds: Option<&String>) -> Client {
        let mut options = self.registry.clone();
        options.creds = creds.cloned().or(options.creds);
        options.client(data.caller.uid)
    }
}

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let to = place::parse(&arguments.destination);
    place::refuse_other_tools(&arguments.destination, Change::Add)?;
    place::refuse_unknown(&arguments.source, true)?;
    place::refuse_unknown(&arguments.destination, false)?;
    if arguments.format.is_some() && !matches!(to, Place::Registry(_)) {
        return Err(Failure::usage(format!(
            "--format: it is for registries (docker://NAME); what {} has follows from what it is",
            arguments.destination
        )));
    }
    if arguments.registry.creds.is_some()
        && let (Place::Registry(from), Place::Registry(to)) = (place::parse(&arguments.source), &to)
        && from.parse::<Reference>()?.registry() != to.parse::<Reference>()?.registry()
    {
        return Err(Failure::usage(
            "--creds: which of the two registries is meant? say --src-creds or --dest-creds",
        ));
    }
    refuse_zstd(arguments.format, &arguments.compressing)?;
    let data = data::open(global)?;
    let from = open(&data, arguments)?;
    from.refuse_other_digest(&to)?;
    if let Some(artifact) = from.artifact(arguments.all)? {
        if arguments.format.is_some() {
            return Err(Failure::usage(format!(
                "--format: {} is an artifact, which goes byte for byte; leave it out",
                arguments.source
            )));
        }
        from.pass(&data, arguments, artifact, &to)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut source = read(&data, arguments, from)?;
    write(&data, arguments, &mut source, &to)?;
    drop(source.held);
    if let Some(image) = source.fetched.filter(|_| source.is_new) {
        forget(&data, image)?;
    }
    Ok(ExitCode::SUCCESS)
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
    File(Archive, Inside<'t>),
    Name(&'t str),
}

fn open<'t>(data: &Data, arguments: &'t Arguments) -> Result<Opened<'t>, Failure> {
    Ok(match place::parse(&arguments.source) {
        Place::Name(name) => Opened::Name(name),
        Place::Registry(name) => {
            let reference = name.parse::<Reference>()?.with_default_tag();
            let client = arguments.client(data, arguments.src_creds.as_ref());
            let found = client.manifest(&reference)?;
            Opened::Registry(client, reference, Box::new(found))
        }
        Place::File(inside) => Opened::File(inside.open(data)?, inside),
    })
}

impl Opened<'_> {
    /// Says before anything is copied that a name has the digest of something else: who asks for that digest must get what
    /// has it. What goes to a registry may be packed on the way: its digest is compared before it is sent.
    fn refuse_other_digest(&self, to: &Place<'_>) -> Result<(), Failure> {
        let Place::Name(name) = to else { return Ok(()) };
        let reference: Reference = name.parse()?;
        match (reference.digest(), self) {
            (Some(digest), Self::Registry(_, from, found)) if found.descriptor.digest != *digest => {
                Err(Failure::usage(format!(
                    "{name}: {} has the digest {}",
                    from.familiar(),
                    found.descriptor.digest
                )))
            }
            (None, _) | (Some(_), Self::Registry(..)) => Ok(()),
            (Some(_), _) => Err(Failure::usage(format!(
                "{name}: a digest belongs to a manifest and can't be given: name a tag"
            ))),
        }
    }

    /// What it is, if not an image; whatever it is, where all of it is to go.
    fn artifact(&self, is_whole: bool) -> Result<Option<Artifact>, Failure> {
        match self {
            Self::Registry(client, reference, found) => {
                let artifact = if is_whole {
                    let get = |part: &Descriptor| Repository { client, reference }.manifest(&part.digest);
                    Some(Artifact::whole(&found.descriptor, &found.bytes, &get)?)
                } else {
                    Artifact::of(&found.descriptor, &found.bytes)
                };
                let names = vec![reference.clone()];
                Ok(artifact.map(|artifact| Artifact { names, ..artifact }))
            }
            Self::File(archive, inside) => match Artifact::in_archive(archive, inside.called, is_whole)? {
                None if is_whole => Err(Failure::new(format!(
                    "{0}: --all takes an image layout with one image in it, or by its name: oci:{0}:NAME",
                    inside.path.display()
                ))),
                found => Ok(found),
            },
            Self::Name(_) => Ok(None),
        }
    }

    /// Takes an artifact to its destination, past the store.
    fn pass(&self, data: &Data, arguments: &Arguments, mut artifact: Artifact, to: &Place<'_>) -> Result<(), Failure> {
        let repository;
        let (source, from): (&dyn BlobSource, _) = match self {
            Self::Registry(client, reference, _) => {
                repository = Repository { client, reference };
                (&repository, Some(reference))
            }
            Self::File(archive, ..) => (archive, None),
            Self::Name(name) => return Err(Failure::new(format!("{name}: no artifact"))),
        };
        match to {
            Place::Registry(name) => {
                let to = name.parse::<Reference>()?.with_default_tag();
                let client = arguments.client(data, arguments.dest_creds.as_ref());
                let target = Target {
                    client: &client,
                    to: &to,
                    quiet: arguments.quiet,
                };
                super::push::refuse_other_digest(&to, &artifact.descriptor.digest)?;
                let blobs: Vec<_> = artifact.blobs.iter().collect();
                target.send_blobs(source, from, &blobs)?;
                for (part, bytes) in &artifact.parts {
                    let beside = format!("{}@{}", to.name(), part.digest).parse()?;
                    client.put_manifest(&beside, &part.media_type, bytes)?;
                }
                client.put_manifest(&to, &artifact.descriptor.media_type, &artifact.manifest)?;
                Ok(())
            }
            Place::File(inside) => {
                if let Some(name) = inside.called {
                    artifact.call(name);
                }
                Ok(artifact.save(source, inside.format, inside.path)?)
            }
            Place::Name(_) if arguments.all => Err(Failure::usage(
                "--all: the store takes one platform of what lies elsewhere; leave it out, or name a registry (docker://) or a \
                 layout (oci:)",
            )),
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
            let (mut images, held) = wanted_for(data, &[name.to_owned()], arguments.platform.as_ref())?;
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
        Opened::File(archive, inside) => {
            let image = inside.only_image(&archive, &platform)?;
            let loaded = load(&data.store, &image, &archive, data.owner_policy())?;
            (loaded.image, loaded.manifest, image.names)
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

fn write(data: &Data, arguments: &Arguments, source: &mut Source, to: &Place<'_>) -> Result<(), Failure> {
    let packing = arguments.compressing.packing()?;
    match to {
        Place::Registry(name) => {
            let reference: Reference = name.parse()?;
            let reference = reference.with_default_tag();
            let client = arguments.client(data, arguments.dest_creds.as_ref());
            let room = Temporary::new(&data.store)?;
            let mut outgoing = prepare_index(&data.store, &source.wanted, &packing, &room)?;
            if let Some(format) = arguments.format {
                outgoing = outgoing.into_kind(format.kind(), &arguments.source, &room)?;
            }
            super::push::send_index(data, &client, &reference, &outgoing, arguments.quiet)
        }
        Place::File(inside) => {
            if let Some(name) = inside.called {
                source.wanted.call(name, inside.format)?;
            }
            let wanted = std::slice::from_ref(&source.wanted);
            save_to(&data.store, wanted, inside.format, &packing, inside.path)?;
            Ok(())
        }
        Place::Name(name) => {
            let mut reference: Reference = name.parse()?;
            if let Some(digest) = reference.digest() {
                // As with wiac pull: nobody has looked what the tag beside it means.
                reference = format!("{}@{digest}", reference.name()).parse()?;
            }
            let id = match (&source.wanted.id, source.held.first()) {
                (Some(id), _) => id.clone(),
                (None, Some(located)) => copied(data, &arguments.source, located)?.id,
                (None, None) => return Err(Failure::new(format!("{name}: nothing to name"))),
            };
            if !source.wanted.others.is_empty()
                && let Some(index) = data.store.find_index(&arguments.source)?
            {
                return Ok(data.store.name_index(&reference, &id, &index.index)?);
            }
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
