//! The caller beside a running container: signals passed on, its terminal relayed, its end awaited.

mod interrupts;
mod relay;

use crate::container::{Container, Ended};
use crate::error::Error;
use crate::io::{Passage, Pipes};
use crate::outlet::Outlet;
use relay::Relay;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::termios::{OptionalActions, Termios, Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use wiac_sys::ResultExt;
use wiac_sys::signal::{self, Received};

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
const SIGCONT: i32 = 18;
const SIGTSTP: i32 = 20;
const SIGWINCH: i32 = 28;

/// What is passed on: HUP, INT, QUIT, USR1, USR2, ALRM, TERM, VTALRM, PROF, IO, PWR; WINCH, of the kernel as a change of the
/// terminal's size.
const FORWARDED: [i32; 12] = [SIGHUP, SIGINT, 3, 10, 12, 14, SIGTERM, 26, 27, 29, 30, SIGWINCH];

/// What is passed on beside those once there is a container: TRAP, ABRT, STKFLT, CONT, TSTP, XCPU, XFSZ and SYS. docker and
/// podman pass on everything but CHLD, URG and PIPE. Here, what tells of an access or an instruction that went wrong stays
/// a mistake of one's own, and TTIN and TTOU keep a job in the background off the terminal.
const FORWARDED_TO_CONTAINERS: [i32; 8] = [5, 6, 16, SIGCONT, SIGTSTP, 24, 25, 31];

/// Passed on as well: systemd as process 1, for one, is told by them to halt. glibc keeps the two before to itself (signal(7)).
const REAL_TIME: RangeInclusive<i32> = 34..=64;

/// A container's process 1 ignores signals it has no handler for. Who asks it to end this often means it: by signals, or by
/// Ctrl-C on its terminal.
const PATIENCE: u32 = 3;

/// How long a container may take to end after its caller's terminal is gone.
const GRACE: Duration = Duration::from_secs(1);

/// Signals of the caller, caught from the moment this is made. Make it before the container, so that none is lost.
#[derive(Debug)]
pub struct Signals {
    descriptor: OwnedFd,
    /// A request to end was read by somebody.
    asked: Arc<AtomicBool>,
}

impl Signals {
    /// Blocks the signals that are passed on and opens them for reading.
    ///
    /// # Errors
    /// When the kernel has no descriptor left.
    pub fn catch() -> Result<Self, Error> {
        let caught: Vec<i32> = FORWARDED.into_iter().chain(REAL_TIME).collect();
        signal::block(&caught).call("sigprocmask", || "SIG_BLOCK")?;
        Ok(Self {
            descriptor: signal::descriptor(&caught).call("signalfd", || "")?,
            asked: Arc::default(),
        })
    }

    /// Sees requests to end, and leaves them to be read.
    ///
    /// # Errors
    /// When the kernel has no descriptor left.
    pub fn watch(&self) -> Result<Watch, Error> {
        let caught = FORWARDED.into_iter().chain(REAL_TIME);
        let requests: Vec<i32> = caught.filter(|number| *number != SIGWINCH).collect();
        Ok(Watch {
            descriptor: signal::descriptor(&requests).call("signalfd", || "")?,
            asked: self.asked.clone(),
        })
    }

    /// The same signals for somebody else too: each of them is read once, by whoever is first.
    ///
    /// # Errors
    /// When the kernel has no descriptor left.
    pub fn share(&self) -> Result<Self, Error> {
        let copy = rustix::io::fcntl_dupfd_cloexec(&self.descriptor, 3);
        Ok(Self {
            descriptor: copy.call("fcntl", || "F_DUPFD_CLOEXEC")?,
            asked: self.asked.clone(),
        })
    }

    /// Readable when a signal has come.
    pub fn descriptor(&self) -> &OwnedFd {
        &self.descriptor
    }

    /// The next signal that asks the caller to end, if one has come; others are forgotten.
    pub fn next_request_to_end(&self) -> Option<i32> {
        let request = std::iter::from_fn(|| Some(self.next()?.number)).find(|number| *number != SIGWINCH);
        if request.is_some() {
            self.asked.store(true, Ordering::Release);
        }
        request
    }

    /// The next signal, if one has come.
    fn next(&self) -> Option<Received> {
        signal::read_one(&self.descriptor)
    }

    /// Catches what is passed on to containers alone, too. Ask for it right before the container is started: what comes
    /// while it starts is passed on then, and what comes earlier is for the caller itself.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn catch_for_container(&self) -> Result<(), Error> {
        signal::block(&FORWARDED_TO_CONTAINERS).call("sigprocmask", || "SIG_BLOCK")?;
        let all = FORWARDED.into_iter().chain(REAL_TIME).chain(FORWARDED_TO_CONTAINERS);
        let all: Vec<i32> = all.collect();
        signal::read_others(&self.descriptor, &all).call("signalfd", || "")?;
        Ok(())
    }
}

