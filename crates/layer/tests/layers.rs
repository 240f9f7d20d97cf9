//! How a tar becomes a layer on others: marks, parents it doesn't name, files it links to.

mod archive;
mod common;

use archive::{Archive, Header, pax};
use common::{assert_same, node, open, pack_on, scratch, shell, tree, unpack_into, unpack_on, xattrs};
use std::path::Path;
use wiac_layer::Form;
use wiac_layer::merged::LayerStack;
use wiac_layer::unpack::{Limits, OwnerPolicy, UnpackOptions, unpack};

const OPAQUE: &str = "trusted.overlay.opaque";

fn is_opaque(path: &Path) -> bool {
    xattrs(path).iter().any(|(name, value)| name == OPAQUE && value == b"y")
}

/// A lower layer with directories that aren't plain.
const LOWER: &str =
    "mkdir -p low/d/sub low/e; echo x > low/d/sub/x; echo y > low/d/y; chmod 2750 low/d; chown 7:8 low/d
setfattr -n user.a -v 1 low/d; touch -d '2020-02-02 02:02:02.5 UTC' low/d; ln -s d low/link
echo cap > low/d/prog; setfattr -n user.p -v 2 low/d/prog; chown 5:6 low/d/prog; chmod 4711 low/d/prog
touch -d '2021-01-01 UTC' low/d/prog low/d/sub; touch -d '2020-02-02 02:02:02.5 UTC' low/d; chmod 755 low";

#[test]
fn whiteouts_say_nothing_of_their_own_layer() {
    let mark = |archive: Archive| archive.file(".wh.d", b"");
    let directory = |archive: Archive| archive.directory("d", 0o755).file("d/x", b"");
    for tar in [
        directory(mark(Archive::new())),
        mark(directory(Archive::new())),
        mark(Archive::new()).file("d/x", b""),
    ] {
        let dir = scratch();
        shell(LOWER, dir.path());
        let (layer, low) = (dir.path().join("layer"), dir.path().join("low"));
        let unpacked = unpack_on(&tar.end(), &layer, &[&low]).expect("unpacked");
        assert!(is_opaque(&layer.join("d")));
        assert!(layer.join("d/x").is_file());
        // What the mark hides has no say.
        assert_eq!(node(&layer.join("d")).mode, 0o755);
        assert!(!unpacked.depends_on_lower);
    }
    let file = |archive: Archive| archive.file("d", b"x");
    for tar in [file(mark(Archive::new())), mark(file(Archive::new()))] {
        let dir = scratch();
        unpack_into(&tar.end(), &dir.path().join("layer")).expect("unpacked");
        assert_eq!(node(&dir.path().join("layer/d")).contents, b"x");
    }
    let dir = scratch();
    unpack_into(&mark(Archive::new()).end(), &dir.path().join("layer")).expect("unpacked");
    let found = node(&dir.path().join("layer/d"));
    assert_eq!((found.kind, found.device), ("char", 0));
}

#[test]
fn opaque_marks_hide_lower_layers_only() {
    let mark = |archive: Archive| archive.file("d/.wh..wh..opq", b"");
    let rest = |archive: Archive| archive.file("d/x", b"").file("d/sub/z", b"");
    for tar in [rest(mark(Archive::new())), mark(rest(Archive::new()))] {
        let dir = scratch();
        shell(LOWER, dir.path());
        let (layer, low) = (dir.path().join("layer"), dir.path().join("low"));
        unpack_on(&tar.end(), &layer, &[&low]).expect("unpacked");
        assert!(is_opaque(&layer.join("d")) && !is_opaque(&layer.join("d/sub")));
        // The directory itself is still the lower one; what is in it is new.
        assert_eq!(node(&layer.join("d")).owner, (7, 8));
        assert_eq!(node(&layer.join("d/sub")).time, (0, 0));
        assert_eq!(tree(&layer).len(), 5);
    }
}

