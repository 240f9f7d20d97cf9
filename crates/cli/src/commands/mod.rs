//! One file per command.

pub(crate) mod build;
pub(crate) mod bundle;
pub(crate) mod cache;
pub(crate) mod commit;
pub(crate) mod compressing;
pub(crate) mod copy;
pub(crate) mod debug;
pub(crate) mod df;
pub(crate) mod export;
pub(crate) mod history;
pub(crate) mod images;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod layers;
pub(crate) mod load;
pub(crate) mod login;
pub(crate) mod manifest;
pub(crate) mod prune;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod referrers;
pub(crate) mod rmi;
pub(crate) mod run;
pub(crate) mod save;
pub(crate) mod squash;
pub(crate) mod store;
pub(crate) mod table;
pub(crate) mod tag;
pub(crate) mod tags;
pub(crate) mod transfer;
pub(crate) mod untag;

use crate::error::Failure;
use crate::exit::ExitCode;
use clap::ValueEnum;
use std::path::Path;

/// What `--dry-run` prints instead of doing anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRun {
    /// The shell commands that do the same by hand.
    Shell,
}

/// The directories of layers, topmost first, as `wiac run` takes them.
pub(crate) fn chain<'p>(directories: impl Iterator<Item = &'p Path>) -> String {
    let escaped = directories.map(|path| path.to_string_lossy().replace('\\', "\\\\").replace(':', "\\:"));
    escaped.collect::<Vec<_>>().join(":")
}

/// The end of a command that did all it could: success, or each failure told.
pub(crate) fn all_or(failed: Vec<Failure>) -> Result<ExitCode, Failure> {
    let mut failed = failed.into_iter();
    let Some(mut last) = failed.next() else {
        return Ok(ExitCode::SUCCESS);
    };
    for failure in failed {
        let _ = std::mem::replace(&mut last, failure).report();
    }
    Err(last)
}
