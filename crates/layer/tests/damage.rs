//! A layer beside one unpacked anew: every kind of damage is found and named, and nothing else is.

mod archive;
mod common;

use archive::{Archive, Header, pax};
use common::{open, scratch, unpack_on};
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use wiac_layer::damage::{Damages, Side, damages};
use wiac_layer::owners::{Device, Intended, OwnerRecord};

fn sample() -> Vec<u8> {
    let device = |path: &str, kind: u8, numbers: (u64, u64)| Header::new(path, kind).device(numbers.0, numbers.1);
    Archive::new()
        .directory("d", 0o755)
        .file("d/file", b"text")
        .pax(&pax(&[("SCHILY.xattr.user.a", b"1"), ("mtime", b"1000.5")]))
        .file("d/attributed", b"x")
        .hard_link("d/linked", "d/file")
        .symlink("d/link", "file")
        .file("d/alone", b"text")
        .entry(device("d/null", b'3', (1, 3)), b"")
        .entry(device("d/disk", b'4', (8, 0)), b"")
        .entry(Header::new("d/pipe", b'6'), b"")
        .file("d/.wh.gone", b"")
        .directory("o", 0o700)
        .file("o/.wh..wh..opq", b"")
        .file("unnamed/below/x", b"y")
        .end()
}

fn found(layer: &Path, meant: &Path, owners: [Option<&OwnerRecord>; 2]) -> Damages {
    let (layer, meant) = (open(layer), open(meant));
    let side = |directory, owners| Side { directory, owners };
    damages(side(layer.as_fd(), owners[0]), side(meant.as_fd(), owners[1]), 3).expect("compared")
}

fn lines(damages: &Damages) -> Vec<String> {
    let line = |damaged: &wiac_layer::damage::Damaged| {
        let all: Vec<String> = damaged.differences.iter().map(ToString::to_string).collect();
        format!("{}: {}", damaged.path, all.join(", "))
    };
    damages.first.iter().map(line).collect()
}

/// Damages a layer and wants exactly these lines. Times of directories are put back first.
fn damaged(expected: &[&str], damage: impl FnOnce(&Path)) {
    let dir = scratch();
    let [layer, meant] = ["layer", "meant"].map(|name| dir.path().join(name));
    for path in [&layer, &meant] {
        unpack_on(&sample(), path, &[]).expect("unpacked");
    }
    assert_eq!(lines(&found(&layer, &meant, [None, None])), Vec::<String>::new());
    damage(&layer);
    for directory in ["", "d", "o", "unnamed", "unnamed/below"] {
        copy_time(&meant.join(directory), &layer.join(directory));
    }
    assert_eq!(lines(&found(&layer, &meant, [None, None])), expected);
}

fn copy_time(from: &Path, to: &Path) {
    if let (Ok(stat), true) = (rustix::fs::lstat(from), to.symlink_metadata().is_ok()) {
        let seconds = i64::try_from(stat.st_mtime_nsec).expect("small");
        set_time(to, stat.st_mtime, seconds);
    }
}

fn set_time(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("times");
}

fn set(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::setxattr(path, name, value, XattrFlags::empty()).expect("setxattr");
}

fn replaced(layer: &Path, path: &str, make: impl FnOnce(&Path)) {
    let path = layer.join(path);
    let time = rustix::fs::lstat(&path).expect("lstat");
    fs::remove_file(&path).expect("removed");
    make(&path);
    set_time(&path, time.st_mtime, i64::try_from(time.st_mtime_nsec).expect("small"));
}

