//! A container layer's changes become a layer of the store, and it goes on with a fresh upper directory on top.
//!
//! The upper directory is moved, not copied, where the kernel can; `container.json` says beforehand what it becomes, so
//! that a crash at any moment loses nothing: [`recover`] finishes what was begun, or takes it back.

use crate::container;
use crate::container_layer::ContainerRecord;
use crate::error::{Error, IoExt, Result};
use crate::stubs;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use wiac_layer::merged::LayerStack;
use wiac_layer::unpack::OwnerPolicy;
use wiac_oci::time::now;
use wiac_store::transfer::{Copied, copy_layer};
use wiac_store::{HeldLayer, LayerId, LayerInfo, Lock, Store};

/// What came of it.
#[derive(Debug)]
pub struct Committed {
    /// The layers of the image, base first, held until its record is written.
    pub layers: Vec<HeldLayer>,
    /// The last of them had to be copied, since it lay on another file system than the store.
    pub copied: bool,
    /// How many of the directories below were not the store's own and had to be copied.
    pub copied_below: usize,
    /// When, RFC 3339.
    pub created: String,
}

/// Commits the container layer `layer`. `said` is how the history calls the step.
///
/// # Errors
/// A directory that is no container layer, or is in use; what the disk says.
pub fn commit(store: &Store, layer: &Path, owners: OwnerPolicy, said: &str) -> Result<Committed> {
    let layer = std::path::absolute(layer).on("find", layer)?;
    if !is_directory(&layer)? {
        return Err(Error::wrong(format!(
            "{}: there is no such container layer",
            layer.display()
        )));
    }
    let _alone = Lock::unless_used(&layer)?.ok_or_else(|| {
        Error::wrong(format!(
            "{} is in use by a running container: stop it first",
            layer.display()
        ))
    })?;
    recover(store, &layer)?;
    let record = ContainerRecord::read(&layer)?.ok_or_else(|| {
        Error::wrong(format!(
            "{}: there is no container.json in it, so it is no container layer; run something on it first",
            layer.display()
        ))
    })?;
    let upper = layer.join("diff");
    let stack = LayerStack::new(record.lowerdirs.iter().rev().cloned().collect());
    // A commit that was cut off has left none.
    fresh_upper(&layer, &stack)?;
    let (mut layers, copied_below) = hold_below(store, &stack, owners)?;
    let mut targets = record.mounts.clone();
    targets.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
    stubs::remove(&stack, &upper, &targets)?;
    let created = now();
    let info = LayerInfo {
        form: store.form(),
        lineage: LayerId::random()?.to_string(),
        created_by: said.to_owned(),
        created: created.clone(),
        unpacked_from: None,
        elsewhere: None,
    };
    let announce = |id: &LayerId| {
        let announced = ContainerRecord {
            committing: Some(id.clone()),
            ..record.clone()
        };
        // From here on a collector keeps the layer, though no image has it yet.
        let directories: Vec<PathBuf> = record.lowerdirs.iter().cloned().chain([store.layer_diff(id)]).collect();
        store.lease(&layer, &directories, || announced.write_durably(&layer))
    };
    let adopted = store.adopt(&upper, &info, announce)?;
    let copied = adopted.is_none();
    let top = match adopted {
        Some(held) => held,
        None => copy_upper(store, &upper, &stack, owners, said, &created)?,
    };
    put_on_top(store, &layer, &record, &top.id)?;
    layers.push(top);
    Ok(Committed {
        layers,
        copied,
        copied_below,
        created,
    })
}

/// Whether something is a directory; an error where that can't be told.
fn is_directory(path: &Path) -> Result<bool> {
    match path.metadata() {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        meta => Ok(meta.on("look at", path)?.is_dir()),
    }
}

/// Finishes a commit that was cut off, or takes it back. The caller holds the container layer's lock.
///
/// # Errors
/// What the disk says.
pub fn recover(store: &Store, layer: &Path) -> Result<()> {
    let Some(mut record) = ContainerRecord::read(layer)? else {
        return Ok(());
    };
    let Some(id) = record.committing.take() else {
        return Ok(());
    };
    let upper = layer.join("diff");
    // Moved away, and nothing new made yet: the layer has it.
    if store.is_adopted(&id) && !is_directory(&upper)? {
        return put_on_top(store, layer, &record, &id);
    }
    record.write_durably(layer)
}

/// The layers below, base first: the store's own as they are, others copied.
fn hold_below(store: &Store, stack: &LayerStack, owners: OwnerPolicy) -> Result<(Vec<HeldLayer>, usize)> {
    let mut layers: Vec<HeldLayer> = Vec::new();
    let mut copied = 0;
    for (number, path) in stack.directories().iter().enumerate() {
        if let Some(own) = store.own_layer(path) {
            let held = store.hold_layer(own.clone())?;
            layers.push(held.ok_or_else(|| wiac_store::Error::NoSuchLayer { id: own.to_string() })?);
            continue;
        }
        let below = LayerStack::new(stack.directories()[..number].to_vec());
        let said = format!("COPY {}", path.display());
        let from = Copied {
            created_by: &said,
            created: &now(),
        };
        layers.push(copy_layer(store, path, &below, owners, &from)?);
        copied += 1;
    }
    Ok((layers, copied))
}

/// Copies an upper directory that can't be moved. It stays where it is until the copy is whole.
fn copy_upper(
    store: &Store,
    upper: &Path,
    stack: &LayerStack,
    owners: OwnerPolicy,
    said: &str,
    created: &str,
) -> Result<HeldLayer> {
    let from = Copied {
        created_by: said,
        created,
    };
    let held = copy_layer(store, upper, stack, owners, &from)?;
    store.sync(std::slice::from_ref(&held.id))?;
    Ok(held)
}

/// Lets the container layer run on the new layer, with a fresh upper directory.
///
/// The record comes first: a container layer without an upper directory gets one when it is run, and one whose changes
/// are in the layer below too looks the same.
fn put_on_top(store: &Store, layer: &Path, record: &ContainerRecord, id: &LayerId) -> Result<()> {
    let top = store.layer_diff(id);
    let mut lowerdirs = vec![top];
    lowerdirs.extend(record.lowerdirs.iter().cloned());
    let stack = LayerStack::new(lowerdirs.iter().rev().cloned().collect());
    let record = ContainerRecord {
        lowerdirs: lowerdirs.clone(),
        committed: record.committed + 1,
        committing: None,
        ..record.clone()
    };
    store.lease(layer, &lowerdirs, || record.write_durably(layer))?;
    let (upper, emptied) = (layer.join("diff"), layer.join("diff.committed"));
    // One that was left behind.
    remove_tree(&emptied)?;
    if upper.is_dir() {
        fs::rename(&upper, &emptied).on("move away", &upper)?;
    }
    remove_tree(&emptied)?;
    // What overlayfs kept there belongs to the old upper directory.
    remove_tree(&layer.join("work"))?;
    fresh_upper(layer, &stack)
}

fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).on("delete", path),
        _ => Ok(()),
    }
}

/// Makes the upper directory of a container layer where there is none, in one step: one that is there looks like the root.
///
/// # Errors
/// What the disk says.
pub fn fresh_upper(layer: &Path, stack: &LayerStack) -> Result<()> {
    let upper = layer.join("diff");
    if upper.is_dir() {
        return Ok(());
    }
    let fresh = layer.join("diff.new");
    fs::create_dir_all(&fresh).on("create", &fresh)?;
    container::prepare_upper(stack, &fresh)?;
    fs::rename(&fresh, &upper).on("create", &upper)
}
