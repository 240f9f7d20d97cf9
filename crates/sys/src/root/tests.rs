//! Roots built in a temporary directory, hostile ones among them.

use super::*;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

struct Tree(PathBuf);

impl Tree {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "wiac-root-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(path.join("root/usr/lib")).unwrap();
        std::fs::write(path.join("root/usr/lib/libc.so"), "inside").unwrap();
        std::fs::write(path.join("secret"), "outside").unwrap();
        Self(path)
    }

    fn link(self, target: &str, at: &str) -> Self {
        symlink(target, self.0.join("root").join(at)).unwrap();
        self
    }

    fn root(&self) -> Root {
        Root::open(self.0.join("root")).unwrap()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn links(resolved: &Resolved) -> Vec<String> {
    resolved
        .links
        .iter()
        .map(|link| format!("{} -> {}", link.path.display(), link.target.display()))
        .collect()
}

#[test]
fn tells_every_link_of_a_chain() {
    let tree = Tree::new()
        .link("usr/lib", "lib")
        .link("/lib/b", "a")
        .link("../lib/libc.so", "usr/lib/b");
    let resolved = tree.root().resolve("a").unwrap();
    assert_eq!(resolved.path, PathBuf::from("/usr/lib/libc.so"));
    let expected = ["/a -> /lib/b", "/lib -> usr/lib", "/usr/lib/b -> ../lib/libc.so"];
    assert_eq!(links(&resolved), expected);
    assert_eq!(resolved.metadata.size, 6);
}

#[test]
fn stays_inside() {
    let tree = Tree::new().link("../../../secret", "up").link("/../secret", "absolute");
    let root = tree.root();
    for path in ["up", "absolute", "/../secret", "../secret", "usr/../../secret"] {
        assert_eq!(root.resolve(path).unwrap_err().errno(), Errno::NOENT, "{path}");
        assert_eq!(root.open_file(path).unwrap_err().errno(), Errno::NOENT, "{path}");
        assert_eq!(root.metadata(path).unwrap_err().errno(), Errno::NOENT, "{path}");
    }
}

#[test]
fn dots_at_the_top_stay_there() {
    let tree = Tree::new();
    let root = tree.root();
    let resolved = root.resolve("/../../usr/./lib/..").unwrap();
    assert_eq!(resolved.path, PathBuf::from("/usr"));
    assert_eq!(resolved.left, [PathBuf::from("/usr/lib")]);
    assert_eq!(resolved.metadata.kind, FileKind::Directory);
    assert_eq!(root.resolve("/").unwrap().path, PathBuf::from("/"));
}

#[test]
fn loops_and_missing_files_name_the_step() {
    let tree = Tree::new().link("loop", "loop").link("nowhere", "dangling");
    let root = tree.root();
    let error = root.resolve("/loop").unwrap_err();
    assert_eq!(error.errno(), Errno::LOOP);
    let error = root.resolve("/dangling").unwrap_err();
    assert_eq!(error.errno(), Errno::NOENT);
    assert!(error.to_string().contains("/nowhere"), "{error}");
    let error = root.resolve("/usr/lib/libc.so/x").unwrap_err();
    assert_eq!(error.errno(), Errno::NOTDIR);
    assert_eq!(root.resolve("/usr/lib/libc.so/").unwrap_err().errno(), Errno::NOTDIR);
    assert_eq!(root.resolve("").unwrap_err().errno(), Errno::NOENT);
}

/// Each link leaves more behind it than the one before: fewer than 40 of them, but no end to the path.
#[test]
fn links_that_lengthen_the_path_for_ever_are_refused() {
    let long = "usr/../".repeat(500);
    let tree = (0..30).fold(Tree::new(), |tree, index| {
        tree.link(&format!("l{}/{long}", index + 1), &format!("l{index}"))
    });
    let error = tree.root().resolve("/l0").unwrap_err();
    assert_eq!(error.errno(), Errno::NAMETOOLONG);
    assert!(error.to_string().contains("/l18"), "{error}");
}

#[test]
fn the_last_link_can_be_kept() {
    let tree = Tree::new().link("libc.so", "usr/lib/l");
    let root = tree.root();
    let resolved = root.walk().resolve_nofollow("/usr/lib/l").unwrap();
    assert_eq!(resolved.path, PathBuf::from("/usr/lib/l"));
    assert_eq!(resolved.metadata.kind, FileKind::Symlink);
    assert_eq!(root.read_link("/usr/lib/l").unwrap(), PathBuf::from("libc.so"));
    assert_eq!(root.symlink_metadata("/usr/lib/l").unwrap().kind, FileKind::Symlink);
}

#[test]
fn magic_links_lead_nowhere() {
    let root = Root::open("/").unwrap();
    assert!(root.open_file("/proc/self/root/etc/passwd").is_err());
    assert!(root.open_file("/proc/self/ns/mnt").is_err());
    assert_eq!(root.resolve("/proc/self/ns/mnt").unwrap_err().errno(), Errno::NOENT);
}

#[test]
fn devices_are_not_opened() {
    let root = Root::open("/").unwrap();
    assert_eq!(root.open_file("/dev/null").unwrap_err().errno(), Errno::INVAL);
    assert_eq!(root.open_file("/dev").unwrap_err().errno(), Errno::ISDIR);
}

#[test]
fn lists_sorted() {
    let tree = Tree::new().link("x", "usr/lib/a");
    let names: Vec<_> = tree.root().read_dir("/usr/lib").unwrap();
    let names: Vec<_> = names.iter().map(|entry| entry.name.to_str().unwrap()).collect();
    assert_eq!(names, ["a", "libc.so"]);
}

#[test]
fn a_file_is_no_root() {
    let file = File::open("/proc/version").unwrap();
    assert_eq!(Root::from_fd(file.into()).unwrap_err().errno(), Errno::NOTDIR);
}

/// A lookup that goes straight to the last directory says the same as one that takes every step by itself.
#[test]
fn a_straight_way_and_single_steps_lead_to_the_same() {
    let tree = Tree::new()
        .link("usr/lib", "lib")
        .link("lib", "usr/library")
        .link("../../lib", "usr/lib/up");
    std::fs::create_dir(tree.0.join("root/usr/lib/deep")).unwrap();
    let root = tree.root();
    for path in [
        "/usr/lib/libc.so",
        "/usr/lib/deep/",
        "/usr/lib/deep/none",
        "/usr/none/deep/libc.so",
        "/usr/lib/libc.so/below/it",
        "/lib/deep/../libc.so",
        "/usr/library/deep/none",
        "/usr/library/libc.so",
        "/usr/lib/up/deep/../libc.so",
        "/usr/lib/up/libc.so",
        "/usr/./lib/libc.so",
        "/usr/lib/../lib/none/x",
    ] {
        let mut stepping = root.walk();
        // What it has seen a step of it goes on with step by step.
        for first in ["/usr", "/lib"] {
            stepping.resolve_nofollow(first).unwrap();
        }
        let (mut twice, expected) = (root.walk(), stepping.trace(path));
        assert_eq!(twice.trace(path), expected, "{path}");
        assert_eq!(twice.trace(path), expected, "{path}, once more");
    }
}
