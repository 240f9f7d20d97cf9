//! registries.conf: mirrors, other locations, blocked and insecure registries, short names.
//!
//! containers-registries.conf(5) and containers-registries.conf.d(5), version 2; of version 1 the lists it had.

use super::{Purpose, read_toml};
use crate::error::{Error, IoExt, Result};
use crate::settings::RegistriesFiles;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wiac_oci::reference::Reference;

/// The merged configuration.
#[derive(Debug, Default)]
pub(super) struct Registries {
    search: Vec<String>,
    mode: Mode,
    aliases: BTreeMap<String, String>,
    /// By prefix: the file that says so, and what it says.
    entries: BTreeMap<String, (PathBuf, Entry)>,
}

/// Where a reference is to be asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) authority: String,
    pub(super) repository: String,
    pub(super) insecure: bool,
    pub(super) is_mirror: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// A name that may mean several is asked about: here refused.
    Enforcing,
    #[default]
    Permissive,
    Disabled,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    unqualified_search_registries: Option<Vec<String>>,
    short_name_mode: Option<Mode>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    #[serde(default)]
    registry: Vec<Entry>,
    #[serde(default)]
    registries: First,
}

/// Version 1: lists under `[registries.…]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct First {
    search: List,
    insecure: List,
    block: List,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct List {
    registries: Vec<String>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Entry {
    prefix: String,
    location: String,
    insecure: bool,
    blocked: bool,
    mirror_by_digest_only: bool,
    mirror: Vec<Mirror>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Mirror {
    location: String,
    insecure: bool,
    #[serde(rename = "pull-from-mirror")]
    serves: From,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum From {
    #[default]
    #[serde(alias = "")]
    All,
    DigestOnly,
    TagOnly,
}

impl Registries {
    pub(super) fn read(files: &RegistriesFiles) -> Result<Self> {
        let mut all = Self::default();
        for path in &files.main {
            if let Some((file, _)) = read_toml::<File>(path)? {
                all.take(path, file)?;
                break;
            }
        }
        for directory in &files.drop_ins {
            for path in drop_ins(directory)? {
                if let Some((file, _)) = read_toml::<File>(&path)? {
                    all.take(&path, file)?;
                }
            }
        }
        // A cache: what can't be read or understood there doesn't count.
        if let Some(path) = &files.remembered
            && let Ok(Some((file, _))) = read_toml::<File>(path)
        {
            all.aliases.extend(file.aliases);
        }
        Ok(all)
    }

    fn take(&mut self, path: &Path, file: File) -> Result<()> {
        let First {
            search,
            insecure,
            block,
        } = file.registries;
        let listed = |location: String, insecure, blocked| Entry {
            location,
            insecure,
            blocked,
            ..Entry::default()
        };
        let first = insecure
            .registries
            .into_iter()
            .map(|location| listed(location, true, false));
        let first = first.chain(
            block
                .registries
                .into_iter()
                .map(|location| listed(location, false, true)),
        );
        for mut entry in file.registry.into_iter().chain(first) {
            if entry.prefix.is_empty() {
                entry.prefix.clone_from(&entry.location);
            }
            if entry.prefix.is_empty() {
                return Err(Error::configuration(
                    path,
                    "a [[registry]] has neither prefix nor location",
                ));
            }
            if entry.mirror.iter().any(|mirror| mirror.location.is_empty()) {
                let reason = format!("a mirror of {} has no location", entry.prefix);
                return Err(Error::configuration(path, reason));
            }
            let prefix = entry.prefix.trim_end_matches('/').to_owned();
            self.entries.insert(prefix, (path.to_owned(), entry));
        }
        let search = file
            .unqualified_search_registries
            .or_else(|| (!search.registries.is_empty()).then_some(search.registries));
        if let Some(search) = search {
            self.search = search;
        }
        if let Some(mode) = file.short_name_mode {
            self.mode = mode;
        }
        self.aliases.extend(file.aliases);
        Ok(())
    }

    /// The entry with the longest prefix of a name.
    fn entry(&self, name: &str) -> Option<(&str, &PathBuf, &Entry)> {
        let fitting = self.entries.iter().filter(|(prefix, _)| has_prefix(name, prefix));
        let (prefix, (path, entry)) = fitting.max_by_key(|(prefix, _)| prefix.len())?;
        Some((prefix, path, entry))
    }

    /// True where the registry as a whole is said to be insecure.
    pub(super) fn is_insecure(&self, registry: &str) -> bool {
        self.entry(registry).is_some_and(|(_, _, entry)| entry.insecure)
    }

    /// Where the configuration sends a reference: mirrors first. `None` where it says nothing of it.
    pub(super) fn places(&self, reference: &Reference, purpose: Purpose) -> Result<Option<Vec<Place>>> {
        let name = reference.name();
        let Some((prefix, path, entry)) = self.entry(&name) else {
            return Ok(None);
        };
        if entry.blocked {
            return Err(Error::Forbidden {
                name,
                path: path.clone(),
                reason: format!("it blocks {prefix}"),
            });
        }
        let by_digest = reference.digest().is_some();
        let serves = |mirror: &&Mirror| match mirror.serves {
            _ if entry.mirror_by_digest_only => by_digest,
            From::All => true,
            From::DigestOnly => by_digest,
            From::TagOnly => !by_digest,
        };
        let mirrors: Vec<_> = match purpose {
            Purpose::Pull => entry.mirror.iter().filter(serves).collect(),
            Purpose::Push => Vec::new(),
        };
        let mut places = Vec::new();
        for mirror in mirrors {
            places.push(place(
                path,
                &rewritten(&name, prefix, &mirror.location),
                mirror.insecure,
                true,
            )?);
        }
        let own = rewritten(&name, prefix, &entry.location);
        places.push(place(path, &own, entry.insecure, false)?);
        Ok(Some(places))
    }

    /// What a written name may mean, in the order to try.
    pub(super) fn candidates(&self, name: &str) -> Result<Vec<Reference>> {
        // Who writes the transport out, as skopeo and podman have it, means the name as it stands.
        let whole = name.strip_prefix("docker://");
        let written: Reference = whole
            .unwrap_or(name)
            .parse()
            .map_err(|error| Error::Name(format!("{error}")))?;
        if whole.is_some() || !is_short(name) {
            return Ok(vec![written]);
        }
        let (short, suffix) = split_suffix(name);
        if self.mode != Mode::Disabled
            && let Some(meant) = self.aliases.get(short).filter(|meant| !meant.is_empty())
        {
            return Ok(vec![complete(&format!("{meant}{suffix}"))?]);
        }
        if self.search.is_empty() {
            return Ok(vec![written]);
        }
        let candidates = self
            .search
            .iter()
            .map(|registry| complete(&format!("{registry}/{name}")));
        let candidates = candidates.collect::<Result<Vec<_>>>()?;
        if self.mode == Mode::Enforcing && candidates.len() > 1 {
            let list = candidates
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ");
            return Err(Error::Name(format!(
                "{name:?} may mean several images, and registries.conf wants a choice; give one of {list}"
            )));
        }
        Ok(candidates)
    }
}

fn complete(text: &str) -> Result<Reference> {
    text.parse()
        .map_err(|error| Error::Name(format!("registries.conf completes a short name wrongly: {error}")))
}

/// True where the first part isn't a registry.
fn is_short(name: &str) -> bool {
    match name.split_once('/') {
        Some((first, _)) => first != "localhost" && !first.contains(['.', ':']),
        None => true,
    }
}

/// A short name apart from its tag and digest.
fn split_suffix(name: &str) -> (&str, &str) {
    let end = name.find('@').unwrap_or(name.len());
    let slash = name[..end].rfind('/').map_or(0, |at| at + 1);
    let end = name[slash..end].find(':').map_or(end, |at| slash + at);
    name.split_at(end)
}

/// The files of a directory that end in `.conf`, by name.
fn drop_ins(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error).on("read", directory),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.on("read", directory)?.path();
        if path.extension().is_some_and(|extension| extension == "conf") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// `host/path` with all below it, or `*.domain` for every host below.
fn has_prefix(name: &str, prefix: &str) -> bool {
    if let Some(domain) = prefix.strip_prefix('*') {
        let host = name.split('/').next().unwrap_or_default();
        return domain.starts_with('.') && host.ends_with(domain);
    }
    name.strip_prefix(prefix).is_some_and(|rest| {
        rest.is_empty() || rest.starts_with('/') || (!prefix.contains('/') && rest.starts_with(':'))
    })
}

/// The name with `location` in the place of the prefix.
fn rewritten(name: &str, prefix: &str, location: &str) -> String {
    if location.is_empty() {
        return name.to_owned();
    }
    let rest = if prefix.starts_with('*') {
        name.find('/').map_or("", |at| &name[at..])
    } else {
        &name[prefix.len()..]
    };
    format!("{}{rest}", location.trim_end_matches('/'))
}

fn place(path: &Path, name: &str, insecure: bool, is_mirror: bool) -> Result<Place> {
    let Some((authority, repository)) = name.split_once('/') else {
        return Err(Error::configuration(
            path,
            format!("its location leads to {name:?}, which has no repository"),
        ));
    };
    // Docker Hub's own images are below library/ there only.
    let is_hub = authority == wiac_oci::reference::DEFAULT_REGISTRY;
    let repository = if is_hub && !repository.contains('/') {
        format!("library/{repository}")
    } else {
        repository.to_owned()
    };
    Ok(Place {
        authority: authority.to_owned(),
        repository,
        insecure,
        is_mirror,
    })
}

#[cfg(test)]
#[path = "registries_tests.rs"]
mod tests;
