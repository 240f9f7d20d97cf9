//! Checks of how things are written: casing, names, comments.

use super::{Report, Rule};
use crate::model::{CheckSet, Dockerfile, Stage};
use crate::span::Span;

pub(super) fn check(dockerfile: &Dockerfile, report: &mut Report<'_>) {
    let nothing = CheckSet::default();
    for warning in &dockerfile.warnings {
        let message = "an empty line inside a continued instruction".to_owned();
        report.add(Rule::NoEmptyContinuation, &nothing, warning.span, message);
    }
    keywords(dockerfile, report);
    for stage in &dockerfile.stages {
        stage_name(dockerfile, stage, report);
        as_keyword(stage, report);
        if let Some(name) = &stage.name {
            description("FROM", &[name], &stage.comments, &stage.skip_checks, stage.span, report);
        }
    }
    let global = dockerfile
        .global_args
        .iter()
        .map(|arg| (&arg.kind, &arg.comments, &arg.skip_checks, arg.span));
    let local = dockerfile
        .stages
        .iter()
        .flat_map(|stage| &stage.instructions)
        .filter_map(|instruction| {
            let crate::Kind::Arg(arg) = &instruction.kind else {
                return None;
            };
            Some((arg, &instruction.comments, &instruction.skip_checks, instruction.span))
        });
    for (arg, comments, skip, span) in global.chain(local) {
        let names: Vec<&str> = arg
            .definitions
            .iter()
            .map(|definition| definition.name.as_str())
            .collect();
        description("ARG", &names, comments, skip, span, report);
    }
}

/// Instructions in the case of most others.
fn keywords(dockerfile: &Dockerfile, report: &mut Report<'_>) {
    let all: Vec<(&str, &CheckSet, Span)> = dockerfile
        .stages
        .iter()
        .flat_map(|stage| {
            let rest = stage.instructions.iter();
            let rest = rest.map(|one| (one.keyword.as_str(), &one.skip_checks, one.span));
            std::iter::once((stage.keyword.as_str(), &stage.skip_checks, stage.span)).chain(rest)
        })
        .collect();
    let lower = all.iter().filter(|(keyword, ..)| is_lower(keyword)).count();
    let upper = all.iter().filter(|(keyword, ..)| is_upper(keyword)).count();
    let (wanted, fits): (_, fn(&str) -> bool) = if lower > upper {
        ("lower case", is_lower)
    } else {
        ("upper case", is_upper)
    };
    for (keyword, skip, span) in all.into_iter().filter(|(keyword, ..)| !fits(keyword)) {
        let message = format!("{keyword} should be in {wanted}, as most instructions are");
        report.add(Rule::ConsistentInstructionCasing, skip, head(span, keyword), message);
    }
}

/// The first word of an instruction at `span`.
fn head(span: Span, keyword: &str) -> Span {
    Span {
        end: span.start + keyword.len(),
        last_line: span.first_line,
        ..span
    }
}

fn stage_name(dockerfile: &Dockerfile, stage: &Stage, report: &mut Report<'_>) {
    let (Some(name), Some(written)) = (&stage.name, &stage.written_name) else {
        return;
    };
    let mut add = |rule, message| report.add(rule, &stage.skip_checks, written.span, message);
    if *name != written.text {
        add(
            Rule::StageNameCasing,
            format!("the stage name {:?} should be in lower case", written.text),
        );
    }
    if matches!(name.as_str(), "scratch" | "context") {
        add(
            Rule::ReservedStageName,
            format!("{name:?} is reserved and should not name a stage"),
        );
    }
    if dockerfile.stages[..stage.index]
        .iter()
        .any(|earlier| earlier.name.as_ref() == Some(name))
    {
        add(
            Rule::DuplicateStageName,
            format!("an earlier stage is also called {name:?}"),
        );
    }
}

fn as_keyword(stage: &Stage, report: &mut Report<'_>) {
    let Some(word) = &stage.as_keyword else { return };
    let fits = (is_lower(&stage.keyword) && is_lower(&word.text))
        || (is_upper(&stage.keyword) && is_upper(&word.text))
        || !(is_lower(&stage.keyword) || is_upper(&stage.keyword));
    if !fits {
        let message = format!("{} and {} are not in the same case", word.text, stage.keyword);
        report.add(Rule::FromAsCasing, &stage.skip_checks, word.span, message);
    }
}

fn description(name: &str, names: &[&str], comments: &[String], skip: &CheckSet, span: Span, report: &mut Report<'_>) {
    let Some(comment) = comments.last() else { return };
    if names.iter().any(|known| comment.split(' ').next() == Some(known)) {
        return;
    }
    let example = if let [only] = names { only } else { "<name>" };
    let message = format!("the comment above this {name} should have the form: # {example} <description>");
    report.add(Rule::InvalidDefinitionDescription, skip, span, message);
}

fn is_lower(text: &str) -> bool {
    !text.chars().any(char::is_uppercase)
}

fn is_upper(text: &str) -> bool {
    !text.chars().any(char::is_lowercase)
}
