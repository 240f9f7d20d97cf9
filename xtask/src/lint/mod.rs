//! `cargo xtask lint`: formatting, clippy, and the project's own rules. All are checked before any failure ends it.

mod imports;
mod manifest;
mod sources;

use crate::{Outcome, shell};

/// A check: what it says goes to standard error, what doesn't hold is its error.
type Check = fn() -> Outcome;

/// Runs the task.
pub(crate) fn run() -> Outcome {
    let checks: [(&str, Check); 4] = [
        ("formatting", || {
            shell::run(&mut shell::cargo(&["fmt", "--all", "--check"]))
        }),
        ("clippy", clippy),
        ("sources", sources::check),
        ("imports", imports::check),
    ];
    let mut failed = Vec::new();
    for (name, check) in checks {
        if let Err(error) = check() {
            eprintln!("{error}");
            failed.push(name);
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("lint: {} failed", failed.join(", ")).into())
    }
}

fn clippy() -> Outcome {
    shell::run(&mut shell::cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--keep-going",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))
}
