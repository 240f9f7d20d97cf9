//! What is packed can be read by everybody, comes back as it was, and is always the same bytes.

mod common;

use common::{ATTRIBUTES, MAKE, assert_same, open, pack_on, scratch, shell, tree, unpack_into, unpack_on};
use std::path::Path;
use wiac_layer::merged::LayerStack;
use wiac_layer::owners::{Device, Intended, OwnerRecord};
use wiac_layer::pack::{MergedOptions, PackOptions, pack, pack_merged};

fn made() -> tempfile::TempDir {
    let dir = scratch();
    shell(&format!("{MAKE}\n{ATTRIBUTES}"), dir.path());
    dir
}

/// The names in a tar, in order, as GNU tar lists them.
fn listed(tar: &[u8], directory: &Path) -> Vec<String> {
    std::fs::write(directory.join("list.tar"), tar).expect("write");
    let text = shell("tar -tf list.tar", directory);
    String::from_utf8(text)
        .expect("text")
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_tree_comes_back_as_it_was() {
    let dir = made();
    let tar = pack_on(&dir.path().join("tree"), &[]).expect("packed");
    unpack_into(&tar, &dir.path().join("again")).expect("unpacked");
    assert_same(&tree(&dir.path().join("again")), &tree(&dir.path().join("tree")));
    let again = pack_on(&dir.path().join("again"), &[]).expect("packed");
    assert!(tar == again, "packed twice, it differs");
}

#[test]
fn long_attributes_and_many_come_back() {
    let dir = scratch();
    let layer = dir.path().join("layer");
    // A signature or an access list is longer than 256 bytes, and so are the names of a dozen attributes.
    shell(
        r#"mkdir -p layer/directory; echo data > layer/file; ln -s x layer/link
        for path in layer/file layer/directory; do
            setfattr -n user.long -v "$(printf %03000d 7)" $path
            for number in $(seq 20); do setfattr -n user.a-name-of-some-length.$number -v $number $path; done
        done
        setfattr -h -n trusted.long -v "$(printf %0257d 7)" layer/link"#,
        dir.path(),
    );
    let tar = pack_on(&layer, &[]).expect("packed");
    let again = dir.path().join("again");
    unpack_into(&tar, &again).expect("unpacked");
    assert_same(&tree(&again), &tree(&layer));
    assert_eq!(common::xattrs(&again.join("directory")).len(), 21);
}

#[test]
fn gnu_tar_reads_it() {
    let dir = made();
    let tar = pack_on(&dir.path().join("tree"), &[]).expect("packed");
    std::fs::write(dir.path().join("tar"), tar).expect("write");
    shell(
        "mkdir theirs; tar -C theirs --xattrs --xattrs-include='*' -xpf tar",
        dir.path(),
    );
    assert_same(&tree(&dir.path().join("theirs")), &tree(&dir.path().join("tree")));
}

#[test]
fn python_reads_it() {
    let dir = made();
    let tar = pack_on(&dir.path().join("tree"), &[]).expect("packed");
    std::fs::write(dir.path().join("tar"), tar).expect("write");
    let script = r"
import tarfile, os
entries = 0
for e in tarfile.open('tar'):
    entries += 1
    path = os.path.join('tree', e.name)
    s = os.lstat(path)
    assert (s.st_mode & 0o7777, s.st_uid, s.st_gid) == (e.mode, e.uid, e.gid), e.name
    assert abs(s.st_mtime - e.mtime) < 1e-6, (e.name, s.st_mtime, e.mtime)
    assert e.uname == '' and e.gname == '', e.name
    if e.issym(): assert os.readlink(path) == e.linkname, e.name
    if e.isreg(): assert s.st_size == e.size, e.name
    if e.islnk(): assert os.path.samefile(path, os.path.join('tree', e.linkname)), e.name
    if e.ischr() or e.isblk(): assert (os.major(s.st_rdev), os.minor(s.st_rdev)) == (e.devmajor, e.devminor), e.name
assert entries == sum(len(d) + len(f) for _, d, f in os.walk('tree')) + 1, entries
";
    shell(&format!("python3 - <<'END'\n{script}\nEND"), dir.path());
}

#[test]
fn marks_become_files_and_marks_again() {
    let dir = scratch();
    let make = "mkdir -p low/d/sub low/e low/f top/d top/e top/g; echo x > low/gone; echo x > low/d/x; : > low/f/y
mknod top/gone c 0 0; mknod top/d/never c 0 0; ln top/gone top/e/x
setfattr -n trusted.overlay.opaque -v y top/d; setfattr -n trusted.overlay.opaque -v y top/g
setfattr -n trusted.overlay.impure -v y top; setfattr -n trusted.overlay.origin -v 0x00 top/d
chmod 700 top/d; chown 5:6 top/d; touch -d '2020-01-01 UTC' top top/d top/e";
    shell(make, dir.path());
    let (low, top) = (dir.path().join("low"), dir.path().join("top"));
    let tar = pack_on(&top, &[&low]).expect("packed");
    let names = [
        "./",
        ".wh.gone",
        "d/",
        "d/.wh..wh..opq",
        "d/.wh.never",
        "e/",
        "e/.wh.x",
        "g/",
    ];
    assert_eq!(listed(&tar, dir.path()), names);
    // Alone, there is nothing to hide by opaque marks.
    assert!(!listed(&pack_on(&top, &[]).expect("packed"), dir.path()).contains(&"d/.wh..wh..opq".to_owned()));

    let again = dir.path().join("again");
    unpack_on(&tar, &again, &[&low]).expect("unpacked");
    shell(
        "setfattr -x trusted.overlay.opaque top/g; setfattr -x trusted.overlay.impure top; setfattr -x trusted.overlay.origin top/d",
        dir.path(),
    );
    let mut expected = tree(&top);
    let mut found = tree(&again);
    for (_, node) in expected
        .iter_mut()
        .chain(found.iter_mut())
        .filter(|(_, node)| node.kind == "char")
    {
        (node.time, node.mode) = ((0, 0), 0);
    }
    assert_same(&found, &expected);
    assert!(pack_on(&again, &[&low]).expect("packed") == tar);
}

#[test]
fn paths_too_long_to_be_unpacked_are_refused() {
    let dir = scratch();
    // perl's chdir goes by the name alone; a shell puts the whole path together.
    let down = "$n = 'n' x 255; for (1 .. 15) { mkdir $n; chdir $n or die; }";
    shell(
        &format!("mkdir d; cd d; perl -e '{down} mkdir \"y\" x 254'"),
        dir.path(),
    );
    assert!(pack_on(&dir.path().join("d"), &[]).is_ok(), "4094 bytes");
    shell(
        &format!("cd d; perl -e '{down} mkdir \"z\" x 255; mkdir \"z\" x 255 . \"/z\"'"),
        dir.path(),
    );
    let error = pack_on(&dir.path().join("d"), &[]).expect_err("refused").to_string();
    assert!(
        error.ends_with("its path has 4097 bytes, more than the 4095 that can be unpacked again"),
        "{error}"
    );
}

#[test]
fn what_a_tar_cant_express_is_refused() {
    let cases = [
        (
            "mkdir d/sub; setfattr -n trusted.overlay.redirect -v x d/sub",
            "sub: is a directory that was renamed",
        ),
        (
            "echo x > d/f; setfattr -n trusted.overlay.metacopy -v 0x00 d/f",
            "f: is a file whose contents are in a lower layer",
        ),
        (
            "mkdir d/s; echo x > d/s/.wh.f",
            "s/.wh.f: has a name that starts with .wh.",
        ),
        ("mkdir -p d/s/.wh.f", "s/.wh.f: has a name that starts with .wh."),
    ];
    for (make, expected) in cases {
        let dir = scratch();
        shell(&format!("mkdir d; {make}"), dir.path());
        let error = pack_on(&dir.path().join("d"), &[]).expect_err("refused").to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn what_was_meant_comes_out_again() {
    let dir = scratch();
    shell(
        "mkdir d; echo x > d/f; : > d/sda; chmod 640 d/sda; ln d/f d/g",
        dir.path(),
    );
    let mut owners = OwnerRecord::default();
    let file = Intended {
        uid: 33,
        gid: 34,
        xattrs: vec![(b"trusted.a".to_vec(), b"1".to_vec())],
        ..Intended::default()
    };
    owners.insert(b"f", file.clone());
    owners.insert(b"g", file);
    let device = Some(Device {
        block: true,
        major: 8,
        minor: 300,
    });
    owners.insert(
        b"sda",
        Intended {
            uid: 0,
            gid: 6,
            device,
            ..Intended::default()
        },
    );
    let lower = LayerStack::default();
    let options = PackOptions {
        lower: &lower,
        owners: Some(&owners),
        clamp: Some(1_000_000_000),
    };
    let mut tar = Vec::new();
    pack(open(&dir.path().join("d")), &mut tar, &options).expect("packed");
    unpack_into(&tar, &dir.path().join("again")).expect("unpacked");
    let found = tree(&dir.path().join("again"));
    assert_eq!(found["f"].owner, (33, 34));
    assert_eq!(found["g"].same_as, "f");
    assert_eq!(found["f"].xattrs, [("trusted.a".to_owned(), b"1".to_vec())]);
    assert_eq!((found["sda"].kind, found["sda"].mode), ("block", 0o640));
    assert_eq!(found["sda"].device, rustix::fs::makedev(8, 300));
    assert!(found.values().all(|node| node.time == (1_000_000_000, 0)), "clamped");
}

#[test]
fn a_merged_view_has_no_marks() {
    let dir = scratch();
    let make = "mkdir -p low/d low/e mid/d top/e; echo low > low/d/a; echo low > low/d/b; echo x > low/e/x; echo x > low/z
mknod mid/d/a c 0 0; echo mid > mid/d/b; chmod 750 mid/d; setfattr -n trusted.overlay.opaque -v y top/e; echo y > top/e/y
touch -d '2020-01-01 UTC' low mid top";
    shell(make, dir.path());
    let stack = LayerStack::new(["low", "mid", "top"].map(|name| dir.path().join(name)).to_vec());
    let mut tar = Vec::new();
    pack_merged(&stack, &mut tar, &MergedOptions::default()).expect("packed");
    assert_eq!(listed(&tar, dir.path()), ["./", "d/", "d/b", "e/", "e/y", "z"]);
    unpack_into(&tar, &dir.path().join("flat")).expect("unpacked");
    shell("mkdir mnt; mount -t overlay o -o lowerdir=top:mid:low mnt", dir.path());
    let seen = tree(&dir.path().join("mnt"));
    shell("umount mnt", dir.path());
    assert_same(&tree(&dir.path().join("flat")), &seen);
}

#[test]
fn sockets_are_left_out_and_counted() {
    let dir = scratch();
    std::fs::create_dir(dir.path().join("d")).expect("mkdir");
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("d/socket")).expect("bind");
    let lower = LayerStack::default();
    let options = PackOptions {
        lower: &lower,
        owners: None,
        clamp: None,
    };
    let packed = pack(open(&dir.path().join("d")), &mut Vec::new(), &options).expect("packed");
    assert_eq!((packed.entries, packed.sockets), (1, 1));
}

#[test]
fn holes_cost_no_reads() {
    let dir = scratch();
    shell("mkdir d; truncate -s 256M d/holes; printf end >> d/holes", dir.path());
    let lower = LayerStack::default();
    let options = PackOptions {
        lower: &lower,
        owners: None,
        clamp: None,
    };
    let mut count = Count(0, 0);
    let layer = open(&dir.path().join("d"));
    let packed = pack(layer, &mut count, &options).expect("packed");
    assert_eq!(packed.size, count.0);
    assert!(count.0 > 256 << 20 && count.1 < 10);
    let used = shell("du -k d/holes | cut -f1", dir.path());
    assert_eq!(String::from_utf8_lossy(&used).trim(), "4");
}

/// Counts bytes, and calls with something else than zeros.
struct Count(u64, u64);
impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        self.1 += bytes.iter().map(|byte| u64::from(*byte != 0)).sum::<u64>().min(1);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The header of a path that has no room there is cut; a slash at its end would make a directory of a file.
#[test]
fn a_path_that_is_cut_after_a_slash_is_still_a_file() {
    for length in 96..104 {
        let dir = scratch();
        let parent = dir.path().join("layer").join("d".repeat(length));
        std::fs::create_dir_all(&parent).expect("mkdir");
        std::fs::write(parent.join("é".repeat(60)), "text").expect("write");
        let tar = pack_on(&dir.path().join("layer"), &[]).expect("packed");
        unpack_into(&tar, &dir.path().join("again")).expect("unpacked");
        assert_same(&tree(&dir.path().join("again")), &tree(&dir.path().join("layer")));
    }
}
