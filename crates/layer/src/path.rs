//! Paths of a layer: joined, shown, and handed to calls that take no directory.

use rustix::fd::{AsFd, AsRawFd};
use std::ffi::OsStr;
use std::path::PathBuf;

/// A path for the calls that take no directory: it leads through the open one, and the last name isn't followed.
pub(crate) fn magic_path(parent: impl AsFd, name: &OsStr) -> PathBuf {
    let mut path = PathBuf::from(format!("/proc/self/fd/{}", parent.as_fd().as_raw_fd()));
    path.push(name);
    path
}

/// `name` in the directory at `path` (names with one slash between; the root is empty).
pub(crate) fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() {
        name.to_vec()
    } else {
        [path, b"/", name].concat()
    }
}

/// The directory that something lies in, and its name there; `None` for the root.
pub(crate) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    match path.iter().rposition(|byte| *byte == b'/') {
        _ if path.is_empty() => None,
        None => Some((b"", path)),
        Some(slash) => Some((&path[..slash], &path[slash + 1..])),
    }
}

/// A path of a layer, safe to print.
pub(crate) fn shown(path: &[u8]) -> PathBuf {
    PathBuf::from(crate::tar::shown(if path.is_empty() { b"/" } else { path }))
}
