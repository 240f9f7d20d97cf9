//! The pairs of ENV and LABEL, expanded against one snapshot of values.

use std::collections::BTreeSet;

use super::Expander;
use crate::error::Error;
use crate::instruction::Pair;

/// Expanded pairs, and the variables they took.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pairs {
    /// Names and values in the order of the file; a later one wins.
    pub pairs: Vec<(String, String)>,
    /// The variables named that are set.
    pub used: BTreeSet<String>,
    /// The variables named that are not set.
    pub undefined: BTreeSet<String>,
}

/// Expands names and values of ENV or LABEL. All see the same values: `ENV a=1 b=$a` sees the old `a`.
///
/// An error says where in the file.
pub fn expand_pairs(pairs: &[Pair], expander: &Expander<'_>) -> Result<Pairs, Error> {
    let mut result = Pairs::default();
    for pair in pairs {
        let key = expander.word(&pair.key)?;
        let value = expander.word(&pair.value)?;
        result.used.extend(key.used.into_iter().chain(value.used));
        result
            .undefined
            .extend(key.undefined.into_iter().chain(value.undefined));
        result.pairs.push((key.text, value.text));
    }
    Ok(result)
}
