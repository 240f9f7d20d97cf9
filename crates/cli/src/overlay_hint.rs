//! What to do where the root of a container can't be mounted: the kernel gives a number for reasons users can mend.

use wiac_run::Error;

/// The hint that goes with an error of the engine, if it is about the overlay.
pub(crate) fn hint(error: &Error) -> Option<&'static str> {
    const EPERM: i32 = 1;
    const EINVAL: i32 = 22;
    const ENOSPC: i32 = 28;
    const ELOOP: i32 = 40;
    let Error::Step {
        is_root: true, errno, ..
    } = error
    else {
        return None;
    };
    match errno.raw_os_error() {
        EINVAL => Some(
            "the container layer or data directory may be on a file system that can't hold an overlay's upper \
             directory, such as another overlay or NFS: use a directory on ext4, xfs, btrfs or tmpfs (a volume, in a \
             container; --data or WIAC_DATA for the data directory)",
        ),
        EPERM => Some(
            "this user or this container may not mount an overlay; run as root, or where user namespaces are allowed",
        ),
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
