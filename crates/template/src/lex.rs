//! A template's text as pieces: plain text, and actions between `{{` and `}}` as tokens.

use crate::Fault;
use serde_json::{Number, Value};

/// Plain text, or the tokens of an action.
#[derive(Debug)]
pub(crate) enum Piece {
    Text(String),
    Action { at: usize, tokens: Vec<Token> },
}

/// A word of an action.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    /// Where it begins.
    pub(crate) at: usize,
    /// Blank space stands before it: `.A .B` are two words, `.A.B` is one.
    pub(crate) spaced: bool,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Dot,
    Field(String),
    Variable(String),
    Identifier(String),
    Literal(Value),
    Pipe,
    Comma,
    Declare,
    Assign,
    Open,
    Close,
}

/// Splits a template from `start` on.
pub(crate) fn pieces(text: &str, start: usize) -> Result<Vec<Piece>, Fault> {
    let mut pieces = Vec::new();
    let mut at = start;
    let mut trim = false;
    while at < text.len() {
        let open = text[at..].find("{{").map(|found| at + found);
        let mut plain = &text[at..open.unwrap_or(text.len())];
        if trim {
            plain = plain.trim_start();
        }
        let Some(open) = open else {
            push_text(&mut pieces, plain);
            break;
        };
        let inside = &text[open + 2..];
        let trims_left = inside.starts_with('-') && inside[1..].starts_with(char::is_whitespace);
        if trims_left {
            plain = plain.trim_end();
        }
        push_text(&mut pieces, plain);
        let from = open + 2 + usize::from(trims_left);
        (at, trim) = action(text, open, from, &mut pieces)?;
    }
    Ok(pieces)
}

/// Text outside of actions, with the escapes that docker takes there.
fn push_text(pieces: &mut Vec<Piece>, plain: &str) {
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain.replace("\\t", "\t").replace("\\n", "\n")));
    }
}

/// One action; gives where it ends, and whether blank space after it goes away.
fn action(text: &str, open: usize, from: usize, pieces: &mut Vec<Piece>) -> Result<(usize, bool), Fault> {
    let rest = text[from..].trim_start();
    if rest.starts_with("/*") {
        return comment(text, open, text.len() - rest.len());
    }
    let mut lexer = Lexer { text, at: from };
    let mut tokens = Vec::new();
    loop {
        let spaced = lexer.skip_space();
        let rest = lexer.rest();
        if rest.starts_with("}}") {
            pieces.push(Piece::Action { at: open, tokens });
            return Ok((lexer.at + 2, false));
        }
        if spaced && rest.starts_with("-}}") {
            pieces.push(Piece::Action { at: open, tokens });
            return Ok((lexer.at + 3, true));
        }
        if rest.is_empty() {
            return Err(Fault::new(open, "this action has no }} at its end"));
        }
        let at = lexer.at;
        let kind = lexer.token()?;
        tokens.push(Token { at, spaced, kind });
    }
}

fn comment(text: &str, open: usize, start: usize) -> Result<(usize, bool), Fault> {
    let Some(length) = text[start..].find("*/") else {
        return Err(Fault::new(open, "this comment has no */ at its end"));
    };
    let end = start + length + 2;
    let rest = &text[end..];
    match rest.trim_start() {
        after if after.starts_with("}}") => Ok((text.len() - after.len() + 2, false)),
        after if after.starts_with("-}}") && after.len() < rest.len() => Ok((text.len() - after.len() + 3, true)),
        _ => Err(Fault::new(end, "after a comment the action has to end: */}}")),
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) -> bool {
        let rest = self.rest();
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed.len() < rest.len()
    }

    /// The longest run of name characters from here.
    fn name(&mut self) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn token(&mut self) -> Result<Kind, Fault> {
        let start = self.at;
        let rest = self.rest();
        let mut characters = rest.chars();
        let first = characters.next().unwrap_or(' ');
        let second = characters.next().unwrap_or(' ');
        let single = |kind| Ok((1, kind));
        let (length, kind) = match first {
            '|' => single(Kind::Pipe),
            ',' => single(Kind::Comma),
            '(' => single(Kind::Open),
            ')' => single(Kind::Close),
            '=' => single(Kind::Assign),
            ':' if second == '=' => Ok((2, Kind::Declare)),
            '"' => quoted(rest, start),
            '`' => raw(rest, start),
            '\'' => character(rest, start),
            '.' if !second.is_ascii_digit() => {
                self.at += 1;
                let name = self.name();
                return Ok(if name.is_empty() {
                    Kind::Dot
                } else {
                    Kind::Field(name.to_owned())
                });
            }
            '$' => {
                self.at += 1;
                return Ok(Kind::Variable(self.name().to_owned()));
            }
            '+' | '-' | '.' | '0'..='9' => number(rest, start),
            other if is_name(other) => {
                let name = self.name();
                return Ok(word(name));
            }
            other => Err(Fault::new(start, format!("{other:?} has no meaning here"))),
        }?;
        self.at += length;
        Ok(kind)
    }
}

