//! Archives written by strangers: each is refused with one clear line or done harmlessly, and nothing outside the
//! layer is touched.

mod archive;
mod common;

use archive::{Archive, Header, pax};
use common::{open, scratch, tree, unpack_into, unpack_on};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use wiac_layer::compression::{Compression, Encoder, decoder};
use wiac_layer::merged::LayerStack;
use wiac_layer::unpack::{Limits, OwnerPolicy, UnpackOptions, unpack};
use wiac_layer::{Error, Form};

/// What comes of an archive.
enum Outcome {
    /// It is refused with a line that contains this.
    Refused(&'static str),
    /// It is done; these paths are there, and no others.
    Done(&'static [&'static str]),
}
use Outcome::{Done, Refused};

/// Beside the layer there are a directory and a file that nobody may touch.
fn room() -> (tempfile::TempDir, PathBuf) {
    let dir = scratch();
    let canary = dir.path().join("canary");
    std::fs::create_dir_all(canary.join("dir")).expect("mkdir");
    std::fs::write(canary.join("file"), "canary").expect("write");
    (dir, canary)
}

fn check(name: &str, tar: &[u8], expected: &Outcome) {
    let (dir, canary) = room();
    let before = tree(&canary);
    let layer = dir.path().join("layer");
    let result = unpack_into(tar, &layer);
    common::assert_same(&tree(&canary), &before);
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
        }
        (Refused(_), Ok(_)) => panic!("{name}: was done: {:?}", tree(&layer).keys()),
        (Done(_), Err(error)) => panic!("{name}: {error}"),
    }
}

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
    check("root as a file", &file("./"), &Done(&[]));
    check(
        "root as a link",
        &Archive::new().symlink(".", "/").end(),
        &Refused("only be a directory"),
    );
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

