//! Archives written by strangers, that try to get out: each is refused with one clear line or done harmlessly, and nothing
//! outside the layer is touched.

mod archive;
mod canary;
mod common;

use archive::{Archive, Header, pax};
use canary::{Done, Refused, check, room};
use common::{tree, unpack_into, unpack_on};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

#[test]
fn paths_that_lead_out() {
    let file = |path: &str| Archive::new().file(path, b"evil").end();
    check("dots", &file("../canary/file"), &Refused("has a path with \"..\""));
    check(
        "dots inside",
        &file("a/../../canary/file"),
        &Refused("has a path with \"..\""),
    );
    check("dots at the end", &file("a/.."), &Refused("has a path with \"..\""));
    check("absolute", &file("/etc/passwd"), &Done(&["etc", "etc/passwd"]));
    check("slashes", &file("//etc///./passwd"), &Done(&["etc", "etc/passwd"]));
    check("empty", &file(""), &Refused("empty path"));
    for (name, archive) in [
        ("root as a file", file("./")),
        ("root as a link", Archive::new().symlink(".", "/").end()),
    ] {
        check(name, &archive, &Refused("only be a directory"));
    }
    check(
        "a zero byte",
        &Archive::new().pax(&pax(&[("path", b"a\0b")])).file("x", b"").end(),
        &Refused("zero byte"),
    );
}

#[test]
fn symlinks_that_are_planted_and_followed() {
    let after = |target: &str| Archive::new().symlink("l", target);
    check(
        "up",
        &after("../canary").file("l/file", b"evil").end(),
        &Done(&["canary", "canary/file", "l"]),
    );
    let up = after("../../../../../../canary").file("l/dir/x", b"evil").end();
    check("far up", &up, &Done(&["canary", "canary/dir", "canary/dir/x", "l"]));
    check(
        "root",
        &after("/").file("l/etc/passwd", b"evil").end(),
        &Done(&["etc", "etc/passwd", "l"]),
    );
    check(
        "itself",
        &after("l").file("l/x", b"").end(),
        &Refused("too many symlinks"),
    );
    let circle = after("m").symlink("m", "l").file("m/x", b"").end();
    check("a circle", &circle, &Refused("too many symlinks"));
    check(
        "replaced",
        &after("../canary/file").file("l", b"evil").end(),
        &Done(&["l"]),
    );
    check(
        "replaced by a directory",
        &after("../canary/dir").directory("l", 0o777).end(),
        &Done(&["l"]),
    );
    let magic = after("/proc/self/root").file("l/x", b"").end();
    check(
        "magic",
        &magic,
        &Done(&["l", "proc", "proc/self", "proc/self/root", "proc/self/root/x"]),
    );
    check(
        "a file on the way",
        &Archive::new().file("f", b"").file("f/x", b"").end(),
        &Refused("not as a directory"),
    );
    // Each link names the next one twice: 2^30 names.
    let mut bomb = Archive::new();
    for number in 0..30 {
        bomb = bomb.symlink(&format!("l{number}"), &format!("l{}/../l{}", number + 1, number + 1));
    }
    check(
        "a bomb of links",
        &bomb.file("l0/x", b"").end(),
        &Refused("too many symlinks"),
    );
    let no_target = Archive::new().symlink("l", "").end();
    check("no target", &no_target, &Refused("symlink without a valid target"));
}

#[test]
fn hard_links_that_lead_out() {
    let link = |target: &str| Archive::new().hard_link("h", target).end();
    check("up", &link("../canary/file"), &Refused("can't be a file of a layer"));
    check(
        "absolute",
        &link("/etc/passwd"),
        &Refused("neither in this layer nor below"),
    );
    check("the root", &link("/"), &Refused("can't be a file of a layer"));
    check("nothing", &link(""), &Refused("can't be a file of a layer"));
    check(
        "a directory",
        &Archive::new().directory("d", 0o755).hard_link("h", "d").end(),
        &Refused("to a directory"),
    );
    let through = Archive::new().symlink("l", "../canary").hard_link("h", "l/file").end();
    check(
        "through a symlink",
        &through,
        &Refused("neither in this layer nor below"),
    );
    let of_link = Archive::new().symlink("l", "../canary/file").hard_link("h", "l");
    check(
        "of a symlink, then written",
        &of_link.file("h", b"evil").end(),
        &Done(&["h", "l"]),
    );
    check(
        "to itself",
        &Archive::new().file("h", b"x").hard_link("h", "h").end(),
        &Done(&["h"]),
    );
    let deleted = Archive::new().file(".wh.x", b"").hard_link("h", "x").end();
    check(
        "to a deleted one",
        &deleted,
        &Refused("neither in this layer nor below"),
    );
    let gone = Archive::new().file("d/x", b"").hard_link("d", "d/x").end();
    check("in place of its own directory", &gone, &Refused("can't link d"));
    check(
        "plnk",
        &link(".wh..wh.plnk/1.2"),
        &Refused("can't be a file of a layer"),
    );
}

