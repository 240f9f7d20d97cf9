//! The copier itself: its options, filters, and trees that change or are deep.

use crate::fixture::{Place, mode, own, plain, require_root, xattr};
use rustix::fs::{Mode, OFlags};
use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wiac_build::copy::{
    Choice, Conflict, Copier, Error, FileKind, Merged, ModeRule, Options, Ownership, Place as At, Report,
};

fn open(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).expect("open")
}

/// Copies `from` to `to` within the place.
fn try_copy(place: &Place, options: Options, from: &str, to: &str) -> Result<Report, Error> {
    let dir = open(place.path());
    let at = |name| At {
        dir: dir.as_fd(),
        name: OsStr::new(name),
        shown: Path::new(name),
    };
    let mut copier = Copier::new(options);
    copier.copy(&at(from), &at(to)).map(|()| copier.report())
}

fn copy(place: &Place, options: Options, from: &str, to: &str) -> Report {
    try_copy(place, options, from, to).expect("the copy succeeds")
}

/// Ends the thread that disturbs a test, however the test ends.
struct Ending<'s>(&'s std::sync::atomic::AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

fn stat(place: &Place, path: &str) -> fs::Metadata {
    place.join(path).symlink_metadata().expect(path)
}

#[test]
fn one_owner_and_mode_for_all() {
    require_root();
    let place = Place::new();
    plain(&place.join("tree"));
    own(place.path(), "tree/sub", 5, 6);
    let options = Options {
        ownership: Ownership::Fixed { uid: 11, gid: 12 },
        mode: ModeRule::Fixed(0o751),
        times: false,
        xattrs: false,
        hard_links: false,
        ..Options::default()
    };
    let report = copy(&place, options, "tree", "out");
    assert_eq!(report.links, 0);
    for path in ["out", "out/file", "out/sub", "out/sub/same", "out/fifo", "out/sub/deep"] {
        let found = stat(&place, path);
        assert_eq!(
            (
                found.uid(),
                found.gid(),
                found.mode() & 0o7777,
                found.mtime() > 1_500_000_000
            ),
            (11, 12, 0o751, true)
        );
    }
    let link = stat(&place, "out/to directory");
    assert_eq!((link.uid(), link.gid()), (11, 12));
    assert_eq!(
        rustix::fs::llistxattr(place.join("out/file"), &mut [0; 100]).expect("list"),
        0
    );
}

#[test]
fn a_function_for_the_mode_and_the_callers_ownership() {
    require_root();
    let place = Place::new();
    plain(&place.join("tree"));
    own(place.path(), "tree/sub", 5, 6);
    let add = |kind: FileKind, bits: u32| {
        if kind == FileKind::Directory {
            bits | 0o5
        } else {
            bits & !0o222
        }
    };
    let options = Options {
        ownership: Ownership::Caller,
        mode: ModeRule::Map(Arc::new(add)),
        ..Options::default()
    };
    copy(&place, options, "tree", "out");
    let sub = stat(&place, "out/sub");
    assert_eq!((sub.uid(), sub.mode() & 0o7777), (0, 0o755));
    assert_eq!(stat(&place, "out/sub/program").mode() & 0o7777, 0o555);
}

#[test]
fn an_owner_that_must_be_kept() {
    require_root();
    let place = Place::new();
    plain(&place.join("tree"));
    let options = Options {
        ownership: Ownership::Fixed {
            uid: u32::MAX - 1,
            gid: 0,
        },
        ownership_required: true,
        ..Options::default()
    };
    // Root may; what can't be tried here is covered by the copy of an ordinary user.
    copy(&place, options, "tree", "out");
    assert_eq!(stat(&place, "out/file").uid(), u32::MAX - 1);
}

#[test]
fn a_filter_leaves_out_and_makes_parents_late() {
    let place = Place::new();
    plain(&place.join("tree"));
    let dir = open(place.path());
    let at = |name| At {
        dir: dir.as_fd(),
        name: OsStr::new(name),
        shown: Path::new(name),
    };
    let mut asked = Vec::new();
    let mut filter = |path: &Path, kind: FileKind| {
        asked.push((path.to_owned(), kind));
        match path.to_str() {
            Some("sub" | "sub/deep") => Choice::Descend,
            Some("sub/deep/er" | "file") => Choice::Include,
            Some(text) if text.starts_with("sub/deep/er/") => Choice::Include,
            _ => Choice::Exclude,
        }
    };
    let mut copier = Copier::new(Options::default());
    copier
        .copy_filtered(&at("tree"), &at("out"), &mut filter)
        .expect("copied");
    assert!(asked.contains(&(PathBuf::from("sub/dangling"), FileKind::Symlink)));
    let found: Vec<String> = crate::tree::look(&place.join("out"))
        .keys()
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(
        found,
        ["", "file", "sub", "sub/deep", "sub/deep/er", "sub/deep/er/last"]
    );
    assert_eq!(stat(&place, "out/sub").mode() & 0o7777, 0o750);
    let mut nothing = |_: &Path, _: FileKind| Choice::Descend;
    copier
        .copy_filtered(&at("tree"), &at("bare"), &mut nothing)
        .expect("copied");
    assert_eq!(place.join("bare").read_dir().expect("readdir").count(), 0);
}

