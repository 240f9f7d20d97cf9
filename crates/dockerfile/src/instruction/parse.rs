//! From the parts of an instruction's text to its typed form.

use std::ops::Range;

use super::copy::{Add, Copy, CopySource, Transfer};
use super::env::{Arg, ArgDefinition, Env, Label, Pair};
use super::health::{Check, HealthCheck};
use super::mount::RunMount;
use super::run::{Command, Device, Network, Run, Security, with_bodies};
use super::{Kind, OnBuild};
use crate::directives::parse_bool;
use crate::error::{Error, ErrorKind};
use crate::flags::{Flags, Statement, Takes, bad_value, split};
use crate::heredoc;
use crate::json::{self, Json};
use crate::model::{CheckSet, From, Heredoc, Instruction, Word};
use crate::text::{Text, is_separator};
use crate::{csv, duration};

/// All instructions.
pub(crate) const KEYWORDS: [&str; 18] = [
    "FROM",
    "RUN",
    "COPY",
    "ADD",
    "ENV",
    "LABEL",
    "ARG",
    "WORKDIR",
    "USER",
    "CMD",
    "ENTRYPOINT",
    "SHELL",
    "EXPOSE",
    "VOLUME",
    "STOPSIGNAL",
    "HEALTHCHECK",
    "ONBUILD",
    "MAINTAINER",
];

/// An instruction taken apart.
pub(crate) struct Parts<'a> {
    pub(crate) text: Text<'a>,
    pub(crate) name: &'static str,
    pub(crate) statement: Statement,
    pub(crate) heredocs: Vec<Heredoc>,
    pub(crate) comments: &'a [String],
}

