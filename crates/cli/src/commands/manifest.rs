//! `wiac manifest inspect`: a manifest or index as a registry has it.

use super::tags::meaning;
use crate::error::Failure;
use crate::registry::RegistryOptions;
use clap::{Args, Subcommand};
use std::io::Write;
use std::process::ExitCode;

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show a manifest or index as a registry has it
    Inspect(Inspect),
}

#[derive(Debug, Args)]
struct Inspect {
    /// The image
    #[arg(value_name = "NAME")]
    name: String,
    /// Byte for byte
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    registry: RegistryOptions,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let Verb::Inspect(inspect) = &arguments.verb;
    let client = inspect.registry.client(rustix::process::geteuid().as_raw());
    let reference = meaning(&client.candidates(&inspect.name)?, &inspect.name)?;
    let found = client.manifest(&reference.with_default_tag())?;
    if inspect.raw {
        std::io::stdout().write_all(&found.bytes)?;
        return Ok(ExitCode::SUCCESS);
    }
    let value: serde_json::Value = serde_json::from_slice(&found.bytes)?;
    println!("{value:#}");
    Ok(ExitCode::SUCCESS)
}
