//! The `wiac` command: builds containers from programs, directories and Dockerfiles, and runs them.
//!
//! One file per command below [`commands`]: arguments, one call, output. This is the only crate that prints.

// In unit tests the test harness has the start.
#![cfg_attr(not(test), no_main)]

#[macro_use]
mod output;

mod artifacts;
mod commands;
mod data;
mod dates;
mod docker_options;
mod ending;
mod environment;
mod error;
mod exit;
mod fetching;
mod filter;
mod format;
mod images;
mod kernel;
mod located;
mod network;
mod place;
mod progress;
mod pulling;
mod refetch;
mod registry;
mod shown;
mod start_hint;
mod terminal;
mod transfers;
mod volumes;

use clap::Command;
use commands::table::{COMMANDS, Entry, run_plain};
use error::Failure;
use exit::ExitCode;
use std::ffi::OsString;
use std::path::PathBuf;

/// What every command may be given.
#[derive(Debug, Default)]
pub(crate) struct Global {
    /// `--data`.
    pub(crate) data: Option<PathBuf>,
}

#[cfg(not(test))]
wiac_sys::entry!(main);

fn main() -> u8 {
    wiac_sys::signal::restore_defaults();
    let code = run(&std::env::args_os().collect::<Vec<_>>()).unwrap_or_else(Failure::report);
    code.into()
}

/// The command line: of the commands only the one that is named first, if one is, since describing all of them costs
/// a good part of what the start of a container does. Whatever else stands first (an option, `help`, a word that
/// is no command) is looked at with all of them.
fn application(named: Option<&Entry>) -> Command {
    Command::new("wiac")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Builds containers from programs, directories and Dockerfiles, and runs them; no daemon")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(
            clap::Arg::new("data")
                .long("data")
                .global(true)
                .value_name("DIR")
                .value_parser(clap::value_parser!(PathBuf))
                .help("Keep layers and images in DIR (or $WIAC_DATA; default /var/lib/wiac, without root ~/.local/share/wiac)"),
        )
        .subcommands(named.map_or(COMMANDS.as_slice(), std::slice::from_ref).iter().map(Entry::command))
}

fn run(arguments: &[OsString]) -> Result<ExitCode, Failure> {
    if let [_, name, words @ ..] = arguments
        && let Some(result) = run_plain(name, words)
    {
        return result;
    }
    let named = arguments
        .get(1)
        .and_then(|word| COMMANDS.iter().find(|entry| word == entry.name));
    let matches = match application(named).try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return Err(docker_options::explain(&error, arguments)),
    };
    let (name, matches) = matches.subcommand().ok_or_else(|| Failure::usage("no command given"))?;
    let entry = COMMANDS.iter().find(|entry| entry.name == name);
    let entry = entry.ok_or_else(|| Failure::usage(format!("no command {name}")))?;
    let global = Global {
        data: matches.get_one::<PathBuf>("data").cloned(),
    };
    (entry.run)(&global, matches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches;
    use commands::{build, bundle, run};
    use std::fmt::Debug;

    /// What clap makes of these words, as it is shown; `None` where it refuses them.
    fn by_clap<A: FromArgMatches + Debug>(name: &str, words: &[OsString]) -> Option<String> {
        let entry = COMMANDS.iter().find(|entry| entry.name == name);
        let line = [OsString::from("wiac"), name.into()]
            .into_iter()
            .chain(words.iter().cloned());
        let matches = application(entry).try_get_matches_from(line).ok()?;
        let (_, matches) = matches.subcommand().expect("the command");
        Some(format!("{:?}", A::from_arg_matches(matches).expect("its arguments")))
    }

    /// Lines of up to three of the words that could be taken in more than one way.
    fn lines() -> Vec<Vec<OsString>> {
        let words = [
            "", "a", "--", "-", "--list", "--help", "-h", "--data", "-it", "--rm", "help", "./l:/m", "-e=1", "-q",
            "-t", "A:b",
        ];
        let mut lines = vec![Vec::new()];
        for _ in 0..3 {
            let longer = lines.iter().flat_map(|line: &Vec<OsString>| {
                words.map(|word| line.iter().cloned().chain([word.into()]).collect::<Vec<_>>())
            });
            lines = std::iter::once(Vec::new()).chain(longer).collect();
        }
        lines
    }

    /// Compares for all lines that the shorter way takes.
    fn compare<A: FromArgMatches + Debug>(name: &str, of_words: fn(&[OsString]) -> Option<A>) {
        let mut compared = 0;
        for line in lines() {
            if let Some(found) = of_words(&line) {
                assert_eq!(Some(format!("{found:?}")), by_clap::<A>(name, &line), "{line:?}");
                compared += 1;
            }
        }
        assert!(compared >= 50, "{name}: {compared}");
    }

    #[test]
    fn words_alone_are_what_clap_makes_of_them() {
        compare("build", build::Arguments::of_words);
        compare("bundle", bundle::Arguments::of_words);
        compare("run", run::Arguments::of_words);
    }
}