/// Sees requests to end that somebody else reads.
#[derive(Debug)]
pub struct Watch {
    descriptor: OwnedFd,
    asked: Arc<AtomicBool>,
}

impl Watch {
    /// Waits for a request to end, no longer than `time`: whether there is one, or was one before.
    pub fn is_asked(&self, time: Duration) -> bool {
        let time = Timespec::try_from(time).ok();
        let has_come = poll(&mut [PollFd::new(&self.descriptor, PollFlags::IN)], time.as_ref());
        has_come.is_ok_and(|count| count > 0) || self.asked.load(Ordering::Acquire)
    }
}

/// How a caller stays with its container.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Standard input goes to the container's terminal, where it has one.
    pub takes_input: bool,
    /// Signals are the container's (see [`Signals::catch_for_container`]); else they end this process, and the container
    /// with it.
    pub passes_signals_on: bool,
}

/// Stays with `container` until it ends. What it writes to its terminal, or to a pipe of ours, is shown.
///
/// # Errors
/// When the terminal can't be relayed, the output not written, or the end not awaited.
pub fn attach(container: &mut Container, signals: &Signals, manner: Manner) -> Result<Ended, Error> {
    let takes_input = manner.takes_input;
    let terminal = container
        .terminal()
        .map(|fd| fd.try_clone_to_owned())
        .transpose()
        .map_err(|e| Error::Config(format!("can't copy the terminal's descriptor: {e}")))?;
    let mut relay = match terminal {
        Some(terminal) => Some(Relay::new(terminal, takes_input)?),
        None => None,
    };
    let mut pipes = container.take_pipes();
    // The container may close its input, or read no more of it.
    let _ignored = pipes.inlet.is_some().then(signal::BrokenPipes::ignore);
    let _raw = relay.as_ref().filter(|_| takes_input).and_then(|_| RawMode::enter());
    let mut requests = Requests::default();
    let mut ending = None;
    loop {
        let ended = wait_for_events(container, signals, (relay.as_mut(), &mut pipes), requests.time_left())?;
        while let Some(received) = signals.next() {
            if received.number == SIGWINCH {
                follow_size(container);
            }
            if manner.passes_signals_on {
                requests.pass_on(received, container, relay.is_some());
            } else if received.number != SIGWINCH {
                ending = ending.or(Some(received.number));
                container.signal(SIGKILL);
            }
        }
        if ended {
            break;
        }
        requests.insist(container);
        if relay.as_ref().is_some_and(|relay| relay.lost_interrupts() >= PATIENCE) {
            container.signal(SIGKILL);
        }
    }
    if let Some(relay) = &mut relay {
        relay.drain();
    }
    // Who insisted on the end doesn't wait for a reader that is slow.
    if ending.is_none() && requests.to_end < PATIENCE {
        for outlet in &mut pipes.outlets {
            drain(outlet, signals);
        }
    }
    let ended = container.wait()?;
    pipes.outlets.iter().try_for_each(Outlet::finish)?;
    Ok(ending.map_or(ended, Ended::Signal))
}

