//! `wiac pull`: images from registries.

use crate::error::Failure;
use crate::registry::{RegistryOptions, pull};
use crate::{Global, data};
use clap::Args;
use std::process::ExitCode;
use wiac_oci::manifest::Platform;

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Images by name
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Print ids alone
    #[arg(short, long)]
    quiet: bool,
    /// Of an image for several platforms, pull this one's
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    #[command(flatten)]
    registry: RegistryOptions,
}

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let data = data::open(global)?;
    let client = arguments.registry.client(data.caller.uid);
    let platform = arguments.platform.clone().unwrap_or_else(Platform::host);
    for name in &arguments.images {
        let pulled = pull(&data, &client, name, &platform, arguments.quiet)?;
        if !arguments.quiet {
            let kept = match pulled.reused {
                0 => String::new(),
                reused => format!(", {reused} layers were here"),
            };
            eprintln!("{}: {}{kept}", pulled.name.familiar(), pulled.digest);
        }
        println!("{}", pulled.image.id);
    }
    Ok(ExitCode::SUCCESS)
}
