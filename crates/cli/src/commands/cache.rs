//! `wiac cache`: what builds keep for the next build: steps, and the directories of `RUN --mount=type=cache`.

use crate::data::Data;
use crate::error::Failure;
use crate::exit::ExitCode;
use crate::format::{self, Format};
use crate::shown::short;
use crate::{Global, data, dates};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufReader, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use wiac_layer::merged::LayerStack;
use wiac_layer::pack::{MergedOptions, pack_merged};
use wiac_layer::unpack::{BUFFER, Limits, UnpackOptions, unpack};
use wiac_store::Selection;
use wiac_store::cache_mounts::CacheMount;

const COLUMNS: [(&str, &str); 5] = [
    ("ID", "ID"),
    ("Type", "TYPE"),
    ("Size", "SIZE"),
    ("Age", "CREATED"),
    ("Description", "DESCRIPTION"),
];

const TABLE: &str = "table {{.ID}}\t{{.Type}}\t{{.Size}}\t{{.Age}}\t{{.Description}}";

/// Characters of an instruction in a list.
const LONGEST: usize = 60;

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List steps and cache mounts
    Ls {
        /// json, a template, or 'table TEMPLATE'
        #[arg(long, value_name = "FORMAT")]
        format: Option<String>,
        /// Print ids alone
        #[arg(short, long)]
        quiet: bool,
    },
    /// Say how much space they take
    Du {
        /// json
        #[arg(long, value_name = "FORMAT")]
        format: Option<String>,
    },
    /// Delete steps, and with --all cache mounts too
    Prune {
        /// Cache mounts too
        #[arg(short, long)]
        all: bool,
        /// Accepted as docker has it: nothing is asked
        #[arg(short, long)]
        force: bool,
    },
    /// Write a cache mount as a tar
    Export {
        /// Its id in the Dockerfile, or as wiac cache ls shows it
        #[arg(value_name = "ID")]
        id: String,
        /// Write to this file instead of standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Fill a cache mount from a tar
    Import {
        /// Its id in the Dockerfile, or as wiac cache ls shows it; a build has to have made it
        #[arg(value_name = "ID")]
        id: String,
        /// The tar, not compressed; standard input by itself
        #[arg(value_name = "FILE")]
        input: Option<PathBuf>,
    },
    /// Delete cache mounts
    Rm {
        /// Their ids in the Dockerfile, or as wiac cache ls shows them
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let data = data::open(global)?;
    match &arguments.verb {
        Verb::Ls { format, quiet } => list(&data, format.as_deref(), *quiet)?,
        Verb::Du { format } => usage(&data, format.as_deref())?,
        Verb::Prune { all, .. } => prune(&data, *all)?,
        Verb::Export { id, output } => export(&data, id, output.as_deref())?,
        Verb::Import { id, input } => import(&data, id, input.as_deref())?,
        Verb::Rm { ids } => return remove(&data, ids),
    }
    Ok(ExitCode::SUCCESS)
}

/// One line of the list.
struct Row {
    id: String,
    kind: &'static str,
    size: u64,
    created: Option<i64>,
    description: String,
}

fn rows(data: &Data) -> Result<Vec<Row>, Failure> {
    let store = &data.store;
    let mut rows = Vec::new();
    for (_, layer) in store.cached_layers()? {
        // Deleted meanwhile: then it isn't in the cache any more.
        let Some(held) = store.hold_layer(layer)? else { continue };
        let info = store.layer_info(&held.id)?;
        rows.push(Row {
            id: held.id.to_string(),
            kind: "step",
            size: store.layer_size(&held)?,
            created: dates::seconds(&info.created),
            description: info.created_by,
        });
    }
    rows.sort_by(|a, b| (b.created, &a.id).cmp(&(a.created, &b.id)));
    rows.dedup_by(|a, b| a.id == b.id);
    rows.extend(store.cache_mounts()?.into_iter().map(|mount| Row {
        id: mount.key,
        kind: "mount",
        size: mount.size,
        created: mount.modified.and_then(second),
        description: mount.id,
    }));
    Ok(rows)
}

fn second(time: SystemTime) -> Option<i64> {
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

fn list(data: &Data, format: Option<&str>, quiet: bool) -> Result<(), Failure> {
    let format = Format::parse(format, TABLE)?;
    let rows = rows(data)?;
    if quiet {
        let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        let end = if ids.is_empty() { "" } else { "\n" };
        return format::write(&format!("{}{end}", ids.join("\n")));
    }
    let shown: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "ID": if row.kind == "step" { short(&row.id) } else { &row.id },
                "Type": row.kind,
                "Size": format::size(row.size),
                "Age": row.created.map_or_else(|| "N/A".to_owned(), |created| dates::ago(dates::now() - created)),
                "Description": format::cut(&format::plain(&row.description), LONGEST),
            })
        })
        .collect();
    let as_json = || {
        let row = |row: &Row| {
            json!({
                "Id": row.id, "Type": row.kind, "Size": row.size, "Created": row.created, "Description": row.description,
            })
        };
        rows.iter().map(row).collect()
    };
    format.print(&COLUMNS, &shown, as_json, true)
}

