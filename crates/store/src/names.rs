//! Names of images, and what they point to: an image, or an index of images for several platforms.

use crate::data::Store;
use crate::error::{Error, IoExt, Result};
use crate::image::LocalId;
use crate::layer::{from_json, to_json};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use wiac_oci::digest::Digest;
use wiac_oci::reference::Reference;

/// A name and what it points to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Name {
    /// In full: `docker.io/library/debian:12`.
    pub name: String,
    /// The image.
    pub image: LocalId,
    /// The manifest that the name had where it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
    /// What makes it an index, where it is one.
    #[serde(flatten)]
    pub index: NamedIndex,
}

/// What goes out under a name beside this machine's image: then it goes out as an index.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NamedIndex {
    /// The images for other platforms, in order; none where the name is no index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<LocalId>,
    /// How many of them stand before this machine's image.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub position: usize,
    /// What the index says beside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What the index's descriptor says beside, in an image layout.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub descriptor_annotations: BTreeMap<String, String>,
    /// Its digest, as it was told when it was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Store {
    pub(crate) fn name_path(&self, name: &str) -> PathBuf {
        self.path("images/names").join(file_name(name))
    }

    /// Lets `name` point to an image.
    pub fn name_image(&self, name: &Reference, image: &LocalId) -> Result<()> {
        self.name_manifest(name, image, None)
    }

    /// The same for an image that had this manifest under the name. Images for other platforms that the name stands for
    /// stay.
    pub fn name_manifest(&self, name: &Reference, image: &LocalId, manifest: Option<&Digest>) -> Result<()> {
        let known = match manifest {
            Some(_) => from_json::<Name>(&self.name_path(&name.clone().with_default_tag().to_string())).ok(),
            None => None,
        };
        let known = known.filter(|known| known.image == *image);
        self.write_name(&Name {
            name: name.clone().with_default_tag().to_string(),
            image: image.clone(),
            manifest: manifest.cloned(),
            index: known.map(|known| known.index).unwrap_or_default(),
        })
    }

    /// Lets `name` point to an image and to those for other platforms.
    pub fn name_index(&self, name: &Reference, image: &LocalId, index: &NamedIndex) -> Result<()> {
        self.write_name(&Name {
            name: name.clone().with_default_tag().to_string(),
            image: image.clone(),
            manifest: None,
            index: index.clone(),
        })
    }

    fn write_name(&self, file: &Name) -> Result<()> {
        let _adding = self.adding_images()?;
        for image in [&file.image].into_iter().chain(&file.index.others) {
            if !self.record_path(image).exists() {
                return Err(self.no_such_image(image.as_str()));
            }
        }
        let path = self.name_path(&file.name);
        if from_json::<Name>(&path).is_ok_and(|known| known == *file) {
            return Ok(());
        }
        self.write_durably(&path, &to_json(file))
    }

    /// A name with all it stands for; `None` where nothing is called so.
    pub fn name(&self, name: &Reference) -> Result<Option<Name>> {
        match from_json(&self.name_path(&name.clone().with_default_tag().to_string())) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            result => result.map(Some),
        }
    }

    /// All names with what they point to, sorted.
    pub fn names(&self) -> Result<Vec<Name>> {
        let directory = self.path("images/names");
        let mut names = Vec::new();
        for entry in fs::read_dir(&directory).on("read", &directory)? {
            match from_json::<Name>(&entry.on("read", &directory)?.path()) {
                Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                result => names.push(result?),
            }
        }
        names.sort();
        Ok(names)
    }
}

impl Name {
    /// Whether it stands for this image.
    pub fn stands_for(&self, image: &LocalId) -> bool {
        self.image == *image || self.index.others.contains(image)
    }

    /// As docker shows it: `debian:12`.
    pub fn familiar(&self) -> Option<String> {
        Some(self.name.parse::<Reference>().ok()?.familiar())
    }
}

/// The file of a name. What the name is stands in the file: one that is too long for a file's name is hashed.
pub(crate) fn file_name(name: &str) -> String {
    const LONGEST: usize = 200;
    // '+' stands in no reference.
    let readable = name.replace('/', "+");
    if readable.len() <= LONGEST {
        format!("{readable}.json")
    } else {
        format!("{}.json", Digest::sha256(name).hex())
    }
}
