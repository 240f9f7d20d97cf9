//! Images as commands show them: configuration, names, layers with their directories, wherever they are kept.

use crate::data::Data;
use crate::dates::{self, Moment};
use crate::error::Failure;
use crate::located::{Origin, locate};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use wiac_oci::digest::{DiffId, Digest};
use wiac_oci::image::{History, ImageConfig};
use wiac_oci::reference::Reference;
use wiac_store::{ImageRecord, LayerId, LocalId, Name};

/// An image.
#[derive(Debug)]
pub(crate) struct Shown {
    /// 64 hexadecimal digits.
    pub(crate) id: String,
    /// As people write them: `debian:12`.
    pub(crate) names: Vec<String>,
    /// Names with the digest of the manifest they have elsewhere.
    pub(crate) digests: Vec<String>,
    /// The newest manifest: its digest and media type.
    pub(crate) manifest: Option<(Digest, String)>,
    /// Its configuration.
    pub(crate) config: ImageConfig,
    /// Base first.
    pub(crate) layers: Vec<ShownLayer>,
}

/// A layer of an image.
#[derive(Debug)]
pub(crate) struct ShownLayer {
    /// What the store calls it.
    pub(crate) id: String,
    /// An overlay's lower directory.
    pub(crate) directory: PathBuf,
    /// The bytes of its contents; `None` where the layer is missing.
    pub(crate) size: Option<u64>,
    /// The instruction that made it.
    pub(crate) created_by: String,
    /// When, RFC 3339.
    pub(crate) created: String,
    /// The hash of its tar, where it is known.
    pub(crate) diff_id: Option<DiffId>,
}

impl Shown {
    /// When it was made, in seconds since 1970; 0 where it doesn't say.
    pub(crate) fn created(&self) -> i64 {
        self.made().map_or(0, |(second, _)| second)
    }

    /// The same, precisely; nothing where it doesn't say.
    pub(crate) fn made(&self) -> Option<Moment> {
        self.config.created.as_deref().and_then(dates::precisely)
    }

    /// How long ago that was, in docker's words.
    pub(crate) fn age(&self) -> String {
        age(self.config.created.as_deref())
    }

    /// The bytes of its layers.
    pub(crate) fn size(&self) -> u64 {
        self.layers.iter().filter_map(|layer| layer.size).sum()
    }

    /// Its names without those that have a manifest's digest.
    pub(crate) fn tags(&self) -> Vec<&String> {
        self.names.iter().filter(|name| !name.contains('@')).collect()
    }

    /// The id as lists show it: whole, with its algorithm, or the first twelve digits.
    pub(crate) fn listed_id(&self, whole: bool) -> String {
        if whole {
            format!("sha256:{}", self.id)
        } else {
            short(&self.id).to_owned()
        }
    }

    /// The diff IDs of all layers, where all are known.
    pub(crate) fn diff_ids(&self) -> Vec<String> {
        let known = self
            .layers
            .iter()
            .map(|layer| layer.diff_id.as_ref().map(ToString::to_string));
        known.collect::<Option<_>>().unwrap_or_default()
    }

    /// The history, base first, each step with its layer; layers that it doesn't speak of come last.
    pub(crate) fn steps(&self) -> Vec<(History, Option<&ShownLayer>)> {
        let mut layers = self.layers.iter();
        let mut steps: Vec<_> = self
            .config
            .history
            .iter()
            .map(|step| (step.clone(), if step.empty_layer { None } else { layers.next() }))
            .collect();
        steps.extend(layers.map(|layer| {
            let step = History {
                created: Some(layer.created.clone()).filter(|text| !text.is_empty()),
                created_by: Some(layer.created_by.clone()),
                ..History::default()
            };
            (step, Some(layer))
        }));
        steps
    }
}

/// How long ago an RFC 3339 time was.
pub(crate) fn age(created: Option<&str>) -> String {
    match created.and_then(dates::precisely) {
        Some((second, _)) => dates::ago(dates::now() - second),
        None => "N/A".to_owned(),
    }
}

/// The first twelve characters of an id.
pub(crate) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// A value, or JSON's nothing.
pub(crate) fn or_null<T: Into<Value>>(value: Option<T>) -> Value {
    value.map_or(Value::Null, Into::into)
}

/// A name in its parts: repository and tag, `<none>` where there is none.
pub(crate) fn repository_and_tag(name: &str) -> (String, String) {
    match name.parse::<Reference>() {
        Ok(reference) => {
            let tag = reference.tag().unwrap_or("<none>").to_owned();
            (reference.familiar_name(), tag)
        }
        Err(_) => (name.to_owned(), "<none>".to_owned()),
    }
}

/// Finds images and reads what is to be shown of them.
pub(crate) struct Reader<'d> {
    data: &'d Data,
    names: Vec<Name>,
    /// Of layers that were counted: images share them.
    sizes: HashMap<LayerId, Option<u64>>,
}

impl<'d> Reader<'d> {
    /// Of the images of this data directory.
    pub(crate) fn new(data: &'d Data) -> Result<Self, Failure> {
        Ok(Self {
            names: data.store.names()?,
            data,
            sizes: HashMap::new(),
        })
    }

