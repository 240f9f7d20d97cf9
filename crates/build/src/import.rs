//! Steps that were carried out elsewhere: a build cache of another machine, which the caller reads.

use crate::error::Result;
use wiac_store::HeldLayer;

/// Finds layers that steps made elsewhere. Steps of several stages may ask at once.
pub trait StepCache: Sync {
    /// What is known of the step with this key. No layer is fetched for that.
    fn find(&self, key: &str) -> Option<ImportedStep>;

    /// Gets the layer of a step into the store, compared with its digest and diff ID.
    ///
    /// # Errors
    /// Where it can't be had, or isn't what it should be.
    fn fetch(&self, key: &str) -> Result<HeldLayer>;
}

/// A step that was carried out elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedStep {
    /// What its layer counts as for the keys of steps above it.
    pub lineage: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// All its keys.
    pub keys: Vec<String>,
}
