//! Layers' descriptions, and the small files that point to layers: build cache, diff IDs, leases.

use super::fingerprint::FINGERPRINT;
use super::images::{Record, label};
use super::{Checker, Repair, file_name};
use crate::collect;
use crate::error::Result;
use crate::layer::{LayerId, LayerInfo, from_json};
use crate::leases::Lease;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// What stands in a layer's directory.
const PARTS: [&str; 5] = ["diff", "layer.json", "digests.json", "owners", FINGERPRINT];

/// The file of an entry, and the layer it points to.
type Entry = (PathBuf, Option<LayerId>);

impl Checker<'_> {
    /// Looks at each layer's description. A layer that another process is deleting isn't held up, and doesn't count.
    pub(super) fn layer_directories(&mut self) -> Result<()> {
        for id in self.store.layers()? {
            self.report.layers += 1;
            let problem = self.problem_of_layer(&id);
            // Unfinished: a container layer's changes are about to be moved there, or their mover was killed before.
            let is_empty = problem.is_none() && !self.store.layer_diff(&id).exists();
            self.layers.insert(id.clone(), problem.is_none() && !is_empty);
            let is_missed = is_empty && self.needed.contains_key(&id);
            let problem = problem.or_else(|| is_missed.then(|| "its directory diff is missing".to_owned()));
            // Not yet: its blob may give it again.
            let problem = problem.filter(|problem| !self.is_left_to_proof(&id, problem));
            let problem = problem.filter(|_| !self.is_unneeded_of_others(&id));
            let problem = problem.filter(|problem| !self.is_described_anew(&id, problem));
            if let Some(problem) = problem {
                let advice = self.again_for(&id);
                let directory = self.store.layer_directory(&id);
                self.found(
                    format!("layer {id}"),
                    problem,
                    Repair::SetAside(directory, id.to_string()),
                    advice,
                );
            }
            if self.is_whole(&id) {
                self.parts_of(&id)?;
                self.digests_of(&id);
                self.fingerprint_of(&id)?;
            }
        }
        Ok(())
    }

    /// Whether what is lost of a layer is its description alone, which is known from elsewhere.
    fn is_described_anew(&mut self, id: &LayerId, problem: &str) -> bool {
        if self.seen(self.store.layer_info(id)).is_some() {
            return false;
        }
        let Some(info) = self.description_again(id) else {
            return false;
        };
        self.layers.insert(id.clone(), true);
        let repair = Repair::Describe(id.clone(), Box::new(info));
        self.found(format!("layer {id}"), problem, repair, None);
        true
    }

    /// Whether it lies in another tool's store, was run from there once, and no image of ours needs it: that tool may delete
    /// what is its own, and no harm is done.
    fn is_unneeded_of_others(&self, id: &LayerId) -> bool {
        let lies_elsewhere = |info: LayerInfo| info.elsewhere.is_some();
        !self.needed.contains_key(id) && self.store.layer_info(id).is_ok_and(lies_elsewhere)
    }

    fn problem_of_layer(&self, id: &LayerId) -> Option<String> {
        let directory = self.store.layer_directory(id);
        let info: LayerInfo = match from_json(&directory.join("layer.json")) {
            Ok(info) => info,
            Err(error) => return Some(format!("layer.json {}", self.reason(&error))),
        };
        if info.form != self.store.form() {
            return Some(format!(
                "its marks have the form {}, the store's have {}",
                info.form.word(),
                self.store.form().word()
            ));
        }
        if let Some(elsewhere) = &info.elsewhere {
            return (!elsewhere.directory.is_dir()).then(|| {
                format!(
                    "it lay in {} and is gone there ({})",
                    elsewhere.store,
                    elsewhere.directory.display()
                )
            });
        }
        let diff = self.store.layer_diff(id);
        let is_something_else = diff.symlink_metadata().is_ok_and(|meta| !meta.is_dir());
        is_something_else.then(|| "its diff isn't a directory".to_owned())
    }

    fn parts_of(&mut self, id: &LayerId) -> Result<()> {
        for path in self.list(&format!("layers/{id}"))? {
            let name = file_name(&path);
            if !PARTS.contains(&name.as_str()) {
                self.found(label(&path), "isn't part of a layer", Repair::Nothing, None);
            }
        }
        Ok(())
    }

    /// The build cache and the index of diff IDs. What leads nowhere there counts as absent for everybody: a layer that
    /// was set aside, or two processes that learned something at once, leave such entries behind.
    pub(super) fn entries(&mut self, steps: &[Entry], diff_ids: &[Entry]) -> Result<()> {
        for (path, layer) in steps {
            if !layer.as_ref().is_some_and(|id| self.is_whole(id)) {
                self.stale(path);
            }
        }
        for (path, layer) in diff_ids {
            let name = file_name(path);
            let hex = name.split('.').next().unwrap_or_default();
            let tars = match layer.as_ref().filter(|id| self.is_whole(id)) {
                Some(layer) => self.store.layer_digests(layer)?.tars,
                None => Vec::new(),
            };
            if !tars.iter().any(|tar| tar.diff_id.digest().hex() == hex) {
                self.stale(path);
            }
        }
        Ok(())
    }

    /// A small file that nobody minds: no finding.
    pub(super) fn stale(&mut self, path: &Path) {
        if self.is_hindered() {
            return;
        }
        let is_deleted =
            self.options.repair && (std::fs::remove_file(path).is_ok() || std::fs::remove_dir(path).is_ok());
        self.stale += usize::from(!is_deleted);
    }

    /// Container layers elsewhere whose layers are gone, and names of containers that nobody runs any more.
    pub(super) fn leases(&mut self, leases: &[(PathBuf, Option<Lease>)]) -> Result<()> {
        for (path, lease) in leases {
            let Some(lease) = lease else {
                self.found(label(path), "is damaged", Repair::Delete(path.clone()), None);
                continue;
            };
            let missing: Vec<&LayerId> = lease
                .layers
                .iter()
                .filter(|id| !self.is_whole(id) && self.store.lease_stands_on(lease, id))
                .collect();
            if self.store.is_valid(lease)
                && let Some(first) = missing.first()
            {
                let advice = Some("run it on other layers, or copy its files elsewhere".to_owned());
                let what = format!("container layer {}", lease.path.display());
                self.found(
                    what,
                    format!("runs on layer {first}, which isn't there"),
                    Repair::Nothing,
                    advice,
                );
            }
        }
        for path in self.store.abandoned_names()? {
            self.stale(&path);
        }
        Ok(())
    }

    fn note_lost_documents(&mut self) {
        for id in std::mem::take(&mut self.without_documents) {
            let advice = self.again(&id);
            let image = id.short();
            self.report.notes.push(format!(
                "what image {image} came with is lost, and it would go out as another one: {advice}"
            ));
        }
    }

    /// What isn't wrong, but takes space.
    pub(super) fn notes(
        &mut self,
        records: &[Record],
        steps: &[Entry],
        leases: &[(PathBuf, Option<Lease>)],
    ) -> Result<()> {
        // What a damaged name or export refers to isn't known: that is found elsewhere.
        let Some(mut references) = self.seen(collect::References::of_images(self.store, records)) else {
            return Ok(());
        };
        let leased = leases.iter().filter_map(|(_, lease)| lease.as_ref());
        let (valid, void): (Vec<_>, Vec<_>) = leased.partition(|lease| self.store.is_valid(lease));
        references
            .layers
            .extend(valid.into_iter().flat_map(|lease| lease.layers.clone()));
        references
            .layers
            .extend(steps.iter().filter_map(|(_, layer)| layer.clone()));
        let mut blobs: HashSet<_> = references.documents;
        let mut unused = 0;
        for id in self.store.layers()? {
            let tars = self.store.layer_digests(&id)?.tars;
            blobs.extend(tars.into_iter().flat_map(|tar| tar.blobs).map(|blob| blob.digest));
            unused += usize::from(!references.layers.contains(&id) && !self.store.is_layer_used(&id)?);
        }
        let all = self.store.blobs()?;
        let stray = all.iter().filter(|digest| !blobs.contains(digest)).count();
        self.note_lost_documents();
        let quarantined = self.list("quarantine")?.len();
        let downloads = collect::idle_downloads(self.store)?.len();
        let stale = self.stale;
        let mut note = |count: usize, text: &str| {
            if count > 0 {
                self.report.notes.push(format!("{count} {text}"));
            }
        };
        note(unused, "layers that nothing refers to: wiac prune deletes them");
        note(stray, "blobs that nothing refers to: wiac prune deletes them");
        note(
            void.len(),
            "leases of container layers that are gone: wiac prune deletes them",
        );
        note(
            stale,
            "entries that lead nowhere (build cache, diff IDs, exports, names of containers): wiac prune deletes them",
        );
        note(
            downloads,
            "downloads that were cut off and can go on: wiac prune deletes them",
        );
        note(
            quarantined,
            "things set aside in quarantine/ after a crash: wiac prune --all deletes them",
        );
        Ok(())
    }
}
