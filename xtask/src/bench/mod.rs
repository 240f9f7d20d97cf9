//! `cargo xtask bench`: wiac against its peers.
use crate::Outcome;

/// The arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// Runs the task.
pub(crate) fn run(_arguments: Arguments) -> Outcome {
    Err("not there yet".into())
}
