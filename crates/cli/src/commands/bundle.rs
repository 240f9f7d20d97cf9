//! `wiac bundle PROGRAM… DIR`.

use super::DryRun;
use crate::error::{Failure, words};
use crate::exit::ExitCode;
use clap::Args;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use wiac_build::bundle::{self, Wanted};
use wiac_build::copy::Ownership;
use wiac_loader::{Closure, NeededBy, Set};
use wiac_sys::root::Root;

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Default, Args)]
pub(crate) struct Arguments {
    /// Programs (paths, or names looked up in PATH), then the directory; with --list programs alone
    #[arg(required = true, value_name = "PROGRAM… DIR")]
    words: Vec<OsString>,
    /// Take programs and libraries from the root directory DIR instead of the host's
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Add what programs load without linking it: nss, certs, tzdata
    #[arg(long, value_name = "SET", value_delimiter = ',', value_parser = set)]
    with: Vec<Set>,
    /// Add a file or directory (programs among them with all they need)
    #[arg(long, value_name = "PATH")]
    add: Vec<PathBuf>,
    /// Show who needs what, and copy nothing
    #[arg(long)]
    list: bool,
    /// Show it for programs: json
    #[arg(long, value_name = "FORMAT", requires = "list")]
    format: Option<Format>,
    /// Print the commands that do the same by hand, and do nothing
    #[arg(long, value_name = "AS")]
    dry_run: Option<DryRun>,
}

impl Arguments {
    /// What clap makes of words alone, and of `--list` before them. `None` where it has to look itself.
    pub(crate) fn of_words(words: &[OsString]) -> Option<Self> {
        let (list, words) = match words.split_first()? {
            (first, rest) if first == "--list" => (true, rest),
            _ => (false, words),
        };
        if words.is_empty() || words.iter().any(|word| word.as_bytes().starts_with(b"-")) {
            return None;
        }
        Some(Self {
            words: words.to_vec(),
            list,
            ..Self::default()
        })
    }
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    Json,
}

fn set(name: &str) -> Result<Set, String> {
    Set::from_name(name).ok_or_else(|| "the sets are nss, certs and tzdata".to_owned())
}

/// Runs the command.
pub(crate) fn run(mut arguments: Arguments) -> Result<ExitCode, Failure> {
    let destination = if arguments.list {
        None
    } else {
        arguments.words.pop().map(PathBuf::from)
    };
    if arguments.words.is_empty() && arguments.add.is_empty() && arguments.with.is_empty() {
        return Err(Failure::usage(
            "name at least one program, then the directory it goes to",
        ));
    }
    let place = arguments.root.clone().unwrap_or_else(|| PathBuf::from("/"));
    let root = Root::open(&place).map_err(|error| {
        let why = wiac_sys::error::describe(error.errno());
        Failure::new(format!("--root {}: {why}", place.display()))
    })?;
    let wanted = Wanted {
        programs: arguments.words,
        sets: arguments.with,
        files: arguments.add,
    };
    let closure = bundle::closure(
        &root,
        &search_path(arguments.root.as_deref()),
        &working_directory(&place)?,
        &wanted,
    )?;
    for library in &closure.needs_ldconfig {
        eprintln!(
            "wiac: warning: {} is found only after ldconfig has run in the bundle",
            library.display()
        );
    }
    match (destination, arguments.dry_run) {
        (None, _) => match arguments.format {
            Some(Format::Json) => println!("{}", as_json(&closure)),
            None => print!("{}", as_tree(&closure)),
        },
        (Some(destination), Some(DryRun::Shell)) => {
            print!("{}", wiac_build::bundle_shell::script(&closure, &place, &destination));
        }
        (Some(destination), None) => {
            std::fs::create_dir_all(&destination)
                .map_err(|error| Failure::new(format!("can't make {}: {}", destination.display(), words(&error))))?;
            bundle::place(&place, &closure, &destination, Ownership::Keep)?;
            for program in &closure.needs_proc {
                eprintln!(
                    "wiac: warning: {} finds libraries by its own place ($ORIGIN), which it learns from /proc: before a \
                     chroot, mkdir {to}/proc && mount -t proc proc {to}/proc (wiac run has one)",
                    program.display(),
                    to = destination.display()
                );
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// In another root the host's PATH says nothing.
fn search_path(root: Option<&Path>) -> String {
    match (root, std::env::var("PATH")) {
        (None, Ok(path)) if !path.is_empty() => path,
        _ => wiac_loader::DEFAULT_PATH.to_owned(),
    }
}

fn working_directory(root: &Path) -> Result<PathBuf, Failure> {
    if root == Path::new("/") {
        crate::environment::absolute(".")
    } else {
        Ok(PathBuf::from("/"))
    }
}

/// Programs with what each of them needs below it; what was shown before is not unfolded again.
fn as_tree(closure: &Closure) -> String {
    let mut text = String::new();
    let mut shown = vec![false; closure.objects.len()];
    for program in &closure.programs {
        let name = program.found.to_string_lossy();
        add_branch(&mut text, closure, &name, program.object, 0, &mut shown);
    }
    for set in Set::ALL {
        for entry in closure
            .entries
            .iter()
            .filter(|entry| entry.needed_by.contains(&NeededBy::Set(set)))
        {
            let _ = writeln!(text, "{} ({})", entry.path.display(), set.name());
        }
    }
    text
}

fn add_branch(text: &mut String, closure: &Closure, name: &str, index: usize, depth: usize, shown: &mut [bool]) {
    let Some(object) = closure.object(index) else { return };
    (0..depth).for_each(|_| text.push_str("    "));
    text.push_str(name);
    if object.path.as_os_str() != name {
        let _ = write!(text, " => {}", object.path.display());
    }
    if let Some(variant) = &object.variant {
        let _ = write!(text, " ({variant})");
    }
    text.push('\n');
    if std::mem::replace(&mut shown[index], true) {
        return;
    }
    for need in &object.needs {
        add_branch(text, closure, &need.name, need.object, depth + 1, shown);
    }
}

/// A path as JSON can have it.
fn text(path: &Path) -> std::borrow::Cow<'_, str> {
    path.to_string_lossy()
}

fn as_json(closure: &Closure) -> serde_json::Value {
    let objects: Vec<_> = closure
        .objects
        .iter()
        .map(|object| {
            let needs: Vec<_> = object
                .needs
                .iter()
                .filter_map(|need| {
                    let path = &closure.object(need.object)?.path;
                    let kind = format!("{:?}", need.kind).to_lowercase();
                    Some(serde_json::json!({ "name": need.name, "kind": kind, "path": text(path) }))
                })
                .collect();
            serde_json::json!({ "path": text(&object.path), "variant": object.variant, "needs": needs })
        })
        .collect();
    let programs: Vec<_> = closure
        .programs
        .iter()
        .map(|program| serde_json::json!({ "name": program.name, "path": text(&program.found) }))
        .collect();
    let entries: Vec<_> = closure
        .entries
        .iter()
        .map(|entry| match &entry.kind {
            wiac_loader::EntryKind::Directory => serde_json::json!({ "path": text(&entry.path), "type": "directory" }),
            wiac_loader::EntryKind::Symlink(target) => {
                serde_json::json!({ "path": text(&entry.path), "type": "symlink", "target": text(target) })
            }
            wiac_loader::EntryKind::File => {
                serde_json::json!({ "path": text(&entry.path), "type": "file", "size": entry.metadata.size })
            }
        })
        .collect();
    serde_json::json!({ "programs": programs, "objects": objects, "entries": entries, "size": closure.size() })
}
