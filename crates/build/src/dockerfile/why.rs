//! Why a step was carried out: what went into its key, compared with what went into the nearest earlier one's.
//!
//! Of each Dockerfile, the inputs of the last build's steps are kept beside the remembered file hashes, in one file of a
//! few kilobytes. It is written at the end of a build, and only where a key is another than before; nothing of it is
//! read while a build goes on, unless the build is to explain itself.

mod ledger;
mod words;

pub(super) use ledger::{Inputs, Ledger};

use super::hashing::Manifest;
use super::stage::Stage;
use super::worker::Worker;
use crate::progress::{Event, Stream};
use wiac_dockerfile::stages::Source;

/// What the cache had to say to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The layer of an earlier build.
    Reused,
    /// It wasn't asked.
    Forced,
    /// Nothing that can be used.
    Missing,
}

impl Worker<'_, '_> {
    /// Says what goes into the key of the step that is looked up next.
    pub(super) fn note_inputs(&mut self, inputs: Inputs) {
        self.inputs = Some(inputs);
    }

    /// Adds the files that a step takes.
    pub(super) fn note_files(&mut self, manifest: Manifest) {
        if let Some(inputs) = &mut self.inputs {
            inputs.set_files(manifest);
        }
    }

    /// Writes the inputs of a step down and, where that is asked for, tells why it was carried out or not.
    pub(super) fn explain(&mut self, stage: &Stage, key: &str, outcome: Outcome) {
        let Some(mut inputs) = self.inputs.take() else {
            return;
        };
        key.clone_into(&mut inputs.key);
        let position = self.position();
        let ledger = &self.shared.ledger;
        if ledger.is_asked {
            let reason = match outcome {
                Outcome::Reused => ledger.words_of_reuse(&stage.name, position, &inputs),
                Outcome::Forced if self.shared.request.no_cache => "--no-cache".to_owned(),
                Outcome::Forced => format!("--no-cache-filter={}", stage.name),
                Outcome::Missing => ledger.words(
                    self.shared.store,
                    &stage.name,
                    position,
                    &inputs,
                    &self.base_words(stage),
                ),
            };
            self.tell_why(&reason);
        }
        ledger.add(&stage.name, position, inputs);
    }

    /// Tells of a step whose layer was found by less than all its inputs, which stay as they were written down.
    pub(super) fn tell_reuse(&self) {
        if self.shared.ledger.is_asked {
            self.tell_why("nothing changed");
        }
    }

    fn tell_why(&self, reason: &str) {
        let number = self.number();
        self.shared.tell(Event::Output {
            number,
            stream: Stream::Error,
            bytes: format!("why: {reason}\n").as_bytes(),
        });
    }

    /// What to say where a stage's base is another than before.
    fn base_words(&self, stage: &Stage) -> String {
        let index = self.index().unwrap_or_default();
        match self.shared.graph.base(index) {
            Source::Stage(earlier) => {
                let name = self.shared.dockerfile.stages[*earlier].display_name();
                format!("stage {name}, which {} starts from, was made anew", stage.name)
            }
            Source::Other(_) => "the base image is another".to_owned(),
        }
    }
}
