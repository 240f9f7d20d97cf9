//! Entering a user namespace, so that an ordinary user's process has root's rights over its own containers.

use rustix::io::Result;
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Moves the calling process, which must have a single thread, into a new user namespace whose maps are not written
/// yet, and into a mount namespace that belongs to it, without which nothing could be mounted, not even detached.
/// See `user_namespaces(7)`.
pub fn enter_new() -> Result<()> {
    // SAFETY: CLONE_NEWUSER shares nothing with other threads that Rust's library relies on; the kernel itself
    // refuses it in a process with several threads.
    unsafe { unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS) }
}