#[test]
fn an_opaque_root_hides_all() {
    let dir = scratch();
    shell(LOWER, dir.path());
    let (layer, low) = (dir.path().join("layer"), dir.path().join("low"));
    let tar = Archive::new()
        .file("d/new", b"")
        .file(".wh..wh..opq", b"")
        .file("link", b"")
        .end();
    let unpacked = unpack_on(&tar, &layer, &[&low]).expect("unpacked");
    assert!(unpacked.depends_on_lower);
    shell("mkdir mnt; mount -t overlay o -o lowerdir=layer:low mnt", dir.path());
    let seen: Vec<String> = tree(&dir.path().join("mnt")).into_keys().collect();
    shell("umount mnt", dir.path());
    assert_eq!(seen, ["", "d", "d/new", "link"]);
}

#[test]
fn the_size_is_that_of_the_files_there_are() {
    let dir = scratch();
    shell(LOWER, dir.path());
    let (layer, low) = (dir.path().join("layer"), dir.path().join("low"));
    let tar = Archive::new()
        .file("twice", b"first")
        .file("twice", b"second")
        .file("gone/a", b"123")
        .file("kept", b"1234567")
        .hard_link("gone/link", "kept")
        .file("gone", b"12")
        .hard_link("prog", "d/prog")
        .end();
    let unpacked = unpack_on(&tar, &layer, &[&low]).expect("unpacked");
    let lengths = ["twice", "gone", "kept", "d/prog"].map(|name| layer.join(name).metadata().expect("there").len());
    assert_eq!((lengths, unpacked.size), ([6, 2, 7, 4], 19));
}

#[test]
fn a_whiteout_of_nothing_is_not_listed() {
    let dir = scratch();
    shell(LOWER, dir.path());
    let (layer, low) = (dir.path().join("layer"), dir.path().join("low"));
    // Directories that overlayfs takes from one layer alone: none below, one that is hidden, one of a deleted file's.
    let tar = Archive::new()
        .file("new/.wh.none", b"")
        .file("d/.wh..wh..opq", b"")
        .file("d/.wh.y", b"")
        .file(".wh.e", b"")
        .file("e/.wh.none", b"")
        .end();
    unpack_on(&tar, &layer, &[&low]).expect("unpacked");
    shell(
        "mkdir up work mnt; mount -t overlay o -o lowerdir=layer:low,upperdir=up,workdir=work mnt",
        dir.path(),
    );
    let listed = |name: &str| {
        std::fs::read_dir(dir.path().join("mnt").join(name))
            .expect("list")
            .count()
    };
    let found = ["new", "d", "e"].map(listed);
    shell("umount mnt", dir.path());
    assert_eq!(found, [0, 0, 0]);
    // It is the machine's business, and in no tar.
    let again = dir.path().join("again");
    unpack_on(&pack_on(&layer, &[&low]).expect("packed"), &again, &[&low]).expect("unpacked");
    assert_same(&tree(&again), &tree(&layer));
}

#[test]
fn unnamed_parents_take_after_the_lower_ones() {
    let dir = scratch();
    shell(LOWER, dir.path());
    let (layer, low) = (dir.path().join("layer"), dir.path().join("low"));
    let tar = Archive::new().file("d/sub/new", b"").file("none/new", b"").end();
    let unpacked = unpack_on(&tar, &layer, &[&low]).expect("unpacked");
    assert!(unpacked.depends_on_lower);
    for path in ["d", "d/sub"] {
        assert_eq!(node(&layer.join(path)), node(&low.join(path)), "{path}");
    }
    let plain = node(&layer.join("none"));
    assert_eq!((plain.mode, plain.owner, plain.time), (0o755, (0, 0), (0, 0)));
    // Named later, an entry wins.
    let tar = Archive::new().file("d/new", b"").directory("d", 0o711).end();
    let again = dir.path().join("again");
    let unpacked = unpack_on(&tar, &again, &[&low]).expect("unpacked");
    assert_eq!((node(&again.join("d")).mode, unpacked.depends_on_lower), (0o711, false));
}

#[test]
fn the_root_depends_on_what_is_below_only_where_it_isnt_plain() {
    for (make, depends) in [("chmod 755 low", false), ("chmod 700 low", true), ("chown 3 low", true)] {
        let dir = scratch();
        shell(&format!("mkdir low; {make}"), dir.path());
        let (layer, low) = (dir.path().join("layer"), dir.path().join("low"));
        let unpacked = unpack_on(&Archive::new().file("f", b"").end(), &layer, &[&low]).expect("unpacked");
        assert_eq!(unpacked.depends_on_lower, depends, "{make}");
        assert_eq!(node(&layer), node(&low), "{make}");
    }
}

