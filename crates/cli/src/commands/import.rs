//! `wiac import`: a root filesystem, in a tar or a directory, becomes an image.

use crate::error::Failure;
use crate::exit::ExitCode;
use crate::fetching::Network;
use crate::{Global, data};
use clap::Args;
use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use wiac_build::dockerfile::apply_changes;
use wiac_dockerfile::remote::is_web;
use wiac_oci::image::{History, ImageConfig};
use wiac_oci::manifest::Platform;
use wiac_oci::reference::Reference;
use wiac_store::transfer::{import, import_directory};
use wiac_store::{HeldLayer, ImageRecord};

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A tar (compressed or not), its URL, a directory, or - for standard input
    #[arg(value_name = "FILE|URL|DIR|-")]
    source: PathBuf,
    /// Name the image
    #[arg(value_name = "NAME", value_parser = crate::place::new_name)]
    name: Option<Reference>,
    /// Apply a Dockerfile instruction to the configuration: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, WORKDIR…
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// A note for the history
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// What the programs in it run on
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// Accepted as podman has it: the id is all that is printed anyway
    #[arg(short, long)]
    quiet: bool,
}

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    check_platform(arguments.platform.as_ref())?;
    let source = source(&arguments.source)?;
    let data = data::open(global)?;
    let created = wiac_oci::time::now();
    let config = apply_changes(&data.store, configuration(arguments, &created), &arguments.change)?;
    let layer = take(&data, source, arguments, &created)?;
    let record = ImageRecord {
        layers: vec![layer.id.clone()],
        config,
        ..ImageRecord::default()
    };
    let image = data.store.add_image(&record)?;
    if let Some(name) = &arguments.name {
        data.store.name_image(name, &image.id)?;
    }
    println!("{}", image.id);
    Ok(ExitCode::SUCCESS)
}

/// What no machine could run is refused, as docker does; an architecture nobody knows may be new.
fn check_platform(platform: Option<&Platform>) -> Result<(), Failure> {
    let Some(platform) = platform else { return Ok(()) };
    if platform.os != "linux" {
        return Err(Failure::usage(format!(
            "--platform {platform}: an image here is for Linux: linux/ARCH[/VARIANT]"
        )));
    }
    if !platform.is_known() {
        eprintln!(
            "wiac: warning: --platform {platform}: no architecture is known by the name {:?}",
            platform.architecture
        );
    }
    Ok(())
}

/// What is read: opened as the user, before any namespace is entered.
enum Source {
    Directory,
    File(File),
    /// Of the web, by its address.
    Address(String),
}

fn source(path: &Path) -> Result<Source, Failure> {
    if path == Path::new("-") {
        let input = std::io::stdin();
        if input.is_terminal() {
            return Err(Failure::usage("standard input is a terminal: send a tar to it"));
        }
        return Ok(Source::File(File::from(input.as_fd().try_clone_to_owned()?)));
    }
    let text = path.to_string_lossy();
    if is_web(&text) {
        return Ok(Source::Address(text.into_owned()));
    }
    let failed = |error: &std::io::Error| Failure::new(format!("can't open {text}: {}", crate::error::words(error)));
    if path.is_dir() {
        return Ok(Source::Directory);
    }
    Ok(Source::File(File::open(path).map_err(|error| failed(&error))?))
}

fn take(data: &data::Data, source: Source, arguments: &Arguments, created: &str) -> Result<HeldLayer, Failure> {
    let shown = if arguments.source == Path::new("-") {
        Path::new("standard input")
    } else {
        &arguments.source
    };
    let said = format!("IMPORT {}", arguments.source.display());
    let made = (said.as_str(), created);
    Ok(match source {
        Source::Directory => import_directory(&data.store, shown, data.owner_policy(), made)?,
        Source::File(file) => import(&data.store, Box::new(file), shown, data.owner_policy(), made)?,
        Source::Address(address) => {
            let file = Network::new(data.caller.uid).open(&address)?;
            import(&data.store, Box::new(file), shown, data.owner_policy(), made)?
        }
    })
}

fn configuration(arguments: &Arguments, created: &str) -> ImageConfig {
    let platform = arguments.platform.clone().unwrap_or_else(Platform::host);
    let message = arguments
        .message
        .clone()
        .unwrap_or_else(|| format!("Imported from {}", arguments.source.display()));
    ImageConfig {
        architecture: platform.architecture,
        os: platform.os,
        variant: platform.variant,
        created: Some(created.to_owned()),
        history: vec![History {
            created: Some(created.to_owned()),
            comment: Some(message),
            ..History::default()
        }],
        ..ImageConfig::default()
    }
}
