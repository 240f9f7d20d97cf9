//! The part of Go's text/template that people write after `--format`, evaluated on JSON; pure.
//!
//! Grammar and printing follow Go's packages text/template and fmt; the functions `json`, `join`, `split`, `lower`,
//! `upper`, `title`, `pad`, `truncate`, the `table ` prefix and `\t`, `\n` outside of actions follow docker's
//! `--format`. Not there: `define`, `block`, `template`, `call`.
//!
//! Where this differs from Go: a field of nothing is nothing (Go knows types and sometimes fails); a field followed by
//! words is looked up in (`.Label "x"`, which is a method in docker); objects print as maps, never as structs.

mod evaluate;
mod functions;
mod lex;
mod parse;
mod print;
mod printf;
mod table;

pub use table::align;

use evaluate::Evaluation;
use parse::Node;
use serde_json::{Map, Value};
use std::fmt;

/// What is wrong with a template, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Line, from 1.
    pub line: usize,
    /// Character in the line, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 1 {
            write!(f, "template, character {}: {}", self.column, self.message)
        } else {
            write!(
                f,
                "template, line {} character {}: {}",
                self.line, self.column, self.message
            )
        }
    }
}

impl std::error::Error for Error {}

/// A problem at a byte of the template.
#[derive(Debug)]
struct Fault {
    at: usize,
    message: String,
}

impl Fault {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }

    fn within(self, text: &str) -> Error {
        let before = text.get(..self.at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Error {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: self.message,
        }
    }
}

/// A parsed template.
#[derive(Debug)]
pub struct Template {
    text: String,
    nodes: Vec<Node>,
    is_table: bool,
    names: Names,
}

/// What is known of fields by their names: JSON says less than the types that Go's templates see.
#[derive(Debug, Clone, Copy, Default)]
struct Names {
    /// Objects whose keys are the user's own.
    maps: &'static [&'static str],
    /// How nothing is printed.
    empty: &'static [(&'static str, &'static str)],
}

impl Template {
    /// Reads a template. `table ` before it asks for a header and aligned columns.
    ///
    /// # Errors
    /// What can't be understood, with its place.
    pub fn parse(text: &str) -> Result<Self, Error> {
        // docker takes the bare word for a table of nothing.
        let rest = text
            .strip_prefix("table")
            .filter(|rest| rest.starts_with([' ', '\\', '\t']));
        let start = rest.map_or(0, |rest| text.len() - rest.trim_start_matches(' ').len());
        let pieces = lex::pieces(text, start).map_err(|fault| fault.within(text))?;
        let nodes = parse::nodes(pieces, text.len()).map_err(|fault| fault.within(text))?;
        Ok(Self {
            text: text.to_owned(),
            nodes,
            is_table: rest.is_some(),
            names: Names::default(),
        })
    }

    /// Objects under these names have keys of the user's own: one that is missing is nothing instead of a mistake.
    #[must_use]
    pub fn with_maps(mut self, maps: &'static [&'static str]) -> Self {
        self.names.maps = maps;
        self
    }

    /// How a field of one of these names is printed where it is nothing: an empty list as `[]`, a text not at all. Others are
    /// `<no value>`.
    #[must_use]
    pub fn with_empty(mut self, empty: &'static [(&'static str, &'static str)]) -> Self {
        self.names.empty = empty;
        self
    }

    /// Whether it asks for a table: a header and aligned columns.
    pub fn is_table(&self) -> bool {
        self.is_table
    }

    /// The template's text with everything filled in from `value`.
    ///
    /// # Errors
    /// A field that isn't there, with what is; a function's complaint.
    pub fn render(&self, value: &Value) -> Result<String, Error> {
        self.evaluate(Evaluation::new(value, self.names))
    }

    /// The line above a table: the names of the fields in `headers`, or their own in capitals.
    ///
    /// # Errors
    /// As for [`Self::render`].
    pub fn header(&self, headers: &Map<String, Value>) -> Result<String, Error> {
        self.evaluate(Evaluation::of_header(headers))
    }

    fn evaluate(&self, mut evaluation: Evaluation) -> Result<String, Error> {
        evaluation.run(&self.nodes).map_err(|fault| fault.within(&self.text))?;
        Ok(evaluation.into_text())
    }
}

#[cfg(test)]
mod tests;
