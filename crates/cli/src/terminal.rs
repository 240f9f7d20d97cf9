//! Whether a container gets a terminal, and where its streams go.

use crate::error::Failure;
use rustix::fd::AsFd;
use rustix::process::getpgrp;
use rustix::termios::{isatty, tcgetpgrp};
use wiac_run::attach::window_size;
use wiac_run::io::{Io, Stream};

/// What `-i`, `-t` and the streams of this process come to.
pub(crate) struct Streams {
    /// The container gets a terminal.
    pub(crate) terminal: bool,
    /// Rows and columns, where known.
    pub(crate) size: Option<(u16, u16)>,
    /// Its streams; with a terminal they are not used.
    pub(crate) io: Io,
    /// What is typed, or comes on standard input, goes to its terminal.
    pub(crate) takes_input: bool,
}

/// On a terminal the container gets one too, unless a shell runs this process in the background (`wiac run … &`): the
/// kernel stops who changes the mode of a terminal from there. Otherwise it gets this process's output, and its input
/// where asked for: a container that isn't interactive doesn't eat what a loop around it reads.
///
/// `bare`: its input is this process's own, whatever that is.
pub(crate) fn streams(interactive: bool, tty: bool, bare: bool) -> Result<Streams, Failure> {
    let input_is_terminal = isatty(rustix::stdio::stdin());
    if tty && interactive && !input_is_terminal {
        return Err(Failure::usage(
            "-i and -t together need a terminal as standard input, and this isn't one",
        ));
    }
    let can_type = input_is_terminal && !is_in_background(rustix::stdio::stdin());
    let terminal = tty || (can_type && isatty(rustix::stdio::stdout()));
    let takes_input = interactive || (terminal && can_type);
    let input = match (takes_input, terminal || bare) {
        (false, _) => Stream::Null,
        (true, true) => Stream::Inherit,
        (true, false) => Stream::from(rustix::stdio::stdin()),
    };
    let output = |stream| if terminal { Stream::Inherit } else { Stream::to(stream) };
    Ok(Streams {
        terminal,
        size: window_size(),
        io: Io {
            input,
            output: output(rustix::stdio::stdout()),
            error: output(rustix::stdio::stderr()),
        },
        takes_input,
    })
}

/// Another process group has the terminal that this stream is. Where the terminal isn't this session's, nobody stops this
/// process for using it.
pub(crate) fn is_in_background(stream: impl AsFd) -> bool {
    tcgetpgrp(stream).is_ok_and(|foreground| foreground != getpgrp())
}
