//! Where a user's containers/storage lies: containers-storage.conf(5) and its environment variables.

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::reference::Location;
use serde::Deserialize;
use std::path::{Path, PathBuf};

const SYSTEM_ROOT: &str = "/var/lib/containers/storage";
const REMEDY: &str =
    "let podman or buildah make an image first, or name the store: containers-storage:[overlay@DIR]NAME";

/// A store whose layers are directories of overlayfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Store {
    /// The directories that have images and layers, in the order of search: the tool's own, then additional ones.
    pub(crate) roots: Vec<PathBuf>,
}

impl Store {
    /// The directory to name in messages.
    pub(crate) fn place(&self) -> &Path {
        self.roots.first().map_or(Path::new("/"), PathBuf::as_path)
    }

    /// The store of a location or, where it names none, the caller's own.
    pub(crate) fn find(location: &Location, caller: &Caller) -> Result<Self> {
        let settings = match &location.root {
            Some(root) => Settings {
                root: root.clone(),
                ..Settings::default()
            },
            None => Settings::of(caller)?,
        };
        let driver = location.driver.clone().or(settings.driver);
        let options = location.options.iter().flat_map(|option| additional_stores(option));
        let graph_root = settings.root;
        let own = settings.image_store.into_iter().chain([graph_root.clone()]);
        let mut roots: Vec<PathBuf> = Vec::new();
        for root in own.chain(settings.additional).chain(options) {
            // One that isn't there is no error for podman either: its own it would make, and have the images of the others.
            if !roots.contains(&root) && root.join("overlay-images").is_dir() {
                roots.push(root);
            }
        }
        check_driver(&graph_root, driver.as_deref(), roots.is_empty())?;
        Ok(Self { roots })
    }
}

/// What configuration files and environment say.
#[derive(Debug, Default, PartialEq, Eq)]
struct Settings {
    root: PathBuf,
    driver: Option<String>,
    image_store: Option<PathBuf>,
    additional: Vec<PathBuf>,
}

impl Settings {
    fn of(caller: &Caller) -> Result<Self> {
        if let Some(path) = caller.path("CONTAINERS_STORAGE_CONF") {
            let section = Section::read(&path)?.unwrap_or_default();
            return Self::from_section(section, caller);
        }
        let system = Self::system_section(caller)?;
        if caller.is_root() {
            return Self::from_section(system, caller);
        }
        let user = caller
            .xdg("XDG_CONFIG_HOME", ".config")
            .map(|config| Section::read(&config.join("containers/storage.conf")))
            .transpose()?
            .flatten();
        // Of the system's file a user has no more than these.
        let section = user.unwrap_or(Section {
            driver: system.driver,
            rootless_storage_path: system.rootless_storage_path,
            ..Section::default()
        });
        Self::from_section(section, caller)
    }

    /// The administrator's file, or else the distribution's.
    fn system_section(caller: &Caller) -> Result<Section> {
        for path in ["/etc/containers/storage.conf", "/usr/share/containers/storage.conf"] {
            if let Some(section) = Section::read(&caller.system_path(path))? {
                return Ok(section);
            }
        }
        Ok(Section::default())
    }

    fn from_section(section: Section, caller: &Caller) -> Result<Self> {
        let options = caller
            .variable("STORAGE_OPTS")
            .map(|options| options.to_string_lossy().into_owned());
        let additional = match options {
            Some(options) => options.split(',').flat_map(additional_stores).collect(),
            None => section
                .options
                .additionalimagestores
                .iter()
                .map(|path| caller.expand(path))
                .collect(),
        };
        let driver = caller
            .variable("STORAGE_DRIVER")
            .map(|driver| driver.to_string_lossy().into_owned());
        Ok(Self {
            root: root(&section, caller)?,
            driver: driver.or(filled(section.driver)),
            image_store: filled(section.imagestore).map(|path| caller.expand(&path)),
            additional,
        })
    }
}

/// The graph root: root's, or a user's.
fn root(section: &Section, caller: &Caller) -> Result<PathBuf> {
    if let Some(root) = filled(section.graphroot.clone()) {
        return Ok(caller.expand(&root));
    }
    if caller.is_root() {
        return Ok(caller.system_path(SYSTEM_ROOT));
    }
    if let Some(root) = filled(section.rootless_storage_path.clone()) {
        return Ok(caller.expand(&root));
    }
    let data = caller.xdg("XDG_DATA_HOME", ".local/share").ok_or(Error::NoStore {
        tool: "podman",
        places: vec!["~/.local/share/containers/storage".to_owned()],
        remedy: "set HOME to your home directory",
    })?;
    Ok(data.join("containers/storage"))
}

/// Refuses stores without overlay directories, by the driver's name. `is_alone`: no other store has some either.
fn check_driver(root: &Path, driver: Option<&str>, is_alone: bool) -> Result<()> {
    let found = match driver {
        Some("overlay2") => "overlay".to_owned(),
        Some(driver) => driver.to_owned(),
        None if root.join("overlay-images").is_dir() => "overlay".to_owned(),
        None => made_by(root).unwrap_or_else(|| "overlay".to_owned()),
    };
    if found != "overlay" {
        return Err(Error::unsupported(
            root,
            format!("its layers are made by the driver {found}, not overlay"),
            "copy the image with `skopeo copy` to an oci-archive and load that",
        ));
    }
    if !is_alone {
        return Ok(());
    }
    // Tells a store that mayn't be read from one that isn't there.
    match std::fs::read_dir(root) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Err(Error::forbidden(root)),
        _ => Err(Error::NoStore {
            tool: "podman",
            places: vec![root.display().to_string()],
            remedy: REMEDY,
        }),
    }
}

/// The driver that a store's directories are named by.
fn made_by(root: &Path) -> Option<String> {
    let entries = std::fs::read_dir(root).ok()?;
    entries
        .flatten()
        .find_map(|entry| Some(entry.file_name().to_str()?.strip_suffix("-images")?.to_owned()))
}

/// The directories that a driver option such as `overlay.imagestore=DIR` names.
fn additional_stores(option: &str) -> Vec<PathBuf> {
    let Some((key, value)) = option.trim().split_once('=') else {
        return Vec::new();
    };
    match key.rsplit('.').next() {
        Some("imagestore" | "additionalimagestore") => value.split(',').map(PathBuf::from).collect(),
        _ => Vec::new(),
    }
}

fn filled(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

#[derive(Deserialize, Default)]
struct File {
    #[serde(default)]
    storage: Section,
}

/// The table `storage` of a configuration file, as far as it says where images lie.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Section {
    driver: String,
    graphroot: String,
    imagestore: String,
    rootless_storage_path: String,
    options: Options,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Options {
    additionalimagestores: Vec<String>,
}

impl Section {
    fn read(path: &Path) -> Result<Option<Self>> {
        Ok(super::toml::<File>(path)?.map(|file| file.storage))
    }
}

#[cfg(test)]
mod tests;
