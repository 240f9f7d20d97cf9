//! `wiac copy LAYERDIR SRC… DST`.

use super::DryRun;
use crate::error::Failure;
use crate::exit::ExitCode;
use clap::Args;
use std::path::PathBuf;
use wiac_build::copy;

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The layer's directory; files go to LAYERDIR/diff
    #[arg(value_name = "LAYERDIR")]
    layer: PathBuf,
    /// Files and directories, then where they go in the layer
    #[arg(required = true, value_name = "SRC… DST")]
    words: Vec<PathBuf>,
    /// Print the commands that do the same by hand, and do nothing
    #[arg(long, value_name = "AS")]
    dry_run: Option<DryRun>,
}

/// Runs the command.
pub(crate) fn run(mut arguments: Arguments) -> Result<ExitCode, Failure> {
    let destination = arguments.words.pop().filter(|_| !arguments.words.is_empty());
    let Some(destination) = destination else {
        return Err(Failure::usage(
            "name at least one file or directory, then where it goes: wiac copy LAYERDIR SRC… DST",
        ));
    };
    let (layer, sources, destination) = (&arguments.layer, &arguments.words, destination.as_os_str());
    if arguments.dry_run == Some(DryRun::Shell) {
        println!("#!/bin/bash\nset -e");
        for step in copy::plan_in_shell(layer, sources, destination) {
            println!("\n# {}\n{}", step.comment, step.command);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let report = copy::copy_into_layer(layer, sources, destination)?;
    for (count, what) in [
        (report.owners_lost, "owners"),
        (report.xattrs_lost, "extended attributes"),
    ] {
        if count > 0 {
            eprintln!("wiac: warning: {count} {what} could not be kept: that takes root, or another file system");
        }
    }
    Ok(ExitCode::SUCCESS)
}
