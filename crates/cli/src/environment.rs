//! What a command is given beside its arguments: variables and the current directory.

use crate::error::{Failure, words};
use std::env::VarError;
use std::path::{Path, PathBuf};

/// A variable's value, which goes into a configuration: that holds text alone.
pub(crate) fn value(name: &str) -> Result<Option<String>, Failure> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(Failure::usage(format!(
            "the variable {name} of the environment isn't text in UTF-8, which a configuration needs"
        ))),
    }
}

/// The path from the root, without following anything.
pub(crate) fn absolute(path: impl AsRef<Path>) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| {
        Failure::usage(format!(
            "the current directory can't be found: {}; change to another one",
            words(&error)
        ))
    })
}
