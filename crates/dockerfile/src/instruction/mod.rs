//! The instructions, typed: what may stand inside a stage.

mod copy;
mod env;
mod health;
mod mount;
mod mount_resolve;
mod parse;
mod parts;
mod run;

pub use copy::{Add, Copy, CopySource, Transfer};
pub use env::{Arg, ArgDefinition, Env, Label, Pair};
pub use health::{Check, HealthCheck};
pub use mount::{Mount, MountField, RunMount, Sharing};
pub use run::{Command, Device, Network, Run, Script, Security};

pub(crate) use env::{doc_of, parse_arg};
pub(crate) use parse::{parse_from, parse_kind};
pub(crate) use parts::{Parts, keyword_name};

use crate::model::{Instruction, Word};

/// What an instruction says.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Run a command and keep what it changed.
    Run(Run),
    /// Copy files from the build context, a stage or an image.
    Copy(Copy),
    /// Copy files, fetch URLs and repositories, unpack archives.
    Add(Add),
    /// Set environment variables.
    Env(Env),
    /// Set labels.
    Label(Label),
    /// Declare build arguments.
    Arg(Arg),
    /// Set, and make, the working directory.
    Workdir(Word),
    /// Set the user, `user[:group]`.
    User(Word),
    /// Set the default command.
    Cmd(Command),
    /// Set the entry point.
    Entrypoint(Command),
    /// Set the shell of the shell forms.
    Shell(Vec<String>),
    /// Record ports; each word may expand to several.
    Expose(Vec<Word>),
    /// Record volumes.
    Volume(Vec<Word>),
    /// Set the signal that stops the container.
    StopSignal(Word),
    /// Set or clear the health check.
    HealthCheck(HealthCheck),
    /// Record an instruction for builds on top of this image.
    OnBuild(OnBuild),
    /// Set the author; deprecated.
    Maintainer(Word),
}

impl Kind {
    /// The instruction's name in capitals.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Run(_) => "RUN",
            Self::Copy(_) => "COPY",
            Self::Add(_) => "ADD",
            Self::Env(_) => "ENV",
            Self::Label(_) => "LABEL",
            Self::Arg(_) => "ARG",
            Self::Workdir(_) => "WORKDIR",
            Self::User(_) => "USER",
            Self::Cmd(_) => "CMD",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Shell(_) => "SHELL",
            Self::Expose(_) => "EXPOSE",
            Self::Volume(_) => "VOLUME",
            Self::StopSignal(_) => "STOPSIGNAL",
            Self::HealthCheck(_) => "HEALTHCHECK",
            Self::OnBuild(_) => "ONBUILD",
            Self::Maintainer(_) => "MAINTAINER",
        }
    }
}

/// An instruction recorded for builds on top of the image.
#[derive(Debug, Clone, PartialEq)]
pub struct OnBuild {
    /// What goes into the image's configuration: the instruction's text, heredoc bodies included.
    pub text: String,
    /// The instruction, parsed.
    pub instruction: Box<Instruction>,
}
