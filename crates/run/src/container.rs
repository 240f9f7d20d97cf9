//! A container from the caller's side: created, started, waited for.

use crate::child;
use crate::error::Error;
use crate::io::{ChildIo, Io, Pipes};
use crate::monitor::{self, Common};
use crate::plan::Plan;
use crate::plan::step::Step;
use crate::protocol::{self, Failure, FromChild, FromMonitor};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use wiac_sys::sharing::{Pair, TableFd};
use wiac_sys::{Error as SystemError, ResultExt};

/// How a container's first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Ended {
    /// The exit code a shell would show: 128 and the signal's number for a signal.
    pub fn exit_code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

/// The root directory of a container whose program could not be started, with its mounts in place.
#[derive(Debug)]
pub struct ContainerRoot {
    fd: OwnedFd,
    /// Holds the mounts, where nobody else has the container.
    _container: Option<Box<Container>>,
}

impl ContainerRoot {
    /// A descriptor (O_PATH) of the root, good for as long as this is kept.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn open(&self) -> std::io::Result<OwnedFd> {
        self.fd.try_clone()
    }
}

/// A container whose processes exist. Dropping it ends them.
#[derive(Debug)]
pub struct Container {
    plan: Arc<Plan>,
    /// The monitor, and with it the container's first process.
    processes: Pair,
    /// To and from the monitor; closing it ends the container.
    control: OwnedFd,
    /// To and from the container's first process, until that has started its program.
    child: OwnedFd,
    terminal: Option<OwnedFd>,
    pipes: Pipes,
    left_out: Vec<Error>,
    ended: Option<Ended>,
}

impl Container {
    /// Makes the container up to the point where only the start of its program is missing.
    ///
    /// # Errors
    /// What a step of the plan failed in. Nothing is left of the container then.
    pub fn create(plan: Plan, io: Io) -> Result<Self, Error> {
        let mut container = Self::clone_processes(plan, io)?;
        container.await_created()?;
        Ok(container)
    }

    /// Starts the program of a created container.
    ///
    /// # Errors
    /// [`Error::Exec`] where the program can't be started; a failed step otherwise.
    pub fn start(&mut self) -> Result<(), Error> {
        self.send_start(protocol::START)?;
        self.await_started()
    }

    /// Creates and starts in one go, without the pause between the two.
    ///
    /// # Errors
    /// As [`Container::create`] and [`Container::start`].
    pub fn run(plan: Plan, io: Io) -> Result<Self, Error> {
        let mut container = Self::clone_processes(plan, io)?;
        container.send_start(protocol::START_AT_ONCE)?;
        match container.await_started() {
            Ok(()) => Ok(container),
            // What is mounted in the root is to be seen as long as somebody looks into it.
            Err(Error::Exec {
                errno,
                root: Some(root),
            }) => {
                let root = ContainerRoot {
                    _container: Some(Box::new(container)),
                    ..root
                };
                Err(Error::Exec {
                    errno,
                    root: Some(root),
                })
            }
            Err(error) => Err(error),
        }
    }

    fn clone_processes(plan: Plan, io: Io) -> Result<Self, Error> {
        let (control, monitor_end) = protocol::pair().call("socketpair", || "AF_UNIX")?;
        let (child, child_end) = protocol::pair().call("socketpair", || "AF_UNIX")?;
        let (io, pipes) = ChildIo::new(io, plan.owner).call("open", || "the standard streams")?;
        let plan = Arc::new(plan);
        let callers = [&control, &child].into_iter().chain(pipes.ends()).map(TableFd::naming);
        let callers = callers.collect();
        let common = Arc::new(Common {
            plan: Arc::clone(&plan),
            io,
            callers,
            monitor: TableFd::new(monitor_end),
            child: TableFd::new(child_end),
        });
        let (outer, inner) = (Arc::clone(&common), Arc::clone(&common));
        let processes = Pair::start(move |first| monitor::run(&outer, &first), move || child::run(&inner));
        common.close_in_caller();
        let processes = processes.map_err(Error::Clone)?;
        Ok(Self {
            plan,
            processes,
            control,
            child,
            terminal: None,
            pipes,
            left_out: Vec::new(),
            ended: None,
        })
    }

    fn send_start(&self, word: i32) -> Result<(), Error> {
        match protocol::send_number(self.child.as_fd(), word) {
            // The child is gone: its last message says why.
            Ok(()) | Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => Ok(()),
            Err(errno) => Err(SystemError::new("send", "start", errno).into()),
        }
    }