#[test]
fn numbers_of_all_kinds() {
    let raw = |place, bytes: &[u8]| {
        Archive::new()
            .entry(Header::new("x", b'0').raw(place, bytes), b"")
            .end()
    };
    check("negative size", &raw(124, &[0xff; 12]), &Refused("no valid size"));
    check(
        "huge size",
        &raw(124, b"777777777777"),
        &Refused("the archive ends in the middle"),
    );
    check(
        "larger size",
        &raw(124, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"),
        &Refused("more than"),
    );
    check("size of no number", &raw(124, b"9999"), &Refused("no valid size"));
    check("beyond 64 bits", &raw(124, &[0xbf; 12]), &Refused("no valid size"));
    check(
        "huge time",
        &raw(136, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"),
        &Done(&["x"]),
    );
    check(
        "negative time",
        &raw(136, b"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0"),
        &Done(&["x"]),
    );
    check("owner -1", &raw(108, &[0xff; 8]), &Refused("owner -1:0"));
    check(
        "owner 2^32-1",
        &raw(108, b"\x80\0\0\0\xff\xff\xff\xff"),
        &Refused("owner 4294967295:0"),
    );
    let record = |key, value: &str| {
        Archive::new()
            .pax(&pax(&[(key, value.as_bytes())]))
            .file("x", b"")
            .end()
    };
    check(
        "a size in PAX",
        &record("size", "-1"),
        &Refused("the value \"-1\" for size"),
    );
    check(
        "a huge size in PAX",
        &record("size", "18446744073709551615"),
        &Refused("more than"),
    );
    check(
        "a time in PAX",
        &record("mtime", "1e99"),
        &Refused("the value \"1e99\" for mtime"),
    );
    check(
        "an owner in PAX",
        &record("uid", "4294967296"),
        &Refused("owner 4294967296:0"),
    );
}

#[test]
fn records_that_lie() {
    let records = |bytes: &[u8]| Archive::new().pax(bytes).file("x", b"").end();
    for bytes in [
        &b"100 a=b\n"[..],
        b"0 a=b\n",
        b"5 a=b\n",
        b"6 a=bX",
        b"x a=b\n",
        b"18446744073709551616 a=b\n",
        b"8 a b c\n",
    ] {
        check("a record", &records(bytes), &Refused("isn't made of valid records"));
    }
    let giant = Archive::new().entry(Header::new("@", b'x').size(1 << 33), b"").end();
    check("records of 8 GiB", &giant, &Refused("extended headers of more than"));
    let mut endless = Archive::new();
    for _ in 0..10_000 {
        endless = endless.entry(Header::new("@", b'x'), b"");
    }
    check(
        "endless headers",
        &endless.file("x", b"").end(),
        &Refused("extended headers of more than"),
    );
    let mut global = Archive::new();
    for number in 0..1000 {
        let record = pax(&[(&format!("SCHILY.xattr.user.{number}"), &[7; 8000])]);
        global = global.entry(Header::new("@", b'g').size(record.len() as u64), &record);
    }
    check(
        "endless global headers",
        &global.file("x", b"").end(),
        &Refused("extended headers of more than"),
    );
    check(
        "an empty name",
        &records(&pax(&[("SCHILY.xattr.", b"x")])),
        &Refused("name isn't valid"),
    );
    check(
        "a value of 65537",
        &records(&pax(&[("SCHILY.xattr.user.x", &vec![0; 65_537])])),
        &Refused("can't be set"),
    );
    let list = pax(&[("SCHILY.xattr.system.posix_acl_access", b"nonsense")]);
    // The kernel says that it knows no such lists: it is noted and comes out again.
    check("a list of nonsense", &records(&list), &Done(&["x"]));
    check(
        "a text list",
        &records(&pax(&[("SCHILY.acl.access", b"user:\n::::")])),
        &Refused("isn't valid"),
    );
    check(
        "nothing after",
        &Archive::new().pax(&pax(&[("path", b"x")])).end(),
        &Refused("ends after an extended"),
    );
}

#[test]
fn sparse_maps_that_lie() {
    let sparse = |map: &str, size: &str| {
        let records = pax(&[("GNU.sparse.map", map.as_bytes()), ("GNU.sparse.size", size.as_bytes())]);
        Archive::new().pax(&records).file("x", b"12345678").end()
    };
    check("fine", &sparse("0,4,100,4", "200"), &Done(&["x"]));
    check(
        "beyond the end",
        &sparse("0,4,100,4", "103"),
        &Refused("beyond the file"),
    );
    check("overlapping", &sparse("0,4,2,4", "200"), &Refused("isn't in order"));
    check("backwards", &sparse("100,4,0,4", "200"), &Refused("isn't in order"));
    check(
        "too little",
        &sparse("0,4", "200"),
        &Refused("names 4 bytes, but 8 follow"),
    );
    check(
        "overflow",
        &sparse("18446744073709551615,8", "200"),
        &Refused("beyond the file"),
    );
    check("odd", &sparse("1,2,3", "200"), &Refused("GNU.sparse.map"));
    check(
        "a huge hole",
        &sparse("0,8", "9223372036854775807"),
        &Refused("unpacks to more than"),
    );
    let in_data = |data: &[u8]| {
        let keys: [(&str, &[u8]); 3] = [
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.realsize", b"9"),
        ];
        Archive::new().pax(&pax(&keys)).file("x", data).end()
    };
    let block = |text: &[u8]| [text, &vec![0; 512 - text.len()][..]].concat();
    check("in the data", &in_data(&block(b"0\n")), &Done(&["x"]));
    check(
        "a huge count",
        &in_data(&block(b"1152921504606846976\n0\n")),
        &Refused("map isn't valid"),
    );
    check("no number", &in_data(&block(b"x\n")), &Refused("map isn't valid"));
    check("no block", &in_data(b"0\n"), &Refused("map isn't valid"));
    let version = pax(&[("GNU.sparse.major", b"7"), ("GNU.sparse.minor", b"0")]);
    check(
        "of the future",
        &Archive::new().pax(&version).file("x", b"").end(),
        &Refused("format that isn't known"),
    );
}

#[test]
fn archives_that_end_early_or_go_on() {
    let whole = Archive::new()
        .directory("d", 0o755)
        .file("d/f", &[7; 700])
        .symlink("l", "d")
        .end();
    for length in 0..whole.len() {
        let (dir, _) = room();
        let result = unpack_into(&whole[..length], &dir.path().join("layer"));
        // Between two entries an archive may end: tar(1) and Go take it so.
        let may_end = [0, 512, 512 + 512 + 1024, 3 * 512 + 1024].contains(&length) || length >= 3 * 512 + 1024;
        match result {
            Ok(_) => assert!(may_end, "{length}"),
            Err(Error::Archive { reason, .. }) => assert!(reason.contains("truncated"), "{length} {reason}"),
            Err(error) => panic!("{length}: {error}"),
        }
    }
    check(
        "no tar",
        b"MZ this is something else entirely".repeat(40).as_slice(),
        &Refused("this is not a tar archive"),
    );
    let mut damaged = whole.clone();
    damaged[512 + 3] ^= 1;
    check("damaged", &damaged, &Refused("checksum is wrong"));
    let lone = [&[0; 512][..], &whole].concat();
    check(
        "a lone block of zeros",
        &lone,
        &Refused("goes on after a block of zeros"),
    );
    let second = [&whole[..], &Archive::new().file("second", b"").end()].concat();
    check("concatenated", &second, &Done(&["d", "d/f", "l"]));
    check(
        "a type of no kind",
        &Archive::new().entry(Header::new("x", b'Z'), b"").end(),
        &Refused("type that isn't known"),
    );
    check(
        "another volume",
        &Archive::new().entry(Header::new("x", b'M'), b"").end(),
        &Refused("another volume"),
    );
}

#[test]
fn the_source_is_read_to_its_end() {
    struct Counting<'c>(&'c [u8], &'c std::cell::Cell<usize>);
    impl Read for Counting<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.0.read(buffer)?;
            self.1.set(self.1.get() + count);
            Ok(count)
        }
    }
    let (dir, _) = room();
    let tar = [Archive::new().file("f", b"x").end(), vec![9; 1 << 20]].concat();
    let count = std::cell::Cell::new(0);
    unpack(Counting(&tar, &count), open(dir.path()), &options(Limits::default())).expect("unpacked");
    assert_eq!(count.get(), tar.len());
}

