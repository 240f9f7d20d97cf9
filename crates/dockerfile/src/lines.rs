//! Physical lines to logical ones: continuations joined, comments taken out, every byte's origin kept.

use crate::error::{Error, ErrorKind};
use crate::span::{LineIndex, Span};

/// The longest line accepted, in bytes, its line feed not counted.
const MAX_LINE: usize = 65_535;

/// A line of the source with its line ending.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawLine<'a> {
    pub(crate) start: usize,
    pub(crate) bytes: &'a [u8],
}

impl<'a> RawLine<'a> {
    /// The line without its ending.
    pub(crate) fn content(self) -> &'a [u8] {
        let end = self
            .bytes
            .iter()
            .rposition(|b| *b != b'\n' && *b != b'\r')
            .map_or(0, |at| at + 1);
        &self.bytes[..end]
    }
}

/// Reads a source line by line.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    source: &'a [u8],
    at: usize,
    pub(crate) index: &'a LineIndex,
}

impl<'a> Reader<'a> {
    /// Starts after a byte order mark, if there is one.
    pub(crate) fn new(source: &'a [u8], index: &'a LineIndex) -> Self {
        let at = if source.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        Self { source, at, index }
    }

    /// The next line; `None` at the end.
    pub(crate) fn next_line(&mut self) -> Result<Option<RawLine<'a>>, Error> {
        let start = self.at;
        let rest = &self.source[start..];
        if rest.is_empty() {
            return Ok(None);
        }
        let length = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
        if length > MAX_LINE {
            return Err(Error::new(
                ErrorKind::LineTooLong { length },
                self.index.span(start, start),
            ));
        }
        let bytes = &rest[..rest.len().min(length + 1)];
        self.at += bytes.len();
        Ok(Some(RawLine { start, bytes }))
    }

    /// The text of `bytes`, which start at `start`; an error that points at the first byte that is no UTF-8.
    pub(crate) fn text<'b>(&self, bytes: &'b [u8], start: usize) -> Result<&'b str, Error> {
        std::str::from_utf8(bytes).map_err(|error| {
            let at = start + error.valid_up_to();
            Error::new(ErrorKind::NotText, self.index.span(at, at + 1))
        })
    }

    /// Joins `first` (whose leading white space is gone) with the lines that continue it.
    pub(crate) fn join(&mut self, first: RawLine<'a>, escape: char) -> Result<Logical, Error> {
        let mut logical = Logical {
            text: String::new(),
            origins: Vec::new(),
            span: Span::default(),
            empty: None,
        };
        let mut last = first;
        let mut open = self.push(&mut logical, first.content(), first.start, escape)?;
        while open {
            let Some(line) = self.next_line()? else { break };
            if is_comment(line.bytes) {
                continue;
            }
            let content = line.content();
            if trim_start(content).is_empty() {
                logical.empty = Some(self.index.span(line.start, line.start));
                continue;
            }
            open = self.push(&mut logical, content, line.start, escape)?;
            last = line;
        }
        logical.span = self.index.span(first.start, last.start + last.content().len());
        Ok(logical)
    }

    /// Adds a line without its continuation mark; says whether it had one.
    fn push(&self, logical: &mut Logical, content: &[u8], start: usize, escape: char) -> Result<bool, Error> {
        let (kept, open) = cut_continuation(content, escape);
        logical.origins.push((logical.text.len(), start));
        logical.text.push_str(self.text(kept, start)?);
        Ok(open)
    }
}

/// An instruction's text with continuations joined.
#[derive(Debug, Clone)]
pub(crate) struct Logical {
    pub(crate) text: String,
    /// Offsets in `text` and the offsets in the source they come from, one pair per physical line.
    origins: Vec<(usize, usize)>,
    pub(crate) span: Span,
    /// The last empty line among the continuations.
    pub(crate) empty: Option<Span>,
}

impl Logical {
    /// The span in the source of `start..end` in the text.
    pub(crate) fn span_of(&self, start: usize, end: usize, index: &LineIndex) -> Span {
        let first = self.origin(start);
        let last = if end > start { self.origin(end - 1) + 1 } else { first };
        index.span(first, last)
    }

    fn origin(&self, offset: usize) -> usize {
        let at = self
            .origins
            .partition_point(|(joined, _)| *joined <= offset)
            .saturating_sub(1);
        let (joined, source) = self.origins[at];
        source + (offset - joined)
    }
}

/// Splits off a continuation mark: the escape character, not itself escaped, then spaces or tabs to the end.
fn cut_continuation(content: &[u8], escape: char) -> (&[u8], bool) {
    let end = content
        .iter()
        .rposition(|b| *b != b' ' && *b != b'\t')
        .map_or(0, |at| at + 1);
    let escape = escape as u8;
    let marked = end > 0 && content[end - 1] == escape && (end == 1 || content[end - 2] != escape);
    if marked {
        (&content[..end - 1], true)
    } else {
        (content, false)
    }
}

/// Whether the line is a comment.
pub(crate) fn is_comment(line: &[u8]) -> bool {
    trim_start(line).first() == Some(&b'#')
}

/// The line without leading white space, Unicode's included.
pub(crate) fn trim_start(line: &[u8]) -> &[u8] {
    match std::str::from_utf8(line) {
        Ok(text) => text.trim_start().as_bytes(),
        Err(_) => line.trim_ascii_start(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(source: &str, escape: char) -> Logical {
        let index = LineIndex::new(source.as_bytes());
        let mut reader = Reader::new(source.as_bytes(), &index);
        let first = reader.next_line().unwrap().unwrap();
        reader.join(first, escape).unwrap()
    }

    #[test]
    fn continuations_are_joined() {
        for (source, escape, expected) in [
            ("RUN a\nRUN b", '\\', "RUN a"),
            ("RUN a \\\n  b\n", '\\', "RUN a   b"),
            ("RUN a \\ \t\nb", '\\', "RUN a b"),
            ("RUN a \\\r\nb\r\n", '\\', "RUN a b"),
            ("RUN a \\\\\nb", '\\', "RUN a \\\\"),
            ("RUN a `\nb", '`', "RUN a b"),
            ("RUN a `\nb", '\\', "RUN a `"),
            ("RUN a \\\n# no\n  # no\nb", '\\', "RUN a b"),
            ("RUN a \\\n\n \nb", '\\', "RUN a b"),
            ("\\\nRUN a", '\\', "RUN a"),
            ("RUN a \\", '\\', "RUN a "),
        ] {
            assert_eq!(join(source, escape).text, expected, "{source:?}");
        }
    }

    #[test]
    fn origins_survive_joining() {
        let source = "RUN a \\\n# c\n  bc";
        let logical = join(source, '\\');
        let index = LineIndex::new(source.as_bytes());
        let at = logical.text.find("bc").unwrap();
        let span = logical.span_of(at, at + 2, &index);
        assert_eq!(
            (&source[span.start..span.end], span.first_line, span.column),
            ("bc", 3, 3)
        );
    }

    #[test]
    fn long_lines_and_bytes_are_refused() {
        let long = vec![b'a'; MAX_LINE + 1];
        let index = LineIndex::new(&long);
        assert!(matches!(
            Reader::new(&long, &index).next_line().unwrap_err().kind,
            ErrorKind::LineTooLong { .. }
        ));
        assert!(Reader::new(&long[1..], &index).next_line().is_ok());
    }
}
