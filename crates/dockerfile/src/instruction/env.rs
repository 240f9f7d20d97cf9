//! ENV, LABEL and ARG: names with values.

use crate::model::Word;

/// ENV: variables to set. All values see the environment as it was before the instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Env {
    /// The pairs in order; never empty.
    pub pairs: Vec<Pair>,
}

/// LABEL: labels to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The pairs in order; never empty.
    pub pairs: Vec<Pair>,
}

/// A name and its value, unexpanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The name.
    pub key: Word,
    /// The value; in the legacy form the rest of the line.
    pub value: Word,
    /// Written as `KEY value`, without `=`.
    pub legacy: bool,
}

/// ARG: build arguments declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// The arguments in order; never empty.
    pub definitions: Vec<ArgDefinition>,
}

/// One build argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgDefinition {
    /// Its name.
    pub name: Word,
    /// Its default, unexpanded; `None` for `ARG NAME`, empty for `ARG NAME=`.
    pub default: Option<Word>,
    /// The description from a comment `# <name> <description>` above.
    pub doc: Option<String>,
}
