//! What GNU tar writes in each of its formats is unpacked as GNU tar itself would.

mod common;

use common::{ATTRIBUTES, MAKE, assert_same, scratch, shell, tree, unpack_into};

/// What is in an archive made from a tree, unpacked by GNU tar and by us.
fn check(make: &str, options: &str) {
    let dir = scratch();
    shell(make, dir.path());
    let tar = shell(
        &format!("tar -C tree {options} -cf tar . >&2; mkdir theirs; cat tar"),
        dir.path(),
    );
    let flags = "--xattrs --xattrs-include='*' --acls --numeric-owner";
    shell(&format!("tar -C theirs {flags} -xpf tar"), dir.path());
    let ours = dir.path().join("ours");
    unpack_into(&tar, &ours).expect("unpacked");
    assert_same(&tree(&ours), &tree(&dir.path().join("theirs")));
}

#[test]
fn pax() {
    let make = format!("{MAKE}\n{ATTRIBUTES}");
    check(
        &make,
        "--format=pax --xattrs --xattrs-include='*' --acls --numeric-owner",
    );
}

#[test]
fn pax_is_the_tree_itself() {
    let dir = scratch();
    shell(&format!("{MAKE}\n{ATTRIBUTES}"), dir.path());
    let options = "--format=pax --xattrs --xattrs-include='*' --acls --numeric-owner";
    let tar = shell(&format!("tar -C tree {options} -cf - ."), dir.path());
    let ours = dir.path().join("ours");
    let unpacked = unpack_into(&tar, &ours).expect("unpacked");
    assert_same(&tree(&ours), &tree(&dir.path().join("tree")));
    assert_eq!(unpacked.owners, None);
    assert!(!unpacked.depends_on_lower);
}

#[test]
fn a_list_with_a_users_name_is_refused() {
    let dir = scratch();
    let value = "0x0200000001000600ffffffff020006000100000004000400ffffffff10000600ffffffff20000000ffffffff";
    let make = format!("echo x > f; setfattr -n system.posix_acl_access -v {value} f; tar --acls -cf - f");
    let tar = shell(&make, dir.path());
    let error = unpack_into(&tar, &dir.path().join("ours")).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "an access control list names \"daemon\", which means nothing in a layer: pack it with numbers"
    );
}

#[test]
fn gnu() {
    check(MAKE, "--format=gnu");
    check(MAKE, "--format=oldgnu");
}

#[test]
fn ustar() {
    // Its links end at 100 bytes, its times begin in 1970.
    check(
        &format!("{MAKE}\nrm longlink *2; touch -d '1970-01-02 UTC' usr"),
        "--format=ustar",
    );
}

#[test]
fn v7() {
    // It has no long names, no devices, no times before 1970.
    let make = format!("{MAKE}\nrm -r longlink 0* pipe null disk; touch -d '1970-01-02 UTC' usr");
    check(&make, "--format=v7");
}

#[test]
fn sparse_files_of_every_format() {
    let make = "mkdir tree; cd tree
truncate -s 9M holes; for at in 0 100000 4000000 8388608; do printf data | dd of=holes bs=1 seek=$at conv=notrunc; done
truncate -s 3000000 empty; printf end > ends; truncate -s 700000 ends
truncate -s 40M many; i=0; while [ $i -lt 60 ]; do printf x | dd of=many bs=65536 seek=$((i*10)) conv=notrunc; i=$((i+1)); done
chown 5:6 holes; chmod 640 many";
    for format in [
        "--format=gnu",
        "--format=oldgnu",
        "--format=pax --sparse-version=0.0",
        "--format=pax --sparse-version=0.1",
        "--format=pax --sparse-version=1.0",
    ] {
        check(&format!("({make}) 2> /dev/null"), &format!("--sparse {format}"));
    }
}

#[test]
fn holes_stay_holes() {
    let dir = scratch();
    let tar = shell(
        "truncate -s 1G holes; tar --sparse --format=pax -cf - holes",
        dir.path(),
    );
    let ours = dir.path().join("ours");
    let unpacked = unpack_into(&tar, &ours).expect("unpacked");
    assert_eq!(unpacked.size, 1 << 30);
    let used = shell("du -k ours/holes | cut -f1", dir.path());
    assert_eq!(String::from_utf8_lossy(&used).trim(), "0");
}

#[test]
fn large_numbers() {
    let make = "mkdir tree; cd tree; echo x > f; chown 3000000000:4000000000 f; echo y > g
touch -d '2300-01-01 UTC' f; touch -d '1905-05-05 05:05:05.5 UTC' g";
    check(make, "--format=gnu");
    check(make, "--format=pax");
}
