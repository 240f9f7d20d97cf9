//! Steps of builds that failed, kept to be looked at: `failures/<id>.json`, with the layers that they ran on and the one
//! with what they had changed.

use crate::data::Store;
use crate::error::{IoExt, Result};
use crate::layer::{LayerId, from_json, to_json};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::PathBuf;

/// As many as are kept; the oldest goes for the next.
pub const MOST_FAILURES: usize = 5;

/// A failed step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureRecord {
    /// What it is called: the beginning of its last layer's id.
    pub id: String,
    /// The layers below it, base first, and the one with its changes.
    pub layers: Vec<LayerId>,
    /// When.
    pub created: String,
    /// How it ran, in the builder's words.
    pub details: serde_json::Value,
}

impl Store {
    fn failure_path(&self, id: &str) -> PathBuf {
        self.path("failures").join(format!("{id}.json"))
    }

    /// Keeps a failed step, and drops the oldest beyond [`MOST_FAILURES`]. The caller holds its layers.
    ///
    /// # Errors
    /// When the data directory can't be written.
    pub fn add_failure(&self, failure: &FailureRecord) -> Result<()> {
        {
            let _adding = self.adding_images()?;
            let directory = self.path("failures");
            fs::create_dir_all(&directory).on("create", &directory)?;
            self.write_whole(&self.failure_path(&failure.id), &to_json(failure))?;
        }
        let known = self.failures()?;
        for old in &known[..known.len().saturating_sub(MOST_FAILURES)] {
            self.remove_failure(old)?;
        }
        Ok(())
    }

    /// Those that are kept, the oldest first. What can't be read is none.
    ///
    /// # Errors
    /// When the directory can't be read.
    pub fn failures(&self) -> Result<Vec<FailureRecord>> {
        let directory = self.path("failures");
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result.on("read", &directory)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.on("read", &directory)?;
            let written = entry.metadata().and_then(|meta| meta.modified()).ok();
            if let Ok(failure) = from_json::<FailureRecord>(&entry.path()) {
                found.push((written, failure));
            }
        }
        found.sort_by(|one, other| (one.0, &one.1.id).cmp(&(other.0, &other.1.id)));
        Ok(found.into_iter().map(|(_, failure)| failure).collect())
    }

    /// Forgets a failed step and deletes what it had changed. Where somebody looks at it, that is left to the collector.
    ///
    /// # Errors
    /// What can't be deleted.
    pub fn remove_failure(&self, failure: &FailureRecord) -> Result<()> {
        crate::collect::remove_file(&self.failure_path(&failure.id))?;
        failure
            .layers
            .last()
            .map_or(Ok(()), |changes| self.discard_layer(changes))
    }
}
