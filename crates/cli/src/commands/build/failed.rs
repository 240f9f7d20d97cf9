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
    let ids = few_ids(data);
    Stopped::Failed(Failure::new(format!(
        "{failure}{ids}\nwiac debug opens a shell in the state that the step left ({id})"
    )))
}

/// What a step can't do for a user with a single id, which its own messages (`Invalid argument`) don't tell.
fn few_ids(data: &Data) -> String {
    let single = data.user_namespace.as_ref().filter(|namespace| namespace.is_single());
    single.map_or_else(String::new, |namespace| {
        format!(
            "\nif it failed to change owners or users (chown, su, apt): the user namespace {}; {}",
            namespace.describe(),
            namespace.remedy()
        )
    })
}