fn usage(data: &Data, format: Option<&str>) -> Result<(), Failure> {
    let rows = rows(data)?;
    let sum = |kind: &str| {
        rows.iter()
            .filter(|row| row.kind == kind)
            .map(|row| row.size)
            .sum::<u64>()
    };
    let (steps, mounts) = (sum("step"), sum("mount"));
    match format {
        Some("json") => format::write(&format::pretty(&json!({ "Steps": steps, "Mounts": mounts }))),
        Some(other) => Err(Failure::usage(format!("--format {other}: json is expected"))),
        None => format::write(&format!(
            "Steps: {}\nCache mounts: {}\n",
            format::size(steps),
            format::size(mounts)
        )),
    }
}

fn prune(data: &Data, all: bool) -> Result<(), Failure> {
    let selection = Selection {
        cache: Some(SystemTime::now()),
        ..Selection::unreferenced()
    };
    let mut freed = data.store.collect(&selection)?.reclaimed();
    if all {
        for mount in data.store.cache_mounts()? {
            if data.store.remove_cache_mount(&mount)? {
                freed += mount.size;
            }
        }
    }
    format::write(&format!("Total reclaimed space: {}\n", format::size(freed)))
}

/// The only cache mount with this id or key.
fn find(data: &Data, id: &str) -> Result<CacheMount, Failure> {
    let mounts = data.store.cache_mounts()?;
    let mut found: Vec<CacheMount> = mounts
        .iter()
        .filter(|mount| mount.id == id || mount.key == id)
        .cloned()
        .collect();
    match (found.pop(), found.len()) {
        (Some(only), 0) => Ok(only),
        (Some(_), _) => Err(Failure::new(format!(
            "{id}: several cache mounts have this id; name one as wiac cache ls shows it"
        ))),
        (None, _) => {
            let ids = mounts.iter().map(|mount| mount.id.as_str());
            let nearest = wiac_suggest::nearest(id, ids).map(|near| format!(" (did you mean {near}?)"));
            Err(Failure::new(format!(
                "{id}: there is no such cache mount{}",
                nearest.unwrap_or_default()
            )))
        }
    }
}

fn export(data: &Data, id: &str, output: Option<&Path>) -> Result<(), Failure> {
    if output.is_none() && std::io::stdout().is_terminal() {
        return Err(Failure::usage(
            "standard output is a terminal: name a file with -o, or send it to a pipe",
        ));
    }
    let mount = find(data, id)?;
    let _used = data.store.use_cache_mount(&mount)?;
    let write = |file: &mut File| -> Result<(), Failure> {
        let mut out = BufWriter::new(file);
        let stack = LayerStack::new(vec![mount.directory.clone()]);
        pack_merged(&stack, &mut out, &MergedOptions::default())?;
        Ok(out.flush()?)
    };
    match output {
        Some(path) => wiac_store::transfer::write_file(path, write),
        None => write(&mut File::from(std::io::stdout().as_fd().try_clone_to_owned()?)),
    }
}

fn import(data: &Data, id: &str, input: Option<&Path>) -> Result<(), Failure> {
    let file = match input.filter(|path| *path != Path::new("-")) {
        Some(path) => File::open(path).map_err(|error| {
            Failure::new(format!(
                "can't open {}: {}",
                path.display(),
                crate::error::words(&error)
            ))
        })?,
        None => File::from(std::io::stdin().as_fd().try_clone_to_owned()?),
    };
    let mount = find(data, id)?;
    let _used = data.store.use_cache_mount(&mount)?;
    let options = UnpackOptions {
        form: data.store.form(),
        owners: data.owner_policy(),
        lower: &|| Ok(LayerStack::default()),
        limits: Limits::default(),
    };
    let mut tar = BufReader::with_capacity(BUFFER, file);
    unpack(&mut tar, File::open(&mount.directory)?, &options)?;
    Ok(())
}

fn remove(data: &Data, ids: &[String]) -> Result<ExitCode, Failure> {
    for id in ids {
        let mount = find(data, id)?;
        if !data.store.remove_cache_mount(&mount)? {
            return Err(Failure::new(format!(
                "{id}: a build uses it; try again when that has ended"
            )));
        }
        println!("{}", mount.key);
    }
    Ok(ExitCode::SUCCESS)
}
