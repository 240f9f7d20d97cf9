//! `wiac prune`: frees what nobody needs.

use crate::data::Data;
use crate::error::Failure;
use crate::exit::ExitCode;
use crate::filter::Filters;
use crate::format::{self, Format};
use crate::shown::{Reader, short};
use crate::{Global, data, dates};
use clap::Args;
use rustix::termios::isatty;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, SystemTime};
use wiac_store::{Collected, ImageRecord, LocalId, Selection};

// What may be written; clap makes the help of the comments below.
/// Deletes images without a name, then layers and blobs that nothing refers to, and downloads that were cut off. The build cache keeps its layers unless
/// --cache or --all says otherwise; what a running container uses always stays.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Also every image that no container uses, the build cache, and what a crash of the machine damaged
    #[arg(short, long)]
    all: bool,
    /// Also the build cache: the next build runs its steps again
    #[arg(long)]
    cache: bool,
    /// Also layers in the form they came in: they are packed again when an image is saved, and may get other digests
    #[arg(long)]
    blobs: bool,
    /// until=AGE (24h, or a time): only images and cache entries from before it; label=NAME[=VALUE] and label!=…: only
    /// images that have it, or haven't
    #[arg(long, value_name = "NAME=VALUE")]
    filter: Vec<String>,
    /// Don't ask
    #[arg(short, long)]
    force: bool,
    /// Say what would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,
    /// json, or a template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let format = arguments.format.as_deref();
    let format = format.map(|text| Format::parse(Some(text), "json")).transpose()?;
    if let Some(filter) = arguments.filter.iter().find(|text| {
        !["until=", "label=", "label!="]
            .iter()
            .any(|name| text.starts_with(name))
    }) {
        return Err(Failure::usage(format!(
            "--filter {filter}: prune knows until=…, label=… and label!=…"
        )));
    }
    let filters = Filters::parse(&arguments.filter, |_| Ok(None))?;
    if !arguments.force && !arguments.dry_run && !is_confirmed(arguments)? {
        return Ok(ExitCode::SUCCESS);
    }
    let data = data::open(global)?;
    let collected = collect(&data, arguments, &filters)?;
    match format {
        None => format::write(&report(&collected, arguments.dry_run))?,
        Some(format) => {
            let json = to_json(&collected);
            match &format {
                Format::Json => format::write(&format::pretty(&json))?,
                Format::Template { .. } => format.print(&[], std::slice::from_ref(&json), || Value::Null, true)?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn collect(data: &Data, arguments: &Arguments, filters: &Filters) -> Result<Collected, Failure> {
    let reader = Reader::new(data)?;
    let is_meant = |id: &LocalId, record: &ImageRecord, has_name: bool| {
        if has_name && (!arguments.all || data.store.is_image_used(record).unwrap_or(true)) {
            return false;
        }
        reader
            .outline(id, record.config.clone())
            .is_ok_and(|image| filters.takes(&image))
    };
    let clears_cache = arguments.all || arguments.cache;
    let until = filters.until().and_then(|second| u64::try_from(second).ok());
    let until = until.map_or_else(SystemTime::now, |second| {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    });
    Ok(data.store.collect(&Selection {
        images: &is_meant,
        cache: clears_cache.then_some(until),
        layer_blobs: arguments.blobs,
        quarantine: arguments.all,
        downloads: true,
        failures: true,
        dry_run: arguments.dry_run,
    })?)
}

/// Asks, where somebody can answer: on a terminal.
fn is_confirmed(arguments: &Arguments) -> Result<bool, Failure> {
    if !isatty(rustix::stdio::stdin()) {
        return Ok(true);
    }
    let mut things = vec![if arguments.all {
        "all images that no container uses"
    } else {
        "images without a name"
    }];
    if arguments.all || arguments.cache {
        things.push("the build cache");
    }
    if arguments.blobs {
        things.push("layers in the form they came in");
    }
    things.push("failed steps of builds");
    things.push("layers and blobs that nothing refers to");
    eprint!("This deletes {}. Go on? [y/N] ", things.join(", "));
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn report(collected: &Collected, dry_run: bool) -> String {
    let mut text = String::new();
    let verb = if dry_run { "Would delete" } else { "Deleted" };
    for name in &collected.names {
        let _ = writeln!(
            text,
            "{}: {}",
            if dry_run { "Would untag" } else { "Untagged" },
            super::rmi::familiar(name)
        );
    }
    for id in &collected.images {
        let _ = writeln!(text, "{verb}: image sha256:{id}");
    }
    if !collected.steps.is_empty() {
        let _ = writeln!(text, "{verb}: {} entries of the build cache", collected.steps.len());
    }
    for (id, size) in &collected.layers {
        let _ = writeln!(text, "{verb}: layer {} ({})", short(id.as_str()), format::size(*size));
    }
    for (digest, size) in &collected.blobs {
        let _ = writeln!(text, "{verb}: blob {digest} ({})", format::size(*size));
    }
    for (name, size) in &collected.quarantined {
        let _ = writeln!(text, "{verb}: quarantined {name} ({})", format::size(*size));
    }
    for (name, size) in &collected.downloads {
        let _ = writeln!(text, "{verb}: unfinished download {name} ({})", format::size(*size));
    }
    let total = if dry_run {
        "Space that would be reclaimed"
    } else {
        "Total reclaimed space"
    };
    let _ = writeln!(text, "{total}: {}", format::size(collected.reclaimed()));
    text
}

fn to_json(collected: &Collected) -> Value {
    let sized = |id: String, size: u64| json!({ "Id": id, "Size": size });
    let layers: Vec<Value> = collected
        .layers
        .iter()
        .map(|(id, size)| sized(id.to_string(), *size))
        .collect();
    let blobs: Vec<Value> = collected
        .blobs
        .iter()
        .map(|(digest, size)| sized(digest.to_string(), *size))
        .collect();
    let quarantined = collected
        .quarantined
        .iter()
        .map(|(name, size)| sized(name.clone(), *size));
    json!({
        "Untagged": collected.names.iter().map(|name| super::rmi::familiar(name)).collect::<Vec<_>>(),
        "Images": collected.images,
        "CacheEntries": collected.steps,
        "Layers": layers,
        "Blobs": blobs,
        "Quarantined": quarantined.collect::<Vec<_>>(),
        "Downloads": collected.downloads.iter().map(|(name, size)| sized(name.clone(), *size)).collect::<Vec<_>>(),
        "SpaceReclaimed": collected.reclaimed(),
        "At": dates::rfc3339(dates::now()),
    })
}
