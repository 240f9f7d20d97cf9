//! Images: records (layers and configuration) under a local id, and how they are found.

use crate::data::Store;
use crate::error::{Error, IoExt, Result};
use crate::layer::{LayerId, from_json, to_json};
use crate::lock::Lock;
use crate::names::Name;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use wiac_oci::digest::Digest;
use wiac_oci::image::ImageConfig;
use wiac_oci::manifest::Descriptor;
use wiac_oci::reference::Reference;

/// The local id of an image: the SHA-256 of its record. The `ImageId` of other tools needs every layer's diff ID,
/// which is computed only when the image leaves the machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LocalId(String);

impl LocalId {
    /// 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for LocalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an image is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Its layers, base first.
    pub layers: Vec<LayerId>,
    /// Its OCI configuration. The diff IDs stand in it once they are known.
    pub config: ImageConfig,
    /// What its manifest is to say beside: image-spec, annotations.md.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What its manifest's descriptor is to say beside, in an index and in an image layout.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub descriptor_annotations: BTreeMap<String, String>,
}

/// An image that may have no name yet, with the lock that keeps it from being deleted.
#[derive(Debug)]
pub struct HeldImage {
    /// Which one.
    pub id: LocalId,
    _lock: Lock,
}

/// What an image is called outside: written when it comes in or first goes out.
/// A field of another name is damage: without its manifests an image that came in would go out as another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Its configuration with every diff ID: the blob whose digest other tools call the image's id.
    pub config: Digest,
    /// Manifests of it, the newest last.
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
    /// These documents are lost, as a check found. The image goes on without them, and they count again once they come by.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub are_lost: bool,
}

impl Export {
    /// Whether it is what an image is called that came in: one made here has an id of its own.
    pub fn is_of_arrival(&self, id: &LocalId) -> bool {
        self.config.hex() == id.as_str()
    }
}

impl Store {
    pub(crate) fn record_path(&self, id: &LocalId) -> PathBuf {
        self.path("images/records").join(format!("{id}.json"))
    }

    pub(crate) fn export_path(&self, id: &LocalId) -> PathBuf {
        self.path("images/exports").join(format!("{id}.json"))
    }

    /// Held by whoever adds an image or a name, so that a collector sees all of it or nothing.
    pub(crate) fn adding_images(&self) -> Result<Lock> {
        Lock::shared(&self.path("images"))
    }

    /// Writes the record of an image made here, after its layers were synced. One that is there already stays as it
    /// is. The caller holds the layers.
    pub fn add_image(&self, record: &ImageRecord) -> Result<HeldImage> {
        let bytes = to_json(record);
        let id = LocalId(Digest::sha256(&bytes).hex().to_owned());
        let _adding = self.adding_images()?;
        let path = self.record_path(&id);
        if !path.exists() {
            self.sync(&record.layers)?;
            self.write_durably(&path, &bytes)?;
        }
        let lock = Lock::shared(&path)?;
        Ok(HeldImage { id, _lock: lock })
    }

    /// Writes the record of an image that came in: its id is the digest of its configuration, as everywhere else. One that
    /// was made here and comes back stays the image that it is.
    /// The caller holds the layers and the blobs, which are synced here, and has compared all digests.
    pub fn add_imported(&self, record: &ImageRecord, export: &Export, blobs: &[Digest]) -> Result<HeldImage> {
        let id = LocalId(export.config.hex().to_owned());
        let _adding = self.adding_images()?;
        self.sync_all(&record.layers, blobs)?;
        if !self.record_path(&id).exists()
            && let Some(made_here) = self.made_here(record, export)?
        {
            self.add_export(&made_here.id, export)?;
            return Ok(made_here);
        }
        // First, since the record has its id from there: one without an image is taken away by the collector.
        self.add_export(&id, export)?;
        // Written anew: layers of an older record may have been set aside.
        let path = self.record_path(&id);
        if from_json::<ImageRecord>(&path).ok().as_ref() != Some(record) {
            self.write_durably(&path, &to_json(record))?;
        }
        let lock = Lock::shared(&path)?;
        Ok(HeldImage { id, _lock: lock })
    }

    /// The image of these layers that was made here and went out under this configuration. The caller keeps it from being
    /// collected.
    fn made_here(&self, record: &ImageRecord, export: &Export) -> Result<Option<HeldImage>> {
        for id in self.images()? {
            let known = self.export(&id).ok().flatten();
            if known.is_some_and(|known| known.config == export.config)
                && from_json::<ImageRecord>(&self.record_path(&id)).is_ok_and(|known| known.layers == record.layers)
            {
                let lock = Lock::shared(&self.record_path(&id))?;
                return Ok(Some(HeldImage { id, _lock: lock }));
            }
        }
        Ok(None)
    }

