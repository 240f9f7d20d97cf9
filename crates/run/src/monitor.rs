//! The monitor: process 1 of an outer pid namespace, between the caller and the container's own process 1.
//!
//! A payload can clear its own death signal, so a container whose caller was killed would live on. The monitor is
//! wiac's own and can't be reached from inside: when the caller goes (its socket closes, and the death signal comes)
//! the monitor ends, and the kernel ends everything in its pid namespace with it, the container's nested namespace
//! included. If the monitor itself is killed, the same happens. The monitor's copies of the caller's lock
//! descriptors keep the layers locked for exactly that long.

use crate::child;
use crate::io::ChildIo;
use crate::plan::Plan;
use crate::protocol;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};
use std::sync::Arc;
use wiac_sys::process::{Process, StandardStream, clone_into, duplicate_to_standard, exit_now};
use wiac_sys::sharing::{Inner, TableFd};

/// The monitor's own exit code: nobody looks at it.
const DONE: i32 = 0;

/// What the monitor, the container's first process and the caller have in common: in memory all three share.
pub(crate) struct Common {
    pub(crate) plan: Arc<Plan>,
    pub(crate) io: ChildIo,
    /// The caller's ends of the two sockets and of pipes, which the others must not keep open.
    pub(crate) callers: Box<[TableFd]>,
    /// The monitor's end of its socket to the caller.
    pub(crate) monitor: TableFd,
    /// The first process's end of its socket to the caller.
    pub(crate) child: TableFd,
}

impl Common {
    /// Closes, in the caller, what belongs to the two others.
    pub(crate) fn close_in_caller(&self) {
        self.io.close();
        self.monitor.close();
        self.child.close();
    }
}

/// Clones the container's first process, passes signals to it, and says how it ended. Child-safe.
pub(crate) fn run(common: &Common, inner: &Inner<'_>) -> ! {
    common.callers.iter().for_each(TableFd::close);
    // If one of these fails, the closed socket still tells that the caller is gone.
    let _ = wiac_sys::signal::block_all();
    let _ = rustix::process::setsid();
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    match start_payload(common, inner) {
        Ok(payload) => {
            common.child.close();
            common.io.close();
            // Until this process ends: the caller hears of the payload's end first, and goes on beside the unmounting.
            // A kernel that can't give it (before 6.11) unmounts when the payload ends.
            let _mounts = payload.mount_namespace();
            let _ = leave_streams();
            watch(&payload, common.monitor.as_fd());
        }
        // Said before the child's socket closes, from which the caller would take that the program has started.
        Err(errno) => {
            let _ = protocol::send_clone_failed(common.monitor.as_fd(), errno);
        }
    }
    exit_now(DONE)
}

/// Shares memory with the first process until that execs; a clone straight into a cgroup can't and copies it.
fn start_payload(common: &Common, inner: &Inner<'_>) -> rustix::io::Result<Process> {
    match &common.plan.cgroup {
        None => inner.start(common.plan.namespaces),
        Some(cgroup) => clone_into(common.plan.namespaces, Some(cgroup.as_fd()), || child::run(common)),
    }
}

/// Lets go of the caller's streams: who reads a pipe from the container must not wait for the monitor.
fn leave_streams() -> rustix::io::Result<()> {
    let null = rustix::fs::open(c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    for stream in [StandardStream::Input, StandardStream::Output, StandardStream::Error] {
        duplicate_to_standard(null.as_fd(), stream)?;
    }
    Ok(())
}

/// Serves the caller until the payload has ended or the caller is gone.
fn watch(payload: &Process, caller: BorrowedFd<'_>) {
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(caller, PollFlags::IN),
            PollFd::new(&payload.pidfd, PollFlags::IN),
        ];
        if poll(&mut fds, None).is_err() {
            continue;
        }
        if !fds[1].revents().is_empty() {
            return report(payload, caller);
        }
        if !fds[0].revents().is_empty() {
            match protocol::receive_number(caller) {
                // The payload may have ended a moment ago.
                Ok(Some(number)) => drop(payload.signal(number)),
                _ => return,
            }
        }
    }
}

fn report(payload: &Process, caller: BorrowedFd<'_>) {
    let Ok(Some(status)) = waitid(WaitId::PidFd(payload.pidfd.as_fd()), WaitIdOptions::EXITED) else {
        return;
    };
    let _ = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => protocol::send_ended(caller, false, code),
        (None, Some(signal)) => protocol::send_ended(caller, true, signal),
        (None, None) => Ok(()),
    };
}
