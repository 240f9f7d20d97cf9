//! Two processes, one the child of the other, that share the caller's memory until they exec or end: as vfork(2) does,
//! but the caller goes on.
//!
//! A clone that copies memory costs the copying of page tables, a fault for every page written afterwards on either
//! side, and the freeing at the end: a good part of a container's start. Here nothing is copied. What keeps it sound:
//!
//! - Both run on stacks of their own, and only closures that are `Sync` and owned by [`Pair`]: like threads.
//! - Both must be child-safe: the C library's locks and its errno are the caller's. Its wrappers touch errno only when
//!   a call fails.
//! - The outer one is process 1 of a new pid namespace. When it has ended, the kernel has ended the inner one too, so
//!   waiting for the outer one is enough before the memory is freed; dropping a [`Pair`] does that.
//! - Descriptor tables, signal actions, credentials, working directory and umask are each process's own.

use crate::error::check;
use crate::process::{Process, exit_now, namespace};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use rustix::io::{Errno, Result};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use std::ffi::c_void;
use std::sync::Mutex;

/// Deep enough for paths that are put together in buffers on the stack, link after link.
const STACK_SIZE: usize = 512 << 10;

/// Stacks that are kept for the next pair: mapping one, and freeing it, costs more than a start can spare.
const MOST_SPARE: usize = 8;

/// Stacks that nobody runs on.
static SPARE: Mutex<Vec<Stack>> = Mutex::new(Vec::new());

/// What a process does; its result is the exit code.
type Work<T> = Box<dyn Fn(T) -> i32 + Send + Sync>;

/// The outer process of a pair. Dropping it kills both and waits for them.
#[derive(Debug)]
pub struct Pair {
    process: Process,
    reaped: bool,
    // Freed when nobody runs on it any more; `None` only while being dropped.
    context: Option<Box<Context>>,
}

/// From within the outer process: starts the inner one.
#[derive(Debug)]
pub struct Inner<'c> {
    context: &'c Context,
}

struct Context {
    outer_stack: Stack,
    inner_stack: Stack,
    outer: Work<Inner<'static>>,
    inner: Work<()>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

impl Pair {
    /// Starts the outer process, as process 1 of a new pid namespace. It runs `outer` and exits with its result;
    /// `inner` is what [`Inner::start`] starts.
    ///
    /// # Errors
    /// No memory for the stacks, or what `clone(2)` says.
    pub fn start(
        outer: impl Fn(Inner<'_>) -> i32 + Send + Sync + 'static,
        inner: impl Fn() -> i32 + Send + Sync + 'static,
    ) -> Result<Self> {
        let context = Box::new(Context {
            outer_stack: Stack::take()?,
            inner_stack: Stack::take()?,
            outer: Box::new(outer),
            inner: Box::new(move |()| inner()),
        });
        let process = clone_on(&context.outer_stack, namespace::PID, run_outer, &context)?;
        Ok(Self {
            process,
            reaped: false,
            context: Some(context),
        })
    }

    /// The outer process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Waits for the end of both.
    pub fn wait(&mut self) -> Result<()> {
        if !self.reaped {
            let id = || WaitId::PidFd(self.process.pidfd.as_fd());
            rustix::io::retry_on_intr(|| waitid(id(), WaitIdOptions::EXITED))?;
            self.reaped = true;
        }
        Ok(())
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = pidfd_send_signal(&self.process.pidfd, Signal::KILL);
            if self.wait().is_err() {
                // Without the certainty that both have ended, their memory must stay.
                self.context.take().map(Box::leak);
            }
        }
    }
}

impl Inner<'_> {
    /// Starts the inner process in new namespaces (`flags`, from [`namespace`]). Child-safe; once.
    ///
    /// # Errors
    /// What `clone(2)` says.
    pub fn start(&self, flags: u64) -> Result<Process> {
        clone_on(&self.context.inner_stack, flags, run_inner, self.context)
    }
}

extern "C" fn run_outer(context: *mut c_void) -> libc::c_int {
    // SAFETY: `Pair` keeps the context until this process has ended.
    let context: &'static Context = unsafe { &*context.cast::<Context>() };
    exit_now((context.outer)(Inner { context }))
}

extern "C" fn run_inner(context: *mut c_void) -> libc::c_int {
    // SAFETY: `Pair` keeps the context until the outer process has ended, and this one ends with that.
    let context: &'static Context = unsafe { &*context.cast::<Context>() };
    exit_now((context.inner)(()))
}

