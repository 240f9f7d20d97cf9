//! Each way that a start can fail, and what is said about it.

mod common;

use common::{AARCH64, Tree, elf, program};
use std::ffi::OsStr;
use std::path::Path;
use wiac_loader::{Diagnosis, FailedStart, explain};

const ENOENT: i32 = 2;
const ENOEXEC: i32 = 8;
const EACCES: i32 = 13;
const ELOOP: i32 = 40;

fn diagnose(tree: &Tree, program: &str, errno: impl Into<Option<i32>>) -> Diagnosis {
    let start = FailedStart {
        program: OsStr::new(program),
        directory: Path::new("/"),
        search_path: Some(OsStr::new("/usr/bin:/bin")),
        errno: errno.into(),
    };
    explain(&tree.root(), &start)
}

/// The text, with the exit code in front.
fn said(tree: &Tree, program: &str, errno: impl Into<Option<i32>>) -> String {
    let diagnosis = diagnose(tree, program, errno);
    format!("{} {diagnosis}", diagnosis.exit_code())
}

#[test]
fn not_in_path() {
    let tree = Tree::empty()
        .elf("/bin/python3", &elf())
        .file("/bin/pyhton9", "")
        .mode("/bin/pyhton9", 0o644);
    let expected = "127 pyhton3 is in no directory of PATH (/usr/bin:/bin)\ndid you mean python3?";
    assert_eq!(said(&tree, "pyhton3", ENOENT), expected);
    assert_eq!(
        said(&tree, "xyz", ENOENT),
        "127 xyz is in no directory of PATH (/usr/bin:/bin)"
    );
    assert_eq!(said(&tree, "", ENOENT), "127 the program's name is empty");
}

#[test]
fn missing_files_and_links() {
    let tree = Tree::empty()
        .file("/bin/f", "")
        .link("/bin/dangling", "/opt/gone")
        .link("/bin/circle", "circle")
        .directory("/opt");
    assert_eq!(said(&tree, "/bin/x", ENOENT), "127 /bin/x does not exist");
    assert_eq!(
        said(&tree, "/srv/a/x", ENOENT),
        "127 /srv/a/x does not exist: there is no /srv"
    );
    assert_eq!(
        said(&tree, "/bin/f/x", 20),
        "126 /bin/f/x does not exist: /bin/f is not a directory"
    );
    // A slash at the end asks for a directory.
    assert_eq!(
        said(&tree, "/bin/f/", 20),
        "126 /bin/f/ does not exist: /bin/f is not a directory"
    );
    let expected = "127 /bin/dangling is a symlink to /opt/gone, which does not exist";
    assert_eq!(said(&tree, "/bin/dangling", ENOENT), expected);
    let expected = "126 /bin/circle is a symlink that leads back to itself";
    assert_eq!(said(&tree, "/bin/circle", ELOOP), expected);
    assert_eq!(said(&tree, "/opt", EACCES), "126 /opt is a directory, not a program");
}

#[test]
fn permission() {
    let tree = Tree::empty()
        .elf("/bin/p", &elf())
        .mode("/bin/p", 0o644)
        .elf("/bin/q", &elf());
    let expected = "126 /bin/p is not executable (mode 0644)\nchmod +x /bin/p makes it so";
    assert_eq!(said(&tree, "/bin/p", EACCES), expected);
    assert_eq!(said(&tree, "p", EACCES), expected);
    assert!(matches!(
        diagnose(&tree, "/bin/q", EACCES),
        Diagnosis::PermissionDenied { mode: 0o755, .. }
    ));
    assert!(matches!(diagnose(&tree, "/bin/q", 1), Diagnosis::Refused { .. }));
}

/// Needs CAP_SYS_ADMIN (run the tests as root, or inside `unshare -r`): a tmpfs is made for it that is mounted nowhere.
#[test]
fn noexec_mounts() {
    use rustix::fs::{Mode, OFlags};
    use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
    let tmpfs = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).expect("fsopen needs CAP_SYS_ADMIN");
    fsconfig_create(&tmpfs).unwrap();
    let flags = MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let mount = fsmount(&tmpfs, FsMountFlags::FSMOUNT_CLOEXEC, flags).unwrap();
    let file = rustix::fs::openat(&mount, "p", OFlags::CREATE | OFlags::WRONLY, Mode::from_raw_mode(0o755)).unwrap();
    rustix::io::write(&file, &elf().build()).unwrap();
    let root = wiac_sys::root::Root::from_fd(mount).unwrap();
    let start = FailedStart {
        program: OsStr::new("/p"),
        directory: Path::new("/"),
        search_path: None,
        errno: Some(EACCES),
    };
    let diagnosis = explain(&root, &start);
    assert_eq!(diagnosis.to_string(), "/p is on a file system mounted with noexec");
    assert_eq!(diagnosis.exit_code(), 126);
}

#[test]
fn interpreters() {
    let tree = Tree::empty().elf("/bin/p", &program());
    let start = "127 /bin/p is there, but its dynamic loader can't be used: /lib64/ld-linux-x86-64.so.2 does not exist: \
        there is no /lib64";
    assert_eq!(said(&tree, "p", ENOENT), start);
    let tree = tree.elf("/lib/ld-musl-x86_64.so.1", &elf());
    let expected = format!("{start}\nit was built for glibc; here is musl (/lib/ld-musl-x86_64.so.1)");
    assert_eq!(said(&tree, "p", ENOENT), expected);
    let tree = tree.elf(common::LOADER, &elf()).mode(common::LOADER, 0o644);
    assert_eq!(diagnose(&tree, "p", EACCES).exit_code(), 126);
}