#[test]
fn metadata() {
    damaged(&["/d/alone: mode is 4755 instead of 0644"], |layer| {
        fs::set_permissions(layer.join("d/alone"), fs::Permissions::from_mode(0o4755)).expect("chmod");
    });
    damaged(&["/o: mode is 0755 instead of 0700"], |layer| {
        fs::set_permissions(layer.join("o"), fs::Permissions::from_mode(0o755)).expect("chmod");
    });
    damaged(&["/d/link: owner is 33:34 instead of 0:0"], |layer| {
        lchown(layer.join("d/link"), Some(33), Some(34)).expect("chown");
    });
    damaged(&["/: owner is 0:5 instead of 0:0"], |layer| {
        chown(layer, None, Some(5)).expect("chown");
    });
    damaged(
        &["/d/attributed: was modified at 1000 instead of 1000.500000000 (seconds since 1970)"],
        |layer| set_time(&layer.join("d/attributed"), 1000, 0),
    );
    damaged(
        &["/d/attributed: attribute user.a has another value, attribute user.b was added"],
        |layer| {
            set(&layer.join("d/attributed"), "user.a", b"2");
            set(&layer.join("d/attributed"), "user.b", b"");
        },
    );
    damaged(&["/d/attributed: attribute user.a is missing"], |layer| {
        rustix::fs::removexattr(layer.join("d/attributed"), "user.a").expect("removexattr");
    });
    // Each file once, under its first name.
    damaged(&["/d/file: mode is 0600 instead of 0644"], |layer| {
        fs::set_permissions(layer.join("d/linked"), fs::Permissions::from_mode(0o600)).expect("chmod");
    });
}

#[test]
fn contents_and_links() {
    damaged(&["/d/alone: has another content"], |layer| {
        replaced(layer, "d/alone", |path| fs::write(path, "tent").expect("write"));
    });
    damaged(&["/d/alone: has 5 bytes instead of 4"], |layer| {
        replaced(layer, "d/alone", |path| fs::write(path, "texts").expect("write"));
    });
    damaged(&["/d/link: leads to alone instead of file"], |layer| {
        replaced(layer, "d/link", |path| symlink("alone", path).expect("symlink"));
    });
    damaged(&["/d/linked: isn't the same file as /d/file"], |layer| {
        replaced(layer, "d/linked", |path| fs::write(path, "text").expect("write"));
    });
    let both = [
        "/d/file: is the same file as /d/alone, and shouldn't be",
        "/d/linked: is the same file as /d/alone, and shouldn't be",
    ];
    damaged(&both, |layer| {
        for name in ["d/file", "d/linked"] {
            fs::remove_file(layer.join(name)).expect("removed");
            fs::hard_link(layer.join("d/alone"), layer.join(name)).expect("link");
        }
    });
}

#[test]
fn what_is_there() {
    damaged(&["/more: was added", "/d/alone: is missing"], |layer| {
        fs::remove_file(layer.join("d/alone")).expect("removed");
        fs::create_dir_all(layer.join("more/below")).expect("mkdir");
    });
    damaged(&["/o: the directory is missing"], |layer| {
        fs::remove_dir(layer.join("o")).expect("removed");
    });
    damaged(&["/d/gone: the whiteout is missing"], |layer| {
        fs::remove_file(layer.join("d/gone")).expect("removed");
    });
    damaged(&["/d/gone: is a file instead of a whiteout"], |layer| {
        replaced(layer, "d/gone", |path| fs::write(path, "").expect("write"));
    });
    damaged(
        &["/d/disk: is a block device 8:1 instead of a block device 8:0"],
        |layer| {
            replaced(layer, "d/disk", |path| {
                let number = rustix::fs::makedev(8, 1);
                rustix::fs::mknodat(CWD, path, FileType::BlockDevice, Mode::from_raw_mode(0o644), number)
                    .expect("mknod");
            });
        },
    );
    damaged(&["/o: doesn't hide what layers below have in it"], |layer| {
        rustix::fs::removexattr(layer.join("o"), "trusted.overlay.opaque").expect("removexattr");
    });
    damaged(&["/d: hides what layers below have in it, and shouldn't"], |layer| {
        set(&layer.join("d"), "trusted.overlay.opaque", b"y");
    });
    damaged(&["/d/alone: attribute trusted.overlay.metacopy was added"], |layer| {
        set(&layer.join("d/alone"), "trusted.overlay.metacopy", b"");
    });
}

#[test]
fn what_is_no_damage() {
    damaged(&[], |layer| {
        // Shared with a layer that was made of it.
        fs::hard_link(layer.join("d/alone"), layer.with_file_name("elsewhere")).expect("link");
        fs::hard_link(layer.join("d/file"), layer.with_file_name("also")).expect("link");
        // Made later, and of no time.
        set_time(&layer.join("d/gone"), 5, 5);
        // Of the version that unpacked it.
        rustix::fs::removexattr(layer.join("d"), "trusted.overlay.origin").expect("there is one");
        set(&layer.join("d/alone"), "security.ima", b"\x01\x02");
    });
}

