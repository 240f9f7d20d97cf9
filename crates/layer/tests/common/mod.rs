//! What the tests of this crate share: a directory on tmpfs, a tree as a value, unpacking in one line.

#![allow(dead_code, reason = "each test binary uses some of it")]

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use wiac_layer::merged::LayerStack;
use wiac_layer::pack::{PackOptions, pack};
use wiac_layer::unpack::{Limits, OwnerPolicy, UnpackOptions, Unpacked, unpack};
use wiac_layer::{Form, Result};

/// A directory where root can set every attribute and make devices.
pub fn scratch() -> TempDir {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test needs root, to make devices and to set owners and trusted attributes"
    );
    let dir = tempfile::tempdir_in("/dev/shm").expect("a directory on /dev/shm");
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(dir.path(), "trusted.test", b"x", flags).expect("trusted attributes on /dev/shm");
    rustix::fs::setxattr(dir.path(), "user.test", b"x", flags).expect("user attributes on /dev/shm (Linux 6.6)");
    dir
}

pub fn open(path: &Path) -> OwnedFd {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).expect("open")
}

/// Unpacks as root on nothing.
pub fn unpack_into(tar: &[u8], into: &Path) -> Result<Unpacked> {
    unpack_on(tar, into, &[])
}

/// Unpacks as root on other layers.
pub fn unpack_on(tar: &[u8], into: &Path, lower: &[&Path]) -> Result<Unpacked> {
    let lower: Vec<PathBuf> = lower.iter().map(|path| path.to_path_buf()).collect();
    let lower = move || Ok(LayerStack::new(lower.clone()));
    let options = UnpackOptions {
        form: Form::Trusted,
        owners: OwnerPolicy::Set,
        lower: &lower,
        limits: Limits::default(),
    };
    std::fs::create_dir_all(into).expect("mkdir");
    // Blocks lie across the ends of such a buffer: what streams by need not come in whole ones.
    unpack(std::io::BufReader::with_capacity(1000, tar), open(into), &options)
}

/// Packs as root on other layers.
pub fn pack_on(layer: &Path, lower: &[&Path]) -> Result<Vec<u8>> {
    let lower = LayerStack::new(lower.iter().map(|path| path.to_path_buf()).collect());
    let options = PackOptions {
        lower: &lower,
        owners: None,
        clamp: None,
    };
    let mut tar = Vec::new();
    let packed = pack(open(layer), &mut tar, &options)?;
    assert_eq!(packed.size, tar.len() as u64);
    Ok(tar)
}

/// All that counts of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub kind: &'static str,
    pub mode: u32,
    pub owner: (u32, u32),
    pub time: (i64, i64),
    pub device: u64,
    /// A file's contents, a symlink's target.
    pub contents: Vec<u8>,
    pub xattrs: Vec<(String, Vec<u8>)>,
    /// The first path of the same file.
    pub same_as: String,
}

/// Every path below `root` (itself as "") with all that counts. What isn't UTF-8 is escaped.
pub fn tree(root: &Path) -> BTreeMap<String, Node> {
    let mut found = BTreeMap::new();
    let mut inodes = BTreeMap::new();
    let mut paths = vec![root.to_owned()];
    while let Some(path) = paths.pop() {
        let name = path.strip_prefix(root).expect("below").as_os_str().as_bytes();
        let name = String::from_utf8(name.to_vec()).unwrap_or_else(|_| format!("escaped: {}", name.escape_ascii()));
        let stat = path.symlink_metadata().expect("lstat");
        let mut node = node(&path);
        let is_whiteout = node.kind == "char" && node.device == 0;
        if is_whiteout {
            // It has nothing but its place.
            node.time = (0, 0);
        }
        if stat.is_dir() {
            paths.extend(
                std::fs::read_dir(&path)
                    .expect("list")
                    .map(|entry| entry.expect("entry").path()),
            );
        } else if !is_whiteout {
            // Whiteouts may share an inode.
            inodes.insert(name.clone(), (stat.dev(), stat.ino()));
        }
        found.insert(name, node);
    }
    let mut first = BTreeMap::new();
    for (name, inode) in &inodes {
        let first = first.entry(inode).or_insert(name);
        found.get_mut(name).expect("found").same_as.clone_from(first);
    }
    found
}

