//! The build cache: step key → layer.

use crate::collect::text_of_entry;
use crate::data::Store;
use crate::error::{IoExt, Result};
use crate::layer::{HeldLayer, LayerId};
use std::fs;
use std::path::PathBuf;
use wiac_sys::mapped::Mapped;

/// A step that was carried out before.
#[derive(Debug)]
pub struct CachedStep {
    /// What it made.
    pub layer: HeldLayer,
    /// What the layer counts as for the keys of steps above it.
    pub lineage: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// Further keys of the same step.
    pub other_keys: Vec<String>,
}

impl Store {
    fn step_path(&self, key: &str) -> PathBuf {
        self.path("cache/steps").join(key)
    }

    /// The layer that a step with this key made before, held, if it is still there. `key` is hexadecimal.
    pub fn cached_step(&self, key: &str) -> Result<Option<HeldLayer>> {
        Ok(self.find_step(key)?.map(|step| step.layer))
    }

    /// The same with what is known of the step.
    pub fn find_step(&self, key: &str) -> Result<Option<CachedStep>> {
        let path = self.step_path(key);
        let Some(text) = text_of_entry(&path)? else {
            return Ok(None);
        };
        let Some(id) = layer_of_entry(&text) else {
            return Ok(None);
        };
        let Some(layer) = self.hold_layer(id)? else {
            return Ok(None);
        };
        let info = self.layer_info(&layer.id)?;
        let mut words = text.split_whitespace().skip(1).map(str::to_owned);
        Ok(Some(CachedStep {
            layer,
            lineage: words.next().unwrap_or(info.lineage),
            created: info.created,
            other_keys: words.collect(),
        }))
    }

    /// The keys of all steps whose layers are remembered, and the layers.
    pub fn cached_layers(&self) -> Result<Vec<(String, LayerId)>> {
        let entries = crate::collect::step_entries(self)?;
        let known = entries.into_iter().filter_map(|(path, layer)| {
            let key = path.file_name()?.to_str()?.to_owned();
            Some((key, layer?))
        });
        Ok(known.collect())
    }

    /// Remembers which layer a step made.
    pub fn remember_step(&self, key: &str, layer: &LayerId) -> Result<()> {
        self.write_whole(&self.step_path(key), format!("{layer}\n").as_bytes())
    }

    /// The same for a layer that counts as something else than its own description says for the keys of steps above it,
    /// and for one that is known by other keys too.
    pub fn remember_step_as(&self, key: &str, layer: &LayerId, lineage: &str, other_keys: &[String]) -> Result<()> {
        let words = [layer.as_str(), lineage];
        let words = words.into_iter().chain(other_keys.iter().map(String::as_str));
        let text = words.collect::<Vec<_>>().join(" ");
        self.write_whole(&self.step_path(key), format!("{text}\n").as_bytes())
    }

    /// The layer that a COPY or ADD like this one made last, held, and the table of file hashes that was right then; `None`
    /// where there was none, or its layer is gone. `key` is hexadecimal: of all that makes the step but its files' contents.
    pub fn last_copy(&self, key: &str) -> Result<Option<(HeldLayer, String)>> {
        let path = self.last_copy_path(key);
        let Some(text) = text_of_entry(&path)? else {
            return Ok(None);
        };
        let mut words = text.split_whitespace();
        let (Some(layer), Some(table)) = (words.next().and_then(LayerId::parse), words.next()) else {
            return Ok(None);
        };
        if let Some(held) = self.hold_layer(layer)? {
            return Ok(Some((held, table.to_owned())));
        }
        // Nobody asks for it under another key.
        let _ = fs::remove_file(&path);
        Ok(None)
    }

    /// Remembers which layer a COPY or ADD made, under the table of file hashes called `table`.
    pub fn remember_copy(&self, key: &str, layer: &LayerId, table: &str) -> Result<()> {
        self.write_whole(&self.last_copy_path(key), format!("{layer} {table}\n").as_bytes())
    }

    fn last_copy_path(&self, key: &str) -> PathBuf {
        self.path("cache/files").join(format!("{key}.copy"))
    }

    /// Reads a remembered table of file hashes; `None` where there is none yet.
    pub fn file_table(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path("cache/files").join(name);
        match crate::layer::read_whole(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).on("read", &path),
        }
    }

    /// The same without reading it: for a large one, of which little may be needed.
    pub fn map_file_table(&self, name: &str) -> Result<Option<Mapped>> {
        let path = self.path("cache/files").join(name);
        match fs::File::open(&path).and_then(|file| Mapped::new(&file)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).on("read", &path),
        }
    }

    /// Replaces a table of file hashes.
    pub fn write_file_table(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.write_whole(&self.path("cache/files").join(name), bytes)
    }
}

/// The layer that an entry of the cache names.
pub(crate) fn layer_of_entry(text: &str) -> Option<LayerId> {
    text.split_whitespace().next().and_then(LayerId::parse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wiac_layer::Form;

    #[test]
    fn a_step_without_its_layer_is_forgotten() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        let id = LayerId::random().expect("random");
        store.remember_step("abc", &id).expect("written");
        assert!(store.cached_step("abc").expect("read").is_none());
        let info = crate::LayerInfo {
            form: Form::Trusted,
            lineage: String::new(),
            created_by: String::new(),
            created: String::new(),
            unpacked_from: None,
            elsewhere: None,
        };
        let draft = crate::layer::Draft::new(&store).expect("draft");
        let layer = draft.commit(&store, &info).expect("committed");
        store.remember_step("abc", &layer.id).expect("written");
        let held = store.cached_step("abc").expect("read").expect("there");
        assert_eq!(held.id, layer.id);
    }
}
