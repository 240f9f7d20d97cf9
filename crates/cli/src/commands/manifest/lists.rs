//! Indexes put together by hand, as podman and docker have them: nothing is sent before `wiac manifest push`.

use crate::commands::tags::meaning;
use crate::data::Data;
use crate::error::Failure;
use crate::registry::RegistryOptions;
use crate::{Global, data};
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;
use wiac_oci::image::ImageConfig;
use wiac_oci::manifest::{Descriptor, Index, Manifest, Platform, media_type};
use wiac_oci::platform::choose;
use wiac_oci::reference::Reference;
use wiac_registry::Client;
use wiac_store::lists::{EntryPlace, IndexEntry, IndexList};

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// What to call it
    #[arg(value_name = "LIST")]
    list: Reference,
    /// Images here or in registries
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
    /// Of an index take every manifest, not only this machine's
    #[arg(long)]
    all: bool,
    /// Add to one that is there
    #[arg(short, long)]
    amend: bool,
    /// An annotation of the index
    #[arg(long, value_name = "NAME=VALUE")]
    annotation: Vec<String>,
    #[command(flatten)]
    registry: RegistryOptions,
}

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(super) struct Add {
    /// The index
    #[arg(value_name = "LIST")]
    list: Reference,
    /// Images here or in registries
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Of an index take every manifest, not only this machine's
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    meant: Meant,
    #[command(flatten)]
    registry: RegistryOptions,
}

