//! `wiac save`: images out of the store, as an image layout or an archive.

use super::compressing::{Compress, packing};
use crate::data::Data;
use crate::error::Failure;
use crate::exit::ExitCode;
use crate::located::{Located, Origin, locate};
use crate::{Global, data};
use clap::{Args, ValueEnum};
use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use wiac_oci::manifest::Platform;
use wiac_oci::reference::Reference;
use wiac_store::Store;
use wiac_store::transfer::{self, Packing, Wanted, save_into, save_to};

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A tar of an OCI image layout that docker reads too
    OciArchive,
    /// An OCI image layout in a directory
    OciDir,
    /// A tar as docker wrote it before version 25, layers uncompressed
    DockerArchive,
}

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Images by name or id
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Write to this file or directory instead of standard output
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// In which form (by itself: oci-archive, oci-dir where the output is a directory)
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// How layers made here are compressed, by itself with gzip; a layer that came in keeps its bytes
    #[arg(long, value_name = "HOW")]
    compression: Option<Compress>,
    /// How hard: gzip 1 to 12 (by itself 4, which packs as gzip -6), zstd 1 to 19 (by itself 3)
    #[arg(long, value_name = "LEVEL")]
    compression_level: Option<i32>,
    /// Of an image for several platforms, take this one's alone
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// Accepted as podman has it: nothing is said anyway
    #[arg(short, long)]
    quiet: bool,
    /// Accepted as podman has it: several images go into one archive anyway
    #[arg(short, long)]
    multi_image_archive: bool,
}

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let data = data::open(global)?;
    let (wanted, _held) = wanted_for(&data, &arguments.images, arguments.platform.as_ref())?;
    let _blobs = crate::refetch::missing_blobs(&data, &wanted)?;
    let packing = packing(compression(arguments)?, arguments.compression_level)?;
    match arguments.output.as_deref().filter(|path| *path != Path::new("-")) {
        Some(path) => save_to(&data.store, &wanted, format(arguments.format, path), &packing, path).map(drop)?,
        None => to_standard_output(&data.store, &wanted, arguments.format, &packing)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// docker's archives have plain tars: compressing them for that would be for nothing.
fn compression(arguments: &Arguments) -> Result<Compress, Failure> {
    match (arguments.format, arguments.compression) {
        (Some(Format::DockerArchive), None | Some(Compress::None)) => Ok(Compress::None),
        (Some(Format::DockerArchive), Some(_)) => Err(Failure::usage(
            "--compression: the layers in a docker-archive are never compressed; leave it out, or compress the archive itself",
        )),
        (_, given) => Ok(given.unwrap_or(Compress::Gzip)),
    }
}

fn to_standard_output(
    store: &Store,
    wanted: &[Wanted],
    format: Option<Format>,
    packing: &Packing,
) -> Result<(), Failure> {
    let output = std::io::stdout();
    if output.is_terminal() {
        return Err(Failure::usage(
            "standard output is a terminal: name a file with -o, or send it to a pipe",
        ));
    }
    let format = match format {
        Some(Format::OciDir) => return Err(Failure::usage("--format oci-dir: name the directory with -o")),
        Some(Format::DockerArchive) => transfer::Format::DockerArchive,
        Some(Format::OciArchive) | None => transfer::Format::OciArchive,
    };
    let mut file = File::from(output.as_fd().try_clone_to_owned()?);
    let out = (&mut file, Path::new("standard output"));
    save_into(store, wanted, format, packing, out)?;
    Ok(())
}

fn format(given: Option<Format>, path: &Path) -> transfer::Format {
    match given {
        Some(Format::OciDir) => transfer::Format::OciDirectory,
        Some(Format::DockerArchive) => transfer::Format::DockerArchive,
        None if path.is_dir() || path.as_os_str().as_bytes().ends_with(b"/") => transfer::Format::OciDirectory,
        Some(Format::OciArchive) | None => transfer::Format::OciArchive,
    }
}

/// The images, several names of one image together. What they were found with is held as long as the result lives.
fn wanted(data: &Data, texts: &[String]) -> Result<(Vec<Wanted>, Vec<Located>), Failure> {
    let mut images: Vec<Wanted> = Vec::new();
    let mut held = Vec::new();
    for text in texts {
        let located = locate(data, text)?;
        let names = names(data, &located, text)?;
        let known = match &located.origin {
            Origin::Stored(id) => images.iter_mut().find(|image| image.id.as_ref() == Some(id)),
            Origin::Elsewhere(_) => None,
        };
        if let Some(image) = known {
            image.names.extend(names);
            continue;
        }
        let (id, config_bytes) = match &located.origin {
            Origin::Stored(id) => (Some(id.clone()), None),
            Origin::Elsewhere(image) => (None, Some(image.config.clone())),
        };
        let record = match &located.origin {
            Origin::Stored(id) => data.store.image(id)?,
            Origin::Elsewhere(_) => located.record(),
        };
        let mut image = Wanted {
            id,
            record,
            config_bytes,
            shown: text.clone(),
            names,
            ..Wanted::default()
        };
        add_other_platforms(data, text, &mut image)?;
        images.push(image);
        held.push(located);
    }
    Ok((images, held))
}

/// The same; of images for several platforms those for `platform` alone, where one is named.
///
/// # Errors
/// Where there is none for it.
pub(crate) fn wanted_for(
    data: &Data,
    texts: &[String],
    platform: Option<&Platform>,
) -> Result<(Vec<Wanted>, Vec<Located>), Failure> {
    let (mut images, held) = wanted(data, texts)?;
    if let Some(platform) = platform {
        for image in &mut images {
            *image = only_for(std::mem::take(image), platform)?;
        }
    }
    Ok((images, held))
}

/// The one for a platform, under the same names.
fn only_for(mut image: Wanted, platform: &Platform) -> Result<Wanted, Failure> {
    let others = std::mem::take(&mut image.others);
    let (names, shown) = (std::mem::take(&mut image.names), image.shown.clone());
    let mut there = Vec::new();
    for one in [image].into_iter().chain(others) {
        let own = Platform::of(&one.record.config);
        if platform.takes(&own) {
            return Ok(Wanted {
                names,
                id: one.id,
                record: one.record,
                config_bytes: one.config_bytes,
                shown,
                ..Wanted::default()
            });
        }
        there.push(own.to_string());
    }
    Err(Failure::new(format!(
        "{shown}: there is no image for {platform} in it, only for {}",
        there.join(", ")
    )))
}

/// Where a name stands for an index: the images for other platforms.
fn add_other_platforms(data: &Data, text: &str, image: &mut Wanted) -> Result<(), Failure> {
    let Some(name) = data.store.find_index(text)? else {
        return Ok(());
    };
    if image.id.as_ref() != Some(&name.image) {
        return Ok(());
    }
    for other in name.index.others {
        image.others.push(Wanted {
            record: data.store.image(&other)?,
            id: Some(other),
            shown: text.to_owned(),
            ..Wanted::default()
        });
    }
    image.position = name.index.position;
    image.index_annotations = name.index.annotations;
    image.index_descriptor_annotations = name.index.descriptor_annotations;
    Ok(())
}

/// The name that an image was asked for by; all names it has in another tool's store.
fn names(data: &Data, located: &Located, text: &str) -> Result<Vec<Reference>, Failure> {
    Ok(match &located.origin {
        Origin::Stored(_) => {
            let name = data.store.find_name(text)?.and_then(|_| text.parse::<Reference>().ok());
            name.map(Reference::with_default_tag).into_iter().collect()
        }
        Origin::Elsewhere(image) => image.names.iter().filter_map(|name| name.parse().ok()).collect(),
    })
}

/// The second that SOURCE_DATE_EPOCH names, after reproducible-builds.org's specification.
pub(crate) fn source_date_epoch() -> Result<Option<i64>, Failure> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) if !text.is_empty() => match text.parse::<u32>() {
            Ok(second) => Ok(Some(i64::from(second))),
            Err(_) => Err(Failure::usage(format!(
                "SOURCE_DATE_EPOCH={text}: a number of seconds since 1970 is expected"
            ))),
        },
        _ => Ok(None),
    }
}
