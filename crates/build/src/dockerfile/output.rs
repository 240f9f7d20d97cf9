//! What a RUN says: pipes that are read until its container has ended.

use super::stop::Stop;
use crate::error::{IoExt, Result};
use crate::progress::Stream;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use std::path::Path;
use wiac_run::io::{Io, Stream as Target};
use wiac_run::{Container, Ended};

/// As much as a pipe holds.
const CHUNK: usize = 64 << 10;

/// How much is kept for the message of a failure: more than a screen.
const LAST: usize = 8 << 10;

/// The reading ends of a container's streams.
pub(super) struct Output {
    pipes: Vec<(Stream, OwnedFd)>,
    last: Vec<u8>,
    /// Something was said before the last.
    is_cut: bool,
}

impl Output {
    /// Pipes, and the streams of a container that write to them. With one for both streams, what it says stays in order.
    ///
    /// # Errors
    /// No descriptor is left.
    pub(super) fn new(separate: bool) -> Result<(Self, Io)> {
        let place = Path::new("a pipe");
        // The container's end blocks, as programs expect.
        let pipe = || -> Result<_> {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC).on("make", place)?;
            rustix::io::ioctl_fionbio(&read, true).on("make", place)?;
            Ok((read, write))
        };
        let (read, output) = pipe()?;
        let mut pipes = vec![(Stream::Output, read)];
        let error = if separate {
            let (read, error) = pipe()?;
            pipes.push((Stream::Error, read));
            error
        } else {
            output.try_clone().on("copy a descriptor of", place)?
        };
        let io = Io {
            input: Target::Null,
            output: Target::Descriptor(output),
            error: Target::Descriptor(error),
        };
        let output = Self {
            pipes,
            last: Vec::new(),
            is_cut: false,
        };
        Ok((output, io))
    }

    /// Passes on what the container says until it has ended.
    ///
    /// # Errors
    /// As [`Stop::check`]: the container is then the caller's to drop, which ends it.
    pub(super) fn until_end(
        &mut self,
        container: &mut Container,
        stop: &Stop,
        mut tell: impl FnMut(Stream, &[u8]),
    ) -> Result<Ended> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let [signals, wake] = stop.descriptors();
            let mut fds = vec![
                PollFd::from_borrowed_fd(container.ended_descriptor(), PollFlags::IN),
                signals,
                wake,
            ];
            fds.extend(self.pipes.iter().map(|(_, pipe)| PollFd::new(pipe, PollFlags::IN)));
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => {
                    return Err(wiac_run::Error::from(wiac_sys::Error::new("poll", "a container", errno)).into());
                }
            }
            let has_ended = !fds[0].revents().is_empty();
            let is_to_stop = fds[1..3].iter().any(|fd| !fd.revents().is_empty());
            let has_said = fds[3..].iter().any(|fd| !fd.revents().is_empty());
            drop(fds);
            if has_ended {
                // Nobody writes any more: what is left is in the pipes.
                while self.read(&mut buffer, &mut tell) {}
                return Ok(container.wait()?);
            }
            if is_to_stop {
                stop.check()?;
            }
            if has_said {
                self.read(&mut buffer, &mut tell);
            }
        }
    }

    /// Reads once from every pipe; `false` where nothing was there.
    fn read(&mut self, buffer: &mut [u8], tell: &mut impl FnMut(Stream, &[u8])) -> bool {
        let mut has_said = false;
        let Self { pipes, last, is_cut } = self;
        pipes.retain(|(stream, pipe)| {
            match rustix::io::retry_on_intr(|| rustix::io::read(pipe.as_fd(), &mut *buffer)) {
                Ok(0) => false,
                Ok(length) => {
                    let said = &buffer[..length];
                    tell(*stream, said);
                    *is_cut |= remember(last, said);
                    has_said = true;
                    true
                }
                Err(errno) => errno == Errno::AGAIN,
            }
        });
        has_said
    }

    /// The last of what was said, from the beginning of a line.
    pub(super) fn last(&self) -> String {
        let first_whole_line = || self.last.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let from = if self.is_cut { first_whole_line() } else { 0 };
        String::from_utf8_lossy(&self.last[from..]).into_owned()
    }
}

/// Appends to what is kept; `true` where something was forgotten for it.
fn remember(last: &mut Vec<u8>, said: &[u8]) -> bool {
    last.extend_from_slice(said);
    let too_much = last.len().saturating_sub(LAST);
    last.drain(..too_much);
    too_much > 0
}
