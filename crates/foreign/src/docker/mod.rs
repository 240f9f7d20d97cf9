//! docker's store, and containerd's, which docker may use instead of its own.
//!
//! docker's data root has an image store per driver (`image/overlay2`); with the feature `containerd-snapshotter` its
//! images are containerd's: those of the containerd it starts itself (in the data root), or of the system's. Both may
//! be there; the one in use is searched first.

mod containerd;
mod overlay2;

use crate::caller::Caller;
use crate::error::{Error, IoExt, Result};
use crate::image::{Image, Summary};
use crate::lookup;
use crate::read;
use crate::reference::Location;
use containerd::Containerd;
use overlay2::Overlay2;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use wiac_layer::Form;

const SYSTEM_ROOT: &str = "/var/lib/docker";
const CONTAINERD_ROOT: &str = "/var/lib/containerd";
const REMEDY: &str = "let docker make or pull an image first, or name the store: docker-storage:[DIR]NAME";
const REMEDY_USER: &str =
    "a system's docker belongs to root: run wiac as root, or name the store: docker-storage:[DIR]NAME";

/// Finds an image.
pub(crate) fn open(location: &Location, name: &str, caller: &Caller) -> Result<Image> {
    let found = Search::find(location, caller)?;
    for store in &found.stores {
        if let Some(image) = store.open(name, found.form)? {
            return Ok(image);
        }
    }
    let mut names = Vec::new();
    for store in &found.stores {
        names.extend(store.names()?);
    }
    Err(Error::NoSuchImage {
        tool: "docker",
        place: found.root,
        name: name.to_owned(),
        nearest: lookup::nearest(name, names.iter().map(String::as_str)),
    })
}

/// Every image.
pub(crate) fn list(location: &Location, caller: &Caller) -> Result<Vec<Summary>> {
    let found = Search::find(location, caller)?;
    let mut summaries = Vec::new();
    for store in &found.stores {
        summaries.extend(store.list()?);
    }
    Ok(summaries)
}

/// One of the ways in which docker keeps images.
enum Store {
    Overlay2(Overlay2),
    Containerd(Containerd),
}

impl Store {
    fn open(&self, name: &str, form: Form) -> Result<Option<Image>> {
        match self {
            Self::Overlay2(store) => store.open(name, form),
            Self::Containerd(store) => store.open(name, form),
        }
    }

    fn names(&self) -> Result<Vec<String>> {
        match self {
            Self::Overlay2(store) => store.names(),
            Self::Containerd(store) => store.names(),
        }
    }

    fn list(&self) -> Result<Vec<Summary>> {
        match self {
            Self::Overlay2(store) => store.list(),
            Self::Containerd(store) => store.list(),
        }
    }
}

/// The stores to search, in order.
struct Search {
    root: PathBuf,
    stores: Vec<Store>,
    form: Form,
}

impl Search {
    fn find(location: &Location, caller: &Caller) -> Result<Self> {
        let daemon = Daemon::read(caller)?;
        let root = match (&location.root, &daemon.data_root) {
            (Some(root), _) => root.clone(),
            (None, Some(root)) => PathBuf::from(root),
            (None, None) => default_root(caller)?,
        };
        if location.root.is_none() && !daemon.userns_remap.is_empty() {
            return Err(Error::unsupported(
                &root,
                "its files have the ids of another user namespace (userns-remap)",
                "save the image with `docker save` and load that",
            ));
        }
        if std::fs::read_dir(&root).is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied) {
            return Err(Error::forbidden(&root));
        }
        let overlay2 = Overlay2::find(&root);
        let mut roots = vec![root.clone(), root.join("containerd/daemon")];
        if location.root.is_none() && caller.is_root() {
            roots.push(containerd_root(caller)?);
        }
        let mut containerd = Vec::new();
        for root in roots {
            containerd.extend(Containerd::find(&root, location.driver.as_deref())?);
        }
        let uses_containerd = match daemon.features.get("containerd-snapshotter") {
            Some(feature) => *feature,
            // Newer docker goes on with its own store where that has images.
            None => overlay2.as_ref().is_none_or(Overlay2::is_empty),
        };
        let containerd = containerd.into_iter().map(Store::Containerd);
        let stores: Vec<_> = if uses_containerd {
            containerd.chain(overlay2.map(Store::Overlay2)).collect()
        } else {
            overlay2.map(Store::Overlay2).into_iter().chain(containerd).collect()
        };
        if stores.is_empty() {
            return Err(missing(&root, caller));
        }
        let form = if caller.is_root() { Form::Trusted } else { Form::User };
        Ok(Self { root, stores, form })
    }
}

/// Why there is no store at `root`.
fn missing(root: &Path, caller: &Caller) -> Error {
    let other = std::fs::read_dir(root.join("image"))
        .into_iter()
        .flatten()
        .flatten()
        .next();
    if let Some(driver) = other {
        let driver = driver.file_name().to_string_lossy().into_owned();
        return Error::unsupported(
            root,
            format!("its layers are made by the driver {driver}, not overlay2"),
            "save the image with `docker save` and load that",
        );
    }
    Error::NoStore {
        tool: "docker",
        places: vec![root.display().to_string()],
        remedy: if caller.is_root() { REMEDY } else { REMEDY_USER },
    }
}

fn default_root(caller: &Caller) -> Result<PathBuf> {
    if caller.is_root() {
        return Ok(caller.system_path(SYSTEM_ROOT));
    }
    let data = caller.xdg("XDG_DATA_HOME", ".local/share").ok_or(Error::NoStore {
        tool: "docker",
        places: vec!["~/.local/share/docker".to_owned()],
        remedy: "set HOME to your home directory",
    })?;
    Ok(data.join("docker"))
}

/// docker's configuration (dockerd(8), "daemon configuration file"), as far as it says where images lie.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Daemon {
    #[serde(rename = "data-root")]
    data_root: Option<String>,
    #[serde(rename = "userns-remap")]
    userns_remap: String,
    features: BTreeMap<String, bool>,
}

impl Daemon {
    fn read(caller: &Caller) -> Result<Self> {
        let path = if caller.is_root() {
            caller.system_path("/etc/docker/daemon.json")
        } else {
            let Some(config) = caller.xdg("XDG_CONFIG_HOME", ".config") else {
                return Ok(Self::default());
            };
            config.join("docker/daemon.json")
        };
        let Some(bytes) = read::document(&path)?.filter(|bytes| !bytes.trim_ascii().is_empty()) else {
            return Ok(Self::default());
        };
        serde_json::from_slice(&bytes).map_err(|error| Error::Configuration {
            path,
            reason: error.to_string(),
        })
    }
}

/// Where the system's containerd keeps everything.
fn containerd_root(caller: &Caller) -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Configuration {
        root: Option<String>,
    }
    let path = caller.system_path("/etc/containerd/config.toml");
    let Some(text) = read::text(&path)? else {
        return Ok(caller.system_path(CONTAINERD_ROOT));
    };
    let configuration: Configuration = toml::from_str(&text).map_err(|error| Error::Configuration {
        path,
        reason: error.message().to_owned(),
    })?;
    let root = configuration.root.filter(|root| !root.is_empty());
    Ok(root.map_or_else(|| caller.system_path(CONTAINERD_ROOT), PathBuf::from))
}

/// Refuses another user's store, as seen from the user namespace that the layers are used in.
fn check_owner(directory: &Path) -> Result<()> {
    let owner = std::fs::metadata(directory).on("look at", directory)?.uid();
    if owner != rustix::process::geteuid().as_raw() {
        return Err(Error::OtherUser {
            tool: "docker",
            path: directory.to_owned(),
            owner,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
