//! Extended attributes, POSIX ACLs and file capabilities among them: xattr(7).

use super::entry::At;
use super::error::{Fault, Side};
use rustix::fs::{
    XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr, lgetxattr, llistxattr, lremovexattr, lsetxattr,
};
use rustix::io::{Errno, Result};
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};

/// The kernel's limit of a list of names and of a value (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const MAX: usize = 64 * 1024;

/// An ACL of a file.
const ACCESS_ACL: &CStr = c"system.posix_acl_access";
/// An ACL of a directory that new files in it inherit.
const DEFAULT_ACL: &CStr = c"system.posix_acl_default";

/// Marks of overlayfs itself: they mean something only where they are.
const OVERLAY: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

/// What has attributes: an open file, or one that can't be opened (a symlink, a device), by its path.
#[derive(Debug)]
pub(super) enum Subject<'a> {
    Open(BorrowedFd<'a>),
    Named(CString),
}

/// Copies attributes; holds the buffers.
#[derive(Debug)]
pub(super) struct Xattrs {
    names: Vec<u8>,
    value: Vec<u8>,
    /// Attributes that were refused.
    pub(super) lost: u64,
}

impl Subject<'_> {
    /// The entry at `at`, which may be a symlink. The directory is reached by /proc, since there's no call that takes
    /// a descriptor and a name before Linux 6.13.
    pub(super) fn named(at: At<'_>) -> Self {
        let dir = at.dir.as_raw_fd();
        let mut path = if dir < 0 {
            b"/proc/self/cwd/".to_vec()
        } else {
            format!("/proc/self/fd/{dir}/").into_bytes()
        };
        path.extend_from_slice(at.name.to_bytes());
        Self::Named(CString::new(path).unwrap_or_default())
    }

    fn list(&self, names: &mut [u8]) -> Result<usize> {
        match self {
            Self::Open(fd) => flistxattr(fd, names),
            Self::Named(path) => llistxattr(path, names),
        }
    }

    fn get(&self, name: &CStr, value: &mut [u8]) -> Result<usize> {
        match self {
            Self::Open(fd) => fgetxattr(fd, name, value),
            Self::Named(path) => lgetxattr(path, name, value),
        }
    }

    fn set(&self, name: &CStr, value: &[u8]) -> Result<()> {
        match self {
            Self::Open(fd) => fsetxattr(fd, name, value, XattrFlags::empty()),
            Self::Named(path) => lsetxattr(path, name, value, XattrFlags::empty()),
        }
    }

    fn remove(&self, name: &CStr) -> Result<()> {
        match self {
            Self::Open(fd) => fremovexattr(fd, name),
            Self::Named(path) => lremovexattr(path, name),
        }
    }

    /// Whether new files in this directory inherit an ACL from it.
    pub(super) fn has_default_acl(&self) -> bool {
        match self.get(DEFAULT_ACL, &mut []) {
            // A descriptor that was opened for its path alone.
            Err(Errno::BADF) => match self {
                Self::Open(fd) => Subject::named(At { dir: *fd, name: c"." }).has_default_acl(),
                Self::Named(_) => false,
            },
            result => result.is_ok(),
        }
    }

    /// Takes away the ACLs that a new entry got from its directory.
    pub(super) fn remove_acls(&self) {
        // Where there are none, there's nothing to do, and what can't be taken away can't be helped.
        let _ = self.remove(ACCESS_ACL);
        let _ = self.remove(DEFAULT_ACL);
    }
}

impl Xattrs {
    pub(super) fn new() -> Self {
        Self {
            names: vec![0; MAX],
            value: vec![0; MAX],
            lost: 0,
        }
    }

    /// Copies the attributes of `from` to `to`.
    pub(super) fn copy(&mut self, from: &Subject<'_>, to: &Subject<'_>) -> std::result::Result<(), Fault> {
        let length = match from.list(&mut self.names) {
            // None here, or no /proc to reach them by.
            Ok(0) | Err(Errno::OPNOTSUPP | Errno::NOENT | Errno::ACCESS | Errno::PERM) => return Ok(()),
            result => result.reading("listxattr", String::new)?,
        };
        for name in self.names[..length].split_inclusive(|byte| *byte == 0) {
            let Ok(name) = CStr::from_bytes_with_nul(name) else {
                continue;
            };
            if OVERLAY.iter().any(|prefix| name.to_bytes().starts_with(prefix)) {
                continue;
            }
            let size = match from.get(name, &mut self.value) {
                Ok(size) => size,
                Err(Errno::NODATA) => continue,
                Err(Errno::OPNOTSUPP | Errno::ACCESS | Errno::PERM) => {
                    self.lost += 1;
                    continue;
                }
                Err(errno) => return Err(errno).reading("getxattr", || format!("{name:?}")),
            };
            match to.set(name, &self.value[..size]) {
                Ok(()) => {}
                Err(errno) if is_refusal(errno) => self.lost += 1,
                Err(errno) => return Err(errno).writing("setxattr", || format!("{name:?}")),
            }
        }
        Ok(())
    }
}

/// Whether the destination can't hold this attribute, or this user may not set it: setxattr(2); EINVAL is an ACL that
/// names somebody who isn't mapped in this user namespace.
fn is_refusal(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::OPNOTSUPP | Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::NOENT
    )
}
