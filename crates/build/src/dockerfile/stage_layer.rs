//! The layers of a stage: those that are here, and those that a build cache of another machine has. The latter are fetched
//! when somebody needs their files.

use super::worker::Shared;
use crate::error::{Error, Result};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use wiac_store::LayerId;

/// One layer of a stage with what cache keys see of it.
#[derive(Debug, Clone)]
pub(super) struct StageLayer {
    pub(super) lineage: String,
    /// The steps that are known to make it; none for a base image's.
    pub(super) keys: Vec<String>,
    place: Place,
}

/// Where a layer is.
#[derive(Debug, Clone)]
enum Place {
    Here(LayerId),
    /// In another machine's cache, until it is fetched: for all stages that have it.
    Elsewhere(Arc<Mutex<Option<LayerId>>>),
}

/// A layer of what was built, as a build cache sees it.
#[derive(Debug, Clone)]
pub struct BuiltLayer {
    /// Which one; `None` for one that was found in another machine's cache and not needed.
    pub id: Option<LayerId>,
    /// What it counts as for the keys of steps above it.
    pub lineage: String,
    /// The steps that made it; none for a base image's.
    pub keys: Vec<String>,
}

impl StageLayer {
    /// A layer of a base image.
    pub(super) fn of_image(id: LayerId, lineage: String) -> Self {
        Self {
            lineage,
            keys: Vec::new(),
            place: Place::Here(id),
        }
    }

    /// A layer that the step `key` made.
    pub(super) fn of_step(id: LayerId, lineage: String, key: &str) -> Self {
        Self {
            lineage,
            keys: vec![key.to_owned()],
            place: Place::Here(id),
        }
    }

    /// A layer that the step `key` made elsewhere.
    pub(super) fn imported(lineage: String, key: &str) -> Self {
        Self {
            lineage,
            keys: vec![key.to_owned()],
            place: Place::Elsewhere(Arc::default()),
        }
    }

    /// The same, known by other keys too.
    pub(super) fn also(mut self, keys: Vec<String>) -> Self {
        for key in keys {
            if !self.keys.contains(&key) {
                self.keys.push(key);
            }
        }
        self
    }

    /// Which one, where it is here.
    pub(super) fn id(&self) -> Option<LayerId> {
        match &self.place {
            Place::Here(id) => Some(id.clone()),
            Place::Elsewhere(fetched) => fetched.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// As a build cache sees it.
    pub(super) fn built(&self) -> BuiltLayer {
        BuiltLayer {
            id: self.id(),
            lineage: self.lineage.clone(),
            keys: self.keys.clone(),
        }
    }
}

impl Shared<'_> {
    /// Which layer it is: fetched, where it is elsewhere, and then kept to the end of the build.
    ///
    /// # Errors
    /// [`Error::CacheLost`] where it can't be had any more.
    pub(super) fn layer(&self, layer: &StageLayer) -> Result<LayerId> {
        let fetched = match &layer.place {
            Place::Here(id) => return Ok(id.clone()),
            Place::Elsewhere(fetched) => fetched,
        };
        // Whoever wants the same meanwhile waits for it here.
        let mut fetched = fetched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = &*fetched {
            return Ok(id.clone());
        }
        let lost = |reason: String| Error::CacheLost { reason };
        let (Some(cache), Some(key)) = (self.cache, layer.keys.first()) else {
            return Err(lost("nobody knows where its layers are".to_owned()));
        };
        let held = cache.fetch(key).map_err(|error| lost(error.to_string()))?;
        for key in &layer.keys {
            let others: Vec<String> = layer.keys.iter().filter(|other| *other != key).cloned().collect();
            self.store.remember_step_as(key, &held.id, &layer.lineage, &others)?;
        }
        self.keep(held.lock);
        *fetched = Some(held.id.clone());
        Ok(held.id)
    }

    /// The directories of layers, base first, each fetched where it is elsewhere.
    ///
    /// # Errors
    /// As [`Shared::layer`].
    pub(super) fn directories(&self, layers: &[StageLayer]) -> Result<Vec<PathBuf>> {
        let directory = |layer| Ok(self.store.layer_diff(&self.layer(layer)?));
        layers.iter().map(directory).collect()
    }
}