fn options(limits: Limits) -> UnpackOptions<'static> {
    UnpackOptions {
        form: Form::Trusted,
        owners: OwnerPolicy::Set,
        lower: &|| Ok(LayerStack::default()),
        limits,
    }
}

#[test]
fn bombs_end_at_the_limit() {
    let most = 64 << 20;
    let limits = Limits {
        bytes: most,
        ..Limits::default()
    };
    for compression in [Compression::Gzip, Compression::Zstd] {
        let (dir, _) = room();
        let mut bomb = Encoder::new(Vec::new(), compression, None, 1).expect("encoder");
        std::io::Write::write_all(&mut bomb, &Header::new("zeros", b'0').size(1 << 30).block()).expect("written");
        std::io::copy(&mut std::io::repeat(0).take(most * 3), &mut bomb).expect("written");
        let bomb = bomb.finish().expect("finished");
        assert!(bomb.len() < 2 << 20);
        let tar = decoder(compression, Box::new(bomb.as_slice())).expect("decoder");
        let layer = dir.path().join("layer");
        std::fs::create_dir(&layer).expect("mkdir");
        let error = unpack(tar, open(&layer), &options(limits)).expect_err("refused");
        assert!(
            error.to_string().contains("unpacks to more than 67108864 bytes"),
            "{error}"
        );
        assert!(std::fs::metadata(layer.join("zeros")).map_or(0, |file| file.len()) <= most);
    }
    // After the end of the archive it counts as well.
    let (dir, _) = room();
    let endless = std::io::Cursor::new(Archive::new().end()).chain(std::io::repeat(0));
    let error = unpack(endless, open(dir.path()), &options(limits)).expect_err("refused");
    assert!(error.to_string().contains("unpacks to more than"), "{error}");
}

#[test]
fn entries_end_at_the_limit() {
    let (dir, _) = room();
    let limits = Limits {
        entries: 3,
        ..Limits::default()
    };
    let tar = Archive::new()
        .file("a", b"")
        .file("b", b"")
        .file("c", b"")
        .file("d", b"")
        .end();
    let error = unpack(tar.as_slice(), open(dir.path()), &options(limits)).expect_err("refused");
    assert_eq!(error.to_string(), "the archive has more than 3 entries");
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
    let swapped = std::thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            let (real, aside, link) = (layer.join("d"), layer.join("aside"), layer.join("link"));
            std::os::unix::fs::symlink(&canary, &link).expect("symlink");
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                if std::fs::rename(&real, &aside).is_ok() {
                    let _ = std::fs::rename(&link, &real);
                    std::thread::yield_now();
                    let _ = std::fs::rename(&real, &link);
                    count += u32::from(std::fs::rename(&aside, &real).is_ok());
                }
            }
            count
        });
        for _ in 0..3 {
            // It may well be refused: its directory is gone every other moment.
            let _ = unpack(tar.as_slice(), open(&layer), &options(Limits::default()));
        }
        stop.store(true, Ordering::Relaxed);
        swapping.join().expect("joined")
    });
    assert!(swapped > 10, "swapped {swapped} times only: this test showed nothing");
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
