use super::*;
use crate::Form;
use std::fs;
use std::os::unix::fs::symlink;

fn stack(layers: &[&[(&str, &str)]]) -> (tempfile::TempDir, LayerStack) {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut paths = Vec::new();
    for (number, files) in layers.iter().enumerate() {
        let layer = dir.path().join(number.to_string());
        fs::create_dir(&layer).expect("mkdir");
        for (path, text) in *files {
            make(&layer.join(path), text);
        }
        paths.push(layer);
    }
    (dir, LayerStack::new(paths))
}

fn make(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
    match text.split_once(':') {
        Some(("link", target)) => symlink(target, path).expect("symlink"),
        Some(("whiteout", _)) => {
            rustix::fs::mknodat(rustix::fs::CWD, path, FileType::CharacterDevice, Mode::empty(), 0).expect("whiteout");
        }
        _ => fs::write(path, text).expect("write"),
    }
}

fn read(stack: &LayerStack, path: &str) -> Option<String> {
    stack.read_text(Path::new(path)).expect("readable")
}

#[test]
fn the_topmost_wins() {
    let (_dir, stack) = stack(&[
        &[("etc/passwd", "old"), ("etc/group", "base")],
        &[("etc/passwd", "new")],
    ]);
    assert_eq!(read(&stack, "/etc/passwd").as_deref(), Some("new"));
    assert_eq!(read(&stack, "/etc/group").as_deref(), Some("base"));
    assert_eq!(read(&stack, "/etc/shadow"), None);
}

#[test]
fn deletions_hide() {
    let (_dir, stack) = stack(&[
        &[("a/b", "x"), ("c", "y")],
        &[("c", "whiteout:")],
        &[("a", "whiteout:")],
    ]);
    assert_eq!(read(&stack, "/c"), None);
    assert_eq!(read(&stack, "/a/b"), None);
}

#[test]
fn an_opaque_directory_hides() {
    let (dir, stack) = stack(&[&[("d/old", "x")], &[("d/new", "y")]]);
    let name = Form::User.attribute("opaque");
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(dir.path().join("1/d"), name, b"y", flags).expect("user xattrs on the test's disk");
    assert_eq!(read(&stack, "/d/old"), None);
    assert_eq!(read(&stack, "/d/new").as_deref(), Some("y"));
}

#[test]
fn links_are_resolved_in_the_merged_tree() {
    let (_dir, stack) = stack(&[
        &[
            ("usr/lib64/x", "x"),
            ("lib64", "link:usr/lib64"),
            ("abs", "link:/usr/lib64"),
        ],
        &[("usr/lib64/y", "y"), ("up", "link:../../../usr/lib64")],
    ]);
    for path in ["/lib64/y", "/abs/y", "/up/x", "lib64/../lib64/y"] {
        assert!(read(&stack, path).is_some(), "{path}");
    }
    let resolved = stack.resolve(Path::new("/lib64/new/file")).expect("resolved");
    assert_eq!(resolved.path, Path::new("/usr/lib64/new/file"));
    assert!(resolved.found.is_none());
    assert_eq!(resolved.deepest.1, 2);
}

#[test]
fn a_loop_of_links_is_an_error() {
    let (_dir, stack) = stack(&[&[("a", "link:b"), ("b", "link:a")]]);
    assert!(stack.resolve(Path::new("/a")).is_err());
}
