//! `wiac bundle` as the shell commands that do the same by hand, with a comment for each file that says who needs it.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use wiac_loader::{Closure, Entry, EntryKind, NeededBy};
use wiac_run::shell::quote;

/// How many of those who need a file are named.
const MAX_NAMED: usize = 3;

const DIRECTORY: &str = r#"
# Makes a directory that is there for itself: it and its parents with owner and mode as they are here.
directory() {
    mkdir -p -- "$to/$1"
    local at=$1
    while [ "$at" != . ]; do
        chown --reference="./$at" -- "$to/$at" 2>/dev/null || true # not every user can give it away
        chmod --reference="./$at" -- "$to/$at"
        at=$(dirname -- "$at")
    done
}
"#;

/// The commands, for bash and GNU coreutils, that make the bundle of `closure` from `root` in `destination`. Unlike
/// wiac, they give a directory that was there already the time of the one in `root`.
pub fn script(closure: &Closure, root: &Path, destination: &Path) -> String {
    let mut text = head(closure, root, destination);
    let with_content: HashSet<&Path> = closure.entries.iter().filter_map(|entry| entry.path.parent()).collect();
    let is_empty = |entry: &Entry| !with_content.contains(entry.path.as_path());
    if closure
        .entries
        .iter()
        .any(|entry| entry.kind == EntryKind::Directory && is_empty(entry))
    {
        text.push_str(DIRECTORY);
    }
    let mut files: HashMap<(u64, u64), &Path> = HashMap::new();
    for entry in &closure.entries {
        let path = relative(&entry.path);
        let command = match &entry.kind {
            // The others are made with what is in them.
            EntryKind::Directory if !is_empty(entry) => continue,
            EntryKind::Directory => format!("directory {path}"),
            EntryKind::Symlink(_) => format!("cp -a --parents -- {path} \"$to\""),
            EntryKind::File => match files.insert(entry.metadata.identity, &entry.path) {
                None => format!("cp -a --parents -- {path} \"$to\""),
                // --parents makes the directories of the link; then it takes the place of the copy.
                Some(first) => format!(
                    "cp -a --parents -- {path} \"$to\" && ln -f -- \"$to\"/{} \"$to\"/{path}",
                    relative(first)
                ),
            },
        };
        let _ = write!(text, "\n# {}\n{command}\n", comment(closure, entry));
    }
    text.push_str(&times(closure));
    text
}

/// Parents come first in a closure, and no time depends on another.
fn times(closure: &Closure) -> String {
    let directories: Vec<String> = closure
        .entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::Directory)
        .map(|entry| relative(&entry.path))
        .collect();
    if directories.is_empty() {
        return String::new();
    }
    format!(
        "\n# Each copy has changed the time of the directory it went to.\n\
         for directory in \\\n    {}; do\n    touch --reference=\"./$directory\" -- \"$to/$directory\"\ndone\n",
        directories.join(" \\\n    ")
    )
}

fn head(closure: &Closure, root: &Path, destination: &Path) -> String {
    let names: Vec<&str> = closure.programs.iter().map(|program| program.name.as_str()).collect();
    let what = if names.is_empty() {
        "files".to_owned()
    } else {
        names.join(", ")
    };
    let (root, destination) = (quoted(root), quoted(destination));
    let mut text = format!(
        "#!/usr/bin/env bash\n\
         # The bundle of {}, made by hand: every file goes where it is in the source.\n\
         set -eu\n\
         umask 022\n\
         mkdir -p -- {destination}\n\
         to=$(realpath -- {destination})\n\
         cd -- {root}\n",
        on_one_line(&what)
    );
    for library in &closure.needs_ldconfig {
        let library = on_one_line(&library.display().to_string());
        let _ = write!(
            text,
            "\n# {library} is found only after ldconfig has run in the bundle.\n"
        );
    }
    for program in &closure.needs_proc {
        let program = on_one_line(&program.display().to_string());
        let _ = write!(
            text,
            "\n# {program} finds libraries by its own place ($ORIGIN), which it learns from /proc: a chroot needs one.\n"
        );
    }
    text
}

/// The word for a path below the root, in which the script works.
fn relative(path: &Path) -> String {
    quoted(path.strip_prefix("/").unwrap_or(path))
}

fn quoted(path: &Path) -> String {
    quote(path.as_os_str().as_bytes())
}

fn comment(closure: &Closure, entry: &Entry) -> String {
    let mut text = entry.path.display().to_string();
    match &entry.kind {
        EntryKind::Symlink(target) => {
            let _ = write!(text, " -> {}", target.display());
        }
        EntryKind::Directory => text.push_str(" (a directory)"),
        EntryKind::File => {}
    }
    if let Some(variant) = &entry.variant {
        let _ = write!(text, ", for {variant} only");
    }
    let needed_by = who(closure, &entry.needed_by);
    if !needed_by.is_empty() {
        let _ = write!(text, ": {needed_by}");
    }
    on_one_line(&text)
}

