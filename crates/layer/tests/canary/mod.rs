//! Unpacking beside a tree that nobody may touch.

#![allow(dead_code, reason = "each test binary uses some of it")]

use crate::common::{assert_same, open, scratch, tree, unpack_into};
use rustix::fd::AsFd;
use std::path::PathBuf;
use wiac_layer::damage::{Side, damages};

/// What comes of an archive.
pub enum Outcome {
    /// It is refused with a line that contains this.
    Refused(&'static str),
    /// It is done; these paths are there, and no others.
    Done(&'static [&'static str]),
}
pub use Outcome::{Done, Refused};

/// Beside the layer there are a directory and a file that nobody may touch.
pub fn room() -> (tempfile::TempDir, PathBuf) {
    let dir = scratch();
    let canary = dir.path().join("canary");
    std::fs::create_dir_all(canary.join("dir")).expect("mkdir");
    std::fs::write(canary.join("file"), "canary").expect("write");
    (dir, canary)
}

pub fn check(name: &str, tar: &[u8], expected: &Outcome) {
    let (dir, canary) = room();
    let before = tree(&canary);
    let layer = dir.path().join("layer");
    let result = unpack_into(tar, &layer);
    assert_same(&tree(&canary), &before);
    let names: Vec<String> = std::fs::read_dir(dir.path())
        .expect("list")
        .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert!(names.len() == 2, "{name}: something new beside the layer: {names:?}");
    match (expected, result) {
        (Refused(text), Err(error)) => {
            let line = error.to_string();
            assert!(line.contains(text), "{name}: {line:?} doesn't say {text:?}");
            let is_clean = !line.chars().any(char::is_control) && line.len() < 1000;
            assert!(is_clean, "{name}: not one short, clean line: {line:?}");
        }
        (Done(paths), Ok(_)) => {
            let found: Vec<String> = tree(&layer).into_keys().filter(|path| !path.is_empty()).collect();
            assert_eq!(&found, paths, "{name}");
            // The same tar gives the same layer: a check finds nothing in it.
            let again = dir.path().join("again");
            unpack_into(tar, &again).expect("unpacked again");
            let sides = [&layer, &again].map(|path| open(path));
            let [found, meant] = [0, 1].map(|side| Side {
                directory: sides[side].as_fd(),
                owners: None,
            });
            let damages = damages(found, meant, 10).expect("compared");
            assert!(damages.is_empty(), "{name}: {damages:?}");
        }
        (Refused(_), Ok(_)) => panic!("{name}: was done: {:?}", tree(&layer).keys()),
        (Done(_), Err(error)) => panic!("{name}: {error}"),
    }
}
