//! Mounts that no other process sees: the thread that builds a stage moves into a mount namespace of its own, so that
//! they end with it, however it ends, and never reach the disk. Its containers see them, since they are cloned from it.

use crate::error::{IoExt, Result};
use rustix::fd::OwnedFd;
use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, unmount,
};
use std::cell::Cell;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

thread_local! {
    /// Whether this thread is in its own mount namespace already.
    static ENTERED: Cell<bool> = const { Cell::new(false) };
}

/// Something attached to a directory; dropping it detaches it, in the thread that attached it.
#[derive(Debug)]
pub(super) struct Attached {
    directory: PathBuf,
}

impl Drop for Attached {
    fn drop(&mut self) {
        // Otherwise it ends with the thread.
        let _ = unmount(&self.directory, UnmountFlags::DETACH);
    }
}

/// Attaches a detached mount to `directory`, which is made.
///
/// # Errors
/// What the kernel says.
pub(super) fn attach(mount: &OwnedFd, directory: &Path) -> Result<Attached> {
    enter()?;
    std::fs::create_dir_all(directory).on("create", directory)?;
    move_mount(mount, "", CWD, directory, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).on("mount on", directory)?;
    Ok(Attached {
        directory: directory.to_owned(),
    })
}

/// A file system in memory that nobody but this thread and its children see.
///
/// # Errors
/// What the kernel says.
pub(super) fn memory(directory: &Path) -> Result<Attached> {
    let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).on("mount on", directory)?;
    // The directory itself says nothing, and the container sees single files of it alone.
    fsconfig_set_string(&context, c"mode", c"0700").on("mount on", directory)?;
    fsconfig_create(&context).on("mount on", directory)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).on("mount on", directory)?;
    attach(&mount, directory)
}

/// An overlay of open directories, the topmost first, whose changes go to `upper` where one is given.
///
/// # Errors
/// What the kernel says.
pub(super) fn overlay(
    lower: &[OwnedFd],
    upper: Option<(&OwnedFd, &OwnedFd)>,
    user_xattrs: bool,
    directory: &Path,
) -> Result<Attached> {
    let context = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC).on("mount on", directory)?;
    let path = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let paths: Vec<String> = lower.iter().map(path).collect();
    let set = |key: &std::ffi::CStr, value: String| fsconfig_set_string(&context, key, value).on("mount on", directory);
    set(c"lowerdir", paths.join(":"))?;
    if let Some((upper, work)) = upper {
        set(c"upperdir", path(upper))?;
        set(c"workdir", path(work))?;
    }
    if user_xattrs {
        fsconfig_set_flag(&context, c"userxattr").on("mount on", directory)?;
    }
    fsconfig_create(&context).on("mount on", directory)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).on("mount on", directory)?;
    attach(&mount, directory)
}

/// Moves this thread into a mount namespace of its own, once. What others mount later still shows up in it; what is
/// mounted in it shows up nowhere else.
fn enter() -> Result<()> {
    if ENTERED.get() {
        return Ok(());
    }
    let root = Path::new("/");
    wiac_sys::mount::unshare_namespace().on("leave the mount namespace of", root)?;
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change(root, flags).on("change the propagation of", root)?;
    ENTERED.set(true);
    Ok(())
}
