//! What follows a `$`: names, and the operators inside braces.

use super::lexer::Walk;
use super::pattern::Pattern;
use super::{Error, ErrorKind};

impl Walk<'_> {
    /// The value of what starts with the `$` at hand.
    pub(super) fn dollar(&mut self) -> Result<String, Error> {
        let start = self.at;
        self.at += 1;
        if self.take('{') {
            return self.braces(start);
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        match self.value(&name) {
            None if self.lexer.keep_unset => Ok(format!("${name}")),
            value => Ok(value.unwrap_or_default()),
        }
    }

    /// A variable's name: letters, digits and `_`; or digits alone; or one special character.
    fn name(&mut self) -> String {
        let mut name = String::new();
        match self.peek() {
            Some(c) if c.is_ascii_digit() => self.extend_while(&mut name, |c| c.is_ascii_digit()),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => name.extend(self.next()),
            _ => self.extend_while(&mut name, |c| c.is_alphanumeric() || c == '_'),
        }
        name
    }

    fn extend_while(&mut self, name: &mut String, wanted: impl Fn(char) -> bool) {
        while let Some(c) = self.peek().filter(|c| wanted(*c)) {
            name.push(c);
            self.at += c.len_utf8();
        }
    }

    /// The value of `${…}`, whose brace is taken.
    fn braces(&mut self, start: usize) -> Result<String, Error> {
        match self.peek() {
            None => return Err(Self::error(ErrorKind::OpenBrace, start)),
            Some('{' | '}' | ':') => return Err(Self::error(ErrorKind::NoName, start)),
            _ => {}
        }
        let name = self.name();
        match self.next() {
            None => Err(Self::error(ErrorKind::OpenBrace, start)),
            Some('}') => match self.value(&name) {
                None if self.lexer.keep_unset => Ok(format!("${{{name}}}")),
                value => Ok(value.unwrap_or_default()),
            },
            Some('/') => self.replace(&name, start),
            Some(':') => match self.next() {
                Some(operator @ ('-' | '+' | '?')) => self.choose(&name, operator, true, start),
                None => Err(Self::error(ErrorKind::OpenBrace, start)),
                Some(other) => Err(Self::operator(&[':', other], start)),
            },
            Some(operator @ ('-' | '+' | '?')) => self.choose(&name, operator, false, start),
            Some(operator @ ('#' | '%')) => self.trim(&name, operator, start),
            Some(other) => Err(Self::operator(&[other], start)),
        }
    }

    fn operator(operator: &[char], start: usize) -> Error {
        Self::error(
            ErrorKind::Operator {
                operator: operator.iter().collect(),
            },
            start,
        )
    }

    /// `-`, `+` and `?`; with `empty_is_unset` written with a colon.
    fn choose(&mut self, name: &str, operator: char, empty_is_unset: bool, start: usize) -> Result<String, Error> {
        let word = self.nested('}', false, start)?;
        let value = self.value(name);
        if value.is_none() && self.lexer.keep_unset {
            let colon = if empty_is_unset { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{operator}{word}}}"));
        }
        let was_set = value.is_some();
        let value = value.filter(|value| !(empty_is_unset && value.is_empty()));
        match (operator, value) {
            ('-', value) => Ok(value.unwrap_or(word)),
            ('+', value) => Ok(if value.is_some() { word } else { String::new() }),
            (_, Some(value)) => Ok(value),
            (_, None) => {
                let rule = if was_set { "must not be empty" } else { "must be set" };
                let message = if word.is_empty() { rule.to_owned() } else { word };
                Err(Self::error(
                    ErrorKind::Unset {
                        name: name.to_owned(),
                        message,
                    },
                    start,
                ))
            }
        }
    }

    /// `#`, `##`, `%` and `%%`.
    fn trim(&mut self, name: &str, operator: char, start: usize) -> Result<String, Error> {
        let word = self.nested('}', true, start)?;
        let value = self.value(name);
        if value.is_none() && self.lexer.keep_unset {
            return Ok(format!("${{{name}{operator}{word}}}"));
        }
        let (pattern, longest) = word
            .strip_prefix(operator)
            .map_or((word.as_str(), false), |rest| (rest, true));
        let pattern = Self::pattern(pattern, start)?;
        let value = value.unwrap_or_default();
        let rest = if operator == '#' {
            pattern.trim_start(&value, longest)
        } else {
            pattern.trim_end(&value, longest)
        };
        Ok(rest.to_owned())
    }

    /// `/` and `//`.
    fn replace(&mut self, name: &str, start: usize) -> Result<String, Error> {
        let all = self.take('/');
        let pattern = self.nested('/', true, start)?;
        let replacement = self.nested('}', true, start)?;
        let value = self.value(name);
        if value.is_none() && self.lexer.keep_unset {
            let slash = if all { "/" } else { "" };
            return Ok(format!("${{{name}/{slash}{pattern}/{replacement}}}"));
        }
        let pattern = Self::pattern(&pattern, start)?;
        Ok(pattern.replace(&value.unwrap_or_default(), &replacement, all))
    }

    fn pattern(text: &str, start: usize) -> Result<Pattern, Error> {
        Pattern::new(text).ok_or_else(|| {
            Self::error(
                ErrorKind::Pattern {
                    pattern: text.to_owned(),
                },
                start,
            )
        })
    }
}
