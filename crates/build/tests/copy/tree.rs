//! What a tree looks like, for comparing two of them: all that a copy keeps.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Times from here on are the time of the test, not one that was kept.
const NOW: i64 = 1_500_000_000;

/// One entry, as a line that can be read.
pub type Tree = BTreeMap<PathBuf, String>;

/// Everything below `root` and itself, as it is.
pub fn look(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut inodes = HashMap::new();
    add(root, Path::new(""), &mut tree, &mut inodes);
    tree
}

/// Panics with the entries that differ.
pub fn assert_same(label: &str, expected: &Path, actual: &Path) {
    let (expected, actual) = (look(expected), look(actual));
    let mut differences = String::new();
    for path in expected
        .keys()
        .chain(actual.keys())
        .collect::<std::collections::BTreeSet<_>>()
    {
        let (wanted, found) = (expected.get(path), actual.get(path));
        if wanted != found {
            let _ = write!(
                differences,
                "\n  {}\n    wanted {wanted:?}\n    found  {found:?}",
                path.display()
            );
        }
    }
    assert!(differences.is_empty(), "{label}: the trees differ{differences}");
}

fn add(root: &Path, relative: &Path, tree: &mut Tree, inodes: &mut HashMap<u64, PathBuf>) {
    let path = if relative.as_os_str().is_empty() {
        root.to_owned()
    } else {
        root.join(relative)
    };
    let metadata = path.symlink_metadata().expect("lstat");
    tree.insert(relative.to_owned(), describe(&path, relative, &metadata, inodes));
    if metadata.is_dir() {
        let mut names: Vec<_> = path
            .read_dir()
            .expect("readdir")
            .map(|entry| entry.expect("entry").file_name())
            .collect();
        names.sort();
        for name in names {
            add(root, &relative.join(name), tree, inodes);
        }
    }
}

fn describe(path: &Path, relative: &Path, metadata: &Metadata, inodes: &mut HashMap<u64, PathBuf>) -> String {
    let mut line = format!("{:o} {}:{}", metadata.mode(), metadata.uid(), metadata.gid());
    if metadata.mtime() < NOW {
        let _ = write!(line, " mtime {}.{:09}", metadata.mtime(), metadata.mtime_nsec());
    }
    if metadata.is_file() {
        let content = std::fs::read(path).expect("read");
        let _ = write!(
            line,
            " {} bytes {:x} in {} blocks",
            content.len(),
            checksum(&content),
            metadata.blocks()
        );
    }
    if metadata.is_symlink() {
        let _ = write!(line, " -> {}", path.read_link().expect("readlink").display());
    }
    if metadata.rdev() != 0 {
        let _ = write!(line, " device {:#x}", metadata.rdev());
    }
    if !metadata.is_dir() && metadata.nlink() > 1 {
        let first = inodes.entry(metadata.ino()).or_insert_with(|| relative.to_owned());
        let _ = write!(line, " {} names, first {}", metadata.nlink(), first.display());
    }
    line + &xattrs(path)
}

fn checksum(content: &[u8]) -> u64 {
    content.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fn xattrs(path: &Path) -> String {
    let mut names = vec![0; 65536];
    let length = rustix::fs::llistxattr(path, names.as_mut_slice()).unwrap_or(0);
    let mut found = Vec::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 65536];
        let name = std::ffi::OsStr::from_bytes(name);
        let size = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).expect("getxattr");
        found.push(format!(" {}={:?}", name.display(), &value[..size]));
    }
    found.sort();
    found.concat()
}
