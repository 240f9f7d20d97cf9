//! Merged layers are seen as the layers themselves are.

mod common;
mod random;

use common::{assert_same, open, scratch, shell, tree};
use proptest::prelude::*;
use random::{any_tree, make};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use wiac_layer::merge::{MergeOptions, Merged, merge};
use wiac_layer::merged::LayerStack;
use wiac_layer::owners::{Intended, OwnerRecord};
use wiac_layer::pack::{MergedOptions, pack_merged};
use wiac_layer::{Form, Result};

fn merged(layers: &[PathBuf], into: &Path, keep_marks: bool) -> Result<Merged> {
    std::fs::create_dir(into).expect("mkdir");
    let options = MergeOptions {
        keep_marks,
        owners: &[],
    };
    merge(layers, open(into), Form::Trusted, &options)
}

fn flat(layers: &[PathBuf]) -> Vec<u8> {
    let mut tar = Vec::new();
    let stack = LayerStack::new(layers.to_vec());
    pack_merged(&stack, &mut tar, &MergedOptions::default()).expect("packed");
    tar
}

/// What the kernel makes of layers.
fn mounted(room: &Path, layers: &[PathBuf]) -> std::collections::BTreeMap<String, common::Node> {
    let names: Vec<&str> = layers.iter().rev().map(|path| path.to_str().expect("text")).collect();
    shell(
        &format!("mkdir -p mnt; mount -t overlay o -o lowerdir={} mnt", names.join(":")),
        room,
    );
    let seen = tree(&room.join("mnt"));
    shell("umount mnt", room);
    seen
}

