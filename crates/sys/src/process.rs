//! Making and turning processes: clone into namespaces, exec, credentials, file descriptors.

use crate::error::check;
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::{Errno, Result};
use std::ffi::{CStr, CString, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;

/// Wider than the constant libc has (Linux 5.7).
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `_IO(0xFF, 3)` of linux/pidfd.h, newer than libc.
const PIDFD_GET_MNT_NAMESPACE: libc::Ioctl = 0xFF03;

/// Flags of `clone3(2)` for namespaces.
pub mod namespace {
    /// Mounts.
    pub const MOUNT: u64 = libc::CLONE_NEWNS as u64;
    /// Process ids.
    pub const PID: u64 = libc::CLONE_NEWPID as u64;
    /// System V and POSIX message queues, semaphores, shared memory.
    pub const IPC: u64 = libc::CLONE_NEWIPC as u64;
    /// Host name.
    pub const UTS: u64 = libc::CLONE_NEWUTS as u64;
    /// View of the cgroup hierarchy.
    pub const CGROUP: u64 = libc::CLONE_NEWCGROUP as u64;
    /// Network.
    pub const NETWORK: u64 = libc::CLONE_NEWNET as u64;
    /// Users and capabilities.
    pub const USER: u64 = libc::CLONE_NEWUSER as u64;
}

/// A child process: its id in the caller's pid namespace and a descriptor that stays its own.
#[derive(Debug)]
pub struct Process {
    /// The process id, valid until the process is reaped.
    pub pid: rustix::process::Pid,
    /// A pidfd: signals and waits that can't hit another process.
    pub pidfd: OwnedFd,
}

/// Clones the calling process into new namespaces (`flags`, from [`namespace`]) and, where given, straight into a v2
/// cgroup; the child runs `child` and
/// exits with what that returns.
///
/// The memory is copied, as in fork(2). The caller should have no other thread: a lock another thread holds at this
/// moment (the allocator's for one) stays held for ever in the child. `child` should therefore be child-safe, which
/// everything in this crate marked so is.
///
/// # Errors
/// What `clone3(2)` says: EPERM without the right to make the namespaces, ENOSPC past a limit of nested ones.
pub fn clone_into(flags: u64, cgroup: Option<BorrowedFd<'_>>, child: impl FnOnce() -> i32) -> Result<Process> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: all-zero is a valid value of this plain structure.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = flags | libc::CLONE_PIDFD as u64;
    arguments.pidfd = (&raw mut pidfd) as u64;
    arguments.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::try_from(cgroup.as_raw_fd()).map_err(|_| Errno::BADF)?;
    }
    // SAFETY: without CLONE_VM the child gets a copy of this address space and its own copy of this stack, so both
    // sides return here independently; `arguments` and `pidfd` outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<libc::clone_args>()) };
    match check(result)? {
        0 => exit_now(child()),
        pid => {
            // SAFETY: the kernel has just put a new descriptor into `pidfd`; nobody else knows it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            let pid = i32::try_from(pid)
                .ok()
                .and_then(rustix::process::Pid::from_raw)
                .ok_or(Errno::INVAL)?;
            Ok(Process { pid, pidfd })
        }
    }
}

impl Process {
    /// Sends it a signal by its number: rustix has no real-time signals. Child-safe.
    ///
    /// # Errors
    /// ESRCH where it has ended; EINVAL where there is no such signal.
    pub fn signal(&self, number: i32) -> Result<()> {
        let pidfd = self.pidfd.as_raw_fd();
        // SAFETY: no pointer is passed but NULL, which asks for what kill(2) would send (pidfd_send_signal(2)).
        let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd, number, std::ptr::null::<()>(), 0) };
        check(result).map(drop)
    }

    /// Its mount namespace, which lives at least as long as the descriptor does. Child-safe.
    ///
    /// # Errors
    /// ENOTTY before Linux 6.11; ESRCH where the process has ended; EACCES where it can't be looked into (ptrace(2)).
    pub fn mount_namespace(&self) -> Result<OwnedFd> {
        // SAFETY: the request takes no argument and touches none of our memory.
        let fd = check(unsafe { libc::ioctl(self.pidfd.as_raw_fd(), PIDFD_GET_MNT_NAMESPACE, 0) }.into())?;
        let fd = i32::try_from(fd).map_err(|_| Errno::BADF)?;
        // SAFETY: the kernel has just made this descriptor; nobody else knows it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// Ends the process at once, without running destructors or exit handlers. Child-safe.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(code) }
}

/// A NULL-terminated array of C strings in the form `execve(2)` takes, made before the clone.
#[derive(Debug)]
pub struct CStringArray {
    strings: Vec<CString>,
    pointers: Vec<*const c_char>,
}

