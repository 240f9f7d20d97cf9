//! Proves the whole store: that everything that is referred to is there and is what it says it is, and that nothing lies
//! about that belongs to nobody.
//!
//! Others may use the store meanwhile. What is looked at as a whole is looked at under the exclusive lock on `images/`,
//! for a moment only: no image is half added then, and nothing is taken away. Contents are read afterwards, each thing
//! under its own lock. What somebody is at work on is never a finding.

mod contents;
mod digests;
mod entries;
mod exports;
mod fingerprint;
mod hindrance;
mod images;
mod layout;
mod proof;
mod rebuild;

use crate::LayerDigests;
use crate::data::Store;
use crate::error::{IoExt, Result};
use crate::image::{Export, ImageRecord, LocalId};
use crate::layer::{DESCRIPTION, LayerId, LayerInfo, to_json};
use crate::lock::Lock;
use images::label;
use proof::Proofs;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use wiac_layer::unpack::OwnerPolicy;
use wiac_oci::digest::Digest;

/// How closely to look.
#[derive(Debug, Clone, Copy)]
pub struct CheckOptions {
    /// Leave out contents: neither blobs are hashed nor layers counted.
    pub quick: bool,
    /// Unpack layers that came in again, pack the others again, and compare what comes out with what came out before.
    pub deep: bool,
    /// Take away what leads nowhere, and set aside what is damaged.
    pub repair: bool,
    /// What becomes of owners in what is unpacked again: as for [`crate::transfer::load`].
    pub owners: OwnerPolicy,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            quick: false,
            deep: false,
            repair: false,
            owners: OwnerPolicy::Set,
        }
    }
}

/// Something wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// With what.
    pub what: String,
    /// What is wrong.
    pub problem: String,
    /// What was done about it.
    pub repaired: Option<String>,
    /// What the user has to do.
    pub advice: Option<String>,
}

impl Finding {
    /// Whether it is one no more.
    pub fn is_mended(&self) -> bool {
        self.repaired.as_ref().is_some_and(|done| !done.starts_with(NOT_MENDED))
    }
}

impl Finding {
    /// Whether it is the same, whatever became of it.
    fn is_same(&self, other: &Self) -> bool {
        (&self.what, &self.problem) == (&other.what, &other.problem)
    }
}

/// How [`Finding::repaired`] begins where mending failed.
const NOT_MENDED: &str = "not mended";

/// What was found.
#[derive(Debug, Default)]
pub struct CheckReport {
    /// What is wrong; empty for a whole store.
    pub findings: Vec<Finding>,
    /// What is worth knowing and not wrong.
    pub notes: Vec<String>,
    /// How many images, layers and blobs were looked at.
    pub images: usize,
    /// Layers.
    pub layers: usize,
    /// Blobs.
    pub blobs: usize,
    /// Layers whose files were compared with what their blobs give.
    pub compared: usize,
    /// Layers that could be compared with nothing: the next deep check compares them with what they are now.
    pub first_seen: usize,
    /// Layers that couldn't be compared with their blobs: how many, and the first one with the reason.
    not_compared: Option<(usize, String)>,
    /// Notes on contents, which are looked at once.
    on_contents: Vec<String>,
}

/// What is to be done about a finding.
enum Repair {
    Nothing,
    /// Delete a small file.
    Delete(PathBuf),
    /// Move something into `quarantine/` under a name, if nobody uses it.
    SetAside(PathBuf, String),
    /// Set a record aside, with its names and its export deleted.
    Image(LocalId),
    /// Write what an image is called outside anew.
    Export(PathBuf, Export),
    /// Write an image's record anew.
    Record(LocalId, Box<ImageRecord>),
    /// Write a layer's description anew.
    Describe(LayerId, Box<LayerInfo>),
    /// Keep an image that came in, and whose configuration or manifests are lost.
    Documents(LocalId, Export),
    /// Make a directory of the layout, with whatever stands in its place set aside.
    Directory(PathBuf),
    /// Write anew what a layer is called outside.
    Digests(LayerId, Box<LayerDigests>),
    /// Write down anew how many bytes a layer's files have.
    Size(LayerId, u64),
}

