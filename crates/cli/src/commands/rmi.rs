//! `wiac rmi`: takes names away, and images with their last name, as docker does.

use crate::data::Data;
use crate::error::Failure;
use crate::exit::ExitCode;
use crate::located::find;
use crate::place::{self, Change};
use crate::{Global, data, format};
use clap::Args;
use std::fmt::Write as _;
use wiac_oci::reference::Reference;
use wiac_store::{Error, LocalId, Name, Removed, Selection};

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Names to take away, or ids of images to delete
    #[arg(value_name = "NAME|ID", required_unless_present = "all")]
    images: Vec<String>,
    /// Delete an image by its id though it has several names; don't mind images that aren't there
    #[arg(short, long)]
    force: bool,
    /// Delete all images
    #[arg(short, long, conflicts_with = "images")]
    all: bool,
    /// Don't mind images that aren't there
    #[arg(short, long)]
    ignore: bool,
    /// Keep the layers and blobs that nothing refers to any more: wiac prune deletes them
    #[arg(long)]
    no_prune: bool,
    /// Say nothing
    #[arg(short, long)]
    quiet: bool,
}

/// Runs the command. Layers of a container that runs stay as long as it does; the build cache keeps its own.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let data = data::open(global)?;
    let mut report = String::new();
    let mut failed = Vec::new();
    let mut deleted = false;
    let targets = targets(&data, arguments)?;
    for target in &targets {
        let ignore = arguments.ignore || arguments.force || arguments.all;
        match remove(&data, target, (arguments.force || arguments.all, ignore)) {
            Ok(Some((id, removed))) => {
                deleted |= removed.deleted;
                tell(&mut report, &id, &removed);
            }
            Ok(None) => {}
            Err(failure) => failed.push(failure),
        }
    }
    if !arguments.quiet {
        format::write(&report)?;
    }
    if deleted && !arguments.no_prune {
        data.store.collect(&Selection::unreferenced())?;
    }
    super::all_or(failed)
}

fn targets(data: &Data, arguments: &Arguments) -> Result<Vec<String>, Failure> {
    if arguments.all {
        Ok(data.store.images()?.iter().map(ToString::to_string).collect())
    } else {
        Ok(arguments.images.clone())
    }
}

fn tell(report: &mut String, id: &LocalId, removed: &Removed) {
    for name in &removed.names {
        let _ = writeln!(report, "Untagged: {}", familiar(name));
    }
    if removed.deleted {
        let _ = writeln!(report, "Deleted: sha256:{id}");
    }
}

/// Takes one name or image away; `None` where it isn't there and nobody minds.
fn remove(data: &Data, text: &str, (force, ignore): (bool, bool)) -> Result<Option<(LocalId, Removed)>, Failure> {
    place::refuse_other_tools(text, Change::Delete)?;
    if let Some(name) = full_name(data, text)?
        && let Some(removed) = data.store.remove_name(&name, false)?
    {
        return Ok(Some(removed));
    }
    let id = match find(data, text) {
        Ok((id, _)) => id,
        Err(Error::NoSuchImage { .. }) if ignore => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let index = data.store.find_index(text)?;
    let names = data.store.names()?.into_iter().filter(|name| name.stands_for(&id));
    let names: Vec<String> = names.map(|name| familiar(&name.name)).collect();
    if names.len() > 1 && !force {
        return Err(Failure::new(format!(
            "image {} has several names ({}): take them away one by one, or all with -f",
            id.short(),
            names.join(", ")
        )));
    }
    let removed = match (&index, names.as_slice()) {
        // With the images for other platforms.
        (Some(index), [name]) if familiar(&index.name) == *name => {
            return data.store.remove_name(&index.name, false).map_err(Failure::from);
        }
        (Some(index), []) => remove_nameless(data, index)?,
        _ => data.store.remove_image(&id)?,
    };
    if !removed.deleted && removed.names.is_empty() {
        return Err(Failure::new(format!(
            "image {} is being named by another command; try again when that has ended",
            id.short()
        )));
    }
    Ok(Some((id, removed)))
}

/// Deletes the images of an index without a name, but those that are called something by themselves.
fn remove_nameless(data: &Data, index: &Name) -> Result<Removed, Failure> {
    let names = data.store.names()?;
    for other in &index.index.others {
        if !names.iter().any(|name| name.stands_for(other)) {
            data.store.remove_image(other)?;
        }
    }
    Ok(data.store.remove_image(&index.image)?)
}

/// The name in full, where something is called so.
pub(super) fn full_name(data: &Data, text: &str) -> Result<Option<String>, Failure> {
    let Ok(reference) = text.parse::<Reference>() else {
        return Ok(None);
    };
    // As it stands: what has a manifest's digest may be found by it under another name, or none.
    let known = data.store.name(&reference)?;
    Ok(known.map(|known| known.name))
}

/// What to say of a name that nothing has, with the nearest one.
pub(super) fn no_such_name(data: &Data, text: &str) -> Failure {
    let names: Vec<String> = data
        .store
        .names()
        .unwrap_or_default()
        .iter()
        .map(|name| familiar(&name.name))
        .collect();
    let candidates = names
        .iter()
        .flat_map(|name| [name.as_str(), name.trim_end_matches(":latest")]);
    let hint =
        wiac_suggest::nearest(text, candidates).map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
    Failure::new(format!("no image is called {text:?}{hint}"))
}

/// A full name as people write it.
pub(super) fn familiar(name: &str) -> String {
    name.parse::<Reference>()
        .map_or_else(|_| name.to_owned(), |reference| reference.familiar())
}