#[test]
fn conflicts_are_refused_or_replaced() {
    let place = Place::new();
    place.file("tree/a", "file");
    place.file("tree/b/c", "in a directory");
    place.file("out/a/x/y", "in the way");
    symlink("elsewhere", place.join("out/b")).expect("symlink");
    let error = try_copy(&place, Options::default(), "tree", "out")
        .expect_err("refused")
        .to_string();
    assert!(error.contains("is there already"), "{error}");
    let options = Options {
        conflict: Conflict::Replace,
        ..Options::default()
    };
    copy(&place, options, "tree", "out");
    crate::tree::assert_same("replaced", &place.join("tree"), &place.join("out"));
}

#[test]
fn merged_directories() {
    let place = Place::new();
    place.directory("tree/sub");
    mode(place.path(), "tree", 0o711);
    mode(place.path(), "tree/sub", 0o711);
    for (merged, expected) in [
        (Merged::Source, (0o711, 0o711)),
        (Merged::SourceBelow, (0o700, 0o711)),
        (Merged::Untouched, (0o700, 0o700)),
    ] {
        place.directory("out/sub");
        mode(place.path(), "out", 0o700);
        mode(place.path(), "out/sub", 0o700);
        copy(
            &place,
            Options {
                merged,
                ..Options::default()
            },
            "tree",
            "out",
        );
        let found = (
            stat(&place, "out").mode() & 0o777,
            stat(&place, "out/sub").mode() & 0o777,
        );
        assert_eq!(found, expected, "{merged:?}");
    }
}

#[test]
fn a_file_in_place_of_another_leaves_its_other_names_alone() {
    let place = Place::new();
    place.file("tree/file", "new");
    place.file("out/file", "old");
    fs::hard_link(place.join("out/file"), place.join("other")).expect("link");
    symlink("../other", place.join("out/link")).expect("symlink");
    place.file("tree/link", "a file by now");
    copy(&place, Options::default(), "tree", "out");
    assert_eq!(fs::read_to_string(place.join("out/file")).expect("read"), "new");
    assert_eq!(fs::read_to_string(place.join("other")).expect("read"), "old");
    assert!(!place.join("out/link").is_symlink());
}

#[test]
fn overlays_own_attributes_stay_behind() {
    require_root();
    let place = Place::new();
    place.directory("tree");
    for name in [
        "trusted.overlay.opaque",
        "trusted.overlay.origin",
        "user.overlay.opaque",
        "user.kept",
        "trusted.kept",
    ] {
        xattr(place.path(), "tree", name, b"y");
    }
    copy(&place, Options::default(), "tree", "out");
    let found = crate::tree::look(&place.join("out"))
        .remove(Path::new(""))
        .expect("the top");
    assert!(
        found.contains("user.kept") && found.contains("trusted.kept") && !found.contains("overlay"),
        "{found}"
    );
}

#[test]
fn hard_links_across_sources() {
    let place = Place::new();
    place.file("a/one", "x");
    place.directory("b");
    fs::hard_link(place.join("a/one"), place.join("b/two")).expect("link");
    let dir = open(place.path());
    let at = |name| At {
        dir: dir.as_fd(),
        name: OsStr::new(name),
        shown: Path::new(name),
    };
    let mut copier = Copier::new(Options::default());
    copier.copy(&at("a"), &at("x")).expect("copied");
    copier.copy(&at("b"), &at("y")).expect("copied");
    assert_eq!(stat(&place, "x/one").ino(), stat(&place, "y/two").ino());
    assert_eq!(copier.report().links, 1);
}