/// A check being made.
struct Checker<'s> {
    store: &'s Store,
    options: CheckOptions,
    report: CheckReport,
    /// Layers that are there, with whether they are whole.
    layers: HashMap<LayerId, bool>,
    /// The names of each image, as people write them.
    names: HashMap<LocalId, Vec<String>>,
    /// Images by the layers they need.
    needed: HashMap<LayerId, HashSet<LocalId>>,
    /// Entries that lead nowhere and harm nobody.
    stale: usize,
    /// Images whose export was lost and is known from their configuration.
    restored: HashSet<LocalId>,
    /// Images that were kept although what they came with is lost.
    without_documents: Vec<LocalId>,
    /// The layout is there: without it nothing can be looked at.
    has_directories: bool,
    /// What became of layers that came in.
    proofs: Proofs,
    /// The first thing that couldn't be looked at, and why.
    hindrance: OnceLock<String>,
}

impl Store {
    /// Looks at everything. What is wrong is in the report; an error is what kept the check from looking. Where something
    /// is mended, what was set aside may have been needed by more: the rest of the store is looked at again, until nothing
    /// is mended any more.
    pub fn check(&self, options: CheckOptions) -> Result<CheckReport> {
        let mut report = self.look_at_all(options)?;
        let mut has_changed = report.findings.iter().any(Finding::is_mended);
        while has_changed {
            // Contents were read, and are what they were.
            let again = self.look_at_all(CheckOptions {
                quick: true,
                deep: false,
                ..options
            })?;
            let is_known = |found: &Finding| {
                let mut known = report.findings.iter();
                known.any(|known| known == found || (!found.is_mended() && known.is_same(found)))
            };
            let new: Vec<Finding> = again.findings.into_iter().filter(|found| !is_known(found)).collect();
            has_changed = new.iter().any(Finding::is_mended);
            report.findings.extend(new);
            report.notes = again.notes;
        }
        report.notes.append(&mut report.on_contents);
        if let Some((count, first)) = &report.not_compared {
            let note = format!("{count} layers couldn't be compared with their blobs, first {first}");
            report.notes.push(note);
        }
        Ok(report)
    }

    fn look_at_all(&self, options: CheckOptions) -> Result<CheckReport> {
        let mut checker = Checker {
            store: self,
            options,
            report: CheckReport::default(),
            layers: HashMap::new(),
            names: HashMap::new(),
            needed: HashMap::new(),
            stale: 0,
            restored: HashSet::new(),
            without_documents: Vec::new(),
            has_directories: false,
            proofs: Proofs::default(),
            hindrance: OnceLock::new(),
        };
        checker.structure()?;
        checker.judge()?;
        if !checker.has_directories {
            return Ok(checker.report);
        }
        if !options.quick {
            checker.blob_contents()?;
        }
        checker.other_sizes();
        if !options.quick {
            if options.deep {
                checker.prove_layers()?;
            }
            checker.layer_contents()?;
        }
        if options.deep {
            checker.pack_again()?;
            checker.fingerprints()?;
        }
        checker.judge()?;
        Ok(checker.report)
    }
}

