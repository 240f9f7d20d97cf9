//! The directories of the store: nothing in them that isn't the store's, nothing unfinished that belongs to nobody.

use super::images::label;
use super::{Checker, Repair, file_name};
use crate::data::DIRECTORIES;
use crate::error::{IoExt, Result};
use crate::layer::LayerId;
use crate::lock::Lock;
use crate::names::INDEXES;
use crate::temporary;
use std::fs;
use std::path::PathBuf;
use wiac_oci::digest::Digest;

impl Checker<'_> {
    /// The paths in a directory of the store.
    pub(super) fn list(&self, relative: &str) -> Result<Vec<PathBuf>> {
        let directory = self.store.path(relative);
        let mut paths = Vec::new();
        for entry in fs::read_dir(&directory).on("read", &directory)? {
            paths.push(entry.on("read", &directory)?.path());
        }
        paths.sort();
        Ok(paths)
    }

    /// Looks whether the directories of the layout are there. Where one isn't, and isn't made again, nothing else can be
    /// looked at: `false`. What a store of earlier days lacks is made when it is needed.
    pub(super) fn directories(&mut self) -> bool {
        let more = ["images", "cache", "images/lists"];
        for name in more.into_iter().chain(DIRECTORIES) {
            let path = self.store.path(name);
            let is_missing = path.symlink_metadata().is_err();
            if path.is_dir() || is_missing && matches!(name, "images/lists" | "partial" | "failures") {
                continue;
            }
            let problem = if is_missing { "is missing" } else { "isn't a directory" };
            self.found(name, problem, Repair::Directory(path.clone()), None);
            if !path.is_dir() {
                return false;
            }
        }
        true
    }

    /// Files that aren't the store's. They are never touched: whose they are isn't known.
    pub(super) fn layout(&mut self) -> Result<()> {
        let is_json = |name: &str| name.strip_suffix(".json").is_some_and(|stem| !stem.is_empty());
        let is_hex = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_top =
            |name: &str| name == "format" || DIRECTORIES.iter().any(|known| known.split('/').next() == Some(name));
        self.foreign("", &is_top)?;
        self.foreign("images", &|name| {
            matches!(name, "names" | "records" | "exports" | "lists" | "indexes")
        })?;
        self.foreign("cache", &|name| matches!(name, "steps" | "files" | "mounts"))?;
        self.foreign("layers", &|name| LayerId::parse(name).is_some())?;
        self.foreign("images/names", &is_json)?;
        if self.store.path("images/lists").exists() {
            self.foreign("images/lists", &is_json)?;
        }
        if self.store.path(INDEXES).exists() {
            self.foreign(INDEXES, &|name| name.strip_suffix(".json").is_some_and(is_hex))?;
        }
        self.foreign("images/records", &|name| name.strip_suffix(".json").is_some_and(is_hex))?;
        self.foreign("images/exports", &|name| name.strip_suffix(".json").is_some_and(is_hex))?;
        self.foreign("cache/steps", &is_hex)?;
        self.foreign("leases", &is_hex)?;
        self.foreign("blobs", &|name| matches!(name, "sha256" | "sha512"))?;
        for path in self.list("blobs")? {
            let algorithm = file_name(&path);
            if !path.is_dir() {
                if matches!(algorithm.as_str(), "sha256" | "sha512") {
                    let what = format!("blobs/{algorithm}");
                    self.found(
                        what,
                        "isn't a directory",
                        Repair::SetAside(path, format!("blobs-{algorithm}")),
                        None,
                    );
                }
                continue;
            }
            let is_blob = |name: &str| format!("{algorithm}:{name}").parse::<Digest>().is_ok();
            self.foreign(&format!("blobs/{algorithm}"), &is_blob)?;
        }
        Ok(())
    }

    /// What a build remembers of files is read where it is a file, and written by rename: nothing else may stand in its place.
    pub(super) fn tables(&mut self) -> Result<()> {
        for path in self.list("cache/files")? {
            if path.is_dir() {
                self.found(label(&path), "isn't a file", Repair::Delete(path), None);
            }
        }
        Ok(())
    }

    fn foreign(&mut self, relative: &str, is_ours: &dyn Fn(&str) -> bool) -> Result<()> {
        for path in self.list(relative)? {
            if !is_ours(&file_name(&path)) {
                let advice = Some("look what it is, and move it elsewhere".to_owned());
                self.found(
                    path.display().to_string(),
                    "isn't part of the store",
                    Repair::Nothing,
                    advice,
                );
            }
        }
        Ok(())
    }

    /// What nobody owns in `tmp/` and can't be deleted: every command tries when it starts, and so does this one.
    pub(super) fn temporary(&mut self) -> Result<()> {
        temporary::sweep(self.store)?;
        // Whoever is making something in there has it for himself in a moment.
        let Some(_sweeping) = Lock::try_exclusive(&self.store.path("tmp"))? else {
            return Ok(());
        };
        for path in self.list("tmp")? {
            let Ok(Some(_abandoned)) = Lock::try_exclusive(&path) else {
                continue;
            };
            // Its owner may have been killed since the sweep.
            if temporary::remove_tree(&path).is_err() {
                let advice = Some("delete it by hand".to_owned());
                self.found(
                    format!("tmp/{}", file_name(&path)),
                    "is left over and can't be deleted",
                    Repair::Nothing,
                    advice,
                );
            }
        }
        Ok(())
    }
}
