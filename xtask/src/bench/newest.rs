//! The newest Debian's peers: its root, made once and kept, and the way into it.
//!
//! podman and docker don't work under a plain chroot, so the root becomes that of a mount namespace.

use super::place::Place;
use crate::test::machine;
use crate::{Outcome, shell};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_change, unmount,
};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::ffi::CStr;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use wiac_sys::process::{clone_into, namespace};

/// The release whose peers are used.
pub(super) const SUITE: &str = "trixie";

/// Where its root is kept.
const KEPT: &str = "/var/cache/wiac-bench";

/// What is installed in it.
const PACKAGES: &str = "bubblewrap,buildah,ca-certificates,crun,dash,docker-buildx,docker-cli,docker-registry,docker.io,iptables,podman,skopeo,umoci,zstd";

/// Makes the root where it is missing.
pub(crate) fn root() -> Outcome<PathBuf> {
    let root = Path::new(KEPT).join(SUITE);
    // What was added to the list last: a root that was made before hasn't got it.
    if root.join("usr/bin/docker-registry").exists() {
        return Ok(root);
    }
    machine::install(&[("mmdebstrap", "makes the root of the newest Debian")])?;
    std::fs::create_dir_all(KEPT)?;
    let unfinished = Path::new(KEPT).join(format!("{SUITE}.{}", std::process::id()));
    let mut make = Command::new("mmdebstrap");
    make.args(["--quiet", "--variant=apt"])
        .arg(format!("--include={PACKAGES}"))
        .arg(SUITE)
        .arg(&unfinished);
    shell::run(make.arg("http://deb.debian.org/debian")).inspect_err(|_| drop(std::fs::remove_dir_all(&unfinished)))?;
    if root.exists() {
        std::fs::remove_dir_all(&root)?;
    }
    std::fs::rename(unfinished, &root)?;
    Ok(root)
}

/// Makes a small root of the newest Debian where it is missing: its tar.
pub(crate) fn small_debian() -> Outcome<PathBuf> {
    let tar = Path::new(KEPT).join(format!("{SUITE}-small.tar"));
    if tar.exists() {
        return Ok(tar);
    }
    machine::install(&[("mmdebstrap", "makes a root of the newest Debian")])?;
    std::fs::create_dir_all(KEPT)?;
    let unfinished = Path::new(KEPT).join(format!("{SUITE}-small.{}.tar", std::process::id()));
    let mut make = Command::new("mmdebstrap");
    make.args(["--quiet", "--variant=apt", "--include=ca-certificates", SUITE])
        .arg(&unfinished);
    shell::run(make.arg("http://deb.debian.org/debian")).inspect_err(|_| drop(std::fs::remove_file(&unfinished)))?;
    std::fs::rename(unfinished, &tar)?;
    Ok(tar)
}

/// Runs `task` in a process with a mount namespace of its own, from which no mount reaches the machine's.
pub(crate) fn in_namespace(task: impl FnOnce() -> Outcome) -> Outcome {
    let child = clone_into(namespace::MOUNT, None, || {
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        let outcome = mount_change(c"/", private).map_err(Into::into).and_then(|()| task());
        let _ = std::io::stdout().flush();
        match outcome {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("xtask: {error}");
                1
            }
        }
    })?;
    let status = waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED)?;
    match status.and_then(|status| status.exit_status()) {
        Some(0) => Ok(()),
        _ => Err("the benchmark failed".into()),
    }
}

/// Makes `root` the root of this process, and starts this task again in it.
pub(crate) fn enter(root: &Path, place: &Place) -> Outcome {
    place.install(&std::env::current_exe()?, "xtask")?;
    mount_bind(root, root)?;
    for shared in ["dev", "proc", "sys", "var/tmp"] {
        mount_bind_recursive(Path::new("/").join(shared), root.join(shared))?;
    }
    for own in ["run", "tmp"] {
        mount(c"tmpfs", root.join(own), c"tmpfs", MountFlags::empty(), None::<&CStr>)?;
    }
    std::env::set_current_dir(root)?;
    rustix::process::pivot_root(c".", c".")?;
    unmount(c".", UnmountFlags::DETACH)?;
    std::env::set_current_dir("/")?;
    let mut again = Command::new(place.program("xtask"));
    again
        .args(std::env::args_os().skip(1))
        .arg("--inside")
        .arg(place.path(""))
        .env_clear();
    again.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/root");
    Err(again.exec().into())
}
