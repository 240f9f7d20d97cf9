//! The parser directives `syntax`, `escape` and `check` at the top of the file.

use crate::error::{Error, ErrorKind};
use crate::lines::{RawLine, Reader, trim_start};
use crate::model::{CheckOptions, CheckSet, Directives, Word};

/// Reads directives until the first line that is none.
#[derive(Debug, Default)]
pub(crate) struct DirectiveScan {
    pub(crate) directives: Directives,
    seen: Vec<String>,
    done: bool,
    lines: usize,
}

impl DirectiveScan {
    /// Takes the next line of the file; true if it was a directive.
    pub(crate) fn line(&mut self, line: RawLine<'_>, reader: &Reader<'_>) -> Result<bool, Error> {
        self.lines += 1;
        if self.done || (self.lines == 1 && line.bytes.starts_with(b"#!")) {
            return Ok(false);
        }
        let content = trim_start(line.content());
        let parsed = content
            .strip_prefix(b"#")
            .and_then(|rest| std::str::from_utf8(rest).ok())
            .and_then(split);
        let Some((name, value)) = parsed.filter(|(name, _)| ["syntax", "escape", "check"].contains(&name.as_str()))
        else {
            self.done = true;
            return Ok(false);
        };
        let span = reader.index.span(line.start, line.start + line.content().len());
        if self.seen.contains(&name) {
            return Err(Error::new(ErrorKind::RepeatedDirective { name }, span));
        }
        match name.as_str() {
            "escape" => self.directives.escape = escape(value).map_err(|kind| Error::new(kind, span))?,
            "check" => self.directives.check = check_options(value).map_err(|kind| Error::new(kind, span))?,
            _ => {
                let image = value.split(' ').next().unwrap_or_default();
                if !is_dockerfile_frontend(image) {
                    return Err(Error::new(
                        ErrorKind::ForeignSyntax {
                            image: image.to_owned(),
                        },
                        span,
                    ));
                }
                self.directives.syntax = Some(Word {
                    text: image.to_owned(),
                    span,
                });
            }
        }
        self.seen.push(name);
        Ok(true)
    }
}

/// `name = value`, the name lower-cased, both trimmed; `None` if the text has another form.
pub(crate) fn split(text: &str) -> Option<(String, &str)> {
    let (name, value) = text.trim_start().split_once('=')?;
    let (name, value) = (name.trim_end(), value.trim());
    let letters =
        name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric());
    (letters && !value.is_empty()).then(|| (name.to_ascii_lowercase(), value))
}

fn escape(value: &str) -> Result<char, ErrorKind> {
    match value {
        "\\" => Ok('\\'),
        "`" => Ok('`'),
        _ => Err(ErrorKind::BadEscape {
            value: value.to_owned(),
        }),
    }
}

/// Whether the image is a version of the Dockerfile frontend, whose language is the one built in; a copy of it in any
/// registry (a mirror, an organisation's own) is one too.
fn is_dockerfile_frontend(image: &str) -> bool {
    let image = image.split('@').next().unwrap_or_default();
    let (directory, name) = image.rsplit_once('/').unwrap_or(("", image));
    let name = name.split(':').next().unwrap_or_default();
    let is_docker_s = directory == "docker" || directory.ends_with("/docker");
    is_docker_s && matches!(name, "dockerfile" | "dockerfile-upstream")
}

/// Parses the options of `check=`, and of the variable that overrides them: `skip=A,B|all;error=bool;experimental=…`.
///
/// An error says which option is wrong.
pub fn check_options(text: &str) -> Result<CheckOptions, ErrorKind> {
    let mut options = CheckOptions::default();
    if text.trim().is_empty() {
        return Ok(options);
    }
    for option in text.split(';') {
        let bad = || ErrorKind::BadCheckOption {
            option: option.trim().to_owned(),
        };
        let (key, value) = option.split_once('=').ok_or_else(bad)?;
        match key.trim() {
            "skip" => options.skip = check_set(value),
            "experimental" => options.experimental = check_set(value),
            "error" => options.error = parse_bool(value.trim()).ok_or_else(bad)?,
            _ => return Err(bad()),
        }
    }
    Ok(options)
}

fn check_set(value: &str) -> CheckSet {
    if value.trim() == "all" {
        return CheckSet {
            all: true,
            names: Vec::new(),
        };
    }
    CheckSet {
        all: false,
        names: value.split(',').map(|name| name.trim().to_owned()).collect(),
    }
}

/// A boolean in the spellings Go accepts.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// The checks that `# check=skip=…` comments above an instruction turn off.
pub(crate) fn skipped_by(comments: &[String]) -> CheckSet {
    let options = comments.iter().find_map(|comment| {
        let (name, value) = split(comment)?;
        (name == "check").then(|| check_options(value.split(' ').next().unwrap_or_default()).ok())
    });
    options.flatten().unwrap_or_default().skip
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::LineIndex;

    fn scan(source: &str) -> Result<Directives, Error> {
        let index = LineIndex::new(source.as_bytes());
        let mut reader = Reader::new(source.as_bytes(), &index);
        let mut scan = DirectiveScan::default();
        while let Some(line) = reader.next_line()? {
            scan.line(line, &reader)?;
        }
        Ok(scan.directives)
    }

    #[test]
    fn directives_stop_at_the_first_other_line() {
        for (source, expected) in [
            ("# escape=`\n", '`'),
            ("#escape = `  \n", '`'),
            ("  # ESCAPE=`", '`'),
            ("# syntax=docker/dockerfile:1\n# escape=`", '`'),
            ("#!/bin/x\n# escape=`", '`'),
            ("\u{feff}# escape=`", '`'),
            ("# a comment\n# escape=`", '\\'),
            ("\n# escape=`", '\\'),
            ("# unknown=1\n# escape=`", '\\'),
            ("FROM x\n# escape=`", '\\'),
        ] {
            assert_eq!(scan(source).unwrap().escape, expected, "{source:?}");
        }
    }

    #[test]
    fn frontends() {
        for (image, accepted) in [
            ("docker/dockerfile", true),
            ("docker/dockerfile:1.7-labs", true),
            ("docker.io/docker/dockerfile:1@sha256:00", true),
            ("docker/dockerfile-upstream:master", true),
            ("mirror.example.com/docker/dockerfile:1.4", true),
            ("localhost:5000/hub/docker/dockerfile-upstream:master@sha256:00", true),
            ("docker/dockerfiles", false),
            ("notdocker/dockerfile", false),
            ("dockerfile", false),
            ("example.com/other", false),
        ] {
            assert_eq!(scan(&format!("# syntax={image} tail\n")).is_ok(), accepted, "{image}");
        }
    }

    #[test]
    fn wrong_directives() {
        for source in [
            "# escape=x",
            "# escape=`\n# Escape=`",
            "# check=foo",
            "# check=error=maybe",
            "# check=a=b",
        ] {
            assert!(scan(source).is_err(), "{source}");
        }
    }

    #[test]
    fn check_options_are_read() {
        let options = check_options("skip=A, B;error=true").unwrap();
        assert!(
            options.error && options.skip.contains("A") && options.skip.contains("B") && !options.skip.contains("C")
        );
        assert!(check_options("skip=all").unwrap().skip.contains("anything"));
        assert!(skipped_by(&["check=skip=A".into()]).contains("A"));
        assert!(!skipped_by(&["a check=skip=A".into()]).contains("A"));
    }
}
