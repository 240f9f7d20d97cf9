//! One file per command.

pub(crate) mod build;
pub(crate) mod bundle;
pub(crate) mod copy;
pub(crate) mod images;
pub(crate) mod load;
pub(crate) mod run;

use clap::{Args, Command, ValueEnum};

/// A command whose arguments are described only when they are needed.
pub(crate) fn define<A: Args>(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).defer(A::augment_args)
}

/// What `--dry-run` prints instead of doing anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRun {
    /// The shell commands that do the same by hand.
    Shell,
}
