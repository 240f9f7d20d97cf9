//! What follows the failure of a step that was kept.

use super::stopped::Stopped;
use crate::commands::debug;
use crate::data::Data;
use crate::error::Failure;
use rustix::termios::isatty;
use wiac_run::attach::Signals;

/// Opens a shell in the state of the step where that is asked for, and says how to come back to it.
pub(super) fn after(
    data: &Data,
    signals: &Signals,
    stopped: Stopped,
    kept: Option<&str>,
    wants_shell: bool,
) -> Stopped {
    let (Stopped::Failed(failure), Some(id)) = (&stopped, kept) else {
        return stopped;
    };
    let is_terminal = isatty(rustix::stdio::stdin()) && isatty(rustix::stdio::stdout());
    if wants_shell && is_terminal {
        eprintln!("wiac: {failure}");
        if let Err(error) = debug::open(data, signals, id, &[]) {
            eprintln!("wiac: {error}");
        }
        return Stopped::Failed(Failure::new("the build failed"));
    }
    Stopped::Failed(Failure::new(format!(
        "{failure}\nwiac debug opens a shell in the state that the step left ({id})"
    )))
}
