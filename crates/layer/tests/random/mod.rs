//! Random trees with everything that a layer can have.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

#[derive(Debug, Clone)]
pub enum Kind {
    Directory {
        entries: BTreeMap<Vec<u8>, Node>,
        opaque: bool,
    },
    File(Vec<u8>),
    /// Data at an offset.
    Sparse(u64, Vec<u8>),
    Symlink(Vec<u8>),
    Device {
        block: bool,
        major: u32,
        minor: u32,
    },
    Fifo,
    Whiteout,
    /// Another name of the file before, if there is one.
    HardLink,
}

#[derive(Debug, Clone)]
pub struct Node {
    pub kind: Kind,
    pub mode: u32,
    pub owner: (u32, u32),
    pub time: (i64, u32),
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let any = vec(1..=255_u8, 1..20);
    let long = (b'a'..=b'z', 90..255_usize).prop_map(|(letter, length)| vec![letter; length]);
    prop_oneof![4 => any, 2 => "[a-c]{1,2}".prop_map(String::into_bytes), 1 => long].prop_map(|mut name| {
        name.iter_mut()
            .filter(|byte| **byte == b'/')
            .for_each(|byte| *byte = b'_');
        if name == b"." || name == b".." || name.starts_with(b".wh.") {
            name = b"dots".to_vec();
        }
        name
    })
}

fn xattrs() -> impl Strategy<Value = BTreeMap<String, Vec<u8>>> {
    let name = prop_oneof![
        "user\\.[a-z=%. \n]{1,20}",
        "trusted\\.[a-z]{1,5}",
        "trusted\\.[é-ü]{1,3}"
    ];
    prop_oneof![3 => Just(BTreeMap::new()), 1 => btree_map(name, vec(any::<u8>(), 0..40), 1..4)]
}

fn leaf() -> impl Strategy<Value = Kind> {
    let target = vec(1..=255_u8, 1..300);
    prop_oneof![
        4 => vec(any::<u8>(), 0..2000).prop_map(Kind::File),
        1 => (0..3_000_000_u64, vec(any::<u8>(), 0..5000)).prop_map(|(at, data)| Kind::Sparse(at, data)),
        2 => target.prop_map(Kind::Symlink),
        1 => (any::<bool>(), 1..4096_u32, 0..(1_u32 << 20))
            .prop_map(|(block, major, minor)| Kind::Device { block, major, minor }),
        1 => Just(Kind::Fifo),
        1 => Just(Kind::Whiteout),
        1 => Just(Kind::HardLink),
    ]
}

fn with_metadata(kind: impl Strategy<Value = Kind>) -> impl Strategy<Value = Node> {
    let id = prop_oneof![Just(0_u32), 0..70_000_u32, 0..u32::MAX];
    let seconds = prop_oneof![0..2_000_000_000_i64, -2_000_000_000..20_000_000_000_i64];
    let nanoseconds = prop_oneof![
        Just(0_u32),
        0..1_000_000_000_u32,
        (0..1000_u32).prop_map(|n| n * 1_000_000)
    ];
    (kind, 0..0o10000_u32, (id.clone(), id), (seconds, nanoseconds), xattrs()).prop_map(
        |(kind, mode, owner, time, xattrs)| Node {
            kind,
            mode,
            owner,
            time,
            xattrs,
        },
    )
}

pub fn any_tree() -> impl Strategy<Value = Node> {
    let node = with_metadata(leaf()).prop_recursive(4, 40, 8, |inner| {
        let directory = (btree_map(name(), inner, 0..8), any::<bool>());
        with_metadata(directory.prop_map(|(entries, opaque)| Kind::Directory { entries, opaque }))
    });
    let root = (btree_map(name(), node, 0..8)).prop_map(|entries| Kind::Directory { entries, opaque: false });
    with_metadata(root)
}

/// Makes the tree at `path`; `file` is the last regular file made.
pub fn make(node: &Node, path: &Path, file: &mut Option<std::path::PathBuf>) {
    match &node.kind {
        Kind::Directory { entries, opaque } => {
            let _ = std::fs::create_dir(path);
            for (name, node) in entries {
                make(node, &path.join(std::ffi::OsStr::from_bytes(name)), file);
            }
            if *opaque {
                let flags = XattrFlags::empty();
                rustix::fs::lsetxattr(path, "trusted.overlay.opaque", b"y", flags).expect("opaque");
            }
        }
        Kind::File(data) => {
            std::fs::write(path, data).expect("write");
            *file = Some(path.to_owned());
        }
        Kind::Sparse(at, data) => {
            let made = std::fs::File::create(path).expect("create");
            std::os::unix::fs::FileExt::write_all_at(&made, data, *at).expect("write");
            made.set_len(at + data.len() as u64 + 5000).expect("truncate");
            *file = Some(path.to_owned());
        }
        Kind::Symlink(target) => {
            std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(target), path).expect("symlink");
        }
        Kind::Device { block, major, minor } => {
            let kind = if *block {
                FileType::BlockDevice
            } else {
                FileType::CharacterDevice
            };
            let device = rustix::fs::makedev(*major, *minor);
            rustix::fs::mknodat(CWD, path, kind, Mode::empty(), device).expect("mknod");
        }
        Kind::Fifo => rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::empty(), 0).expect("mknod"),
        Kind::Whiteout => {
            return rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), 0).expect("mknod");
        }
        Kind::HardLink => {
            if let Some(file) = file {
                std::fs::hard_link(file, path).expect("link");
            }
            return;
        }
    }
    dress(node, path);
}

fn dress(node: &Node, path: &Path) {
    let (uid, gid) = (Uid::from_raw(node.owner.0), Gid::from_raw(node.owner.1));
    rustix::fs::chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).expect("chown");
    let is_symlink = matches!(node.kind, Kind::Symlink(_));
    if !is_symlink {
        rustix::fs::chmod(path, Mode::from_raw_mode(node.mode)).expect("chmod");
    }
    let takes_user = matches!(node.kind, Kind::Directory { .. } | Kind::File(_) | Kind::Sparse(..));
    for (name, value) in node
        .xattrs
        .iter()
        .filter(|(name, _)| takes_user || name.starts_with("trusted."))
    {
        rustix::fs::lsetxattr(path, name.as_str(), value, XattrFlags::empty()).expect("setxattr");
    }
    let time = Timespec {
        tv_sec: node.time.0,
        tv_nsec: node.time.1.into(),
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("utimens");
}
