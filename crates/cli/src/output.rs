//! What commands print. The macros have std's names and stand in their place: std's panic where nothing can be
//! written, as on a full disk.

use crate::error::{Failure, words};
use std::fmt::Arguments;
use std::io::Write;
use std::path::Path;

macro_rules! print {
    ($($text:tt)*) => { crate::output::to_stdout(format_args!($($text)*)) };
}

macro_rules! println {
    () => { crate::output::to_stdout(format_args!("\n")) };
    ($format:literal $($rest:tt)*) => { crate::output::to_stdout(format_args!("{}\n", format_args!($format $($rest)*))) };
}

macro_rules! eprint {
    ($($text:tt)*) => { crate::output::to_stderr(format_args!($($text)*)) };
}

macro_rules! eprintln {
    () => { crate::output::to_stderr(format_args!("\n")) };
    ($format:literal $($rest:tt)*) => { crate::output::to_stderr(format_args!("{}\n", format_args!($format $($rest)*))) };
}

/// Writes at once. An answer that doesn't arrive ends the command: whoever asked must not take it for a whole one.
pub(crate) fn to_stdout(text: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_fmt(text).and_then(|()| out.flush()) {
        eprintln!("wiac: {}", not_written(&error));
        std::process::exit(1);
    }
}

/// A message that can't be told is lost; the exit code stays.
pub(crate) fn to_stderr(text: Arguments<'_>) {
    let _ = std::io::stderr().lock().write_fmt(text);
}

/// Writes a small file that the user named; through symlinks, and into pipes and devices.
///
/// # Errors
/// Which one, and why.
pub(crate) fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|error| Failure::new(format!("can't write {}: {}", path.display(), words(&error))))
}

/// Why standard output doesn't take an answer.
pub(crate) fn not_written(error: &std::io::Error) -> String {
    format!("can't write to standard output: {}", crate::error::words(error))
}