#[test]
fn hard_links_reach_into_lower_layers() {
    let dir = scratch();
    shell(LOWER, dir.path());
    let (layer, low) = (dir.path().join("layer"), dir.path().join("low"));
    // Through a symlink of the lower layer, and absolute, as some tools write it.
    let link = |path: &str, target: &str| {
        let header = Header::new(path, b'1').link(target);
        header.mode(0o4711).owner(5, 6).modified(1_609_459_200)
    };
    let tar = Archive::new()
        .entry(link("h", "/link/prog"), b"")
        .entry(link("i", "d/prog"), b"")
        .end();
    let unpacked = unpack_on(&tar, &layer, &[&low]).expect("unpacked");
    assert!(unpacked.depends_on_lower);
    let found = tree(&layer);
    for path in ["h", "i"] {
        assert_eq!(found[path].same_as, "d/prog", "{path}");
    }
    assert_eq!(node(&layer.join("d/prog")), node(&low.join("d/prog")));
    assert_eq!(node(&layer.join("d")), node(&low.join("d")));
    let deleted = Archive::new().file(".wh.d", b"").hard_link("h", "d/prog").end();
    let itself = Archive::new().file("d/.wh.prog", b"").hard_link("h", "d/prog").end();
    for (name, tar) in [("again", deleted), ("itself", itself)] {
        let error = unpack_on(&tar, &dir.path().join(name), &[&low]).expect_err("refused");
        assert!(error.to_string().contains("neither in this layer nor below"), "{error}");
    }
}

#[test]
fn a_hard_link_takes_the_place_of_what_was_there() {
    let dir = scratch();
    let layer = dir.path().join("layer");
    let tar = Archive::new()
        .file("a", b"1")
        .file("file", b"2")
        .hard_link("file", "a")
        .file("directory/x", b"3")
        .hard_link("directory", "a")
        .end();
    unpack_into(&tar, &layer).expect("unpacked");
    let found = tree(&layer);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["", "a", "directory", "file"]);
    for name in ["directory", "file"] {
        assert_eq!(
            (found[name].same_as.as_str(), &found[name].contents[..]),
            ("a", &b"1"[..]),
            "{name}"
        );
    }
}

/// Seen with podman 4.3 and containerd 1.6, whose unpacking docker's is like.
#[test]
fn the_header_of_a_hard_link_counts() {
    let dir = scratch();
    let layer = dir.path().join("layer");
    let file = Header::new("f", b'0')
        .mode(0o4755)
        .owner(5, 6)
        .modified(1_000_000_000)
        .size(1);
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0".as_slice();
    let records = pax(&[("SCHILY.xattr.security.capability", capability)]);
    let able = Header::new("g", b'0').owner(7, 8).modified(1_000_000_000).size(1);
    let tar = Archive::new()
        .entry(file, b"x")
        .pax(&records)
        .entry(able, b"y")
        .entry(
            Header::new("link", b'1')
                .link("f")
                .mode(0o2640)
                .owner(7, 8)
                .modified(1_100_000_000),
            b"",
        )
        .entry(
            Header::new("same", b'1').link("g").owner(7, 8).modified(1_200_000_000),
            b"",
        )
        .end();
    unpack_into(&tar, &layer).expect("unpacked");
    for name in ["f", "link"] {
        let node = node(&layer.join(name));
        assert_eq!(
            (node.mode, node.owner, node.time.0),
            (0o2640, (7, 8), 1_100_000_000),
            "{name}"
        );
    }
    let able = node(&layer.join("g"));
    assert_eq!((able.mode, able.time.0), (0o644, 1_200_000_000));
    assert_eq!(able.xattrs, [("security.capability".to_owned(), capability.to_vec())]);
}

