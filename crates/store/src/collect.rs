//! The collector: deletes what nothing refers to, while others go on building, running and loading.
//!
//! It holds `images/` exclusively while it decides, so that no image, name or lease can come to refer to what is being
//! looked at. Each thing is then locked without waiting: what anybody uses stays. What is taken is renamed into a
//! directory in `tmp/`, and deleted there after everybody may go on. A crash leaves something for the next sweep at most.

mod leftovers;
mod references;
mod removal;
mod room;

pub use removal::Removed;

use crate::data::Store;
use crate::error::{IoExt, Result};
use crate::image::{ImageRecord, LocalId};
use crate::layer::LayerId;
use crate::lock::Lock;
use crate::usage::contents_size;
pub(crate) use references::{References, idle_downloads, is_gone, step_entries, text_of_entry};
pub(crate) use removal::remove_file;
use room::Room;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use wiac_oci::digest::Digest;

/// What is to be deleted beside the things that nothing refers to.
pub struct Selection<'s> {
    /// Images, by id, record and whether they have a name.
    pub images: &'s dyn Fn(&LocalId, &ImageRecord, bool) -> bool,
    /// Entries of the build cache: those from before this time.
    pub cache: Option<SystemTime>,
    /// Layers as they came in: the layers themselves stay.
    pub layer_blobs: bool,
    /// What was set aside after a crash.
    pub quarantine: bool,
    /// Downloads that were cut off and that nobody goes on with.
    pub downloads: bool,
    /// Failed steps of builds.
    pub failures: bool,
    /// Only look.
    pub dry_run: bool,
}

impl Selection<'_> {
    /// Only what nothing refers to.
    pub fn unreferenced() -> Self {
        Self {
            images: &|_, _, _| false,
            cache: None,
            layer_blobs: false,
            quarantine: false,
            downloads: false,
            failures: false,
            dry_run: false,
        }
    }
}

/// What was deleted, or would be.
#[derive(Debug, Default)]
pub struct Collected {
    /// Images.
    pub images: Vec<LocalId>,
    /// Their names.
    pub names: Vec<String>,
    /// Entries of the build cache.
    pub steps: Vec<String>,
    /// Layers with the bytes of their contents.
    pub layers: Vec<(LayerId, u64)>,
    /// Blobs with their length.
    pub blobs: Vec<(Digest, u64)>,
    /// What was set aside.
    pub quarantined: Vec<(String, u64)>,
    /// Downloads that were cut off.
    pub downloads: Vec<(String, u64)>,
    /// Entries of indexes, leases and names of containers that led nowhere.
    pub dangling: usize,
}

impl Collected {
    /// The space that is free now, in bytes.
    pub fn reclaimed(&self) -> u64 {
        let layers = self.layers.iter().map(|(_, size)| size);
        let blobs = self.blobs.iter().map(|(_, size)| size);
        let quarantined = self.quarantined.iter().map(|(_, size)| size);
        let downloads = self.downloads.iter().map(|(_, size)| size);
        layers.chain(blobs).chain(quarantined).chain(downloads).sum()
    }

    fn append(&mut self, mut more: Self) {
        self.images.append(&mut more.images);
        self.names.append(&mut more.names);
        self.steps.append(&mut more.steps);
        self.layers.append(&mut more.layers);
        self.blobs.append(&mut more.blobs);
        self.quarantined.append(&mut more.quarantined);
        self.downloads.append(&mut more.downloads);
        self.dangling += more.dangling;
    }
}

/// One collection.
struct Collector<'s> {
    store: &'s Store,
    selection: &'s Selection<'s>,
    room: Room,
    collected: Collected,
    /// Where layers and quarantined things wait for their deletion.
    taken: Vec<(Taken, PathBuf)>,
}

enum Taken {
    Layer(LayerId),
    Quarantined(String),
}

