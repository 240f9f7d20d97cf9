//! Signals: blocking, reading them from a descriptor, and giving a payload the defaults.

use crate::error::check;
use rustix::fd::{FromRawFd, OwnedFd};
use rustix::io::Result;

/// The highest signal number of Linux on x86 and ARM.
const LAST_SIGNAL: i32 = 64;

fn set_of(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: sigemptyset initialises the set it is given; sigaddset only sees that set.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for &signal in signals {
            libc::sigaddset(&raw mut set, signal);
        }
        set
    }
}

/// Blocks `signals` for the calling thread. Child-safe.
pub fn block(signals: &[i32]) -> Result<()> {
    let set = set_of(signals);
    // SAFETY: `set` is initialised; a NULL old set is allowed.
    check(unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) }.into()).map(drop)
}

/// Blocks every signal that can be blocked. Child-safe.
pub fn block_all() -> Result<()> {
    // SAFETY: sigfillset initialises the set; a NULL old set is allowed.
    let result = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut())
    };
    check(result.into()).map(drop)
}

/// Gives every signal its default action and unblocks all: what a new program expects. Child-safe.
pub fn reset_all() -> Result<()> {
    for signal in 1..=LAST_SIGNAL {
        // SAFETY: SIG_DFL is always a valid action; for the few signals that refuse it nothing changes.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let none = set_of(&[]);
    // SAFETY: `none` is initialised; a NULL old set is allowed.
    check(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) }.into()).map(drop)
}

/// A non-blocking descriptor from which `signals` (which should be blocked) are read. Child-safe.
/// See `signalfd(2)`.
pub fn descriptor(signals: &[i32]) -> Result<OwnedFd> {
    let set = set_of(signals);
    // SAFETY: `set` is initialised.
    let fd = check(unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) }.into())?;
    let fd = i32::try_from(fd).map_err(|_| rustix::io::Errno::BADF)?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The next pending signal's number from a [`descriptor`]; `None` when there is none. Child-safe.
pub fn read_one(descriptor: &OwnedFd) -> Option<i32> {
    let mut info = [0u8; size_of::<libc::signalfd_siginfo>()];
    match rustix::io::read(descriptor, &mut info) {
        // The number is the structure's first field.
        Ok(n) if n == info.len() => i32::try_from(u32::from_ne_bytes([info[0], info[1], info[2], info[3]])).ok(),
        _ => None,
    }
}

/// Gives two signals their default action that a program may start without: a write to a closed pipe ends the process,
/// as in any other program (Rust's runtime ignores it otherwise), and children can be waited for (a caller that
/// ignores its own passes that on).
pub fn restore_defaults() {
    for signal in [libc::SIGPIPE, libc::SIGCHLD] {
        // SAFETY: SIG_DFL is a valid action.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}
