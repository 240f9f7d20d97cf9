//! What is said where a copy can't be made, and that nothing half-made is left.

use crate::fixture::{Place, give_to_nobody, plain, require_root, sparse};
use crate::{copy, copy_elsewhere};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use wiac_build::copy::copy_into_layer;

fn refusal(layer: &Path, sources: &[&Path], destination: &str) -> String {
    let sources: Vec<PathBuf> = sources.iter().map(|path| (*path).to_owned()).collect();
    let result = copy_into_layer(layer, &sources, OsStr::new(destination));
    result.expect_err("the copy is refused").to_string()
}

fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in {text:?}");
    }
    assert!(!text.contains('\n'), "one line: {text:?}");
}

#[test]
fn a_missing_source() {
    let place = Place::new();
    place.file("settings/server.conf", "");
    let layer = place.join("layer");
    let there = place.join("settings");
    let said = refusal(&layer, &[&there, &place.join("settings/sever.conf")], "/");
    assert_says(
        &said,
        &[
            "settings/sever.conf: there is no such file",
            "did you mean",
            "settings/server.conf?",
        ],
    );
    let said = refusal(&layer, &[&place.join("setings/server.conf")], "/");
    assert_says(&said, &["there is no such file", "did you mean", "settings?"]);
    let said = refusal(&layer, &[&place.join("nothing-like-it")], "/");
    assert_says(&said, &["there is no such file or directory"]);
    assert!(!layer.exists(), "sources are looked up before anything is written");
}

#[test]
fn no_path_at_all() {
    let place = Place::new();
    let file = place.file("file", "");
    assert_says(&refusal(&place.join("layer"), &[&file], ""), &["is empty"]);
    assert_says(&refusal(&place.join("layer"), &[Path::new("")], "/"), &["is empty"]);
    assert_says(&refusal(&place.join("layer"), &[], "/"), &["at least one source"]);
}

#[test]
fn an_unreadable_file() {
    require_root();
    let place = Place::new();
    let file = place.file("file", "secret");
    crate::fixture::mode(place.path(), "file", 0o600);
    give_to_nobody(&place.directory("layer/diff"));
    let said = copy_elsewhere(true, &[], &place.join("layer"), &[&file], "/");
    assert_says(
        &said,
        &[
            "file: can't read it",
            "Permission denied",
            "make it readable for this user",
        ],
    );
    assert_eq!(place.join("layer/diff").read_dir().expect("readdir").count(), 0);
}

#[test]
fn a_device_without_root() {
    require_root();
    let place = Place::new();
    let null = place.join("null");
    let bits = rustix::fs::Mode::from_raw_mode(0o666);
    let device = rustix::fs::makedev(1, 3);
    let kind = rustix::fs::FileType::CharacterDevice;
    rustix::fs::mknodat(rustix::fs::CWD, &null, kind, bits, device).expect("mknod");
    give_to_nobody(&place.directory("layer/diff"));
    let said = copy_elsewhere(true, &[], &place.join("layer"), &[&null], "/");
    assert_says(&said, &["null: can't make the device node", "or run as root"]);
}

#[test]
fn a_whiteout() {
    require_root();
    let place = Place::new();
    place.directory("tree");
    let bits = rustix::fs::Mode::from_raw_mode(0o600);
    let kind = rustix::fs::FileType::CharacterDevice;
    rustix::fs::mknodat(rustix::fs::CWD, place.join("tree/gone"), kind, bits, 0).expect("mknod");
    let said = refusal(&place.join("layer"), &[&place.join("tree")], "/");
    assert_says(&said, &["tree/gone: this is an overlay whiteout"]);
}

#[test]
fn a_destination_that_is_something_else() {
    let place = Place::new();
    let tree = place.join("tree");
    plain(&tree);
    let layer = place.join("layer");
    place.file("layer/diff/file", "old");
    place.directory("layer/diff/dir/large");
    let said = refusal(&layer, &[&tree], "/file");
    assert_says(
        &said,
        &[
            "layer/diff/file: a file is there already",
            "tree can't replace it with a directory",
        ],
    );
    let said = refusal(&layer, &[&tree], "/file/x");
    assert_says(
        &said,
        &["layer/diff/file: a file is there, where a directory is needed"],
    );
    let said = refusal(&layer, &[&tree], "/file/");
    assert_says(
        &said,
        &["layer/diff/file: a file is there, where a directory is needed"],
    );
    let said = refusal(&layer, &[&tree.join("large")], "/dir");
    assert_says(
        &said,
        &["layer/diff/dir/large: a directory is there already", "with a file"],
    );
    let said = refusal(&layer, &[&tree, &tree.join("large")], "/file");
    assert_says(&said, &["several sources need a directory", "this is a file"]);
    let said = refusal(&layer, &[&tree, &tree.join("large")], "/new");
    assert_says(
        &said,
        &[
            "several sources need a directory",
            "not there yet",
            "put a slash behind it",
        ],
    );
    assert_eq!(fs::read_to_string(layer.join("diff/file")).expect("read"), "old");
    place.file("a file", "");
    let said = refusal(&place.join("a file"), &[&tree], "/");
    assert_says(&said, &["a file: a file is there, where a directory is needed"]);
}

