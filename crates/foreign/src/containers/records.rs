//! The records of containers/storage: images.json, layers.json, and the big data beside them.
//!
//! Read under the store's shared locks, in the order in which its tools take them: layers before images. Where there
//! is no lock file (a read-only copy of a store), the records are read again until none was replaced meanwhile: they
//! are only ever replaced as a whole, by rename.

use super::config::Store;
use super::lock::Guard;
use crate::error::{Error, IoExt, Result};
use crate::read;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use wiac_oci::digest::Digest;

/// How often records without locks are read before giving up.
const ATTEMPTS: usize = 20;

/// An image in images.json. Lists may be missing or null.
#[derive(Debug, Deserialize)]
pub(crate) struct ImageRecord {
    pub(crate) id: String,
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) layer: Option<String>,
    #[serde(default)]
    pub(crate) created: Option<String>,
    #[serde(default, rename = "big-data-names")]
    big_data_names: Option<Vec<String>>,
    #[serde(default, rename = "big-data-digests")]
    big_data_digests: Option<BTreeMap<String, String>>,
}

impl ImageRecord {
    pub(crate) fn names(&self) -> &[String] {
        self.names.as_deref().unwrap_or_default()
    }

    /// Whether one of the image's manifests has this digest.
    pub(crate) fn has_digest(&self, digest: &Digest) -> bool {
        let manifests = self.big_data_digests.iter().flatten();
        let mut manifests = manifests.filter(|(name, _)| name.starts_with("manifest"));
        self.digest.as_deref() == Some(digest.as_str()) || manifests.any(|(_, found)| found == digest.as_str())
    }

    /// The names of the big data that are named by a digest: configurations.
    pub(crate) fn configurations(&self) -> impl Iterator<Item = &str> {
        let names = self.big_data_names.iter().flatten();
        names.map(String::as_str).filter(|name| name.starts_with("sha256:"))
    }
}

/// A layer in layers.json.
#[derive(Debug, Deserialize)]
pub(crate) struct LayerRecord {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) parent: Option<String>,
    #[serde(default, rename = "diff-digest")]
    pub(crate) diff_digest: Option<String>,
    #[serde(default, rename = "diff-size")]
    pub(crate) diff_size: Option<i64>,
    #[serde(default)]
    flags: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(default, rename = "uidmap")]
    uid_map: Option<Vec<Mapping>>,
    #[serde(default, rename = "gidmap")]
    gid_map: Option<Vec<Mapping>>,
}

#[derive(Debug, Deserialize)]
struct Mapping {
    container_id: u64,
    host_id: u64,
}

impl LayerRecord {
    /// Whether the tool was interrupted while it made or deleted the layer.
    pub(crate) fn is_incomplete(&self) -> bool {
        let flag = self.flags.as_ref().and_then(|flags| flags.get("incomplete"));
        flag == Some(&serde_json::Value::Bool(true))
    }

    /// Whether the files' owners are others than in the image.
    pub(crate) fn is_mapped(&self) -> bool {
        let mut mappings = self.uid_map.iter().chain(&self.gid_map).flatten();
        mappings.any(|mapping| mapping.container_id != mapping.host_id)
    }
}

/// What one directory of a store has.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) path: PathBuf,
    pub(crate) images: Vec<ImageRecord>,
    layers: BTreeMap<String, LayerRecord>,
}

impl Root {
    /// A layer by its id.
    pub(crate) fn layer(&self, id: &str) -> Option<&LayerRecord> {
        self.layers.get(id)
    }

    /// The record that lists layers, for messages.
    pub(crate) fn layers_json(&self) -> PathBuf {
        self.path.join("overlay-layers/layers.json")
    }

    /// The record that lists images, for messages.
    pub(crate) fn images_json(&self) -> PathBuf {
        self.path.join("overlay-images/images.json")
    }

    /// The file of an image's big data.
    pub(crate) fn big_data(&self, image: &ImageRecord, name: &str) -> Result<PathBuf> {
        check_id(&self.images_json(), &image.id)?;
        Ok(self.path.join("overlay-images").join(&image.id).join(file_name(name)))
    }

