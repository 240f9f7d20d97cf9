//! The variables of a stage while its instructions are gone through.

use std::collections::{BTreeMap, BTreeSet};

use crate::expand::{Expanded, Expander};
use crate::instruction::Arg;
use crate::model::{Heredoc, Word};

/// What a stage has set so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// Whether the base's environment is known, so that a variable can be said to be undefined.
    pub(super) known: bool,
    /// From ENV and the base.
    pub(super) env: BTreeMap<String, String>,
    /// From ARG; declared, with or without a value.
    pub(super) args: BTreeMap<String, Option<String>>,
    /// A WORKDIR has been seen.
    pub(super) workdir: bool,
    /// A SHELL has been seen.
    pub(super) shell: bool,
}

impl Scope {
    /// Expands a word; `None` if that fails, which the build will tell.
    pub(super) fn expand(&self, word: &str, escape: char) -> Option<Expanded> {
        Expander::new(escape, &|name| self.value(name)).text(word).ok()
    }

    /// Expands the body of a heredoc; `None` as for a word.
    pub(super) fn heredoc(&self, heredoc: &Heredoc, escape: char) -> Option<Expanded> {
        Expander::new(escape, &|name| self.value(name)).heredoc(heredoc).ok()
    }

    /// The value of a variable: ENV goes before ARG.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        self.env
            .get(name)
            .cloned()
            .or_else(|| self.args.get(name).cloned().flatten())
    }

    /// Of the variables that were not set, those that are not declared either.
    pub(super) fn undeclared<'n>(&self, undefined: &'n BTreeSet<String>) -> Vec<&'n str> {
        let names = undefined.iter().filter(|name| !self.args.contains_key(*name));
        names.map(String::as_str).filter(|_| self.known).collect()
    }

    /// All names that have a value.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let args = self.args.iter().filter(|(_, value)| value.is_some());
        self.env.keys().chain(args.map(|(name, _)| name)).map(String::as_str)
    }

    /// Declares arguments. `outer` gives a build argument's, or else a global argument's value, and whether it
    /// overrides a default.
    pub(super) fn declare(&mut self, arg: &Arg, escape: char, outer: impl Fn(&str) -> Option<(String, bool)>) {
        for definition in &arg.definitions {
            let expand = |word: &Word| self.expand(&word.text, escape).map(|expanded| expanded.text);
            let value = match (outer(definition.name.as_str()), &definition.default) {
                (Some((value, true)), _) | (Some((value, false)), None) => Some(value),
                (_, Some(default)) => expand(default),
                (None, None) => None,
            };
            self.args.insert(definition.name.text.clone(), value);
        }
    }
}
