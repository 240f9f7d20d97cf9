//! Layers: a directory in overlayfs's form each, with a random id and a small description beside it.

use crate::data::Store;
use crate::error::{Error, IoExt, Result};
use crate::lock::Lock;
use crate::sync;
use crate::temporary::{Temporary, random_name};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use wiac_layer::Form;
use wiac_oci::digest::DiffId;

/// The id of a layer: random, since a layer is known by what made it and not by its contents.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LayerId(String);

impl LayerId {
    /// A new one.
    pub fn random() -> Result<Self> {
        random_name().map(Self)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// From text; `None` where it isn't an id.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A layer with the lock that keeps it from being deleted.
#[derive(Debug)]
pub struct HeldLayer {
    /// Which one.
    pub id: LayerId,
    /// Held as long as the layer is needed.
    pub lock: Lock,
}

/// What `layer.json` says: written once, with the layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerInfo {
    /// Which marks it has.
    pub form: Form,
    /// What made it, as cache keys see it: the hash of the step's key and its nonce.
    pub lineage: String,
    /// The instruction that made it.
    pub created_by: String,
    /// When, RFC 3339, UTC.
    pub created: String,
    /// The hash of the tar that it was unpacked from; `None` for a layer made here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpacked_from: Option<DiffId>,
    /// It lies in another tool's store; `diff` is a symlink to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<Elsewhere>,
}

/// Where a layer lies that another tool keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// The overlay directory.
    #[serde(with = "wiac_oci::paths::one")]
    pub directory: PathBuf,
    /// How the tool calls itself in names: `containers-storage`.
    pub store: String,
    /// What gives its tar again byte for byte, together with the files.
    #[serde(default, with = "wiac_oci::paths::optional", skip_serializing_if = "Option::is_none")]
    pub tar_split: Option<PathBuf>,
    /// The blob as the tool got it.
    #[serde(default, with = "wiac_oci::paths::optional", skip_serializing_if = "Option::is_none")]
    pub blob: Option<PathBuf>,
}

/// A layer being made: its directory `diff` fills up in `tmp/`, then becomes the layer by one rename.
#[derive(Debug)]
pub struct Draft {
    temporary: Temporary,
    directory: PathBuf,
}

impl Draft {
    /// Makes the directory of a new layer. Its `diff` is empty and has mode 0755, whatever the caller's umask and
    /// the data directory's group say: on nothing it is the container's root.
    pub fn new(store: &Store) -> Result<Self> {
        let temporary = Temporary::new(store)?;
        let directory = temporary.create_dir("layer")?;
        let diff = directory.join("diff");
        fs::create_dir(&diff).on("create", &diff)?;
        if fs::metadata(&diff).on("look at", &diff)?.gid() != 0 {
            // The data directory hands its group down (set-group-id). Where it isn't ours to change, nothing is of root's.
            let _ = std::os::unix::fs::chown(&diff, None, Some(0));
        }
        fs::set_permissions(&diff, fs::Permissions::from_mode(0o755)).on("change the mode of", &diff)?;
        Ok(Self { temporary, directory })
    }

    /// A layer that stays where it is: `diff` is a symlink to `directory`.
    pub fn elsewhere(store: &Store, directory: &Path) -> Result<Self> {
        let temporary = Temporary::new(store)?;
        let own = temporary.create_dir("layer")?;
        let diff = own.join("diff");
        std::os::unix::fs::symlink(directory, &diff).on("create", &diff)?;
        Ok(Self {
            temporary,
            directory: own,
        })
    }

    /// Where the layer's files go: an overlay's upper directory.
    pub fn diff(&self) -> PathBuf {
        self.directory.join("diff")
    }

    /// Room beside it, deleted with the draft: an overlay's work directory, files to mount.
    pub fn room(&self) -> &Temporary {
        &self.temporary
    }

    /// What becomes the layer's directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes a file that stands beside the layer's `diff`.
    pub(crate) fn write(&self, name: &str, contents: &[u8]) -> Result<()> {
        let path = self.directory.join(name);
        fs::write(&path, contents).on("write", &path)
    }

    /// Makes it a layer of the store. Any overlay on it must be gone.
    ///
    /// The layer is locked before it can be seen: nobody refers to it yet, so a collector would take it.
    pub fn commit(self, store: &Store, info: &LayerInfo) -> Result<HeldLayer> {
        let id = LayerId::random()?;
        self.write(DESCRIPTION, &to_json(info))?;
        let lock = Lock::shared(&self.directory)?;
        sync::mark(store, id.as_str())?;
        let directory = store.layer_directory(&id);
        fs::rename(&self.directory, &directory).on("move into place", &self.directory)?;
        Ok(HeldLayer { id, lock })
    }
}

/// What a layer is, beside its `diff`.
pub(crate) const DESCRIPTION: &str = "layer.json";

