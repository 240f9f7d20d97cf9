//! Images: names and records.

use super::{Checker, Repair};
use crate::error::Result;
use crate::failures::FailureRecord;
use crate::image::{ImageRecord, LocalId};
use crate::layer::{LayerId, from_json};
use crate::lists::IndexList;
use crate::names::Name;
use std::path::PathBuf;
use wiac_oci::digest::{DiffId, Digest};
use wiac_oci::reference::Reference;
use wiac_sys::error::words;

/// A record with its file.
pub(super) type Record = (LocalId, ImageRecord);

impl Checker<'_> {
    /// The names that can be read.
    pub(super) fn read_names(&mut self) -> Result<Vec<(PathBuf, Name)>> {
        let mut names = Vec::new();
        for path in self.list("images/names")? {
            match from_json::<Name>(&path) {
                Ok(name) if self.store.name_path(&name.name) == path => names.push((path, name)),
                Ok(name) => {
                    let problem = format!("says it is the name {}, which belongs into another file", name.name);
                    self.found(label(&path), problem, Repair::Delete(path), None);
                }
                Err(error) => {
                    let advice = Some("name the image again: wiac tag".to_owned());
                    self.found(label(&path), self.reason(&error), Repair::Delete(path), advice);
                }
            }
        }
        Ok(names)
    }

    /// The records that can be read and have the id they should have.
    pub(super) fn read_records(&mut self) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        for id in self.store.images()? {
            self.report.images += 1;
            let path = self.store.record_path(&id);
            self.restore_export(&id);
            let (known, problem) = match self.read_record(&id) {
                Ok((record, problem)) => (Some(record), problem),
                Err(problem) => (None, Some(problem)),
            };
            let Some(problem) = problem else {
                records.extend(known.map(|record| (id, record)));
                continue;
            };
            let again = self.record_again(&id, known.as_ref());
            let (repair, advice) = match &again {
                Some(record) => (Repair::Record(id.clone(), Box::new(record.clone())), None),
                None => (Repair::Image(id.clone()), Some(self.again(&id))),
            };
            self.found(label(&path), problem, repair, advice);
            records.extend(again.map(|record| (id, record)));
        }
        Ok(records)
    }

    /// A record, and what is wrong with it.
    fn read_record(&self, id: &LocalId) -> Result<(ImageRecord, Option<String>), String> {
        let path = self.store.record_path(id);
        let bytes = crate::layer::read_whole(&path);
        let bytes = bytes.map_err(|error| format!("can't be read: {}", self.kernel_says(&error)))?;
        let record: ImageRecord = serde_json::from_slice(&bytes).map_err(|error| format!("is damaged: {error}"))?;
        let was_made_here = Digest::sha256(&bytes).hex() == id.as_str();
        let problem = if was_made_here {
            None
        } else {
            self.disproved(id, &record)
        };
        Ok((record, problem))
    }

    /// What shows that a record isn't that of an image that came in, which is known by its configuration.
    fn disproved(&self, id: &LocalId, record: &ImageRecord) -> Option<String> {
        if !self.restored.contains(id) {
            let Some(export) = self.seen(self.store.export(id)).flatten() else {
                return Some("its contents don't have this id, and no configuration does".to_owned());
            };
            if !export.is_of_arrival(id) {
                return Some("neither its contents nor its configuration have this id".to_owned());
            }
        }
        if self
            .configuration(id)
            .is_some_and(|meant| meant.to_bytes() != record.config.to_bytes())
        {
            return Some("doesn't say what the image's configuration does".to_owned());
        }
        let diff_ids = &record.config.rootfs.diff_ids;
        if diff_ids.len() != record.layers.len() {
            return Some(format!(
                "has {} layers, its configuration {}",
                record.layers.len(),
                diff_ids.len()
            ));
        }
        let wrong = record.layers.iter().find(|layer| !self.is_whole(layer)).cloned();
        let wrong = wrong.or_else(|| self.exchanged(id, record))?;
        let others = self.record_again(id, Some(record))?;
        (others.layers != record.layers).then(|| format!("names layer {wrong}, which isn't the image's"))
    }

    /// For what to advise.
    pub(super) fn remember_who_needs(&mut self, names: &[(PathBuf, Name)], records: &[Record]) {
        for (_, name) in names {
            let shown = name
                .name
                .parse::<Reference>()
                .map_or_else(|_| name.name.clone(), |name| name.familiar());
            self.names.entry(name.image.clone()).or_default().push(shown);
        }
        for (id, record) in records {
            for layer in &record.layers {
                self.needed.entry(layer.clone()).or_default().insert(id.clone());
            }
        }
    }

    /// A layer of an image that came in which isn't the one that its configuration says: it is told by what its tars' hashes
    /// are, as far as they are known.
    fn exchanged(&self, id: &LocalId, record: &ImageRecord) -> Option<LayerId> {
        let export = self.seen(self.store.export(id)).flatten()?;
        if !export.is_of_arrival(id) {
            return None;
        }
        let is_another = |(layer, diff_id): &(&LayerId, &DiffId)| {
            let known = self.seen(self.store.layer_digests(layer)).map(|digests| digests.tars);
            known.is_some_and(|tars| !tars.is_empty() && tars.iter().all(|tar| tar.diff_id != **diff_id))
        };
        let mut pairs = record.layers.iter().zip(&record.config.rootfs.diff_ids);
        pairs.find(is_another).map(|(layer, _)| layer.clone())
    }

    /// Whether each image has all its layers.
    pub(super) fn images(&mut self, records: &[Record]) {
        for (id, record) in records {
            if let Some(layer) = self.exchanged(id, record) {
                let problem = format!("its layer {layer} isn't the one that its configuration says");
                let advice = Some(self.again(id));
                let repair = Repair::Image(id.clone());
                self.found(format!("image {}", id.short()), problem, repair, advice);
                continue;
            }
            let missing: Vec<&LayerId> = record.layers.iter().filter(|layer| !self.is_whole(layer)).collect();
            if let Some(first) = missing.first() {
                let problem = format!(
                    "{} of its {} layers are missing, layer {first} first",
                    missing.len(),
                    record.layers.len()
                );
                let advice = Some(self.again(id));
                self.found(
                    format!("image {}", id.short()),
                    problem,
                    Repair::Image(id.clone()),
                    advice,
                );
            }
        }
    }

    /// Whether a layer is there and can be used.
    pub(super) fn is_whole(&self, layer: &LayerId) -> bool {
        self.layers
            .get(layer)
            .copied()
            .unwrap_or_else(|| self.store.has_layer(layer))
    }

    /// Whether each name points to an image.
    pub(super) fn name_targets(&mut self, names: &[(PathBuf, Name)]) {
        for (path, name) in names {
            // One that was just set aside took its names along.
            let mut images = [&name.image].into_iter().chain(&name.index.others);
            let missing = images.find(|image| !self.store.record_path(image).exists()).cloned();
            if path.exists()
                && let Some(missing) = missing
            {
                let problem = format!("points to image {}, which isn't there", missing.short());
                let (repair, advice) = match self.record_again(&missing, None) {
                    Some(record) => (Repair::Record(missing, Box::new(record)), None),
                    None => (Repair::Delete(path.clone()), Some(self.again(&missing))),
                };
                self.found(format!("name {}", name.name), problem, repair, advice);
            }
        }
    }

    /// Indexes that were put together by hand.
    pub(super) fn lists(&mut self) -> Result<()> {
        if !self.store.path("images/lists").is_dir() {
            return Ok(());
        }
        for path in self.list("images/lists")? {
            if let Err(error) = from_json::<IndexList>(&path) {
                let advice = Some("put the index together again: wiac manifest create".to_owned());
                self.found(label(&path), self.reason(&error), Repair::Delete(path), advice);
            }
        }
        Ok(())
    }

    /// Steps of builds that failed, kept to be looked at.
    pub(super) fn failures(&mut self) -> Result<()> {
        if !self.store.path("failures").is_dir() {
            return Ok(());
        }
        for path in self.list("failures")? {
            let problem = match from_json::<FailureRecord>(&path) {
                Err(error) => self.reason(&error),
                Ok(failure) => match failure.layers.iter().find(|layer| !self.is_whole(layer)) {
                    Some(layer) => format!("ran on layer {layer}, which isn't there"),
                    None => continue,
                },
            };
            self.found(label(&path), problem, Repair::Delete(path), None);
        }
        Ok(())
    }
}

/// A file of the store, for messages: its path in it.
pub(super) fn label(path: &std::path::Path) -> String {
    let mut parts: Vec<String> = path
        .iter()
        .rev()
        .take(3)
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    parts.reverse();
    parts.join("/")
}

/// Why a file can't be used, without its path.
pub(super) fn reason(error: &crate::Error) -> String {
    match error {
        crate::Error::Damaged { reason, .. } => format!("is damaged: {reason}"),
        crate::Error::Io { source, .. } => format!("can't be read: {}", words(source)),
        other => other.to_string(),
    }
}
