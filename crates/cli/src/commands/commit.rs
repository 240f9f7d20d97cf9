//! `wiac commit`: the changes in a container layer become the topmost layer of an image.

use crate::error::Failure;
use crate::exit::ExitCode;
use crate::{Global, data};
use clap::Args;
use std::path::PathBuf;
use wiac_build::commit::{Committed, commit};
use wiac_build::dockerfile::apply_changes;
use wiac_oci::image::{History, ImageConfig};
use wiac_oci::manifest::Platform;
use wiac_oci::reference::Reference;
use wiac_store::{ImageRecord, LayerId, Store};

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The directory that wiac run took the changes in
    #[arg(value_name = "CONTAINERLAYER")]
    layer: PathBuf,
    /// Name the image
    #[arg(value_name = "NAME", value_parser = crate::place::new_name)]
    name: Option<Reference>,
    /// Apply a Dockerfile instruction to the configuration: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, WORKDIR…
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// A note for the history
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Who made it
    #[arg(short, long, value_name = "NAME")]
    author: Option<String>,
    /// Say nothing beside the id
    #[arg(short, long)]
    quiet: bool,
    /// Write the image's id to this file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// Accepted as docker and podman have it: what runs isn't committed at all
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pause: Option<bool>,
    /// Accepted as podman has it: of which kind the manifest is, wiac push --format says
    #[arg(short, long, value_name = "KIND", value_parser = ["oci", "docker"])]
    format: Option<String>,
}

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let layer = crate::environment::absolute(&arguments.layer)?;
    let data = data::open(global)?;
    // Wrong instructions are found before anything is moved.
    apply_changes(&data.store, ImageConfig::default(), &arguments.change)?;
    let said = format!("COMMIT {}", layer.display());
    let committed = commit(&data.store, &layer, data.owner_policy(), &said)?;
    tell(arguments, &committed);
    let layers: Vec<LayerId> = committed.layers.iter().map(|held| held.id.clone()).collect();
    let config = configuration(&data.store, &layers, arguments, (&said, &committed.created))?;
    let image = data.store.add_image(&ImageRecord {
        layers,
        config,
        ..ImageRecord::default()
    })?;
    if let Some(name) = &arguments.name {
        data.store.name_image(name, &image.id)?;
    }
    if let Some(path) = &arguments.iidfile {
        crate::output::write_file(path, image.id.as_str())?;
    }
    println!("{}", image.id);
    Ok(ExitCode::SUCCESS)
}

fn tell(arguments: &Arguments, committed: &Committed) {
    if arguments.quiet {
        return;
    }
    if committed.copied {
        eprintln!("wiac: the container layer is on another file system than the data directory: it was copied");
    }
    if committed.copied_below > 0 {
        eprintln!(
            "wiac: {} of the directories below are not the store's own: copied into it",
            committed.copied_below
        );
    }
}

/// The configuration of the image that the layers below are, with the changes. Where they are no image's it is empty.
fn configuration(
    store: &Store,
    layers: &[LayerId],
    arguments: &Arguments,
    (said, created): (&str, &str),
) -> Result<ImageConfig, Failure> {
    let below = layers.split_last().map_or(layers, |(_, below)| below);
    let mut config = match base(store, below)? {
        Some(config) => config,
        None => without_base(store, below)?,
    };
    config.created = Some(created.to_owned());
    config.rootfs.diff_ids.clear();
    config.fit_history(below.len());
    if let Some(author) = &arguments.author {
        config.author.clone_from(author);
    }
    let mut config = apply_changes(store, config, &arguments.change)?;
    config.history.push(History {
        created: Some(created.to_owned()),
        created_by: Some(said.to_owned()),
        author: arguments.author.clone(),
        comment: arguments.message.clone(),
        ..History::default()
    });
    Ok(config)
}

/// The configuration of the newest image with exactly these layers.
fn base(store: &Store, below: &[LayerId]) -> Result<Option<ImageConfig>, Failure> {
    let mut found: Option<ImageConfig> = None;
    for id in store.images()? {
        let Ok(record) = store.image(&id) else { continue };
        let is_newer = found.as_ref().is_none_or(|known| known.created < record.config.created);
        if record.layers == below && is_newer {
            found = Some(record.config);
        }
    }
    Ok(found)
}

fn without_base(store: &Store, below: &[LayerId]) -> Result<ImageConfig, Failure> {
    let platform = Platform::host();
    let mut config = ImageConfig {
        architecture: platform.architecture,
        os: platform.os,
        ..ImageConfig::default()
    };
    for id in below {
        let info = store.layer_info(id)?;
        config.history.push(History {
            created: Some(info.created),
            created_by: Some(info.created_by),
            ..History::default()
        });
    }
    Ok(config)
}
