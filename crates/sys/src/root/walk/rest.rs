//! The steps of a lookup that are still to be taken.

use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bytes that a path may have left to go: a path of PATH_MAX, and as much for each of a dozen symlinks on its way.
const MAX_REST: usize = 64 * 1024;

/// The steps that a lookup still has before it: names with one slash between, from an offset on.
pub(super) struct Rest {
    steps: Vec<u8>,
    pub(super) done: usize,
}

impl Rest {
    pub(super) fn new(path: &Path) -> Self {
        let mut steps = Vec::with_capacity(path.as_os_str().len() + 2);
        push_steps(&mut steps, path.as_os_str().as_bytes());
        Self { steps, done: 0 }
    }

    /// What is still to go.
    pub(super) fn left(&self) -> &[u8] {
        self.steps.get(self.done..).unwrap_or_default()
    }

    /// The next name, and whether it's the last one.
    pub(super) fn next(&mut self) -> Option<(&OsStr, bool)> {
        let start = self.done;
        if start >= self.steps.len() {
            return None;
        }
        let left = &self.steps[start..];
        let end = left.iter().position(|byte| *byte == b'/');
        let name = &left[..end.unwrap_or(left.len())];
        self.done = start + name.len() + 1;
        Some((OsStr::from_bytes(name), end.is_none()))
    }

    /// The first step and everything but the last one, where these are two names or more without dots among them.
    pub(super) fn parents(&self) -> Option<(&OsStr, &OsStr)> {
        let left = self.left();
        let parents = &left[..left.iter().rposition(|byte| *byte == b'/')?];
        let first = &parents[..parents.iter().position(|byte| *byte == b'/')?];
        let mut names = parents.split(|byte| *byte == b'/');
        let plain = names.all(|name| name != b"." && name != b"..");
        plain.then(|| (OsStr::from_bytes(first), OsStr::from_bytes(parents)))
    }

    /// Puts the steps of a symlink before those that are left.
    pub(super) fn put_before(&mut self, target: &Path) -> rustix::io::Result<()> {
        let mut steps = Vec::with_capacity(target.as_os_str().len() + self.left().len() + 3);
        push_steps(&mut steps, target.as_os_str().as_bytes());
        if !steps.is_empty() && !self.left().is_empty() {
            steps.push(b'/');
        }
        steps.extend(self.left());
        if steps.len() > MAX_REST {
            return Err(Errno::NAMETOOLONG);
        }
        *self = Self { steps, done: 0 };
        Ok(())
    }
}

/// Adds the steps of a path with one slash between. A trailing slash is a "." (so that it asks for a directory); other "."
/// say nothing but at the beginning of a relative path.
fn push_steps(steps: &mut Vec<u8>, path: &[u8]) {
    let start = steps.len();
    let mut push = |name: &[u8]| {
        if steps.len() > start {
            steps.push(b'/');
        }
        steps.extend(name);
    };
    for (index, name) in path.split(|byte| *byte == b'/').enumerate() {
        if !name.is_empty() && (name != b"." || index == 0) {
            push(name);
        }
    }
    if path.ends_with(b"/") || path.ends_with(b"/.") {
        push(b".");
    }
}
