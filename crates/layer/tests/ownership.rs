//! Owners, set-id bits, capabilities and devices: set where that may be done, recorded where it may not.

mod archive;
mod common;

use archive::{Archive, Header, pax};
use common::{node, open, scratch, shell, tree, unpack_into, xattrs};
use std::path::Path;
use std::sync::Arc;
use wiac_layer::Form;
use wiac_layer::merged::LayerStack;
use wiac_layer::owners::{Device, OwnerRecord};
use wiac_layer::pack::{PackOptions, pack};
use wiac_layer::unpack::{Limits, OwnerPolicy, UnpackOptions, unpack};

#[test]
fn set_id_bits_and_capabilities_outlive_the_change_of_owner() {
    let dir = scratch();
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let tar = Archive::new()
        .pax(&pax(&[("SCHILY.xattr.security.capability", &capability)]))
        .entry(
            Header::new("f", b'0').mode(0o6755).raw(108, b"0000021\0").size(4),
            b"text",
        )
        .end();
    let layer = dir.path().join("layer");
    unpack_into(&tar, &layer).expect("unpacked");
    let found = node(&layer.join("f"));
    assert_eq!((found.mode, found.owner), (0o6755, (17, 0)));
    assert_eq!(found.xattrs, [("security.capability".to_owned(), capability.to_vec())]);
}

/// What was recorded for a file isn't taken for that of one that replaces it.
#[test]
fn what_is_replaced_leaves_no_owner_behind() {
    let dir = scratch();
    let own = |path: &str, kind: u8| Header::new(path, kind).owner(0, 0);
    let others = |path: &str, kind: u8| Header::new(path, kind).owner(5, 6);
    let tar = Archive::new()
        .entry(others("file", b'0').size(1), b"x")
        .entry(own("file", b'0').size(1), b"y")
        .entry(others("directory", b'5'), b"")
        .entry(others("directory/below", b'0').size(1), b"x")
        .entry(own("directory", b'0').size(1), b"y")
        .entry(others("kept", b'0').size(1), b"z")
        .end();
    let options = UnpackOptions {
        form: Form::User,
        owners: OwnerPolicy::Record,
        lower: &|| Ok(LayerStack::default()),
        limits: Limits::default(),
    };
    let unpacked = unpack(tar.as_slice(), open(dir.path()), &options).expect("unpacked");
    let owners = unpacked.owners.expect("a record");
    let paths: Vec<&[u8]> = owners.iter().map(|(path, _)| path).collect();
    assert_eq!(paths, [b"kept"]);
}

/// The same tar unpacked by root and by a user with a single id gives the same tar again.
#[test]
fn a_user_keeps_what_was_meant() {
    let dir = scratch();
    let (tar, _) = everything();
    std::fs::write(dir.path().join("tar"), &tar).expect("write");
    let program = std::env::current_exe().expect("this test");
    let inner =
        "unshare --user --map-root-user --fork \"$PROGRAM\" --exact in_a_user_namespace --ignored --nocapture >&2";
    shell(
        &format!("PROGRAM='{}'; export ROOM=$PWD; {inner}", program.display()),
        dir.path(),
    );
    let users = std::fs::read(dir.path().join("packed")).expect("packed in the namespace");

    let layer = dir.path().join("roots");
    unpack_into(&tar, &layer).expect("unpacked");
    assert!(
        common::pack_on(&layer, &[]).expect("packed") == users,
        "root's tar differs from the user's"
    );
}

/// An archive with all that a user can't make.
fn everything() -> (Vec<u8>, Vec<&'static str>) {
    let owner = |path: &str, kind: u8| Header::new(path, kind).raw(108, b"0000041\0").raw(116, b"0000042\0");
    let attributes = pax(&[("SCHILY.xattr.trusted.x", b"1"), ("SCHILY.xattr.user.y", b"2")]);
    // For root of the user namespace whose root has the id 1000.
    let capability = [
        b"\0\0\0\x03\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0".as_slice(),
        &1000_u32.to_le_bytes(),
    ]
    .concat();
    let tar = Archive::new()
        .entry(Header::new("./", b'5').mode(0o755), b"")
        .pax(&pax(&[("SCHILY.xattr.security.capability", &capability)]))
        .file("able", b"able")
        .pax(&attributes)
        .entry(owner("d", b'5').mode(0o2750), b"")
        .pax(&attributes)
        .entry(owner("d/f", b'0').mode(0o4755).size(4), b"text")
        .hard_link("d/h", "d/f")
        .entry(owner("null", b'3').mode(0o666).device(1, 3), b"")
        .entry(Header::new("sda", b'4').mode(0o660).device(8, 1), b"")
        .entry(owner("l", b'2').mode(0o777).link("d"), b"")
        .file("plain", b"plain")
        .end();
    (tar, vec!["able", "d", "d/f", "d/h", "l", "null", "sda"])
}