/// A symlink's owner alone: seen with docker 26.1 and podman 4.3.
#[test]
fn a_hard_link_to_a_symlink_says_whose_it_is() {
    let dir = scratch();
    let layer = dir.path().join("layer");
    let tar = Archive::new()
        .entry(
            Header::new("l", b'2').link("x").owner(5, 6).modified(1_000_000_000),
            b"",
        )
        .entry(
            Header::new("link", b'1')
                .link("l")
                .mode(0o600)
                .owner(7, 8)
                .modified(1_100_000_000),
            b"",
        )
        .end();
    unpack_into(&tar, &layer).expect("unpacked");
    for name in ["l", "link"] {
        let node = node(&layer.join(name));
        assert_eq!((node.mode, node.owner, node.time.0), (0o777, (7, 8), 1_000_000_000));
    }
}

/// A change of owner takes set-id bits away, so that the same mode has to be set again.
#[test]
fn a_hard_link_that_changes_the_owner_alone_keeps_the_mode() {
    let dir = scratch();
    let layer = dir.path().join("layer");
    let header = |name, kind| Header::new(name, kind).mode(0o6755);
    let tar = Archive::new()
        .entry(header("f", b'0').owner(5, 6).size(1), b"x")
        .entry(header("link", b'1').link("f").owner(7, 8), b"")
        .end();
    unpack_into(&tar, &layer).expect("unpacked");
    let found = node(&layer.join("f"));
    assert_eq!((found.mode, found.owner), (0o6755, (7, 8)));
}

/// Many tars name a directory after files in it, or once for each layer that they were made of.
#[test]
fn a_directory_that_is_named_again_keeps_what_is_in_it() {
    let dir = scratch();
    let layer = dir.path().join("layer");
    let tar = Archive::new()
        .file("unnamed/a", b"1")
        .directory("unnamed", 0o750)
        .directory("named", 0o700)
        .file("named/b", b"2")
        .directory("named", 0o711)
        .end();
    unpack_into(&tar, &layer).expect("unpacked");
    assert_eq!(node(&layer.join("unnamed/a")).contents, b"1");
    assert_eq!(node(&layer.join("named/b")).contents, b"2");
    assert_eq!(
        ["unnamed", "named"].map(|name| node(&layer.join(name)).mode),
        [0o750, 0o711]
    );
}

#[test]
fn a_symlink_of_the_same_archive_is_followed_inside_the_layer() {
    let dir = scratch();
    shell("mkdir -p low/usr/lib; chmod 700 low/usr/lib", dir.path());
    let (layer, low) = (dir.path().join("layer"), dir.path().join("low"));
    let tar = Archive::new()
        .symlink("lib", "usr/lib")
        .file("lib/x", b"")
        .hard_link("y", "lib/x")
        .end();
    unpack_on(&tar, &layer, &[&low]).expect("unpacked");
    assert_eq!(
        tree(&layer).into_keys().collect::<Vec<_>>(),
        ["", "lib", "usr", "usr/lib", "usr/lib/x", "y"]
    );
    assert_eq!(node(&layer.join("usr/lib")).mode, 0o700);

    // An absolute one begins at the layer's root, any other where it lies.
    let tar = Archive::new()
        .symlink("d/absolute", "/there")
        .symlink("d/relative", "here")
        .file("d/absolute/x", b"")
        .file("d/relative/y", b"")
        .end();
    let layer = dir.path().join("other");
    unpack_into(&tar, &layer).expect("unpacked");
    assert!(layer.join("there/x").is_file() && layer.join("d/here/y").is_file());
}

#[test]
fn directories_are_dressed_last() {
    let dir = scratch();
    let time = pax(&[("mtime", b"1000000000.123456789")]);
    let tar = Archive::new()
        .pax(&time)
        .directory("d", 0o555)
        .pax(&time)
        .directory("d/e", 0o000);
    let tar = tar
        .file("d/e/f", b"x")
        .file("d/e/g", b"x")
        .file("d/h", b"x")
        .file("d/e/f", b"y")
        .end();
    let layer = dir.path().join("layer");
    unpack_into(&tar, &layer).expect("unpacked");
    for (path, mode) in [("d", 0o555), ("d/e", 0)] {
        let found = node(&layer.join(path));
        assert_eq!((found.mode, found.time), (mode, (1_000_000_000, 123_456_789)), "{path}");
    }
}

