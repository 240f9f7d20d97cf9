//! What a container writes, from its pipe to the caller's own output.

use crate::error::Error;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use std::ops::Range;
use wiac_sys::process::StandardStream;

/// What a pipe holds by default.
const ROOM: usize = 64 << 10;

/// The caller's end of a pipe that a container writes to.
#[derive(Debug)]
pub(crate) struct Outlet {
    /// Doesn't block; `None` once there is nothing more to come, or nobody takes it.
    pipe: Option<OwnedFd>,
    to: StandardStream,
    kind: FileType,
    /// Made for the first bytes.
    buffer: Vec<u8>,
    /// What of it was read and isn't written.
    pending: Range<usize>,
    failed: Option<Errno>,
}

impl Outlet {
    pub(crate) fn new(pipe: OwnedFd, to: StandardStream) -> Self {
        let mode = fstat(descriptor(to)).map_or(0, |stat| stat.st_mode);
        Self {
            pipe: Some(pipe),
            to,
            kind: FileType::from_raw_mode(mode),
            buffer: Vec::new(),
            pending: 0..0,
            failed: None,
        }
    }

    /// The caller's end of the pipe, while there is one.
    pub(crate) fn pipe(&self) -> Option<&OwnedFd> {
        self.pipe.as_ref()
    }

    /// What is worth waiting for: something to read, or room for what was read.
    pub(crate) fn wanted(&self) -> Option<PollFd<'_>> {
        let pipe = self.pipe.as_ref()?;
        Some(if self.is_full() {
            PollFd::from_borrowed_fd(descriptor(self.to), PollFlags::OUT)
        } else {
            PollFd::new(pipe, PollFlags::IN)
        })
    }

    /// Moves what can be moved without waiting, once.
    pub(crate) fn move_bytes(&mut self) {
        if !self.is_full() {
            self.read();
        }
        self.write();
    }

    /// Moves what the container wrote before it ended: who holds the pipe's other end by then is no process of it. `true` where
    /// there is more, and no room for it.
    pub(crate) fn move_last(&mut self) -> bool {
        while self.pipe.is_some() && (self.is_full() || self.read()) {
            self.write();
            if self.is_full() {
                return true;
            }
        }
        false
    }

    /// Why not everything was shown.
    ///
    /// # Errors
    /// What the write said, unless the reader is gone: the container was told so then, as any program is.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        let name = match self.to {
            StandardStream::Error => "standard error",
            _ => "standard output",
        };
        match self.failed {
            Some(errno) => Err(wiac_sys::Error::new("write", name, errno).into()),
            None => Ok(()),
        }
    }

    fn is_full(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether something was there.
    fn read(&mut self) -> bool {
        let Some(pipe) = &self.pipe else { return false };
        self.buffer.resize(ROOM, 0);
        match rustix::io::read(pipe, &mut self.buffer[..]) {
            Ok(length @ 1..) => {
                self.pending = 0..length;
                true
            }
            Err(Errno::AGAIN | Errno::INTR) => false,
            _ => {
                self.pipe = None;
                false
            }
        }
    }

    fn write(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let rest = &self.buffer[self.pending.clone()];
        let to = descriptor(self.to);
        let result = match self.kind {
            FileType::Socket => send(to, rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
            _ => rustix::io::write(to, rest),
        };
        match result {
            Ok(length) => self.pending.start += length,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => self.give_up(errno),
        }
    }

    /// Closes the pipe, so that the container is told when it writes again.
    fn give_up(&mut self, errno: Errno) {
        let is_reader_gone = match errno {
            Errno::PIPE | Errno::CONNRESET => true,
            // A terminal whose window was closed.
            Errno::IO => self.kind == FileType::CharacterDevice,
            _ => false,
        };
        self.failed = Some(errno).filter(|_| !is_reader_gone);
        self.pipe = None;
        self.pending = 0..0;
    }
}

fn descriptor(stream: StandardStream) -> BorrowedFd<'static> {
    match stream {
        StandardStream::Input => rustix::stdio::stdin(),
        StandardStream::Output => rustix::stdio::stdout(),
        StandardStream::Error => rustix::stdio::stderr(),
    }
}
