//! The closure of every ELF program of this machine against what its own dynamic loader says (`ld.so --list PROGRAM`,
//! which maps the libraries but runs nothing of the program).
//!
//! Needs a machine whose /usr/bin has programs for glibc, as any Debian has; with fewer than fifty it fails rather than
//! pass without having compared anything.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use wiac_loader::{Closure, Collector, Elf, EntryKind, Error};
use wiac_sys::root::Root;

const EXCEPTIONS: &str = include_str!("closure_exceptions.txt");

/// The outcome of one side: the files apart from the program itself, or the libraries that are missing.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Files(BTreeSet<PathBuf>),
    Missing(BTreeSet<String>),
    Failed(String),
}

#[test]
fn every_program_agrees_with_its_loader() {
    let root = Root::open("/").unwrap();
    let exceptions = exceptions();
    let (mut compared, mut differing) = (0, Vec::new());
    for program in programs() {
        let file = File::open(&program).unwrap();
        let Ok(elf) = Elf::parse(&file) else {
            continue;
        };
        let Some(interpreter) = elf.interpreter else {
            continue;
        };
        compared += 1;
        let interpreter = String::from_utf8(interpreter).unwrap();
        let (ours, variants) = ours(&root, &program);
        let theirs = theirs(&interpreter, &program, &variants);
        let agrees = ours == theirs;
        let excepted = exceptions.contains_key(&program);
        if agrees == excepted {
            differing.push(format!(
                "{}: excepted: {excepted}\n  ours   {ours:?}\n  theirs {theirs:?}",
                program.display()
            ));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert!(
        compared >= 50,
        "only {compared} programs to compare: not a machine to run this test on"
    );
}

fn exceptions() -> BTreeMap<PathBuf, &'static str> {
    let lines = EXCEPTIONS
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (path, reason) = line.split_once('\t').expect("an exception has a reason");
            assert!(!reason.is_empty(), "an exception has a reason: {path}");
            (PathBuf::from(path), reason)
        })
        .collect()
}

/// The programs by their canonical path: the kernel tells a program that one, `ld.so --list` takes the one given.
fn programs() -> BTreeSet<PathBuf> {
    let entries = ["/usr/bin", "/usr/sbin"].map(|directory| std::fs::read_dir(directory).unwrap());
    let paths = entries.into_iter().flatten().map(|entry| entry.unwrap().path());
    let paths = paths.filter_map(|path| path.canonicalize().ok());
    paths.filter(|path| path.is_file() && is_executable(path)).collect()
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
}

/// Our files, and for each variant the baseline that stands beside it.
fn ours(root: &Root, program: &Path) -> (Outcome, BTreeMap<PathBuf, PathBuf>) {
    let mut collector = Collector::new(root);
    let result = collector.add_program(program).and_then(|()| collector.finish());
    match result {
        Ok(closure) => (Outcome::Files(baseline(&closure, program)), variants(&closure)),
        Err(Error::MissingLibraries(missing)) => {
            let names = missing.into_iter().map(|library| library.name);
            (Outcome::Missing(names.collect()), BTreeMap::new())
        }
        Err(error) => (Outcome::Failed(error.to_string()), BTreeMap::new()),
    }
}

fn baseline(closure: &Closure, program: &Path) -> BTreeSet<PathBuf> {
    let entries = closure.entries.iter();
    let files = entries.filter(|entry| entry.kind == EntryKind::File && entry.variant.is_none());
    let files = files.map(|entry| entry.path.clone());
    files
        .filter(|path| path != program && path != Path::new("/etc/ld.so.cache"))
        .collect()
}

fn variants(closure: &Closure) -> BTreeMap<PathBuf, PathBuf> {
    let mut variants = BTreeMap::new();
    for object in &closure.objects {
        for need in &object.needs {
            let baseline = object.needs.iter().find(|other| other.name == need.name);
            let baseline = baseline.map(|other| &closure.objects[other.object]);
            let variant = &closure.objects[need.object];
            if let (Some(baseline), Some(_)) = (baseline, &variant.variant) {
                variants.insert(variant.path.clone(), baseline.path.clone());
            }
        }
    }
    variants
}

/// What the loader prints: `NAME => PATH (ADDRESS)`, `PATH (ADDRESS)` or `NAME => not found`.
fn theirs(interpreter: &str, program: &Path, variants: &BTreeMap<PathBuf, PathBuf>) -> Outcome {
    let output = Command::new(interpreter)
        .arg("--list")
        .arg(program)
        .env_clear()
        .current_dir("/")
        .output()
        .unwrap_or_else(|error| panic!("{interpreter}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout);
    let (mut files, mut missing) = (BTreeSet::new(), BTreeSet::new());
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_suffix(" => not found") {
            missing.insert(name.to_owned());
            continue;
        }
        let path = line.rsplit_once(" (0x").map_or(line, |(path, _)| path);
        let path = path.split_once(" => ").map_or(path, |(_, path)| path);
        if !path.starts_with('/') {
            continue;
        }
        let path = Path::new(path).canonicalize().unwrap();
        let path = variants.get(&path).cloned().unwrap_or(path);
        files.insert(path);
    }
    if !missing.is_empty() {
        return Outcome::Missing(missing);
    }
    if !output.status.success() {
        return Outcome::Failed(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    files.remove(program);
    Outcome::Files(files)
}
