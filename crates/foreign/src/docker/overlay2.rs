//! docker's own image store with the driver overlay2.
//!
//! ```text
//! image/overlay2/repositories.json                            names → image ids
//! image/overlay2/imagedb/content/sha256/<id>                  configurations
//! image/overlay2/layerdb/sha256/<chain id>/{cache-id,diff,size,tar-split.json.gz}
//! overlay2/<cache-id>/diff                                    layer directories
//! ```
//! docker takes no lock that others could take. It writes each of these files once and whole (names by rename), makes
//! a layer's records by renaming their directory, and removes them before the layer's files: what is found here is
//! whole, or goes missing, which is an error.

use crate::error::{Error, IoExt, Result};
use crate::image::{Image, Layer, Marks, Summary};
use crate::lookup::{self, Beginning};
use crate::{Guard, read, time};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wiac_layer::Form;
use wiac_oci::digest::{ChainId, DiffId, Digest};
use wiac_oci::image::ImageConfig;
use wiac_oci::reference::Reference;

/// The store below a data root.
#[derive(Debug)]
pub(super) struct Overlay2 {
    root: PathBuf,
}

#[derive(Deserialize, Default)]
struct Repositories {
    #[serde(rename = "Repositories", default)]
    repositories: BTreeMap<String, BTreeMap<String, Digest>>,
}

impl Repositories {
    /// Every name and what it points to.
    fn names(&self) -> impl Iterator<Item = (&str, &Digest)> {
        let names = self.repositories.values().flatten();
        names.map(|(name, id)| (name.as_str(), id))
    }
}

impl Overlay2 {
    /// The store, if the data root has one.
    pub(super) fn find(root: &Path) -> Option<Self> {
        root.join("image/overlay2")
            .is_dir()
            .then(|| Self { root: root.to_owned() })
    }

    /// Whether it has no image with a name.
    pub(super) fn is_empty(&self) -> bool {
        self.names().is_ok_and(|names| names.is_empty())
    }

