//! `wiac images`.

use crate::error::Failure;
use crate::{Global, data};
use clap::Args;
use std::process::ExitCode;

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print ids alone
    #[arg(short, long)]
    quiet: bool,
}

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let data = data::open(global)?;
    let names = data.store.names()?;
    if !arguments.quiet && !names.is_empty() {
        println!("{:<12}  NAME", "ID");
    }
    for name in names {
        if arguments.quiet {
            println!("{}", name.image);
        } else {
            println!("{}  {}", name.image.short(), name.name);
        }
    }
    Ok(ExitCode::SUCCESS)
}
