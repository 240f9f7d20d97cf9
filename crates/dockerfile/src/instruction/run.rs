//! RUN: a command, its heredocs, its mounts and what it may use.

use super::RunMount;
use super::parts::Parts;
use crate::csv;
use crate::directives::parse_bool;
use crate::error::{Error, ErrorKind};
use crate::flags::{Takes, bad_value};
use crate::heredoc;
use crate::model::{Heredoc, Word};

/// RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The command; its text is not expanded.
    pub command: Command,
    /// The heredocs of a shell form, in order.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`, in order.
    pub mounts: Vec<RunMount>,
    /// `--network`.
    pub network: Network,
    /// `--security`.
    pub security: Security,
    /// `--device`, in order.
    pub devices: Vec<Device>,
}

/// A command in shell or exec form: of RUN, CMD, ENTRYPOINT and HEALTHCHECK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Text for the shell.
    Shell(String),
    /// A program and its arguments, from a JSON array; may be empty.
    Exec(Vec<String>),
}

/// `--network` of RUN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// What the build uses.
    #[default]
    Default,
    /// None at all.
    None,
    /// The host's; needs to be allowed.
    Host,
}

/// `--security` of RUN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Security {
    /// Confined as usual.
    #[default]
    Sandbox,
    /// Privileged; needs to be allowed.
    Insecure,
}

/// `--device` of RUN; needs to be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The device's name.
    pub name: Word,
    /// Its absence is an error.
    pub required: bool,
}

/// What a RUN instruction executes, once heredocs are dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// A program and its arguments, without a shell.
    Exec(Vec<String>),
    /// Text to give to SHELL as its last argument.
    Shell(String),
    /// A file to write with mode 0755 and to execute by itself.
    File {
        /// Its name.
        name: String,
        /// Its content, which starts with `#!`.
        content: String,
    },
}

impl Run {
    /// What to execute: a sole heredoc becomes a file (with `#!`) or the script itself; text mixed with heredocs is
    /// put together again for the shell to interpret.
    pub fn script(&self) -> Script {
        let text = match &self.command {
            Command::Exec(args) => return Script::Exec(args.clone()),
            Command::Shell(text) => text,
        };
        let Some(first) = self.heredocs.first() else {
            return Script::Shell(text.clone());
        };
        if heredoc::opening(text).is_some() {
            let content = first.body();
            if content.starts_with("#!") {
                return Script::File {
                    name: first.name.clone(),
                    content,
                };
            }
            return Script::Shell(content);
        }
        Script::Shell(with_bodies(text, &self.heredocs))
    }
}

/// `text` with the heredocs' bodies and end words after it, as the shell expects them.
pub(crate) fn with_bodies(text: &str, heredocs: &[Heredoc]) -> String {
    let mut whole = text.to_owned();
    for heredoc in heredocs {
        whole.push('\n');
        whole.push_str(&heredoc.content);
        whole.push_str(&heredoc.name);
    }
    whole
}

/// Types a RUN instruction.
pub(super) fn parse_run(parts: Parts<'_>) -> Result<Run, Error> {
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
