//! `wiac squash`: an image with all its layers in one.

use crate::error::Failure;
use crate::exit::ExitCode;
use crate::located::locate;
use crate::{Global, data};
use clap::Args;
use wiac_oci::image::{History, ImageConfig};
use wiac_oci::reference::Reference;
use wiac_store::ImageRecord;

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The image, by name or id
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Name the result; it may be the image's own name
    #[arg(value_name = "NAME", value_parser = crate::place::new_name)]
    name: Option<Reference>,
    /// A note for the history
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
}

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let data = data::open(global)?;
    let located = locate(&data, &arguments.image)?;
    if located.layers.is_empty() {
        return Err(Failure::new(format!("{}: it has no layers", arguments.image)));
    }
    let said = format!("SQUASH {} layers of {}", located.layers.len(), arguments.image);
    let merged = data.store.merge_layers(&located.layers, &said, data.owner_policy())?;
    let config = configuration(located.config, &said, arguments.message.clone());
    let image = data.store.add_image(&ImageRecord {
        layers: vec![merged.id.clone()],
        config,
        ..ImageRecord::default()
    })?;
    if let Some(name) = &arguments.name {
        data.store.name_image(name, &image.id)?;
    }
    println!("{}", image.id);
    Ok(ExitCode::SUCCESS)
}

/// The same, with a history whose steps made nothing but the last.
fn configuration(mut config: ImageConfig, said: &str, message: Option<String>) -> ImageConfig {
    let created = wiac_oci::time::now();
    for step in &mut config.history {
        step.empty_layer = true;
    }
    config.history.push(History {
        created: Some(created.clone()),
        created_by: Some(said.to_owned()),
        comment: message,
        ..History::default()
    });
    config.rootfs.diff_ids.clear();
    config.created = Some(created);
    config
}
