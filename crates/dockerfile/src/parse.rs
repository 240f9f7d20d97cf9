//! From the bytes of a file to its stages.

use std::ops::Range;

use crate::directives::{DirectiveScan, skipped_by};
use crate::error::{Error, ErrorKind};
use crate::flags::split;
use crate::heredoc::{self, read_body};
use crate::instruction::{Arg, Kind, Parts, doc_of, keyword_name, parse_arg, parse_from, parse_kind};
use crate::json::{self, Json};
use crate::lines::{Logical, RawLine, Reader, is_comment, trim_start};
use crate::model::{Dockerfile, Heredoc, Instruction, Stage, Warning, WarningKind};
use crate::span::{LineIndex, Span};
use crate::text::Text;

/// Parses a Dockerfile.
///
/// The error is the first that is found, with its place.
pub fn parse(source: &[u8]) -> Result<Dockerfile, Error> {
    let index = LineIndex::new(source);
    let mut parser = Parser::new(source, &index)?;
    while let Some(statement) = parser.next_statement()? {
        parser.take(statement)?;
    }
    parser.finish()
}

/// Parses an instruction that an image's ONBUILD has recorded ([`crate::OnBuild::text`]).
///
/// The places in it, and in an error, are those in `text`. FROM, ONBUILD and MAINTAINER are errors.
pub fn parse_trigger(text: &str) -> Result<Instruction, Error> {
    let index = LineIndex::new(text.as_bytes());
    let mut parser = Parser::new(text.as_bytes(), &index)?;
    let none = || Error::without_place(ErrorKind::TriggerCount);
    let statement = parser.next_statement()?.ok_or_else(none)?;
    if matches!(statement.name, "FROM" | "ONBUILD" | "MAINTAINER") {
        return Err(Error::new(
            ErrorKind::BadTrigger { name: statement.name },
            statement.span,
        ));
    }
    let instruction = parser.instruction(statement, parse_kind)?;
    match parser.next_statement()? {
        None => Ok(instruction),
        Some(more) => Err(Error::new(ErrorKind::TriggerCount, more.span)),
    }
}

/// An instruction's text with its heredocs, not yet typed.
struct Read {
    line: Logical,
    name: &'static str,
    heredocs: Vec<Heredoc>,
    comments: Vec<String>,
    /// Its place, heredoc bodies included.
    span: Span,
}

struct Parser<'a> {
    reader: Reader<'a>,
    index: &'a LineIndex,
    scan: DirectiveScan,
    comments: Vec<String>,
    warnings: Vec<Warning>,
    global_args: Vec<Instruction<Arg>>,
    stages: Vec<Stage>,
}

impl<'a> Parser<'a> {
    fn new(source: &'a [u8], index: &'a LineIndex) -> Result<Self, Error> {
        if source.is_empty() {
            return Err(Error::without_place(ErrorKind::Empty));
        }
        if let Some(at) = source.iter().position(|b| *b == 0) {
            return Err(Error::new(ErrorKind::NotText, index.span(at, at + 1)));
        }
        Ok(Self {
            reader: Reader::new(source, index),
            index,
            scan: DirectiveScan::default(),
            comments: Vec::new(),
            warnings: Vec::new(),
            global_args: Vec::new(),
            stages: Vec::new(),
        })
    }

    /// Reads up to the end of the next instruction and of its heredocs.
    fn next_statement(&mut self) -> Result<Option<Read>, Error> {
        while let Some(line) = self.reader.next_line()? {
            if self.scan.line(line, &self.reader)? {
                continue;
            }
            let content = trim_start(line.content());
            if content.is_empty() {
                self.comments.clear();
            } else if is_comment(content) {
                self.comment(&content[1..]);
            } else {
                let skipped = line.content().len() - content.len();
                let first = RawLine {
                    start: line.start + skipped,
                    bytes: &line.bytes[skipped..],
                };
                if let Some(statement) = self.statement(first)? {
                    return Ok(Some(statement));
                }
            }
        }
        Ok(None)
    }

    /// Remembers a comment for the instruction below it; an empty one makes a gap.
    fn comment(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        match text.trim() {
            "" => self.comments.clear(),
            text => self.comments.push(text.to_owned()),
        }
    }

    /// Reads the instruction that starts with `first`; `None` if there is nothing but continuation marks.
    fn statement(&mut self, first: RawLine<'a>) -> Result<Option<Read>, Error> {
        let escape = self.scan.directives.escape;
        let line = self.reader.join(first, escape)?;
        if let Some(span) = line.empty {
            self.warnings.push(Warning {
                kind: WarningKind::EmptyContinuation,
                span,
            });
        }
        let text = Text {
            line: &line,
            index: self.index,
            escape,
        };
        let whole = 0..line.text.len();
        if text.trim(&whole).is_empty() {
            return Ok(None);
        }
        let statement = split(&text, &whole);
        let name = keyword_name(&text, &statement.keyword)?;
        let mut heredocs = Vec::new();
        let mut span = text.span(&text.trim(&whole));
        if takes_heredocs(&text, name, &statement.args) {
            for (opening, place) in heredoc::openings(&text, &whole) {
                let (heredoc, last) = read_body(&mut self.reader, opening, &text, &place)?;
                heredocs.push(heredoc);
                span = self.index.span(span.start, last.start + last.content().len());
            }
        }
        let comments = std::mem::take(&mut self.comments);
        Ok(Some(Read {
            line,
            name,
            heredocs,
            comments,
            span,
        }))
    }

