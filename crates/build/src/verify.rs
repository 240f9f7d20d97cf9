//! Two builds of one Dockerfile, layer by layer: what the second made in another way than the first.

use crate::error::Result;
use wiac_layer::compare::{Comparison, Difference, compare};
use wiac_store::{ImageRecord, Store};

/// What differs between two images.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Layers that were compared, or are the same one.
    pub layers: usize,
    /// Entries that were compared.
    pub entries: u64,
    /// Layers that differ, base first.
    pub steps: Vec<StepDifference>,
    /// Anything else, a line each.
    pub others: Vec<String>,
}

/// What differs in one layer.
#[derive(Debug)]
pub struct StepDifference {
    /// What made the layer.
    pub created_by: String,
    /// By path; at least one.
    pub differences: Vec<Difference>,
}

impl Verdict {
    /// Whether the two are the same.
    pub fn is_same(&self) -> bool {
        self.steps.is_empty() && self.others.is_empty()
    }
}

/// Compares what two builds gave. `clamp`: later times count as this one, and times of the configuration are compared too.
///
/// # Errors
/// What can't be read.
pub fn verify(store: &Store, first: &ImageRecord, second: &ImageRecord, clamp: Option<i64>) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    if first.layers.len() != second.layers.len() {
        let (one, other) = (first.layers.len(), second.layers.len());
        verdict
            .others
            .push(format!("the first has {one} layers, the second {other}"));
    }
    for (one, other) in first.layers.iter().zip(&second.layers) {
        verdict.layers += 1;
        if one == other {
            continue;
        }
        let Comparison { entries, differences } = compare(&store.layer_diff(one), &store.layer_diff(other), clamp)?;
        verdict.entries += entries;
        if !differences.is_empty() {
            verdict.steps.push(StepDifference {
                created_by: store.layer_info(one)?.created_by,
                differences,
            });
        }
    }
    let [one, other] = [first, second].map(|record| comparable(record, clamp.is_some()));
    if one != other {
        verdict.others.push("the configurations differ".to_owned());
    }
    Ok(verdict)
}

/// The configuration as far as it is to be the same each time.
fn comparable(record: &ImageRecord, with_times: bool) -> Vec<u8> {
    let mut config = record.config.clone();
    config.rootfs.diff_ids.clear();
    if !with_times {
        config.created = None;
        for step in &mut config.history {
            step.created = None;
        }
    }
    config.to_bytes()
}
