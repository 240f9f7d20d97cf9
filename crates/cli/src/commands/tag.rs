//! `wiac tag IMAGE NAME…`. An image of podman's or docker's store is copied.

use crate::error::Failure;
use crate::exit::ExitCode;
use crate::located::{Origin, copy_into_store, locate};
use crate::{Global, data};
use clap::Args;
use wiac_oci::reference::Reference;

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The image, by name or id
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Names it gets; one that another image has is taken from it
    #[arg(value_name = "NAME", required = true, value_parser = crate::place::new_name)]
    names: Vec<Reference>,
}

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let data = data::open(global)?;
    let located = locate(&data, &arguments.image)?;
    let copied;
    let id = match &located.origin {
        Origin::Stored(id) => id,
        Origin::Elsewhere(image) => {
            copied = copy_into_store(&data, &arguments.image, &located, image)?;
            &copied.id
        }
    };
    let index = data.store.find_index(&arguments.image)?;
    let index = index.filter(|index| index.image == *id);
    for name in &arguments.names {
        match &index {
            // An index stays one.
            Some(known) => data.store.name_index(name, id, &known.index)?,
            None => data.store.name_image(name, id)?,
        }
    }
    Ok(ExitCode::SUCCESS)
}
