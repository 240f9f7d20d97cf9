//! Bytes between the caller's standard streams and the container's terminal.

use super::interrupts::Lost;
use crate::error::Error;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use wiac_sys::ResultExt;

/// Control-D: what a terminal turns into the end of a file.
const END_OF_FILE: u8 = 4;

/// The caller's side of a terminal, with what waits to be written to it.
pub(super) struct Relay {
    terminal: OwnedFd,
    pending: Vec<u8>,
    input_open: bool,
    output_open: bool,
    lost: Lost,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The container's terminal.
    Terminal,
    /// The caller's standard input.
    Input,
}

impl Relay {
    /// The terminal is made non-blocking: a container that doesn't read must not keep its output from being shown.
    /// Standard input is left alone unless `takes_input`.
    pub(super) fn new(terminal: OwnedFd, takes_input: bool) -> Result<Self, Error> {
        rustix::io::ioctl_fionbio(&terminal, true).call("ioctl", || "FIONBIO")?;
        Ok(Self {
            terminal,
            pending: Vec::new(),
            input_open: takes_input,
            output_open: true,
            lost: Lost::default(),
        })
    }

    /// Adds what is worth waiting for. A closed side is left out: poll would report its hang-up again and again.
    pub(super) fn add_to<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) -> Vec<Side> {
        let mut sides = Vec::with_capacity(2);
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::IN, self.output_open);
        wanted.set(PollFlags::OUT, !self.pending.is_empty());
        if !wanted.is_empty() {
            fds.push(PollFd::new(&self.terminal, wanted));
            sides.push(Side::Terminal);
        }
        if self.input_open && self.pending.is_empty() {
            fds.push(PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN));
            sides.push(Side::Input);
        }
        sides
    }

    /// Moves what can be moved: `ready` are the sides that something happened on.
    pub(super) fn move_bytes(&mut self, ready: &[Side]) -> Result<(), Error> {
        if ready.contains(&Side::Terminal) && self.output_open {
            self.show_output()?;
        }
        if ready.contains(&Side::Input) {
            self.read_input()?;
        }
        self.write_pending()
    }

    /// How often an interrupt was typed in a row that the container doesn't get.
    pub(super) fn lost_interrupts(&self) -> u32 {
        self.lost.count
    }

    fn show_output(&mut self) -> Result<(), Error> {
        let mut buffer = [0; 8192];
        match rustix::io::read(&self.terminal, &mut buffer) {
            // EIO: nobody has the other side open any more.
            Ok(0) | Err(Errno::IO) => self.output_open = false,
            Ok(length) => write_all(&buffer[..length])?,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(wiac_sys::Error::new("read", "the terminal", errno).into()),
        }
        Ok(())
    }

    fn read_input(&mut self) -> Result<(), Error> {
        let mut buffer = [0; 4096];
        match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
            Ok(0) | Err(Errno::IO) => {
                self.input_open = false;
                self.pending.push(END_OF_FILE);
            }
            Ok(length) => {
                self.lost.typed(&buffer[..length], &self.terminal);
                self.pending.extend_from_slice(&buffer[..length]);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(wiac_sys::Error::new("read", "standard input", errno).into()),
        }
        Ok(())
    }

    fn write_pending(&mut self) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        match rustix::io::write(&self.terminal, &self.pending) {
            Ok(length) => drop(self.pending.drain(..length)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::IO) => self.pending.clear(),
            Err(errno) => return Err(wiac_sys::Error::new("write", "the terminal", errno).into()),
        }
        Ok(())
    }

    /// Shows what the container wrote before it ended.
    pub(super) fn drain(&mut self) {
        let mut buffer = [0; 8192];
        while let Ok(length @ 1..) = rustix::io::read(&self.terminal, &mut buffer) {
            if write_all(&buffer[..length]).is_err() {
                break;
            }
        }
    }
}

fn write_all(mut bytes: &[u8]) -> Result<(), Error> {
    while !bytes.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut fds = [PollFd::from_borrowed_fd(rustix::stdio::stdout(), PollFlags::OUT)];
                let _ = rustix::event::poll(&mut fds, None);
            }
            Err(errno) => return Err(wiac_sys::Error::new("write", "standard output", errno).into()),
        }
    }
    Ok(())
}
