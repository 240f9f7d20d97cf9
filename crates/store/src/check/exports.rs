//! What images are called outside (`images/exports`): whether the documents are there and are what is said of them, and
//! what an export said that is lost.

use super::images::label;
use super::{Checker, Repair, file_name};
use crate::blobs::DOCUMENT_LIMIT;
use crate::error::Result;
use crate::image::{Export, LocalId};
use crate::layer::from_json;
use std::path::Path;
use wiac_oci::digest::Digest;
use wiac_oci::manifest::{Descriptor, Manifest, media_type};

impl Checker<'_> {
    /// An image that came in is proven by its export alone. Where that is lost and its configuration is held, what it
    /// says is known from there: the configuration's digest is the image's id.
    pub(super) fn restore_export(&mut self, id: &LocalId) {
        let config: Digest = match format!("sha256:{id}").parse() {
            Ok(config) if self.store.blob_path(&config).is_file() => config,
            _ => return,
        };
        let problem = match self.store.export(id) {
            Ok(Some(export)) if export.config == config => return,
            Ok(Some(_)) => "says that another configuration is the image's".to_owned(),
            Ok(None) => "is missing".to_owned(),
            Err(error) => self.reason(&error),
        };
        if self.seen(self.store.document(&config)).is_none() {
            return;
        }
        let path = self.store.export_path(id);
        let export = Export {
            manifests: self.manifests_of(&config),
            config,
            are_lost: false,
        };
        self.found(label(&path), problem, Repair::Export(path, export), None);
        self.restored.insert(id.clone());
    }

    /// Whether the documents of each image are there and have their digests.
    pub(super) fn exports(&mut self) -> Result<()> {
        for (path, known) in self.store.kept_indexes()? {
            if known.is_none() {
                self.stale(&path);
            }
        }
        for path in self.list("images/exports")? {
            if !self.store.path("images/records").join(file_name(&path)).exists() {
                // Its image is deleted, or was never finished.
                self.stale(&path);
                continue;
            }
            // Told already.
            if self.of_export(&path).is_some_and(|id| self.restored.contains(&id)) {
                continue;
            }
            let export = match from_json::<Export>(&path) {
                Ok(export) => export,
                Err(error) => {
                    self.found(label(&path), self.reason(&error), Repair::Delete(path), None);
                    continue;
                }
            };
            self.documents_of(&path, &export);
        }
        Ok(())
    }

    /// Whether the documents that an export names are there, and are what it says.
    fn documents_of(&mut self, path: &Path, export: &Export) {
        let config = self.store.document(&export.config).map(|_| None);
        let manifests = export.manifests.iter();
        let manifests = manifests.map(|known| Ok(wrong_word(known, &self.store.document(&known.digest)?)));
        match std::iter::once(config)
            .chain(manifests)
            .find(|one| !matches!(one, Ok(None)))
        {
            None | Some(Ok(None)) => {}
            Some(Ok(Some(problem))) => {
                let repair = Repair::Export(path.to_owned(), self.export_again(export));
                self.found(label(path), problem, repair, None);
            }
            Some(Err(_)) if export.are_lost => self.without_documents.extend(self.of_export(path)),
            Some(Err(error)) => {
                let advice = self.advice_for_export(path);
                // Without it the image is packed again when it goes out, one that came in as another one.
                let repair = self.repair_of_export(path, &self.export_again(export));
                self.found(label(path), self.says(&error), repair, advice);
            }
        }
    }

    /// An export with what the manifests in the store say. One that is called by a digest which none has is another one's.
    fn export_again(&self, export: &Export) -> Export {
        let mut again = export.clone();
        let unknown = |found: &Descriptor| export.manifests.iter().all(|known| known.digest != found.digest);
        let unknown: Vec<Descriptor> = self.manifests_of(&export.config).into_iter().filter(unknown).collect();
        let document = |digest: &Digest| self.seen(self.store.document(digest));
        if !unknown.is_empty() {
            again.manifests.retain(|known| document(&known.digest).is_some());
            again.manifests.extend(unknown);
        }
        for known in &mut again.manifests {
            let meant = document(&known.digest).and_then(|bytes| described(&known.digest, &bytes));
            if let Some(meant) = meant.filter(|meant| !agree(known, meant)) {
                *known = meant;
            }
        }
        again
    }

    /// The manifests in the store that are of this configuration, the newest last.
    fn manifests_of(&self, config: &Digest) -> Vec<Descriptor> {
        let mut found = Vec::new();
        for digest in self.seen(self.store.blobs()).unwrap_or_default() {
            let Ok(meta) = self.store.blob_path(&digest).metadata() else {
                continue;
            };
            if !meta.is_file() || meta.len() > DOCUMENT_LIMIT {
                continue;
            }
            let bytes = self.seen(self.store.document(&digest)).unwrap_or_default();
            let is_of_it = serde_json::from_slice::<Manifest>(&bytes).is_ok_and(|one| one.config.digest == *config);
            found.extend(
                described(&digest, &bytes)
                    .filter(|_| is_of_it)
                    .map(|one| (meta.modified().ok(), one)),
            );
        }
        found.sort_by_key(|(time, _)| *time);
        found.into_iter().map(|(_, one)| one).collect()
    }

    fn of_export(&self, path: &Path) -> Option<LocalId> {
        let name = file_name(path);
        let id = name.strip_suffix(".json")?.to_owned();
        self.seen(self.store.images())?
            .into_iter()
            .find(|known| known.as_str() == id)
    }

    fn advice_for_export(&self, path: &Path) -> Option<String> {
        self.of_export(path).map(|id| self.again(&id))
    }

    fn repair_of_export(&self, path: &Path, export: &Export) -> Repair {
        if let Some(id) = self.of_export(path).filter(|id| export.is_of_arrival(id)) {
            return Repair::Documents(id, export.clone());
        }
        // Its manifests are made again when it goes out.
        if self.seen(self.store.document(&export.config)).is_some() {
            let mut export = export.clone();
            export
                .manifests
                .retain(|known| self.seen(self.store.document(&known.digest)).is_some());
            return Repair::Export(path.to_owned(), export);
        }
        Repair::Delete(path.to_owned())
    }
}

/// What a manifest's bytes say of it; `None` for what is none.
fn described(digest: &Digest, bytes: &[u8]) -> Option<Descriptor> {
    let manifest: Manifest = serde_json::from_slice(bytes).ok()?;
    let media_type = manifest.media_type.unwrap_or_else(|| media_type::MANIFEST.to_owned());
    Some(Descriptor::new(media_type, digest.clone(), bytes.len() as u64))
}

/// What a descriptor says of a manifest that the manifest says otherwise.
fn wrong_word(known: &Descriptor, bytes: &[u8]) -> Option<String> {
    let meant = described(&known.digest, bytes)?;
    (!agree(known, &meant)).then(|| {
        format!(
            "says that the manifest {} has the type {:?} and {} bytes, which it hasn't",
            known.digest, known.media_type, known.size
        )
    })
}

/// Whether two descriptors of one manifest may both be right: what points to it from outside may name another type than it
/// does itself.
fn agree(known: &Descriptor, meant: &Descriptor) -> bool {
    known.size == meant.size && media_type::is_manifest(&known.media_type)
}
