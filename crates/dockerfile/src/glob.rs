//! Globs as COPY's sources use them: Go's `filepath.Match` within a component of a path, and `**` across them.
//!
//! In a component `*` is any text, `?` any character, `[a-z]` and `[^a-z]` a character of a class, and `\` makes the
//! next character literal. The component `**` is any number of components, also none.

use std::fmt;

/// A pattern whose form is wrong: a class never closed or empty, or a `\` at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPattern {
    /// The pattern.
    pub pattern: String,
}

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid pattern {:?}", self.pattern)
    }
}

impl std::error::Error for BadPattern {}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Char(char),
    /// `?`
    Any,
    /// `*`
    Many,
    /// `[…]`: ranges, and whether they are what must not be there.
    Class {
        ranges: Vec<(char, char)>,
        negated: bool,
    },
}

impl Token {
    /// Whether a token that stands for one character stands for `c`.
    pub(crate) fn accepts(&self, c: char) -> bool {
        match self {
            Self::Char(wanted) => *wanted == c,
            Self::Any => true,
            Self::Many => false,
            Self::Class { ranges, negated } => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated,
        }
    }
}

/// Takes a pattern apart; slashes are ordinary characters.
pub(crate) fn tokens(pattern: &str) -> Result<Vec<Token>, BadPattern> {
    let bad = || BadPattern {
        pattern: pattern.to_owned(),
    };
    let mut tokens = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' => Token::Many,
            '?' => Token::Any,
            '\\' => Token::Char(chars.next().ok_or_else(bad)?),
            '[' => class(&mut chars).ok_or_else(bad)?,
            c => Token::Char(c),
        });
    }
    Ok(tokens)
}

/// Reads a class after its `[`.
fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Token> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && chars.next_if_eq(&']').is_some() {
            return Some(Token::Class { ranges, negated });
        }
        let low = class_char(chars)?;
        let high = if chars.next_if_eq(&'-').is_some() {
            class_char(chars)?
        } else {
            low
        };
        ranges.push((low, high));
    }
}

fn class_char(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match chars.next()? {
        '-' | ']' => None,
        '\\' => chars.next(),
        c => Some(c),
    }
}

/// Whether `text` matches all of `tokens`. Time grows with the product of their lengths at most.
fn matches_tokens(tokens: &[Token], text: &str) -> bool {
    let mut at = 0;
    let mut rest = text.chars();
    // Where to go on after the last `*`: it takes one more character each time the rest fails.
    let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        let stepped = match tokens.get(at) {
            Some(Token::Many) => {
                retry = Some((at + 1, rest.clone()));
                true
            }
            Some(token) => rest.next().is_some_and(|c| token.accepts(c)),
            None if rest.as_str().is_empty() => return true,
            None => false,
        };
        if stepped {
            at += 1;
            continue;
        }
        let Some((after, from)) = &mut retry else { return false };
        if from.next().is_none() {
            return false;
        }
        at = *after;
        rest = from.clone();
    }
}

/// A component of a glob.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Component {
    /// Text without wildcards, escapes removed.
    Literal(String),
    Wild(Vec<Token>),
    /// `**`
    Any,
}

impl Component {
    fn literal(&self) -> Option<&str> {
        match self {
            Self::Literal(text) => Some(text),
            Self::Wild(_) | Self::Any => None,
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Literal(text) => text == name,
            Self::Wild(tokens) => matches_tokens(tokens, name),
            Self::Any => true,
        }
    }
}

/// A glob over paths. Slashes at the ends, and components `.`, mean nothing, neither in the glob nor in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    components: Vec<Component>,
}

impl Glob {
    /// Parses a glob.
    pub fn parse(pattern: &str) -> Result<Self, BadPattern> {
        let bad = |_| BadPattern {
            pattern: pattern.to_owned(),
        };
        let components = parts(pattern).map(component).collect::<Result<_, _>>().map_err(bad)?;
        Ok(Self { components })
    }

