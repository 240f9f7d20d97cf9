//! `wiac history`: what made an image, the newest step first.

use crate::error::Failure;
use crate::exit::ExitCode;
use crate::format::{self, Format};
use crate::shown::{Reader, Shown, age, or_null};
use crate::{Global, data, dates};
use clap::Args;
use serde_json::{Value, json};

const TABLE: &str = "table {{.ID}}\\t{{.CreatedSince}}\\t{{.CreatedBy}}\\t{{.Size}}\\t{{.Comment}}";
const COLUMNS: [(&str, &str); 2] = [("ID", "IMAGE"), ("CreatedSince", "CREATED")];

/// How much of an instruction a table shows: docker's figure.
const LONGEST: usize = 45;

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The image, by name or id
    #[arg(value_name = "IMAGE")]
    image: String,
    /// json, a template like '{{.CreatedBy}}', or 'table TEMPLATE'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Sizes and times as people read them
    #[arg(short = 'H', long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true,
        default_missing_value = "true", action = clap::ArgAction::Set)]
    human: bool,
    /// Don't shorten ids and instructions
    #[arg(long)]
    no_trunc: bool,
    /// Print ids alone
    #[arg(short, long)]
    quiet: bool,
}

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let format = Format::parse(arguments.format.as_deref(), TABLE)?;
    let data = data::open(global)?;
    let image = Reader::new(&data)?.find(&arguments.image)?;
    let rows = rows(&image, arguments);
    if arguments.quiet {
        let ids: Vec<String> = rows
            .iter()
            .map(|row| format!("{}\n", row["ID"].as_str().unwrap_or_default()))
            .collect();
        format::write(&ids.concat())?;
    } else {
        format.print(&COLUMNS, &rows, || to_json(&image), true)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Only the newest step is an image; those before it have no id of their own.
fn ids(image: &Shown, newest: String) -> impl Iterator<Item = String> {
    let missing = image.steps().len().saturating_sub(1);
    std::iter::once(newest).chain(std::iter::repeat_n("<missing>".to_owned(), missing))
}

fn rows(image: &Shown, arguments: &Arguments) -> Vec<Value> {
    let steps = image.steps();
    let ids = ids(image, image.listed_id(arguments.no_trunc));
    let row = |((step, layer), id): (&(wiac_oci::image::History, Option<&crate::shown::ShownLayer>), String)| {
        let created_by = step.created_by.as_deref().unwrap_or_default();
        let created_by = if arguments.no_trunc {
            created_by.to_owned()
        } else {
            format::cut(&format::plain(created_by), LONGEST)
        };
        let bytes = layer.map_or(Some(0), |layer| layer.size);
        let size = match bytes {
            Some(bytes) if arguments.human => format::size(bytes),
            Some(bytes) => bytes.to_string(),
            None => "missing".to_owned(),
        };
        let second = step.created.as_deref().and_then(dates::seconds);
        let at = second.map_or_else(|| "N/A".to_owned(), dates::rfc3339);
        let since = if arguments.human {
            age(step.created.as_deref())
        } else {
            at.clone()
        };
        json!({
            "ID": id,
            "CreatedSince": since,
            "Created": since,
            "CreatedAt": at,
            "CreatedBy": created_by,
            "Size": size,
            "Comment": step.comment.clone().unwrap_or_default(),
            "Tags": Vec::<String>::new(),
        })
    };
    steps.iter().rev().zip(ids).map(row).collect()
}

/// With podman's names.
fn to_json(image: &Shown) -> Value {
    let steps = image.steps();
    let row = |((step, layer), id): (&(wiac_oci::image::History, Option<&crate::shown::ShownLayer>), String)| {
        json!({
            "id": id,
            "created": or_null(step.created.clone()),
            "CreatedBy": step.created_by.clone().unwrap_or_default(),
            "size": or_null(layer.map_or(Some(0), |layer| layer.size)),
            "comment": step.comment.clone().unwrap_or_default(),
            "emptyLayer": step.empty_layer,
        })
    };
    steps.iter().rev().zip(ids(image, image.id.clone())).map(row).collect()
}
