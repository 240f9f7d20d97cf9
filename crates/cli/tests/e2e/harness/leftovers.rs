//! What is left of a container: processes, mounts and locks that have to do with a directory.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Processes of the machine by what their command line says.
pub fn processes_with(word: &str) -> Vec<i32> {
    pids()
        .into_iter()
        .filter(|pid| command_line(*pid).contains(word))
        .collect()
}

/// The children of a process.
pub fn children(pid: i32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc is there").flatten();
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != own)
        .collect()
}

fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// Whether the process is there and more than a zombie.
fn lives(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status
        .rsplit(')')
        .next()
        .is_some_and(|rest| !rest.trim_start().starts_with('Z') && !rest.is_empty())
}

/// Waits until nothing is left of the containers of `directory` whose command lines have `word` in them.
pub fn assert_nothing_within(patience: Duration, directory: &Path, word: &str) {
    let started = Instant::now();
    loop {
        let left = all(directory, word);
        if left.is_empty() {
            return;
        }
        assert!(
            started.elapsed() < patience,
            "left {patience:?} after the end:\n{}",
            left.join("\n")
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn all(directory: &Path, word: &str) -> Vec<String> {
    let mut left: Vec<String> = Vec::new();
    for pid in processes_with(word).into_iter().filter(|pid| lives(*pid)) {
        left.push(format!("process {pid}: {}", command_line(pid)));
    }
    left.extend(mounts(directory));
    left.extend(locks(directory));
    left
}

/// Mounts in any process's view that name the directory.
pub fn mounts(directory: &Path) -> Vec<String> {
    let name = directory.to_str().expect("text");
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for pid in pids() {
        let Ok(namespace) = fs::read_link(format!("/proc/{pid}/ns/mnt")) else {
            continue;
        };
        if seen.insert(namespace) {
            let table = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
            found.extend(
                table
                    .lines()
                    .filter(|line| line.contains(name))
                    .map(|line| format!("mount seen by {pid}: {line}")),
            );
        }
    }
    found
}

/// Directories below `directory` that somebody holds a lock of.
pub fn locks(directory: &Path) -> Vec<String> {
    let mut held = Vec::new();
    let table = fs::read_to_string("/proc/locks").unwrap_or_default();
    let inodes: HashSet<&str> = table
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.matches(':').count() == 2))
        .collect();
    for path in directories(directory) {
        let Ok(meta) = fs::metadata(&path) else { continue };
        let (major, minor) = (rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()));
        if inodes.contains(format!("{major:02x}:{minor:02x}:{}", meta.ino()).as_str()) {
            held.push(format!("lock of {}", path.display()));
        }
    }
    held
}

fn directories(top: &Path) -> Vec<PathBuf> {
    let mut found = vec![top.to_owned()];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        // Layers and container layers are locked, and those are never deep.
        if path.components().count() < top.components().count() + 4 {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            found.extend(
                entries
                    .map(|entry| entry.path())
                    .filter(|path| path.symlink_metadata().is_ok_and(|meta| meta.is_dir())),
            );
        }
    }
    found
}

/// Waits for something to become true.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(
            started.elapsed() < Duration::from_secs(15),
            "waited 15 s for this: {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// All processes below a process, parents before their children.
pub fn descendants(pid: i32) -> Vec<i32> {
    let mut found = children(pid);
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        found.extend(children(pid));
    }
    found
}
