//! An instruction's text while it is taken apart: slices of it become words with spans.

use std::ops::Range;

use crate::error::{Error, ErrorKind};
use crate::lines::Logical;
use crate::model::Word;
use crate::span::{LineIndex, Span};

/// A logical line with what is needed to place its parts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    pub(crate) line: &'a Logical,
    pub(crate) index: &'a LineIndex,
    pub(crate) escape: char,
}

impl<'a> Text<'a> {
    /// The text of `range`.
    pub(crate) fn str(&self, range: &Range<usize>) -> &'a str {
        &self.line.text[range.clone()]
    }

    /// The place of `range`.
    pub(crate) fn span(&self, range: &Range<usize>) -> Span {
        self.line.span_of(range.start, range.end, self.index)
    }

    /// The word at `range`.
    pub(crate) fn word(&self, range: &Range<usize>) -> Word {
        Word {
            text: self.str(range).to_owned(),
            span: self.span(range),
        }
    }

    /// An error at `range`.
    pub(crate) fn error(&self, kind: ErrorKind, range: &Range<usize>) -> Error {
        Error::new(kind, self.span(range))
    }

    /// `range` without white space at its ends.
    pub(crate) fn trim(&self, range: &Range<usize>) -> Range<usize> {
        let text = self.str(range);
        let start = range.start + (text.len() - text.trim_start().len());
        start..start + text.trim().len()
    }

    /// The words of `range`, parted by ASCII white space; quotes mean nothing.
    pub(crate) fn plain_words(&self, range: &Range<usize>) -> Vec<Range<usize>> {
        let mut words = Vec::new();
        let mut start = None;
        for (at, byte) in self.str(range).bytes().enumerate() {
            match (is_separator(byte), start) {
                (false, None) => start = Some(range.start + at),
                (true, Some(begun)) => {
                    words.push(begun..range.start + at);
                    start = None;
                }
                _ => {}
            }
        }
        words.extend(start.map(|begun| begun..range.end));
        words
    }

    /// The words of `range`, parted by white space outside quotes. Quotes and escapes stay in the words; an escape
    /// character at the very end is dropped.
    pub(crate) fn quoted_words(&self, range: &Range<usize>) -> Vec<Range<usize>> {
        let mut words = Vec::new();
        let mut start = None;
        let mut quote = None;
        let mut end = range.end;
        let mut chars = self.str(range).char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let at = range.start + at;
            if start.is_none() && c.is_whitespace() {
                continue;
            }
            let begun = *start.get_or_insert(at);
            match quote {
                None if c.is_whitespace() => {
                    words.push(begun..at);
                    start = None;
                }
                None if c == '\'' || c == '"' => quote = Some(c),
                Some(open) if c == open => quote = None,
                _ => {}
            }
            if c == self.escape && quote != Some('\'') && chars.next().is_none() {
                end = at;
            }
        }
        words.extend(start.filter(|begun| *begun < end).map(|begun| begun..end));
        words
    }
}

/// The white space that parts words where quotes mean nothing.
pub(crate) fn is_separator(byte: u8) -> bool {
    matches!(byte, b'\t' | 0x0b | 0x0c | b'\r' | b' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::Reader;

    fn words(source: &str, quoted: bool) -> Vec<String> {
        let index = LineIndex::new(source.as_bytes());
        let mut reader = Reader::new(source.as_bytes(), &index);
        let first = reader.next_line().unwrap().unwrap();
        let line = reader.join(first, '`').unwrap();
        let text = Text {
            line: &line,
            index: &index,
            escape: '\\',
        };
        let whole = 0..line.text.len();
        let ranges = if quoted {
            text.quoted_words(&whole)
        } else {
            text.plain_words(&whole)
        };
        ranges.iter().map(|range| text.str(range).to_owned()).collect()
    }

    #[test]
    fn plain_words_know_no_quotes() {
        for (source, expected) in [
            ("a  b\tc", vec!["a", "b", "c"]),
            (r#""a b""#, vec![r#""a"#, r#"b""#]),
            (" ", vec![]),
            ("a ", vec!["a"]),
        ] {
            assert_eq!(words(source, false), expected, "{source:?}");
        }
    }

    #[test]
    fn quoted_words_keep_quotes_and_escapes() {
        for (source, expected) in [
            (r#"a="b c" d"#, vec![r#"a="b c""#, "d"]),
            (r"a=b\ c d", vec![r"a=b\ c", "d"]),
            (r"a='b\' c", vec![r"a='b\'", "c"]),
            (r#"a="b\" c" d"#, vec![r#"a="b\" c""#, "d"]),
            (r"a=b \", vec!["a=b"]),
            (r"a=b\", vec!["a=b"]),
            (r#"a="b c"#, vec![r#"a="b c"#]),
            (r"a=\' b", vec![r"a=\'", "b"]),
            (r"a=\\ b", vec![r"a=\\", "b"]),
        ] {
            assert_eq!(words(source, true), expected, "{source:?}");
        }
    }
}
