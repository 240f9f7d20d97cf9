//! Signals to commands that catch them: a request to end also ends transfers that wait for a server.
//!
//! Where signals aren't caught (`pull`, `push`) they end the command at once, and nothing has to be done.

use std::sync::{Arc, OnceLock};
use std::time::Duration;
use wiac_registry::{Ender, Ending};
use wiac_run::Error;
use wiac_run::attach::{Signals, Watch};

/// How long a request that somebody else has read may go unseen.
const GLANCE: Duration = Duration::from_millis(100);

/// This process's signals, once they are caught.
static CAUGHT: OnceLock<Signals> = OnceLock::new();

/// Catches the signals of this process, for transfers too.
///
/// # Errors
/// When the kernel has no descriptor left.
pub(crate) fn catch() -> Result<Signals, Error> {
    let signals = Signals::catch()?;
    // A command catches them once.
    let _ = CAUGHT.set(signals.share()?);
    Ok(signals)
}

/// For a client's settings: its transfers end with a request to this process to end. Costs nothing before the first one.
pub(crate) fn of_transfers() -> Ending {
    Ending::watched(Arc::new(|ender| {
        // Without a descriptor or a thread for it a transfer goes on until its server or our patience ends it.
        if let Some(Ok(watch)) = CAUGHT.get().map(Signals::watch) {
            let _ = std::thread::Builder::new().spawn(move || await_request(&watch, &ender));
        }
    }))
}

fn await_request(watch: &Watch, ender: &Ender) {
    while ender.is_needed() {
        if watch.is_asked(GLANCE) {
            return ender.end();
        }
    }
}