    /// What an image is called outside; `None` as long as nobody asked.
    pub fn export(&self, id: &LocalId) -> Result<Option<Export>> {
        match from_json(&self.export_path(id)) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            result => result.map(Some),
        }
    }

    /// Writes down what an image is called outside; manifests that were known stay, unless they are lost.
    pub fn add_export(&self, id: &LocalId, export: &Export) -> Result<()> {
        let known = self.export(id)?;
        let mut manifests = known.as_ref().map(|known| known.manifests.clone()).unwrap_or_default();
        manifests.retain(|old| export.manifests.iter().all(|new| new.digest != old.digest));
        if known.as_ref().is_some_and(|known| known.are_lost) {
            manifests.retain(|old| self.document(&old.digest).is_ok());
        }
        manifests.extend(export.manifests.iter().cloned());
        let export = Export {
            config: export.config.clone(),
            manifests,
            are_lost: false,
        };
        if known.as_ref() == Some(&export) {
            return Ok(());
        }
        self.write_durably(&self.export_path(id), &to_json(&export))
    }

    /// The ids of all images, sorted.
    pub fn images(&self) -> Result<Vec<LocalId>> {
        let directory = self.path("images/records");
        let mut ids = Vec::new();
        for entry in fs::read_dir(&directory).on("read", &directory)? {
            let name = entry.on("read", &directory)?.file_name();
            ids.extend(
                name.to_string_lossy()
                    .strip_suffix(".json")
                    .map(|id| LocalId(id.to_owned())),
            );
        }
        ids.sort();
        Ok(ids)
    }

    /// An image's record.
    pub fn image(&self, id: &LocalId) -> Result<ImageRecord> {
        match from_json(&self.record_path(id)) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Err(self.no_such_image(id.as_str()))
            }
            result => result,
        }
    }

    /// The image that `text` names: a name, with the defaults docker has, or the beginning of a local id.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`] with the nearest name, [`Error::Ambiguous`] for too short an id.
    pub fn find_image(&self, text: &str) -> Result<(LocalId, ImageRecord)> {
        let id = match self.find_name(text)? {
            Some(id) => id,
            None => self.find_id(text)?.ok_or_else(|| self.no_such_image(text))?,
        };
        let record = self.image(&id)?;
        Ok((id, record))
    }

    /// What a name points to, with the defaults docker has; `None` where nothing is called so.
    pub fn find_name(&self, text: &str) -> Result<Option<LocalId>> {
        let Ok(reference) = text.parse::<Reference>() else {
            return Ok(None);
        };
        let reference = reference.with_default_tag();
        let path = self.name_path(&reference.to_string());
        match from_json::<Name>(&path) {
            Ok(file) => Ok(Some(file.image)),
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                match reference.digest() {
                    Some(digest) => self.find_manifest(digest),
                    None => Ok(None),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// The image that has this manifest, or that had it under a name: an index, of which it is one platform's.
    fn find_manifest(&self, digest: &Digest) -> Result<Option<LocalId>> {
        let has = |export: &Export| export.manifests.iter().any(|manifest| manifest.digest == *digest);
        for id in self.images()? {
            if self.export(&id)?.as_ref().is_some_and(has) {
                return Ok(Some(id));
            }
        }
        let mut names = self.names()?.into_iter().chain(self.indexes(digest.hex())?);
        let has = |name: &Name| [&name.manifest, &name.index.digest].contains(&&Some(digest.clone()));
        let named = names.find(has);
        Ok(named.map(|name| name.image))
    }

    fn find_id(&self, text: &str) -> Result<Option<LocalId>> {
        let prefix = text.strip_prefix("sha256:").unwrap_or(text);
        if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let mut found = self.find_ids(prefix)?;
        if found.is_empty() {
            found = self.find_indexes(prefix)?;
        }
        match found.len() {
            0 | 1 => Ok(found.pop()),
            count => Err(Error::Ambiguous {
                prefix: prefix.to_owned(),
                count,
            }),
        }
    }

    /// The images whose ids begin like this; where there is none, those whose ids outside do.
    pub(crate) fn find_ids(&self, prefix: &str) -> Result<Vec<LocalId>> {
        let all = self.images()?;
        let mut found: Vec<LocalId> = all.iter().filter(|id| id.0.starts_with(prefix)).cloned().collect();
        if found.is_empty() {
            // An image made here has another id outside.
            for id in all {
                let export = self.export(&id)?;
                if export.is_some_and(|export| export.config.hex().starts_with(prefix)) {
                    found.push(id);
                }
            }
        }
        Ok(found)
    }

    /// This machine's images of the indexes whose digests, as they were told, begin like this.
    fn find_indexes(&self, prefix: &str) -> Result<Vec<LocalId>> {
        let mut found: Vec<LocalId> = self.indexes(prefix)?.into_iter().map(|name| name.image).collect();
        found.sort();
        found.dedup();
        Ok(found)
    }

    pub(crate) fn no_such_image(&self, text: &str) -> Error {
        let names = self.names().unwrap_or_default();
        let familiar: Vec<String> = names.iter().filter_map(Name::familiar).collect();
        let candidates = familiar
            .iter()
            .flat_map(|name| [name.as_str(), name.trim_end_matches(":latest")]);
        let nearest = wiac_suggest::nearest(text, candidates).map(str::to_owned);
        Error::NoSuchImage {
            name: text.to_owned(),
            nearest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wiac_layer::Form;

    #[test]
    fn names_ids_and_what_is_near() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        let record = ImageRecord {
            layers: Vec::new(),
            config: ImageConfig::default(),
            ..ImageRecord::default()
        };
        let id = store.add_image(&record).expect("added").id;
        store.name_image(&"hello".parse().expect("name"), &id).expect("named");
        assert_eq!(store.find_image("hello:latest").expect("found").0, id);
        assert_eq!(store.find_image(id.short()).expect("found").0, id);
        let error = store.find_image("helo").expect_err("unknown").to_string();
        assert!(error.contains("did you mean hello"), "{error}");
    }
}
