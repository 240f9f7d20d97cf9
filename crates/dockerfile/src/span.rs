//! Where something stands in the source: byte ranges, lines and columns.

/// A part of the source. The default span is empty and stands at the start of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// First byte, counted from 0 over the source as given (a BOM included).
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// Line of the first byte, counted from 1.
    pub first_line: usize,
    /// Line of the last byte, counted from 1.
    pub last_line: usize,
    /// Column of the first byte in its line, in bytes, counted from 1.
    pub column: usize,
}

/// The starts of all lines, to turn byte offsets into lines and columns.
#[derive(Debug, Clone)]
pub(crate) struct LineIndex {
    starts: Vec<usize>,
}

impl LineIndex {
    /// Indexes the lines of `source`, which end at each `\n`.
    pub(crate) fn new(source: &[u8]) -> Self {
        let after = source
            .iter()
            .enumerate()
            .filter(|(_, b)| **b == b'\n')
            .map(|(at, _)| at + 1);
        Self {
            starts: std::iter::once(0).chain(after).collect(),
        }
    }

    /// The span of the bytes `start..end`.
    pub(crate) fn span(&self, start: usize, end: usize) -> Span {
        let first = self.line_of(start);
        let last = self.line_of(end.saturating_sub(1).max(start));
        Span {
            start,
            end,
            first_line: first + 1,
            last_line: last + 1,
            column: start - self.starts[first] + 1,
        }
    }

    /// The line, from 0, that holds the byte at `offset`.
    fn line_of(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_become_lines_and_columns() {
        let index = LineIndex::new(b"ab\ncd\n\nx");
        for (start, end, first_line, last_line, column) in [
            (0, 2, 1, 1, 1),
            (3, 5, 2, 2, 1),
            (4, 5, 2, 2, 2),
            (0, 8, 1, 4, 1),
            (6, 6, 3, 3, 1),
            (8, 8, 4, 4, 2),
        ] {
            assert_eq!(
                index.span(start, end),
                Span {
                    start,
                    end,
                    first_line,
                    last_line,
                    column
                },
                "{start}..{end}"
            );
        }
    }
}
