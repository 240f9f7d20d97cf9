//! `wiac copy LAYERDIR SRC… DST`.

use super::DryRun;
use crate::error::Failure;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The layer's directory; files go to LAYERDIR/diff
    #[arg(value_name = "LAYERDIR")]
    layer: PathBuf,
    /// Files and directories, then where they go in the layer
    #[arg(required = true, num_args = 2.., value_name = "SRC… DST")]
    words: Vec<PathBuf>,
    /// Print the commands that do the same by hand, and do nothing
    #[arg(long, value_name = "AS")]
    dry_run: Option<DryRun>,
}

/// Runs the command.
pub(crate) fn run(mut arguments: Arguments) -> Result<ExitCode, Failure> {
    let Some(destination) = arguments.words.pop() else { return Err(Failure::usage("no destination")) };
    let _ = (&arguments.layer, &arguments.dry_run, destination);
    Ok(ExitCode::SUCCESS)
}