    /// The path itself, escapes removed, if the glob has no wildcards.
    pub fn literal(&self) -> Option<String> {
        (self.fixed().len() == self.components.len()).then(|| self.literal_prefix())
    }

    /// The directory in which all matches are: the components before the first wildcard; may be empty.
    pub fn literal_prefix(&self) -> String {
        self.fixed().join("/")
    }

    /// Whether the path, relative to where the glob is, matches as a whole.
    pub fn matches(&self, path: &str) -> bool {
        let states = self.walk(path);
        states.last().copied().unwrap_or(false)
    }

    /// Whether something below the directory might match: if not, a walk may leave it out.
    pub fn may_match_below(&self, directory: &str) -> bool {
        let states = self.walk(directory);
        states.iter().take(self.components.len()).any(|state| *state)
    }

    fn fixed(&self) -> Vec<&str> {
        self.components.iter().map_while(Component::literal).collect()
    }

    /// Which components can come next after `path`; the last state is that all are used up.
    fn walk(&self, path: &str) -> Vec<bool> {
        let mut states = vec![false; self.components.len() + 1];
        states[0] = true;
        self.skip_any(&mut states);
        for name in parts(path) {
            let mut next = vec![false; states.len()];
            for (at, component) in self.components.iter().enumerate().filter(|(at, _)| states[*at]) {
                let after = if *component == Component::Any { at } else { at + 1 };
                next[after] |= component.matches(name);
            }
            self.skip_any(&mut next);
            states = next;
        }
        states
    }

    /// Lets every `**` match nothing.
    fn skip_any(&self, states: &mut [bool]) {
        for (at, component) in self.components.iter().enumerate() {
            if states[at] && *component == Component::Any {
                states[at + 1] = true;
            }
        }
    }
}

/// Whether a source holds wildcards, so that matching nothing is no error.
pub fn has_wildcards(pattern: &str) -> bool {
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' | '?' | '[' => return true,
            '\\' => drop(chars.next()),
            _ => {}
        }
    }
    false
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".")
}

fn component(text: &str) -> Result<Component, BadPattern> {
    if text == "**" {
        return Ok(Component::Any);
    }
    let tokens = tokens(text)?;
    let literal: Option<String> = tokens
        .iter()
        .map(|token| match token {
            Token::Char(c) => Some(*c),
            _ => None,
        })
        .collect();
    Ok(literal.map_or(Component::Wild(tokens), Component::Literal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_match_as_in_go() {
        for (pattern, path, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("[\\]a]", "]", true),
            ("[\\-x]", "-", true),
            ("*x", "xxx", true),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("**/b", "b", true),
            ("**", "a/b", true),
            ("a/**", "a", true),
            ("./a/", "a", true),
            ("/a", "a", true),
        ] {
            assert_eq!(
                Glob::parse(pattern).unwrap().matches(path),
                expected,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn bad_patterns() {
        for pattern in [
            "[", "[^", "[]", "[-]", "[x-]", "[-x]", "[a-b-c]", "a[", "\\", "[\\", "[^bc", "a/[",
        ] {
            assert!(Glob::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn walks_can_be_narrowed() {
        let glob = Glob::parse("src/lib/*.rs").unwrap();
        assert_eq!((glob.literal(), glob.literal_prefix().as_str()), (None, "src/lib"));
        for (directory, expected) in [
            ("", true),
            ("src", true),
            ("src/lib", true),
            ("other", false),
            ("src/lib/x", false),
        ] {
            assert_eq!(glob.may_match_below(directory), expected, "{directory}");
        }
        assert!(Glob::parse("**/x").unwrap().may_match_below("any/where"));
        assert_eq!(Glob::parse("a\\*/b").unwrap().literal().as_deref(), Some("a*/b"));
        assert!(has_wildcards("a[b]") && !has_wildcards("a\\*"));
    }
}
