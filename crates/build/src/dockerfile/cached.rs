//! A step that makes a layer: looked up in the cache first, and only then carried out.

use super::Build;
use super::stage::Stage;
use crate::error::Result;
use wiac_oci::time::now;
use wiac_store::layer::Draft;
use wiac_store::{LayerId, LayerInfo};

/// What came of carrying a step out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// The layer is what its key says.
    Whole,
    /// Something changed meanwhile: the layer counts for this build alone.
    Unsure,
}

impl Build<'_, '_> {
    /// The layer that the step `key` made before, if it may be used and is there.
    pub(super) fn use_cached(&mut self, stage: &mut Stage, key: &str, said: &str) -> Result<bool> {
        let store = self.tools.store;
        if self.is_forced(stage) {
            return Ok(false);
        }
        let Some(layer) = store.cached_step(key)? else {
            return Ok(false);
        };
        self.locks.push(layer.lock);
        stage.add_layer(store, layer.id, said.to_owned())?;
        Ok(true)
    }

    /// Uses the layer that the step `key` made before, or has it made and remembers it. `true` for the former.
    pub(super) fn cached_or(
        &mut self,
        stage: &mut Stage,
        key: &str,
        said: String,
        make: impl FnOnce(&mut Self, &Stage, &Draft) -> Result<Made>,
    ) -> Result<bool> {
        if self.use_cached(stage, key, &said)? {
            return Ok(true);
        }
        let draft = Draft::new(self.tools.store)?;
        let made = make(self, stage, &draft)?;
        let is_forced = self.is_forced(stage);
        let (layer, info) = self.commit(draft, key, &said, made, is_forced)?;
        stage.push_layer(layer, info, said);
        Ok(false)
    }

    /// Whether every step of the stage is to be carried out again.
    pub(super) fn is_forced(&self, stage: &Stage) -> bool {
        self.request.no_cache
            || self
                .request
                .no_cache_stages
                .iter()
                .any(|name| name.eq_ignore_ascii_case(&stage.name))
    }

    fn commit(
        &mut self,
        draft: Draft,
        key: &str,
        said: &str,
        made: Made,
        is_forced: bool,
    ) -> Result<(LayerId, LayerInfo)> {
        let store = self.tools.store;
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
        self.locks.push(layer.lock);
        if made == Made::Whole {
            store.remember_step(key, &layer.id)?;
        }
        Ok((layer.id, info))
    }

    /// The time that layers made now have: SOURCE_DATE_EPOCH, or the clock's.
    fn created(&self) -> String {
        self.request.epoch.and_then(wiac_oci::time::second).unwrap_or_else(now)
    }
}
