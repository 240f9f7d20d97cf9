//! `wiac copy` as the shell commands that do the same by hand.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// A command, and what it's for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellStep {
    /// One line, without "#".
    pub comment: String,
    /// The command.
    pub command: String,
}

/// Placeholder.
pub fn plan_in_shell() -> Vec<ShellStep> {
    Vec::new()
}

/// A word that a POSIX shell reads as exactly `text`: bare where nothing in it means anything to a shell, else quoted.
pub fn shell_quote(text: &OsStr) -> String {
    let _ = text.as_bytes();
    String::new()
}
