//! Any tree, packed and unpacked, is the same tree; packed again, it is the same bytes.

mod common;
mod random;

use common::{assert_same, pack_on, scratch, tree, unpack_on};
use proptest::prelude::*;
use random::{Kind, Node, any_tree, make};

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn packed_and_unpacked_it_is_the_same(root in any_tree(), below in any_tree()) {
        let dir = scratch();
        let (low, layer, again) = (dir.path().join("low"), dir.path().join("layer"), dir.path().join("again"));
        make(&root, &layer, &mut None);
        // Below it there are the same directories, so that opaque marks mean something, and others.
        make(&only_directories(&root), &low, &mut None);
        make(&below, &low.join("more"), &mut None);
        let tar = pack_on(&layer, &[&low]).expect("packed");
        unpack_on(&tar, &again, &[&low]).expect("unpacked");
        assert_same(&tree(&again), &tree(&layer));
        prop_assert!(pack_on(&again, &[&low]).expect("packed") == tar, "packed again, it differs");
    }
}

fn only_directories(node: &Node) -> Node {
    let mut node = node.clone();
    if let Kind::Directory { entries, opaque } = &mut node.kind {
        *opaque = false;
        entries.retain(|_, node| matches!(node.kind, Kind::Directory { .. }));
        for node in entries.values_mut() {
            *node = only_directories(node);
        }
    }
    node
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// The crate `tar` reads what we write, and we read what it writes.
    #[test]
    fn the_crate_tar_agrees(root in any_tree()) {
        let dir = scratch();
        let layer = dir.path().join("layer");
        make(&without_newlines(&root), &layer, &mut None);
        let tar = pack_on(&layer, &[]).expect("packed");
        let mut archive = tar::Archive::new(tar.as_slice());
        let mut builder = tar::Builder::new(Vec::new());
        for entry in archive.entries().expect("entries") {
            let mut entry = entry.expect("entry");
            // The crate writes what records say into the header, and leaves the sum as it was.
            let mut header = entry.header().clone();
            header.set_cksum();
            let extensions: Vec<(String, Vec<u8>)> = entry.pax_extensions().expect("pax").into_iter().flatten()
                .map(|record| record.expect("record"))
                .map(|record| (record.key().expect("key").to_owned(), record.value_bytes().to_vec()))
                .collect();
            let extensions = extensions.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
            builder.append_pax_extensions(extensions).expect("written");
            builder.append(&header, &mut entry).expect("written");
        }
        let theirs = builder.into_inner().expect("finished");
        let (ours, again) = (dir.path().join("ours"), dir.path().join("again"));
        unpack_on(&tar, &ours, &[]).expect("unpacked");
        unpack_on(&theirs, &again, &[]).expect("unpacked");
        assert_same(&tree(&again), &tree(&ours));
    }
}

/// The crate splits PAX records at newlines, whatever their length says.
fn without_newlines(node: &Node) -> Node {
    let clean = |bytes: &[u8]| -> Vec<u8> {
        bytes
            .iter()
            .map(|byte| if *byte == b'\n' { b'_' } else { *byte })
            .collect()
    };
    let mut node = node.clone();
    let xattrs = node.xattrs.iter();
    node.xattrs = xattrs
        .map(|(name, value)| (name.replace('\n', "_"), clean(value)))
        .collect();
    match &mut node.kind {
        Kind::Symlink(target) => *target = clean(target),
        Kind::Directory { entries, .. } => {
            *entries = entries
                .iter()
                .map(|(name, node)| (clean(name), without_newlines(node)))
                .collect();
        }
        _ => {}
    }
    node
}
