//! `wiac inspect`: everything about images, in docker's and podman's form.

use crate::error::Failure;
use crate::exit::ExitCode;
use crate::format::{self, Format};
use crate::shown::{Reader, Shown, or_null};
use crate::{Global, data};
use clap::Args;
use serde_json::{Map, Value, json};

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Images, by name or id
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// json, or a template like '{{.Config.Env}}' or '{{json .Config}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// What is looked for: there are only images so far
    #[arg(short, long, value_name = "TYPE", value_parser = ["image"])]
    r#type: Option<String>,
    /// Accepted as docker and podman have it: an image's size is always told
    #[arg(short, long)]
    size: bool,
}

/// Runs the command: prints what there is, then says what there isn't.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let format = Format::parse(Some(arguments.format.as_deref().unwrap_or("json")), "json")?;
    let data = data::open(global)?;
    let mut reader = Reader::new(&data)?;
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    for text in &arguments.images {
        match reader.find(text) {
            Ok(image) => found.push(to_json(&image)),
            Err(failure) => failed.push(failure),
        }
    }
    match &format {
        Format::Json => format::write(&format::pretty(&Value::Array(found)))?,
        Format::Template { .. } => format.print(&[], &with_go_names(found), || Value::Null, true)?,
    }
    super::all_or(failed)
}

/// Templates of docker and podman see Go's name of the id, which is another one than JSON's, and fields of theirs that say
/// nothing of an image here: which image it was committed on, and by which docker.
fn with_go_names(mut images: Vec<Value>) -> Vec<Value> {
    for image in images.iter_mut().filter_map(Value::as_object_mut) {
        if let Some(id) = image.get("Id").cloned() {
            image.insert("ID".to_owned(), id);
        }
        for (field, value) in [
            ("Parent", Value::from("")),
            ("DockerVersion", Value::from("")),
            ("Version", Value::from("")),
            ("NamesHistory", image.get("RepoTags").cloned().unwrap_or_default()),
            ("HealthCheck", image["Config"]["Healthcheck"].clone()),
        ] {
            image.insert(field.to_owned(), value);
        }
    }
    images
}

fn to_json(image: &Shown) -> Value {
    let config = &image.config;
    let steps = image.steps();
    let comment = steps
        .last()
        .and_then(|(step, _)| step.comment.clone())
        .unwrap_or_default();
    let layers = layers(image);
    json!({
        "Id": image.id,
        "Digest": or_null(image.manifest.as_ref().map(|(digest, _)| digest.to_string())),
        "RepoTags": image.tags(),
        "RepoDigests": image.digests,
        "Comment": comment,
        "Created": or_null(config.created.clone()),
        "Config": container_config(image),
        "Author": config.author,
        "Architecture": config.architecture,
        "Variant": config.variant.clone().unwrap_or_default(),
        "Os": config.os,
        "OsVersion": config.os_version.clone().unwrap_or_default(),
        "Size": image.size(),
        "VirtualSize": image.size(),
        "GraphDriver": { "Name": "overlay", "Data": overlay(image) },
        "RootFS": { "Type": config.rootfs.kind, "Layers": image.diff_ids() },
        "Labels": config.config.labels,
        "ManifestType": or_null(image.manifest.as_ref().map(|(_, kind)| kind.clone())),
        "User": config.config.user,
        "History": config.history,
        "Layers": layers,
    })
}

/// The layers, base first as in RootFS.
fn layers(image: &Shown) -> Vec<Value> {
    let steps = image.steps();
    let with_layer = steps.iter().filter_map(|(step, layer)| Some((step, (*layer)?)));
    with_layer
        .map(|(step, layer)| layer.to_json(step.created_by.as_deref().unwrap_or(&layer.created_by)))
        .collect()
}

/// All fields that docker has, so that a template may ask for one that isn't set.
fn container_config(image: &Shown) -> Value {
    const FIELDS: [&str; 12] = [
        "User",
        "ExposedPorts",
        "Env",
        "Entrypoint",
        "Cmd",
        "Healthcheck",
        "Volumes",
        "WorkingDir",
        "OnBuild",
        "Labels",
        "StopSignal",
        "Shell",
    ];
    let written = serde_json::to_value(&image.config.config).unwrap_or_default();
    let mut fields = Map::new();
    for name in FIELDS {
        let absent = if matches!(name, "User" | "WorkingDir") {
            Value::from("")
        } else {
            Value::Null
        };
        fields.insert(name.to_owned(), written.get(name).cloned().unwrap_or(absent));
    }
    if let Value::Object(written) = written {
        fields.extend(written);
    }
    Value::Object(fields)
}

/// The directories as docker names them: the topmost layer's, and those below it, topmost first.
fn overlay(image: &Shown) -> Value {
    let mut directories = image
        .layers
        .iter()
        .rev()
        .map(|layer| layer.directory.to_string_lossy().into_owned());
    let upper = directories.next();
    let lower: Vec<String> = directories.collect();
    json!({ "UpperDir": or_null(upper), "LowerDir": lower.join(":") })
}
