//! Walks through a word: quotes, escapes, and where variables start.

use std::collections::BTreeSet;

use super::{Error, ErrorKind, Expanded, Lookup, MAX_DEPTH};

/// A value for no name at all.
const NOTHING: Lookup<'static> = &|_| None;

/// How to read a word.
#[derive(Clone, Copy)]
pub(crate) struct Lexer<'a> {
    pub(super) escape: char,
    pub(super) lookup: Lookup<'a>,
    /// Quotes have no meaning.
    ignore_quotes: bool,
    /// Quotes stay in the result.
    keep_quotes: bool,
    /// Escape characters stay in the result.
    keep_escapes: bool,
    /// Variables that are not set stay as written.
    pub(super) keep_unset: bool,
}

impl<'a> Lexer<'a> {
    /// Expands all there is.
    pub(super) fn new(escape: char, lookup: Lookup<'a>) -> Self {
        Self {
            escape,
            lookup,
            ignore_quotes: false,
            keep_quotes: false,
            keep_escapes: false,
            keep_unset: false,
        }
    }

    /// Expands variables and escapes; quotes have no meaning.
    pub(super) fn body(lookup: Lookup<'a>) -> Self {
        Self {
            ignore_quotes: true,
            ..Self::new('\\', lookup)
        }
    }

    /// Removes quotes and escapes; variables stay.
    pub(crate) fn literal(escape: char) -> Self {
        Self {
            keep_unset: true,
            ..Self::new(escape, NOTHING)
        }
    }

    /// Removes escapes; variables and quotes stay.
    pub(crate) fn raw_quotes(escape: char) -> Self {
        Self {
            keep_quotes: true,
            ..Self::literal(escape)
        }
    }

    /// Only splits: everything stays.
    pub(crate) fn raw(escape: char) -> Self {
        Self {
            keep_escapes: true,
            ..Self::raw_quotes(escape)
        }
    }

    /// Expands a word.
    pub(crate) fn run(&self, source: &str) -> Result<Expanded, Error> {
        let mut walk = Walk::new(*self, source);
        let (text, words) = walk.until(None, self.keep_escapes)?;
        Ok(Expanded {
            text,
            words,
            used: walk.used,
            undefined: walk.undefined,
        })
    }

    /// Splits a text into words.
    pub(crate) fn words(&self, source: &str) -> Result<Vec<String>, Error> {
        Ok(self.run(source)?.words)
    }
}

/// Collects the result as words.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    word: String,
}

impl Words {
    fn push(&mut self, c: char) {
        if !c.is_whitespace() {
            self.word.push(c);
        } else if !self.word.is_empty() {
            self.done.push(std::mem::take(&mut self.word));
        }
    }

    fn finish(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.done.push(self.word);
        }
        self.done
    }
}

/// A walk through a word, and the variables met on it.
pub(super) struct Walk<'a> {
    pub(super) lexer: Lexer<'a>,
    source: &'a str,
    pub(super) at: usize,
    keep_escapes: bool,
    depth: usize,
    used: BTreeSet<String>,
    undefined: BTreeSet<String>,
}

impl<'a> Walk<'a> {
    fn new(lexer: Lexer<'a>, source: &'a str) -> Self {
        let keep_escapes = lexer.keep_escapes;
        Self {
            lexer,
            source,
            at: 0,
            keep_escapes,
            depth: 0,
            used: BTreeSet::new(),
            undefined: BTreeSet::new(),
        }
    }

    /// The next character, not taken.
    pub(super) fn peek(&self) -> Option<char> {
        self.source[self.at..].chars().next()
    }

    /// Takes the next character.
    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Takes the next character if it is `wanted`.
    pub(super) fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    /// An error about the part that starts at `offset`.
    pub(super) fn error(kind: ErrorKind, offset: usize) -> Error {
        Error { kind, offset }
    }

    /// The value of a variable, noted as used or undefined.
    pub(super) fn value(&mut self, name: &str) -> Option<String> {
        let value = (self.lexer.lookup)(name);
        let met = if value.is_some() {
            &mut self.used
        } else {
            &mut self.undefined
        };
        met.insert(name.to_owned());
        value
    }

