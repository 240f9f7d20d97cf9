//! The child's terminal: made in the container's own devpts, its other side sent to the caller.

use super::{Child, StepResult};
use crate::plan::step::{Stub, TargetKind};
use crate::protocol::{self, Call};
use crate::target::{self, At};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use wiac_sys::process::{StandardStream, duplicate_to_standard};

impl Child<'_> {
    /// Makes the terminal of `size`, owned by user `owner`, the controlling one and the three standard streams, and
    /// shows it as /dev/console too.
    pub(super) fn make_terminal(&self, size: Option<(u16, u16)>, owner: u32) -> StepResult {
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let outside = target::open_with(self.root()?, c"dev/pts/ptmx", flags).at(Call::Openat2)?;
        rustix::pty::unlockpt(&outside).at(Call::Ioctl)?;
        let peer = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let inside = rustix::pty::ioctl_tiocgptpeer(&outside, peer).at(Call::Ioctl)?;
        if let Some((rows, columns)) = size {
            let size = Winsize {
                ws_row: rows,
                ws_col: columns,
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            rustix::termios::tcsetwinsize(&inside, size).at(Call::Ioctl)?;
        }
        // Where the id isn't mapped, or the kernel refuses, root's terminal serves as well.
        let _ = rustix::fs::fchown(&inside, Some(rustix::fs::Uid::from_raw(owner)), None);
        self.show_as_console(&inside)?;
        protocol::send_terminal(self.socket, outside.as_fd()).at(Call::Sendmsg)?;
        rustix::process::ioctl_tiocsctty(&inside).at(Call::Ioctl)?;
        for stream in [StandardStream::Input, StandardStream::Output, StandardStream::Error] {
            duplicate_to_standard(inside.as_fd(), stream).at(Call::Dup2)?;
        }
        Ok(())
    }

    fn show_as_console(&self, inside: &OwnedFd) -> StepResult {
        let console = target::ensure(self.root()?, c"dev/console", TargetKind::File, Stub::Elsewhere)?;
        super::mounts::clone_onto(inside.as_fd(), console.as_fd())
    }
}
