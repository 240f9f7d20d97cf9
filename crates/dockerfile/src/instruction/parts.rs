//! An instruction taken apart, with what all parsers of instructions have in common.

use std::ops::Range;

use super::run::Command;
use crate::error::{Error, ErrorKind};
use crate::flags::{Flags, Statement, Takes};
use crate::json::{self, Json};
use crate::model::{Heredoc, Word};
use crate::text::Text;
use wiac_suggest::nearest;

/// All instructions.
pub(crate) const KEYWORDS: [&str; 18] = [
    "FROM",
    "RUN",
    "COPY",
    "ADD",
    "ENV",
    "LABEL",
    "ARG",
    "WORKDIR",
    "USER",
    "CMD",
    "ENTRYPOINT",
    "SHELL",
    "EXPOSE",
    "VOLUME",
    "STOPSIGNAL",
    "HEALTHCHECK",
    "ONBUILD",
    "MAINTAINER",
];

/// An instruction taken apart.
pub(crate) struct Parts<'a> {
    pub(crate) text: Text<'a>,
    pub(crate) name: &'static str,
    pub(crate) statement: Statement,
    pub(crate) heredocs: Vec<Heredoc>,
    pub(crate) comments: &'a [String],
}

impl Parts<'_> {
    pub(super) fn args(&self) -> &Range<usize> {
        &self.statement.args
    }

    pub(super) fn args_str(&self) -> &str {
        self.text.str(self.args())
    }

    pub(super) fn whole(&self) -> Range<usize> {
        self.statement.keyword.start..self.args().end
    }

    pub(super) fn fail<T>(&self, kind: ErrorKind) -> Result<T, Error> {
        Err(self.text.error(kind, &self.whole()))
    }

    pub(super) fn needs<T>(&self, wants: &'static str) -> Result<T, Error> {
        self.fail(ErrorKind::Arguments { name: self.name, wants })
    }

    pub(super) fn flags(&self, known: &[(&'static str, Takes)]) -> Result<Flags, Error> {
        Flags::parse(&self.text, self.name, &self.statement.flags, known)
    }

    pub(super) fn json(&self, range: &Range<usize>) -> Result<Option<Vec<String>>, Error> {
        match json::parse(self.text.str(range)) {
            Json::Strings(strings) => Ok(Some(strings)),
            Json::NotStrings => Err(self.text.error(ErrorKind::NotStrings { name: self.name }, range)),
            Json::Other => Ok(None),
        }
    }

    /// The arguments as a command in either form.
    pub(super) fn command(&self, range: &Range<usize>) -> Result<Command, Error> {
        if range.is_empty() {
            return self.needs("a command");
        }
        Ok(match self.json(range)? {
            Some(args) => Command::Exec(args),
            None => Command::Shell(self.text.str(range).to_owned()),
        })
    }

    /// The arguments as a JSON array or as plain words; whether it was JSON.
    pub(super) fn list(&self) -> Result<(Vec<Word>, bool), Error> {
        if let Some(strings) = self.json(self.args())? {
            let span = self.text.span(self.args());
            return Ok((strings.into_iter().map(|text| Word { text, span }).collect(), true));
        }
        Ok((
            self.text
                .plain_words(self.args())
                .iter()
                .map(|range| self.text.word(range))
                .collect(),
            false,
        ))
    }

    /// The whole rest as one word.
    pub(super) fn single(&self, wants: &'static str) -> Result<Word, Error> {
        self.flags(&[])?;
        if self.args().is_empty() {
            self.needs(wants)
        } else {
            Ok(self.text.word(self.args()))
        }
    }
}

/// The instruction that the word at `range` names.
pub(crate) fn keyword_name(text: &Text<'_>, range: &Range<usize>) -> Result<&'static str, Error> {
    let word = text.str(range);
    if let Some(known) = KEYWORDS.iter().find(|known| known.eq_ignore_ascii_case(word)) {
        return Ok(known);
    }
    let found = nearest(word, KEYWORDS);
    let nearest = found.and_then(|found| KEYWORDS.iter().copied().find(|known| *known == found));
    Err(text.error(
        ErrorKind::UnknownInstruction {
            word: word.to_owned(),
            nearest,
        },
        range,
    ))
}

/// The start of a word that may be any length, fit for a message.
pub(super) fn shorten(word: &str) -> String {
    let mut short: String = word.chars().take(40).collect();
    if short.len() < word.len() {
        short.push('…');
    }
    short
}
