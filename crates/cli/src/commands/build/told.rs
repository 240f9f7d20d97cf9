//! What is said of a build's result: its id (`-q`, `--iidfile`) and `--metadata-file`, as docker buildx says it.
//!
//! An image's id is the digest of its configuration, an index's its own (buildx, commands/build.go, getImageID).

use super::Arguments;
use super::platforms::Images;
use crate::data::Data;
use crate::error::{Failure, words};
use crate::output::write_file;
use std::io::ErrorKind;
use wiac_oci::digest::Digest;
use wiac_oci::manifest::{Descriptor, Platform};
use wiac_oci::reference::Reference;
use wiac_store::temporary::Temporary;
use wiac_store::transfer::{Packing, diff_ids, prepare_index};
use wiac_store::{HeldImage, ImageRecord};

/// What is known of the result. To find it out layers are packed, so that nothing is that nobody asked for.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The configuration's digest, of a single image.
    config: Option<Digest>,
    /// Of the manifest or index.
    descriptor: Option<Descriptor>,
    is_index: bool,
}

impl Told {
    /// Finds out what the arguments ask for. `held`: the images, where they are in the store; `written`: what a name
    /// points to in an archive that was written; `packing`: how they are pushed.
    pub(super) fn find(
        data: &Data,
        arguments: &Arguments,
        images: &Images,
        (held, written): (Option<&[HeldImage]>, Option<Descriptor>),
        packing: &Packing,
    ) -> Result<Self, Failure> {
        let is_index = images.records.len() > 1;
        let wants_id = arguments.iidfile.is_some() || (arguments.quiet && is_index);
        let mut told = Self {
            is_index,
            ..Self::default()
        };
        if arguments.metadata_file.is_some() || (wants_id && is_index) {
            told.descriptor = Some(match written {
                Some(descriptor) => descriptor,
                None => packed(data, images, held, packing)?,
            });
        }
        if !is_index && (wants_id || arguments.metadata_file.is_some()) {
            told.config = Some(true_id(data, &images.records[0], packing.clamp)?);
        }
        Ok(told)
    }

    /// What other tools call the result.
    pub(super) fn id(&self) -> Option<&Digest> {
        self.config.as_ref().or(self.index())
    }

    /// The index's digest.
    pub(super) fn index(&self) -> Option<&Digest> {
        let index = self.descriptor.as_ref().filter(|_| self.is_index);
        index.map(|descriptor| &descriptor.digest)
    }

    /// Writes the files that say what was built.
    pub(super) fn write<'r>(
        &self,
        arguments: &Arguments,
        images: &Images,
        repositories: impl Iterator<Item = &'r Reference>,
    ) -> Result<(), Failure> {
        if let (Some(path), Some(id)) = (&arguments.iidfile, self.id()) {
            write_file(path, id.as_str())?;
        }
        let Some(path) = &arguments.metadata_file else {
            return Ok(());
        };
        let mut metadata = serde_json::Map::new();
        if let Some(config) = &self.config {
            metadata.insert("containerimage.config.digest".to_owned(), config.as_str().into());
        }
        if let Some(descriptor) = &self.descriptor {
            let mut descriptor = descriptor.clone();
            descriptor.platform = (!self.is_index).then(|| Platform::of(&images.records[0].config));
            let value = serde_json::to_value(&descriptor).map_err(|error| Failure::new(error.to_string()))?;
            metadata.insert("containerimage.descriptor".to_owned(), value);
            metadata.insert("containerimage.digest".to_owned(), descriptor.digest.as_str().into());
        }
        let names = arguments.tag.iter().cloned();
        let names = names.map(|name| name.with_default_tag().to_string());
        let names: Vec<String> = names.chain(repositories.map(ToString::to_string)).collect();
        if !names.is_empty() {
            metadata.insert("image.name".to_owned(), names.join(",").into());
        }
        write_file(path, &format!("{:#}\n", serde_json::Value::Object(metadata)))
    }
}

/// Deletes the id of an earlier build: one that fails must not leave it, as in buildx. What a symlink leads to is emptied,
/// and a pipe or device stays: root would delete `/dev/stdout`, or `/dev/null`.
pub(super) fn forget(arguments: &Arguments) -> Result<(), Failure> {
    let Some(path) = &arguments.iidfile else {
        return Ok(());
    };
    let forgotten = match path.metadata() {
        Ok(found) if found.is_file() && path.is_symlink() => return write_file(path, ""),
        _ if path.is_symlink() => Ok(()),
        Ok(found) if !found.is_file() && !found.is_dir() => Ok(()),
        _ => std::fs::remove_file(path),
    };
    match forgotten {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Failure::new(format!(
            "can't delete {}: {}",
            path.display(),
            words(&error)
        ))),
        _ => Ok(()),
    }
}

/// The descriptor that the result gets where it is pushed, or saved with nothing said about packing.
fn packed(data: &Data, images: &Images, held: Option<&[HeldImage]>, packing: &Packing) -> Result<Descriptor, Failure> {
    let room = Temporary::new(&data.store)?;
    let wanted = images.wanted(Vec::new(), held);
    Ok(prepare_index(&data.store, &wanted, packing, &room)?.described(&wanted))
}

/// The id that other tools know an image by: the hash of its configuration with every diff ID, for which the layers are
/// packed once.
fn true_id(data: &Data, record: &ImageRecord, clamp: Option<i64>) -> Result<Digest, Failure> {
    let mut config = record.config.clone();
    config.rootfs.diff_ids = diff_ids(&data.store, record, clamp)?;
    Ok(Digest::sha256(config.to_bytes()))
}