#[test]
fn marks_that_mislead() {
    let file = |path: &str| Archive::new().file(path, b"").end();
    check("of nothing", &file(".wh."), &Refused("whiteout of nothing"));
    check("of .", &file("a/.wh.."), &Refused("whiteout of nothing"));
    check("of ..", &file("a/.wh..."), &Refused("whiteout of nothing"));
    check("in a whiteout", &file(".wh.a/b"), &Refused("starts with .wh."));
    check("plnk", &file(".wh..wh.plnk/12.3"), &Done(&[]));
    check(
        "aufs",
        &Archive::new()
            .directory(".wh..wh.orph", 0o755)
            .file(".wh..wh.aufs", b"")
            .end(),
        &Done(&[]),
    );
    let through = Archive::new().symlink("l", "../canary").file("l/.wh.file", b"").end();
    check("through a symlink", &through, &Done(&["canary", "canary/file", "l"]));
    let through = Archive::new().symlink("l", "/").file("l/.wh..wh..opq", b"").end();
    check("opaque through a symlink", &through, &Done(&["l"]));
    // A mark with contents doesn't become a file.
    check(
        "with contents",
        &Archive::new().file(".wh.a", b"real").file("b", b"").end(),
        &Done(&["a", "b"]),
    );
}

#[test]
fn devices_that_mislead() {
    let device = |kind, major: u64, minor: u64| {
        Archive::new()
            .entry(Header::new("dev/x", kind).device(major, minor), b"")
            .end()
    };
    check("null", &device(b'3', 1, 3), &Done(&["dev", "dev/x"]));
    check("a whiteout", &device(b'3', 0, 0), &Refused("means a deletion"));
    check("a block device 0:0", &device(b'4', 0, 0), &Done(&["dev", "dev/x"]));
    check("cut to 0:0", &device(b'3', 1 << 12, 1 << 20), &Refused("doesn't exist"));
    check(
        "cut to 0:0 from far",
        &device(b'3', 1 << 40, 1 << 40),
        &Refused("doesn't exist"),
    );
    let negative = Header::new("x", b'3').raw(329, &[0xff; 8]).raw(337, &[0xff; 8]);
    check(
        "negative",
        &Archive::new().entry(negative, b"").end(),
        &Refused("doesn't exist"),
    );
}

#[test]
fn overlays_own_attributes_are_dropped() {
    let (dir, _) = room();
    let names = [
        "trusted.overlay.redirect",
        "user.overlay.opaque",
        "trusted.overlay.overlay.opaque",
        "user.fine",
    ];
    let records: Vec<(String, &[u8])> = names
        .iter()
        .map(|name| (format!("SCHILY.xattr.{name}"), b"y".as_slice()))
        .collect();
    let records: Vec<(&str, &[u8])> = records.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    let tar = Archive::new()
        .pax(&pax(&records))
        .directory("d", 0o755)
        .pax(&pax(&records))
        .file("f", b"")
        .end();
    let layer = dir.path().join("layer");
    unpack_into(&tar, &layer).expect("unpacked");
    for path in ["d", "f"] {
        assert_eq!(
            common::xattrs(&layer.join(path)),
            [("user.fine".to_owned(), b"y".to_vec())]
        );
    }
}

#[test]
fn entries_that_come_twice() {
    let file = |archive: Archive| archive.file("a/b", b"1");
    let twice = file(file(Archive::new()))
        .file("a", b"2")
        .directory("a", 0o755)
        .file("a/c", b"3")
        .end();
    check("file, directory, file", &twice, &Done(&["a", "a/c"]));
    let (dir, _) = room();
    let tar = Archive::new()
        .file("f", b"old")
        .hard_link("h", "f")
        .file("f", b"new")
        .end();
    let layer = dir.path().join("layer");
    unpack_into(&tar, &layer).expect("unpacked");
    assert_eq!(std::fs::read(layer.join("f")).expect("f"), b"new");
    assert_eq!(std::fs::read(layer.join("h")).expect("h"), b"old");
}

