//! ENV, LABEL and ARG: names with values.

use std::ops::Range;

use super::parts::{Parts, shorten};
use crate::error::{Error, ErrorKind};
use crate::model::Word;
use crate::text::is_separator;

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

/// Types the pairs of ENV and LABEL.
pub(super) fn parse_pairs(parts: &Parts<'_>) -> Result<Vec<Pair>, Error> {
    parts.flags(&[])?;
    let words = parts.text.quoted_words(parts.args());
    let Some(first) = words.first() else {
        return parts.needs("at least one key=value");
    };
    if !parts.text.str(first).contains('=') {
        return parse_legacy_pair(parts).map(|pair| vec![pair]);
    }
    words.iter().map(|range| parse_pair(parts, range)).collect()
}

/// `KEY the rest of the line`.
fn parse_legacy_pair(parts: &Parts<'_>) -> Result<Pair, Error> {
    let args = parts.args();
    let Some(length) = parts.args_str().bytes().position(is_separator) else {
        return parts.needs("a name and a value");
    };
    let key = args.start..args.start + length;
    let blank = parts
        .args_str()
        .bytes()
        .skip(length)
        .take_while(|b| is_separator(*b))
        .count();
    let value = key.end + blank..args.end;
    Ok(Pair {
        key: parts.text.word(&key),
        value: parts.text.word(&value),
        legacy: true,
    })
}

fn parse_pair(parts: &Parts<'_>, range: &Range<usize>) -> Result<Pair, Error> {
    let word = parts.text.str(range);
    let error = |kind| Err(parts.text.error(kind, range));
    match word.find('=') {
        None => error(ErrorKind::NoEquals {
            name: parts.name,
            word: shorten(word),
        }),
        Some(0) => error(ErrorKind::BlankName { name: parts.name }),
        Some(at) => Ok(Pair {
            key: parts.text.word(&(range.start..range.start + at)),
            value: parts.text.word(&(range.start + at + 1..range.end)),
            legacy: false,
        }),
    }
}

/// ARG.
pub(crate) fn parse_arg(parts: &Parts<'_>) -> Result<Arg, Error> {
    parts.flags(&[])?;
    let words = parts.text.quoted_words(parts.args());
    if words.is_empty() {
        return parts.needs("at least one name");
    }
    let definition = |range: &Range<usize>| {
        let at = parts.text.str(range).find('=');
        if at == Some(0) {
            return Err(parts.text.error(ErrorKind::BlankName { name: "ARG" }, range));
        }
        let end = at.map_or(range.end, |at| range.start + at);
        let name = parts.text.word(&(range.start..end));
        let doc = doc_of(&name.text, parts.comments);
        Ok(ArgDefinition {
            doc,
            name,
            default: at.map(|_| parts.text.word(&(end + 1..range.end))),
        })
    };
    Ok(Arg {
        definitions: words.iter().map(definition).collect::<Result<_, _>>()?,
    })
}

/// The description in a comment `<name> <description>`.
pub(crate) fn doc_of(name: &str, comments: &[String]) -> Option<String> {
    comments
        .iter()
        .find_map(|comment| comment.strip_prefix(name)?.strip_prefix(' '))
        .map(str::to_owned)
}