    fn next_from_child(&self) -> Result<FromChild, Error> {
        loop {
            match protocol::receive_from_child(&self.child) {
                // The child ended without reading the "start": the kernel says so once, before its last words.
                Err(rustix::io::Errno::CONNRESET) => {}
                result => return Ok(result.call("recvmsg", || "from the container")?),
            }
        }
    }

    fn await_created(&mut self) -> Result<(), Error> {
        match self.next_but_terminal()? {
            FromChild::Created => Ok(()),
            FromChild::Closed => Err(self.vanished()),
            other => Err(self.not_started(other)),
        }
    }

    fn await_started(&mut self) -> Result<(), Error> {
        match self.next_but_terminal()? {
            // Close-on-exec: the program has started. Or the process is gone without a word.
            FromChild::Closed => {
                if let Some(errno) = protocol::peek_clone_failed(&self.control) {
                    return Err(Error::Clone(errno));
                }
                self.stay_dumpable();
                Ok(())
            }
            // It came to that point before the "start" was under way.
            FromChild::Created => self.await_started(),
            other => Err(self.not_started(other)),
        }
    }

    /// The child shared our memory while it became another user, for which the kernel hides memory from other
    /// processes of that user. It has memory of its own now; ours is as it was.
    fn stay_dumpable(&self) {
        if self.plan.owner != 0 {
            let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable);
        }
    }

    /// The child's next message about how far it is: its terminal, and what it did without, is kept.
    fn next_but_terminal(&mut self) -> Result<FromChild, Error> {
        loop {
            match self.next_from_child()? {
                FromChild::Terminal(terminal) => self.terminal = Some(terminal),
                FromChild::LeftOut(failure) => self.left_out.push(self.step_error(failure)),
                other => return Ok(other),
            }
        }
    }

    fn not_started(&self, message: FromChild) -> Error {
        match message {
            FromChild::Failed(failure) => self.step_error(failure),
            FromChild::ExecFailed { errno, root } => Error::Exec {
                errno,
                root: root.map(|fd| ContainerRoot { fd, _container: None }),
            },
            FromChild::Created | FromChild::Terminal(_) | FromChild::LeftOut(_) | FromChild::Closed => Error::Killed,
        }
    }

    fn step_error(&self, failure: Failure) -> Error {
        let step = self.plan.steps.get(failure.step);
        Error::Step {
            what: step.map_or_else(|| "prepare the container".to_owned(), Step::describe),
            call: failure.call,
            errno: failure.errno,
            text: failure.text,
            is_root: matches!(step, Some(Step::Overlay(_) | Step::BindRoot { .. })),
        }
    }

    /// The child is gone without a word: the monitor may know why.
    fn vanished(&mut self) -> Error {
        match protocol::receive_from_monitor(&self.control) {
            Ok(FromMonitor::CloneFailed(errno)) => Error::Clone(errno),
            _ => Error::Killed,
        }
    }

    /// What the container had to do without, though it was started: why each step failed that isn't needed.
    pub fn left_out(&self) -> &[Error] {
        &self.left_out
    }

    /// The container's pipes, for who moves what goes through them.
    pub(crate) fn take_pipes(&mut self) -> Pipes {
        std::mem::take(&mut self.pipes)
    }

    /// The caller's side of the container's terminal, where its configuration asks for one.
    pub fn terminal(&self) -> Option<BorrowedFd<'_>> {
        self.terminal.as_ref().map(AsFd::as_fd)
    }

    /// Readable when the container has ended: for poll, before [`Container::wait`].
    pub fn ended_descriptor(&self) -> BorrowedFd<'_> {
        // Not the monitor's own end: it comes later, when the mounts are gone.
        self.control.as_fd()
    }

    /// Sends the signal of this number to the container's first process.
    pub fn signal(&self, number: i32) {
        // The container may have ended a moment ago.
        let _ = protocol::send_number(self.control.as_fd(), number);
    }

    /// Waits for the end of the container's processes. Its mounts are then being taken down: when it is dropped, none
    /// is left. What was the container's alone may be moved or removed before.
    ///
    /// # Errors
    /// When the monitor can't be waited for.
    pub fn wait(&mut self) -> Result<Ended, Error> {
        if let Some(ended) = self.ended {
            return Ok(ended);
        }
        let ended = match protocol::receive_from_monitor(&self.control) {
            Ok(FromMonitor::Exited(code)) => Ended::Code(code),
            Ok(FromMonitor::Signaled(signal)) => Ended::Signal(signal),
            // The monitor was killed, and the kernel killed the container with it.
            _ => {
                self.processes.wait().call("waitid", || "the monitor")?;
                Ended::Signal(rustix::process::Signal::KILL.as_raw())
            }
        };
        self.ended = Some(ended);
        Ok(ended)
    }
}
