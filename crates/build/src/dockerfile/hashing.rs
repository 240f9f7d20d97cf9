//! What the files that COPY takes contribute to a cache key, and how the file system describes them: whether one
//! changed while it was copied.

use super::part::Part;
use super::survey::{Survey, Wants};
use super::tree::{Picked, open_directory, open_parent};
use crate::context::Source;
use crate::copy::ListedDirectory;
use crate::error::Result;
use crate::key::KeyMaker;
use rustix::fd::{AsFd, OwnedFd};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::AtomicUsize;
use wiac_dockerfile::ignore::IgnorePatterns;

/// What the file system said of all files taken: another one means that something changed.
pub(super) type Fingerprint = String;

/// As many files as a [`Manifest`] names.
pub(super) const MOST_NAMED: usize = 4096;

/// The files that a step takes, for whoever asks later what changed.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    /// Their paths, with a short hash of what they are; none where they are more than [`MOST_NAMED`].
    pub(super) files: Vec<(String, String)>,
    /// How many they are.
    pub(super) count: usize,
    /// Where they are too many: those whose remembered hash was another one.
    pub(super) changed: Vec<String>,
}

/// What was found out of the files of a step.
#[derive(Default)]
pub(super) struct Inputs {
    pub(super) fingerprint: Fingerprint,
    pub(super) manifest: Manifest,
    /// Where one directory is copied and that was wanted: a list to copy by, the directories in the order of their paths.
    pub(super) list: Option<Vec<ListedDirectory>>,
}

/// How the files are gone through.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct How {
    /// Owners count: they are kept.
    pub(super) owners: bool,
    /// A list to copy by is wanted.
    pub(super) list: bool,
    /// The files are being copied at the same time.
    pub(super) is_busy: bool,
}

/// Adds what the picked entries are: names, types, modes, contents and attributes; no times, and owners only where
/// they are kept.
pub(super) fn add_to_key(
    source: &Source,
    picked: &[Picked],
    exclude: &IgnorePatterns,
    how: How,
    key: &mut KeyMaker,
) -> Result<Inputs> {
    let wants = Wants {
        contents: true,
        owners: how.owners,
        names: true,
        list: how.list && picked.len() == 1,
        threads: !how.is_busy,
    };
    let mut inputs = go_through(source, picked, exclude, wants, key)?;
    if let (true, Some(table)) = (inputs.manifest.files.is_empty(), &source.hashes) {
        inputs.manifest.changed = table.changed();
    }
    Ok(inputs)
}

/// The fingerprint alone, without reading any file.
pub(super) fn fingerprint(source: &Source, picked: &[Picked], exclude: &IgnorePatterns) -> Result<Fingerprint> {
    let wants = Wants {
        contents: false,
        owners: false,
        names: false,
        list: false,
        threads: true,
    };
    let mut unused = KeyMaker::new("names");
    Ok(go_through(source, picked, exclude, wants, &mut unused)?.fingerprint)
}

fn go_through(
    source: &Source,
    picked: &[Picked],
    exclude: &IgnorePatterns,
    wants: Wants,
    key: &mut KeyMaker,
) -> Result<Inputs> {
    let mut inputs = Inputs::default();
    let mut stats = KeyMaker::new("stats");
    let named = AtomicUsize::new(0);
    for one in picked {
        key.add(one.name.as_bytes());
        let (directory, name) = open(source, one)?;
        let survey = Survey::new(one.selection(source, exclude), directory.as_fd(), wants, &named);
        // Of a directory the contents are copied: its own mode and owner count for nothing.
        let parts = match name {
            None => survey.run()?,
            Some(name) => {
                let mut part = Part::default();
                part.single(&survey, &name)?;
                vec![part]
            }
        };
        key.add((parts.len() as u64).to_le_bytes());
        let is_listed = wants.list && one.is_directory && !parts.iter().any(|part| part.is_too_deep);
        let mut list = Vec::new();
        for mut part in parts {
            key.add(&part.path);
            key.add(part.hashes.0);
            stats.add(&part.path);
            stats.add(part.hashes.1);
            inputs.manifest.files.append(&mut part.files);
            list.append(&mut part.listed);
        }
        list.sort_by(|a, b| a.path().cmp(b.path()));
        inputs.list = is_listed.then_some(list);
    }
    // Where that wasn't gone on with, something is missing.
    source.check()?;
    inputs.manifest.count = named.into_inner();
    if inputs.manifest.count > MOST_NAMED {
        inputs.manifest.files = Vec::new();
    }
    inputs.fingerprint = stats.finish();
    Ok(inputs)
}

/// The picked directory; or the one that has what was picked, and the name.
fn open(source: &Source, one: &Picked) -> Result<(OwnedFd, Option<CString>)> {
    if one.is_directory {
        return Ok((open_directory(source, &one.path)?, None));
    }
    let name = one.path.file_name().unwrap_or_default();
    // A path that was found has no zero byte.
    let name = CString::new(name.as_bytes()).unwrap_or_default();
    Ok((open_parent(source, &one.path)?, Some(name)))
}

#[cfg(test)]
mod tests;
