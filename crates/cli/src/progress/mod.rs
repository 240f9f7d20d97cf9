//! A build's progress on standard error.

mod plain;
mod text;

use plain::Plain;
use std::time::Duration;
use wiac_build::progress::{Event, Progress};

/// A way to show progress. What is shown is complete once it is dropped.
pub(crate) trait View: Progress + Send {
    /// Whether the last of what a failed step said is still to be seen, at the end of what was shown.
    fn has_shown_failure(&self) -> bool;
}

/// The view of this style.
pub(crate) fn view(is_quiet: bool) -> Box<dyn View> {
    if is_quiet {
        Box::new(Quiet)
    } else {
        Box::new(Plain::default())
    }
}

/// Nothing but warnings.
struct Quiet;

impl Progress for Quiet {
    fn event(&mut self, event: Event<'_>) {
        if let Event::Warning(text) = event {
            warn(text);
        }
    }
}

impl View for Quiet {
    fn has_shown_failure(&self) -> bool {
        false
    }
}

/// Shows a warning.
fn warn(message: &str) {
    write(&format!("wiac: warning: {}\n", text::clean(message.as_bytes(), false)));
}

/// Writes at once, so that lines of several processes on one terminal don't mix. Nobody may be listening any more.
fn write(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// As much of what a failed step said as a message has room for.
pub(crate) fn last_lines(said: &str) -> String {
    /// Most of a screen.
    const COUNT: usize = 20;
    let mut lines = text::Lines::default();
    let mut all = lines.push(said.as_bytes(), false);
    all.extend(lines.rest(false));
    all[all.len().saturating_sub(COUNT)..].join("\n")
}

/// How long something took, for people.
fn duration(took: Duration) -> String {
    match took.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.1} s"),
        seconds => format!("{:.1} ms", seconds * 1000.0),
    }
}
