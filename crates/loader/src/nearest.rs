//! The nearest name to one that wasn't found.

use crate::files::Files;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Longer names are compared no further.
const MAX_LENGTH: usize = 64;

/// The program in the directories of PATH whose name is nearest to `name`, at most a third of its letters (and never
/// more than two) away. The first one in PATH's order, then by name, wins.
pub(crate) fn program(files: &mut Files<'_>, name: &OsStr, cwd: &Path, path: &[PathBuf]) -> Option<String> {
    let name = name.as_bytes();
    if name.is_empty() || name.len() > MAX_LENGTH {
        return None;
    }
    let mut limit = (name.len() / 3).clamp(1, 2);
    let mut best = None;
    for directory in path {
        let entries = files.walk.root().read_dir(cwd.join(directory)).unwrap_or_default();
        for entry in entries {
            let distance = distance(name, entry.name.as_bytes(), limit);
            if let Some(distance) = distance.filter(|distance| best.is_none() || *distance < limit) {
                let found = files.find_file(&cwd.join(directory).join(&entry.name));
                if found.is_some_and(|found| found.metadata.mode & 0o111 != 0) {
                    limit = distance;
                    best = Some(entry.name.to_string_lossy().into_owned());
                }
            }
        }
    }
    best
}

/// How many letters have to be put in, taken out, replaced or swapped with their neighbour; `None` beyond `limit`.
fn distance(a: &[u8], b: &[u8], limit: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().filter(|distance| *distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_letters() {
        let of = |a: &str, b: &str| distance(a.as_bytes(), b.as_bytes(), 2);
        assert_eq!(of("pyhton", "python"), Some(1));
        assert_eq!(of("gti", "git"), Some(1));
        assert_eq!(of("ls", "ls"), Some(0));
        assert_eq!(of("grep", "egrep"), Some(1));
        assert_eq!(of("abc", "xyz"), None);
        assert_eq!(of("", "abc"), None);
    }
}
