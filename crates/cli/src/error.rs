//! Failures as the user sees them: one message, a hint where there is one, an exit code. Reported once, at the top.

use crate::exit::ExitCode;
use std::fmt::Display;
pub(crate) use wiac_sys::error::words;

/// The exit code of a command line that can't be understood, and of everything that fails before a container runs.
pub(crate) const CONTAINER_NOT_RUN: u8 = 125;

/// Why a command ends without success.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
    /// Already formatted, by clap: printed as it is.
    verbatim: bool,
    /// For standard output: help and version are no failures.
    is_answer: bool,
}

impl Failure {
    /// Anything that fails, with exit code 1.
    pub(crate) fn new(message: impl Display) -> Self {
        Self {
            message: message.to_string(),
            code: 1,
            verbatim: false,
            is_answer: false,
        }
    }

    /// A command line that can't be understood.
    pub(crate) fn usage(message: impl Display) -> Self {
        Self {
            code: CONTAINER_NOT_RUN,
            ..Self::new(message)
        }
    }

    /// What clap has to say: an error, or the help that was asked for.
    pub(crate) fn from_clap(error: &clap::Error) -> Self {
        let is_answer = !error.use_stderr();
        let code = if is_answer { 0 } else { CONTAINER_NOT_RUN };
        Self {
            message: error.render().to_string(),
            code,
            verbatim: true,
            is_answer,
        }
    }

    /// The same failure with another exit code.
    pub(crate) fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// Prints the message.
    pub(crate) fn report(self) -> ExitCode {
        if self.is_answer {
            print!("{}", self.message);
        } else if self.verbatim {
            eprint!("{}", self.message);
        } else {
            eprintln!("wiac: {}", harmless(self.message.trim_end()));
            if let Some(hint) = crate::kernel::hint(&self.message) {
                eprintln!("{hint}");
            }
        }
        ExitCode::from(self.code)
    }
}

/// Names that strangers chose stand in messages: what would control the terminal is written as its number.
fn harmless(message: &str) -> String {
    let is_dangerous = |c: &char| c.is_control() && !matches!(c, '\n' | '\t');
    let mut harmless = String::with_capacity(message.len());
    for character in message.chars() {
        if is_dangerous(&character) {
            harmless.extend(character.escape_unicode());
        } else {
            harmless.push(character);
        }
    }
    harmless
}

/// The message alone. (No `Error`: everything that is one becomes a failure.)
impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.message.trim_end())
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}

/// A container's exit code as this process's own.
pub(crate) fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code & 0xff).unwrap_or(CONTAINER_NOT_RUN))
}
