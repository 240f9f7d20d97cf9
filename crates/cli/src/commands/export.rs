//! `wiac export`: what a container or an image shows as its root, as one flat tar.

use crate::data::Data;
use crate::error::Failure;
use crate::exit::ExitCode;
use crate::located::locate;
use crate::{Global, data};
use clap::Args;
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wiac_build::container_layer::ContainerRecord;
use wiac_layer::merged::LayerStack;
use wiac_layer::owners::OwnerRecord;
use wiac_layer::pack::{MergedOptions, pack_merged};
use wiac_store::leases::CONTAINER_FILE;
use wiac_store::{Lock, Store, transfer};

/// Written at once: a tar's headers are small.
const BUFFER: usize = 1 << 20;

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A container layer (a directory, written with a slash), or an image by name or id
    #[arg(value_name = "CONTAINERLAYER|IMAGE")]
    what: String,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What is exported, held as long as it is read.
struct Exported {
    stack: LayerStack,
    /// Of each layer, what couldn't be put on disk.
    owners: Vec<Option<Arc<OwnerRecord>>>,
    _locks: Vec<Lock>,
}

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    if arguments.output.is_none() && std::io::stdout().is_terminal() {
        return Err(Failure::usage(
            "standard output is a terminal: name a file with -o, or send it to a pipe",
        ));
    }
    let data = data::open(global)?;
    let exported = find(&data, &arguments.what)?;
    match arguments.output.as_deref().filter(|path| *path != Path::new("-")) {
        Some(path) => transfer::write_file(path, |file| write(&exported, file))?,
        None => write(
            &exported,
            &mut File::from(std::io::stdout().as_fd().try_clone_to_owned()?),
        )?,
    }
    Ok(ExitCode::SUCCESS)
}

fn write(exported: &Exported, file: &mut File) -> Result<(), Failure> {
    let clamp = super::save::source_date_epoch()?;
    let owners: Vec<Option<&OwnerRecord>> = exported.owners.iter().map(Option::as_deref).collect();
    let mut out = BufWriter::with_capacity(BUFFER, file);
    pack_merged(&exported.stack, &mut out, &MergedOptions { owners: &owners, clamp })?;
    Ok(out.flush()?)
}

fn find(data: &Data, what: &str) -> Result<Exported, Failure> {
    if is_container_layer(what) {
        return container_layer(&data.store, Path::new(what));
    }
    let located = locate(data, what)?;
    let store = &data.store;
    Ok(Exported {
        stack: LayerStack::new(located.layers.iter().map(|held| store.layer_diff(&held.id)).collect()),
        owners: store.intended(&located.layers)?,
        _locks: located.layers.into_iter().map(|held| held.lock).collect(),
    })
}

/// A directory is one that is written like a path, or that says so itself.
fn is_container_layer(what: &str) -> bool {
    let path = Path::new(what);
    what.starts_with(['.', '/']) || path.is_dir() && (what.contains('/') || path.join(CONTAINER_FILE).is_file())
}

fn container_layer(store: &Store, layer: &Path) -> Result<Exported, Failure> {
    if !layer.is_dir() {
        return Err(Failure::new(format!(
            "{}: there is no such container layer",
            layer.display()
        )));
    }
    let record = ContainerRecord::read(layer)?.ok_or_else(|| {
        Failure::new(format!(
            "{}: there is no container.json in it, so it is no container layer",
            layer.display()
        ))
    })?;
    let mut directories: Vec<PathBuf> = record.lowerdirs.iter().rev().cloned().collect();
    let upper = layer.join("diff");
    // A commit that was cut off has moved it, and maybe not said so yet.
    let moved = record.committing.filter(|id| !upper.is_dir() && store.is_adopted(id));
    directories.extend(moved.map(|id| store.layer_diff(&id)));
    // A running container holds its own lock: its root can be read all the same.
    let mut locks = Vec::new();
    for parent in directories.iter().filter_map(|path| path.parent()) {
        locks.extend(Lock::shared_where_allowed(parent)?);
    }
    directories.extend(upper.is_dir().then_some(upper));
    Ok(Exported {
        owners: store.intended_in(&directories)?,
        stack: LayerStack::new(directories),
        _locks: locks,
    })
}
