//! A build's progress on standard error: `--progress`.

mod plain;
mod rawjson;
mod rows;
mod terminal;
mod text;

use crate::error::Failure;
use crate::terminal::is_in_background;
use crate::transfers;
use plain::Plain;
use rawjson::RawJson;
use std::sync::Arc;
use std::time::Duration;
use terminal::Terminal;
use wiac_build::progress::{Event, Progress};

/// The variable that docker takes the style from where `--progress` isn't given.
const VARIABLE: &str = "BUILDKIT_PROGRESS";

/// A way to show progress, and how far transfers are meanwhile. What is shown is complete once it is dropped.
pub(crate) trait View: Progress + Send {
    /// Whether the last of what a failed step said is still to be seen, at the end of what was shown.
    fn has_shown_failure(&self) -> bool;
}

/// What `--progress` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// The terminal's where standard error is one, plain lines elsewhere.
    Auto,
    /// Lines.
    Plain,
    /// What runs now, and what it says.
    Terminal,
    /// Nothing.
    Quiet,
    /// An object per line, as docker's.
    RawJson,
}

impl std::str::FromStr for Style {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "plain" => Ok(Self::Plain),
            "tty" => Ok(Self::Terminal),
            "quiet" => Ok(Self::Quiet),
            "rawjson" => Ok(Self::RawJson),
            _ => Err("the styles are auto, plain, tty, quiet and rawjson".to_owned()),
        }
    }
}

impl Style {
    /// The style that is meant: the one given, or the environment's, and what `auto` comes to.
    ///
    /// # Errors
    /// The environment names none, or a terminal is asked for and isn't there.
    pub(crate) fn choose(given: Option<Self>) -> Result<Self, Failure> {
        let named = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
        let style = match (given, named) {
            (Some(style), _) => style,
            (None, Some(text)) => text
                .parse()
                .map_err(|error| Failure::usage(format!("{VARIABLE}={text}: {error}")))?,
            (None, None) => Self::Auto,
        };
        match style {
            // From the background it would be drawn over what is typed.
            Self::Auto if terminal::is_here() && !is_in_background(std::io::stderr()) => Ok(Self::Terminal),
            Self::Auto => Ok(Self::Plain),
            Self::Terminal if !terminal::is_here() => Err(Failure::usage(
                "--progress=tty needs a terminal as standard error, and this isn't one; plain needs none",
            )),
            style => Ok(style),
        }
    }

    /// A view of this style.
    pub(crate) fn view(self) -> Box<dyn View> {
        // A line that changes would get between those of the steps.
        let is_silent = self != Self::Plain || terminal::is_here();
        let nobody: transfers::Note = Arc::new(|_| {});
        transfers::take_terminal(is_silent.then_some(nobody));
        match self {
            Self::Auto | Self::Plain => Box::new(Plain::default()),
            Self::Terminal => Box::new(Terminal::new()),
            Self::Quiet => Box::new(Quiet),
            Self::RawJson => Box::new(RawJson::default()),
        }
    }
}

/// Nothing but warnings.
struct Quiet;

impl Progress for Quiet {
    fn event(&mut self, event: Event<'_>) {
        if let Event::Warning(text) = event {
            write(&format!("{}\n", warning(text)));
        }
    }
}

impl View for Quiet {
    fn has_shown_failure(&self) -> bool {
        false
    }
}

/// A warning's line.
fn warning(message: &str) -> String {
    format!("wiac: warning: {}", text::clean(message.as_bytes(), false))
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
