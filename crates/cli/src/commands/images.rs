//! `wiac images`: what there is, as docker and podman list it.

use crate::error::Failure;
use crate::exit::ExitCode;
use crate::filter::Filters;
use crate::format::{self, Format};
use crate::shown::{Reader, Shown, or_null, repository_and_tag};
use crate::{Global, data, dates};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::collections::HashMap;

const TABLE: &str = "table {{.Repository}}\\t{{.Tag}}\\t{{.ID}}\\t{{.CreatedSince}}\\t{{.Size}}";
const TABLE_WITH_DIGESTS: &str =
    "table {{.Repository}}\\t{{.Tag}}\\t{{.Digest}}\\t{{.ID}}\\t{{.CreatedSince}}\\t{{.Size}}";

/// The headings that aren't the field's name.
const COLUMNS: [(&str, &str); 4] = [
    ("ID", "IMAGE ID"),
    ("Id", "IMAGE ID"),
    ("CreatedSince", "CREATED"),
    ("Names", "NAMES"),
];

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only images of this name; * and ? stand for other characters
    #[arg(value_name = "REPOSITORY[:TAG]")]
    reference: Option<String>,
    /// All images (there are no hidden ones: for docker's sake)
    #[arg(short, long)]
    all: bool,
    /// Print ids alone
    #[arg(short, long)]
    quiet: bool,
    /// Don't shorten ids
    #[arg(long)]
    no_trunc: bool,
    /// Show the digests of manifests
    #[arg(long)]
    digests: bool,
    /// json, a template like '{{.ID}} {{.Size}}', or 'table TEMPLATE'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Print no heading
    #[arg(short, long)]
    noheading: bool,
    /// In which order: created (the newest first), id, repository, size, tag
    #[arg(long, value_name = "FIELD", default_value = "created", hide_default_value = true)]
    sort: Order,
    /// reference=PATTERN, dangling=BOOL, label=NAME[=VALUE], before=IMAGE, since=IMAGE, until=AGE
    #[arg(short, long, value_name = "NAME=VALUE")]
    filter: Vec<String>,
}

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    /// The newest.
    Created,
    Id,
    Repository,
    /// The smallest.
    Size,
    Tag,
}

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let default = if arguments.digests { TABLE_WITH_DIGESTS } else { TABLE };
    let format = Format::parse(arguments.format.as_deref(), default)?;
    let data = data::open(global)?;
    let mut reader = Reader::new(&data)?;
    let mut filters = Filters::parse(&arguments.filter, |name| Ok(reader.find(name)?.made()))?;
    if let Some(reference) = &arguments.reference {
        filters.add_reference(reference);
    }
    let all = reader.all()?;
    let shared = shared_sizes(&all);
    let mut images: Vec<(&Shown, u64)> = all
        .iter()
        .zip(shared)
        .filter(|(image, _)| filters.takes(image))
        .collect();
    sort(&mut images, arguments.sort);
    if arguments.quiet {
        let ids: Vec<String> = images
            .iter()
            .map(|(image, _)| image.listed_id(arguments.no_trunc) + "\n")
            .collect();
        format::write(&ids.concat())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows: Vec<Value> = images
        .iter()
        .flat_map(|(image, shared)| rows(image, *shared, &filters, arguments.no_trunc))
        .collect();
    // An image may have several names.
    let name = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    match arguments.sort {
        Order::Repository => rows.sort_by_key(|row| name(row, "Repository")),
        Order::Tag => rows.sort_by_key(|row| name(row, "Tag")),
        Order::Created | Order::Id | Order::Size => {}
    }
    let json = || images.iter().map(|(image, shared)| to_json(image, *shared)).collect();
    format.print(&COLUMNS, &rows, json, !arguments.noheading)?;
    Ok(ExitCode::SUCCESS)
}

/// Puts images, which come the newest first, in order.
fn sort(images: &mut [(&Shown, u64)], order: Order) {
    let first = |image: &Shown| image.names.iter().map(|name| repository_and_tag(name)).min();
    match order {
        Order::Created => {}
        Order::Id => images.sort_by_key(|(image, _)| image.id.clone()),
        Order::Size => images.sort_by_key(|(image, _)| image.size()),
        Order::Repository => images.sort_by_key(|(image, _)| first(image)),
        Order::Tag => images.sort_by_key(|(image, _)| first(image).map(|(_, tag)| tag)),
    }
}

/// The bytes of each image's layers that another image has too.
pub(super) fn shared_sizes(images: &[Shown]) -> Vec<u64> {
    let mut count: HashMap<&str, usize> = HashMap::new();
    for layer in images.iter().flat_map(|image| &image.layers) {
        *count.entry(&layer.id).or_default() += 1;
    }
    let shared = |image: &Shown| {
        let layers = image.layers.iter().filter(|layer| count[layer.id.as_str()] > 1);
        layers.filter_map(|layer| layer.size).sum()
    };
    images.iter().map(shared).collect()
}

/// One row for each name, or one without.
fn rows(image: &Shown, shared: u64, filters: &Filters, no_trunc: bool) -> Vec<Value> {
    let none = || ("<none>".to_owned(), "<none>".to_owned());
    let mut names: Vec<(String, String)> = image
        .names
        .iter()
        .filter(|name| filters.takes_name(name))
        .map(|name| repository_and_tag(name))
        .collect();
    if names.is_empty() {
        names.push(none());
    }
    let row = |(repository, tag): &(String, String)| {
        let digest = image
            .digests
            .iter()
            .find_map(|digest| digest.strip_prefix(&format!("{repository}@")))
            .unwrap_or("<none>");
        let size = image.size();
        json!({
            "ID": image.listed_id(no_trunc),
            "Id": image.id,
            "Repository": repository,
            "Tag": tag,
            "Digest": digest,
            "Created": image.age(),
            "CreatedSince": image.age(),
            "CreatedAt": dates::at(image.created()),
            "Size": format::size(size),
            "VirtualSize": format::size(size),
            "SharedSize": format::size(shared),
            "UniqueSize": format::size(size - shared),
            "Names": image.names,
            "Labels": image.config.config.labels,
            "Dangling": image.names.is_empty(),
            "RepoTags": image.tags(),
            "RepoDigests": image.digests,
            "CreatedTime": dates::at(image.created()),
            // What podman's and docker's templates have beside: no image here has a parent, and nobody counts containers.
            "ParentId": "",
            "Containers": "N/A",
            "ReadOnly": false,
            "History": image.names.join(", "),
        })
    };
    names.iter().map(row).collect()
}

/// With podman's names.
fn to_json(image: &Shown, shared: u64) -> Value {
    json!({
        "Id": image.id,
        "RepoTags": image.tags(),
        "RepoDigests": image.digests,
        "Size": image.size(),
        "SharedSize": shared,
        "VirtualSize": image.size(),
        "Labels": image.config.config.labels,
        "Names": image.names,
        "Digest": or_null(image.manifest.as_ref().map(|(digest, _)| digest.to_string())),
        "Dangling": image.names.is_empty(),
        "Created": image.created(),
        "CreatedAt": dates::rfc3339(image.created()),
    })
}
