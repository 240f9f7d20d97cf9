//! Progress as plain lines: each begins with the number of its step, so that steps that run at the same time can be told
//! apart.

use super::text::{self, Lines};
use super::{View, duration, warning, write};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use wiac_build::progress::{Event, Progress};

/// Plain lines.
#[derive(Default)]
pub(super) struct Plain {
    /// What each running step has said of a line that isn't whole yet.
    open: BTreeMap<usize, Lines>,
    /// Whose output was shown last.
    last: Option<usize>,
    /// Which step failed.
    failed: Option<usize>,
}

impl Plain {
    fn say(&mut self, number: usize, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        let mut block = String::new();
        for line in lines {
            let _ = writeln!(block, "#{number} {line}");
        }
        self.last = Some(number);
        write(&block);
    }

    /// Shows what is left of a step's last line.
    fn close(&mut self, number: usize) {
        let rest = self.open.remove(&number).and_then(|mut lines| lines.rest(true));
        self.say(number, rest.as_slice());
    }
}

impl Progress for Plain {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Planned { .. } => {}
            Event::Warning(message) => write(&format!("{}\n", warning(message))),
            Event::Started { step } => write(&format!(
                "#{} [{} {}/{}] {}\n",
                step.number,
                step.stage,
                step.position,
                step.count,
                text::first_line(step.text)
            )),
            Event::Waiting { number, reason } => write(&format!("#{number} waiting {reason}\n")),
            Event::Output { number, bytes, .. } => {
                let lines = self.open.entry(number).or_default().push(bytes, true);
                self.say(number, &lines);
            }
            Event::Done { step, cached: true, .. } => write(&format!("#{} unchanged\n", step.number)),
            Event::Done { step, took, .. } => {
                self.close(step.number);
                write(&format!("#{} {}\n", step.number, duration(took)));
            }
            Event::Failed { step, took, reason } => {
                self.close(step.number);
                let how = match reason {
                    Some(reason) => {
                        self.failed.get_or_insert(step.number);
                        format!("failed after {}: {}", duration(took), text::first_line(reason))
                    }
                    None => "ended".to_owned(),
                };
                write(&format!("#{} {how}\n", step.number));
            }
        }
    }
}

impl View for Plain {
    fn has_shown_failure(&self) -> bool {
        self.failed == self.last
    }
}