// What a manifest is said to be for; clap makes the help of the comments below.
#[derive(Debug, Default, Args)]
struct Meant {
    /// The operating system
    #[arg(long, value_name = "OS")]
    os: Option<String>,
    /// The architecture, by Go's name
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,
    /// The variant of the architecture
    #[arg(long, value_name = "VARIANT")]
    variant: Option<String>,
    /// An annotation of the manifest in the index
    #[arg(long, value_name = "NAME=VALUE")]
    annotation: Vec<String>,
}

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(super) struct Annotate {
    /// The index
    #[arg(value_name = "LIST")]
    list: Reference,
    /// A manifest of it: as it was named, or its digest
    #[arg(value_name = "IMAGE")]
    image: String,
    #[command(flatten)]
    meant: Meant,
}

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(super) struct Remove {
    /// The index
    #[arg(value_name = "LIST")]
    list: Reference,
    /// Manifests of it: as they were named, or their digests
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(super) struct Rm {
    /// Indexes
    #[arg(required = true, value_name = "LIST")]
    lists: Vec<Reference>,
}

impl Create {
    pub(super) fn run(&self, data: &Data) -> Result<ExitCode, Failure> {
        let name = self.list.clone().with_default_tag();
        let known = data.store.list(&name)?;
        if known.is_some() && !self.amend {
            return Err(Failure::new(format!(
                "{}: there is such an index already; add to it by --amend, or delete it first (wiac manifest rm)",
                self.list.familiar()
            )));
        }
        let mut list = known.unwrap_or(IndexList {
            name: name.to_string(),
            annotations: std::collections::BTreeMap::new(),
            entries: Vec::new(),
        });
        list.annotations.extend(pairs(&self.annotation)?);
        add_all(
            data,
            &self.registry,
            &mut list,
            &self.images,
            (self.all, &Meant::default()),
        )?;
        data.store.write_list(&name, &list)?;
        println!("{}", name.familiar());
        Ok(ExitCode::SUCCESS)
    }
}

impl Add {
    pub(super) fn run(&self, data: &Data) -> Result<ExitCode, Failure> {
        let mut list = existing(data, &self.list)?;
        add_all(data, &self.registry, &mut list, &self.images, (self.all, &self.meant))?;
        data.store.write_list(&self.list, &list)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Annotate {
    pub(super) fn run(&self, data: &Data) -> Result<ExitCode, Failure> {
        let mut list = existing(data, &self.list)?;
        let number = position(&list, &self.image)?;
        self.meant.apply(&mut list.entries[number])?;
        data.store.write_list(&self.list, &list)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Remove {
    pub(super) fn run(&self, data: &Data) -> Result<ExitCode, Failure> {
        let mut list = existing(data, &self.list)?;
        for image in &self.images {
            let number = position(&list, image)?;
            list.entries.remove(number);
        }
        data.store.write_list(&self.list, &list)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Rm {
    pub(super) fn run(&self, data: &Data) -> Result<ExitCode, Failure> {
        for name in &self.lists {
            if !data.store.remove_list(name)? {
                return Err(missing(name));
            }
            println!("{}", name.clone().with_default_tag().familiar());
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Meant {
    fn apply(&self, entry: &mut IndexEntry) -> Result<(), Failure> {
        if let Some(os) = &self.os {
            entry.platform.os.clone_from(os);
        }
        if let Some(arch) = &self.arch {
            entry.platform.architecture.clone_from(arch);
        }
        if self.variant.is_some() {
            entry.platform.variant.clone_from(&self.variant);
        }
        entry.annotations.extend(pairs(&self.annotation)?);
        Ok(())
    }
}

/// `NAME=VALUE` each.
fn pairs(written: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Failure::usage(format!("--annotation {text}: write NAME=VALUE"))),
    };
    written.iter().map(pair).collect()
}

/// An index that has to be there.
pub(super) fn existing(data: &Data, name: &Reference) -> Result<IndexList, Failure> {
    data.store.list(name)?.ok_or_else(|| missing(name))
}

fn missing(name: &Reference) -> Failure {
    Failure::new(format!(
        "{}: there is no such index here; wiac manifest create begins one",
        name.familiar()
    ))
}

/// Which entry is meant: by its name as it was written, or by the beginning of its digest or id.
fn position(list: &IndexList, text: &str) -> Result<usize, Failure> {
    let prefix = text.strip_prefix("sha256:").unwrap_or(text);
    let is_it = |entry: &IndexEntry| {
        let id = match &entry.place {
            EntryPlace::Registry { descriptor, .. } => descriptor.digest.hex(),
            EntryPlace::Image(id) => id.as_str(),
        };
        entry.name == text || (prefix.len() >= 6 && id.starts_with(prefix))
    };
    list.entries.iter().position(is_it).ok_or_else(|| {
        let names = list.entries.iter().map(|entry| entry.name.as_str());
        let nearest = wiac_suggest::nearest(text, names).map(|near| format!(" (did you mean {near}?)"));
        Failure::new(format!(
            "{text}: it isn't in {}{}",
            list.name,
            nearest.unwrap_or_default()
        ))
    })
}

fn add_all(
    data: &Data,
    options: &RegistryOptions,
    list: &mut IndexList,
    images: &[String],
    (all, meant): (bool, &Meant),
) -> Result<(), Failure> {
    let client = options.client(data.caller.uid);
    for text in images {
        for mut entry in entries(data, &client, text, all)? {
            meant.apply(&mut entry)?;
            // The same once more takes the place of what it was.
            list.entries.retain(|known| known.place != entry.place);
            list.entries.push(entry);
        }
    }
    Ok(())
}

/// What a name means: an image here, else one in a registry; `docker://` means the latter alone.
fn entries(data: &Data, client: &Client, text: &str, all: bool) -> Result<Vec<IndexEntry>, Failure> {
    let remote = text.strip_prefix("docker://");
    if remote.is_none()
        && let Ok((id, record)) = data.store.find_image(text)
    {
        return Ok(vec![IndexEntry {
            name: text.to_owned(),
            place: EntryPlace::Image(id),
            platform: platform_of(&record.config),
            annotations: std::collections::BTreeMap::new(),
        }]);
    }
    let name = remote.unwrap_or(text);
    let reference = meaning(&client.candidates(name)?, name)?.with_default_tag();
    let found = client.manifest(&reference)?;
    if !media_type::is_index(&found.descriptor.media_type) {
        return Ok(vec![in_registry(client, text, &reference, &found.descriptor)?]);
    }
    let wrong = |reason: String| Failure::new(format!("{}: {reason}", reference.familiar()));
    let index: Index =
        serde_json::from_slice(&found.bytes).map_err(|error| wrong(format!("its index can't be read: {error}")))?;
    let chosen: Vec<&Descriptor> = if all {
        index.manifests.iter().collect()
    } else {
        vec![choose(&index.manifests, &Platform::host()).map_err(wrong)?]
    };
    let mut entries = Vec::new();
    for descriptor in chosen {
        let mut entry = in_registry(client, text, &reference, descriptor)?;
        entry.annotations.clone_from(&descriptor.annotations);
        entries.push(entry);
    }
    Ok(entries)
}

fn in_registry(
    client: &Client,
    text: &str,
    reference: &Reference,
    descriptor: &Descriptor,
) -> Result<IndexEntry, Failure> {
    let by_digest: Reference = format!("{}@{}", reference.name(), descriptor.digest).parse()?;
    let platform = if let Some(platform) = &descriptor.platform {
        platform.clone()
    } else {
        let found = client.manifest(&by_digest)?;
        let manifest: Manifest = serde_json::from_slice(&found.bytes)?;
        let config = crate::registry::document(client, &by_digest, &manifest.config)?;
        platform_of(&ImageConfig::parse(&config)?)
    };
    let plain = Descriptor::new(
        descriptor.media_type.clone(),
        descriptor.digest.clone(),
        descriptor.size,
    );
    Ok(IndexEntry {
        name: text.to_owned(),
        place: EntryPlace::Registry {
            reference: by_digest.to_string(),
            descriptor: Box::new(plain),
        },
        platform,
        annotations: std::collections::BTreeMap::new(),
    })
}

fn platform_of(config: &ImageConfig) -> Platform {
    Platform {
        architecture: config.architecture.clone(),
        os: if config.os.is_empty() {
            "linux".to_owned()
        } else {
            config.os.clone()
        },
        variant: config.variant.clone(),
        os_version: config.os_version.clone(),
        ..Platform::default()
    }
}

/// An index that was put together here, for people and programs; `None` where there is none of that name.
pub(super) fn shown(global: &Global, name: &str) -> Result<Option<Value>, Failure> {
    let Ok(reference) = name.parse::<Reference>() else {
        return Ok(None);
    };
    let data = data::open(global)?;
    let Some(list) = data.store.list(&reference)? else {
        return Ok(None);
    };
    let entry = |entry: &IndexEntry| {
        let mut value = match &entry.place {
            EntryPlace::Registry { descriptor, .. } => json!(descriptor),
            EntryPlace::Image(id) => json!({ "image": id }),
        };
        value["name"] = json!(entry.name);
        value["platform"] = json!(entry.platform);
        if !entry.annotations.is_empty() {
            value["annotations"] = json!(entry.annotations);
        }
        value
    };
    let manifests: Vec<Value> = list.entries.iter().map(entry).collect();
    Ok(Some(json!({
        "schemaVersion": 2,
        "mediaType": media_type::INDEX,
        "manifests": manifests,
        "annotations": list.annotations,
    })))
}
