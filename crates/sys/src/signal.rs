//! Signals: blocking, reading them from a descriptor, and giving a payload the defaults.

use crate::error::check;
use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};
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

/// Reads other `signals` (which should be blocked) from a [`descriptor`] from now on, and from all its copies.
pub fn read_others(descriptor: &OwnedFd, signals: &[i32]) -> Result<()> {
    let set = set_of(signals);
    // SAFETY: `set` is initialised, and the descriptor open.
    let result = unsafe { libc::signalfd(descriptor.as_raw_fd(), &raw const set, 0) };
    check(result.into()).map(drop)
}

/// A signal that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Which.
    pub number: i32,
    /// The kernel sent it, for a key on the terminal as an example, and no process.
    pub by_kernel: bool,
}

/// The next pending signal from a [`descriptor`]; `None` when there is none.
pub fn read_one(descriptor: &OwnedFd) -> Option<Received> {
    let mut info = [0u8; size_of::<libc::signalfd_siginfo>()];
    let read = rustix::io::read(descriptor, &mut info);
    if read != Ok(info.len()) {
        return None;
    }
    // The structure begins with ssi_signo, ssi_errno and ssi_code.
    let field = |at: usize| i32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
    Some(Received {
        number: field(0),
        by_kernel: field(8) == libc::SI_KERNEL,
    })
}

/// Stops this process as a key on the terminal does: not at all where nobody could let it go on again (an orphaned process
/// group, setpgid(2)). Returns when it goes on.
pub fn stop_self() -> Result<()> {
    let stop = set_of(&[libc::SIGTSTP]);
    // SAFETY: a signal to this thread, of which the action is the default one.
    unsafe { libc::raise(libc::SIGTSTP) };
    let change = |how| {
        // SAFETY: `stop` is initialised; a NULL old set is allowed.
        check(unsafe { libc::sigprocmask(how, &raw const stop, std::ptr::null_mut()) }.into())
    };
    change(libc::SIG_UNBLOCK)?;
    change(libc::SIG_BLOCK).map(drop)
}

/// As long as this is kept a write to a closed pipe says so and ends nothing; afterwards it ends the process, as
/// [`restore_defaults`] has it.
#[derive(Debug)]
pub struct BrokenPipes(());

impl BrokenPipes {
    /// Begins to ignore the signal.
    pub fn ignore() -> Self {
        // SAFETY: SIG_IGN is a valid action.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        Self(())
    }
}

impl Drop for BrokenPipes {
    fn drop(&mut self) {
        // SAFETY: SIG_DFL is a valid action.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
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
