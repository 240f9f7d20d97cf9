//! The nearest name to one that wasn't found.

use crate::files::Files;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The program in the directories of PATH whose name is nearest to `name`, at most a third of its letters (and never
/// more than two: among thousands of names one is always that near) away. The first one in PATH's order, then by
/// name, wins.
pub(crate) fn program(files: &mut Files<'_>, name: &OsStr, cwd: &Path, path: &[PathBuf]) -> Option<String> {
    let name = name.to_string_lossy();
    let farthest = (name.chars().count() / 3).clamp(1, 2);
    let mut best: Option<(usize, String)> = None;
    for directory in path {
        let directory = cwd.join(directory);
        let mut entries = files.walk.read_dir(&directory).unwrap_or_default();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        for entry in entries {
            let candidate = entry.name.to_string_lossy();
            let limit = best.as_ref().map_or(farthest + 1, |(distance, _)| *distance);
            let Some(distance) = wiac_suggest::near(&name, &candidate).filter(|distance| *distance < limit) else {
                continue;
            };
            let found = files.find_file(&directory.join(&entry.name));
            if found.is_some_and(|found| found.metadata.mode & 0o111 != 0) {
                best = Some((distance, candidate.into_owned()));
            }
        }
    }
    best.map(|(_, name)| name)
}
