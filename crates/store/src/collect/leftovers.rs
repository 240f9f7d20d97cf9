//! What is left over beside layers, blobs and images: entries that lead nowhere, marks of nothing, downloads that were cut
//! off, what was set aside.

use super::{Collector, Taken, idle_downloads, removal};
use crate::error::{IoExt, Result};
use crate::lock::Lock;
use std::fs;

impl Collector<'_> {
    /// Entries that point to layers which are gone, exports and indexes of images that are, names of containers that have
    /// ended.
    pub(super) fn indexes(&mut self) -> Result<()> {
        for (path, layer) in self.store.diff_id_entries()? {
            if !layer.is_some_and(|id| self.store.has_layer(&id)) {
                self.dangling(&path)?;
            }
        }
        for path in self.store.exports_without_image()? {
            self.dangling(&path)?;
        }
        for (path, known) in self.store.kept_indexes()? {
            if known.is_none() {
                self.dangling(&path)?;
            }
        }
        for path in self.store.abandoned_names()? {
            self.collected.dangling += 1;
            if !self.selection.dry_run {
                // Taken again meanwhile: then it isn't abandoned.
                let _ = fs::remove_dir(path);
            }
        }
        Ok(())
    }

    /// Marks of layers and blobs that never came to be: their maker was killed just then. A maker owns a directory in
    /// `tmp/` from before it makes a mark until what is marked is in place: where nobody owns one, nobody is at it.
    pub(super) fn marks(&self) -> Result<()> {
        let directory = self.store.path("unsynced").join(self.store.boot_id()?);
        let Ok(entries) = fs::read_dir(&directory) else {
            return Ok(());
        };
        let is_waiting = |mark: &fs::DirEntry| !crate::sync::place_of(self.store, &mark.file_name()).exists();
        let stale: Vec<fs::DirEntry> = entries.flatten().filter(is_waiting).collect();
        if self.selection.dry_run {
            return Ok(());
        }
        if !stale.is_empty() && !self.is_anybody_at_work()? {
            for mark in stale.iter().filter(|mark| is_waiting(mark)) {
                removal::remove_file(&mark.path())?;
            }
        }
        // Gone when it is empty.
        let _ = fs::remove_dir(directory);
        Ok(())
    }

    /// Whether anybody but this collector owns a directory in `tmp/`, or a download.
    fn is_anybody_at_work(&self) -> Result<bool> {
        for parent in ["tmp", "partial"].map(|name| self.store.path(name)) {
            let Ok(entries) = fs::read_dir(&parent) else { continue };
            for entry in entries {
                let path = entry.on("read", &parent)?.path();
                if !self.room.has(&path) && matches!(Lock::try_exclusive(&path), Ok(None)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Files are locked by who downloads, and looked at again by who waits for the lock.
    pub(super) fn downloads(&mut self) -> Result<()> {
        for (path, _lock) in idle_downloads(self.store)? {
            let size = fs::symlink_metadata(&path).map_or(0, |meta| meta.len());
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            self.delete_file(&path)?;
            self.collected.downloads.push((name, size));
        }
        Ok(())
    }

    pub(super) fn quarantine(&mut self) -> Result<()> {
        let parent = self.store.path("quarantine");
        for entry in fs::read_dir(&parent).on("read", &parent)? {
            let entry = entry.on("read", &parent)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(path) = self.take(&entry.path(), &name)? else {
                continue;
            };
            self.taken.push((Taken::Quarantined(name), path));
        }
        Ok(())
    }

    /// Remembered hashes of build contexts: made again by the next build.
    pub(super) fn forget_file_hashes(&self) -> Result<()> {
        let directory = self.store.path("cache/files");
        for entry in fs::read_dir(&directory).on("read", &directory)? {
            removal::remove_file(&entry.on("read", &directory)?.path())?;
        }
        Ok(())
    }
}
