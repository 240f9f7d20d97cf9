//! Fingerprints: what packing a layer's directory gave when it was first looked at closely. They are for layers of which nothing
//! better was ever written down: made here and never packed, or without the blob that they came in.
//!
//! A fingerprint is no diff ID: it is of the directory alone, whatever lies below, and nobody outside ever sees it.

use super::contents::packed;
use super::images::label;
use super::{Checker, Repair};
use crate::collect::text_of_entry;
use crate::error::Result;
use crate::layer::{HeldLayer, LayerId};
use std::path::PathBuf;
use wiac_layer::merged::LayerStack;
use wiac_layer::pack::PackOptions;
use wiac_oci::digest::{Algorithm, Digest};

/// The file beside a layer's `diff`.
pub(super) const FINGERPRINT: &str = "fingerprint";

/// What is written down: a fingerprint, and its own hash. A bit that turned in it would pass for a change of the layer.
fn written(fingerprint: &Digest) -> String {
    let line = fingerprint.to_string();
    format!("{line}\n{}\n", Digest::sha256(&line))
}

/// The fingerprint in a file; earlier versions wrote it alone. `None` for one that is damaged.
fn parse(text: &str) -> Option<Digest> {
    let fingerprint: Digest = text.lines().next()?.parse().ok()?;
    let is_alone = text.trim_end() == fingerprint.to_string();
    (is_alone || text == written(&fingerprint)).then_some(fingerprint)
}

impl Checker<'_> {
    /// Compares each layer that nothing else was compared of with its fingerprint; one without gets it.
    pub(super) fn fingerprints(&mut self) -> Result<()> {
        for id in self.store.layers()? {
            if self.is_unfit(&id) {
                continue;
            }
            let Some(held) = self.store.hold_layer(id)? else {
                continue;
            };
            if self.is_compared(&held.id) {
                // By its blob it may have been mended, too.
                crate::collect::remove_file(&self.fingerprint_path(&held.id))?;
            } else if !self.proofs.packed.contains(&held.id) && self.store.layer_info(&held.id)?.elsewhere.is_none() {
                self.fingerprint(held)?;
            }
        }
        Ok(())
    }

    fn fingerprint_path(&self, id: &LayerId) -> PathBuf {
        self.store.layer_directory(id).join(FINGERPRINT)
    }

    /// One that is damaged is deleted: the next deep check makes it anew.
    pub(super) fn fingerprint_of(&mut self, id: &LayerId) -> Result<()> {
        let path = self.fingerprint_path(id);
        if text_of_entry(&path)?.is_some_and(|text| parse(&text).is_none()) {
            self.found(label(&path), "is damaged", Repair::Delete(path), None);
        }
        Ok(())
    }

    /// Whether something is wrong with a layer, or it is about to be put there.
    fn is_unfit(&self, id: &LayerId) -> bool {
        let name = format!("layer {id}");
        let is_whole = self.is_whole(id) && self.store.layer_diff(id).is_dir();
        !is_whole || self.report.findings.iter().any(|finding| finding.what == name)
    }

    fn fingerprint(&mut self, held: HeldLayer) -> Result<()> {
        let known = text_of_entry(&self.fingerprint_path(&held.id))?.and_then(|text| parse(&text));
        let problem = match (self.fingerprint_now(&held.id, known.as_ref())?, known) {
            (Ok(found), Some(known)) if found != known => Some(format!(
                "packs to another tar than at an earlier check ({known} then, {found} now): somebody changed its files"
            )),
            (Ok(_), Some(_)) => None,
            (Ok(found), None) => {
                self.report.first_seen += 1;
                self.remember(&held.id, &found);
                None
            }
            // As it was from the beginning, for all that is known: it can be run, and it can't go out.
            (Err(error @ wiac_layer::Error::Archive { .. }), None) => {
                let note = format!(
                    "layer {}: nothing to compare, since it can't be packed: {error}",
                    held.id
                );
                self.report.on_contents.push(note);
                None
            }
            (Err(error), _) => Some(self.says(&error)),
        };
        self.layer_finding(held, problem);
        Ok(())
    }

    /// A check goes on where nothing can be written: on a full disk it is wanted most.
    fn remember(&mut self, id: &LayerId, fingerprint: &Digest) {
        let text = written(fingerprint);
        if let Err(error) = self.store.write_durably(&self.fingerprint_path(id), text.as_bytes()) {
            let note = format!("layer {id}: what it is now can't be written down: {error}");
            self.report.on_contents.push(note);
        }
    }

    /// What packing gives now, hashed as the known fingerprint is. The inner error is one of the layer's files.
    fn fingerprint_now(
        &self,
        id: &LayerId,
        known: Option<&Digest>,
    ) -> Result<std::result::Result<Digest, wiac_layer::Error>> {
        let path = self.store.layer_diff(id);
        let owners = self.store.intended_in(std::slice::from_ref(&path))?;
        let options = PackOptions {
            // An opaque mark is packed where there is something below: so each is.
            lower: &LayerStack::new(vec![path.clone()]),
            owners: owners.last().and_then(Option::as_deref),
            clamp: None,
        };
        packed(&path, &options, known.map_or(Algorithm::Sha256, Digest::algorithm))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bit_that_turns_makes_another_fingerprint() {
        let fingerprint = Digest::sha256("layer");
        let text = written(&fingerprint);
        assert_eq!(parse(&text), Some(fingerprint.clone()));
        assert_eq!(
            parse(&format!("{fingerprint}\n")),
            Some(fingerprint.clone()),
            "as it was written once"
        );
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let read = String::from_utf8(bytes).ok().and_then(|text| parse(&text));
            assert!(read.is_none_or(|read| read == fingerprint), "bit {bit}");
        }
        for length in 0..text.len() {
            let read = parse(&text[..length]);
            assert!(read.is_none_or(|read| read == fingerprint), "{length} bytes");
        }
    }
}
