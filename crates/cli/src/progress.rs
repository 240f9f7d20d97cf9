//! A build's progress as plain lines on standard error.

use std::time::Duration;
use wiac_build::progress::{Event, Progress};

/// Prints a line per step, or nothing.
pub(crate) struct Lines {
    /// Say nothing but warnings.
    pub(crate) quiet: bool,
}

impl Progress for Lines {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Warning(text) => eprintln!("wiac: warning: {text}"),
            _ if self.quiet => {}
            Event::Started { step } => {
                let text = step.text.lines().next().unwrap_or_default();
                eprintln!("[{} {}/{}] {text}", step.stage, step.number, step.count);
            }
            Event::Done { cached: true, .. } => eprintln!("    unchanged"),
            Event::Done { took, .. } => eprintln!("    {}", duration(took)),
        }
    }
}

fn duration(took: Duration) -> String {
    match took.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.1} s"),
        seconds => format!("{:.1} ms", seconds * 1000.0),
    }
}