// SAFETY: the pointers lead into the strings beside them, which nobody changes.
unsafe impl Send for CStringArray {}
// SAFETY: as above.
unsafe impl Sync for CStringArray {}

impl CStringArray {
    /// Copies the strings.
    ///
    /// # Errors
    /// The first string that contains a NUL byte.
    pub fn new<S: AsRef<OsStr>>(items: impl IntoIterator<Item = S>) -> std::result::Result<Self, std::ffi::NulError> {
        let strings = items
            .into_iter()
            .map(|s| CString::new(s.as_ref().as_bytes()))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let pointers = strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect();
        Ok(Self { strings, pointers })
    }

    /// The strings.
    pub fn strings(&self) -> &[CString] {
        &self.strings
    }
}

/// Replaces the program; returns only on failure, with what `execve(2)` said. Child-safe.
pub fn exec(path: &CStr, arguments: &CStringArray, environment: &CStringArray) -> Errno {
    // SAFETY: the path is NUL-terminated; both arrays end with NULL and their strings live as long as the arrays.
    unsafe {
        libc::execve(
            path.as_ptr(),
            arguments.pointers.as_ptr(),
            environment.pointers.as_ptr(),
        )
    };
    crate::error::last_errno()
}

/// Closes every descriptor above 2 but `keep`. Child-safe; only for a child that is about to exec or exit: owners of
/// the closed descriptors must not be used again.
pub fn close_all_but(keep: BorrowedFd<'_>) -> Result<()> {
    let keep = u32::try_from(keep.as_raw_fd()).map_err(|_| Errno::BADF)?;
    let close = |first: u32, last: u32| {
        if first > last {
            return Ok(());
        }
        // SAFETY: by this function's contract no owner uses these descriptors again.
        check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
    };
    close(3, keep.saturating_sub(1))?;
    close(keep.saturating_add(1).max(3), libc::c_uint::MAX)
}

/// Makes `new` (0, 1 or 2) a copy of `fd` that survives exec. Child-safe.
pub fn duplicate_to_standard(fd: BorrowedFd<'_>, new: StandardStream) -> Result<()> {
    let new = new as i32;
    if fd.as_raw_fd() == new {
        // dup2 would do nothing here, and leave close-on-exec set.
        return rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty());
    }
    // SAFETY: the three standard descriptors have no Rust owner that would close them.
    check(libc::c_long::from(unsafe { libc::dup2(fd.as_raw_fd(), new) })).map(drop)
}

/// One of the three standard streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum StandardStream {
    /// Descriptor 0.
    Input = 0,
    /// Descriptor 1.
    Output = 1,
    /// Descriptor 2.
    Error = 2,
}

/// Joins a new, empty session keyring, so that the host's keys can't be seen. Child-safe. See `keyctl(2)`.
pub fn join_new_session_keyring() -> Result<()> {
    const JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a NULL name asks for an anonymous keyring.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, std::ptr::null::<c_char>()) };
    check(result).map(drop)
}

/// Sets real, effective and saved user and group ids and the supplementary groups of the calling thread, groups
/// first. Child-safe (the raw calls, not glibc's, which would stop all threads).
pub fn set_credentials(uid: u32, gid: u32, groups: Option<&[u32]>) -> Result<()> {
    set_groups(groups)?;
    // SAFETY: plain integers.
    check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) })?;
    // SAFETY: plain integers.
    check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

/// Sets the supplementary groups of the calling thread; `None` leaves them. Child-safe.
pub fn set_groups(groups: Option<&[u32]>) -> Result<()> {
    let Some(groups) = groups else { return Ok(()) };
    // SAFETY: the pointer and the length describe the slice.
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

/// Sets the soft and hard limit of a resource by the kernel's number (`RLIMIT_*`). Child-safe.
pub fn set_resource_limit(resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = libc::rlimit64 {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: `limit` outlives the call; a NULL old limit is allowed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            0,
            resource,
            &raw const limit,
            std::ptr::null::<libc::rlimit64>(),
        )
    };
    check(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    use std::os::fd::AsFd;

    #[test]
    fn a_clone_runs_its_closure() {
        let child = clone_into(0, None, || exit_now(7)).expect("clone");
        let status = waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED)
            .expect("wait")
            .expect("ended");
        assert_eq!(status.exit_status(), Some(7));
    }

    #[test]
    fn exec_says_why_it_failed() {
        let none = CStringArray::new::<&str>([]).expect("no strings");
        assert_eq!(exec(c"/nowhere", &none, &none), Errno::NOENT);
    }

    #[test]
    fn a_nul_byte_is_refused() {
        assert!(CStringArray::new(["a\0b"]).is_err());
    }
}
