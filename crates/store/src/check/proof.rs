//! Proves layers that came in: what the blob of each gives is compared with its directory.
//!
//! A stranger made the tar, so packing the directory need not give it again. The blob is unpacked once more instead, by the
//! same code and into a draft in `tmp/`, and the two directories are compared: whatever a tar says twice, replaces or leaves
//! out comes out the same, without being understood a second time.

use super::images::label;
use super::{Checker, Finding, NOT_MENDED, Repair};
use crate::blobs::HeldBlob;
use crate::error::{IoExt, Result};
use crate::image::ImageRecord;
use crate::layer::{HeldLayer, LayerId, LayerInfo, make_room_for};
use crate::transfer::{Again, NotAgain, unpack_again};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use wiac_layer::damage::{Side, damages};
use wiac_layer::merged::LayerStack;
use wiac_layer::owners::OwnerRecord;
use wiac_oci::digest::{DiffId, Digest};
use wiac_oci::manifest::Descriptor;

/// What to do about a layer whose blob is here.
pub(super) const DEEPER: &str = "wiac store check --deep --repair unpacks it anew";

/// Paths of one layer that are named.
const MOST_NAMED: usize = 10;

/// What is learned about layers that came in.
#[derive(Default)]
pub(super) struct Proofs {
    /// Blobs whose bytes aren't theirs: they prove nothing.
    pub(super) damaged_blobs: HashSet<Digest>,
    /// Blobs of another length than is said of a layer.
    pub(super) other_sizes: Vec<(LayerId, Descriptor)>,
    /// Layers that were compared with their blobs.
    compared: HashSet<LayerId>,
    /// Layers that were packed again, and gave what they gave before.
    pub(super) packed: HashSet<LayerId>,
    /// Layers that are right, or have a draft.
    sound: HashSet<LayerId>,
    /// Layers without their directory, and how that is said: their blobs may give it again.
    lost: HashMap<LayerId, String>,
    /// What damaged layers should be, for those above that take something from them.
    drafts: HashMap<LayerId, Again>,
}

/// A layer to be compared.
struct Suspect {
    held: HeldLayer,
    info: LayerInfo,
    diff_id: DiffId,
    blob: HeldBlob,
}

/// What a comparison found.
struct Found {
    again: Again,
    /// One line for each path, and one for those beyond [`MOST_NAMED`]; none for a layer that is what it should be.
    lines: Vec<String>,
}

