//! A look at the merged tree of some layers through the kernel, read-only: for reading many files at once. The mount
//! stays detached and ends with its descriptor.

use crate::error::Error;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use wiac_sys::ResultExt;

/// Opens the merged root of `layers` (directories, base first).
///
/// # Errors
/// A layer that can't be opened, or what overlayfs says.
pub fn open_merged(layers: &[PathBuf], user_xattrs: bool) -> Result<OwnedFd, Error> {
    match layers {
        [] => Err(Error::Config("no layers to look at".to_owned())),
        // overlayfs wants two lower directories or an upper one.
        [only] => open_layer(only),
        _ => mount_merged(layers, user_xattrs),
    }
}

fn open_layer(path: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| Error::Directory {
        role: "layer",
        path: path.to_owned(),
        errno,
    })
}

fn mount_merged(layers: &[PathBuf], user_xattrs: bool) -> Result<OwnedFd, Error> {
    let context = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC).call("fsopen", || "overlay")?;
    for path in layers.iter().rev() {
        let layer = open_layer(path)?;
        let result = match fsconfig_set_fd(&context, c"lowerdir+", &layer) {
            Err(Errno::INVAL | Errno::BADF) => {
                let name = format!("/proc/self/fd/{}", layer.as_raw_fd());
                fsconfig_set_string(&context, c"lowerdir+", name)
            }
            result => result,
        };
        result.call("fsconfig", || format!("lowerdir+={}", path.display()))?;
    }
    for (key, value) in [
        (c"index", c"off"),
        (c"metacopy", c"off"),
        (c"redirect_dir", c"nofollow"),
    ] {
        fsconfig_set_string(&context, key, value).call("fsconfig", || key.to_string_lossy())?;
    }
    if user_xattrs {
        fsconfig_set_flag(&context, c"userxattr").call("fsconfig", || "userxattr")?;
    }
    fsconfig_create(&context).call("fsconfig", || "create overlay")?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).call("fsmount", || "overlay")?)
}