    /// Every name, in full.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let repositories = self.repositories()?;
        Ok(repositories.names().map(|(name, _)| in_full(name)).collect())
    }

    /// Finds an image by name, id, or the beginning of an id.
    pub(super) fn open(&self, name: &str, form: Form) -> Result<Option<Image>> {
        let repositories = self.repositories()?;
        let Some(id) = self.resolve(&repositories, name)? else {
            return Ok(None);
        };
        super::check_owner(&self.root)?;
        let (config, diff_ids) = self.configuration(&id)?;
        let mut layers = Vec::new();
        for (at, diff_id) in diff_ids.iter().enumerate() {
            let chain = ChainId::of(&diff_ids[..=at]);
            layers.extend(chain.map(|chain| self.layer(&chain, diff_id, form)).transpose()?);
        }
        let named = repositories.names().filter(|(_, named)| **named == id);
        let mut image = Image {
            names: named.map(|(name, _)| in_full(name)).collect(),
            id,
            config,
            manifest: None,
            layers,
            store: self.root.clone(),
            others: None,
            guard: Guard::default(),
        };
        image.check_diff_ids(&diff_ids)?;
        Ok(Some(image))
    }

    /// Every image.
    pub(super) fn list(&self) -> Result<Vec<Summary>> {
        let repositories = self.repositories()?;
        let mut summaries = Vec::new();
        for hex in self.ids()? {
            let Ok(id) = format!("sha256:{hex}").parse::<Digest>() else {
                continue;
            };
            let (config, diff_ids) = self.configuration(&id)?;
            let parsed: ImageConfig = read::json(&self.content(&id), &config)?;
            let sizes = (1..=diff_ids.len()).map(|count| self.size(&ChainId::of(&diff_ids[..count])?));
            let named = repositories.names().filter(|(_, named)| **named == id);
            summaries.push(Summary {
                created: parsed.created.as_deref().and_then(time::seconds),
                size: sizes.sum(),
                names: named.map(|(name, _)| in_full(name)).collect(),
                id,
            });
        }
        Ok(summaries)
    }

    fn repositories(&self) -> Result<Repositories> {
        let path = self.root.join("image/overlay2/repositories.json");
        Ok(read::index(&path)?.unwrap_or_default())
    }

    /// As docker resolves what it is given: a whole id, a name, the beginning of an id.
    fn resolve(&self, repositories: &Repositories, name: &str) -> Result<Option<Digest>> {
        let digest = |hex: &str| format!("sha256:{hex}").parse::<Digest>().ok();
        if let Some(id) = lookup::whole_id(name).and_then(digest) {
            return Ok(self.content(&id).exists().then_some(id));
        }
        let wanted = name.parse::<Reference>().ok().map(Reference::with_default_tag);
        let named = wanted.and_then(|wanted| {
            let mut names = repositories.names();
            names.find(|(known, _)| same(known, &wanted)).map(|(_, id)| id.clone())
        });
        if named.is_some() {
            return Ok(named);
        }
        let ids = self.ids()?;
        let prefix = name.strip_prefix("sha256:").unwrap_or(name);
        match lookup::beginning(prefix, ids.iter().map(String::as_str)) {
            Beginning::One(hex) => Ok(digest(hex)),
            Beginning::None => Ok(None),
            Beginning::Many(count) => Err(Error::Ambiguous {
                place: self.root.clone(),
                prefix: name.to_owned(),
                count,
            }),
        }
    }

    /// The digits of every image's id, sorted.
    fn ids(&self) -> Result<Vec<String>> {
        let directory = self.root.join("image/overlay2/imagedb/content/sha256");
        let entries = match std::fs::read_dir(&directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result.on("read", &directory)?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.on("read", &directory)?.file_name();
            ids.extend(
                name.to_str()
                    .filter(|name| lookup::whole_id(name).is_some())
                    .map(str::to_owned),
            );
        }
        ids.sort();
        Ok(ids)
    }

    fn content(&self, id: &Digest) -> PathBuf {
        self.root.join("image/overlay2/imagedb/content/sha256").join(id.hex())
    }

    fn configuration(&self, id: &Digest) -> Result<(Vec<u8>, Vec<DiffId>)> {
        let path = self.content(id);
        let config = read::document(&path)?.ok_or_else(|| Error::damaged(&path, "it is missing"))?;
        id.verify(&config)
            .map_err(|error| Error::damaged(&path, error.to_string()))?;
        let diff_ids = read::json::<ImageConfig>(&path, &config)?.rootfs.diff_ids;
        Ok((config, diff_ids))
    }

    fn layer_record(&self, chain: &ChainId) -> PathBuf {
        let of_algorithm = self
            .root
            .join("image/overlay2/layerdb")
            .join(chain.0.algorithm().name());
        of_algorithm.join(chain.0.hex())
    }

    fn layer(&self, chain: &ChainId, diff_id: &DiffId, form: Form) -> Result<Layer> {
        let record = self.layer_record(chain);
        let field = |name: &str| {
            let path = record.join(name);
            let text = read::text(&path)?;
            text.ok_or_else(|| Error::damaged(&path, format!("the record of layer {diff_id} is missing")))
        };
        if field("diff")? != diff_id.digest().as_str() {
            return Err(Error::damaged(record.join("diff"), format!("it isn't {diff_id}")));
        }
        let cache_id = field("cache-id")?;
        if cache_id.is_empty() || cache_id.contains('/') || cache_id.starts_with('.') {
            return Err(Error::damaged(
                record.join("cache-id"),
                format!("{cache_id:?} is no id"),
            ));
        }
        let diff = self.root.join("overlay2").join(cache_id).join("diff");
        let is_directory = std::fs::symlink_metadata(&diff).is_ok_and(|stat| stat.is_dir());
        if !is_directory {
            return Err(Error::damaged(
                &diff,
                format!("the directory of layer {diff_id} is missing"),
            ));
        }
        let tar_split = record.join("tar-split.json.gz");
        Ok(Layer {
            diff,
            form,
            marks: Marks::Unknown,
            diff_id: Some(diff_id.clone()),
            size: self.size(chain),
            tar_split: tar_split.exists().then_some(tar_split),
            blob: None,
        })
    }

    /// The recorded size of a layer's files.
    fn size(&self, chain: &ChainId) -> Option<u64> {
        read::text(&self.layer_record(chain).join("size")).ok()??.parse().ok()
    }
}

/// A name with its registry: docker writes `alpine:3` for `docker.io/library/alpine:3`.
fn in_full(name: &str) -> String {
    name.parse::<Reference>()
        .map_or_else(|_| name.to_owned(), |name| name.to_string())
}

/// Whether a known name is the wanted one; beside a digest a tag doesn't count.
fn same(known: &str, wanted: &Reference) -> bool {
    let Ok(known) = known.parse::<Reference>() else {
        return false;
    };
    let is_same = match wanted.digest() {
        Some(digest) => known.digest() == Some(digest),
        None => known.digest().is_none() && known.tag() == wanted.tag(),
    };
    is_same && known.name() == wanted.name()
}