#[test]
fn only_so_many_are_named() {
    let dir = scratch();
    let [layer, meant] = ["layer", "meant"].map(|name| dir.path().join(name));
    for path in [&layer, &meant] {
        fs::create_dir(path).expect("mkdir");
        set_time(path, 1, 1);
    }
    for number in 0..10 {
        fs::write(layer.join(number.to_string()), "").expect("write");
    }
    set_time(&layer, 1, 1);
    let damages = found(&layer, &meant, [None, None]);
    assert_eq!((damages.count, damages.first.len()), (10, 3));
    assert!(!damages.is_empty());
}

#[test]
fn what_is_written_down_counts_as_if_it_were_there() {
    let dir = scratch();
    let [layer, meant] = ["layer", "meant"].map(|name| dir.path().join(name));
    for path in [&layer, &meant] {
        fs::create_dir(path).expect("mkdir");
        fs::write(path.join("file"), "").expect("write");
        for name in ["file", ""] {
            set_time(&path.join(name), 1, 1);
        }
    }
    let intended = |uid, device, value: u8| Intended {
        uid,
        gid: 7,
        device,
        xattrs: vec![(b"user.x".to_vec(), vec![value])],
    };
    let record = |intended| {
        let mut record = OwnerRecord::default();
        record.insert(b"file", intended);
        record
    };
    let null = Some(Device {
        block: false,
        major: 1,
        minor: 3,
    });
    let [whole, owner, attribute, device] = [
        intended(5, null, 1),
        intended(6, null, 1),
        intended(5, null, 2),
        intended(5, None, 1),
    ]
    .map(record);
    let against = |found_record| lines(&found(&layer, &meant, [Some(found_record), Some(&whole)]));
    assert_eq!(against(&whole), Vec::<String>::new());
    assert_eq!(against(&owner), ["/file: owner is 6:7 instead of 5:7"]);
    assert_eq!(against(&attribute), ["/file: attribute user.x has another value"]);
    assert_eq!(against(&device), ["/file: is a file instead of a character device 1:3"]);
    // What was only written down may be set where it is unpacked anew, and the other way round.
    let plain = record(intended(5, None, 1));
    chown(meant.join("file"), Some(5), Some(7)).expect("chown");
    set(&meant.join("file"), "user.x", &[1]);
    set_time(&meant.join("file"), 1, 1);
    assert_eq!(
        lines(&found(&layer, &meant, [Some(&plain), None])),
        Vec::<String>::new()
    );
    assert_eq!(
        lines(&found(&meant, &layer, [None, Some(&plain)])),
        Vec::<String>::new()
    );
    // But where both are written down the disk counts, too.
    chown(meant.join("file"), Some(9), Some(9)).expect("chown");
    assert_eq!(
        lines(&found(&meant, &layer, [Some(&plain), Some(&plain)])),
        ["/file: owner is 9:9 instead of 0:0"]
    );
}

#[test]
fn huge_holes_are_not_read() {
    let dir = scratch();
    let [layer, meant] = ["layer", "meant"].map(|name| dir.path().join(name));
    for path in [&layer, &meant] {
        fs::create_dir(path).expect("mkdir");
        let file = fs::File::create(path.join("file")).expect("create");
        file.set_len(1 << 42).expect("made longer");
        std::os::unix::fs::FileExt::write_at(&file, b"data", 1 << 40).expect("write");
        for name in ["file", ""] {
            set_time(&path.join(name), 1, 1);
        }
    }
    assert!(found(&layer, &meant, [None, None]).is_empty());
    let file = fs::File::options().write(true).open(layer.join("file")).expect("open");
    std::os::unix::fs::FileExt::write_at(&file, b"x", (1 << 41) + 5).expect("write");
    set_time(&layer.join("file"), 1, 1);
    assert_eq!(
        lines(&found(&layer, &meant, [None, None])),
        ["/file: has another content"]
    );
}
