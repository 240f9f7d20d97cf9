//! `wiac pull`: images from registries.

use super::tags::meaning;
use crate::data::Data;
use crate::error::Failure;
use crate::exit::ExitCode;
use crate::place;
use crate::registry::{RegistryOptions, pull};
use crate::{Global, data};
use clap::Args;
use wiac_oci::manifest::Platform;
use wiac_registry::Client;

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Images by name; of files: oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], dir:DIR
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Every tag of the repositories
    #[arg(short, long)]
    all_tags: bool,
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
    let names = if arguments.all_tags {
        all_tags(&client, &arguments.images)?
    } else {
        arguments.images.clone()
    };
    for name in &names {
        if pull_elsewhere(&data, name, &platform, arguments.quiet)? {
            continue;
        }
        let pulled = pull(&data, &client, name, &platform, arguments.quiet)?;
        let own = Platform::of(&data.store.image(&pulled.image.id)?.config);
        if !platform.takes(&own) && !own.architecture.is_empty() {
            eprintln!(
                "wiac: warning: {} is for {own}, not for {platform}",
                pulled.name.familiar()
            );
        }
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

/// What isn't in a registry: files are loaded, as podman's pull does; true where it was that.
fn pull_elsewhere(data: &Data, text: &str, platform: &Platform, quiet: bool) -> Result<bool, Failure> {
    if wiac_foreign::parse(text).is_some() {
        return Err(Failure::usage(format!(
            "{text}: it is used where it lies; wiac tag {text} NAME makes a copy of it"
        )));
    }
    place::refuse_daemon(text)?;
    let Some(inside) = place::inside(text) else {
        return Ok(false);
    };
    let (loaded, names) = inside.load(data, platform)?;
    for name in names.iter().filter(|_| !quiet) {
        eprintln!("{text}: {}", name.clone().with_default_tag().familiar());
    }
    println!("{}", loaded.image.id);
    Ok(true)
}

/// The names of all tags of repositories.
fn all_tags(client: &Client, repositories: &[String]) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for name in repositories {
        let reference = meaning(&client.candidates(name)?, name)?;
        if reference.tag().is_some() || reference.digest().is_some() {
            return Err(Failure::usage(format!(
                "{name}: --all-tags takes a repository, without a tag"
            )));
        }
        let tags = client.tags(&reference)?;
        names.extend(tags.iter().map(|tag| format!("{}:{tag}", reference.name())));
    }
    Ok(names)
}
