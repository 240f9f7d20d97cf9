//! The `wiac` command: builds containers from programs, directories and Dockerfiles, and runs them.
//!
//! One file per command below [`commands`]: arguments, one call, output. This is the only crate that prints.

mod commands;
mod data;
mod dates;
mod docker_options;
mod error;
mod fetching;
mod filter;
mod format;
mod images;
mod located;
mod network;
mod overlay_hint;
mod progress;
mod pulling;
mod refetch;
mod registry;
mod shown;
mod terminal;
mod transfers;
mod volumes;

use clap::{Command, FromArgMatches};
use error::Failure;
use std::path::PathBuf;
use std::process::ExitCode;

/// What every command may be given.
#[derive(Debug, Default)]
pub(crate) struct Global {
    /// `--data`.
    pub(crate) data: Option<PathBuf>,
}

fn main() -> ExitCode {
    wiac_sys::signal::restore_defaults();
    match run(&std::env::args_os().collect::<Vec<_>>()) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

/// The commands: each one's arguments are described only when it is the one asked for, since describing all of them
/// costs more than starting a container.
fn application() -> Command {
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
        .subcommand(commands::define::<commands::bundle::Arguments>("bundle", "Put programs and all they need to start into a directory"))
        .subcommand(commands::define::<commands::copy::Arguments>("copy", "Copy files into a layer directory"))
        .subcommand(commands::define::<commands::build::Arguments>("build", "Build the Dockerfile of a directory"))
        .subcommand(commands::define::<commands::run::Arguments>("run", "Run a command on layers or on an image").disable_help_flag(true))
        .subcommand(commands::define::<commands::images::Arguments>("images", "List images"))
        .subcommand(commands::define::<commands::tag::Arguments>("tag", "Give an image further names"))
        .subcommand(commands::define::<commands::untag::Arguments>("untag", "Take names away; the images stay"))
        .subcommand(commands::define::<commands::rmi::Arguments>("rmi", "Take names away, and images with their last name"))
        .subcommand(commands::define::<commands::inspect::Arguments>("inspect", "Show everything about images"))
        .subcommand(commands::define::<commands::history::Arguments>("history", "Show what made an image"))
        .subcommand(commands::define::<commands::debug::Arguments>(
            "debug",
            "Open a shell where a build failed",
        ))
        .subcommand(commands::define::<commands::prune::Arguments>("prune", "Free what nobody needs"))
        .subcommand(commands::define::<commands::df::Arguments>("df", "Show what the space is used for"))
        .subcommand(commands::define::<commands::store::Arguments>("store", "Check the data directory, and mend it"))
        .subcommand(commands::define::<commands::layers::Arguments>("layers", "Show the layers of an image and their directories"))
        .subcommand(commands::define::<commands::import::Arguments>("import", "Make an image of a root filesystem"))
        .subcommand(commands::define::<commands::save::Arguments>("save", "Write images to an image layout or an archive"))
        .subcommand(commands::define::<commands::commit::Arguments>("commit", "Make an image of a container layer's changes"))
        .subcommand(commands::define::<commands::export::Arguments>("export", "Write a container's or an image's root as a tar"))
        .subcommand(commands::define::<commands::squash::Arguments>("squash", "Make one layer of an image's"))
        .subcommand(commands::define::<commands::pull::Arguments>("pull", "Fetch images from registries"))
        .subcommand(commands::define::<commands::push::Arguments>("push", "Send an image to a registry"))
        .subcommand(commands::define::<commands::login::Arguments>("login", "Store who you are to a registry"))
        .subcommand(commands::define::<commands::login::LogoutArguments>("logout", "Forget it again"))
        .subcommand(commands::define::<commands::tags::Arguments>("tags", "List a repository's tags"))
        .subcommand(commands::define::<commands::tags::SearchArguments>("search", "List a registry's repositories"))
        .subcommand(commands::define::<commands::manifest::Arguments>("manifest", "Show manifests of registries; put indexes together"))
        .subcommand(commands::define::<commands::referrers::Arguments>("referrers", "List what refers to an image in its registry"))
        .subcommand(commands::define::<commands::transfer::Arguments>("transfer", "Copy an image from any place to another"))
        .subcommand(commands::define::<commands::cache::Arguments>("cache", "Show, export and free what builds keep"))
        .subcommand(commands::define::<commands::load::Arguments>("load", "Take images from an image layout or an archive"))
}

fn run(arguments: &[std::ffi::OsString]) -> Result<ExitCode, Failure> {
    let matches = match application().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return Err(docker_options::explain(&error, arguments)),
    };
    let Some((name, matches)) = matches.subcommand() else {
        return Err(Failure::usage("no command given"));
    };
    let global = Global {
        data: matches.get_one::<PathBuf>("data").cloned(),
    };
    match name {
        "bundle" => commands::bundle::run(parsed(matches)?),
        "copy" => commands::copy::run(parsed(matches)?),
        "build" => commands::build::run(&global, &parsed(matches)?),
        "run" => commands::run::run(&global, parsed(matches)?),
        "import" => commands::import::run(&global, &parsed(matches)?),
        "save" => commands::save::run(&global, &parsed(matches)?),
        "commit" => commands::commit::run(&global, &parsed(matches)?),
        "export" => commands::export::run(&global, &parsed(matches)?),
        "squash" => commands::squash::run(&global, &parsed(matches)?),
        "pull" => commands::pull::run(&global, &parsed(matches)?),
        "push" => commands::push::run(&global, &parsed(matches)?),
        "login" => commands::login::run(&parsed(matches)?),
        "logout" => commands::login::logout(&parsed(matches)?),
        "tags" => commands::tags::run(&parsed(matches)?),
        "search" => commands::tags::search(&parsed(matches)?),
        "manifest" => commands::manifest::run(&global, &parsed(matches)?),
        "referrers" => commands::referrers::run(&parsed(matches)?),
        "transfer" => commands::transfer::run(&global, &parsed(matches)?),
        "cache" => commands::cache::run(&global, &parsed(matches)?),
        "load" => commands::load::run(&global, &parsed(matches)?),
        "tag" => commands::tag::run(&global, &parsed(matches)?),
        "untag" => commands::untag::run(&global, &parsed(matches)?),
        "rmi" => commands::rmi::run(&global, &parsed(matches)?),
        "inspect" => commands::inspect::run(&global, &parsed(matches)?),
        "history" => commands::history::run(&global, &parsed(matches)?),
        "debug" => commands::debug::run(&global, &parsed(matches)?),
        "prune" => commands::prune::run(&global, &parsed(matches)?),
        "df" => commands::df::run(&global, &parsed(matches)?),
        "store" => commands::store::run(&global, &parsed(matches)?),
        "layers" => commands::layers::run(&global, &parsed(matches)?),
        _ => commands::images::run(&global, &parsed(matches)?),
    }
}

fn parsed<A: FromArgMatches>(matches: &clap::ArgMatches) -> Result<A, Failure> {
    A::from_arg_matches(matches).map_err(|error| Failure::usage(error.to_string()))
}
