//! Here-documents: their openings in an instruction's text, and their bodies in the lines below.

use std::ops::Range;

use crate::error::{Error, ErrorKind};
use crate::expand::Lexer;
use crate::lines::{RawLine, Reader};
use crate::model::Heredoc;
use crate::text::Text;

/// What `[fd]<<[-]WORD` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opening {
    pub(crate) name: String,
    fd: Option<u32>,
    expand: bool,
    strip_tabs: bool,
}

/// Reads the whole of `word` as the opening of a heredoc; `None` if it is something else.
pub(crate) fn opening(word: &str) -> Option<Opening> {
    let digits = word.len() - word.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let rest = word[digits..].strip_prefix("<<")?;
    let (rest, strip_tabs) = rest.strip_prefix('-').map_or((rest, false), |rest| (rest, true));
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let mut names = Lexer::literal('\\').words(rest).ok()?;
    let quoted = Lexer::raw_quotes('\\').words(rest).ok()?;
    let (1, [written]) = (names.len(), quoted.as_slice()) else {
        return None;
    };
    let name = names.remove(0);
    let expand = quotes(&name) == quotes(written);
    Some(Opening {
        name,
        fd: word[..digits].parse().ok(),
        expand,
        strip_tabs,
    })
}

fn quotes(text: &str) -> usize {
    text.matches(['\'', '"']).count()
}

/// The openings in an instruction's text, in order, each with its place.
///
/// Text whose quotes don't match, or whose substitutions are none of ours, has no heredocs: it is the shell's matter.
pub(crate) fn openings(text: &Text<'_>, range: &Range<usize>) -> Vec<(Opening, Range<usize>)> {
    let source = text.str(range);
    if !source.contains("<<") {
        return Vec::new();
    }
    let words = Lexer::raw('\\').words(source).unwrap_or_default();
    let mut at = 0;
    let mut found = Vec::new();
    for word in words {
        let place = source[at..]
            .find(&word)
            .map_or(0..source.len(), |start| at + start..at + start + word.len());
        if place.len() == word.len() {
            at = place.end;
        }
        found.extend(opening(&word).map(|opening| (opening, range.start + place.start..range.start + place.end)));
    }
    found
}

/// Reads the body of a heredoc from the lines below; an error at `place` if its end never comes.
///
/// Also returns the line that ends it.
pub(crate) fn read_body<'a>(
    reader: &mut Reader<'a>,
    opening: Opening,
    text: &Text<'_>,
    place: &Range<usize>,
) -> Result<(Heredoc, RawLine<'a>), Error> {
    let span = text.span(place);
    let mut content = String::new();
    while let Some(line) = reader.next_line()? {
        let mut end = line.content();
        if opening.strip_tabs {
            let tabs = end.iter().take_while(|b| **b == b'\t').count();
            end = &end[tabs..];
        }
        if end == opening.name.as_bytes() {
            let Opening {
                name,
                fd,
                expand,
                strip_tabs,
            } = opening;
            return Ok((
                Heredoc {
                    name,
                    fd,
                    expand,
                    strip_tabs,
                    content,
                    span,
                },
                line,
            ));
        }
        content.push_str(reader.text(line.bytes, line.start)?);
    }
    Err(Error::new(ErrorKind::UnterminatedHeredoc { word: opening.name }, span))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openings_are_recognised() {
        for (word, expected) in [
            ("<<EOF", Some(("EOF", None, true, false))),
            ("<<-EOF", Some(("EOF", None, true, true))),
            ("3<<EOF", Some(("EOF", Some(3), true, false))),
            ("<<'EOF'", Some(("EOF", None, false, false))),
            ("<<\"EOF\"", Some(("EOF", None, false, false))),
            ("<<E\"O\"F", Some(("EOF", None, false, false))),
            ("<< EOF", Some(("EOF", None, true, false))),
            ("<<file.txt", Some(("file.txt", None, true, false))),
            ("<<$X", Some(("$X", None, true, false))),
            ("<<", None),
            ("<<<EOF", None),
            ("a<<EOF", None),
            ("<EOF", None),
            ("<<'EOF", None),
            ("", None),
        ] {
            let found = opening(word);
            let found = found.as_ref().map(|o| (o.name.as_str(), o.fd, o.expand, o.strip_tabs));
            assert_eq!(found, expected, "{word}");
        }
    }
}
