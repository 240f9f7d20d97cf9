//! What a parsed Dockerfile is made of: directives, stages and instructions, each with its place in the file.
//!
//! Words are kept as written: variables, quotes and escapes are dealt with by [`crate::expand`].

use std::fmt;

use crate::instruction::{Arg, Kind};
use crate::span::Span;

/// A parsed Dockerfile.
#[derive(Debug, Clone, PartialEq)]
pub struct Dockerfile {
    /// The parser directives of the file's top.
    pub directives: Directives,
    /// The ARG instructions before the first FROM.
    pub global_args: Vec<Instruction<Arg>>,
    /// The stages in the order of the file; never empty.
    pub stages: Vec<Stage>,
    /// What was found while reading and is no error.
    pub warnings: Vec<Warning>,
}

/// The parser directives of the file's top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// The frontend image named by `# syntax=`; recorded, never pulled.
    pub syntax: Option<Word>,
    /// The escape character: `\` or `` ` ``.
    pub escape: char,
    /// What `# check=` asks for.
    pub check: CheckOptions,
}

impl Default for Directives {
    fn default() -> Self {
        Self {
            syntax: None,
            escape: '\\',
            check: CheckOptions::default(),
        }
    }
}

/// Which checks run, and whether their findings are errors.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckOptions {
    /// Checks not to run.
    pub skip: CheckSet,
    /// Experimental checks to run as well.
    pub experimental: CheckSet,
    /// Findings fail the build.
    pub error: bool,
}

/// A set of checks, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckSet {
    /// Every check is meant, whatever `names` holds.
    pub all: bool,
    /// The names as written.
    pub names: Vec<String>,
}

impl CheckSet {
    /// Whether the check called `name` is in the set.
    pub fn contains(&self, name: &str) -> bool {
        self.all || self.names.iter().any(|known| known == name)
    }
}

/// Something found while reading that is no error. Instruction-level checks are in [`crate::check`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What was found.
    pub kind: WarningKind,
    /// Where it was found.
    pub span: Span,
}

/// The kinds of [`Warning`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarningKind {
    /// An empty line inside a continued instruction.
    EmptyContinuation,
}

/// A part of an instruction as written, before expansion.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Word {
    /// The text; quotes and escapes are still in it, except in flags and JSON forms.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

impl Word {
    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One FROM and the instructions up to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// Its number, from 0.
    pub index: usize,
    /// Its name, lower-cased and valid.
    pub name: Option<String>,
    /// Its name as written, where it has one.
    pub written_name: Option<Word>,
    /// Image and platform.
    pub from: From,
    /// The word FROM as written, for checks of casing.
    pub keyword: String,
    /// The word AS as written, where there is one.
    pub as_keyword: Option<Word>,
    /// The FROM instruction's place.
    pub span: Span,
    /// The FROM instruction as written, continuations joined.
    pub raw: String,
    /// The comments right above FROM, without `#`, trimmed.
    pub comments: Vec<String>,
    /// Checks that a `# check=skip=` comment turns off for this FROM.
    pub skip_checks: CheckSet,
    /// The description from a comment `# <name> <description>` above.
    pub doc: Option<String>,
    /// What follows, in order.
    pub instructions: Vec<Instruction>,
}

impl Stage {
    /// The name to show: its own, or `stage-<index>`.
    pub fn display_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("stage-{}", self.index))
    }
}

/// What a stage starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// An image, stage, named context, `scratch` or `bundle://…`; unexpanded.
    pub image: Word,
    /// The value of `--platform`; unexpanded.
    pub platform: Option<Word>,
}

/// One instruction and its place. `K` is [`Kind`], or one kind alone where no other can stand.
#[derive(Debug, Clone, PartialEq)]
pub struct Instruction<K = Kind> {
    /// What it says.
    pub kind: K,
    /// Its first word as written, for checks of casing.
    pub keyword: String,
    /// Its place, heredoc bodies included.
    pub span: Span,
    /// Its text as written, continuations joined, heredoc bodies left out.
    pub raw: String,
    /// The comments right above it, without `#`, trimmed.
    pub comments: Vec<String>,
    /// Checks that a `# check=skip=` comment turns off for it.
    pub skip_checks: CheckSet,
}

/// A here-document of RUN, COPY or ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it, quotes removed; in COPY and ADD also the file's name.
    pub name: String,
    /// The file descriptor before `<<`, if one is given.
    pub fd: Option<u32>,
    /// Variables in it are expanded (its word was not quoted).
    pub expand: bool,
    /// `<<-`: leading tabs are to be removed.
    pub strip_tabs: bool,
    /// The body as written, line endings included.
    pub content: String,
    /// Where the opening word stands.
    pub span: Span,
}

impl Heredoc {
    /// The body, without leading tabs where the heredoc asks for that.
    pub fn body(&self) -> String {
        if !self.strip_tabs {
            return self.content.clone();
        }
        self.content
            .split_inclusive('\n')
            .map(|line| line.trim_start_matches('\t'))
            .collect()
    }
}
