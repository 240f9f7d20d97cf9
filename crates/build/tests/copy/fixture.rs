//! Trees to copy, and who copies them.

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A user without rights.
pub const NOBODY: u32 = 65534;

/// A directory of a test, which everybody may look into.
pub struct Place {
    temporary: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a temporary directory");
        fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        Self { temporary }
    }

    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    pub fn join(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    /// A directory of this name.
    pub fn directory(&self, path: &str) -> PathBuf {
        let path = self.join(path);
        fs::create_dir_all(&path).expect("mkdir");
        path
    }

    /// A file of this name.
    pub fn file(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        fs::write(&path, content).expect("write");
        path
    }
}

/// These tests need root for owners, devices and mounts; they don't pass by not looking.
pub fn require_root() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test needs root: run it as root or in a container"
    );
}

/// A tree with one of everything that any user can make.
pub fn plain(root: &Path) {
    fs::create_dir_all(root.join("sub/deep/er")).expect("mkdir");
    fs::write(root.join("file"), "content\n").expect("write");
    fs::write(root.join("empty"), "").expect("write");
    fs::write(root.join("large"), vec![7; 300_000]).expect("write");
    fs::write(root.join("sub/program"), "#!/bin/sh\n").expect("write");
    fs::write(root.join("sub/deep/er/last"), "x").expect("write");
    fs::hard_link(root.join("file"), root.join("sub/same")).expect("link");
    fs::hard_link(root.join("file"), root.join("sub/deep/same too")).expect("link");
    symlink("../nowhere", root.join("sub/dangling")).expect("symlink");
    symlink("sub", root.join("to directory")).expect("symlink");
    rustix::fs::mknodat(CWD, root.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).expect("mkfifo");
    rustix::fs::mknodat(
        CWD,
        root.join("socket"),
        FileType::Socket,
        Mode::from_raw_mode(0o700),
        0,
    )
    .expect("mknod");
    fs::write(root.join("odd \n'\" name"), "x").expect("write");
    sparse(&root.join("sparse"));
    let user = rustix::fs::lsetxattr(root.join("file"), "user.note", b"kept", XattrFlags::empty());
    user.expect("user attributes, which this file system should have");
    mode(root, "sub/program", 0o755);
    mode(root, "large", 0o444);
    mode(root, "sub", 0o750);
    // Not higher up: cp lets directories it makes in a set-group-id directory keep that bit.
    mode(root, "sub/deep/er", 0o2755);
    mode(root, "sub/deep", 0o700);
    mode(root, "empty", 0o600);
    times(root);
}

/// The same with what only root can make.
pub fn everything(root: &Path) {
    require_root();
    plain(root);
    fs::write(root.join("set id"), "x").expect("write");
    fs::write(root.join("capable"), "x").expect("write");
    fs::write(root.join("acl"), "x").expect("write");
    own(root, "set id", 12, 34);
    own(root, "sub/deep", 1000, 1000);
    own(root, "sub/dangling", 5, 6);
    own(root, "fifo", 7, 8);
    mode(root, "set id", 0o6755);
    let null = rustix::fs::makedev(1, 3);
    let bits = Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(CWD, root.join("null"), FileType::CharacterDevice, bits, null).expect("mknod");
    rustix::fs::mknodat(CWD, root.join("block"), FileType::BlockDevice, bits, null).expect("mknod");
    // cap_net_bind_service+ep, as linux/capability.h lays it out.
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    xattr(root, "capable", "security.capability", &capability);
    xattr(root, "acl", "system.posix_acl_access", &acl(0o6));
    xattr(root, "sub", "system.posix_acl_default", &acl(0o7));
    xattr(root, "sub/deep", "trusted.note", b"kept");
    xattr(root, "sub/dangling", "trusted.note", b"on a symlink");
    times(root);
}

/// An ACL that gives user 1234 `rights`, as linux/posix_acl_xattr.h lays it out.
pub fn acl(rights: u8) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0];
    let nobody = [0xff; 4];
    let user = 1234_u32.to_le_bytes();
    for (tag, bits, id) in [
        (1, 7, nobody),
        (2, rights, user),
        (4, 5, nobody),
        (16, 7, nobody),
        (32, 4, nobody),
    ] {
        bytes.extend_from_slice(&[tag, 0, bits, 0]);
        bytes.extend_from_slice(&id);
    }
    bytes
}

/// A file of 3 MiB with little in it: a hole at each end and one between.
pub fn sparse(path: &Path) {
    let file = fs::File::create(path).expect("create");
    file.write_all_at(b"one", 1 << 20).expect("write");
    file.write_all_at(&vec![2; 200_000], 2 << 20).expect("write");
    file.set_len(3 << 20).expect("truncate");
}

pub fn mode(root: &Path, path: &str, bits: u32) {
    fs::set_permissions(root.join(path), fs::Permissions::from_mode(bits)).expect("chmod");
}

pub fn own(root: &Path, path: &str, uid: u32, gid: u32) {
    std::os::unix::fs::lchown(root.join(path), Some(uid), Some(gid)).expect("chown");
}

pub fn xattr(root: &Path, path: &str, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(root.join(path), name, value, XattrFlags::empty()).expect(name);
}

/// Times of long ago, each its own.
pub fn times(root: &Path) {
    fn set(path: &Path, seconds: &mut i64) {
        if path.symlink_metadata().expect("lstat").is_dir() {
            let mut below: Vec<_> = path
                .read_dir()
                .expect("readdir")
                .map(|entry| entry.expect("entry").path())
                .collect();
            below.sort();
            for path in below {
                set(&path, seconds);
            }
        }
        *seconds += 1;
        let time = Timespec {
            tv_sec: *seconds,
            tv_nsec: 123_456_789,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("utimensat");
    }
    set(root, &mut 1_000_000_000);
}

/// Everything there belongs to `NOBODY`.
pub fn give_to_nobody(path: &Path) {
    std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY)).expect("chown");
    if path.symlink_metadata().expect("lstat").is_dir() {
        for entry in path.read_dir().expect("readdir") {
            give_to_nobody(&entry.expect("entry").path());
        }
    }
}

/// Runs a command as this user, or as `NOBODY`.
pub fn run(nobody: bool, command: &mut Command) -> Output {
    if nobody && rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.output().expect("the command starts")
}

/// Runs real cp, which has to succeed.
pub fn cp(nobody: bool, arguments: &[&std::ffi::OsStr]) {
    let output = run(nobody, Command::new("cp").args(arguments));
    assert!(
        output.status.success(),
        "cp {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
