//! An instruction's text taken apart: its first word, its flags, and the rest.

use std::ops::Range;

use crate::error::{Error, ErrorKind};
use crate::model::Word;
use crate::text::{Text, is_separator};
use wiac_suggest::nearest;

/// The parts of an instruction's text.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    /// The first word.
    pub(crate) keyword: Range<usize>,
    /// The words that start with `--` right after it.
    pub(crate) flags: Vec<RawFlag>,
    /// The rest, without white space at its ends.
    pub(crate) args: Range<usize>,
}

/// A flag word, quotes and escapes removed.
#[derive(Debug, Clone)]
pub(crate) struct RawFlag {
    text: String,
    place: Range<usize>,
}

/// Takes the text of `range` apart.
pub(crate) fn split(text: &Text<'_>, range: &Range<usize>) -> Statement {
    let range = text.trim(range);
    let source = text.str(&range);
    let length = source.bytes().position(is_separator).unwrap_or(source.len());
    let keyword = range.start..range.start + length;
    let mut flags = Vec::new();
    let mut rest = text.trim(&(keyword.end..range.end));
    while text.str(&rest).starts_with("--") {
        let flag = read_flag(text, &rest);
        rest = text.trim(&(flag.place.end..rest.end));
        if flag.text == "--" {
            break;
        }
        flags.push(flag);
    }
    Statement {
        keyword,
        flags,
        args: rest,
    }
}

/// Reads the flag at the start of `range`.
fn read_flag(text: &Text<'_>, range: &Range<usize>) -> RawFlag {
    let mut flag = String::new();
    let mut quote = None;
    let mut end = range.end;
    let mut chars = text.str(range).char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => {
                end = range.start + at;
                break;
            }
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ if c == text.escape => flag.extend(chars.next().map(|(_, c)| c)),
            _ => flag.push(c),
        }
    }
    RawFlag {
        text: flag,
        place: range.start..end,
    }
}

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing, `true` or `false`.
    Bool,
    /// A value, once.
    Value,
    /// A value, any number of times.
    Values,
}

/// The flags of an instruction, known to exist and to have values where they need one.
#[derive(Debug)]
pub(crate) struct Flags {
    found: Vec<(&'static str, Option<Word>, bool)>,
}

impl Flags {
    /// Checks the flags of the instruction `name` against those it has.
    pub(crate) fn parse(
        text: &Text<'_>,
        name: &'static str,
        flags: &[RawFlag],
        known: &[(&'static str, Takes)],
    ) -> Result<Self, Error> {
        let mut result = Self { found: Vec::new() };
        for flag in flags {
            let error = |kind| Err(text.error(kind, &flag.place));
            let body = flag.text.strip_prefix("--").unwrap_or(&flag.text);
            let (given, value) = body
                .split_once('=')
                .map_or((body, None), |(given, value)| (given, Some(value)));
            let Some((flag_name, takes)) = known.iter().copied().find(|(known, _)| *known == given) else {
                let nearest = nearest(given, known.iter().map(|(known, _)| *known));
                return error(ErrorKind::UnknownFlag {
                    name,
                    flag: given.to_owned(),
                    nearest: nearest.map(|found| {
                        known
                            .iter()
                            .find(|(known, _)| *known == found)
                            .map_or("", |(known, _)| *known)
                    }),
                });
            };
            if takes != Takes::Values && result.is_given(flag_name) {
                return error(ErrorKind::RepeatedFlag { flag: flag_name });
            }
            let on = match (takes, value.map(str::to_ascii_lowercase).as_deref()) {
                (Takes::Bool, None | Some("true")) => true,
                (Takes::Bool, Some("false")) => false,
                (Takes::Bool, Some(_)) => return error(bad_value(flag_name, "true or false", value)),
                (_, None) => return error(bad_value(flag_name, "a value", None)),
                (_, Some(_)) => true,
            };
            result
                .found
                .push((flag_name, value.map(|value| value_word(text, flag, value)), on));
        }
        Ok(result)
    }

    fn is_given(&self, name: &str) -> bool {
        self.found.iter().any(|(known, ..)| *known == name)
    }

    /// A flag that is on or off; `None` where it is not given.
    pub(crate) fn switch(&self, name: &str) -> Option<bool> {
        self.found
            .iter()
            .find(|(known, ..)| *known == name)
            .map(|(_, _, on)| *on)
    }

    /// The value of a flag; an empty one counts as not given.
    pub(crate) fn word(&self, name: &str) -> Option<Word> {
        self.words(name).into_iter().next().filter(|word| !word.text.is_empty())
    }

    /// All values of a flag in order.
    pub(crate) fn words(&self, name: &str) -> Vec<Word> {
        self.found
            .iter()
            .filter(|(known, ..)| *known == name)
            .filter_map(|(_, word, _)| word.clone())
            .collect()
    }
}

/// The value as a word: at its own place where the flag holds no quotes, else at the flag's.
fn value_word(text: &Text<'_>, flag: &RawFlag, value: &str) -> Word {
    let verbatim = flag.place.len() == flag.text.len();
    let start = if verbatim {
        flag.place.end - value.len()
    } else {
        flag.place.start
    };
    Word {
        text: value.to_owned(),
        span: text.span(&(start..flag.place.end)),
    }
}

/// The error of a flag with a missing or wrong value.
pub(crate) fn bad_value(flag: &'static str, wants: &'static str, value: Option<&str>) -> ErrorKind {
    ErrorKind::BadFlagValue {
        flag,
        wants,
        value: value.map(str::to_owned),
    }
}