pub(crate) fn to_json(value: &impl Serialize) -> Vec<u8> {
    // Serialising plain structs to memory can't fail.
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// As documents are written that other tools hash.
pub(crate) fn to_compact_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// Reads a small file whole. A pipe in its place is empty, and nobody waits for a writer.
pub(crate) fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let length = file.metadata()?.len();
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn from_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = read_whole(path).on("read", path)?;
    serde_json::from_slice(&bytes).map_err(|error| Error::Damaged {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// From so many layers on more files are opened than most limits allow.
const MANY: usize = 200;

/// Called before so many layers are held: each is locked, some are open, and so may be their blobs.
pub(crate) fn make_room_for(layers: usize) {
    if layers > MANY {
        wiac_sys::open_files::raise();
    }
}

impl Store {
    pub(crate) fn layer_directory(&self, id: &LayerId) -> PathBuf {
        self.path("layers").join(id.as_str())
    }

    /// The overlay directory of a layer.
    pub fn layer_diff(&self, id: &LayerId) -> PathBuf {
        self.layer_directory(id).join("diff")
    }

    /// Whether the layer is there.
    pub fn has_layer(&self, id: &LayerId) -> bool {
        self.layer_directory(id).join(DESCRIPTION).is_file()
    }

    /// What is known about a layer.
    ///
    /// # Errors
    /// [`Error::NoSuchLayer`], or a damaged description.
    pub fn layer_info(&self, id: &LayerId) -> Result<LayerInfo> {
        match from_json(&self.layer_directory(id).join(DESCRIPTION)) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::NoSuchLayer { id: id.to_string() })
            }
            result => result,
        }
    }

    /// Locks a layer against deletion for as long as the lock is held. Take it before the layer is mounted or read,
    /// in a process that lives as long as the mount.
    ///
    /// # Errors
    /// [`Error::NoSuchLayer`] where it isn't there (any more).
    pub fn use_layer(&self, id: &LayerId) -> Result<Lock> {
        let directory = self.layer_directory(id);
        let missing = || Error::NoSuchLayer { id: id.to_string() };
        match Lock::shared(&directory) {
            // A collector may have moved it away while this process waited.
            Ok(lock) if lock.is_of(&directory)? => Ok(lock),
            Ok(_) => Err(missing()),
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Err(missing()),
            Err(error) => Err(error),
        }
    }

    /// The same, with `None` where the layer isn't there.
    pub fn hold_layer(&self, id: LayerId) -> Result<Option<HeldLayer>> {
        match self.use_layer(&id) {
            Ok(lock) => Ok(self.has_layer(&id).then_some(HeldLayer { id, lock })),
            Err(Error::NoSuchLayer { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Holds layers by their ids.
    ///
    /// # Errors
    /// [`Error::NoSuchLayer`].
    pub fn hold_layers(&self, ids: &[LayerId]) -> Result<Vec<HeldLayer>> {
        make_room_for(ids.len());
        let hold = |id: &LayerId| {
            self.hold_layer(id.clone())?
                .ok_or_else(|| Error::NoSuchLayer { id: id.to_string() })
        };
        ids.iter().map(hold).collect()
    }

    /// The ids of all layers, in no order.
    pub fn layers(&self) -> Result<Vec<LayerId>> {
        let directory = self.path("layers");
        let mut ids = Vec::new();
        for entry in fs::read_dir(&directory).on("read", &directory)? {
            let name = entry.on("read", &directory)?.file_name();
            ids.extend(name.to_str().and_then(LayerId::parse));
        }
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_is_roots_whatever_group_the_data_directory_hands_down() {
        assert!(rustix::process::geteuid().is_root(), "this test needs root");
        let dir = tempfile::tempdir().expect("tempdir");
        std::os::unix::fs::chown(dir.path(), None, Some(7)).expect("chown");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o2755)).expect("chmod");
        let store = Store::open(&dir.path().join("data"), Form::Trusted).expect("store");
        let draft = Draft::new(&store).expect("draft");
        let found = fs::metadata(draft.diff()).expect("there");
        assert_eq!((found.gid(), found.mode() & 0o7777), (0, 0o755));
    }

    #[test]
    fn a_draft_becomes_a_layer() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        let draft = Draft::new(&store).expect("draft");
        fs::write(draft.diff().join("hello"), "hi").expect("write");
        let info = LayerInfo {
            form: Form::Trusted,
            lineage: "x".into(),
            created_by: "COPY".into(),
            created: "1970-01-01T00:00:00Z".into(),
            unpacked_from: None,
            elsewhere: None,
        };
        let id = draft.commit(&store, &info).expect("committed").id;
        assert_eq!(
            fs::read_to_string(store.layer_diff(&id).join("hello")).expect("read"),
            "hi"
        );
        assert_eq!(store.layer_info(&id).expect("info"), info);
        assert_eq!(fs::read_dir(store.path("tmp")).expect("read").count(), 0);
    }
}