/// Who needs something, in words.
fn who(closure: &Closure, needed_by: &[NeededBy]) -> String {
    let asked_for = needed_by.contains(&NeededBy::User).then(|| "asked for".to_owned());
    let names: Vec<String> = needed_by.iter().filter_map(|by| name(closure, *by)).collect();
    let needed = (!names.is_empty()).then(|| {
        let mut text = format!("needed by {}", names[..names.len().min(MAX_NAMED)].join(", "));
        if names.len() > MAX_NAMED {
            let _ = write!(text, " and {} more", names.len() - MAX_NAMED);
        }
        text
    });
    let words: Vec<String> = asked_for.into_iter().chain(needed).collect();
    words.join(", ")
}

fn name(closure: &Closure, by: NeededBy) -> Option<String> {
    match by {
        NeededBy::User => None,
        NeededBy::Set(set) => Some(format!("the set {}", set.name())),
        NeededBy::Object(index) => closure.object(index).map(|object| object.path.display().to_string()),
    }
}

/// A name can hold a newline, which would end the comment.
fn on_one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::{self, Wanted};
    use crate::copy::Ownership;
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::path::PathBuf;
    use std::process::Command;
    use wiac_sys::root::Root;

    /// Everything below a directory: type, mode, owner, time, and the text or a file's inode number's first name.
    fn tree(directory: &Path) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        let mut inodes: HashMap<u64, PathBuf> = HashMap::new();
        let mut left = vec![directory.to_owned()];
        while let Some(next) = left.pop() {
            let mut entries: Vec<PathBuf> = fs::read_dir(next)
                .expect("readdir")
                .map(|e| e.expect("entry").path())
                .collect();
            entries.sort();
            for path in entries {
                let meta = fs::symlink_metadata(&path).expect("stat");
                let name = path.strip_prefix(directory).expect("below").to_owned();
                let content = if meta.is_symlink() {
                    fs::read_link(&path).expect("readlink").display().to_string()
                } else if meta.is_dir() {
                    left.push(path.clone());
                    String::new()
                } else {
                    let bytes = fs::read(&path).expect("read");
                    let first = inodes.entry(meta.ino()).or_insert_with(|| name.clone());
                    format!(
                        "{} {:?} {}",
                        bytes.len(),
                        bytes.iter().fold(0u64, |sum, &b| sum.wrapping_mul(31) + u64::from(b)),
                        first.display()
                    )
                };
                let line = format!(
                    "{:o} {}:{} {} {content}",
                    meta.mode(),
                    meta.uid(),
                    meta.gid(),
                    meta.mtime()
                );
                found.insert(name, line);
            }
        }
        found
    }

    fn compare(root: &Path, wanted: &Wanted) -> String {
        let directory = tempfile::tempdir().expect("tempdir");
        let (engine, script) = (directory.path().join("engine"), directory.path().join("by hand"));
        fs::create_dir(&engine).expect("mkdir");
        let opened = Root::open(root).expect("open");
        let closure = bundle::closure(&opened, "/bin:/usr/bin", Path::new("/"), wanted).expect("a closure");
        bundle::place(root, &closure, &engine, Ownership::Keep).expect("placed");
        let text = super::script(&closure, root, &script);
        let output = Command::new("bash").args(["-c", &text]).output().expect("bash");
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}\n{text}"
        );
        assert_eq!(tree(&script), tree(&engine), "first the script's\n{text}");
        text
    }

    /// In a root of their own: the host's directories change while others install something.
    #[test]
    fn programs_with_libraries() {
        let wanted = Wanted {
            programs: vec!["bash".into(), "ls".into()],
            ..Wanted::default()
        };
        let root = tempfile::tempdir().expect("tempdir");
        let host = Root::open("/").expect("open");
        let closure = bundle::closure(&host, "/bin:/usr/bin", Path::new("/"), &wanted).expect("a closure");
        bundle::place(Path::new("/"), &closure, root.path(), Ownership::Keep).expect("placed");
        let text = compare(root.path(), &wanted);
        assert!(text.contains("bash: asked for\ncp -a --parents -- "), "{text}");
        assert!(text.contains("needed by "), "{text}");
    }

    #[test]
    fn awkward_names_links_and_empty_directories() {
        let root = tempfile::tempdir().expect("tempdir");
        let data = root.path().join("opt/it's\nhere");
        fs::create_dir_all(data.join("empty/below")).expect("mkdir");
        fs::write(data.join("a"), "text").expect("write");
        fs::hard_link(data.join("a"), data.join("-b")).expect("link");
        symlink("a", data.join("c d")).expect("symlink");
        fs::create_dir(root.path().join("tmp")).expect("mkdir");
        let wanted = Wanted {
            files: vec!["/opt".into(), "/tmp".into()],
            ..Wanted::default()
        };
        compare(root.path(), &wanted);
    }
}
