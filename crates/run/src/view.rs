//! A look at the merged tree of some layers through the kernel, read-only: for reading many files at once. The mount
//! stays detached and ends with its descriptor.

use crate::error::Error;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_fd, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, mount_change, open_tree,
};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use wiac_sys::ResultExt;

/// What keeps the kernel from taking a marked layer for more than it is here.
const OPTIONS: [(&str, &str); 3] = [("index", "off"), ("metacopy", "off"), ("redirect_dir", "nofollow")];

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
    if legacy_is_asked_for() {
        return mount_merged_legacy(layers, user_xattrs);
    }
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
        match result {
            // Linux 6.5 to 6.7, which don't know the option; earlier ones, whose overlay takes strings alone.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return mount_merged_legacy(layers, user_xattrs),
            result => result.call("fsconfig", || format!("lowerdir+={}", path.display()))?,
        }
    }
    for (key, value) in OPTIONS {
        fsconfig_set_string(&context, key, value).call("fsconfig", || key)?;
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

/// Whether the way of older kernels is to be taken on any (docs/kernel-features.md).
pub fn legacy_is_asked_for() -> bool {
    std::env::var_os("WIAC_LEGACY_OVERLAY").is_some_and(|value| value == "1")
}

/// Before Linux 6.8: mount(2), which takes all layers in one string of a page and attaches what it makes. That happens
/// in a mount namespace that ends with a thread of its own; a detached copy of the mount stays.
fn mount_merged_legacy(layers: &[PathBuf], user_xattrs: bool) -> Result<OwnedFd, Error> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, || attach_merged(layers, user_xattrs));
        thread
            .map_err(|error| {
                Error::Config(format!(
                    "can't start a thread that mounts: {}",
                    wiac_sys::error::words(&error)
                ))
            })?
            .join()
            .unwrap_or_else(|_| Err(Error::Config("the thread that mounts ended early".to_owned())))
    })
}

/// Mounts on the base layer's directory, in this thread's new namespace alone, and copies the mount.
fn attach_merged(layers: &[PathBuf], user_xattrs: bool) -> Result<OwnedFd, Error> {
    let place = layers.first().map_or(Path::new("/"), PathBuf::as_path);
    let place = std::path::absolute(place).unwrap_or_else(|_| place.to_owned());
    wiac_sys::mount::unshare_namespace().call("unshare", || "CLONE_NEWNS")?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).call("mount", || "/, MS_PRIVATE")?;
    // Opened here: overlay takes directories of its own mount namespace alone.
    let opened: Vec<OwnedFd> = layers
        .iter()
        .rev()
        .map(|path| open_layer(path))
        .collect::<Result<_, _>>()?;
    let names: Vec<String> = opened.iter().map(|fd| fd.as_raw_fd().to_string()).collect();
    let mut data = format!("lowerdir={}", names.join(":"));
    for (key, value) in OPTIONS {
        data.extend([",", key, "=", value]);
    }
    if user_xattrs {
        data.push_str(",userxattr");
    }
    // mount(2) would cut off what is beyond its page.
    if data.len() >= 4096 {
        return Err(Error::Config(format!(
            "{} layers are more than this kernel's overlay takes at once (Linux 6.8 takes them one by one)",
            layers.len()
        )));
    }
    let data = std::ffi::CString::new(data).unwrap_or_default();
    let flags = MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
    rustix::process::chdir("/proc/self/fd").call("chdir", || "/proc/self/fd")?;
    mount("overlay", &place, "overlay", flags, data.as_c_str()).call("mount", || {
        format!("an overlay of {} layers on {}", layers.len(), place.display())
    })?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    Ok(open_tree(CWD, &place, flags).call("open_tree", || place.to_string_lossy())?)
}
