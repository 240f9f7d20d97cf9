//! RUN: a command, its heredocs, its mounts and what it may use.

use super::RunMount;
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
