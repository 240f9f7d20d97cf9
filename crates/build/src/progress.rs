//! What a build tells while it goes on.

use std::time::Duration;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// A step begins.
    Started {
        /// Which of how many.
        step: Step<'a>,
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
    /// Something the user should know.
    Warning(&'a str),
}

/// A step, as shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<'a> {
    /// Its number, from 1.
    pub number: usize,
    /// How many there are.
    pub count: usize,
    /// Its stage.
    pub stage: &'a str,
    /// The instruction as written.
    pub text: &'a str,
}

/// Who listens.
pub trait Progress {
    /// Takes an event.
    fn event(&mut self, event: Event<'_>);
}
