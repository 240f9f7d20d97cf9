//! The three standard streams of a container's first process.

use crate::inlet::Inlet;
use crate::outlet::Outlet;
use rustix::event::PollFd;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Gid, Mode, OFlags, Uid, fstat};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::isatty;
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
    /// Through a pipe to or from the caller's own, which [`crate::attach::attach`] writes to and reads from.
    Relayed,
}

impl Stream {
    /// To the caller's own output: as it is where that is a pipe or a device.
    ///
    /// What the container has open it can open again, by /dev/stdout, with other rights, or not at all: a file would be cut off,
    /// or read, or refused to the container's user, and a socket has no name to open. Containers of docker and podman
    /// have pipes, and images count on it. That of a caller who doesn't block would refuse what is much.
    pub fn to(output: BorrowedFd<'_>) -> Self {
        let is_relayed = fstat(output).is_ok_and(|stat| match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile | FileType::Socket => true,
            FileType::CharacterDevice => isatty(output),
            FileType::Fifo => rustix::fs::fcntl_getfl(output).is_ok_and(|flags| flags.contains(OFlags::NONBLOCK)),
            _ => false,
        });
        if is_relayed { Self::Relayed } else { Self::Inherit }
    }

    /// From the caller's own input: as it is where that is a pipe or a device.
    ///
    /// A file could be opened again for writing by whoever is root in the container, or not at all by others there, as
    /// a socket.
    pub fn from(input: BorrowedFd<'_>) -> Self {
        let is_relayed = fstat(input).is_ok_and(|stat| {
            let kind = FileType::from_raw_mode(stat.st_mode);
            matches!(kind, FileType::RegularFile | FileType::Socket)
        });
        if is_relayed { Self::Relayed } else { Self::Inherit }
    }
}

/// One of a container's pipes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    In,
    /// The number of the outlet.
    Out(usize),
}

/// The caller's ends of a container's pipes.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    pub(crate) inlet: Option<Inlet>,
    pub(crate) outlets: Vec<Outlet>,
}

impl Pipes {
    /// The descriptors that nobody else must keep open.
    pub(crate) fn ends(&self) -> impl Iterator<Item = &OwnedFd> {
        let outlets = self.outlets.iter().filter_map(Outlet::pipe);
        outlets.chain(self.inlet.as_ref().and_then(Inlet::pipe))
    }

    /// Adds what is worth waiting for.
    pub(crate) fn add_to<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) -> Vec<Passage> {
        let inlet = self.inlet.as_ref().and_then(Inlet::wanted);
        let outlets = self.outlets.iter().enumerate();
        let outlets = outlets.filter_map(|(number, outlet)| Some((Passage::Out(number), outlet.wanted()?)));
        let wanted = inlet.map(|fd| (Passage::In, fd)).into_iter().chain(outlets);
        let add = |(passage, fd)| {
            fds.push(fd);
            passage
        };
        wanted.map(add).collect()
    }

    /// Moves what can be moved: something happened on `ready`.
    pub(crate) fn move_bytes(&mut self, ready: &[Passage]) {
        for passage in ready {
            match passage {
                Passage::In => self.inlet.iter_mut().for_each(Inlet::move_bytes),
                Passage::Out(number) => self.outlets[*number].move_bytes(),
            }
        }
    }
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
    /// Opens what has to be opened. What is relayed goes through the pipes.
    pub(crate) fn new(io: Io, owner: u32) -> rustix::io::Result<(Self, Pipes)> {
        let Pipes { mut inlet, mut outlets } = Pipes::default();
        let input = match io.input {
            Stream::Relayed => {
                let (inside, into) = pipe_with(PipeFlags::CLOEXEC)?;
                rustix::io::ioctl_fionbio(&into, true)?;
                inlet = Some(Inlet::new(into));
                Some(inside)
            }
            other => open(other)?,
        };
        // Output and errors that go to one place stay in order.
        let are_one = matches!((&io.output, &io.error), (Stream::Relayed, Stream::Relayed)) && lead_to_one_place();
        let output = match io.output {
            Stream::Relayed => Some(relayed(StandardStream::Output, &mut outlets)?),
            other => open(other)?,
        };
        let error = match (io.error, &output) {
            (Stream::Relayed, Some(pipe)) if are_one => Some(rustix::io::fcntl_dupfd_cloexec(pipe, 3)?),
            (Stream::Relayed, _) => Some(relayed(StandardStream::Error, &mut outlets)?),
            (other, _) => open(other)?,
        };
        let child = Self {
            streams: [
                (StandardStream::Input, input.map(TableFd::new)),
                (StandardStream::Output, output.map(TableFd::new)),
                (StandardStream::Error, error.map(TableFd::new)),
            ],
            owner,
        };
        Ok((child, Pipes { inlet, outlets }))
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

fn open(stream: Stream) -> rustix::io::Result<Option<OwnedFd>> {
    match stream {
        // `ChildIo::new` makes the pipes.
        Stream::Inherit | Stream::Relayed => Ok(None),
        // Both ways, as docker and podman open it: some programs write to their input where it is a terminal elsewhere.
        Stream::Null => rustix::fs::open(c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map(Some),
        Stream::Descriptor(fd) => Ok(Some(fd)),
    }
}

/// The container's end of a pipe to the caller's `stream`.
fn relayed(stream: StandardStream, outlets: &mut Vec<Outlet>) -> rustix::io::Result<OwnedFd> {
    let (from, inside) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&from, true)?;
    outlets.push(Outlet::new(from, stream));
    Ok(inside)
}

/// Whether the caller's output and errors go to the same file, terminal or socket.
fn lead_to_one_place() -> bool {
    let place = |stream| fstat(stream).map(|stat| (stat.st_dev, stat.st_ino));
    match (place(rustix::stdio::stdout()), place(rustix::stdio::stderr())) {
        (Ok(output), Ok(error)) => output == error,
        _ => false,
    }
}
