//! Expansion: quotes, escapes and variables of a word, by the rules of the Dockerfile language.
//!
//! `$v ${v}`, `${v:-w} ${v-w} ${v:+w} ${v+w} ${v:?w} ${v?w}`, `${v#p} ${v##p} ${v%p} ${v%%p}`,
//! `${v/p/r} ${v//p/r}` with the globs `?` and `*` in `p`; words nest. Single quotes are literal, double quotes
//! expand, the escape character makes the next character literal.

mod lexer;
mod names;
mod pairs;
mod pattern;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

pub use pairs::{Pairs, expand_pairs};

pub(crate) use lexer::Lexer;

use crate::model::{Heredoc, Word};
use crate::span::Span;

/// How deep substitutions may nest.
const MAX_DEPTH: usize = 100;

/// Where the values of variables come from: the value of a name, or `None` if it is not set.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A word after expansion, and the variables it took.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expanded {
    /// The result as one word.
    pub text: String,
    /// The result split at white space that is not quoted; values of variables are split as well.
    pub words: Vec<String>,
    /// The variables named in it that are set.
    pub used: BTreeSet<String>,
    /// The variables named in it that are not set.
    pub undefined: BTreeSet<String>,
}

/// An expansion that failed, and where in the word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// The byte in the word at which the failed part starts.
    pub offset: usize,
}

impl Error {
    /// The error at its place in the source, for a word that stands at `span`.
    pub fn at(self, word: &str, span: Span) -> crate::Error {
        let verbatim = span.end - span.start == word.len() && span.first_line == span.last_line;
        if !verbatim {
            return crate::Error::new(self.kind.into(), span);
        }
        let offset = self.offset.min(word.len());
        let place = Span {
            start: span.start + offset,
            column: span.column + offset,
            ..span
        };
        crate::Error::new(self.kind.into(), place)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for Error {}

/// What is wrong with an expansion.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// A quote without its partner.
    #[error("the quote {quote} is never closed")]
    OpenQuote {
        /// The quote.
        quote: char,
    },
    /// `${` without `}`.
    #[error("a substitution lacks its closing }}")]
    OpenBrace,
    /// `${v/p` without its second `/`.
    #[error("a replacement lacks its second /")]
    OpenPattern,
    /// `${}`, `${{`, `${:`.
    #[error("a substitution has no valid name")]
    NoName,
    /// Something after the name that is no operator.
    #[error("the operator {operator:?} is not supported in a substitution")]
    Operator {
        /// What follows the name.
        operator: String,
    },
    /// `${v?}` of a variable that is not set.
    #[error("{name}: {message:?}")]
    Unset {
        /// The variable.
        name: String,
        /// What the word after `?` says, or that it must be set.
        message: String,
    },
    /// A glob with an escape that is none.
    #[error("invalid pattern {pattern:?} in a substitution")]
    Pattern {
        /// The pattern.
        pattern: String,
    },
    /// Substitutions nested beyond reason.
    #[error("substitutions nest deeper than 100")]
    TooDeep,
}

impl ErrorKind {
    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::OpenQuote { .. } => Some(
                "escape a quote that is meant literally; in COPY, ADD and VOLUME, paths with spaces need the JSON form",
            ),
            Self::Unset { .. } => Some("pass it with --build-arg, or give it a default with ARG"),
            Self::Operator { .. } => Some("supported are :- - :+ + :? ? # ## % %% / //"),
            _ => None,
        }
    }
}

/// Expands words against a source of values.
#[derive(Clone, Copy)]
pub struct Expander<'a> {
    escape: char,
    lookup: Lookup<'a>,
}

impl fmt::Debug for Expander<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expander")
            .field("escape", &self.escape)
            .finish_non_exhaustive()
    }
}

impl<'a> Expander<'a> {
    /// An expander with the escape character of [`crate::Directives::escape`].
    pub fn new(escape: char, lookup: Lookup<'a>) -> Self {
        Self { escape, lookup }
    }

    /// Expands a word in which quotes and escapes mean what they mean in a Dockerfile.
    pub fn text(&self, word: &str) -> Result<Expanded, Error> {
        Lexer::new(self.escape, self.lookup).run(word)
    }

    /// Expands a word of the file; an error says where in the file.
    pub fn word(&self, word: &Word) -> Result<Expanded, crate::Error> {
        self.text(&word.text).map_err(|error| error.at(&word.text, word.span))
    }

    /// Expands the body of a COPY or ADD heredoc, unless its word was quoted: quotes stay, and the escape character is
    /// always `\`. Leading tabs are gone where `<<-` was written.
    pub fn heredoc(&self, heredoc: &Heredoc) -> Result<Expanded, crate::Error> {
        let body = heredoc.body();
        if !heredoc.expand {
            return Ok(Expanded {
                text: body,
                ..Expanded::default()
            });
        }
        let result = Lexer::body(self.lookup).run(&body);
        result.map_err(|error| crate::Error::new(error.kind.into(), heredoc.span))
    }
}
