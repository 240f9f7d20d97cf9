//! What to do where a container can't be made: the kernel gives a number for reasons users can mend.

use wiac_run::Error;

const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const EAGAIN: i32 = 11;
const EACCES: i32 = 13;
const ENODEV: i32 = 19;
const EINVAL: i32 = 22;
const EROFS: i32 = 30;
const ENOSPC: i32 = 28;
const ELOOP: i32 = 40;

/// The hint that goes with an error of the engine, if it is about the root or the namespaces.
pub(crate) fn hint(error: &Error) -> Option<&'static str> {
    match error {
        Error::Clone(errno) => of_namespaces(errno.raw_os_error()),
        Error::Step {
            is_root: true, errno, ..
        } => of_root(errno.raw_os_error()),
        // mount_namespaces(7): what is hidden in the only /proc there is must not come to light in a new one.
        Error::Step { what, errno, .. } if errno.raw_os_error() == EPERM && what.starts_with("mount proc ") => Some(
            "parts of /proc are hidden here, as in most containers, and without the machine's root the kernel then allows \
             no other one; start the outer container with --security-opt unmask=ALL (podman) or systempaths=unconfined \
             (docker)",
        ),
        Error::Step { what, errno, .. } if errno.raw_os_error() == EPERM && what.starts_with("set the host name ") => {
            Some(
                "a seccomp filter around this process forbids it, as podman's does for ordinary users; leave --hostname out, \
             or start the outer container with --security-opt seccomp=unconfined",
            )
        }
        Error::Step { what, errno, .. } if errno.raw_os_error() == ENOENT && what.starts_with("hide ") => Some(
            "that takes /dev/null: a volume on /dev has to have one, or mount into /dev what is needed there alone",
        ),
        Error::Step { what, call, errno, .. }
            if errno.raw_os_error() == EINVAL && call.name() == "move_mount" && what.starts_with("mount ") =>
        {
            Some("one of the two is a directory and the other isn't: a directory goes on a directory, a file on a file")
        }
        Error::Step { call, errno, .. } if makes_targets(call.name()) => of_missing_target(errno.raw_os_error()),
        _ => None,
    }
}

/// The calls by which a place to mount on is made where there is none.
fn makes_targets(call: &str) -> bool {
    matches!(call, "mkdirat" | "mknodat")
}

fn of_missing_target(errno: i32) -> Option<&'static str> {
    match errno {
        EROFS => Some(
            "there is nothing of that name yet, and the file system there is read-only: make it in the volume's directory on \
             the host, or leave :ro out",
        ),
        // /proc and /sys let nobody make anything.
        ENOENT | EPERM | EACCES => Some("there is nothing of that name, and nothing can be made there"),
        _ => None,
    }
}

fn of_namespaces(errno: i32) -> Option<&'static str> {
    match errno {
        EPERM => Some(
            "this process may not make namespaces; run as root, where user namespaces are allowed, or, in a container, \
             with CAP_SYS_ADMIN",
        ),
        EAGAIN => Some("this user or this cgroup has as many processes as it may (ulimit -u, pids.max)"),
        ENOSPC => Some("there are as many namespaces as there may be: see /proc/sys/user/max_*_namespaces"),
        _ => None,
    }
}

fn of_root(errno: i32) -> Option<&'static str> {
    match errno {
        EINVAL => Some(
            "the container layer or data directory may be on a file system that can't hold an overlay's upper \
             directory, such as another overlay or NFS: use a directory on ext4, xfs, btrfs or tmpfs (a volume, in a \
             container; --data or WIAC_DATA for the data directory)",
        ),
        EPERM if crate::kernel::is_before((5, 11)) => Some(
            "before Linux 5.11 only the machine's root may mount an overlay: run as root here, or on a newer kernel",
        ),
        EPERM => Some(
            "this user or this container may not mount an overlay; run as root, or where user namespaces are allowed",
        ),
        ENODEV => Some("this kernel has no overlay file system, or its module isn't loaded: modprobe overlay"),
        // Before Linux 6.8 the layers are named by their descriptors in /proc.
        ENOENT => Some("a directory of it is gone, or /proc isn't mounted here, which this kernel's overlay needs"),
        ELOOP => Some("one of the directories contains another: choose a container layer outside of the layers"),
        ENOSPC => Some("the disk is full: free some space"),
        _ => None,
    }
}

/// The error with its hint on a line of its own.
pub(crate) fn with_hint(error: &Error) -> String {
    match hint(error) {
        Some(hint) => format!("{error}\n{hint}"),
        None => error.to_string(),
    }
}