impl Checker<'_> {
    /// Everything but contents, in one picture. Layers and entries of the build cache are added by others meanwhile:
    /// entries are read before layers, since a layer is there before what points to it.
    fn structure(&mut self) -> Result<()> {
        self.has_directories = self.directories();
        if !self.has_directories {
            return Ok(());
        }
        let path = self.store.path("images");
        let _lock = if self.options.repair {
            Lock::exclusive(&path)?
        } else {
            Lock::shared(&path)?
        };
        self.layout()?;
        self.tables()?;
        let names = self.read_names()?;
        let records = self.read_records()?;
        self.remember_who_needs(&names, &records);
        let leases = self.store.leases()?;
        let steps = crate::collect::step_entries(self.store)?;
        let diff_ids = self.store.diff_id_entries()?;
        self.layer_directories()?;
        self.images(&records);
        self.name_targets(&names);
        self.exports()?;
        self.lists()?;
        self.failures()?;
        self.entries(&steps, &diff_ids)?;
        self.leases(&leases)?;
        self.notes(&records, &steps, &leases)?;
        self.temporary()
    }

    /// Writes a finding down, and mends it where that is asked for.
    fn found(&mut self, what: impl Into<String>, problem: impl Into<String>, repair: Repair, advice: Option<String>) {
        if self.is_hindered() {
            return;
        }
        let repaired = if self.options.repair { self.repair(repair) } else { None };
        self.report.findings.push(Finding {
            what: what.into(),
            problem: problem.into(),
            repaired,
            advice,
        });
    }

    fn repair(&mut self, repair: Repair) -> Option<String> {
        let outcome = match repair {
            Repair::Nothing => return None,
            Repair::Delete(path) => self.delete(&path),
            Repair::SetAside(path, name) => self.set_aside(&path, &name),
            Repair::Image(id) => self.set_image_aside(&id),
            Repair::Export(path, export) => self.write_export(&path, &export),
            Repair::Record(id, record) => self.write_anew(&self.store.record_path(&id), &to_json(&*record)),
            Repair::Describe(id, info) => {
                self.write_anew(&self.store.layer_directory(&id).join(DESCRIPTION), &to_json(&*info))
            }
            Repair::Digests(id, digests) => self.write_anew(&self.digests_path(&id), &to_json(&*digests)),
            Repair::Documents(id, export) => self.keep_without_documents(&id, export),
            Repair::Directory(path) => self.make_directory(&path),
            Repair::Size(id, size) => self.write_size(&id, size),
        };
        Some(outcome.unwrap_or_else(|error| format!("{NOT_MENDED}: {error}")))
    }

    fn set_aside(&self, path: &Path, name: &str) -> Result<String> {
        // A symlink is nobody's, and may lead nowhere.
        let is_link = path.is_symlink();
        let lock = if is_link { None } else { Lock::unless_used(path)? };
        if lock.is_none() && !is_link {
            return Ok(format!("{NOT_MENDED}: it is in use; check again when nothing runs"));
        }
        let place = self.store.path("quarantine").join(name);
        fs::rename(path, &place).on("set aside", path)?;
        Ok(format!("moved to quarantine/{name}"))
    }

    /// Deletes a small file. What isn't one is set aside.
    fn delete(&self, path: &Path) -> Result<String> {
        if path.is_dir() {
            return self.set_aside(path, &label(path).replace('/', "-"));
        }
        crate::collect::remove_file(path).map(|()| "deleted".to_owned())
    }

    fn write_export(&self, path: &Path, export: &Export) -> Result<String> {
        self.write_anew(path, &to_json(export))
    }

    fn write_anew(&self, path: &Path, bytes: &[u8]) -> Result<String> {
        self.delete(path)?;
        self.store.write_durably(path, bytes)?;
        Ok("written anew".to_owned())
    }

    /// An image is run by its record, which has what the configuration says: only bytes are lost. Those that we would write
    /// for the configuration may be the same.
    fn keep_without_documents(&self, id: &LocalId, mut export: Export) -> Result<String> {
        let bytes = self.store.image(id)?.config.to_bytes();
        let has_config = Digest::sha256(&bytes) == export.config;
        if has_config {
            self.store.write_document(&bytes)?;
        }
        let is_here = |digest| self.seen(self.store.document(digest)).is_some();
        let has_config = has_config || is_here(&export.config);
        export.are_lost = !has_config || export.manifests.iter().any(|known| !is_here(&known.digest));
        self.judge()?;
        let done = self.write_export(&self.store.export_path(id), &export)?;
        Ok(match (export.are_lost, has_config) {
            (false, _) => done,
            (true, true) => "the image is kept, but goes out under another digest".to_owned(),
            (true, false) => "the image is kept, but goes out under another id".to_owned(),
        })
    }

    fn write_size(&self, id: &LayerId, size: u64) -> Result<String> {
        self.store.update_digests(id, |digests| digests.size = Some(size))?;
        Ok("written anew".to_owned())
    }

    fn make_directory(&self, path: &Path) -> Result<String> {
        let mut done = "made".to_owned();
        if path.symlink_metadata().is_ok() {
            let name = path.strip_prefix(self.store.root()).unwrap_or(path);
            done = self.set_aside(path, &name.to_string_lossy().replace('/', "-"))?;
        }
        fs::create_dir_all(path).on("create", path)?;
        Ok(done)
    }

    /// Names first, so that none points to nothing.
    fn set_image_aside(&self, id: &LocalId) -> Result<String> {
        for name in self.store.names()? {
            if name.stands_for(id) {
                self.delete(&self.store.name_path(&name.name))?;
            }
        }
        let done = self.set_aside(&self.store.record_path(id), &format!("{id}.json"))?;
        self.delete(&self.store.export_path(id))?;
        Ok(done)
    }

    /// What to do about an image: get it again, under its names.
    fn again(&self, id: &LocalId) -> String {
        match self.names.get(id) {
            Some(names) => format!("load, pull or build {} again", names.join(", ")),
            None => format!("load, pull or build image {} again", id.short()),
        }
    }

    /// The same for the images that need a layer.
    fn again_for(&self, layer: &LayerId) -> Option<String> {
        let images = self.needed.get(layer)?;
        let mut all: Vec<String> = images.iter().map(|id| self.again(id)).collect();
        all.sort();
        Some(all.join("; "))
    }
}

/// The last part of a path, for messages.
fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