pub fn node(path: &Path) -> Node {
    let stat = path.symlink_metadata().expect("lstat");
    let kind = stat.file_type();
    let (word, contents) = if kind.is_dir() {
        ("directory", Vec::new())
    } else if kind.is_symlink() {
        let target = std::fs::read_link(path).expect("readlink");
        ("symlink", target.into_os_string().into_encoded_bytes())
    } else if kind.is_file() {
        ("file", std::fs::read(path).expect("read"))
    } else if kind.is_fifo() {
        ("fifo", Vec::new())
    } else if kind.is_char_device() {
        ("char", Vec::new())
    } else if kind.is_block_device() {
        ("block", Vec::new())
    } else {
        ("socket", Vec::new())
    };
    Node {
        kind: word,
        mode: stat.mode() & 0o7777,
        owner: (stat.uid(), stat.gid()),
        time: (stat.mtime(), stat.mtime_nsec()),
        device: if word == "char" || word == "block" {
            stat.rdev()
        } else {
            0
        },
        contents,
        xattrs: xattrs(path),
        same_as: String::new(),
    }
}

pub fn xattrs(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut names = vec![0; 65536];
    let length = rustix::fs::llistxattr(path, &mut names[..]).expect("listxattr");
    let mut found: Vec<(String, Vec<u8>)> = names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| {
            let name = String::from_utf8(name.to_vec()).expect("utf-8");
            let mut value = vec![0; 65536];
            let length = rustix::fs::lgetxattr(path, &name, &mut value[..]).expect("getxattr");
            value.truncate(length);
            (name, value)
        })
        // Overlayfs's own bookkeeping, which says nothing of what is seen.
        .filter(|(name, _)| !name.ends_with(".overlay.origin"))
        .collect();
    found.sort();
    found
}

/// Fails with the first paths that differ.
pub fn assert_same(left: &BTreeMap<String, Node>, right: &BTreeMap<String, Node>) {
    let names: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let differing: Vec<String> = names
        .into_iter()
        .filter(|name| left.get(*name) != right.get(*name))
        .map(|name| format!("{name:?}\n  {:?}\n  {:?}", left.get(name), right.get(name)))
        .take(5)
        .collect();
    assert!(differing.is_empty(), "they differ:\n{}", differing.join("\n"));
}

/// Runs a shell script that must succeed; its standard output.
pub fn shell(script: &str, directory: &Path) -> Vec<u8> {
    let output = std::process::Command::new("sh")
        .args(["-euc", script])
        .current_dir(directory)
        .output()
        .expect("sh");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{error}");
    output.stdout
}

/// A tree with one of everything.
pub const MAKE: &str = r"
mkdir tree; cd tree
mkdir -p a/b/c empty readonly usr/lib
echo text > a/file; echo more > a/b/c/deep; : > a/b/none
head -c 1500000 /dev/urandom > a/big
ln a/file a/b/hard; ln a/file hard2
ln -s usr/lib lib; ln -s /nowhere dangling; ln -s $(printf '%0120d' 1) longlink
echo x > $(printf '%0180d' 2)
mkdir -p $(printf '%060d/%060d/%060d' 3 4 5); echo y > $(printf '%060d/%060d/%060d/y' 3 4 5)
mkfifo pipe; mknod null c 1 3; mknod disk b 8 17
echo x > readonly/x; chmod 0555 readonly; chmod 4755 a/file; chmod 2775 a/b; chmod 1777 empty; chmod 0 a/b/none
chown 1000:2000 a/b a/big; chown -h 33:33 lib; chown 33:33 pipe null
printf 'caf\303\251' > 'n a m e-é'
touch -d '2001-02-03 04:05:06.789012345 UTC' a/file a/b readonly
touch -h -d '1999-01-01 UTC' lib; touch -d '1960-01-01 UTC' usr
touch -d '2010-01-01 UTC' . a empty
";

/// What else pax archives hold.
pub const ATTRIBUTES: &str = r"
setfattr -n user.a -v 1 a/file; setfattr -n user.b -v 0x00ff0a3d a; setfattr -n trusted.c -v x pipe
setfattr -h -n trusted.d -v y lib
echo l > a/c2; setcap cap_net_raw+ep a/big
setfattr -n system.posix_acl_access -v 0x0200000001000600ffffffff0200060087d6120004000400ffffffff08000400b1cb740010000600ffffffff20000000ffffffff a/c2
setfattr -n system.posix_acl_default -v 0x0200000001000700ffffffff0200070087d6120004000500ffffffff10000700ffffffff20000500ffffffff a/b
";
