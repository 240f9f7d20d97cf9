//! A step that makes a layer: looked up in the cache first, and only then carried out.

use super::stage::Stage;
use super::stage_layer::StageLayer;
use super::why::Outcome;
use super::worker::{Worker, lock};
use crate::error::Result;
use std::time::Duration;
use wiac_oci::time::now;
use wiac_store::layer::Draft;
use wiac_store::{LayerId, LayerInfo, Turn};

/// How soon a step that another build runs is asked for again, at first.
const SHORT_PAUSE: Duration = Duration::from_millis(1);

/// And after a while.
const LONG_PAUSE: Duration = Duration::from_millis(50);

/// What came of carrying a step out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// The layer is what its key says.
    Whole,
    /// Something changed meanwhile: the layer counts for this build alone.
    Unsure,
}

impl Worker<'_, '_> {
    /// The layer that the step `key` made before, if it may be used and is there.
    pub(super) fn use_cached(&mut self, stage: &mut Stage, key: &str, said: &str) -> Result<bool> {
        let store = self.shared.store;
        if self.is_forced(stage) {
            return Ok(false);
        }
        if let Some(step) = store.find_step(key)? {
            self.shared.keep(step.layer.lock);
            let layer = StageLayer::of_step(step.layer.id, step.lineage, key);
            stage.push_layer(layer.also(step.other_keys), step.created, said.to_owned());
            return Ok(true);
        }
        let Some(step) = self.shared.cache.and_then(|cache| cache.find(key)) else {
            return Ok(false);
        };
        let layer = StageLayer::imported(step.lineage, key);
        stage.push_layer(layer.also(step.keys), step.created, said.to_owned());
        Ok(true)
    }

    /// As [`Worker::use_cached`]; tells why nothing is carried out.
    fn reuse(&mut self, stage: &mut Stage, key: &str, said: &str) -> Result<bool> {
        let is_reused = self.use_cached(stage, key, said)?;
        if is_reused {
            self.explain(stage, key, Outcome::Reused);
        }
        Ok(is_reused)
    }

    /// Uses the layer that the step `key` made before, or has it made and remembers it. `true` for the former.
    pub(super) fn cached_or(
        &mut self,
        stage: &mut Stage,
        key: &str,
        said: String,
        make: impl FnOnce(&mut Self, &Stage, &Draft) -> Result<Made>,
    ) -> Result<bool> {
        if self.reuse(stage, key, &said)? {
            return Ok(true);
        }
        let is_forced = self.is_forced(stage);
        // A step that is to run again in any case waits for nobody.
        let _turn = if is_forced { None } else { Some(self.turn(key)?) };
        // Somebody may have carried it out just now.
        if self.reuse(stage, key, &said)? {
            return Ok(true);
        }
        let outcome = if is_forced { Outcome::Forced } else { Outcome::Missing };
        self.explain(stage, key, outcome);
        let draft = Draft::new(self.shared.store)?;
        let made = match make(self, stage, &draft) {
            Ok(made) => made,
            Err(error) => {
                self.keep_failure(stage, draft, &said);
                return Err(error);
            }
        };
        self.commit_to(stage, key, said, (draft, made), is_forced)?;
        Ok(false)
    }

    /// As [`Worker::cached_or`], for a layer that was made before its key was known.
    pub(super) fn cached_or_take(
        &mut self,
        stage: &mut Stage,
        key: &str,
        said: String,
        (draft, made): (Draft, Made),
    ) -> Result<bool> {
        let is_forced = self.is_forced(stage);
        // Of several that made it at the same time all take the same: the image doesn't depend on who was last.
        let _turn = if is_forced { None } else { Some(self.turn(key)?) };
        if self.reuse(stage, key, &said)? {
            return Ok(true);
        }
        let outcome = if is_forced { Outcome::Forced } else { Outcome::Missing };
        self.explain(stage, key, outcome);
        self.commit_to(stage, key, said, (draft, made), is_forced)?;
        Ok(false)
    }

    /// The right to carry out the step `key`, which one alone has among all builds and their stages. Whoever waits for it
    /// has no other lock that a step could wait for: those of cache mounts come after it.
    fn turn(&self, key: &str) -> Result<Turn> {
        let mut pause = SHORT_PAUSE;
        loop {
            if let Some(turn) = self.shared.store.try_turn(key)? {
                return Ok(turn);
            }
            // A sweeper may have had it for a moment.
            if pause == SHORT_PAUSE * 2 {
                self.tell_waiting("for another build that runs this step");
            }
            self.shared.stop.pause(pause)?;
            pause = (pause * 2).min(LONG_PAUSE);
        }
    }

    /// Whether every step of the stage is to be carried out again.
    pub(super) fn is_forced(&self, stage: &Stage) -> bool {
        self.shared.request.no_cache
            || self
                .shared
                .request
                .no_cache_stages
                .iter()
                .any(|name| name.eq_ignore_ascii_case(&stage.name))
    }

    fn commit_to(
        &mut self,
        stage: &mut Stage,
        key: &str,
        said: String,
        (draft, made): (Draft, Made),
        is_forced: bool,
    ) -> Result<()> {
        let (layer, info) = self.commit(draft, key, &said, made, is_forced)?;
        let mut layer = StageLayer::of_step(layer, info.lineage, key);
        if made == Made::Unsure {
            // Nobody is to take it for what the key says.
            layer.keys.clear();
        }
        stage.push_layer(layer, info.created, said);
        Ok(())
    }

    fn commit(
        &mut self,
        draft: Draft,
        key: &str,
        said: &str,
        made: Made,
        is_forced: bool,
    ) -> Result<(LayerId, LayerInfo)> {
        let store = self.shared.store;
        // A step that was made to run again is another one for what builds on it.
        let lineage = if is_forced || made == Made::Unsure {
            LayerId::random()?.to_string()
        } else {
            key.to_owned()
        };
        let info = LayerInfo {
            form: store.form(),
            lineage,
            created_by: said.to_owned(),
            created: self.created(),
            unpacked_from: None,
            elsewhere: None,
        };
        let layer = draft.commit(store, &info)?;
        self.shared.keep(layer.lock);
        lock(&self.shared.made).push(layer.id.clone());
        if made == Made::Whole && !self.shared.request.apart {
            store.remember_step(key, &layer.id)?;
        }
        Ok((layer.id, info))
    }

    /// The time that layers made now have: SOURCE_DATE_EPOCH, or the clock's.
    fn created(&self) -> String {
        self.shared
            .request
            .epoch
            .and_then(wiac_oci::time::second)
            .unwrap_or_else(now)
    }
}