const LAYERS: &str = r"
mkdir -p a/d/sub a/e a/gone/x a/over a/kept b/d b/over b/gone c/d/sub c/e c/new
echo 1 > a/d/x; echo 1 > a/d/sub/y; echo 1 > a/e/z; echo 1 > a/over/q; echo 1 > a/file; ln a/file a/d/link; echo 1 > a/kept/k
rmdir b/gone; mknod b/gone c 0 0; echo 2 > b/d/x; rmdir b/over; echo 2 > b/over; mknod b/d/sub c 0 0; chmod 711 b/d
setfattr -n trusted.overlay.opaque -v y c/e; echo 3 > c/e/new; echo 3 > c/d/sub/z; mkdir c/gone; echo 3 > c/gone/n
mkfifo c/new/p; mknod c/new/null c 1 3; ln -s x c/new/l; chown 5:6 c/d; setfattr -n user.a -v 1 c/d
touch -d '2020-01-01 UTC' a/* b/* c/* a b c
";

fn layers(room: &Path) -> Vec<PathBuf> {
    shell(LAYERS, room);
    ["a", "b", "c"].map(|name| room.join(name)).to_vec()
}

#[test]
fn the_kernel_sees_the_same() {
    let dir = scratch();
    let layers = layers(dir.path());
    let into = dir.path().join("into");
    let done = merged(&layers, &into, false).expect("merged");
    assert_eq!(done.copied, 0);
    assert_same(&tree(&into), &mounted(dir.path(), &layers));
    // No data was copied.
    let inode = |path: &str| dir.path().join(path).symlink_metadata().expect("there").ino();
    assert_eq!(inode("into/file"), inode("a/file"));
}

#[test]
fn marks_are_kept_for_what_is_below() {
    let dir = scratch();
    let layers = layers(dir.path());
    let into = dir.path().join("into");
    merged(&layers[1..], &into, true).expect("merged");
    let with = [layers[0].clone(), into];
    assert_same(&mounted(dir.path(), &with), &mounted(dir.path(), &layers));
}

#[test]
fn a_mark_on_nothing_is_not_listed() {
    let dir = scratch();
    shell(
        "mkdir -p low lower/d upper/d; touch lower/d/x lower/d/y; mknod upper/d/x c 0 0",
        dir.path(),
    );
    let layers = ["low", "lower", "upper"].map(|name| dir.path().join(name));
    let into = dir.path().join("into");
    merged(&layers[1..], &into, true).expect("merged");
    let seen = mounted(dir.path(), &[layers[0].clone(), into]);
    assert_eq!(seen.into_keys().collect::<Vec<_>>(), ["", "d", "d/y"]);
}

#[test]
fn another_file_system_gets_copies() {
    let dir = scratch();
    let other = tempfile::tempdir_in("/var/tmp").expect("tempdir");
    let layers = layers(dir.path());
    let device = |path: &Path| path.metadata().expect("there").dev();
    assert_ne!(
        device(dir.path()),
        device(other.path()),
        "this test needs /var/tmp and /dev/shm to be two file systems"
    );
    let into = other.path().join("into");
    let done = merged(&layers, &into, false).expect("merged");
    assert!(done.linked == 0 && done.copied > 5, "{done:?}");
    assert_same(&tree(&into), &mounted(dir.path(), &layers));
}

#[test]
fn records_follow_their_files() {
    let dir = scratch();
    let layers = layers(dir.path());
    let owner = |uid| Intended {
        uid,
        ..Intended::default()
    };
    let (mut base, mut top) = (OwnerRecord::default(), OwnerRecord::default());
    for path in ["d/x", "d/sub/y", "file", "d", ""] {
        base.insert(path.as_bytes(), owner(1));
    }
    top.insert(b"d", owner(3));
    let into = dir.path().join("into");
    std::fs::create_dir(&into).expect("mkdir");
    let options = MergeOptions {
        keep_marks: false,
        owners: &[Some(&base), None, Some(&top)],
    };
    let owners = merge(&layers, open(&into), Form::Trusted, &options)
        .expect("merged")
        .owners
        .expect("a record");
    let found: Vec<(&str, u32)> = owners
        .iter()
        .map(|(path, intended)| (std::str::from_utf8(path).expect("text"), intended.uid))
        .collect();
    assert_eq!(found, [("d", 3), ("file", 1)]);
}

#[test]
fn what_cant_be_merged_is_refused() {
    let dir = scratch();
    shell(
        "mkdir -p a/d; setfattr -n trusted.overlay.redirect -v x a/d",
        dir.path(),
    );
    let error = merged(&[dir.path().join("a")], &dir.path().join("into"), false).expect_err("refused");
    assert!(
        error.to_string().starts_with("d: is a directory that was renamed"),
        "{error}"
    );
}

/// Many layers that all have a deep directory: far more open directories than a process may have, if all were kept.
#[test]
fn deep_directories_of_many_layers() {
    let dir = scratch();
    let script =
        "for i in $(seq 100); do mkdir -p l$i/1/2/3/4/5/6/7/8/9/10/11/12; echo $i > l$i/1/2/3/4/5/6/7/8/9/10/11/12/$i
echo $i > l$i/1/2/z$i; done";
    shell(script, dir.path());
    let layers: Vec<PathBuf> = (1..=100).map(|number| dir.path().join(format!("l{number}"))).collect();
    let few = rustix::process::Rlimit {
        current: Some(900),
        maximum: rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum,
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, few).expect("setrlimit");
    let into = dir.path().join("into");
    merged(&layers, &into, false).expect("merged");
    assert!(flat(&layers) == flat(&[into]));
}

#[test]
fn three_hundred_layers_become_one() {
    let dir = scratch();
    let script = "for i in $(seq 300); do mkdir -p l$i/d; echo $i > l$i/d/$((i % 50)); echo $i > l$i/f$i; done";
    shell(script, dir.path());
    let layers: Vec<PathBuf> = (1..=300).map(|number| dir.path().join(format!("l{number}"))).collect();
    let into = dir.path().join("into");
    merged(&layers, &into, false).expect("merged");
    assert_eq!(std::fs::read(into.join("d/7")).expect("read"), b"257\n");
    assert_eq!(tree(&into).len(), 1 + 1 + 50 + 300);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_layers_are_seen_the_same(base in any_tree(), middle in any_tree(), top in any_tree()) {
        let dir = scratch();
        let layers: Vec<PathBuf> = [base, middle, top].iter().enumerate().map(|(number, root)| {
            let path = dir.path().join(number.to_string());
            make(root, &path, &mut None);
            path
        }).collect();
        let expected = flat(&layers);
        let all = dir.path().join("all");
        merged(&layers, &all, false).expect("merged");
        prop_assert!(flat(&[all]) == expected, "all merged, it differs");
        let upper = dir.path().join("upper");
        merged(&layers[1..], &upper, true).expect("merged");
        prop_assert!(flat(&[layers[0].clone(), upper]) == expected, "the upper two merged, it differs");
    }
}
