//! `wiac df`: what the space is used for.

use crate::error::Failure;
use crate::exit::ExitCode;
use crate::format::{self, Format};
use crate::shown::{Reader, Shown, repository_and_tag, short};
use crate::{Global, data};
use clap::Args;
use serde_json::{Value, json};
use std::collections::HashMap;
use wiac_store::usage::{Usage, Usages};

const TABLE: &str = "table {{.Type}}\\t{{.Total}}\\t{{.Active}}\\t{{.Size}}\\t{{.Reclaimable}}";
const IMAGES: &str =
    "table {{.Repository}}\\t{{.Tag}}\\t{{.ID}}\\t{{.CreatedSince}}\\t{{.Size}}\\t{{.SharedSize}}\\t{{.UniqueSize}}";
const LAYERS: &str = "table {{.ID}}\\t{{.Size}}\\t{{.Images}}\\t{{.CreatedBy}}";
const IMAGE_COLUMNS: [(&str, &str); 2] = [("ID", "IMAGE ID"), ("CreatedSince", "CREATED")];
const LAYER_COLUMNS: [(&str, &str); 1] = [("ID", "LAYER ID")];

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Also each image and each layer
    #[arg(short, long)]
    verbose: bool,
    /// json, a template like '{{.Type}} {{.Size}}', or 'table TEMPLATE'
    #[arg(long, value_name = "FORMAT", conflicts_with = "verbose")]
    format: Option<String>,
}

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let format = Format::parse(arguments.format.as_deref(), TABLE)?;
    let data = data::open(global)?;
    let kinds = kinds(&data.store.usage()?);
    let rows: Vec<Value> = kinds.iter().map(|(kind, usage)| row(kind, usage)).collect();
    let json = || kinds.iter().map(|(kind, usage)| to_json(kind, usage)).collect();
    format.print(&[], &rows, json, true)?;
    if arguments.verbose {
        let images = Reader::new(&data)?.all()?;
        format::write("\nImages:\n")?;
        Format::parse(None, IMAGES)?.print(&IMAGE_COLUMNS, &image_rows(&images), || Value::Null, true)?;
        format::write("\nLayers of images:\n")?;
        Format::parse(None, LAYERS)?.print(&LAYER_COLUMNS, &layer_rows(&images), || Value::Null, true)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn kinds(usages: &Usages) -> Vec<(&'static str, Usage)> {
    let mut kinds = vec![
        ("Images", usages.images),
        ("Layers", usages.layers),
        ("Blobs", usages.blobs),
        ("Build cache", usages.cache),
        ("Containers", usages.containers),
        ("Temporary", usages.temporary),
    ];
    if usages.quarantine.total > 0 {
        kinds.push(("Quarantine", usages.quarantine));
    }
    kinds
}

fn row(kind: &str, usage: &Usage) -> Value {
    let reclaimable = match (usage.reclaimable * 100).checked_div(usage.size) {
        Some(percent) => format!("{} ({percent}%)", format::size(usage.reclaimable)),
        None => format::size(usage.reclaimable),
    };
    json!({
        "Type": kind,
        "Total": usage.total,
        "TotalCount": usage.total,
        "Active": usage.active,
        "Size": format::size(usage.size),
        "Reclaimable": reclaimable,
    })
}

/// With podman's names; sizes in bytes.
fn to_json(kind: &str, usage: &Usage) -> Value {
    json!({
        "Type": kind,
        "Total": usage.total,
        "Active": usage.active,
        "RawSize": usage.size,
        "RawReclaimable": usage.reclaimable,
        "Size": format::size(usage.size),
        "Reclaimable": format::size(usage.reclaimable),
    })
}

/// In how many images each layer is.
fn uses(images: &[Shown]) -> HashMap<&str, usize> {
    let mut count = HashMap::new();
    for layer in images.iter().flat_map(|image| &image.layers) {
        *count.entry(layer.id.as_str()).or_default() += 1;
    }
    count
}

fn image_rows(images: &[Shown]) -> Vec<Value> {
    let row = |(image, shared): (&Shown, u64)| {
        let none = || ("<none>".to_owned(), "<none>".to_owned());
        let (repository, tag) = image.names.first().map_or_else(none, |name| repository_and_tag(name));
        json!({
            "Repository": repository,
            "Tag": tag,
            "ID": short(&image.id),
            "CreatedSince": image.age(),
            "Size": format::size(image.size()),
            "SharedSize": format::size(shared),
            "UniqueSize": format::size(image.size() - shared),
        })
    };
    images
        .iter()
        .zip(super::images::shared_sizes(images))
        .map(row)
        .collect()
}

fn layer_rows(images: &[Shown]) -> Vec<Value> {
    let mut uses = uses(images);
    let layers = images.iter().flat_map(|image| &image.layers);
    let row = |layer: &crate::shown::ShownLayer| {
        // Once for each layer.
        let images = uses.remove(layer.id.as_str())?;
        Some(json!({
            "ID": short(&layer.id),
            "Size": layer.size.map_or_else(|| "missing".to_owned(), format::size),
            "Images": images,
            "CreatedBy": format::cut(&format::plain(&layer.created_by), 45),
        }))
    };
    layers.filter_map(row).collect()
}