impl Parts<'_> {
    fn args(&self) -> &Range<usize> {
        &self.statement.args
    }

    fn args_str(&self) -> &str {
        self.text.str(self.args())
    }

    fn whole(&self) -> Range<usize> {
        self.statement.keyword.start..self.args().end
    }

    fn fail<T>(&self, kind: ErrorKind) -> Result<T, Error> {
        Err(self.text.error(kind, &self.whole()))
    }

    fn needs<T>(&self, wants: &'static str) -> Result<T, Error> {
        self.fail(ErrorKind::Arguments { name: self.name, wants })
    }

    fn flags(&self, known: &[(&'static str, Takes)]) -> Result<Flags, Error> {
        Flags::parse(&self.text, self.name, &self.statement.flags, known)
    }

    fn json(&self, range: &Range<usize>) -> Result<Option<Vec<String>>, Error> {
        match json::parse(self.text.str(range)) {
            Json::Strings(strings) => Ok(Some(strings)),
            Json::NotStrings => Err(self.text.error(ErrorKind::NotStrings { name: self.name }, range)),
            Json::Other => Ok(None),
        }
    }

    /// The arguments as a command in either form.
    fn command(&self, range: &Range<usize>) -> Result<Command, Error> {
        if range.is_empty() {
            return self.needs("a command");
        }
        Ok(match self.json(range)? {
            Some(args) => Command::Exec(args),
            None => Command::Shell(self.text.str(range).to_owned()),
        })
    }

    /// The arguments as a JSON array or as plain words; whether it was JSON.
    fn list(&self) -> Result<(Vec<Word>, bool), Error> {
        if let Some(strings) = self.json(self.args())? {
            let span = self.text.span(self.args());
            return Ok((strings.into_iter().map(|text| Word { text, span }).collect(), true));
        }
        Ok((
            self.text
                .plain_words(self.args())
                .iter()
                .map(|range| self.text.word(range))
                .collect(),
            false,
        ))
    }

    /// The whole rest as one word.
    fn single(&self, wants: &'static str) -> Result<Word, Error> {
        self.flags(&[])?;
        if self.args().is_empty() {
            self.needs(wants)
        } else {
            Ok(self.text.word(self.args()))
        }
    }
}

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

fn parse_run(parts: Parts<'_>) -> Result<Run, Error> {
    let flags = parts.flags(&[
        ("mount", Takes::Values),
        ("network", Takes::Value),
        ("security", Takes::Value),
        ("device", Takes::Values),
    ])?;
    let choose = |flag: &'static str, wants: &'static str, known: &[&str]| match flags.word(flag) {
        None => Ok(0),
        Some(word) => known
            .iter()
            .position(|name| *name == word.text)
            .ok_or_else(|| Error::new(bad_value(flag, wants, Some(&word.text)), word.span)),
    };
    let network = choose("network", "default, none or host", &["default", "none", "host"])?;
    let security = choose("security", "sandbox or insecure", &["sandbox", "insecure"])?;
    let command = parts.command(parts.args())?;
    if command == Command::Exec(Vec::new()) {
        return parts.needs("a command");
    }
    Ok(Run {
        command,
        mounts: flags
            .words("mount")
            .iter()
            .map(RunMount::parse)
            .collect::<Result<_, _>>()?,
        network: [Network::Default, Network::None, Network::Host][network],
        security: [Security::Sandbox, Security::Insecure][security],
        devices: flags
            .words("device")
            .iter()
            .map(parse_device)
            .collect::<Result<_, _>>()?,
        heredocs: parts.heredocs,
    })
}

fn parse_device(word: &Word) -> Result<Device, Error> {
    let bad = |problem| {
        Error::new(
            ErrorKind::BadField {
                flag: "--device",
                problem,
            },
            word.span,
        )
    };
    let mut name = None;
    let mut required = false;
    for field in csv::fields(&word.text).map_err(bad)? {
        let (key, value) = field
            .split_once('=')
            .map_or((field.as_str(), None), |(key, value)| (key, Some(value)));
        match (key.to_ascii_lowercase().as_str(), value) {
            ("required", None) => required = true,
            ("required", Some(value)) => {
                required = parse_bool(value).ok_or_else(|| bad(format!("required has the invalid value {value:?}")))?;
            }
            ("name", Some(value)) if name.is_none() => name = Some(value.to_owned()),
            _ if name.is_none() => name = Some(field),
            _ => return Err(bad(format!("unknown field {field:?}"))),
        }
    }
    let text = name
        .filter(|name| !name.is_empty())
        .ok_or_else(|| bad("the name is missing".to_owned()))?;
    Ok(Device {
        name: Word { text, span: word.span },
        required,
    })
}

/// The flags that COPY and ADD share.
const TRANSFER_FLAGS: [(&str, Takes); 4] = [
    ("chown", Takes::Value),
    ("chmod", Takes::Value),
    ("link", Takes::Bool),
    ("exclude", Takes::Values),
];

fn parse_copy(parts: Parts<'_>) -> Result<Copy, Error> {
    let own = [("from", Takes::Value), ("parents", Takes::Bool)];
    let flags = parts.flags(&[own.as_slice(), &TRANSFER_FLAGS].concat())?;
    let from = flags.word("from");
    if let Some(from) = from.as_ref().filter(|from| from.text.contains('$')) {
        return Err(Error::new(ErrorKind::VariableInFrom { place: "--from" }, from.span));
    }
    Ok(Copy {
        from,
        parents: flags.switch("parents").unwrap_or(false),
        transfer: parse_transfer(parts, &flags)?,
    })
}

fn parse_add(parts: Parts<'_>) -> Result<Add, Error> {
    let own = [
        ("checksum", Takes::Value),
        ("keep-git-dir", Takes::Bool),
        ("unpack", Takes::Bool),
    ];
    let flags = parts.flags(&[own.as_slice(), &TRANSFER_FLAGS].concat())?;
    Ok(Add {
        checksum: flags.word("checksum"),
        keep_git_dir: flags.switch("keep-git-dir"),
        unpack: flags.switch("unpack"),
        transfer: parse_transfer(parts, &flags)?,
    })
}

fn parse_transfer(parts: Parts<'_>, flags: &Flags) -> Result<Transfer, Error> {
    let (mut words, json) = parts.list()?;
    let Some(destination) = words.pop().filter(|_| !words.is_empty()) else {
        return parts.needs("at least one source and a destination");
    };
    if !json && heredoc::opening(&destination.text).is_some() {
        return Err(Error::new(
            ErrorKind::HeredocDestination { name: parts.name },
            destination.span,
        ));
    }
    let heredocs = parts.heredocs;
    let source = |word: Word| {
        let opening = heredoc::opening(&word.text).filter(|_| !json);
        let found = opening.and_then(|opening| heredocs.iter().rev().find(|heredoc| heredoc.name == opening.name));
        found.map_or(CopySource::Path(word), |heredoc| CopySource::Heredoc(heredoc.clone()))
    };
    Ok(Transfer {
        sources: words.into_iter().map(source).collect(),
        destination,
        json,
        chown: flags.word("chown"),
        chmod: flags.word("chmod"),
        link: flags.switch("link").unwrap_or(false),
        exclude: flags.words("exclude"),
    })
}

fn parse_pairs(parts: &Parts<'_>) -> Result<Vec<Pair>, Error> {
    parts.flags(&[])?;
    let words = parts.text.quoted_words(parts.args());
    let Some(first) = words.first() else {
        return parts.needs("at least one key=value");
    };
    if !parts.text.str(first).contains('=') {
        return parse_legacy_pair(parts).map(|pair| vec![pair]);
    }
    words.iter().map(|range| parse_pair(parts, range)).collect()
}

/// `KEY the rest of the line`.
fn parse_legacy_pair(parts: &Parts<'_>) -> Result<Pair, Error> {
    let args = parts.args();
    let Some(length) = parts.args_str().bytes().position(is_separator) else {
        return parts.needs("a name and a value");
    };
    let key = args.start..args.start + length;
    let blank = parts
        .args_str()
        .bytes()
        .skip(length)
        .take_while(|b| is_separator(*b))
        .count();
    let value = key.end + blank..args.end;
    Ok(Pair {
        key: parts.text.word(&key),
        value: parts.text.word(&value),
        legacy: true,
    })
}

fn parse_pair(parts: &Parts<'_>, range: &Range<usize>) -> Result<Pair, Error> {
    let word = parts.text.str(range);
    let error = |kind| Err(parts.text.error(kind, range));
    match word.find('=') {
        None => error(ErrorKind::NoEquals {
            name: parts.name,
            word: word.to_owned(),
        }),
        Some(0) => error(ErrorKind::BlankName { name: parts.name }),
        Some(at) => Ok(Pair {
            key: parts.text.word(&(range.start..range.start + at)),
            value: parts.text.word(&(range.start + at + 1..range.end)),
            legacy: false,
        }),
    }
}

/// ARG.
pub(crate) fn parse_arg(parts: &Parts<'_>) -> Result<Arg, Error> {
    parts.flags(&[])?;
    let words = parts.text.quoted_words(parts.args());
    if words.is_empty() {
        return parts.needs("at least one name");
    }
    let definition = |range: &Range<usize>| {
        let at = parts.text.str(range).find('=');
        if at == Some(0) {
            return Err(parts.text.error(ErrorKind::BlankName { name: "ARG" }, range));
        }
        let end = at.map_or(range.end, |at| range.start + at);
        let name = parts.text.word(&(range.start..end));
        let doc = doc_of(&name.text, parts.comments);
        Ok(ArgDefinition {
            doc,
            name,
            default: at.map(|_| parts.text.word(&(end + 1..range.end))),
        })
    };
    Ok(Arg {
        definitions: words.iter().map(definition).collect::<Result<_, _>>()?,
    })
}

/// The description in a comment `<name> <description>`.
pub(crate) fn doc_of(name: &str, comments: &[String]) -> Option<String> {
    comments
        .iter()
        .find_map(|comment| comment.strip_prefix(name)?.strip_prefix(' '))
        .map(str::to_owned)
}

fn parse_command(parts: &Parts<'_>) -> Result<Command, Error> {
    parts.flags(&[])?;
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

fn parse_health_check(parts: &Parts<'_>) -> Result<HealthCheck, Error> {
    let flags = parts.flags(&[
        ("interval", Takes::Value),
        ("timeout", Takes::Value),
        ("start-period", Takes::Value),
        ("start-interval", Takes::Value),
        ("retries", Takes::Value),
    ])?;
    let args = parts.args();
    let length = parts.args_str().find(char::is_whitespace).unwrap_or(args.len());
    let rest = parts.text.trim(&(args.start + length..args.end));
    match parts.args_str()[..length].to_ascii_uppercase().as_str() {
        "NONE" if rest.is_empty() => return Ok(HealthCheck::None),
        "NONE" => return parts.needs("nothing after NONE"),
        "CMD" => {}
        _ => return parts.needs("CMD and a command, or NONE"),
    }
    let command = parts.command(&rest)?;
    if command == Command::Exec(Vec::new()) {
        return parts.needs("a command after CMD");
    }
    let time = |flag| flags.word(flag).map_or(Ok(None), |word| parse_interval(flag, &word));
    Ok(HealthCheck::Check(Check {
        command,
        interval: time("interval")?,
        timeout: time("timeout")?,
        start_period: time("start-period")?,
        start_interval: time("start-interval")?,
        retries: flags.word("retries").map_or(Ok(None), |word| parse_retries(&word))?,
    }))
}

/// A duration of at least a millisecond; zero counts as not given.
fn parse_interval(flag: &'static str, word: &Word) -> Result<Option<std::time::Duration>, Error> {
    let bad = |wants| Err(Error::new(bad_value(flag, wants, Some(&word.text)), word.span));
    match duration::parse(&word.text) {
        None => bad("a duration such as 30s or 1m30s"),
        Some(time) if time.is_zero() => Ok(None),
        Some(time) if time.as_millis() == 0 => bad("at least 1ms"),
        Some(time) => Ok(Some(time)),
    }
}

/// A count; zero counts as not given.
fn parse_retries(word: &Word) -> Result<Option<u32>, Error> {
    let count = word.text.parse().ok().filter(|count| i32::try_from(*count).is_ok());
    let error = || Error::new(bad_value("retries", "a whole number", Some(&word.text)), word.span);
    count
        .map(|count| Some(count).filter(|count| *count != 0))
        .ok_or_else(error)
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

/// The instruction that the word at `range` names.
pub(crate) fn keyword_name(text: &Text<'_>, range: &Range<usize>) -> Result<&'static str, Error> {
    let word = text.str(range);
    if let Some(known) = KEYWORDS.iter().find(|known| known.eq_ignore_ascii_case(word)) {
        return Ok(known);
    }
    let nearest = crate::suggest::nearest(word, KEYWORDS);
    let nearest = nearest.and_then(|nearest| KEYWORDS.iter().copied().find(|known| *known == nearest));
    Err(text.error(
        ErrorKind::UnknownInstruction {
            word: word.to_owned(),
            nearest,
        },
        range,
    ))
}
