//! `wiac layers`: the layers an image stands on, topmost first as overlayfs and `wiac run` want them.

use crate::error::Failure;
use crate::exit::ExitCode;
use crate::format::{self, Format};
use crate::shown::{Reader, Shown, short};
use crate::{Global, data};
use clap::Args;
use serde_json::{Value, json};

const TABLE: &str = "table {{.ID}}\\t{{.Size}}\\t{{.CreatedBy}}\\t{{.Directory}}";
const COLUMNS: [(&str, &str); 2] = [("ID", "LAYER ID"), ("DiffId", "DIFF ID")];

/// How much of an instruction the table shows.
const LONGEST: usize = 45;

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The image, by name or id
    #[arg(value_name = "IMAGE")]
    image: String,
    /// json, a template like '{{.ID}} {{.DiffId}}', or 'table TEMPLATE'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Don't shorten ids and instructions
    #[arg(long)]
    no_trunc: bool,
    /// Print the directories in one line, ready for wiac run: wiac run "$(wiac layers -q IMAGE)" LAYER COMMAND
    #[arg(short, long)]
    quiet: bool,
}

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let format = Format::parse(arguments.format.as_deref(), TABLE)?;
    let data = data::open(global)?;
    let image = Reader::new(&data)?.find(&arguments.image)?;
    if arguments.quiet {
        let directories = image.layers.iter().rev().map(|layer| layer.directory.as_path());
        format::write(&format!("{}\n", super::chain(directories)))?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = rows(&image, arguments.no_trunc);
    format.print(&COLUMNS, &rows, || to_json(&image), true)?;
    Ok(ExitCode::SUCCESS)
}

fn rows(image: &Shown, no_trunc: bool) -> Vec<Value> {
    let rows = image.steps().into_iter().rev().filter_map(|(step, layer)| {
        let layer = layer?;
        let created_by = step.created_by.as_deref().unwrap_or(&layer.created_by);
        let shortened = || format::cut(&format::plain(created_by), LONGEST);
        let diff_id = layer.diff_id.as_ref().map(ToString::to_string);
        Some(json!({
            "ID": if no_trunc { &layer.id } else { short(&layer.id) },
            "Id": layer.id,
            "Size": layer.size.map_or_else(|| "missing".to_owned(), format::size),
            "CreatedBy": if no_trunc { created_by.to_owned() } else { shortened() },
            "DiffId": diff_id.unwrap_or_else(|| "<none>".to_owned()),
            "Directory": layer.directory.to_string_lossy(),
        }))
    });
    rows.collect()
}

fn to_json(image: &Shown) -> Value {
    let steps = image.steps();
    let layers = steps.iter().rev().filter_map(|(step, layer)| Some((step, (*layer)?)));
    layers
        .map(|(step, layer)| layer.to_json(step.created_by.as_deref().unwrap_or(&layer.created_by)))
        .collect()
}