impl Checker<'_> {
    /// Compares each layer that came in and whose blob is here, those below first.
    pub(super) fn prove_layers(&mut self) -> Result<()> {
        let images = self.readable_images()?;
        let mut stacks: HashMap<&LayerId, Vec<&[LayerId]>> = HashMap::new();
        for record in &images {
            for (number, id) in record.layers.iter().enumerate() {
                let below = &record.layers[..number];
                let known = stacks.entry(id).or_default();
                if !known.contains(&below) {
                    known.push(below);
                }
            }
        }
        let mut layers = self.store.layers()?;
        let height = |id: &LayerId| {
            let known = stacks.get(id)?;
            known.iter().map(|below| below.len()).min()
        };
        layers.sort_by_key(|id| (height(id).unwrap_or_default(), id.clone()));
        for id in layers {
            let nothing_below: &[&[LayerId]] = &[&[]];
            let known = stacks.get(&id);
            if let Some(suspect) = self.suspect(id)? {
                self.prove(suspect, known.map_or(nothing_below, Vec::as_slice), known.is_some())?;
            }
        }
        let lost = std::mem::take(&mut self.proofs.lost);
        for (id, problem) in lost {
            if !self.is_compared(&id)
                && let Some(held) = self.store.hold_layer(id)?
            {
                self.layer_finding(held, Some(problem));
            }
        }
        Ok(())
    }

    /// Whether nothing is done yet about a layer without its directory (or with something else in its place): its blob is
    /// here, and is about to be unpacked, or is left to a check that does.
    pub(super) fn is_left_to_proof(&mut self, id: &LayerId, problem: &str) -> bool {
        let diff = self.store.layer_diff(id);
        let is_there = diff.symlink_metadata().is_ok_and(|meta| meta.is_dir());
        if is_there || !self.has_proof(id) {
            return false;
        }
        self.proofs.lost.insert(id.clone(), problem.to_owned());
        self.layers.insert(id.clone(), true);
        if !self.options.deep {
            self.found(format!("layer {id}"), problem, Repair::Nothing, Some(DEEPER.to_owned()));
        }
        true
    }

    /// Whether a layer came in and has a blob here that gives it again, as far as is known.
    pub(super) fn has_proof(&self, id: &LayerId) -> bool {
        let is_here = |blob: &Descriptor| {
            let is_damaged = self.proofs.damaged_blobs.contains(&blob.digest);
            !is_damaged && self.store.blob_path(&blob.digest).is_file()
        };
        let is_ours = |info: &LayerInfo| info.elsewhere.is_none() && info.form == self.store.form();
        let came = self.seen(self.store.layer_info(id)).filter(is_ours);
        came.and_then(|info| info.unpacked_from).is_some_and(|came| {
            let digests = self.seen(self.store.layer_digests(id)).unwrap_or_default();
            digests.tar(&came).is_some_and(|tar| tar.blobs.iter().any(is_here))
        })
    }

    /// Whether its directory is missing, and it is left to a check that unpacks its blob.
    pub(super) fn is_lost(&self, id: &LayerId) -> bool {
        self.proofs.lost.contains_key(id)
    }

    /// The images whose records can be read: the others are found elsewhere.
    pub(super) fn readable_images(&self) -> Result<Vec<ImageRecord>> {
        let images = self.store.images()?;
        Ok(images.iter().filter_map(|id| self.seen(self.store.image(id))).collect())
    }

    /// Whether a layer was compared with its blob: there is no more to be known of it.
    pub(super) fn is_compared(&self, id: &LayerId) -> bool {
        self.proofs.compared.contains(id)
    }

    /// The layer with its blob, where it came in and its blob is here and whole.
    fn suspect(&self, id: LayerId) -> Result<Option<Suspect>> {
        if !self.is_whole(&id) {
            return Ok(None);
        }
        let Some(held) = self.store.hold_layer(id)? else {
            return Ok(None);
        };
        // A damaged description was found before.
        let Some(info) = self.seen(self.store.layer_info(&held.id)) else {
            return Ok(None);
        };
        let Some(diff_id) = info.unpacked_from.clone().filter(|_| info.elsewhere.is_none()) else {
            return Ok(None);
        };
        let digests = self.store.layer_digests(&held.id)?;
        for blob in digests.tar(&diff_id).iter().flat_map(|tar| &tar.blobs) {
            if !self.proofs.damaged_blobs.contains(&blob.digest)
                && let Some(blob) = self.store.hold_blob(&blob.digest)?
            {
                return Ok(Some(Suspect {
                    held,
                    info,
                    diff_id,
                    blob,
                }));
            }
        }
        Ok(None)
    }

    /// Compares a layer with what its blob gives. `stacks`: the layers below it, in each image that has it; where it takes
    /// something from them, it is right if it is so on one of them. (The same tars may lie in several directories, and those
    /// of a layer made here have times that its tar need not have.)
    fn prove(&mut self, suspect: Suspect, stacks: &[&[LayerId]], is_in_image: bool) -> Result<()> {
        let mut first: Option<(Found, &[LayerId])> = None;
        let mut hindered = None;
        for below in stacks {
            let found = match self.compare(&suspect, below) {
                Ok(found) => found,
                Err(NotAgain::Hindered(reason)) => {
                    hindered = Some(reason);
                    continue;
                }
                Err(NotAgain::Another(reason)) => {
                    self.another_tar(suspect, &reason);
                    return Ok(());
                }
            };
            let depends = found.again.unpacked.depends_on_lower;
            if found.lines.is_empty() {
                return self.right(&suspect, &found.again);
            }
            if depends && !is_in_image {
                // Nobody knows on what it was unpacked.
                return Ok(());
            }
            first.get_or_insert((found, if depends { below } else { &[] }));
            if !depends {
                break;
            }
        }
        match (first, hindered) {
            (Some((found, below)), _) => self.damaged(suspect, found, below),
            (None, Some(reason)) => self.hindered(&suspect.held.id, &reason),
            (None, None) => {}
        }
        Ok(())
    }

    fn compare(&self, suspect: &Suspect, below: &[LayerId]) -> Result<Found, NotAgain> {
        let hindered = |error: crate::Error| NotAgain::Hindered(self.says(&error));
        make_room_for(below.len());
        // A layer that isn't there is told when something of it is needed.
        let holds: Result<Vec<Option<HeldLayer>>> = below.iter().map(|id| self.store.hold_layer(id.clone())).collect();
        let _holds = holds.map_err(hindered)?;
        let lower = || self.stack(below);
        let again = unpack_again(
            self.store,
            (&suspect.blob, &suspect.diff_id),
            self.options.owners,
            &lower,
        )?;
        let lines = self.lines(&suspect.held.id, &again).map_err(hindered)?;
        Ok(Found { again, lines })
    }

    /// The layers below, those that are damaged as they should be.
    fn stack(&self, below: &[LayerId]) -> wiac_layer::Result<LayerStack> {
        let mut directories = Vec::new();
        let mut owners = Vec::new();
        for id in below {
            if let Some(again) = self.proofs.drafts.get(id) {
                directories.push(again.draft.diff());
                owners.push(again.unpacked.owners.clone().map(Arc::new));
                continue;
            }
            directories.push(self.store.layer_diff(id));
            let own = self.store.layer_owners(id).map_err(|error| wiac_layer::Error::Io {
                action: "use",
                path: PathBuf::from("the layers below"),
                source: std::io::Error::other(error.to_string()),
            })?;
            owners.push(own.map(Arc::new));
        }
        Ok(LayerStack::new(directories).with_owners(owners))
    }

    /// What is wrong with a layer. What can't be read of it is wrong, too.
    fn lines(&self, id: &LayerId, again: &Again) -> Result<Vec<String>> {
        if let Some(problem) = self.proofs.lost.get(id) {
            return Ok(vec![problem.clone()]);
        }
        let draft = again.draft.diff();
        let meant = File::open(&draft).on("open", &draft)?;
        let owners = match self.store.layer_owners(id) {
            Ok(owners) => owners,
            Err(error) => return Ok(vec![format!("its record of owners {}", self.reason(&error))]),
        };
        let diff = self.store.layer_diff(id);
        let found = match File::open(&diff).on("open", &diff) {
            Ok(found) => found,
            Err(error) => return Ok(vec![self.says(&error)]),
        };
        let side = |directory, owners| Side { directory, owners };
        let sides: [Option<&OwnerRecord>; 2] = [owners.as_ref(), again.unpacked.owners.as_ref()];
        let damages = match damages(side(found.as_fd(), sides[0]), side(meant.as_fd(), sides[1]), MOST_NAMED) {
            Ok(damages) => damages,
            Err(error) => return Ok(vec![self.says(&error)]),
        };
        let mut lines = Vec::new();
        for damaged in &damages.first {
            let differences: Vec<String> = damaged.differences.iter().map(ToString::to_string).collect();
            lines.push(format!("{}: {}", damaged.path, differences.join(", ")));
        }
        match damages.count - damages.first.len() as u64 {
            0 => {}
            1 => lines.push("1 more path differs".to_owned()),
            more => lines.push(format!("{more} more paths differ")),
        }
        Ok(lines)
    }

    /// Why a layer wasn't compared is told at the end, since the others still are.
    fn hindered(&mut self, id: &LayerId, reason: &str) {
        let (count, _) = self
            .report
            .not_compared
            .get_or_insert_with(|| (0, format!("layer {id}: {reason}")));
        *count += 1;
    }

    /// The files are what they should be; so must be what is said about them.
    fn right(&mut self, suspect: &Suspect, again: &Again) -> Result<()> {
        let id = &suspect.held.id;
        self.proofs.compared.insert(id.clone());
        self.proofs.sound.insert(id.clone());
        self.report.compared += 1;
        let size = again.unpacked.size;
        let said = self.store.layer_digests(id)?.size;
        if let Some(said) = said.filter(|said| *said != size) {
            let problem = format!("says that the layer's files have {said} bytes, and they have {size}");
            let path = self.digests_path(id);
            self.found(label(&path), problem, Repair::Size(id.clone(), size), None);
        }
        Ok(())
    }

    fn another_tar(&mut self, suspect: Suspect, reason: &str) {
        let Suspect {
            held, diff_id, blob, ..
        } = suspect;
        let path = self.digests_path(&held.id);
        let problem = format!("says that blob {} is the tar {diff_id}: {reason}", blob.digest);
        let repair = self.digests_again(&held.id, |known| known.digest != blob.digest);
        drop((held, blob));
        self.found(label(&path), problem, repair, None);
    }

    /// Says what is wrong with a layer, and puts what its blob gives in its place. `below`: the layers that it takes
    /// something from. Where one of those isn't known to be right, what is wrong may come from there: nothing is put
    /// anywhere then.
    fn damaged(&mut self, suspect: Suspect, found: Found, below: &[LayerId]) {
        let Suspect { held, info, .. } = suspect;
        let Found { again, lines } = found;
        let id = held.id.clone();
        self.proofs.compared.insert(id.clone());
        self.report.compared += 1;
        drop(held);
        if self.is_hindered() {
            return;
        }
        let doubtful = below.iter().find(|below| !self.proofs.sound.contains(below));
        let mut advice = None;
        let repaired;
        if let Some(below) = doubtful {
            advice = self.again_for(&id);
            repaired = self
                .options
                .repair
                .then(|| format!("{NOT_MENDED}: it takes something from layer {below}, which isn't known to be right"));
        } else {
            let mended = self.options.repair.then(|| self.mend(&id, &info, &again));
            repaired = mended.map(|done| done.unwrap_or_else(|error| format!("{NOT_MENDED}: {error}")));
            if repaired.is_none() {
                advice = Some(DEEPER.to_owned());
            }
            self.proofs.sound.insert(id.clone());
            if repaired.as_ref().is_none_or(|done| done.starts_with(NOT_MENDED)) {
                self.proofs.drafts.insert(id.clone(), again);
            }
        }
        for problem in lines {
            self.report.findings.push(Finding {
                what: format!("layer {id}"),
                problem,
                repaired: repaired.clone(),
                advice: advice.clone(),
            });
        }
    }

    fn mend(&self, id: &LayerId, info: &LayerInfo, Again { draft, unpacked }: &Again) -> Result<String> {
        let mut digests = self.store.layer_digests(id)?;
        digests.size = Some(unpacked.size);
        digests.depends_on_lower = unpacked.depends_on_lower;
        draft.set_digests(&digests)?;
        if let Some(owners) = &unpacked.owners {
            draft.write_owners(owners)?;
        }
        Ok(match draft.replace(self.store, id, info)? {
            Some(name) => format!("unpacked anew from its blob; what was there is now quarantine/{name}"),
            None => format!("{NOT_MENDED}: it is in use; check again when nothing runs"),
        })
    }
}

#[cfg(test)]
mod tests;