/// Waits until something happens and relays the terminal, or the pipes; `true` when the container has ended.
fn wait_for_events(
    container: &Container,
    signals: &Signals,
    (relay, pipes): (Option<&mut Relay>, &mut Pipes),
    time_left: Option<Duration>,
) -> Result<bool, Error> {
    let mut fds = vec![
        PollFd::from_borrowed_fd(container.ended_descriptor(), PollFlags::IN),
        PollFd::new(&signals.descriptor, PollFlags::IN),
    ];
    let sides = relay.as_ref().map(|relay| relay.add_to(&mut fds)).unwrap_or_default();
    let pipes_at = fds.len();
    let passages = pipes.add_to(&mut fds);
    let time_left = time_left.and_then(|time| rustix::event::Timespec::try_from(time).ok());
    match poll(&mut fds, time_left.as_ref()) {
        Err(rustix::io::Errno::INTR) => return Ok(false),
        result => result.call("poll", || "the container")?,
    };
    let ended = !fds[0].revents().is_empty();
    let happened = sides.iter().zip(&fds[2..]).filter(|(_, fd)| !fd.revents().is_empty());
    let ready: Vec<relay::Side> = happened.map(|(side, _)| *side).collect();
    let happened = passages
        .iter()
        .zip(&fds[pipes_at..])
        .filter(|(_, fd)| !fd.revents().is_empty());
    let ready_pipes: Vec<Passage> = happened.map(|(passage, _)| *passage).collect();
    drop(fds);
    pipes.move_bytes(&ready_pipes);
    if let Some(relay) = relay {
        relay.move_bytes(&ready)?;
    }
    Ok(ended)
}

/// Shows what the container wrote before it ended, unless somebody asks for the end meanwhile.
fn drain(outlet: &mut Outlet, signals: &Signals) {
    while outlet.move_last() {
        let mut fds = vec![PollFd::new(signals.descriptor(), PollFlags::IN)];
        fds.extend(outlet.wanted());
        let _ = poll(&mut fds, None);
        if signals.next_request_to_end().is_some() {
            return;
        }
    }
}

/// What the caller was asked to pass on so far.
#[derive(Debug, Default)]
struct Requests {
    to_end: u32,
    /// The caller's terminal is gone: when the container has to be gone too.
    deadline: Option<Instant>,
}

impl Requests {
    fn pass_on(&mut self, received: Received, container: &Container, has_terminal: bool) {
        let number = received.number;
        // Apache's web server ends gracefully by one that somebody sends: a window that changes must not ask for that.
        if number == SIGWINCH && received.by_kernel {
            return;
        }
        if matches!(number, SIGINT | SIGTERM) {
            self.to_end += 1;
        }
        if number == SIGHUP && has_terminal && terminal_is_gone() {
            self.deadline.get_or_insert(Instant::now() + GRACE);
        }
        container.signal(if self.to_end >= PATIENCE { SIGKILL } else { number });
        // A key on the terminal is for the job that the shell has in the foreground, and this process is of it: the
        // shell waits for it to stop. docker and podman go on, and the shell doesn't come back.
        if number == SIGTSTP && received.by_kernel {
            // What can't be stopped goes on.
            let _ = signal::stop_self();
        }
    }

    fn time_left(&self) -> Option<Duration> {
        self.deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Nobody can reach a container whose terminal is gone any more: it doesn't stay behind.
    fn insist(&self, container: &Container) {
        if self.time_left().is_some_and(|left| left.is_zero()) {
            container.signal(SIGKILL);
        }
    }
}

/// Whether the window of the caller's terminal was closed: SIGHUP may as well be somebody's request to read the
/// configuration anew.
fn terminal_is_gone() -> bool {
    let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    let is_gone = |stream| tcgetattr(stream).is_err_and(|errno| errno == rustix::io::Errno::IO);
    streams.into_iter().any(is_gone)
}

/// Gives the container's terminal the size of the caller's.
fn follow_size(container: &Container) {
    if let (Some(terminal), Some((rows, columns))) = (container.terminal(), window_size()) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // A size that can't be set is no reason to end anything.
        let _ = tcsetwinsize(terminal, size);
    }
}

/// Rows and columns of the first of the caller's streams that is a terminal: input may be a file where output is shown.
pub fn window_size() -> Option<(u16, u16)> {
    let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    let size = streams.into_iter().find_map(|stream| tcgetwinsize(stream).ok())?;
    Some((size.ws_row, size.ws_col)).filter(|size| *size != (0, 0))
}

/// The caller's terminal in raw mode; restored when dropped.
struct RawMode {
    before: Termios,
}

impl RawMode {
    fn enter() -> Option<Self> {
        let stdin = rustix::stdio::stdin();
        let before = tcgetattr(stdin).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin.as_fd(), OptionalActions::Now, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.before);
    }
}
