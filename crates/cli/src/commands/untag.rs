//! `wiac untag NAME…`: the image stays.

use crate::error::Failure;
use crate::exit::ExitCode;
use crate::place::{self, Change};
use crate::{Global, data, format};
use clap::Args;

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Names to take away; the images stay, with or without other names
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Say nothing
    #[arg(short, long)]
    quiet: bool,
}

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let data = data::open(global)?;
    let mut failed = Vec::new();
    for text in &arguments.names {
        match super::rmi::full_name(&data, text)? {
            Some(name) if data.store.remove_name(&name, true)?.is_some() => {
                if !arguments.quiet {
                    format::write(&format!("Untagged: {}\n", super::rmi::familiar(&name)))?;
                }
            }
            _ => failed.push(
                place::refuse_other_tools(text, Change::Untag)
                    .err()
                    .unwrap_or_else(|| super::rmi::no_such_name(&data, text)),
            ),
        }
    }
    super::all_or(failed)
}
