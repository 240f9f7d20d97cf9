//! Mount calls that rustix lacks: `mount_setattr(2)` and fsconfig's messages.
//!
//! The rest of the mount API (fsopen, fsconfig, fsmount, `open_tree`, `move_mount`) is rustix's own.

use crate::error::check;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::fs::StatVfsMountFlags;
use rustix::io::{Errno, Result};
use rustix::mount::{MountFlags, mount_remount};
use rustix::path::DecInt;
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::ffi::CStr;

/// Attributes of a mount, as in `mount_setattr(2)`.
pub mod attr {
    /// Read-only.
    pub const RDONLY: u64 = 0x1;
    /// Set-user-id bits and file capabilities are ignored.
    pub const NOSUID: u64 = 0x2;
    /// Device nodes can't be opened.
    pub const NODEV: u64 = 0x4;
    /// Nothing can be executed.
    pub const NOEXEC: u64 = 0x8;
    /// The bits that say how access times are kept.
    pub const ATIME_MASK: u64 = 0x70;
    /// Access times are not kept.
    pub const NOATIME: u64 = 0x10;
    /// Access times are always kept.
    pub const STRICTATIME: u64 = 0x20;
    /// Access times of directories are not kept.
    pub const NODIRATIME: u64 = 0x80;
    /// Symlinks are not followed.
    pub const NOSYMFOLLOW: u64 = 0x0020_0000;
}

/// `ST_NOSYMFOLLOW` of statvfs(3) and `MS_NOSYMFOLLOW` of mount(2), Linux 5.10; rustix names neither.
const NOSYMFOLLOW: (StatVfsMountFlags, MountFlags) = (
    StatVfsMountFlags::from_bits_retain(0x2000),
    MountFlags::from_bits_retain(0x100),
);

/// Moves the calling thread, and whatever it starts from now on, into a mount namespace of its own that begins as a copy
/// of the one it was in. Its current directory stops being shared with other threads. See `unshare(2)`.
pub fn unshare_namespace() -> Result<()> {
    // SAFETY: CLONE_NEWNS (with CLONE_FS, which it implies) changes where paths lead and shares no memory; Rust's
    // library relies on neither between threads.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }
}

/// Changes the attributes of the attached mount that `mount` refers to, of all mounts below it too when `recursive`.
/// Child-safe. See `mount_setattr(2)`.
///
/// Before Linux 5.12 mount(2) does it, which changes no mount below and needs `/proc`.
pub fn set_attributes(mount: BorrowedFd<'_>, recursive: bool, set: u64, clear: u64) -> Result<()> {
    match set_attributes_of_tree(mount, recursive, set, clear) {
        Err(Errno::NOSYS) => remount(mount, set, clear),
        result => result,
    }
}

fn set_attributes_of_tree(mount: BorrowedFd<'_>, recursive: bool, set: u64, clear: u64) -> Result<()> {
    let attributes = libc::mount_attr {
        attr_set: set,
        attr_clr: clear,
        propagation: 0,
        userns_fd: 0,
    };
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the path is NUL-terminated and `attributes` is a valid structure of the size given; both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    check(result).map(drop)
}

/// mount(2) sets all attributes at once: those to keep are asked for first.
fn remount(mount: BorrowedFd<'_>, set: u64, clear: u64) -> Result<()> {
    const DIRECTORY: &[u8] = b"/proc/self/fd/";
    let has = rustix::fs::fstatvfs(mount)?.f_flag;
    let flags = remount_flags(has, set, clear);
    let number = DecInt::from_fd(mount);
    let number = number.as_bytes_with_nul();
    let mut path = [0u8; 40];
    path[..DIRECTORY.len()].copy_from_slice(DIRECTORY);
    path[DIRECTORY.len()..DIRECTORY.len() + number.len()].copy_from_slice(number);
    let path = CStr::from_bytes_until_nul(&path).map_err(|_| Errno::INVAL)?;
    mount_remount(path, MountFlags::BIND | flags, c"")
}

/// What mount(2) is told so that a mount which `has` these gets those of `set` and loses those of `clear`.
fn remount_flags(has: StatVfsMountFlags, set: u64, clear: u64) -> MountFlags {
    const SAME: [(u64, StatVfsMountFlags, MountFlags); 6] = [
        (attr::RDONLY, StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
        (attr::NOSUID, StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (attr::NODEV, StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (attr::NOEXEC, StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (attr::NODIRATIME, StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (attr::NOSYMFOLLOW, NOSYMFOLLOW.0, NOSYMFOLLOW.1),
    ];
    let mut flags = MountFlags::empty();
    for (bit, seen, flag) in SAME {
        if set & bit != 0 || (has.contains(seen) && clear & bit == 0) {
            flags |= flag;
        }
    }
    flags | access_times(has, set, clear)
}

/// How access times are kept is one of three, not a bit of its own.
fn access_times(has: StatVfsMountFlags, set: u64, clear: u64) -> MountFlags {
    if clear & attr::ATIME_MASK != 0 {
        return match set & attr::ATIME_MASK {
            attr::NOATIME => MountFlags::NOATIME,
            attr::STRICTATIME => MountFlags::STRICTATIME,
            _ => MountFlags::RELATIME,
        };
    }
    if has.contains(StatVfsMountFlags::NOATIME) {
        MountFlags::NOATIME
    } else if has.contains(StatVfsMountFlags::RELATIME) {
        MountFlags::RELATIME
    } else {
        MountFlags::STRICTATIME
    }
}

/// The next message the kernel left on a file-system context (`fsopen(2)`), such as `e overlay: upper fs ...`,
/// copied into `buffer`; its length, or 0 where there is none. Child-safe.
pub fn context_message(context: impl AsFd, buffer: &mut [u8]) -> usize {
    rustix::io::read(context, buffer).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remounting_keeps_what_a_mount_has() {
        let has = StatVfsMountFlags::NOSUID | StatVfsMountFlags::NOEXEC | StatVfsMountFlags::RELATIME;
        assert_eq!(
            remount_flags(has, attr::RDONLY, attr::NOEXEC),
            MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::RELATIME
        );
        assert_eq!(
            remount_flags(has, attr::NOATIME, attr::ATIME_MASK),
            MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NOATIME
        );
        assert_eq!(
            remount_flags(NOSYMFOLLOW.0, attr::NODEV, 0),
            MountFlags::NODEV | NOSYMFOLLOW.1 | MountFlags::STRICTATIME
        );
    }
}
