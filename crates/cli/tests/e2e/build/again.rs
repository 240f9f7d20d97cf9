//! A COPY of a directory in which something changed: what did not change comes from the layer that the COPY made before.

use crate::harness::{Place, as_users};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

const DOCKERFILE: &str = "FROM scratch\nCOPY src /dst\n";

/// A context of a few files, older than what file systems' clocks tell apart.
fn prepare(place: &Place) {
    for (name, text) in [("a", "one\n"), ("b", "bee\n"), ("sub/c", "sea\n")] {
        place.write(&format!("context/src/{name}"), text);
    }
    place.write("context/Dockerfile", DOCKERFILE);
    settle();
}

/// So that a file that was just written is remembered.
fn settle() {
    std::thread::sleep(std::time::Duration::from_millis(80));
}

/// Builds; the directory of the only layer.
fn build(place: &Place, more: &[&str]) -> PathBuf {
    let said = place
        .wiac(["build", "context"].into_iter().chain(more.iter().copied()))
        .succeeds();
    PathBuf::from(said.text())
}

fn inode(layer: &std::path::Path, name: &str) -> u64 {
    let path = layer.join("dst").join(name);
    path.metadata()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .ino()
}

fn text(layer: &std::path::Path, name: &str) -> String {
    std::fs::read_to_string(layer.join("dst").join(name)).expect("it can be read")
}

as_users!(only_what_changed_is_copied: root, user, single);
fn only_what_changed_is_copied(place: &Place) {
    prepare(place);
    let first = build(place, &[]);
    assert_eq!(build(place, &[]), first);
    place.write("context/src/a", "two\n");
    place.write("context/src/new", "new\n");
    settle();
    let second = build(place, &[]);
    assert_ne!(first, second);
    for name in ["b", "sub/c"] {
        assert_eq!(inode(&first, name), inode(&second, name), "{name}");
    }
    assert_ne!(inode(&first, "a"), inode(&second, "a"));
    assert_eq!(
        (text(&first, "a"), text(&second, "a")),
        ("one\n".into(), "two\n".into())
    );
    assert_eq!(text(&second, "new"), "new\n");
    // From one to the next, also where nothing is hashed anew.
    place
        .host("rm context/src/new; mv context/src/b context/src/d")
        .succeeds();
    let third = build(place, &[]);
    assert_eq!(inode(&second, "a"), inode(&third, "a"));
    assert_eq!(inode(&first, "sub/c"), inode(&third, "sub/c"));
    assert_eq!(text(&third, "d"), "bee\n");
    assert!(!third.join("dst/b").exists() && !third.join("dst/new").exists());
    place.wiac(["store", "check", "--deep"]).succeeds();
}

as_users!(what_looks_the_same_and_isnt_is_copied: root, user);
fn what_looks_the_same_and_isnt_is_copied(place: &Place) {
    prepare(place);
    let first = build(place, &[]);
    // Length and time stay.
    place
        .host("cp -p context/src/a kept; printf 'eno\\n' >context/src/a; touch -r kept context/src/a; mv kept context/src/z")
        .succeeds();
    settle();
    let second = build(place, &[]);
    assert_eq!(text(&second, "a"), "eno\n");
    assert_ne!(inode(&first, "a"), inode(&second, "a"));
    // Another file under the name.
    place
        .host("cp -p context/src/b other; printf 'BEE\\n' >other; touch -r context/src/b other; mv other context/src/b")
        .succeeds();
    settle();
    let third = build(place, &[]);
    assert_eq!(text(&third, "b"), "BEE\n");
    // The same contents with another time, mode or owner are another copy.
    place
        .host("touch -d 2001-01-01 context/src/b; chmod 600 context/src/sub/c; echo >context/src/y")
        .succeeds();
    settle();
    let fourth = build(place, &[]);
    assert_ne!(inode(&third, "b"), inode(&fourth, "b"));
    assert_ne!(inode(&third, "sub/c"), inode(&fourth, "sub/c"));
    assert_eq!(inode(&third, "a"), inode(&fourth, "a"));
    let mode = fourth.join("dst/sub/c").metadata().expect("there").mode();
    assert_eq!(mode & 0o777, 0o600);
}

as_users!(names_of_one_file_stay_together: root, user);
fn names_of_one_file_stay_together(place: &Place) {
    prepare(place);
    place.host("ln context/src/a context/src/same").succeeds();
    settle();
    let first = build(place, &[]);
    place.write("context/src/b", "other\n");
    settle();
    let second = build(place, &[]);
    assert_eq!(inode(&second, "a"), inode(&second, "same"));
    assert_ne!(inode(&first, "a"), inode(&second, "a"));
}

as_users!(without_the_cache_everything_is_copied: root);
fn without_the_cache_everything_is_copied(place: &Place) {
    prepare(place);
    let first = build(place, &[]);
    let second = build(place, &["--no-cache"]);
    for name in ["a", "b", "sub/c"] {
        assert_ne!(inode(&first, name), inode(&second, name), "{name}");
    }
    // What is remembered may be lost at any time.
    place.host("rm data/cache/files/*").succeeds();
    place.write("context/src/a", "two\n");
    settle();
    let third = build(place, &[]);
    assert_eq!((text(&third, "a"), text(&third, "b")), ("two\n".into(), "bee\n".into()));
    assert_ne!(inode(&second, "b"), inode(&third, "b"));
}

as_users!(a_layer_that_is_gone_is_not_missed: root);
fn a_layer_that_is_gone_is_not_missed(place: &Place) {
    prepare(place);
    let first = build(place, &[]);
    place.wiac(["prune", "-af"]).succeeds();
    assert!(!first.exists());
    place.write("context/src/a", "two\n");
    settle();
    let second = build(place, &[]);
    assert_eq!(
        (text(&second, "a"), text(&second, "b")),
        ("two\n".into(), "bee\n".into())
    );
    place.wiac(["store", "check", "--deep"]).succeeds();
}
