//! Image layouts that are written: the entries of their index, and directories that images are added to.

use super::incoming::DOCUMENT_LIMIT;
use super::layout::ANNOTATION_IMAGE_NAME;
use super::sink::Sink;
use crate::error::{Error, IoExt, Result};
use crate::layer::to_compact_json;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use wiac_oci::manifest::{ANNOTATION_REF_NAME, Descriptor, ImageLayout, Index};
use wiac_oci::reference::Reference;

/// One entry of the index a name; one where there is none.
pub(super) fn entries(descriptor: &Descriptor, names: &[Reference]) -> Vec<Descriptor> {
    if names.is_empty() {
        return vec![descriptor.clone()];
    }
    let named = |name: &Reference| {
        let mut entry = descriptor.clone();
        entry.annotations.extend([
            (ANNOTATION_IMAGE_NAME.to_owned(), name.to_string()),
            (
                ANNOTATION_REF_NAME.to_owned(),
                name.tag().unwrap_or("latest").to_owned(),
            ),
        ]);
        entry
    };
    names.iter().map(named).collect()
}

/// Calls an entry what somebody wrote behind the path of a layout (`oci:DIR:NAME`): literally so, as skopeo does and looks for
/// it, and in full where it is a whole name.
pub(super) fn call(annotations: &mut BTreeMap<String, String>, name: &str) {
    annotations.insert(ANNOTATION_REF_NAME.to_owned(), name.to_owned());
    if name.contains(['/', ':'])
        && let Ok(full) = name.parse::<Reference>()
    {
        annotations.insert(ANNOTATION_IMAGE_NAME.to_owned(), full.with_default_tag().to_string());
    }
}

/// Adds to a layout: what `blobs` writes first, the index with `fresh` in it last.
pub(super) fn add(path: &Path, fresh: Vec<Descriptor>, blobs: impl FnOnce(&mut Sink<'_>) -> Result<()>) -> Result<()> {
    if path.metadata().is_ok_and(|meta| !meta.is_dir()) {
        return Err(Error::archive(
            path,
            "it is a file: an image layout is written to a directory",
        ));
    }
    std::fs::create_dir_all(path).on("create", path)?;
    let mut index = existing_index(path)?;
    let mut sink = Sink::Directory(path.to_owned());
    blobs(&mut sink)?;
    index
        .manifests
        .retain(|old| !fresh.iter().any(|new| is_replaced(old, new)));
    index.manifests.extend(fresh);
    sink.document("oci-layout", &to_compact_json(&ImageLayout::default()))?;
    sink.document("index.json", &to_compact_json(&index))?;
    sink.finish()
}

/// What has a name takes it from another; what has none takes its own place again.
fn is_replaced(old: &Descriptor, new: &Descriptor) -> bool {
    let full = |entry: &Descriptor| entry.annotations.get(ANNOTATION_IMAGE_NAME).cloned();
    if full(new).is_some() {
        return full(old) == full(new);
    }
    let short = |entry: &Descriptor| entry.annotations.get(ANNOTATION_REF_NAME).cloned();
    full(old).is_none() && short(old) == short(new) && (short(new).is_some() || old.digest == new.digest)
}

/// The index of a layout that is there; an empty one for an empty directory.
pub(super) fn existing_index(path: &Path) -> Result<Index> {
    let is_empty = std::fs::read_dir(path).on("read", path)?.next().is_none();
    if is_empty {
        return Ok(Index::new(Vec::new()));
    }
    if !path.join("oci-layout").is_file() {
        return Err(Error::archive(
            path,
            "it is a directory with other things in it: name a new one, or an image layout",
        ));
    }
    let index = path.join("index.json");
    let mut bytes = Vec::new();
    File::open(&index)
        .on("open", &index)?
        .take(DOCUMENT_LIMIT)
        .read_to_end(&mut bytes)
        .on("read", &index)?;
    serde_json::from_slice(&bytes).map_err(|error| Error::archive(&index, format!("it can't be read: {error}")))
}