/// clone(2) with shared memory, onto `stack`.
fn clone_on(
    stack: &Stack,
    flags: u64,
    run: extern "C" fn(*mut c_void) -> libc::c_int,
    context: &Context,
) -> Result<Process> {
    let flags = libc::c_int::try_from(flags).map_err(|_| Errno::INVAL)?;
    let flags = flags | libc::CLONE_VM | libc::CLONE_PIDFD | libc::SIGCHLD;
    let mut pidfd: libc::c_int = -1;
    let argument = std::ptr::from_ref(context).cast_mut().cast::<c_void>();
    // SAFETY: the stack is used by this one process, and lives, like the context, until it has ended; `run` never
    // returns; the kernel writes `pidfd` before clone returns here.
    let pid = check(unsafe { libc::clone(run, stack.top(), flags, argument, &raw mut pidfd) }.into())?;
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .ok_or(Errno::INVAL)?;
    // SAFETY: the kernel has just made this descriptor; nobody else knows it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Process { pid, pidfd })
}

/// Memory for a stack, with a page below it that faults.
struct Stack {
    base: *mut c_void,
}

// SAFETY: the memory is only named by the pointer; whoever runs on it is said in `clone_on`.
unsafe impl Send for Stack {}
// SAFETY: as above; nothing is read or written through a shared reference.
unsafe impl Sync for Stack {}

impl Stack {
    fn new() -> Result<Self> {
        const GUARD: usize = 4096;
        let (access, kind) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK,
        );
        // SAFETY: a new anonymous mapping touches no other memory.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), STACK_SIZE, access, kind, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(crate::error::last_errno());
        }
        let stack = Self { base };
        // SAFETY: the first page of the mapping just made.
        check(unsafe { libc::mprotect(stack.base, GUARD, libc::PROT_NONE) }.into())?;
        Ok(stack)
    }

    /// One that was used before, where there is one: its pages are there already.
    fn take() -> Result<Self> {
        let spare = SPARE.lock().ok().and_then(|mut spare| spare.pop());
        spare.map_or_else(Self::new, Ok)
    }

    /// Stacks grow downwards.
    fn top(&self) -> *mut c_void {
        self.base.wrapping_byte_add(STACK_SIZE)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if let Ok(mut spare) = SPARE.lock()
            && spare.len() < MOST_SPARE
        {
            spare.push(Self { base: self.base });
            return;
        }
        // SAFETY: the mapping is ours, and by `Pair`'s order of dropping nobody runs on it any more.
        unsafe { libc::munmap(self.base, STACK_SIZE) };
    }
}

/// A descriptor's number, the same in the tables of processes that share memory: each closes its own.
#[derive(Debug)]
pub struct TableFd {
    number: RawFd,
}

impl TableFd {
    /// Gives the descriptor up to be closed by [`TableFd::close`].
    pub fn new(fd: OwnedFd) -> Self {
        Self {
            number: fd.into_raw_fd(),
        }
    }

    /// Names a descriptor that this process keeps, so that another one can close its own.
    pub fn naming(fd: &OwnedFd) -> Self {
        Self { number: fd.as_raw_fd() }
    }

    /// Closes it in the table of the calling process, which must not use it afterwards. Child-safe.
    pub fn close(&self) {
        // SAFETY: by the contract above nobody in this process uses the number as this descriptor again.
        unsafe { libc::close(self.number) };
    }
}

impl AsFd for TableFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: open until `close`, after which it isn't used.
        unsafe { BorrowedFd::borrow_raw(self.number) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI32, Ordering};

    #[test]
    fn both_run_in_shared_memory() {
        let seen = Arc::new(AtomicI32::new(0));
        let (by_outer, by_inner) = (Arc::clone(&seen), Arc::clone(&seen));
        let outer = move |inner: Inner<'_>| {
            let Ok(process) = inner.start(0) else { return 1 };
            let ended = waitid(WaitId::PidFd(process.pidfd.as_fd()), WaitIdOptions::EXITED);
            by_outer.fetch_add(10, Ordering::SeqCst);
            i32::from(!matches!(ended, Ok(Some(status)) if status.exit_status() == Some(7)))
        };
        let inner = move || {
            by_inner.fetch_add(1, Ordering::SeqCst);
            7
        };
        let mut pair = Pair::start(outer, inner).expect("clone, which needs root");
        pair.wait().expect("wait");
        assert_eq!(seen.load(Ordering::SeqCst), 11);
    }

    #[test]
    fn dropping_ends_both() {
        let sleep = || loop {
            let _ = rustix::thread::nanosleep(&rustix::thread::Timespec { tv_sec: 1, tv_nsec: 0 });
        };
        let outer = move |inner: Inner<'_>| {
            let _inner = inner.start(0);
            sleep()
        };
        let pair = Pair::start(outer, sleep).expect("clone, which needs root");
        drop(pair);
    }
}