#[test]
#[ignore = "started by a_user_keeps_what_was_meant in a user namespace"]
fn in_a_user_namespace() {
    let room = std::env::var("ROOM").expect("a directory, from the other test");
    let room = Path::new(&room);
    let layer = room.join("users");
    std::fs::create_dir(&layer).expect("mkdir");
    let options = UnpackOptions {
        form: Form::User,
        owners: OwnerPolicy::Record,
        lower: &|| Ok(LayerStack::default()),
        limits: Limits::default(),
    };
    let tar = std::fs::read(room.join("tar")).expect("read");
    let (_, expected) = everything();
    let unpacked = unpack(tar.as_slice(), open(&layer), &options).expect("unpacked");
    let owners = unpacked.owners.expect("a record");
    let paths: Vec<&str> = owners
        .iter()
        .map(|(path, _)| std::str::from_utf8(path).expect("text"))
        .collect();
    assert_eq!(paths, expected);
    let device = Device {
        block: true,
        major: 8,
        minor: 1,
    };
    assert_eq!(owners.get(b"sda").expect("sda").device, Some(device));
    assert_eq!(tree(&layer)["null"].kind, "file");

    let lower = LayerStack::default();
    let options = PackOptions {
        lower: &lower,
        owners: Some(&owners),
        clamp: None,
    };
    let mut out = std::fs::File::create(room.join("packed")).expect("create");
    pack(open(&layer), &mut out, &options).expect("packed");

    takes_after_what_was_meant(room, &layer, owners);

    // Marks can be made without being root.
    let marks = Archive::new().file(".wh.a", b"").file("b/.wh..wh..opq", b"").end();
    let marked = room.join("marked");
    std::fs::create_dir(&marked).expect("mkdir");
    let options = UnpackOptions {
        form: Form::User,
        owners: OwnerPolicy::Record,
        lower: &|| Ok(LayerStack::default()),
        limits: Limits::default(),
    };
    unpack(marks.as_slice(), open(&marked), &options).expect("unpacked");
    assert_eq!(
        (node(&marked.join("a")).kind, node(&marked.join("a")).device),
        ("char", 0)
    );
    assert_eq!(
        xattrs(&marked.join("b")),
        [("user.overlay.opaque".to_owned(), b"y".to_vec())]
    );
}

/// What a further layer takes from this one is what was meant, not what is on disk.
fn takes_after_what_was_meant(room: &Path, layer: &Path, owners: OwnerRecord) {
    let lower = [layer.to_owned()].to_vec();
    let owners = vec![Some(Arc::new(owners))];
    let options = UnpackOptions {
        form: Form::User,
        owners: OwnerPolicy::Record,
        lower: &|| Ok(LayerStack::new(lower.clone()).with_owners(owners.clone())),
        limits: Limits::default(),
    };
    let tar = Archive::new()
        .file("d/new", b"")
        .hard_link("copy", "sda")
        .entry(Header::new("l2", b'1').link("l").owner(33, 34), b"")
        .end();
    let further = room.join("further");
    std::fs::create_dir(&further).expect("mkdir");
    let record = unpack(tar.as_slice(), open(&further), &options)
        .expect("unpacked")
        .owners
        .expect("a record");
    let paths: Vec<&str> = record
        .iter()
        .map(|(path, _)| std::str::from_utf8(path).expect("text"))
        .collect();
    assert_eq!(paths, ["copy", "d", "l", "l2", "sda"]);
    for path in paths {
        let below = owners[0]
            .as_ref()
            .expect("a record")
            .get(path.replace("copy", "sda").replace("l2", "l").as_bytes());
        assert_eq!(record.get(path.as_bytes()), below, "{path}");
    }
}

#[test]
fn an_owner_that_the_namespace_lacks_is_refused() {
    let dir = scratch();
    std::fs::write(dir.path().join("tar"), everything().0).expect("write");
    let program = std::env::current_exe().expect("this test");
    let inner =
        "unshare --user --map-root-user --fork \"$PROGRAM\" --exact owners_that_are_missing --ignored --nocapture >&2";
    shell(
        &format!("PROGRAM='{}'; export ROOM=$PWD; {inner}", program.display()),
        dir.path(),
    );
}

#[test]
#[ignore = "started by an_owner_that_the_namespace_lacks_is_refused in a user namespace"]
fn owners_that_are_missing() {
    let room = std::env::var("ROOM").expect("a directory, from the other test");
    let room = Path::new(&room);
    let tar = std::fs::read(room.join("tar")).expect("read");
    std::fs::create_dir(room.join("layer")).expect("mkdir");
    let options = UnpackOptions {
        form: Form::User,
        owners: OwnerPolicy::Set,
        lower: &|| Ok(LayerStack::default()),
        limits: Limits::default(),
    };
    let error = unpack(tar.as_slice(), open(&room.join("layer")), &options)
        .expect_err("refused")
        .to_string();
    assert!(error.contains(": its owner 33:34 can't be set here"), "{error}");
}
