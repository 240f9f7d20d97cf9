//! The three standard streams of a container's first process.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Gid, Mode, OFlags, Uid};
use wiac_sys::process::{StandardStream, duplicate_to_standard};
use wiac_sys::sharing::TableFd;

/// Where a stream goes.
#[derive(Debug, Default)]
pub enum Stream {
    /// To the caller's own.
    #[default]
    Inherit,
    /// To /dev/null.
    Null,
    /// To this descriptor.
    Descriptor(OwnedFd),
}

/// The three streams.
#[derive(Debug, Default)]
pub struct Io {
    /// Standard input.
    pub input: Stream,
    /// Standard output.
    pub output: Stream,
    /// Standard error.
    pub error: Stream,
}

/// The streams opened, ready for the child.
#[derive(Debug)]
pub(crate) struct ChildIo {
    streams: [(StandardStream, Option<TableFd>); 3],
    /// The user pipes are given to, so that a program can open /dev/stdout again.
    owner: u32,
}

impl ChildIo {
    /// Opens what has to be opened.
    pub(crate) fn new(io: Io, owner: u32) -> rustix::io::Result<Self> {
        Ok(Self {
            streams: [
                (StandardStream::Input, open(io.input)?),
                (StandardStream::Output, open(io.output)?),
                (StandardStream::Error, open(io.error)?),
            ],
            owner,
        })
    }

    /// Closes the descriptors in the calling process. Child-safe.
    pub(crate) fn close(&self) {
        self.streams
            .iter()
            .filter_map(|(_, fd)| fd.as_ref())
            .for_each(TableFd::close);
    }

    /// Puts the streams in their places. Child-safe.
    pub(crate) fn install(&self) -> rustix::io::Result<()> {
        for (stream, fd) in &self.streams {
            if let Some(fd) = fd {
                duplicate_to_standard(fd.as_fd(), *stream)?;
            }
        }
        if self.owner != 0 {
            self.give_pipes();
        }
        Ok(())
    }

    /// Files keep their owner: they are the caller's. A pipe's owner matters to nobody else.
    fn give_pipes(&self) {
        let owner = Some(Uid::from_raw(self.owner));
        for stream in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
            let is_pipe =
                rustix::fs::fstat(stream).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
            if is_pipe {
                // Refused in a user namespace that the pipe's owner isn't mapped in; it works without, mostly.
                let _ = rustix::fs::fchown(stream, owner, None::<Gid>);
            }
        }
    }
}

fn open(stream: Stream) -> rustix::io::Result<Option<TableFd>> {
    match stream {
        Stream::Inherit => Ok(None),
        // Both ways, as docker and podman open it: some programs write to their input where it is a terminal elsewhere.
        Stream::Null => rustix::fs::open(c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map(|fd| Some(TableFd::new(fd))),
        Stream::Descriptor(fd) => Ok(Some(TableFd::new(fd))),
    }
}