    /// A part of a substitution, up to `stop`, which is taken; `start` is where the substitution begins.
    pub(super) fn nested(&mut self, stop: char, keep_escapes: bool, start: usize) -> Result<String, Error> {
        if self.depth >= MAX_DEPTH {
            return Err(Self::error(ErrorKind::TooDeep, start));
        }
        self.depth += 1;
        let outer = std::mem::replace(&mut self.keep_escapes, keep_escapes);
        let result = self.until(Some(stop), keep_escapes);
        self.keep_escapes = outer;
        self.depth -= 1;
        let missing = if stop == '/' {
            ErrorKind::OpenPattern
        } else {
            ErrorKind::OpenBrace
        };
        match result {
            Ok((text, _)) => Ok(text),
            Err(error) if error.kind == ErrorKind::OpenBrace && error.offset == usize::MAX => {
                Err(Self::error(missing, start))
            }
            Err(error) => Err(error),
        }
    }

    /// Everything up to `stop`, which is taken, or to the end.
    fn until(&mut self, stop: Option<char>, keep_escapes: bool) -> Result<(String, Vec<String>), Error> {
        let mut text = String::new();
        let mut words = Words::default();
        while let Some(c) = self.peek() {
            if stop == Some(c) {
                self.at += c.len_utf8();
                return Ok((text, words.finish()));
            }
            match c {
                '$' => {
                    let value = self.dollar()?;
                    value.chars().for_each(|c| words.push(c));
                    text.push_str(&value);
                }
                '\'' | '"' if !self.lexer.ignore_quotes => {
                    let quoted = if c == '"' {
                        self.double_quoted()?
                    } else {
                        self.single_quoted()?
                    };
                    words.word.push_str(&quoted);
                    text.push_str(&quoted);
                }
                '<' => {
                    let opening = self.less_than();
                    words.word.push_str(opening);
                    text.push_str(opening);
                }
                c => {
                    self.at += c.len_utf8();
                    if c == self.lexer.escape {
                        self.escaped(&mut text, &mut words, keep_escapes);
                    } else {
                        words.push(c);
                        text.push(c);
                    }
                }
            }
        }
        if stop.is_some() {
            return Err(Self::error(ErrorKind::OpenBrace, usize::MAX));
        }
        Ok((text, words.finish()))
    }

    /// The character after an escape, literally.
    fn escaped(&mut self, text: &mut String, words: &mut Words, keep_escapes: bool) {
        if keep_escapes {
            words.word.push(self.lexer.escape);
            text.push(self.lexer.escape);
        }
        if let Some(c) = self.next() {
            words.word.push(c);
            text.push(c);
        }
    }

    /// `<`, or `<<` with the white space after it, which does not end a heredoc's opening.
    fn less_than(&mut self) -> &'a str {
        let start = self.at;
        self.at += 1;
        if self.take('<') {
            while matches!(self.peek(), Some('\t' | '\r' | ' ')) {
                self.at += 1;
            }
        }
        &self.source[start..self.at]
    }

    fn single_quoted(&mut self) -> Result<String, Error> {
        let start = self.at;
        let Some(length) = self.source[start + 1..].find('\'') else {
            return Err(Self::error(ErrorKind::OpenQuote { quote: '\'' }, start));
        };
        self.at = start + 1 + length + 1;
        let inner = if self.lexer.keep_quotes {
            start..self.at
        } else {
            start + 1..self.at - 1
        };
        Ok(self.source[inner].to_owned())
    }

    fn double_quoted(&mut self) -> Result<String, Error> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                None => return Err(Self::error(ErrorKind::OpenQuote { quote: '"' }, start)),
                Some('$') => text.push_str(&self.dollar()?),
                Some('"') => {
                    self.at += 1;
                    return Ok(if self.lexer.keep_quotes {
                        format!("\"{text}\"")
                    } else {
                        text
                    });
                }
                Some(c) => {
                    self.at += c.len_utf8();
                    let special = self
                        .peek()
                        .filter(|next| matches!(next, '"' | '$') || *next == self.lexer.escape);
                    if c == self.lexer.escape && special.is_some() {
                        if self.keep_escapes {
                            text.push(c);
                        }
                        text.extend(self.next());
                    } else {
                        text.push(c);
                    }
                }
            }
        }
    }
}