#[test]
fn missing_libraries_also_after_a_start() {
    let tree = Tree::new()
        .elf("/bin/p", &program().runpath("/o").needs("liba.so").needs("libx.so"))
        .elf("/o/liba.so", &elf().needs("libb.so"));
    let text = said(&tree, "p", None);
    assert!(
        text.starts_with(
            "127 /bin/p lacks libraries: libx.so, libb.so (needed by /o/liba.so)\nlooked in /o, /lib/x86_64-linux-gnu"
        ),
        "{text}"
    );
    let tree = tree.elf("/lib/libx.so", &elf()).elf("/lib/libb.so", &elf());
    assert_eq!(said(&tree, "p", None), "127 /bin/p has all that it needs to start");
}

#[test]
fn a_missing_library_is_named_once_with_what_lies_in_its_place() {
    let tree = Tree::new()
        .elf("/bin/p", &program().runpath("/o").needs("liba.so").needs("libx.so"))
        .elf("/o/liba.so", &elf().needs("libx.so"))
        .elf("/o/libx.so", &elf().machine(AARCH64, true));
    let text = said(&tree, "p", None);
    assert!(
        text.starts_with("127 /bin/p lacks a library: libx.so\nlooked in /o, "),
        "{text}"
    );
    assert!(text.ends_with("\n/o/libx.so is made for aarch64"), "{text}");
}

#[test]
fn other_machines() {
    let (foreign, name, host) = if cfg!(target_arch = "x86_64") {
        (elf().machine(AARCH64, true), "aarch64", "x86-64")
    } else {
        (elf(), "x86-64", std::env::consts::ARCH)
    };
    let tree = Tree::empty().elf("/bin/p", &foreign);
    let expected = format!("126 /bin/p is a program for {name}, but this machine is {host}");
    assert_eq!(said(&tree, "p", ENOEXEC), expected);
}

#[test]
fn scripts() {
    let tree = Tree::empty()
        .elf("/bin/sh", &elf())
        .elf("/usr/bin/env", &elf())
        .file("/bin/dos", "#!/bin/sh\r\nexit\r\n")
        .file("/bin/dosenv", "#!/usr/bin/env sh\r\n")
        .file("/bin/gone", "#!/bin/bash\n")
        .file("/bin/envgone", "#!/usr/bin/env bash\n")
        .file("/bin/loop", "#!/bin/loop\n")
        .file("/bin/bom", "\u{feff}#!/bin/sh\n")
        .file("/bin/text", "echo hello\n")
        .file("/bin/empty", "");
    let text = said(&tree, "dos", ENOENT);
    assert!(
        text.starts_with("127 the first line of /bin/dos ends with a carriage return"),
        "{text}"
    );
    assert!(matches!(
        diagnose(&tree, "dosenv", None),
        Diagnosis::CarriageReturn { .. }
    ));
    let expected = "127 /bin/gone is a script for /bin/bash, which can't start: /bin/bash does not exist";
    assert_eq!(said(&tree, "gone", ENOENT), expected);
    let expected = "127 /bin/envgone is a script for bash, which can't start: bash is in no directory of PATH \
        (/usr/bin:/bin)";
    assert_eq!(said(&tree, "envgone", None), expected);
    assert!(said(&tree, "loop", ELOOP).contains("beyond the kernel's limit"));
    assert!(said(&tree, "bom", ENOEXEC).contains("not at its very beginning"));
    assert!(said(&tree, "text", ENOEXEC).starts_with("126 /bin/text is neither an ELF program nor a script\n"));
    assert_eq!(said(&tree, "empty", ENOEXEC), "126 /bin/empty is empty");
}

#[test]
fn damaged_programs() {
    let mut object = elf();
    object.kind = 1;
    let tree = Tree::empty().elf("/bin/o", &object);
    assert_eq!(
        said(&tree, "o", ENOEXEC),
        "126 /bin/o is an object file or core dump, not a program"
    );
    let tree = Tree::empty()
        .file("/bin/p", &program().build()[..80])
        .file("/bin/q", b"\x7fELF");
    let text = said(&tree, "p", ENOEXEC);
    assert!(
        text.starts_with("126 /bin/p is a damaged program: program headers beyond the end of the file"),
        "{text}"
    );
    assert!(said(&tree, "q", ENOEXEC).contains("damaged"));
}

#[test]
fn never_only_no_such_file() {
    let tree = Tree::new().elf("/bin/p", &program());
    let text = said(&tree, "p", ENOENT);
    assert_eq!(
        text,
        "127 the kernel did not start /bin/p: No such file or directory; its files show no reason"
    );
}

#[test]
fn what_is_missing_behind_a_symlink_is_not_its_target() {
    let tree = Tree::empty()
        .directory("/usr/bin")
        .link("/bin", "usr/bin")
        .link("/tools", "/usr/none");
    assert_eq!(
        said(&tree, "/bin/m", ENOENT),
        "127 /bin/m does not exist: there is no /usr/bin/m"
    );
    let expected = "127 /tools/m can't be reached: /tools is a symlink to /usr/none, which does not exist";
    assert_eq!(said(&tree, "/tools/m", ENOENT), expected);
}
