//! Whether a container gets a terminal, and where its streams go.

use crate::error::Failure;
use rustix::termios::{isatty, tcgetwinsize};
use wiac_run::io::{Io, Stream};

/// What `-i`, `-t` and the streams of this process come to.
pub(crate) struct Streams {
    /// The container gets a terminal.
    pub(crate) terminal: bool,
    /// Rows and columns, where known.
    pub(crate) size: Option<(u16, u16)>,
    /// Its streams; with a terminal they are not used.
    pub(crate) io: Io,
}

/// On a terminal the container gets one too. Otherwise it gets this process's output, and its input where asked for:
/// a container that isn't interactive doesn't eat what a loop around it reads.
pub(crate) fn streams(interactive: bool, tty: bool) -> Result<Streams, Failure> {
    let input_is_terminal = isatty(rustix::stdio::stdin());
    if tty && interactive && !input_is_terminal {
        return Err(Failure::usage(
            "-i and -t together need a terminal as standard input, and this isn't one",
        ));
    }
    let terminal = tty || (input_is_terminal && isatty(rustix::stdio::stdout()));
    let size = tcgetwinsize(rustix::stdio::stdin())
        .ok()
        .map(|size| (size.ws_row, size.ws_col))
        .filter(|s| *s != (0, 0));
    let input = if terminal || interactive {
        Stream::Inherit
    } else {
        Stream::Null
    };
    Ok(Streams {
        terminal,
        size,
        io: Io { input, ..Io::default() },
    })
}
