//! Indexes put together by hand, as podman and docker have them: nothing is sent before `wiac manifest push`.

use super::entries::{entries, known};
use crate::data::Data;
use crate::error::Failure;
use crate::exit::ExitCode;
use crate::registry::RegistryOptions;
use clap::Args;
use wiac_oci::reference::Reference;
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
    /// The version of the operating system
    #[arg(long, value_name = "VERSION")]
    os_version: Option<String>,
    /// Features of the operating system that it needs
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    os_features: Vec<String>,
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

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(super) struct Exists {
    /// The index
    #[arg(value_name = "LIST")]
    list: Reference,
}

impl Exists {
    /// Says it by the exit code.
    pub(super) fn run(&self, data: &Data) -> Result<ExitCode, Failure> {
        Ok(ExitCode::from(u8::from(known(data, &self.list)?.is_none())))
    }
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
        if self.os_version.is_some() {
            entry.platform.os_version.clone_from(&self.os_version);
        }
        if !self.os_features.is_empty() {
            entry.platform.os_features.clone_from(&self.os_features);
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
    known(data, name)?.ok_or_else(|| missing(name))
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
