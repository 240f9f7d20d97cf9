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

/// What a lookup finds: the kind, the layer and the names below.
fn shown(stack: &LayerStack, path: &str) -> String {
    let resolved = match stack.resolve(Path::new(path)) {
        Ok(resolved) => resolved,
        Err(error) => return error.to_string(),
    };
    match resolved.found {
        None => "nothing".to_owned(),
        Some(Found::Other { parent, name, status }) => {
            let mut text = String::new();
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&parent, name.as_os_str(), flags, Mode::empty()).expect("opened");
            std::fs::File::from(file).read_to_string(&mut text).expect("read");
            format!("{text} {}", status.st_size)
        }
        Some(Found::Directory(directory)) => {
            let layer = directory.topmost_and_layer().map(|(_, layer)| layer);
            format!("{layer:?} {:?}", directory.names().expect("listed"))
        }
    }
}

#[test]
fn what_is_known_of_lower_layers_stays_right() {
    let opaque = |path: &Path| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(path, Form::User.attribute("opaque"), b"y", flags)
            .expect("user xattrs on the test's disk");
    };
    let dir = tempfile::tempdir().expect("tempdir");
    let mut paths: Vec<PathBuf> = Vec::new();
    let known = KnownLayers::default();
    let asked = [
        "/",
        "/app",
        "/app/f1",
        "/app/f40",
        "/app/sub",
        "/app/sub/x",
        "/etc",
        "/etc/passwd",
        "/link/f1",
        "/none/x",
    ];
    for number in 0..120 {
        let layer = dir.path().join(number.to_string());
        fs::create_dir(&layer).expect("mkdir");
        make(&layer.join(format!("app/f{number}")), &number.to_string());
        match number {
            1 => make(&layer.join("etc/passwd"), "root"),
            2 => make(&layer.join("link"), "link:app"),
            44 | 70 => make(&layer.join("app/sub/x"), &format!("x{number}")),
            50 | 90 => make(&layer.join("app/f1"), "whiteout:"),
            55 | 80 => make(&layer.join("etc"), "whiteout:"),
            60 => make(&layer.join("app/f1"), "again"),
            65 => opaque(&layer.join("app")),
            75 => make(&layer.join("etc/passwd"), "new"),
            95 => make(&layer.join("etc"), "a file"),
            100 => make(&layer.join("etc/other"), "o"),
            110 => {
                fs::remove_dir_all(layer.join("app")).expect("removed");
                make(&layer.join("app"), "whiteout:");
            }
            _ => {}
        }
        // Also below a directory that is still being written.
        let below = LayerStack::new(paths.clone()).remembering(&known);
        let below = below.expect("remembering").with_upper(&layer);
        assert_eq!(below.known.is_some(), number >= known::FEW);
        paths.push(layer);
        let plain = LayerStack::new(paths.clone());
        let expected = asked.map(|path| shown(&plain, path));
        if number % 3 == 0 {
            assert_eq!(asked.map(|path| shown(&below, path)), expected, "{number}");
        }
        if number % 4 < 3 {
            let remembering = LayerStack::new(paths.clone()).remembering(&known).expect("remembering");
            assert_eq!(remembering.known.is_some(), number + 1 >= known::FEW);
            assert_eq!(asked.map(|path| shown(&remembering, path)), expected, "{number}");
        }
    }
    // Other layers.
    paths.remove(0);
    let others = LayerStack::new(paths.clone()).remembering(&known).expect("remembering");
    assert!(others.known.is_none());
    assert!(known.clone().root(&paths).expect("opened").is_some());
}

#[test]
fn a_layer_with_very_many_names_is_asked() {
    let dir = tempfile::tempdir().expect("tempdir");
    let paths: Vec<PathBuf> = (0..40).map(|number| dir.path().join(number.to_string())).collect();
    for (number, path) in paths.iter().enumerate() {
        make(&path.join("app/last"), &number.to_string());
        make(&path.join(format!("app/{number}")), "");
    }
    for name in 0..5000 {
        make(&paths[5].join(format!("app/many {name}")), "");
    }
    make(&paths[30].join("app/many 7"), "whiteout:");
    make(&paths[31].join("app/many 8"), "above");
    let known = KnownLayers::default();
    for count in [35, 36, 40] {
        let stack = LayerStack::new(paths[..count].to_vec());
        let stack = stack.remembering(&known).expect("remembering");
        let found = |name: &str| read(&stack, &format!("/app/{name}"));
        assert_eq!(found("last"), Some((count - 1).to_string()));
        assert_eq!((found("many 6"), found("many 7")), (Some(String::new()), None));
        assert_eq!((found("many 8").as_deref(), found("many 9000")), (Some("above"), None));
        assert_eq!(found("36").is_some(), count > 36);
    }
}
