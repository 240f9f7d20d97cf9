//! Image layouts that are written: the entries of their index, and directories that images are added to.

use super::incoming::DOCUMENT_LIMIT;
use super::layout::ANNOTATION_IMAGE_NAME;
use super::sink::Sink;
use crate::error::{Error, IoExt, Result};
use crate::layer::to_compact_json;
use crate::lock::Lock;
use std::collections::BTreeMap;
use std::fs::{self, File};
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
    let (mut index, _alone) = open(path, "an image layout")?;
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

/// Opens a directory to write a layout into, made where it is missing: the index that is there, and a lock that is to be
/// held until the new one is written, since of two writers one would lose the other's images. `what`: what it will be.
pub(super) fn open(path: &Path, what: &str) -> Result<(Index, Option<Lock>)> {
    if path.metadata().is_ok_and(|meta| !meta.is_dir()) {
        return Err(Error::archive(
            path,
            format!("it is a file: {what} is written to a directory"),
        ));
    }
    fs::create_dir_all(path).on("create", path)?;
    // Not all file systems have locks.
    let alone = Lock::exclusive(path).ok();
    Ok((existing_index(path)?, alone))
}

/// The index of a layout that is there; an empty one for a directory that is empty, or in which a layout was begun: its
/// index comes last.
fn existing_index(path: &Path) -> Result<Index> {
    let index = path.join("index.json");
    if !index.exists() && is_begun(path)? {
        return Ok(Index::new(Vec::new()));
    }
    if !path.join("oci-layout").is_file() {
        return Err(Error::archive(
            path,
            "it is a directory with other things in it: name a new one, or an image layout",
        ));
    }
    let mut bytes = Vec::new();
    File::open(&index)
        .on("open", &index)?
        .take(DOCUMENT_LIMIT)
        .read_to_end(&mut bytes)
        .on("read", &index)?;
    serde_json::from_slice(&bytes).map_err(|error| Error::archive(&index, format!("it can't be read: {error}")))
}

/// Whether there is nothing in a directory but what a writer who was killed leaves of a layout.
fn is_begun(path: &Path) -> Result<bool> {
    for entry in fs::read_dir(path).on("read", path)? {
        let name = entry.on("read", path)?.file_name();
        let name = name.to_string_lossy();
        let is_ours = match name.as_ref() {
            "oci-layout" => true,
            "blobs" => are_blobs(&path.join("blobs"))?,
            hidden => hidden.starts_with(".oci-layout.") || hidden.starts_with(".index.json."),
        };
        if !is_ours {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a directory has only those of digests' algorithms.
fn are_blobs(path: &Path) -> Result<bool> {
    let mut names = fs::read_dir(path).on("read", path)?;
    Ok(
        names
            .all(|entry| entry.is_ok_and(|entry| ["sha256", "sha512"].iter().any(|known| entry.file_name() == *known))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use wiac_oci::digest::Digest;
    use wiac_oci::manifest::media_type;

    fn entry(name: &str) -> Descriptor {
        let mut entry = Descriptor::new(media_type::MANIFEST, Digest::sha256(name), 1);
        call(&mut entry.annotations, name);
        entry
    }

    fn images(path: &Path) -> usize {
        existing_index(path).expect("a layout").manifests.len()
    }

    #[test]
    fn what_a_killed_writer_left_is_gone_on_with() {
        let dir = tempfile::tempdir().expect("tempdir");
        let layout = dir.path().join("layout");
        fs::create_dir_all(layout.join("blobs/sha256")).expect("mkdir");
        add(&layout, vec![entry("one")], |_| Ok(())).expect("added");
        assert_eq!(images(&layout), 1);
        // Killed between the two documents, and within the second one.
        fs::remove_file(layout.join("index.json")).expect("deleted");
        fs::write(layout.join(".index.json.0123abcd"), "{").expect("write");
        add(&layout, vec![entry("two")], |_| Ok(())).expect("added");
        assert_eq!(images(&layout), 1);
    }

    #[test]
    fn what_is_no_layout_is_refused() {
        for (made, file) in [
            ("letters", "letters/one"),
            ("blobs", "blobs/one"),
            ("blobs/sha256", "index.json"),
        ] {
            let dir = tempfile::tempdir().expect("tempdir");
            fs::create_dir_all(dir.path().join(made)).expect("mkdir");
            fs::write(dir.path().join(file), "mine").expect("write");
            let error = add(dir.path(), Vec::new(), |_| Ok(())).expect_err(file).to_string();
            assert!(error.contains("other things in it"), "{error}");
        }
    }

    #[test]
    fn writers_at_once_lose_nothing_of_each_other() {
        let dir = tempfile::tempdir().expect("tempdir");
        let names: Vec<String> = (0..8).map(|number| format!("image{number}")).collect();
        let wait = std::time::Duration::from_millis(5);
        std::thread::scope(|scope| {
            for name in &names {
                scope.spawn(|| {
                    let blobs = |_: &mut Sink<'_>| {
                        std::thread::sleep(wait);
                        Ok(())
                    };
                    add(dir.path(), vec![entry(name)], blobs).expect("added");
                });
            }
        });
        assert_eq!(images(dir.path()), names.len());
    }
}