    /// Types an instruction with `kind`.
    fn instruction<K>(
        &self,
        read: Read,
        kind: impl FnOnce(Parts<'_>) -> Result<K, Error>,
    ) -> Result<Instruction<K>, Error> {
        let Read {
            line,
            name,
            heredocs,
            comments,
            span,
        } = read;
        let text = Text {
            line: &line,
            index: self.index,
            escape: self.scan.directives.escape,
        };
        let statement = split(&text, &(0..line.text.len()));
        let keyword = text.str(&statement.keyword).to_owned();
        let kind = kind(Parts {
            text,
            name,
            statement,
            heredocs,
            comments: &comments,
        })?;
        let raw = line.text.trim().to_owned();
        Ok(Instruction {
            kind,
            keyword,
            span,
            raw,
            skip_checks: skipped_by(&comments),
            comments,
        })
    }

    /// Puts an instruction where it belongs.
    fn take(&mut self, read: Read) -> Result<(), Error> {
        match (read.name, self.stages.last()) {
            ("FROM", _) => {
                let stage = self.stage(read)?;
                self.stages.push(stage);
            }
            ("ARG", None) => {
                let arg = self.instruction(read, |parts| parse_arg(&parts))?;
                self.global_args.push(arg);
            }
            (name, None) => return Err(Error::new(ErrorKind::BeforeFrom { name }, read.span)),
            (_, Some(_)) => {
                let instruction: Instruction<Kind> = self.instruction(read, parse_kind)?;
                if let Some(stage) = self.stages.last_mut() {
                    stage.instructions.push(instruction);
                }
            }
        }
        Ok(())
    }

    fn stage(&self, read: Read) -> Result<Stage, Error> {
        let from = self.instruction(read, |parts| parse_from(&parts))?;
        let (kind, words) = from.kind;
        let (as_keyword, written_name) = words.unzip();
        let name = written_name.as_ref().map(|word| word.text.to_lowercase());
        if let Some(word) = written_name
            .as_ref()
            .filter(|_| !name.as_deref().is_some_and(is_stage_name))
        {
            return Err(Error::new(
                ErrorKind::BadStageName {
                    word: word.text.clone(),
                },
                word.span,
            ));
        }
        Ok(Stage {
            index: self.stages.len(),
            doc: name.as_ref().and_then(|name| doc_of(name, &from.comments)),
            name,
            written_name,
            from: kind,
            keyword: from.keyword,
            as_keyword,
            span: from.span,
            raw: from.raw,
            comments: from.comments,
            skip_checks: from.skip_checks,
            instructions: Vec::new(),
        })
    }

    fn finish(self) -> Result<Dockerfile, Error> {
        if self.stages.is_empty() {
            let kind = if self.global_args.is_empty() {
                ErrorKind::NoInstructions
            } else {
                ErrorKind::NoStages
            };
            return Err(Error::without_place(kind));
        }
        Ok(Dockerfile {
            directives: self.scan.directives,
            global_args: self.global_args,
            stages: self.stages,
            warnings: self.warnings,
        })
    }
}

/// Whether the instruction can have heredocs: RUN, COPY and ADD, also after ONBUILD, but not in JSON form.
fn takes_heredocs(text: &Text<'_>, name: &str, args: &Range<usize>) -> bool {
    match name {
        "RUN" | "COPY" | "ADD" => !matches!(json::parse(text.str(args)), Json::Strings(_)),
        "ONBUILD" => {
            let inner = split(text, args);
            let word = text.str(&inner.keyword).to_ascii_uppercase();
            word != "ONBUILD" && takes_heredocs(text, &word, &inner.args)
        }
        _ => false,
    }
}

/// Whether a lower-cased name is one a stage can have.
fn is_stage_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CopySource, Script};

    fn script(source: &str) -> Script {
        let dockerfile = parse(format!("FROM x\n{source}\n").as_bytes()).unwrap();
        match &dockerfile.stages[0].instructions[0].kind {
            Kind::Run(run) => run.script(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn heredocs_become_what_run_executes() {
        let file = Script::File {
            name: "E".to_owned(),
            content: "#!/bin/x\na\n".to_owned(),
        };
        for (source, expected) in [
            ("RUN a && b", Script::Shell("a && b".to_owned())),
            ("RUN [\"a\", \"b\"]", Script::Exec(vec!["a".to_owned(), "b".to_owned()])),
            ("RUN <<E\na\nb\nE", Script::Shell("a\nb\n".to_owned())),
            ("RUN <<-E\n\ta\n\tE", Script::Shell("a\n".to_owned())),
            ("RUN <<E\n#!/bin/x\na\nE", file.clone()),
            ("RUN --network=none <<-E\n\t#!/bin/x\n\ta\nE", file),
            (
                "RUN cat <<A - <<B\na\nA\nb\nB",
                Script::Shell("cat <<A - <<B\na\nA\nb\nB".to_owned()),
            ),
            ("RUN <<A cat\n#!x\nA", Script::Shell("<<A cat\n#!x\nA".to_owned())),
        ] {
            assert_eq!(script(source), expected, "{source}");
        }
    }

    #[test]
    fn recorded_triggers_are_parsed_again() {
        let source = "FROM x\nONBUILD COPY <<E /f\nbody\nE\n";
        let dockerfile = parse(source.as_bytes()).unwrap();
        let Kind::OnBuild(on_build) = &dockerfile.stages[0].instructions[0].kind else {
            panic!()
        };
        let again = parse_trigger(&on_build.text).unwrap();
        let Kind::Copy(copy) = &again.kind else { panic!() };
        assert!(matches!(&copy.transfer.sources[0], CopySource::Heredoc(heredoc) if heredoc.content == "body\n"));
    }

    #[test]
    fn wrong_triggers() {
        for text in ["", "FROM x", "ONBUILD RUN a", "MAINTAINER a", "RUN a\nRUN b", "# a"] {
            assert!(parse_trigger(text).is_err(), "{text}");
        }
    }
}
