//! What ends a build early: a signal to the caller, or a stage that failed. Whoever notices it first tells all others.

use crate::error::{Error, Result};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::OwnedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use wiac_run::attach::Signals;

/// How often [`Stop::goes_on`] looks for a signal: every so many times.
const SELDOM: u32 = 64;

/// Why.
#[derive(Debug, Clone, Copy)]
enum Reason {
    /// The caller got this signal.
    Signal(i32),
    /// A stage failed.
    Failure,
}

/// The end of a build, once there is a reason for it.
pub(crate) struct Stop {
    signals: Signals,
    reason: OnceLock<Reason>,
    /// Readable from the moment that there is a reason: wakes everybody who waits for a container.
    wake: OwnedFd,
    asked: AtomicU32,
}

impl Stop {
    /// No reason yet.
    ///
    /// # Errors
    /// No descriptor is left.
    pub(super) fn new(signals: &Signals) -> Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| wiac_run::Error::from(wiac_sys::Error::new("eventfd", "", errno)))?;
        Ok(Self {
            signals: signals.share()?,
            reason: OnceLock::new(),
            wake,
            asked: AtomicU32::new(0),
        })
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// [`Error::Interrupted`] after a signal, [`Error::Cancelled`] after another stage's failure.
    pub(crate) fn check(&self) -> Result<()> {
        // One thread alone sees a signal: it is told to the others.
        if let Some(signal) = self.signals.next_request_to_end() {
            self.end(Reason::Signal(signal));
        }
        match self.reason.get() {
            None => Ok(()),
            Some(Reason::Signal(signal)) => Err(Error::Interrupted { signal: *signal }),
            Some(Reason::Failure) => Err(Error::Cancelled),
        }
    }

    /// Whether to go on with something long: cheap enough to be asked for every file. After a "no" [`Stop::check`] says why.
    pub(crate) fn goes_on(&self) -> bool {
        let is_turn = self.asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(SELDOM);
        self.reason.get().is_none() && (!is_turn || self.check().is_ok())
    }

    /// Ends the other stages after a failure.
    pub(super) fn fail(&self) {
        self.end(Reason::Failure);
    }

    fn end(&self, reason: Reason) {
        if self.reason.set(reason).is_ok() {
            // An eventfd takes its first number at once.
            let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        }
    }

    /// What becomes readable when [`Stop::check`] may have something to say.
    pub(super) fn descriptors(&self) -> [PollFd<'_>; 2] {
        [
            PollFd::new(self.signals.descriptor(), PollFlags::IN),
            PollFd::new(&self.wake, PollFlags::IN),
        ]
    }

    /// Waits for a moment.
    ///
    /// # Errors
    /// As [`Stop::check`], at once.
    pub(super) fn pause(&self, time: Duration) -> Result<()> {
        let time = Timespec::try_from(time).ok();
        // Interrupted, it was a shorter moment.
        let _ = poll(&mut self.descriptors(), time.as_ref());
        self.check()
    }
}