/// Deeper than files may be open, and than a path may be long.
#[test]
fn a_very_deep_tree() {
    const DEPTH: usize = 3000;
    let place = Place::new();
    let mut dir = open(&place.directory("tree"));
    for _ in 0..DEPTH {
        rustix::fs::mkdirat(&dir, "directory", Mode::RWXU).expect("mkdir");
        dir = rustix::fs::openat(&dir, "directory", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("open");
        rustix::fs::symlinkat("x", &dir, "link").expect("symlink");
    }
    let report = copy(&place, Options::default(), "tree", "out");
    assert_eq!((report.directories, report.symlinks), (DEPTH as u64 + 1, DEPTH as u64));
    // The temporary directory's own removal doesn't go that deep.
    for name in ["tree", "out"] {
        let removed = std::process::Command::new("rm")
            .arg("-rf")
            .arg(place.join(name))
            .status()
            .expect("rm");
        assert!(removed.success());
    }
}

/// A directory whose names don't fit the buffer, with directories between them that close it.
#[test]
fn a_directory_read_in_pieces() {
    let place = Place::new();
    for number in 0..3000 {
        place.file(
            &format!("tree/a rather long name to fill the buffer with {number}"),
            number.to_string(),
        );
    }
    let mut deep = String::from("tree/deep");
    for _ in 0..100 {
        deep += "/d";
    }
    place.file(&format!("{deep}/last"), "x");
    copy(&place, Options::default(), "tree", "out");
    crate::tree::assert_same("pieces", &place.join("tree"), &place.join("out"));
}

#[test]
fn files_that_say_they_are_empty() {
    let place = Place::new();
    let (from, to) = (open(Path::new("/proc/self")), open(place.path()));
    let mut copier = Copier::new(Options::default());
    let source = At {
        dir: from.as_fd(),
        name: OsStr::new("status"),
        shown: Path::new("/proc/self/status"),
    };
    let target = At {
        dir: to.as_fd(),
        name: OsStr::new("status"),
        shown: Path::new("status"),
    };
    copier.copy(&source, &target).expect("copied");
    assert!(
        fs::read_to_string(place.join("status"))
            .expect("read")
            .contains("Umask")
    );
}

#[test]
fn a_file_that_shrinks_and_grows_meanwhile() {
    let place = Place::new();
    let path = place.file("changing", vec![1; 4 << 20]);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = fs::OpenOptions::new().write(true).open(&path).expect("open");
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                file.set_len(1000).expect("truncate");
                file.set_len(8 << 20).expect("truncate");
            }
        });
        let _ending = Ending(&stop);
        for round in 0..50 {
            copy(&place, Options::default(), "changing", &format!("copy{round}"));
            assert!(stat(&place, &format!("copy{round}")).len() <= 8 << 20);
        }
    });
}

/// Somebody swaps directories for symlinks that lead out of the tree while it's copied.
#[test]
fn nobody_leads_the_copy_elsewhere() {
    let place = Place::new();
    place.directory("outside");
    for number in 0..20 {
        place.file(&format!("tree/sub/file{number}"), "x");
    }
    let (there, aside, link) = (place.directory("out/sub"), place.join("aside"), place.join("link"));
    symlink(place.join("outside"), &link).expect("symlink");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                // The copy makes the directory anew where it finds none: then the next swap takes that away.
                let _ = fs::rename(&there, &aside);
                let _ = fs::rename(&link, &there);
                let _ = fs::rename(&there, &link);
                let _ = fs::rename(&aside, &there);
            }
        });
        let _ending = Ending(&stop);
        for _ in 0..50 {
            let _ = try_copy(&place, Options::default(), "tree", "out");
            let options = Options {
                conflict: Conflict::Replace,
                ..Options::default()
            };
            let _ = try_copy(&place, options, "tree", "out");
        }
    });
    assert_eq!(place.join("outside").read_dir().expect("readdir").count(), 0);
}

/// New files take no part in an ACL that their directory hands down.
#[test]
fn a_destination_that_hands_down_an_acl() {
    let place = Place::new();
    plain(&place.join("tree"));
    for (name, by_hand) in [("out", false), ("cp", true)] {
        let dir = place.directory(name);
        xattr(&dir, ".", "system.posix_acl_default", &crate::fixture::acl(7));
        let (tree, to) = (place.join("tree"), dir.join("copy"));
        if by_hand {
            crate::fixture::cp(false, &[OsStr::new("-a"), tree.as_os_str(), to.as_os_str()]);
        } else {
            let (from, into) = (open(place.path()), open(&dir));
            let source = At {
                dir: from.as_fd(),
                name: OsStr::new("tree"),
                shown: Path::new("tree"),
            };
            let target = At {
                dir: into.as_fd(),
                name: OsStr::new("copy"),
                shown: Path::new("copy"),
            };
            Copier::new(Options::default()).copy(&source, &target).expect("copied");
        }
    }
    crate::tree::assert_same("with cp", &place.join("cp/copy"), &place.join("out/copy"));
    crate::tree::assert_same("with the source", &place.join("tree"), &place.join("out/copy"));
}
