//! `cargo xtask test`: a machine fit for the tests, the release binary and what must hold for it, all tests.

pub(crate) mod binary;
mod failures;
pub(crate) mod machine;
mod users;

use crate::{Outcome, shell};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where the tests find the release binary: ordinary users must reach it, whatever the modes of the checkout.
const INSTALLED: &str = "/var/tmp/wiac-test/wiac";

/// The arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Leave the machine as it is: no packages, no users
    #[arg(long)]
    no_setup: bool,
    /// Passed on to `cargo test`, such as the name of a test
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Runs the task.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    if !arguments.no_setup {
        machine::prepare()?;
    }
    let built = shell::build_release(&[])?;
    binary::check(&built)?;
    binary::check_order(&built)?;
    let installed = install(&built)?;
    failures::run(
        shell::cargo(&["test", "--workspace", "--no-fail-fast"])
            .args(&arguments.rest)
            .env("WIAC_BIN", installed)
            // A test that can't run here fails instead of passing unseen.
            .env("CI", "true"),
    )
}

fn install(built: &Path) -> Outcome<PathBuf> {
    let installed = PathBuf::from(INSTALLED);
    let directory = installed.parent().ok_or("no directory")?;
    std::fs::create_dir_all(directory)?;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755))?;
    // A new file: the old one may be running.
    let fresh = directory.join(format!("wiac.{}", std::process::id()));
    std::fs::copy(built, &fresh)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o755))?;
    std::fs::rename(&fresh, &installed)?;
    Ok(installed)
}
