//! What may be written after `wiac run`.
//!
//! In groups, since clap describes each struct in one function: that of all options together would need so much stack
//! that touching it shows in the start of a container.

use super::super::DryRun;
use crate::network;
use crate::pulling::Pulling;
use clap::Args;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use wiac_build::container::Network;

// Clap makes the help of the comments below. As in docker, the last of several counts, and a switch may be given a value.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) what: What,
    #[command(flatten)]
    pub(super) process: ProcessOptions,
    #[command(flatten)]
    pub(super) container: ContainerOptions,
    #[command(flatten)]
    pub(super) pulling: Pulling,
    /// Print the commands that do the same by hand, and do nothing
    #[arg(long, value_name = "AS")]
    pub(super) dry_run: Option<DryRun>,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

impl Arguments {
    /// What clap makes of words without options before them. `None` where it has to look itself.
    pub(crate) fn of_words(words: &[OsString]) -> Option<Self> {
        if words.first()?.as_bytes().starts_with(b"-") {
            return None;
        }
        Some(Self {
            what: What {
                words: words.to_vec(),
                ..What::default()
            },
            process: ProcessOptions {
                sig_proxy: true,
                ..ProcessOptions::default()
            },
            container: ContainerOptions::default(),
            pulling: Pulling::default(),
            dry_run: None,
            help: None,
        })
    }
}

// What is run, and on what.
#[derive(Debug, Default, Args)]
pub(super) struct What {
    /// LOWER[:LOWER…] CONTAINERLAYER COMMAND…, or IMAGE [COMMAND…], where IMAGE may be bundle://PROGRAM,…
    #[arg(trailing_var_arg = true, value_name = "WHAT")]
    pub(super) words: Vec<OsString>,
    /// The first word is a chain of directories, whatever it begins with
    #[arg(long, value_name = "LOWER[:LOWER…]")]
    pub(super) lower: Option<OsString>,
    /// Build the Dockerfile of DIR and run that
    #[arg(long, value_name = "DIR", conflicts_with = "lower")]
    pub(super) build: Option<PathBuf>,
}

// The command in the container, and its streams.
#[derive(Debug, Default, Args)]
pub(super) struct ProcessOptions {
    /// Set a variable; without a value it is taken from the environment
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub(super) env: Vec<String>,
    /// Start in this directory
    #[arg(short, long, value_name = "DIR")]
    pub(super) workdir: Option<String>,
    /// Run as this user
    #[arg(short, long, value_name = "USER[:GROUP]", allow_negative_numbers = true)]
    pub(super) user: Option<String>,
    /// Start this program instead of the image's
    #[arg(long, value_name = "PROGRAM")]
    pub(super) entrypoint: Option<String>,
    /// Pass standard input on
    #[arg(short, long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value_t = false, hide_default_value = true, action = clap::ArgAction::Set)]
    pub(super) interactive: bool,
    /// Give the container a terminal (on a terminal it has one anyway)
    #[arg(short, long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value_t = false, hide_default_value = true, action = clap::ArgAction::Set)]
    pub(super) tty: bool,
    /// Pass signals on to the command; without it they end the container
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value_t = true, hide_default_value = true, action = clap::ArgAction::Set)]
    pub(super) sig_proxy: bool,
}

// The container around it.
#[derive(Debug, Default, Args)]
pub(super) struct ContainerOptions {
    /// Show a directory or file of the host in the container
    #[arg(short, long, value_name = "HOST:CONTAINER[:OPTIONS]")]
    pub(super) volume: Vec<OsString>,
    /// Delete the container when it ends (an image's container always is)
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value_t = false, hide_default_value = true, action = clap::ArgAction::Set)]
    pub(super) rm: bool,
    /// Name the container
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// The host name in the container
    #[arg(short = 'h', long, value_name = "NAME")]
    pub(super) hostname: Option<String>,
    /// Let nothing be written to the root
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value_t = false, hide_default_value = true, action = clap::ArgAction::Set)]
    pub(super) read_only: bool,
    /// The network: host or none
    #[arg(long, visible_alias = "net", value_name = "NETWORK", default_value = "host", value_parser = network::parse)]
    pub(super) network: Network,
}
