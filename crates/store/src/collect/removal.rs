//! Names and images taken away one by one.

use super::is_gone;
use crate::data::Store;
use crate::error::{IoExt, Result};
use crate::image::LocalId;
use crate::lock::Lock;
use std::fs;
use std::path::Path;

/// What became of an image.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Names it had, in full.
    pub names: Vec<String>,
    /// Its record is deleted; its layers are when nothing else refers to them ([`Store::collect`]).
    pub deleted: bool,
}

/// Deletes a file; one that is gone is no error.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).on("delete", path),
        _ => Ok(()),
    }
}

impl Store {
    /// Takes a name (in full) from what it points to, and deletes the image with its last name unless `keep_image`.
    /// `None`: there is no such name.
    pub fn remove_name(&self, name: &str, keep_image: bool) -> Result<Option<(LocalId, Removed)>> {
        let _deciding = Lock::exclusive(&self.path("images"))?;
        let names = self.names()?;
        let Some(found) = names.iter().find(|known| known.name == name) else {
            return Ok(None);
        };
        let image = found.image.clone();
        let is_last = |image: &LocalId| names.iter().filter(|known| known.stands_for(image)).count() == 1;
        let deleted = if is_last(&image) && !keep_image {
            self.delete_record(&image, &[name])?
        } else {
            false
        };
        if !deleted {
            remove_file(&self.name_path(name))?;
        }
        for other in found.index.others.iter().filter(|other| !keep_image && is_last(other)) {
            self.delete_record(other, &[])?;
        }
        let names = vec![name.to_owned()];
        Ok(Some((image, Removed { names, deleted })))
    }

    /// Deletes an image with all its names. Somebody who is just about to name it keeps it.
    pub fn remove_image(&self, id: &LocalId) -> Result<Removed> {
        let _deciding = Lock::exclusive(&self.path("images"))?;
        let names = self.names()?.into_iter().filter(|known| known.stands_for(id));
        let names: Vec<String> = names.map(|known| known.name).collect();
        let own: Vec<&str> = names.iter().map(String::as_str).collect();
        let deleted = self.delete_record(id, &own)?;
        if !deleted {
            for name in &names {
                remove_file(&self.name_path(name))?;
            }
        }
        Ok(Removed { names, deleted })
    }

    /// Deletes a record with its names and its export, names first: none ever points to nothing. The caller holds
    /// `images/` exclusively. False where somebody holds the record: then nothing is touched.
    pub(super) fn delete_record(&self, id: &LocalId, names: &[&str]) -> Result<bool> {
        let path = self.record_path(id);
        let Some(_lock) = self.lock_record(id)? else {
            return Ok(false);
        };
        for name in names {
            remove_file(&self.name_path(name))?;
        }
        remove_file(&path)?;
        remove_file(&self.export_path(id))?;
        Ok(true)
    }

    /// Whether nobody holds the record.
    pub(super) fn is_record_free(&self, id: &LocalId) -> Result<bool> {
        Ok(self.lock_record(id)?.is_some())
    }

    fn lock_record(&self, id: &LocalId) -> Result<Option<Lock>> {
        match Lock::try_exclusive(&self.record_path(id)) {
            Err(error) if is_gone(&error) => Ok(None),
            result => result,
        }
    }
}
