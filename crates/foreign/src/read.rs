//! Bounded reading: other tools' files are small where they are sound.

use crate::error::{Error, IoExt, Result};
use serde::de::DeserializeOwned;
use std::io::Read;
use std::path::Path;

/// The longest index of images or layers: some hundred thousand entries.
const LONGEST_INDEX: u64 = 256 << 20;
/// The longest manifest, image configuration or configuration file.
const LONGEST_DOCUMENT: u64 = 16 << 20;

/// A document's bytes; `None` where there is no such file.
pub(crate) fn document(path: &Path) -> Result<Option<Vec<u8>>> {
    bounded(path, LONGEST_DOCUMENT)
}

/// A short text without the white space around it; `None` where there is no such file.
pub(crate) fn text(path: &Path) -> Result<Option<String>> {
    let Some(bytes) = document(path)? else {
        return Ok(None);
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(_) => Err(Error::damaged(path, "it is no UTF-8 text")),
    }
}

/// An index in JSON; `None` where there is no such file or nothing in it.
pub(crate) fn index<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match bounded(path, LONGEST_INDEX)? {
        Some(bytes) if !bytes.is_empty() => json(path, &bytes).map(Some),
        _ => Ok(None),
    }
}

/// Reads JSON that came from `path`.
pub(crate) fn json<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::damaged(path, error.to_string()))
}

fn bounded(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        result => result.on("read", path)?,
    };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).on("read", path)?;
    if bytes.len() as u64 > limit {
        return Err(Error::damaged(path, format!("it is longer than {limit} bytes")));
    }
    Ok(Some(bytes))
}
