//! The project's own tasks: `cargo xtask test`, `lint`, `bench`, `conformance`, `order` and `dist`. One file or directory per task.

mod bench;
mod conformance;
mod dist;
mod lint;
#[cfg(target_arch = "x86_64")]
mod order;
mod shell;
mod test;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Every task ends with this: the message is all that is shown.
type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// The project's own tasks
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Prepare the machine (as root), build the release binary, check it, run all tests
    Test(test::Arguments),
    /// Formatting, clippy, and the project's own rules about its sources
    Lint,
    /// Put the release binary and its documents into an archive
    Dist,
    /// List the functions that a start calls, for the linker (crates/cli/startup.order)
    #[cfg(target_arch = "x86_64")]
    Order,
    /// Measure wiac against its peers
    Bench(bench::Arguments),
    /// Build the same Dockerfiles with wiac, docker and buildah, and compare
    Conformance(conformance::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Test(arguments) => test::run(&arguments),
        Task::Lint => lint::run(),
        Task::Dist => dist::run(),
        #[cfg(target_arch = "x86_64")]
        Task::Order => order::run(),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Conformance(arguments) => conformance::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