impl Store {
    /// Deletes what is selected and what nothing refers to.
    ///
    /// # Errors
    /// A record that can't be read: what it refers to isn't known, so nothing is deleted.
    pub fn collect(&self, selection: &Selection<'_>) -> Result<Collected> {
        let (mut collected, was_cramped) = self.collect_once(selection)?;
        // On a full disk only so much at a time; there is room for the rest now.
        if was_cramped && collected.reclaimed() > 0 && !selection.dry_run {
            collected.append(self.collect_once(selection)?.0);
        }
        Ok(collected)
    }

    fn collect_once(&self, selection: &Selection<'_>) -> Result<(Collected, bool)> {
        let mut collector = Collector {
            store: self,
            selection,
            room: Room::new(self)?,
            collected: Collected::default(),
            taken: Vec::new(),
        };
        {
            let _deciding = Lock::exclusive(&self.path("images"))?;
            collector.decide()?;
        }
        let was_cramped = collector.room.is_cramped();
        Ok((collector.finish()?, was_cramped))
    }
}

impl Collector<'_> {
    fn decide(&mut self) -> Result<()> {
        let images = self.images()?;
        let mut references = References::of_images(self.store, &images)?;
        self.leases(&mut references)?;
        self.failures(&mut references)?;
        self.steps(&mut references)?;
        let unused: Vec<LayerId> = self.store.layers()?;
        let unused: Vec<LayerId> = unused
            .into_iter()
            .filter(|id| !references.layers.contains(id))
            .collect();
        if !unused.is_empty() && !self.selection.dry_run {
            // The records that referred to them are gone on the disk before they are.
            for directory in ["images/names", "images/records"] {
                let directory = self.store.path(directory);
                let synced = fs::File::open(&directory).and_then(|file| file.sync_all());
                synced.on("sync", &directory)?;
            }
        }
        for id in unused {
            self.layer(id)?;
        }
        self.blobs(&references)?;
        self.indexes()?;
        self.marks()?;
        if self.selection.downloads {
            self.downloads()?;
        }
        if self.selection.quarantine {
            self.quarantine()?;
        }
        Ok(())
    }

    /// Deletes the images that are selected; gives those that stay.
    fn images(&mut self) -> Result<Vec<(LocalId, ImageRecord)>> {
        let names = self.store.names()?;
        let mut kept = Vec::new();
        for id in self.store.images()? {
            let record = self.store.image(&id)?;
            let own: Vec<&str> = names
                .iter()
                .filter(|name| name.stands_for(&id))
                .map(|name| name.name.as_str())
                .collect();
            let is_selected = (self.selection.images)(&id, &record, !own.is_empty());
            if !is_selected || !self.delete_image(&id, &own)? {
                kept.push((id, record));
                continue;
            }
            self.collected.names.extend(own.iter().map(|name| (*name).to_owned()));
            self.collected.images.push(id);
        }
        Ok(kept)
    }

    fn delete_image(&self, id: &LocalId, names: &[&str]) -> Result<bool> {
        if self.selection.dry_run {
            return self.store.is_record_free(id);
        }
        self.store.delete_record(id, names)
    }

    fn leases(&mut self, references: &mut References) -> Result<()> {
        for (path, lease) in self.store.leases()? {
            match lease.filter(|lease| self.store.is_valid(lease)) {
                Some(lease) => references.layers.extend(lease.layers),
                None => self.dangling(&path)?,
            }
        }
        Ok(())
    }

    /// Failed steps keep theirs, unless they are to go.
    fn failures(&mut self, references: &mut References) -> Result<()> {
        for failure in self.store.failures()? {
            if !self.selection.failures {
                references.layers.extend(failure.layers);
            } else if !self.selection.dry_run {
                self.store.remove_failure(&failure)?;
            }
        }
        Ok(())
    }

    /// The build cache keeps its layers, as long as it isn't cleared.
    fn steps(&mut self, references: &mut References) -> Result<()> {
        for (path, layer) in step_entries(self.store)? {
            let written = fs::symlink_metadata(&path).and_then(|meta| meta.modified());
            let is_old = self
                .selection
                .cache
                .is_some_and(|until| written.is_ok_and(|written| written <= until));
            match layer.filter(|id| self.store.has_layer(id)) {
                Some(_) if is_old => {
                    let key = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    self.collected.steps.push(key);
                    self.delete_file(&path)?;
                }
                Some(id) => drop(references.layers.insert(id)),
                None => self.dangling(&path)?,
            }
        }
        Ok(())
    }

    fn layer(&mut self, id: LayerId) -> Result<()> {
        let path = self.store.layer_directory(&id);
        if let Some(moved) = self.take(&path, id.as_str())? {
            self.taken.push((Taken::Layer(id), moved));
        }
        Ok(())
    }

    /// Blobs that no image and no layer speaks of. Layers that are still here, used or not, keep theirs.
    fn blobs(&mut self, references: &References) -> Result<()> {
        let mut kept = references.documents.clone();
        if !self.selection.layer_blobs {
            let taken: Vec<&LayerId> = self
                .taken
                .iter()
                .filter_map(|(taken, _)| match taken {
                    Taken::Layer(id) => Some(id),
                    Taken::Quarantined(_) => None,
                })
                .collect();
            for id in self.store.layers()?.iter().filter(|id| !taken.contains(id)) {
                let tars = self.store.layer_digests(id)?.tars;
                kept.extend(tars.into_iter().flat_map(|tar| tar.blobs).map(|blob| blob.digest));
            }
        }
        for digest in self.store.blobs()?.into_iter().filter(|digest| !kept.contains(digest)) {
            let path = self.store.blob_path(&digest);
            let size = fs::symlink_metadata(&path).map_or(0, |meta| meta.len());
            let mark = digest.as_str().replace(':', "-");
            if self.take(&path, &mark)?.is_some() {
                self.collected.blobs.push((digest, size));
            }
        }
        Ok(())
    }

    /// Moves something nobody uses into the room, and takes it off the list of what isn't synced. `None`: it is in use.
    fn take(&mut self, path: &Path, name: &str) -> Result<Option<PathBuf>> {
        let lock = match Lock::try_exclusive(path) {
            Err(error) if is_gone(&error) => return Ok(None),
            result => result?,
        };
        let Some(lock) = lock else {
            return Ok(None);
        };
        if self.selection.dry_run {
            return Ok(Some(path.to_owned()));
        }
        let moved = self.room.take(path, name, lock)?;
        if moved.is_some() {
            let mark = self.store.path("unsynced").join(self.store.boot_id()?).join(name);
            let _ = fs::remove_file(mark);
        }
        Ok(moved)
    }

    fn dangling(&mut self, path: &Path) -> Result<()> {
        self.collected.dangling += 1;
        match self.delete_file(path) {
            // Nobody's, and no entry: deleted where nothing is in it.
            Err(_) if path.is_dir() => {
                let _ = fs::remove_dir(path);
                Ok(())
            }
            result => result,
        }
    }

    fn delete_file(&self, path: &Path) -> Result<()> {
        if self.selection.dry_run {
            return Ok(());
        }
        removal::remove_file(path)
    }

    /// Counts and deletes what was moved away.
    fn finish(mut self) -> Result<Collected> {
        for (taken, path) in std::mem::take(&mut self.taken) {
            let known = || {
                let text = fs::read(path.join("digests.json")).ok()?;
                serde_json::from_slice::<crate::LayerDigests>(&text).ok()?.size
            };
            let diff = path.join("diff");
            let size = match diff.symlink_metadata() {
                Ok(meta) if meta.is_dir() => known().map_or_else(|| contents_size(&diff), Ok)?,
                // A layer in another tool's store: only the link to it goes.
                Ok(_) => 0,
                Err(_) => fs::symlink_metadata(&path).map_or(0, |meta| meta.len()),
            };
            match taken {
                Taken::Layer(id) => self.collected.layers.push((id, size)),
                Taken::Quarantined(name) => self.collected.quarantined.push((name, size)),
            }
        }
        if self.selection.cache.is_some() && !self.selection.dry_run {
            self.forget_file_hashes()?;
        }
        self.room.remove()?;
        Ok(self.collected)
    }
}

#[cfg(test)]
mod tests;
