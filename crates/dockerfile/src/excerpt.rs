//! Draws the lines an error or a finding is about, with the place underlined; harmless for any terminal.

use std::fmt::Write as _;

use crate::span::Span;

/// The longest part of a line that is shown, in characters.
const MAX_WIDTH: usize = 160;
/// The most lines that are shown.
const MAX_LINES: usize = 6;

/// The lines of `span` with their numbers, and marks under the first. Ends with a line feed.
pub fn excerpt(span: Span, source: &[u8]) -> String {
    let width = span.last_line.min(span.first_line + MAX_LINES).to_string().len();
    let mut text = String::new();
    for (number, line) in lines_of(span, source) {
        let shown = Shown::new(line, if number == span.first_line { span.column - 1 } else { 0 });
        let _ = writeln!(text, "{number:>width$} | {}", shown.text);
        if number == span.first_line {
            let end = if span.last_line == span.first_line {
                span.column - 1 + (span.end - span.start)
            } else {
                line.len()
            };
            let marks = "^".repeat(shown.columns(span.column - 1, end).max(1));
            let _ = writeln!(
                text,
                "{:>width$} | {}{marks}",
                "",
                " ".repeat(shown.columns(0, span.column - 1))
            );
        }
    }
    if span.last_line >= span.first_line + MAX_LINES {
        let _ = writeln!(text, "{:>width$} | …", "");
    }
    text
}

/// The first lines of `span`, numbered from 1, without their endings.
fn lines_of(span: Span, source: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let count = (span.last_line - span.first_line + 1).min(MAX_LINES);
    source
        .split(|b| *b == b'\n')
        .enumerate()
        .skip(span.first_line - 1)
        .take(count)
        .map(|(at, line)| (at + 1, line.trim_ascii_end()))
}

/// A line as shown, and for each of its bytes the column at which it is shown.
struct Shown {
    text: String,
    first: usize,
    columns: Vec<usize>,
}

impl Shown {
    /// Shows `line`, or where it is long a part of it that has the byte at `focus` in it.
    fn new(line: &[u8], focus: usize) -> Self {
        let first = if focus > MAX_WIDTH * 3 / 4 {
            focus - MAX_WIDTH / 2
        } else {
            0
        }
        .min(line.len());
        let mut shown = Self {
            text: String::new(),
            first,
            columns: Vec::new(),
        };
        let mut column = 0;
        if first > 0 {
            shown.text.push('…');
            column = 1;
        }
        for chunk in line[first..].utf8_chunks() {
            for c in chunk
                .valid()
                .chars()
                .map(|c| (c, c.len_utf8()))
                .chain(chunk.invalid().iter().map(|_| ('\u{fffd}', 1)))
            {
                if column >= MAX_WIDTH {
                    shown.text.push('…');
                    shown.columns.push(column);
                    return shown;
                }
                shown.columns.extend(std::iter::repeat_n(column, c.1));
                shown.text.push(harmless(c.0));
                column += 1;
            }
        }
        shown.columns.push(column);
        shown
    }

    /// How many columns the bytes `start..end` of the line take.
    fn columns(&self, start: usize, end: usize) -> usize {
        self.column(end) - self.column(start).min(self.column(end))
    }

    fn column(&self, byte: usize) -> usize {
        let last = self.columns.len() - 1;
        if byte < self.first {
            0
        } else {
            self.columns[(byte - self.first).min(last)]
        }
    }
}

/// `text` with control characters replaced, fit to be printed.
pub fn sanitise(text: &str) -> String {
    text.chars().map(harmless).collect()
}

/// A tab becomes a space; a control or direction-changing character becomes U+FFFD.
fn harmless(c: char) -> char {
    match c {
        '\t' => ' ',
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::LineIndex;

    #[test]
    fn excerpts() {
        for (source, start, end, expected) in [
            ("FROM x\nRNU ls\n", 7, 10, "2 | RNU ls\n  | ^^^\n"),
            ("A\tb\n", 2, 3, "1 | A b\n  |   ^\n"),
            ("aé\x1b[1mz\n", 6, 7, "1 | aé\u{fffd}[1mz\n  |      ^\n"),
            ("a \\\nb c\n", 0, 7, "1 | a \\\n  | ^^^\n2 | b c\n"),
            ("ab", 2, 2, "1 | ab\n  |   ^\n"),
        ] {
            let span = LineIndex::new(source.as_bytes()).span(start, end);
            assert_eq!(excerpt(span, source.as_bytes()), expected, "{source:?}");
        }
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let source = format!("{}HERE{}", "x".repeat(1000), "y".repeat(1000));
        let text = excerpt(LineIndex::new(source.as_bytes()).span(1000, 1004), source.as_bytes());
        let (line, marks) = text.split_once('\n').unwrap();
        let at = line.chars().position(|c| c == 'H').unwrap();
        assert_eq!(marks.chars().position(|c| c == '^'), Some(at), "{text}");
        assert_eq!(marks.matches('^').count(), 4);
    }
}
