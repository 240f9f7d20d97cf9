//! One pattern of a `.dockerignore`, compiled.

use crate::glob::{BadPattern, Token, tokens};

/// A part of a pattern that is matched character by character.
#[derive(Debug, Clone)]
pub(super) enum Part {
    /// One character: as in a glob, but `?` is no slash.
    One(Token),
    /// `*`: any text without a slash.
    Many,
    /// `**` before other parts: nothing, or any text that ends with a slash.
    Directories,
    /// `**` at the end: any text.
    Everything,
}

/// A compiled pattern; the common forms are compared without walking through them.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    /// `a/b`
    Exact(String),
    /// `a/**`: this text and more.
    Prefix(String),
    /// `**/a`: this text, which starts with a slash, at the end, or all of it without the slash.
    Suffix(String),
    /// `**a`: this text at the end, also within a name.
    Tail(String),
    /// Anything else.
    Parts {
        parts: Vec<Part>,
        /// Text every match starts with.
        head: String,
        /// Text every match ends with.
        tail: String,
        /// The longest text every match has somewhere.
        middle: String,
    },
}

impl Pattern {
    /// Compiles a cleaned pattern.
    pub(super) fn new(text: &str) -> Result<Self, BadPattern> {
        let tokens = tokens(text)?;
        if let Some(literal) = literal(&tokens) {
            return Ok(Self::Exact(literal));
        }
        let parts = parts(tokens);
        let chars = |parts: &[Part]| parts.iter().map_while(char_of).collect::<String>();
        let head = chars(&parts);
        let tail: String = parts.iter().rev().map_while(char_of).collect();
        let tail: String = tail.chars().rev().collect();
        Ok(match parts.as_slice() {
            [before @ .., Part::Everything] if head.chars().count() == before.len() => Self::Prefix(head),
            [Part::Directories, after @ ..] if text.starts_with("**/") && tail.chars().count() == after.len() => {
                Self::Suffix(format!("/{tail}"))
            }
            [Part::Directories, after @ ..] if tail.chars().count() == after.len() => Self::Tail(tail),
            _ => Self::Parts {
                middle: longest_text(&parts),
                parts,
                head,
                tail,
            },
        })
    }

    /// Whether the whole path matches.
    pub(super) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(text) => text == path,
            Self::Prefix(text) => path.starts_with(text.as_str()),
            Self::Suffix(text) => path.ends_with(text.as_str()) || path == &text[1..],
            Self::Tail(text) => path.ends_with(text.as_str()),
            Self::Parts {
                parts,
                head,
                tail,
                middle,
            } => {
                path.starts_with(head.as_str())
                    && path.ends_with(tail.as_str())
                    && path.contains(middle.as_str())
                    && walk(parts, path, "").last() == Some(&true)
            }
        }
    }

    /// Whether the path of something below the directory might match.
    pub(super) fn may_match_below(&self, directory: &str) -> bool {
        let below = |text: &str| text.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
        match self {
            Self::Exact(text) => below(text),
            Self::Prefix(text) => below(text) || format!("{directory}/").starts_with(text.as_str()),
            Self::Suffix(_) | Self::Tail(_) => true,
            Self::Parts { parts, .. } => walk(parts, directory, "/").contains(&true),
        }
    }
}

fn literal(tokens: &[Token]) -> Option<String> {
    tokens
        .iter()
        .map(|token| if let Token::Char(c) = token { Some(*c) } else { None })
        .collect()
}

fn char_of(part: &Part) -> Option<char> {
    match part {
        Part::One(Token::Char(c)) => Some(*c),
        _ => None,
    }
}

/// The longest run of plain characters.
fn longest_text(parts: &[Part]) -> String {
    let runs = parts.split(|part| char_of(part).is_none());
    runs.max_by_key(|run| run.len())
        .unwrap_or_default()
        .iter()
        .filter_map(char_of)
        .collect()
}

/// Finds the `**` among the tokens; one takes the slash that follows it along.
fn parts(tokens: Vec<Token>) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        if token != Token::Many {
            parts.push(Part::One(token));
        } else if tokens.next_if_eq(&Token::Many).is_none() {
            parts.push(Part::Many);
        } else {
            tokens.next_if_eq(&Token::Char('/'));
            parts.push(if tokens.peek().is_none() {
                Part::Everything
            } else {
                Part::Directories
            });
        }
    }
    parts
}

/// Which parts can come next after `path` and `more`; the last state is that all are used up.
///
/// All ways through the pattern are followed at once, so time grows with the product of the lengths only.
fn walk(parts: &[Part], path: &str, more: &str) -> Vec<bool> {
    // For each part: whether it may come next, and for `Directories` whether it is inside a directory's name.
    let mut states = vec![false; parts.len() + 1];
    let mut inside = vec![false; parts.len()];
    let mut next = states.clone();
    let mut next_inside = inside.clone();
    states[0] = true;
    skip(parts, &mut states);
    for c in path.chars().chain(more.chars()) {
        next.fill(false);
        next_inside.fill(false);
        for (at, part) in parts.iter().enumerate() {
            match part {
                Part::One(token) if states[at] => {
                    next[at + 1] |= token.accepts(c) && !(*token == Token::Any && c == '/');
                }
                Part::Many if states[at] => next[at] |= c != '/',
                Part::Everything if states[at] => next[at] = true,
                Part::Directories if states[at] || inside[at] => {
                    next_inside[at] = true;
                    next[at + 1] |= c == '/';
                }
                _ => {}
            }
        }
        skip(parts, &mut next);
        std::mem::swap(&mut states, &mut next);
        std::mem::swap(&mut inside, &mut next_inside);
    }
    for (state, inside) in states.iter_mut().zip(inside) {
        *state |= inside;
    }
    states
}

/// Lets the parts that may match nothing do so.
fn skip(parts: &[Part], states: &mut [bool]) {
    for (at, part) in parts.iter().enumerate() {
        if states[at] && !matches!(part, Part::One(_)) {
            states[at + 1] = true;
        }
    }
}
