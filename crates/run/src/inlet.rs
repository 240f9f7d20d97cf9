//! The caller's own input, into a container's pipe.

use rustix::event::{PollFd, PollFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::ops::Range;

/// What a pipe holds by default.
const ROOM: usize = 64 << 10;

/// The caller's end of a pipe that a container reads from.
#[derive(Debug)]
pub(crate) struct Inlet {
    /// Doesn't block; `None` once there is nothing more to come, or nobody reads it.
    pipe: Option<OwnedFd>,
    /// Made for the first bytes.
    buffer: Vec<u8>,
    /// What of it was read and isn't written.
    pending: Range<usize>,
}

impl Inlet {
    pub(crate) fn new(pipe: OwnedFd) -> Self {
        Self {
            pipe: Some(pipe),
            buffer: Vec::new(),
            pending: 0..0,
        }
    }

    /// The caller's end of the pipe, while there is one.
    pub(crate) fn pipe(&self) -> Option<&OwnedFd> {
        self.pipe.as_ref()
    }

    /// What is worth waiting for: something to read, or room for what was read.
    pub(crate) fn wanted(&self) -> Option<PollFd<'_>> {
        let pipe = self.pipe.as_ref()?;
        Some(if self.pending.is_empty() {
            PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN)
        } else {
            PollFd::new(pipe, PollFlags::OUT)
        })
    }

    /// Moves what can be moved without waiting, once.
    pub(crate) fn move_bytes(&mut self) {
        if self.pending.is_empty() {
            self.read();
        }
        self.write();
    }

    fn read(&mut self) {
        self.buffer.resize(ROOM, 0);
        match rustix::io::read(rustix::stdio::stdin(), &mut self.buffer[..]) {
            Ok(length @ 1..) => self.pending = 0..length,
            Err(Errno::AGAIN | Errno::INTR) => {}
            // What can't be read has ended, for the container.
            _ => self.pipe = None,
        }
    }

    fn write(&mut self) {
        let Some(pipe) = self.pipe.as_ref().filter(|_| !self.pending.is_empty()) else {
            return;
        };
        match rustix::io::write(pipe, &self.buffer[self.pending.clone()]) {
            Ok(length) => self.pending.start += length,
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Nobody reads on.
            Err(_) => self.pipe = None,
        }
    }
}
