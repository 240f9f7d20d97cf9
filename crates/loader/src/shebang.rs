//! `#!` lines by the kernel's rules (execve(2), "Interpreter scripts"), and what env(1) makes of one.

/// What the kernel reads of a file to find out what it is.
pub(crate) const HEAD: usize = 256;

/// A `#!` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shebang {
    /// The interpreter's path as it stands there.
    pub interpreter: Vec<u8>,
    /// All the rest, which the kernel passes as one argument.
    pub argument: Option<Vec<u8>>,
    /// Whether the line ends with a carriage return, which then is part of the interpreter's name or of the argument.
    pub carriage_return: bool,
}

/// Reads the first line of a file, given its first 256 bytes. `None` where the kernel would refuse it (ENOEXEC): no
/// `#!`, nothing behind it, or an interpreter cut off by the end of what the kernel reads.
pub(crate) fn parse(head: &[u8]) -> Option<Shebang> {
    let whole = head.len() < HEAD;
    let head = &head[..head.len().min(HEAD)];
    let rest = head.strip_prefix(b"#!")?;
    let newline = rest.iter().position(|byte| *byte == b'\n');
    // The kernel's buffer is one longer than what counts of a line without an end.
    let line = match newline {
        Some(end) => &rest[..end],
        None if whole => rest,
        None => &rest[..rest.len() - 1],
    };
    let line = trim(line);
    let end = line.iter().position(|byte| is_blank(*byte) || *byte == 0);
    if newline.is_none() && !whole && end.is_none() {
        return None;
    }
    let interpreter = &line[..end.unwrap_or(line.len())];
    if interpreter.is_empty() {
        return None;
    }
    let argument = trim(&line[interpreter.len()..]);
    let argument = argument.split(|byte| *byte == 0).next().unwrap_or_default();
    Some(Shebang {
        interpreter: interpreter.to_vec(),
        argument: (!argument.is_empty()).then(|| argument.to_vec()),
        carriage_return: line.ends_with(b"\r"),
    })
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let Some((first, rest)) = text.split_first().filter(|(first, _)| is_blank(**first)) {
        let _ = first;
        text = rest;
    }
    while let Some((_, rest)) = text.split_last().filter(|(last, _)| is_blank(**last)) {
        text = rest;
    }
    text
}

impl Shebang {
    /// The program that env(1) is asked to start: of `#!/usr/bin/env NAME` the name, of `env -S` the first word behind
    /// options and assignments. `None` where the interpreter isn't env, or starts nothing.
    pub fn env_program(&self) -> Option<Vec<u8>> {
        let name = self.interpreter.rsplit(|byte| *byte == b'/').next()?;
        if name != b"env" {
            return None;
        }
        let argument = self.argument.as_deref()?;
        match split_option(argument) {
            Some(text) => program(&words(text)),
            None if argument.starts_with(b"-") || argument.contains(&b'=') => None,
            None => Some(argument.to_vec()),
        }
    }
}

/// The text behind `-S`, `-vS` or `--split-string=`.
fn split_option(argument: &[u8]) -> Option<&[u8]> {
    if let Some(text) = argument.strip_prefix(b"--split-string") {
        return Some(text.strip_prefix(b"=").unwrap_or(text));
    }
    let options = argument.strip_prefix(b"-")?;
    let end = options.iter().position(|byte| !b"iv0".contains(byte))?;
    options[end..].strip_prefix(b"S")
}

/// Words as env's -S has them: blanks between them, quotes and backslashes taken off.
fn words(text: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (Some(open), _) if open == byte => quote = None,
            (None, b'"' | b'\'') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (None, b' ' | b'\t' | b'\r') => words.extend(word.take()),
            (_, b'\\') => word.get_or_insert_default().extend(bytes.next()),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words
}

fn program(words: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match word.as_slice() {
            b"-u" | b"-C" | b"--unset" | b"--chdir" | b"-a" | b"--argv0" => drop(rest.next()),
            b"--" => {}
            option if option.starts_with(b"-") => {}
            assignment if assignment.contains(&b'=') => {}
            name => return Some(name.to_vec()),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &[u8]) -> Option<(String, Option<String>)> {
        let text_of = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        parse(text).map(|line| (text_of(line.interpreter), line.argument.map(text_of)))
    }

    fn line(interpreter: &str, argument: Option<&str>) -> (String, Option<String>) {
        (interpreter.to_owned(), argument.map(str::to_owned))
    }

    #[test]
    fn one_argument_with_blanks_inside() {
        assert_eq!(show(b"#!/bin/sh\n").unwrap(), line("/bin/sh", None));
        assert_eq!(
            show(b"#! \t/bin/sh  -e  -x \t\nx").unwrap(),
            line("/bin/sh", Some("-e  -x"))
        );
        assert_eq!(show(b"#!/bin/sh").unwrap(), line("/bin/sh", None));
        assert_eq!(show(b"#!/bin/sh\r\n").unwrap(), line("/bin/sh\r", None));
        assert!(parse(b"#!/bin/sh\r\n").unwrap().carriage_return);
    }

    #[test]
    fn refuses_what_the_kernel_refuses() {
        for text in [&b""[..], b"#", b"#!", b"#!\n", b"#!  \n/bin/sh", b"# !/bin/sh\n"] {
            assert_eq!(show(text), None, "{text:?}");
        }
        let long = [b"#!/".as_slice(), &[b'a'; 400]].concat();
        assert_eq!(show(&long[..HEAD]), None);
        let argument = [b"#!/bin/sh ".as_slice(), &[b'a'; 400]].concat();
        assert_eq!(show(&argument[..HEAD]).unwrap().1.unwrap().len(), HEAD - 1 - 10);
    }

    #[test]
    fn finds_what_env_starts() {
        let env = |argument: &str| {
            let line = parse(format!("#!/usr/bin/env {argument}\n").as_bytes()).unwrap();
            line.env_program().map(|name| String::from_utf8(name).unwrap())
        };
        assert_eq!(env("python3"), Some("python3".to_owned()));
        assert_eq!(env("python3 -u"), Some("python3 -u".to_owned()));
        assert_eq!(env("-S python3 -u"), Some("python3".to_owned()));
        assert_eq!(env("-iS A=b -u X 'my python' -u"), Some("my python".to_owned()));
        assert_eq!(env("--split-string=perl -w"), Some("perl".to_owned()));
        assert_eq!(env("-i"), None);
        assert_eq!(parse(b"#!/bin/sh x\n").unwrap().env_program(), None);
    }
}