#[test]
fn global_records_hold_until_others_come() {
    let dir = scratch();
    let global = |archive: Archive, records: &[(&str, &[u8])]| {
        let records = pax(records);
        archive.entry(Header::new("g", b'g').size(records.len() as u64), &records)
    };
    let tar = global(
        Archive::new(),
        &[("uid", b"7"), ("mtime", b"5.5"), ("comment", b"as git archive writes")],
    );
    let tar = tar
        .file("a", b"")
        .pax(&pax(&[("uid", b"8"), ("mtime", b"")]))
        .file("b", b"")
        .file("c", b"");
    let tar = global(tar, &[("uid", b"9")]).file("d", b"").end();
    let layer = dir.path().join("layer");
    unpack_into(&tar, &layer).expect("unpacked");
    let found = tree(&layer);
    let is = |path: &str| (found[path].owner.0, found[path].time);
    assert_eq!(is("a"), (7, (5, 500_000_000)));
    // A value of nothing brings back what the header says.
    assert_eq!(is("b"), (8, (1_000_000_000, 0)));
    assert_eq!(is("c"), is("a"));
    assert_eq!(is("d"), (9, (5, 500_000_000)));
}

/// ext4 ends at 65000 names for one file.
#[test]
fn a_file_may_have_more_names_than_the_disk_allows() {
    let dir = tempfile::tempdir_in("/var/tmp").expect("tempdir");
    let mut tar = Archive::new().file("f", b"text");
    for number in 0..65_010 {
        tar = tar.hard_link(&format!("d{}/{number}", number % 10), "f");
    }
    let layer = dir.path().join("layer");
    unpack_into(&tar.end(), &layer).expect("unpacked");
    for path in ["d0/0", "d9/65009"] {
        assert_eq!(std::fs::read(layer.join(path)).expect("read"), b"text");
    }
}

#[test]
fn the_layers_below_are_asked_for_late_and_once() {
    let dir = scratch();
    shell(LOWER, dir.path());
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let low = dir.path().join("low");
    let options = UnpackOptions {
        form: Form::Trusted,
        owners: OwnerPolicy::Set,
        lower: &|| {
            asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok(LayerStack::new(vec![low.clone()]))
        },
        limits: Limits::default(),
    };
    let run = |tar: Vec<u8>, name: &str| {
        let layer = dir.path().join(name);
        std::fs::create_dir(&layer).expect("mkdir");
        unpack(tar.as_slice(), open(&layer), &options).expect("unpacked");
        asked.swap(0, std::sync::atomic::Ordering::Relaxed)
    };
    assert_eq!(run(Archive::new().directory("./", 0o755).file("f", b"").end(), "a"), 0);
    assert_eq!(
        run(
            Archive::new()
                .file("d/f", b"")
                .hard_link("h", "d/y")
                .file("d/sub/f", b"")
                .end(),
            "b"
        ),
        1
    );
}

#[test]
fn what_was_unpacked_is_what_docker_and_containerd_would_have() {
    // Two layers, the second with all kinds of marks, as the kernel then sees them.
    let dir = scratch();
    shell(LOWER, dir.path());
    let (layer, low) = (dir.path().join("layer"), dir.path().join("low"));
    let tar = Archive::new()
        .directory("./", 0o755)
        .file(".wh.link", b"")
        .directory("d", 0o700);
    let tar = tar
        .file("d/.wh.y", b"")
        .file("e/.wh..wh..opq", b"")
        .symlink("d/sub", "nowhere")
        .end();
    unpack_on(&tar, &layer, &[&low]).expect("unpacked");
    shell(
        "mkdir mnt flat; mount -t overlay o -o lowerdir=layer:low mnt",
        dir.path(),
    );
    let seen = tree(&dir.path().join("mnt"));
    shell("umount mnt", dir.path());
    let names: Vec<&str> = seen.keys().map(String::as_str).collect();
    assert_eq!(names, ["", "d", "d/prog", "d/sub", "e"]);
    // And so does the merged view that is read without a mount.
    let stack = LayerStack::new(vec![low, layer]);
    let mut flat = Vec::new();
    wiac_layer::pack::pack_merged(&stack, &mut flat, &wiac_layer::pack::MergedOptions::default()).expect("packed");
    unpack_into(&flat, &dir.path().join("flat")).expect("unpacked");
    assert_same(&tree(&dir.path().join("flat")), &seen);
}
