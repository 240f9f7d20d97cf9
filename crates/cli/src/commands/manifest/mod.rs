//! `wiac manifest`: manifests and indexes as registries have them, and indexes put together by hand.

mod entries;
mod lists;
mod send;

use super::tags::meaning;
use crate::error::Failure;
use crate::exit::ExitCode;
use crate::registry::RegistryOptions;
use crate::{Global, data};
use clap::{Args, Subcommand};
use std::io::Write;

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show an index put together here, or a manifest or index as a registry has it
    Inspect(Inspect),
    /// Begin an index, of images here or in registries
    Create(lists::Create),
    /// Add images to an index
    Add(lists::Add),
    /// Say of a manifest of an index what it is for
    Annotate(lists::Annotate),
    /// Take manifests out of an index
    Remove(lists::Remove),
    /// Delete indexes that were put together here
    Rm(lists::Rm),
    /// End with 0 where there is such an index here, with 1 where there is none
    Exists(lists::Exists),
    /// Send an index to a registry, with what it lacks of the manifests
    Push(send::Push),
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
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    match &arguments.verb {
        Verb::Inspect(inspect) => show(global, inspect),
        Verb::Create(create) => create.run(&data::open(global)?),
        Verb::Add(add) => add.run(&data::open(global)?),
        Verb::Annotate(annotate) => annotate.run(&data::open(global)?),
        Verb::Remove(remove) => remove.run(&data::open(global)?),
        Verb::Rm(rm) => rm.run(&data::open(global)?),
        Verb::Exists(exists) => exists.run(&data::open(global)?),
        Verb::Push(push) => push.run(&data::open(global)?),
    }
}

fn show(global: &Global, inspect: &Inspect) -> Result<ExitCode, Failure> {
    // Before a user namespace is entered, in which everybody is root.
    let uid = rustix::process::geteuid().as_raw();
    if let Some(shown) = entries::shown(global, &inspect.name)? {
        println!("{shown:#}");
        return Ok(ExitCode::SUCCESS);
    }
    let client = inspect.registry.client(uid);
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
