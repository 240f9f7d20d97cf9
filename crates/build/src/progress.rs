//! What a build tells while it goes on.

use std::time::Duration;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// So many steps are known of by now.
    Planned {
        /// Of all stages.
        steps: usize,
    },
    /// A step begins.
    Started {
        /// Which.
        step: Step<'a>,
    },
    /// A step waits for something that others have or do.
    Waiting {
        /// Which, by its number.
        number: usize,
        /// "for …".
        reason: &'a str,
    },
    /// The command of a step says something.
    Output {
        /// Which, by its number.
        number: usize,
        /// Where it says it.
        stream: Stream,
        /// Not necessarily text, nor whole lines.
        bytes: &'a [u8],
    },
    /// A step ended well.
    Done {
        /// Which.
        step: Step<'a>,
        /// How long it took.
        took: Duration,
        /// Nothing had to be done: an earlier result was used.
        cached: bool,
    },
    /// A step ended otherwise.
    Failed {
        /// Which.
        step: Step<'a>,
        /// How long it took.
        took: Duration,
        /// Why; `None` where it was ended since the caller got a signal or another stage failed.
        reason: Option<&'a str>,
    },
    /// Something the user should know.
    Warning(&'a str),
}

/// Where a command says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output; standard error too where the two weren't to be told apart.
    Output,
    /// Standard error.
    Error,
}

/// A step, as shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<'a> {
    /// Its number in the build, from 1, in the order of the Dockerfile; steps that it doesn't have come last.
    pub number: usize,
    /// Its number in the stage, from 1.
    pub position: usize,
    /// How many the stage has.
    pub count: usize,
    /// Its stage.
    pub stage: &'a str,
    /// The instruction as written.
    pub text: &'a str,
}

/// Who listens. Stages that are built at the same time tell in turn.
pub trait Progress {
    /// Takes an event.
    fn event(&mut self, event: Event<'_>);
}
