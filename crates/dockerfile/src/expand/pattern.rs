//! The globs of `${v#p}`, `${v%p}` and `${v/p/r}`: `?` is one character, `*` any number; no classes.

/// A part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Char(char),
    Any,
    Many,
}

/// A glob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    parts: Vec<Part>,
}

impl Pattern {
    /// Parses a glob; `None` if a backslash stands before anything but `* ? \ } /`.
    pub(super) fn new(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            parts.push(match c {
                '*' => Part::Many,
                '?' => Part::Any,
                '\\' => Part::Char(chars.next().filter(|c| matches!(c, '*' | '?' | '\\' | '}' | '/'))?),
                c => Part::Char(c),
            });
        }
        parts.dedup_by(|a, b| *a == Part::Many && *b == Part::Many);
        Some(Self { parts })
    }

    /// `value` without the shortest or longest prefix that matches.
    pub(super) fn trim_start<'v>(&self, value: &'v str, longest: bool) -> &'v str {
        match_end(
            &self.parts,
            value.char_indices().map(|(at, c)| (at + c.len_utf8(), c)),
            longest,
        )
        .map_or(value, |end| &value[end..])
    }

    /// `value` without the shortest or longest suffix that matches.
    pub(super) fn trim_end<'v>(&self, value: &'v str, longest: bool) -> &'v str {
        let reversed: Vec<Part> = self.parts.iter().rev().copied().collect();
        let chars = value.char_indices().rev().map(|(at, c)| (value.len() - at, c));
        match_end(&reversed, chars, longest).map_or(value, |length| &value[..value.len() - length])
    }

    /// `value` with the first match, or all, replaced; matches are as long as possible.
    pub(super) fn replace(&self, value: &str, replacement: &str, all: bool) -> String {
        let mut result = String::new();
        let mut copied = 0;
        let mut at = 0;
        let mut last_end = None;
        while at <= value.len() {
            let rest = &value[at..];
            let step = rest.chars().next().map_or(1, char::len_utf8);
            let chars = rest.char_indices().map(|(at, c)| (at + c.len_utf8(), c));
            let end = match_end(&self.parts, chars, true).map(|length| at + length);
            let Some(end) = end.filter(|end| last_end != Some(*end) || *end > at) else {
                at += step;
                continue;
            };
            result.push_str(&value[copied..at]);
            result.push_str(replacement);
            copied = end;
            last_end = Some(end);
            if !all {
                break;
            }
            at = if end > at { end } else { at + step };
        }
        result.push_str(&value[copied.min(value.len())..]);
        result
    }
}

/// Where a match that begins at the start of `chars` ends; `chars` are characters with the offset after them.
///
/// Follows all ways through the pattern at once. A `*` or `?` does not match a line feed.
fn match_end(parts: &[Part], chars: impl Iterator<Item = (usize, char)>, longest: bool) -> Option<usize> {
    let mut states = vec![false; parts.len() + 1];
    states[0] = true;
    skip_many(parts, &mut states);
    let mut found = states[parts.len()].then_some(0);
    if found.is_some() && !longest {
        return found;
    }
    for (end, c) in chars {
        let mut next = vec![false; parts.len() + 1];
        for (at, part) in parts.iter().enumerate().filter(|(at, _)| states[*at]) {
            match part {
                Part::Char(wanted) if *wanted == c => next[at + 1] = true,
                Part::Any if c != '\n' => next[at + 1] = true,
                Part::Many if c != '\n' => next[at] = true,
                _ => {}
            }
        }
        skip_many(parts, &mut next);
        if next[parts.len()] {
            found = Some(end);
            if !longest {
                return found;
            }
        }
        if !next.contains(&true) {
            break;
        }
        states = next;
    }
    found
}

/// Lets every `*` match nothing.
fn skip_many(parts: &[Part], states: &mut [bool]) {
    for (at, part) in parts.iter().enumerate() {
        if states[at] && *part == Part::Many {
            states[at + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trimming() {
        for (pattern, value, shortest, longest) in [
            ("*/", "a/b/c", "b/c", "c"),
            ("a?", "abc", "c", "c"),
            ("*", "abc", "abc", ""),
            ("", "abc", "abc", "abc"),
            ("x", "abc", "abc", "abc"),
            ("\\*", "*abc", "abc", "abc"),
        ] {
            let pattern = Pattern::new(pattern).unwrap();
            assert_eq!(pattern.trim_start(value, false), shortest, "{pattern:?} {value}");
            assert_eq!(pattern.trim_start(value, true), longest, "{pattern:?} {value}");
        }
        for (pattern, value, shortest, longest) in [
            (".*", "a.b.c", "a.b", "a"),
            ("/*", "a/b/c", "a/b", "a"),
            ("*", "abc", "abc", ""),
            ("é", "aé", "a", "a"),
        ] {
            let pattern = Pattern::new(pattern).unwrap();
            assert_eq!(pattern.trim_end(value, false), shortest, "{pattern:?} {value}");
            assert_eq!(pattern.trim_end(value, true), longest, "{pattern:?} {value}");
        }
        assert!(Pattern::new("\\a").is_none());
    }

    #[test]
    fn replacing() {
        for (pattern, value, replacement, first, all) in [
            ("a", "banana", "o", "bonana", "bonono"),
            ("*", "abc", "x", "x", "x"),
            ("", "ab", "-", "-ab", "-a-b-"),
            ("x", "abc", "y", "abc", "abc"),
            ("a*a", "banana", "_", "b_", "b_"),
        ] {
            let pattern = Pattern::new(pattern).unwrap();
            assert_eq!(pattern.replace(value, replacement, false), first, "{pattern:?} {value}");
            assert_eq!(pattern.replace(value, replacement, true), all, "{pattern:?} {value}");
        }
    }
}
