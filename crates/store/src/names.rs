//! Names of images, and what they point to: an image, or an index of images for several platforms.

use crate::data::Store;
use crate::error::{Error, IoExt, Result};
use crate::image::LocalId;
use crate::layer::{from_json, to_json};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use wiac_oci::digest::Digest;
use wiac_oci::reference::Reference;

/// Where indexes are kept by their digests.
pub(crate) const INDEXES: &str = "images/indexes";

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
        self.write_target(&self.name_path(&file.name), file)
    }

    /// Keeps an index by the digest that it was told by, whatever it is called. It goes with the first of its images.
    pub fn keep_index(&self, image: &LocalId, index: &NamedIndex) -> Result<()> {
        let Some(digest) = &index.digest else { return Ok(()) };
        let _adding = self.adding_images()?;
        let directory = self.path(INDEXES);
        // A data directory that nothing was kept in lacks it.
        fs::create_dir_all(&directory).on("create", &directory)?;
        let file = Name {
            name: String::new(),
            image: image.clone(),
            manifest: None,
            index: index.clone(),
        };
        self.write_target(&directory.join(format!("{}.json", digest.hex())), &file)
    }

    /// Writes what a name or digest points to; the caller has the lock of who adds.
    fn write_target(&self, path: &Path, file: &Name) -> Result<()> {
        for image in [&file.image].into_iter().chain(&file.index.others) {
            if !self.record_path(image).exists() {
                return Err(self.no_such_image(image.as_str()));
            }
        }
        if from_json::<Name>(path).is_ok_and(|known| known == *file) {
            return Ok(());
        }
        self.write_durably(path, &to_json(file))
    }

    /// A name with all it stands for; `None` where nothing is called so.
    pub fn name(&self, name: &Reference) -> Result<Option<Name>> {
        match from_json(&self.name_path(&name.clone().with_default_tag().to_string())) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
            result => result.map(Some),
        }
    }

    /// The index that `text` means: a name that stands for one, or the digest it was told by (or its beginning).
    ///
    /// # Errors
    /// Files that can't be read.
    pub fn find_index(&self, text: &str) -> Result<Option<Name>> {
        let reference = text.parse::<Reference>().ok();
        if let Some(reference) = &reference
            && let Some(name) = self.name(reference)?
        {
            return Ok(Some(name).filter(|name| !name.index.others.is_empty()));
        }
        if let Some(digest) = reference.as_ref().and_then(Reference::digest) {
            return Ok(self.indexes(digest.hex())?.into_iter().next());
        }
        let prefix = text.strip_prefix("sha256:").unwrap_or(text);
        let found = self.indexes(prefix)?.into_iter().next();
        // What is the beginning of an image's id means the image.
        Ok(if found.is_some() && self.find_ids(prefix)?.is_empty() {
            found
        } else {
            None
        })
    }

    /// The indexes whose digests, as they were told, begin with these digits: those with names first.
    pub(crate) fn indexes(&self, prefix: &str) -> Result<Vec<Name>> {
        if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Vec::new());
        }
        let mut found = self.names()?;
        found.retain(|name| matches!(&name.index.digest, Some(digest) if digest.hex().starts_with(prefix)));
        for (path, known) in self.kept_indexes()? {
            let is_meant = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(prefix));
            found.extend(known.filter(|_| is_meant));
        }
        Ok(found)
    }

    /// Every index that is kept by its digest, with its file; `None` for one that lacks an image.
    pub(crate) fn kept_indexes(&self) -> Result<Vec<(PathBuf, Option<Name>)>> {
        let directory = self.path(INDEXES);
        let mut found = Vec::new();
        let entries = match fs::read_dir(&directory) {
            // A data directory that nothing was kept in lacks it.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(found),
            entries => entries.on("read", &directory)?,
        };
        for entry in entries {
            let path = entry.on("read", &directory)?.path();
            let known = match from_json::<Name>(&path) {
                Err(Error::Damaged { .. }) => None,
                // Deleted meanwhile; or something that is no such file.
                Err(Error::Io { source, .. })
                    if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) =>
                {
                    None
                }
                known => Some(known?),
            };
            let has = |image: &LocalId| self.record_path(image).exists();
            let known = known.filter(|known| has(&known.image) && known.index.others.iter().all(has));
            found.push((path, known));
        }
        Ok(found)
    }

    /// Forgets an index that is kept by its digest; its images stay. False where there is none.
    ///
    /// # Errors
    /// What the disk says.
    pub fn forget_index(&self, digest: &Digest) -> Result<bool> {
        let path = self.path(INDEXES).join(format!("{}.json", digest.hex()));
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            result => result.map(|()| true).on("delete", &path),
        }
    }

    /// All names with what they point to, sorted.
    pub fn names(&self) -> Result<Vec<Name>> {
        let directory = self.path("images/names");
        let mut names = Vec::new();
        for entry in fs::read_dir(&directory).on("read", &directory)? {
            match from_json::<Name>(&entry.on("read", &directory)?.path()) {
                Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
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