    fn read(path: &Path) -> Result<Self> {
        let layers = path.join("overlay-layers");
        let mut by_id = BTreeMap::new();
        for file in ["layers.json", "volatile-layers.json"] {
            let records: Option<Vec<LayerRecord>> = read::index(&layers.join(file))?;
            for record in records.into_iter().flatten() {
                by_id.entry(record.id.clone()).or_insert(record);
            }
        }
        Ok(Self {
            path: path.to_owned(),
            images: read::index(&path.join("overlay-images/images.json"))?.unwrap_or_default(),
            layers: by_id,
        })
    }
}

/// Reads a store's records; the guard keeps them as they are.
pub(crate) fn read(store: &Store) -> Result<(Vec<Root>, Guard)> {
    let mut guard = Guard::default();
    let mut locked = true;
    for lock in ["overlay-layers/layers.lock", "overlay-images/images.lock"] {
        for root in &store.roots {
            locked &= guard.add(&root.join(lock))?;
        }
    }
    for _ in 0..ATTEMPTS {
        let before = stamps(store)?;
        let roots: Result<Vec<_>> = store.roots.iter().map(|root| Root::read(root)).collect();
        if locked || stamps(store)? == before {
            return Ok((roots?, guard));
        }
    }
    let reason = "its records change faster than they can be read, and it has no lock files";
    Err(Error::damaged(store.place(), reason))
}

/// The identity of one version of a record.
type Stamp = Option<(u64, u64, i64, i64)>;

fn stamps(store: &Store) -> Result<Vec<Stamp>> {
    const RECORDS: [&str; 3] = [
        "overlay-layers/layers.json",
        "overlay-layers/volatile-layers.json",
        "overlay-images/images.json",
    ];
    let paths = store
        .roots
        .iter()
        .flat_map(|root| RECORDS.map(|record| root.join(record)));
    paths.map(|path| stamp(&path)).collect()
}

fn stamp(path: &Path) -> Result<Stamp> {
    match std::fs::metadata(path) {
        Ok(stat) => Ok(Some((stat.ino(), stat.size(), stat.mtime(), stat.mtime_nsec()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).on("look at", path),
    }
}

/// Refuses ids that would lead out of the store.
pub(crate) fn check_id(record: &Path, id: &str) -> Result<()> {
    if id.is_empty() || id.contains('/') || id == "." || id == ".." {
        return Err(Error::damaged(record, format!("{id:?} is no id")));
    }
    Ok(())
}

/// The file name of big data: as it is where it has but lower-case letters, digits and dots, else in base64.
fn file_name(key: &str) -> String {
    let is_plain = |byte: u8| matches!(byte, b'.' | b'0'..=b'9' | b'a'..=b'z');
    if key.bytes().all(is_plain) && !matches!(key, "" | "." | "..") {
        return key.to_owned();
    }
    format!("={}", base64(key.as_bytes()))
}

/// Standard base64 with padding (RFC 4648). A slash among its digits would end the file name, in podman too; the
/// names that are met have none.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut bits = 0u32;
        for at in 0..3 {
            bits = bits << 8 | u32::from(group.get(at).copied().unwrap_or(0));
        }
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn big_data_names() {
        assert_eq!(file_name("manifest"), "manifest");
        assert_eq!(file_name("a-b"), "=YS1i");
        assert_eq!(file_name("sha256:0"), "=c2hhMjU2OjA=");
        assert_eq!(file_name("Ab"), "=QWI=");
        assert_eq!(base64(b"Man"), "TWFu");
    }

    #[test]
    fn flags_and_maps() {
        let layer = |text: &str| serde_json::from_str::<LayerRecord>(text).unwrap();
        assert!(layer(r#"{"id":"a","flags":{"incomplete":true}}"#).is_incomplete());
        assert!(!layer(r#"{"id":"a","flags":null}"#).is_incomplete());
        assert!(!layer(r#"{"id":"a","uidmap":[{"container_id":0,"host_id":0,"size":9}]}"#).is_mapped());
        assert!(layer(r#"{"id":"a","gidmap":[{"container_id":0,"host_id":5,"size":9}]}"#).is_mapped());
    }

    #[test]
    fn ids_stay_in_the_store() {
        for id in ["", "..", "a/b", "/etc"] {
            assert!(check_id(Path::new("/r"), id).is_err(), "{id}");
        }
        check_id(Path::new("/r"), "0abc").unwrap();
    }
}
