//! A shell and tools of the host in a directory of their own, which work wherever it is mounted: busybox where it is
//! static, else programs that are started through their own dynamic loader.

use crate::bundle::{self, Wanted};
use crate::copy::Ownership;
use crate::error::{Error, IoExt, Result};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use wiac_loader::{Closure, DEFAULT_PATH, EntryKind};
use wiac_run::shell::quote;
use wiac_sys::root::Root;

/// What somebody who looks for a fault wants.
const NAMES: [&str; 38] = [
    "sh", "awk", "basename", "cat", "chmod", "cp", "cut", "date", "dd", "df", "diff", "dirname", "du", "env", "find",
    "grep", "head", "hexdump", "id", "less", "ln", "ls", "mkdir", "mount", "mv", "ps", "pwd", "readlink", "rm", "sed",
    "sort", "stat", "tail", "tar", "touch", "uname", "vi", "wc",
];

/// Tools that are ready.
#[derive(Debug)]
pub(super) struct Tools {
    /// Starts the shell.
    pub(super) command: Vec<String>,
    /// Variables that it needs.
    pub(super) variables: Vec<String>,
}

/// Puts the tools into the empty directory `place`, to be seen as `seen`.
///
/// # Errors
/// The host has no shell, or what the disk says.
pub(super) fn make(place: &Path, seen: &Path) -> Result<Tools> {
    open_to_all(place, 0o755)?;
    match closure(&["busybox"]) {
        // Nothing but itself: it needs no library.
        Ok(closure) if files(&closure).len() == 1 => busybox(&closure, place, seen),
        _ => through_loader(place, seen),
    }
}

/// The container's user may be anybody, and the caller's umask may leave nothing to others.
fn open_to_all(path: &Path, mode: u32) -> Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).on("change the mode of", path)
}

fn closure(names: &[&str]) -> Result<Closure> {
    let root = Root::open("/").on("open", Path::new("/"))?;
    let wanted = Wanted {
        programs: names.iter().map(std::ffi::OsString::from).collect(),
        ..Wanted::default()
    };
    bundle::closure(&root, DEFAULT_PATH, Path::new("/"), &wanted)
}

fn files(closure: &Closure) -> Vec<&Path> {
    let files = closure.entries.iter().filter(|entry| entry.kind == EntryKind::File);
    files.map(|entry| entry.path.as_path()).collect()
}

fn busybox(closure: &Closure, place: &Path, seen: &Path) -> Result<Tools> {
    let programs = place.join("bin");
    std::fs::create_dir(&programs).on("create", &programs)?;
    open_to_all(&programs, 0o755)?;
    let own = programs.join("busybox");
    for file in files(closure) {
        std::fs::copy(file, &own).on("copy", file)?;
    }
    for name in NAMES {
        let link = programs.join(name);
        std::os::unix::fs::symlink("busybox", &link).on("create", &link)?;
    }
    Ok(Tools {
        command: vec![seen.join("bin/sh").to_string_lossy().into_owned()],
        variables: Vec::new(),
    })
}

/// Programs whose loader and libraries aren't where they look for them: the shell is started through its loader, and has
/// a function for each other program that does the same.
fn through_loader(place: &Path, seen: &Path) -> Result<Tools> {
    let there: Vec<&str> = NAMES.into_iter().filter(|name| closure(&[name]).is_ok()).collect();
    if !there.contains(&"sh") {
        return Err(Error::wrong_with_hint(
            "neither the image nor this machine has a shell to look around with",
            "name a program of the image: wiac debug last PROGRAM",
        ));
    }
    let closure = closure(&there)?;
    bundle::place(Path::new("/"), &closure, place, Ownership::Caller)?;
    let at = |path: &Path| {
        seen.join(path.strip_prefix("/").unwrap_or(path))
            .to_string_lossy()
            .into_owned()
    };
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let all = files(&closure);
    let loader = all.iter().find(|path| name(path).starts_with("ld-"));
    let libraries: BTreeSet<PathBuf> = all
        .iter()
        .filter(|path| name(path).contains(".so"))
        .filter_map(|path| path.parent().map(Path::to_owned))
        .collect();
    let libraries: Vec<String> = libraries.iter().map(|path| at(path)).collect();
    let start = |program: &Path| match loader {
        Some(loader) => vec![
            at(loader),
            "--library-path".to_owned(),
            libraries.join(":"),
            at(program),
        ],
        None => vec![at(program)],
    };
    let mut functions = String::new();
    let mut shell = Vec::new();
    for program in &closure.programs {
        let real = std::fs::canonicalize(&program.found).unwrap_or_else(|_| program.found.clone());
        let words = start(&real);
        if program.name == "sh" {
            shell = words;
            continue;
        }
        let words: Vec<String> = words.iter().map(quote).collect();
        let _ = writeln!(functions, "{}() {{ {} \"$@\"; }}", program.name, words.join(" "));
    }
    let file = place.join("functions");
    std::fs::write(&file, functions).on("write", &file)?;
    open_to_all(&file, 0o644)?;
    Ok(Tools {
        command: shell,
        // sh(1): read by a shell that talks to somebody.
        variables: vec![format!("ENV={}", seen.join("functions").display())],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// In a root that has nothing else.
    #[test]
    fn programs_with_libraries_work_anywhere() {
        let root = tempfile::tempdir().expect("tempdir");
        let place = root.path().join("tools");
        std::fs::create_dir(&place).expect("mkdir");
        let tools = through_loader(&place, Path::new("/tools")).expect("tools");
        let variable = tools.variables[0].split_once('=').expect("a variable");
        let mut chroot = Command::new("chroot");
        chroot
            .arg(root.path())
            .args(&tools.command)
            .args(["-c", ". $ENV; ls / && echo a b | wc -w"]);
        let said = chroot
            .env(variable.0, variable.1)
            .output()
            .expect("chroot, which takes root");
        assert_eq!(String::from_utf8_lossy(&said.stdout), "tools\n2\n", "{said:?}");
    }
}