fn is_name(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn word(name: &str) -> Kind {
    match name {
        "true" => Kind::Literal(Value::Bool(true)),
        "false" => Kind::Literal(Value::Bool(false)),
        "nil" => Kind::Literal(Value::Null),
        name => Kind::Identifier(name.to_owned()),
    }
}

/// A string with Go's escapes.
fn quoted(rest: &str, at: usize) -> Result<(usize, Kind), Fault> {
    let mut value = String::new();
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((position, character)) = characters.next() {
        match character {
            '"' => return Ok((position + 1, Kind::Literal(Value::String(value)))),
            '\n' => break,
            '\\' => {
                let (length, unescaped) = escape(&rest[position + 1..])
                    .ok_or_else(|| Fault::new(at + position, "an escape that Go doesn't know (a backslash is \\\\)"))?;
                value.push(unescaped);
                while characters.next_if(|(next, _)| *next < position + 1 + length).is_some() {}
            }
            other => value.push(other),
        }
    }
    Err(Fault::new(at, "this string has no \" at its end"))
}

/// What stands after a backslash: its length and the character meant.
fn escape(rest: &str) -> Option<(usize, char)> {
    let digits = |count: usize| {
        let text = rest.get(1..=count)?;
        Some((count + 1, char::from_u32(u32::from_str_radix(text, 16).ok()?)?))
    };
    let simple = |c: char| Some((1, c));
    match rest.chars().next()? {
        'n' => simple('\n'),
        't' => simple('\t'),
        'r' => simple('\r'),
        'a' => simple('\u{7}'),
        'b' => simple('\u{8}'),
        'f' => simple('\u{c}'),
        'v' => simple('\u{b}'),
        c @ ('\\' | '"' | '\'') => simple(c),
        'x' => digits(2),
        'u' => digits(4),
        'U' => digits(8),
        '0'..='7' => {
            let value = u32::from_str_radix(rest.get(..3)?, 8).ok()?;
            Some((3, char::from_u32(value)?))
        }
        _ => None,
    }
}

fn raw(rest: &str, at: usize) -> Result<(usize, Kind), Fault> {
    let end = rest[1..]
        .find('`')
        .ok_or_else(|| Fault::new(at, "this string has no ` at its end"))?;
    Ok((end + 2, Kind::Literal(Value::String(rest[1..=end].to_owned()))))
}

/// A character is its number.
fn character(rest: &str, at: usize) -> Result<(usize, Kind), Fault> {
    let wrong = || Fault::new(at, "a character is written 'x'; a text needs \"…\"");
    let inner = &rest[1..];
    let (length, value) = match inner.strip_prefix('\\') {
        Some(escaped) => escape(escaped).map(|(length, value)| (length + 1, value)),
        None => inner.chars().next().map(|value| (value.len_utf8(), value)),
    }
    .ok_or_else(wrong)?;
    if !inner[length..].starts_with('\'') {
        return Err(wrong());
    }
    Ok((length + 2, Kind::Literal(Value::from(u32::from(value)))))
}

fn number(rest: &str, at: usize) -> Result<(usize, Kind), Fault> {
    let is_hex = rest.trim_start_matches(['+', '-']).starts_with("0x");
    let mut previous = None;
    let mut length = rest.len();
    for (position, character) in rest.char_indices() {
        let is_sign = matches!(character, '+' | '-');
        let takes_sign = previous.is_none_or(|before| !is_hex && matches!(before, 'e' | 'E'));
        if !(is_name(character) || character == '.' || is_sign && takes_sign) {
            length = position;
            break;
        }
        previous = Some(character);
    }
    let text = &rest[..length];
    match parse_number(&text.replace('_', "")) {
        Some(number) => Ok((length, Kind::Literal(Value::Number(number)))),
        None => Err(Fault::new(at, format!("{text} is no number"))),
    }
}

fn parse_number(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let radix = [("0x", 16), ("0o", 8), ("0b", 2)];
    let integer = match radix.iter().find(|(prefix, _)| lower.starts_with(prefix)) {
        Some((_, radix)) => i64::from_str_radix(&lower[2..], *radix).ok(),
        None if lower.len() > 1 && lower.starts_with('0') && lower.bytes().all(|b| b.is_ascii_digit()) => {
            i64::from_str_radix(&lower, 8).ok()
        }
        None => lower.parse().ok(),
    };
    match integer {
        Some(value) => Some(Number::from(if negative { -value } else { value })),
        None => Number::from_f64(text.parse().ok()?),
    }
}
