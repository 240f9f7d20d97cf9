//! The registries that a short name may belong to: containers-registries.conf(5), as far as it is about local images.

use crate::caller::Caller;
use crate::error::{IoExt, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wiac_oci::reference::Reference;

/// What a short name is completed with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Registries {
    aliases: BTreeMap<String, String>,
    search: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct File {
    unqualified_search_registries: Option<Vec<String>>,
    aliases: BTreeMap<String, String>,
    registries: Tables,
}

/// The second version has an array of tables here, the first one named tables.
#[derive(Deserialize)]
#[serde(untagged)]
enum Tables {
    First { search: Option<Search> },
    Other(serde::de::IgnoredAny),
}

impl Default for Tables {
    fn default() -> Self {
        Self::First { search: None }
    }
}

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    registries: Vec<String>,
}

impl Registries {
    /// Reads the caller's configuration, later files over earlier ones, and the aliases that podman remembered.
    pub(crate) fn read(caller: &Caller) -> Result<Self> {
        let mut registries = Self::default();
        for path in files(caller)? {
            if let Some(file) = super::toml::<File>(&path)? {
                registries.take(file);
            }
        }
        // A cache: what can't be read or understood there doesn't count.
        if let Some(file) = remembered(caller).and_then(|path| super::toml::<File>(&path).ok().flatten()) {
            registries.aliases.extend(file.aliases);
        }
        Ok(registries)
    }

    fn take(&mut self, file: File) {
        let first = match file.registries {
            Tables::First { search } => search.map(|search| search.registries),
            Tables::Other(_) => None,
        };
        if let Some(search) = file.unqualified_search_registries.or(first) {
            self.search = search;
        }
        self.aliases.extend(file.aliases);
    }

    /// The names that may be meant, in the order podman tries them; each with a tag or a digest.
    pub(crate) fn candidates(&self, name: &str) -> Vec<Reference> {
        let mut texts = Vec::new();
        if is_short(name) {
            let (repository, rest) = split(name);
            texts.extend(self.aliases.get(repository).map(|whole| format!("{whole}{rest}")));
            texts.push(format!("localhost/{name}"));
            texts.extend(self.search.iter().map(|registry| format!("{registry}/{name}")));
        }
        texts.push(name.to_owned());
        let parsed = texts.iter().filter_map(|text| text.parse::<Reference>().ok());
        parsed.map(Reference::with_default_tag).collect()
    }
}

/// Whether a name leaves out its registry.
pub(crate) fn is_short(name: &str) -> bool {
    match name.split_once('/') {
        Some((first, _)) => first != "localhost" && !first.contains(['.', ':']),
        None => true,
    }
}

/// A name's repository, and its tag or digest with what stands before it.
fn split(name: &str) -> (&str, &str) {
    name.split_at(name.find([':', '@']).unwrap_or(name.len()))
}

/// The configuration files that there may be, in order.
fn files(caller: &Caller) -> Result<Vec<PathBuf>> {
    let user = (!caller.is_root())
        .then(|| caller.xdg("XDG_CONFIG_HOME", ".config"))
        .flatten()
        .map(|config| config.join("containers"));
    let mut files = Vec::new();
    let users_file = user
        .as_ref()
        .map(|user| user.join("registries.conf"))
        .filter(|path| path.exists());
    files.push(
        caller
            .path("CONTAINERS_REGISTRIES_CONF")
            .or(users_file)
            .unwrap_or_else(|| caller.system_path("/etc/containers/registries.conf")),
    );
    let system = caller.system_path("/etc/containers/registries.conf.d");
    for directory in [Some(system), user.map(|user| user.join("registries.conf.d"))] {
        files.extend(directory.map(|path| drop_ins(&path)).transpose()?.into_iter().flatten());
    }
    Ok(files)
}

/// The aliases that podman remembers of names it has resolved.
fn remembered(caller: &Caller) -> Option<PathBuf> {
    let cache = if caller.is_root() {
        Some(caller.system_path("/var/cache"))
    } else {
        caller.xdg("XDG_CACHE_HOME", ".cache")
    };
    cache.map(|cache| cache.join("containers/short-name-aliases.conf"))
}

/// The files `*.conf` of a directory, by name.
fn drop_ins(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        result => result.on("read", directory)?,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Registries {
        let mut registries = Registries::default();
        registries.take(toml::from_str(text).unwrap());
        registries
    }

    #[test]
    fn short_names_get_every_registry() {
        let text = r#"
            unqualified-search-registries = ["quay.io", "docker.io"]
            [[registry]]
            location = "quay.io"
            [aliases]
            "debian" = "docker.io/library/debian"
        "#;
        let names = |name: &str| -> Vec<_> {
            let candidates = parsed(text).candidates(name);
            candidates.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            names("debian:12"),
            [
                "docker.io/library/debian:12",
                "localhost/debian:12",
                "quay.io/debian:12",
                "docker.io/library/debian:12",
                "docker.io/library/debian:12"
            ]
        );
        assert_eq!(names("localhost/x"), ["localhost/x:latest"]);
        assert_eq!(names("a.b/x:1"), ["a.b/x:1"]);
    }

    #[test]
    fn the_first_version_of_the_file() {
        let registries =
            parsed("[registries.search]\nregistries = ['r.example']\n[registries.insecure]\nregistries = []");
        assert_eq!(registries.search, ["r.example"]);
        assert_eq!(parsed("[[registry]]\nlocation = 'x'").search, [""; 0]);
    }
}
