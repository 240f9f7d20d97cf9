//! From the parts of an instruction's text to its typed form; the larger instructions have parsers of their own.

use super::copy::{parse_add, parse_copy};
use super::env::{Env, Label, parse_arg, parse_pairs};
use super::health::parse_health_check;
use super::parts::{Parts, keyword_name};
use super::run::{Command, parse_run, with_bodies};
use super::{Kind, OnBuild};
use crate::error::{Error, ErrorKind};
use crate::flags::{Takes, split};
use crate::model::{CheckSet, From, Instruction, Word};

/// Types an instruction; FROM is [`parse_from`]'s.
pub(crate) fn parse_kind(parts: Parts<'_>) -> Result<Kind, Error> {
    Ok(match parts.name {
        "RUN" => Kind::Run(parse_run(parts)?),
        "COPY" => Kind::Copy(parse_copy(parts)?),
        "ADD" => Kind::Add(parse_add(parts)?),
        "ENV" => Kind::Env(Env {
            pairs: parse_pairs(&parts)?,
        }),
        "LABEL" => Kind::Label(Label {
            pairs: parse_pairs(&parts)?,
        }),
        "ARG" => Kind::Arg(parse_arg(&parts)?),
        "WORKDIR" => Kind::Workdir(parts.single("a path")?),
        "USER" => Kind::User(parts.single("a user")?),
        "STOPSIGNAL" => Kind::StopSignal(parts.single("a signal")?),
        "MAINTAINER" => Kind::Maintainer(parts.single("a name")?),
        "CMD" => Kind::Cmd(parse_command(&parts)?),
        "ENTRYPOINT" => Kind::Entrypoint(parse_command(&parts)?),
        "SHELL" => Kind::Shell(parse_shell(&parts)?),
        "EXPOSE" => Kind::Expose(parse_expose(&parts)?),
        "VOLUME" => Kind::Volume(parse_volume(&parts)?),
        "HEALTHCHECK" => Kind::HealthCheck(parse_health_check(&parts)?),
        _ => Kind::OnBuild(parse_on_build(parts)?),
    })
}

/// FROM: what it starts from, and the words AS and name where they are there.
pub(crate) fn parse_from(parts: &Parts<'_>) -> Result<(From, Option<(Word, Word)>), Error> {
    let flags = parts.flags(&[("platform", Takes::Value)])?;
    let mut words = parts
        .text
        .plain_words(parts.args())
        .into_iter()
        .map(|range| parts.text.word(&range));
    let (image, keyword, name, more) = (words.next(), words.next(), words.next(), words.next());
    let name = match (keyword, name, more) {
        (None, ..) => None,
        (Some(keyword), Some(name), None) if keyword.text.eq_ignore_ascii_case("as") => Some((keyword, name)),
        _ => return parts.needs("an image, or an image, AS and a name"),
    };
    let Some(image) = image else {
        return parts.needs("an image");
    };
    Ok((
        From {
            image,
            platform: flags.word("platform"),
        },
        name,
    ))
}

/// CMD and ENTRYPOINT. Nothing at all is a shell that is given nothing, as in BuildKit.
fn parse_command(parts: &Parts<'_>) -> Result<Command, Error> {
    parts.flags(&[])?;
    if parts.args().is_empty() {
        return Ok(Command::Shell(String::new()));
    }
    parts.command(parts.args())
}

fn parse_shell(parts: &Parts<'_>) -> Result<Vec<String>, Error> {
    parts.flags(&[])?;
    match parts.json(parts.args())? {
        Some(shell) if !shell.is_empty() => Ok(shell),
        Some(_) => parts.needs("at least one string"),
        None => parts.fail(ErrorKind::NotJson { name: parts.name }),
    }
}

fn parse_expose(parts: &Parts<'_>) -> Result<Vec<Word>, Error> {
    parts.flags(&[])?;
    let ports: Vec<_> = parts
        .text
        .plain_words(parts.args())
        .iter()
        .map(|range| parts.text.word(range))
        .collect();
    if ports.is_empty() {
        parts.needs("at least one port")
    } else {
        Ok(ports)
    }
}

fn parse_volume(parts: &Parts<'_>) -> Result<Vec<Word>, Error> {
    parts.flags(&[])?;
    let (mut volumes, _) = parts.list()?;
    for volume in &mut volumes {
        volume.text = volume.text.trim().to_owned();
    }
    if volumes.is_empty() || volumes.iter().any(|volume| volume.text.is_empty()) {
        return parts.needs("at least one path, and none that is empty");
    }
    Ok(volumes)
}

fn parse_on_build(parts: Parts<'_>) -> Result<OnBuild, Error> {
    parts.flags(&[])?;
    if parts.args().is_empty() {
        return parts.needs("an instruction");
    }
    let args = parts.args().clone();
    let statement = split(&parts.text, &args);
    let name = keyword_name(&parts.text, &statement.keyword)?;
    if matches!(name, "ONBUILD" | "FROM" | "MAINTAINER") {
        return Err(parts.text.error(ErrorKind::BadTrigger { name }, &statement.keyword));
    }
    let raw = parts.args_str().to_owned();
    let text = with_bodies(&raw, &parts.heredocs);
    let keyword = parts.text.str(&statement.keyword).to_owned();
    let span = parts.text.span(&args);
    let inner = Parts {
        text: parts.text,
        name,
        statement,
        heredocs: parts.heredocs,
        comments: &[],
    };
    let kind = parse_kind(inner)?;
    let (comments, skip_checks) = (Vec::new(), CheckSet::default());
    Ok(OnBuild {
        text,
        instruction: Box::new(Instruction {
            kind,
            keyword,
            span,
            raw,
            comments,
            skip_checks,
        }),
    })
}
