//! Images: records (layers and configuration) under a local id, and names that point to them.

use crate::data::Store;
use crate::error::{Error, IoExt, Result};
use crate::layer::{LayerId, from_json, to_json};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::path::PathBuf;
use wiac_oci::digest::Digest;
use wiac_oci::image::ImageConfig;
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Its layers, base first.
    pub layers: Vec<LayerId>,
    /// Its OCI configuration. The diff IDs stand in it once they are known.
    pub config: ImageConfig,
}

#[derive(Debug, Serialize, Deserialize)]
struct NameFile {
    name: String,
    image: LocalId,
}

impl Store {
    fn record_path(&self, id: &LocalId) -> PathBuf {
        self.path("images/records").join(format!("{id}.json"))
    }

    fn name_path(&self, name: &str) -> PathBuf {
        self.path("images/names").join(file_name(name))
    }

    /// Writes an image's record, after its layers were synced. One that is there already stays as it is.
    pub fn add_image(&self, record: &ImageRecord) -> Result<LocalId> {
        let bytes = to_json(record);
        let id = LocalId(Digest::sha256(&bytes).hex().to_owned());
        let path = self.record_path(&id);
        if !path.exists() {
            self.sync(&record.layers)?;
            self.write_durably(&path, &bytes)?;
        }
        Ok(id)
    }

    /// Lets `name` point to an image.
    pub fn name_image(&self, name: &Reference, image: &LocalId) -> Result<()> {
        let name = name.clone().with_default_tag().to_string();
        let path = self.name_path(&name);
        if from_json::<NameFile>(&path).is_ok_and(|file| file.image == *image) {
            return Ok(());
        }
        self.write_durably(
            &path,
            &to_json(&NameFile {
                name,
                image: image.clone(),
            }),
        )
    }

    /// All names with what they point to, sorted.
    pub fn names(&self) -> Result<Vec<(String, LocalId)>> {
        let directory = self.path("images/names");
        let mut names = Vec::new();
        for entry in fs::read_dir(&directory).on("read", &directory)? {
            let file: NameFile = from_json(&entry.on("read", &directory)?.path())?;
            names.push((file.name, file.image));
        }
        names.sort();
        Ok(names)
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
        let record = from_json(&self.record_path(&id))?;
        Ok((id, record))
    }

    fn find_name(&self, text: &str) -> Result<Option<LocalId>> {
        let Ok(reference) = text.parse::<Reference>() else {
            return Ok(None);
        };
        let path = self.name_path(&reference.with_default_tag().to_string());
        match from_json::<NameFile>(&path) {
            Ok(file) => Ok(Some(file.image)),
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn find_id(&self, text: &str) -> Result<Option<LocalId>> {
        let prefix = text.strip_prefix("sha256:").unwrap_or(text);
        if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let directory = self.path("images/records");
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory).on("read", &directory)? {
            let name = entry.on("read", &directory)?.file_name();
            let id = name.to_string_lossy().trim_end_matches(".json").to_owned();
            if id.starts_with(prefix) {
                found.push(LocalId(id));
            }
        }
        match found.len() {
            0 | 1 => Ok(found.pop()),
            count => Err(Error::Ambiguous {
                prefix: prefix.to_owned(),
                count,
            }),
        }
    }

    fn no_such_image(&self, text: &str) -> Error {
        let names = self.names().unwrap_or_default();
        let familiar = |name: &String| Some(name.parse::<Reference>().ok()?.familiar());
        let familiar: Vec<String> = names.iter().filter_map(|(name, _)| familiar(name)).collect();
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

/// The file of a name. What the name is stands in the file: one that is too long for a file's name is hashed.
fn file_name(name: &str) -> String {
    const LONGEST: usize = 200;
    // '+' stands in no reference.
    let readable = name.replace('/', "+");
    if readable.len() <= LONGEST {
        format!("{readable}.json")
    } else {
        format!("{}.json", Digest::sha256(name).hex())
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
        };
        let id = store.add_image(&record).expect("added");
        store.name_image(&"hello".parse().expect("name"), &id).expect("named");
        assert_eq!(store.find_image("hello:latest").expect("found").0, id);
        assert_eq!(store.find_image(id.short()).expect("found").0, id);
        let error = store.find_image("helo").expect_err("unknown").to_string();
        assert!(error.contains("did you mean hello"), "{error}");
    }
}