#[test]
fn names_of_all_kinds() {
    let long = "x".repeat(65_536);
    let named = |name: &str| {
        Archive::new()
            .pax(&pax(&[("path", name.as_bytes())]))
            .file("x", b"")
            .end()
    };
    check("64 KiB", &named(&long), &Refused("more than 4095 bytes"));
    check("256 bytes", &named(&long[..256]), &Refused("more than 255 bytes"));
    let control = Archive::new().file("\x1b[2J\n\u{202e}", b"").end();
    check("control characters", &control, &Done(&["\x1b[2J\n\u{202e}"]));
    let control = Archive::new().file("\x1b[2J\n\u{202e}\u{7f}/..", b"").end();
    check(
        "control characters refused",
        &control,
        &Refused(r"\u{1b}[2J\n\u{202e}\u{7f}/.."),
    );
    let gnu = Archive::new().entry(Header::new("@", b'L').size(65_537), &[long.as_bytes(), b"\0"].concat());
    check(
        "64 KiB, GNU",
        &gnu.file("x", b"").end(),
        &Refused("more than 4095 bytes"),
    );
    let target = Archive::new()
        .pax(&pax(&[("linkpath", long.as_bytes())]))
        .symlink("l", "t")
        .end();
    check("a target of 64 KiB", &target, &Refused("more than 4095 bytes"));
    let deep = "d/".repeat(2047);
    let tar = Archive::new()
        .pax(&pax(&[("path", deep.as_bytes())]))
        .directory("x", 0o755)
        .file("d", b"")
        .end();
    check("2047 directories, replaced", &tar, &Done(&["d"]));
}

/// Another process swaps a directory of the layer for a symlink that leads out, all the time.
#[test]
fn a_race_leads_nowhere() {
    let (dir, canary) = room();
    let before = tree(&canary);
    let layer = dir.path().join("layer");
    std::fs::create_dir(&layer).expect("mkdir");
    let mut tar = Archive::new().directory("d", 0o755);
    for number in 0..3000 {
        tar = tar
            .file(&format!("d/dir/{number}"), b"x")
            .directory("d/dir", 0o777)
            .file("d/file", b"x")
            .directory("other", 0o755);
        // Makes the unpacker look the directories up again.
        for other in 0..30 {
            tar = tar.directory(&format!("other/{other}/x"), 0o755);
        }
    }
    let tar = tar.end();
    let stop = AtomicBool::new(false);
    let swapped = AtomicU32::new(0);
    std::thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            let (real, aside, link) = (layer.join("d"), layer.join("aside"), layer.join("link"));
            std::os::unix::fs::symlink(&canary, &link).expect("symlink");
            while !stop.load(Ordering::Relaxed) {
                if std::fs::rename(&real, &aside).is_ok() {
                    let _ = std::fs::rename(&link, &real);
                    std::thread::yield_now();
                    let _ = std::fs::rename(&real, &link);
                    if std::fs::rename(&aside, &real).is_ok() {
                        swapped.fetch_add(1, Ordering::Relaxed);
                    } else {
                        // The unpacker has made another one meanwhile, which is swapped from now on.
                        let _ = std::fs::remove_dir_all(&aside);
                    }
                }
            }
        });
        // It may well be refused at once: its directory is gone every other moment.
        for _ in 0..1000 {
            let _ = unpack_into(&tar, &layer);
            if swapped.load(Ordering::Relaxed) > 100 {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        swapping.join().expect("joined");
    });
    let swapped = swapped.into_inner();
    assert!(swapped > 100, "swapped {swapped} times only: this test showed nothing");
    common::assert_same(&tree(&canary), &before);
}

#[test]
fn a_later_layer_doesnt_follow_an_earlier_ones_links() {
    let (dir, canary) = room();
    let before = tree(&canary);
    let (low, top) = (dir.path().join("low"), dir.path().join("top"));
    unpack_into(&Archive::new().symlink("l", canary.to_str().expect("text")).end(), &low).expect("unpacked");
    let tar = Archive::new().file("l/file", b"evil").hard_link("h", "l/dir").end();
    let error = unpack_on(&tar, &top, &[&low as &Path]).expect_err("refused");
    assert!(error.to_string().contains("h: is a hard link to \"l/dir\""), "{error}");
    assert!(top.join("l").symlink_metadata().expect("there").is_dir());
    common::assert_same(&tree(&canary), &before);
}
