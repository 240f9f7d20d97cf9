//! What steps say, made harmless: whole lines without control characters, and with colours at most. Pure.

/// A line that never ends is cut after so many bytes.
const LONGEST: usize = 16 << 10;

/// What puts colours back as they were.
const PLAIN: &str = "\x1b[0m";

/// The bytes of one step, cut into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Of a line that isn't whole yet.
    open: Vec<u8>,
}

impl Lines {
    /// The lines that became whole by these bytes; with `colours`, they may have some.
    pub(super) fn push(&mut self, bytes: &[u8], colours: bool) -> Vec<String> {
        let mut whole = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.open.extend_from_slice(part);
            if part.ends_with(b"\n") || self.open.len() > LONGEST {
                whole.extend(self.rest(colours));
                self.open.clear();
            }
        }
        whole
    }

    /// What there is of a line that isn't whole; nothing is there any more afterwards.
    pub(super) fn rest(&mut self, colours: bool) -> Option<String> {
        let line = self.seen(colours);
        self.open.clear();
        line
    }

    /// The same, which stays there.
    pub(super) fn seen(&self, colours: bool) -> Option<String> {
        if self.open.is_empty() {
            return None;
        }
        let line = self.open.strip_suffix(b"\n").unwrap_or(&self.open);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // A carriage return lets the rest of the line be written over what came before, as progress bars do.
        let last = line.rsplit(|byte| *byte == b'\r').find(|part| !part.is_empty());
        Some(clean(last.unwrap_or_default(), colours))
    }
}

/// The first line of a text, harmless.
pub(super) fn first_line(text: &str) -> String {
    clean(text.lines().next().unwrap_or_default().as_bytes(), false)
}

/// Text without control characters but tabs and line ends, and without the sequences that control terminals (ECMA-48); of
/// these, with `colours`, those for colours stay.
pub(super) fn clean(bytes: &[u8], colours: bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut cleaned = String::with_capacity(text.len());
    let mut is_coloured = false;
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\x1b' => {
                let sequence = escape(&mut rest);
                if colours && let Some(colour) = sequence {
                    cleaned.push_str("\x1b[");
                    cleaned.push_str(&colour);
                    cleaned.push('m');
                    is_coloured = true;
                }
            }
            // The same beginning in one character.
            '\u{9b}' => drop(control_sequence(&mut rest)),
            '\t' | '\n' => cleaned.push(character),
            other if other.is_control() => {}
            other => cleaned.push(other),
        }
    }
    if is_coloured {
        cleaned.push_str(PLAIN);
    }
    cleaned
}

/// Takes a sequence whose escape character was taken; the parameters of one for colours.
fn escape(rest: &mut std::str::Chars<'_>) -> Option<String> {
    match rest.clone().next()? {
        '[' => {
            rest.next();
            control_sequence(rest)
        }
        // A string for the terminal: up to its end.
        ']' | 'P' | 'X' | '^' | '_' => {
            while let Some(character) = rest.next() {
                if character == '\x07' || character == '\u{9c}' {
                    break;
                }
                if character == '\x1b' {
                    rest.next();
                    break;
                }
            }
            None
        }
        _ => {
            // Intermediate characters, and the final one.
            rest.find(|character| !(' '..='/').contains(character));
            None
        }
    }
}

/// Takes a control sequence up to its final character; the parameters of one for colours.
fn control_sequence(rest: &mut std::str::Chars<'_>) -> Option<String> {
    let mut parameters = String::new();
    for character in rest {
        match character {
            'm' => {
                let is_plain = parameters.chars().all(|c| c.is_ascii_digit() || matches!(c, ';' | ':'));
                return is_plain.then_some(parameters);
            }
            '@'..='~' => return None,
            other => parameters.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_controls_the_terminal() {
        let cases = [
            ("plain\ttext", "plain\ttext"),
            ("\x1b[2J\x1b[Hgone", "gone"),
            ("\x1b]0;title\x07after", "after"),
            ("\x1b]8;;http://x\x1b\\link", "link"),
            ("\x1b(Bset", "set"),
            ("\x1bcreset", "reset"),
            ("bell\x07 back\x08", "bell back"),
            ("\u{9b}2Jx", "x"),
            ("cut \x1b[3", "cut "),
            ("\x1b", ""),
            ("ä\u{fffd}€", "ä\u{fffd}€"),
        ];
        for (given, expected) in cases {
            assert_eq!(clean(given.as_bytes(), true), expected, "{given:?}");
        }
        assert_eq!(clean(b"\xff\xfe", false), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn colours_stay_where_they_may() {
        assert_eq!(clean(b"\x1b[1;31mred", true), "\x1b[1;31mred\x1b[0m");
        assert_eq!(clean(b"\x1b[1;31mred\x1b[m", false), "red");
        // A private sequence that ends alike is none.
        assert_eq!(clean(b"\x1b[>4;2mx", true), "x");
    }

    #[test]
    fn lines_come_whole() {
        let mut lines = Lines::default();
        assert!(lines.push(b"one ", true).is_empty());
        assert_eq!(lines.push(b"line\ntwo\r\n\nthr", true), ["one line", "two", ""]);
        assert_eq!(lines.push(b" 1%\r 50%\r100%", true), Vec::<String>::new());
        assert_eq!(lines.seen(true).as_deref(), Some("100%"));
        assert_eq!(lines.push(b"\r\n", true), ["100%"]);
        assert_eq!(lines.rest(true), None);
        assert_eq!(lines.push(&vec![b'x'; LONGEST + 1], true).len(), 1);
    }
}
