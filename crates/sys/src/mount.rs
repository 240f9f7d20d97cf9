//! Mount calls that rustix lacks: `mount_setattr(2)` and fsconfig's messages.
//!
//! The rest of the mount API (fsopen, fsconfig, fsmount, `open_tree`, `move_mount`) is rustix's own.

use crate::error::check;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::io::Result;
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

/// Moves the calling thread, and whatever it starts from now on, into a mount namespace of its own that begins as a copy
/// of the one it was in. Its current directory stops being shared with other threads. See `unshare(2)`.
pub fn unshare_namespace() -> Result<()> {
    // SAFETY: CLONE_NEWNS (with CLONE_FS, which it implies) changes where paths lead and shares no memory; Rust's
    // library relies on neither between threads.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }
}

/// Changes the attributes of the mount that `path` below `dir` names (`path` may be empty: `dir` itself), of all
/// mounts below it too when `recursive`. Child-safe. See `mount_setattr(2)`, Linux 5.12.
pub fn set_attributes(dir: BorrowedFd<'_>, path: &CStr, recursive: bool, set: u64, clear: u64) -> Result<()> {
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
    // SAFETY: `path` is NUL-terminated and `attributes` is a valid structure of the size given; both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            dir.as_raw_fd(),
            path.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    check(result).map(drop)
}

/// The next message the kernel left on a file-system context (`fsopen(2)`), such as `e overlay: upper fs ...`,
/// copied into `buffer`; its length, or 0 where there is none. Child-safe.
pub fn context_message(context: impl AsFd, buffer: &mut [u8]) -> usize {
    rustix::io::read(context, buffer).unwrap_or(0)
}