    /// The image that `text` names: a name or the beginning of an id.
    pub(crate) fn find(&mut self, text: &str) -> Result<Shown, Failure> {
        let located = locate(self.data, text)?;
        let record = located.record();
        match &located.origin {
            Origin::Stored(id) => self.stored(id, record),
            Origin::Elsewhere(image) => self.elsewhere(image, record),
        }
    }

    /// All images of the store, the newest first. Those that a name has for other platforms than this machine's are
    /// shown by their ids alone.
    pub(crate) fn all(&mut self) -> Result<Vec<Shown>, Failure> {
        let mut images = Vec::new();
        for id in self.data.store.images()? {
            let is_other = self.names.iter().any(|name| name.index.others.contains(&id));
            if is_other && self.names.iter().all(|name| name.image != id) {
                continue;
            }
            match self.data.store.image(&id) {
                Ok(record) => images.push(self.stored(&id, record)?),
                // Deleted meanwhile.
                Err(wiac_store::Error::NoSuchImage { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        images.sort_by_key(|image| (std::cmp::Reverse(image.made()), image.id.clone()));
        Ok(images)
    }

    /// An image of the store, as far as its configuration and names go: its layers' sizes aren't counted.
    pub(crate) fn outline(&self, id: &LocalId, config: ImageConfig) -> Result<Shown, Failure> {
        let own = self.names.iter().filter(|name| name.image == *id);
        let (mut names, mut digests) = (Vec::new(), Vec::new());
        let export = self.data.store.export(id)?;
        let manifest = export.and_then(|export| export.manifests.into_iter().next_back());
        let manifest = manifest.map(|manifest| (manifest.digest, manifest.media_type));
        for name in own {
            let Ok(reference) = name.name.parse::<Reference>() else {
                continue;
            };
            names.push(reference.familiar());
            if let Some(digest) = name.manifest.as_ref().or(manifest.as_ref().map(|(digest, _)| digest)) {
                digests.push(format!("{}@{digest}", reference.familiar_name()));
            }
        }
        digests.sort();
        digests.dedup();
        Ok(Shown {
            id: id.to_string(),
            names,
            digests,
            manifest,
            config,
            layers: Vec::new(),
        })
    }

    fn stored(&mut self, id: &LocalId, record: ImageRecord) -> Result<Shown, Failure> {
        let diff_ids = Some(&record.config.rootfs.diff_ids).filter(|ids| ids.len() == record.layers.len());
        let mut layers = Vec::with_capacity(record.layers.len());
        for (number, layer) in record.layers.iter().enumerate() {
            let diff_id = diff_ids.map(|ids| ids[number].clone());
            layers.push(self.layer(layer, diff_id)?);
        }
        let outline = self.outline(id, record.config)?;
        Ok(Shown { layers, ..outline })
    }

    /// An image of another tool's store.
    fn elsewhere(&mut self, image: &wiac_foreign::Image, record: ImageRecord) -> Result<Shown, Failure> {
        let diff_ids = record
            .config
            .rootfs
            .diff_ids
            .iter()
            .map(Some)
            .chain(std::iter::repeat(None));
        let mut layers = Vec::with_capacity(record.layers.len());
        for ((id, layer), diff_id) in record.layers.iter().zip(&image.layers).zip(diff_ids) {
            let shown = self.layer(id, diff_id.cloned())?;
            layers.push(ShownLayer {
                directory: layer.diff.clone(),
                ..shown
            });
        }
        let familiar = |name: &String| {
            name.parse::<Reference>()
                .map_or_else(|_| name.clone(), |name| name.familiar())
        };
        Ok(Shown {
            id: image.id.hex().to_owned(),
            names: image.names.iter().map(familiar).collect(),
            digests: Vec::new(),
            manifest: None,
            config: record.config,
            layers,
        })
    }

    fn layer(&mut self, id: &LayerId, diff_id: Option<DiffId>) -> Result<ShownLayer, Failure> {
        let store = &self.data.store;
        if !self.sizes.contains_key(id) {
            let held = store.hold_layer(id.clone())?;
            // A list isn't the place to fail for a damaged layer: `wiac store check` is.
            let size = held.and_then(|held| store.layer_size(&held).ok());
            self.sizes.insert(id.clone(), size);
        }
        let size = self.sizes.get(id).copied().flatten();
        let info = store.layer_info(id).ok();
        let known = || store.layer_digests(id).ok()?.tars.pop().map(|tar| tar.diff_id);
        Ok(ShownLayer {
            id: id.to_string(),
            directory: store.layer_diff(id),
            size,
            diff_id: diff_id.or_else(known),
            created_by: info.as_ref().map(|info| info.created_by.clone()).unwrap_or_default(),
            created: info.map(|info| info.created).unwrap_or_default(),
        })
    }
}

impl ShownLayer {
    /// For JSON and templates; `instruction`: what the history says made it.
    pub(crate) fn to_json(&self, instruction: &str) -> Value {
        json!({
            "Id": self.id,
            "Size": or_null(self.size),
            "CreatedBy": instruction,
            "DiffId": or_null(self.diff_id.as_ref().map(ToString::to_string)),
            "Directory": self.directory.to_string_lossy(),
        })
    }
}