#[test]
fn two_sources_of_one_name() {
    let place = Place::new();
    let (first, second) = (place.file("a/name", "1"), place.file("b/name", "2"));
    let said = refusal(&place.join("layer"), &[&first, &second], "/x/");
    assert_says(&said, &["a/name and", "b/name would both become", "diff/x/name"]);
}

#[test]
fn loops_of_symlinks() {
    let place = Place::new();
    let file = place.file("file", "x");
    symlink("b", place.join("a")).expect("symlink");
    symlink("a", place.join("b")).expect("symlink");
    let said = refusal(&place.join("layer"), &[&place.join("a/x")], "/");
    assert_says(&said, &["a/x: can't read it", "its symlinks lead in a circle"]);
    copy(&place.join("layer"), &[place.join("a"), place.join("b")], "/");
    let said = refusal(&place.join("layer"), &[&file], "/a/x");
    assert_says(&said, &["diff/a", "its symlinks lead in a circle"]);
    let said = refusal(&place.join("layer"), &[&file], "/a");
    assert_says(&said, &["diff/a", "its symlinks lead in a circle"]);
}

#[test]
fn a_directory_into_itself() {
    let place = Place::new();
    let tree = place.directory("tree");
    place.file("tree/file", "x");
    let said = refusal(&tree.join("layer"), &[&tree], "/");
    assert_says(
        &said,
        &["can't copy the directory", "tree into itself", "tree/layer/diff/tree"],
    );
    let dot = PathBuf::from(format!("{}/.", tree.display()));
    let said = refusal(&tree.join("layer"), &[&dot], "/");
    assert_says(&said, &["into itself"]);
    assert_eq!(tree.join("layer/diff").read_dir().expect("readdir").count(), 0);
}

#[test]
fn a_file_onto_itself() {
    let place = Place::new();
    let file = place.file("layer/diff/file", "x");
    let said = refusal(&place.join("layer"), &[&file], "/");
    assert_says(&said, &["are the same file"]);
    assert_eq!(fs::read_to_string(file).expect("read"), "x");
}

#[test]
fn a_full_disk() {
    require_root();
    let place = Place::new();
    let tree = place.directory("tree");
    place.file("tree/large", vec![1; 300_000]);
    let layer = place.directory("layer");
    let script = r#"mount -t tmpfs -o size=64k none "$0" && "$@"; find "$0" | sed s/^/left:/"#;
    let layer_text = layer.display().to_string();
    let wrap = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        script,
        &layer_text,
    ];
    let said = copy_elsewhere(false, &wrap, &layer, &[&tree], "/");
    assert_says(
        &said,
        &[
            "diff/tree/large: can't write it",
            "No space left on device",
            "free space",
        ],
    );
}

#[test]
fn a_full_disk_leaves_nothing_of_the_file() {
    require_root();
    let place = Place::new();
    let file = place.file("large", vec![1; 300_000]);
    sparse(&place.join("sparse"));
    for source in [file, place.join("sparse")] {
        let layer = place.directory("layer");
        let layer_text = layer.display().to_string();
        let script = r#"mount -t tmpfs -o size=64k none "$0" && mkdir "$0/diff" && echo old > "$0/diff/name" &&
            "$@" && test "$(ls -A "$0/diff")" = name && test "$(cat "$0/diff/name")" = old && echo "==whole=="#;
        let script = format!("{script}\"");
        let wrap = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            &script,
            &layer_text,
        ];
        let program = std::env::current_exe().expect("this test program");
        let words = format!("{layer_text}\n/name\n{}", source.display());
        let mut command = std::process::Command::new(wrap[0]);
        command
            .args(&wrap[1..])
            .arg(program)
            .args(["--exact", "child", "--ignored", "--nocapture"]);
        let output = crate::run(false, command.env(crate::CHILD, words));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.contains("No space left on device") && text.contains("==whole=="),
            "{text}"
        );
    }
}
