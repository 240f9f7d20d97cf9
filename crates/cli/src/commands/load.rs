//! `wiac load`: images from an image layout or an archive into the store.

use crate::data::Data;
use crate::error::Failure;
use crate::exit::ExitCode;
use crate::fetching::Network;
use crate::place::{self, Inside, Place};
use crate::{Global, data};
use clap::Args;
use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use wiac_dockerfile::remote::is_web;
use wiac_oci::manifest::Platform;
use wiac_oci::reference::Reference;
use wiac_store::transfer::{Archive, Incoming, load};

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Read this file, URL or directory instead of standard input: an OCI image layout, what docker save wrote, or a directory of skopeo's (dir:).
    /// One image of several is named as in wiac transfer: oci:DIR:NAME, oci-archive:FILE:NAME, docker-archive:FILE:NAME
    #[arg(short, long, value_name = "PATH")]
    input: Option<PathBuf>,
    /// The same
    #[arg(value_name = "PATH", conflicts_with = "input")]
    path: Option<PathBuf>,
    /// Print nothing but ids
    #[arg(short, long)]
    quiet: bool,
    /// Of an image for several platforms, load this one's
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// Name the image; only where there is one image in it
    #[arg(short, long, value_name = "NAME", value_parser = crate::place::new_name)]
    tag: Vec<Reference>,
}

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let data = data::open(global)?;
    let input = arguments.input.as_ref().or(arguments.path.as_ref());
    let inside = input.and_then(|path| written_as_place(path));
    let archive = match &inside {
        Some(inside) => inside.open(&data)?,
        None => open(&data, input.map(PathBuf::as_path))?,
    };
    let platform = arguments.platform.clone().unwrap_or_else(Platform::host);
    let mut images = archive.images_called(&platform, inside.and_then(|inside| inside.called))?;
    if let Some(asked) = &arguments.platform {
        images
            .iter()
            .try_for_each(|image| refuse_other_platform(image, asked))?;
    }
    name(&mut images, &arguments.tag)?;
    for image in &images {
        let loaded = load(&data.store, image, &archive, data.owner_policy())?;
        for name in &image.names {
            data.store
                .name_manifest(name, &loaded.image.id, loaded.manifest.as_ref())?;
        }
        report(arguments.quiet, image, loaded.image.id.as_str());
    }
    Ok(ExitCode::SUCCESS)
}

/// A place in skopeo's words, unless a file is called so.
fn written_as_place(path: &Path) -> Option<Inside<'_>> {
    place::inside(path.to_str()?).filter(|_| !path.exists())
}

/// What is no file, but is somewhere else.
fn refuse_other_places(path: &Path) -> Result<(), Failure> {
    let Some(text) = path.to_str().filter(|_| !path.exists()) else {
        return Ok(());
    };
    let remedy = match place::parse(text) {
        Place::Registry(name) => format!("wiac pull {name} fetches it"),
        Place::Name(_) if wiac_foreign::parse(text).is_some() => format!("wiac tag {text} NAME copies it from there"),
        _ => return place::refuse_unknown(text, true),
    };
    Err(Failure::usage(format!("{text}: wiac load reads files; {remedy}")))
}

fn open(data: &Data, path: Option<&Path>) -> Result<Archive, Failure> {
    let store = &data.store;
    if let Some(path) = path.filter(|path| *path != Path::new("-")) {
        if let Some(address) = path.to_str().filter(|text| is_web(text)) {
            let file = Network::new(data.caller.uid).open(address)?;
            return Ok(Archive::open_stream(store, Box::new(file), path)?);
        }
        refuse_other_places(path)?;
        return Ok(Archive::open_path(store, path)?);
    }
    let input = std::io::stdin();
    if input.is_terminal() {
        return Err(Failure::usage(
            "nothing to load: name a file or directory with -i, or send an archive to standard input",
        ));
    }
    let file = File::from(input.as_fd().try_clone_to_owned()?);
    Ok(Archive::open_file(store, file, Path::new("standard input"))?)
}

/// What is alone in an archive is loaded whatever it is for, unless somebody asked for something else.
fn refuse_other_platform(image: &Incoming, asked: &Platform) -> Result<(), Failure> {
    let platform = Platform::of(&image.config);
    if asked.takes(&platform) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{}: it is an image for {platform}, not for {asked}",
        image.shown
    )))
}

/// Gives the names of the command line to the only image.
fn name(images: &mut [Incoming], names: &[Reference]) -> Result<(), Failure> {
    match images {
        _ if names.is_empty() => Ok(()),
        [only] => {
            only.names = names.to_vec();
            Ok(())
        }
        several => Err(Failure::usage(format!(
            "-t: there are {} images in it; load them and name each with wiac tag",
            several.len()
        ))),
    }
}

fn report(quiet: bool, image: &Incoming, id: &str) {
    if quiet {
        println!("{id}");
    } else if image.names.is_empty() {
        println!("Loaded image ID: sha256:{id}");
    }
    for name in image.names.iter().filter(|_| !quiet) {
        println!("Loaded image: {}", name.clone().with_default_tag().familiar());
    }
}
