//! What may be written after `wiac build`.

use super::super::DryRun;
use super::calls::Call;
use super::values;
use crate::progress::Style;
use crate::pulling::Policy;
use clap::Args;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use wiac_build::container::Network;
use wiac_oci::manifest::Platform;
use wiac_oci::reference::Reference;

/// What is done where a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum OnError {
    /// A shell in its state.
    Shell,
}

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Clone, Default, Args)]
#[command(args_override_self = true)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Arguments {
    /// The build context: a directory, - for a tar or a Dockerfile on standard input, the URL of a tar, a git repository
    #[arg(value_name = "PATH|URL|-", default_value = ".")]
    pub(super) path: OsString,
    /// The Dockerfile, here or in PATH (default PATH/Dockerfile); - reads it from standard input, a URL is fetched
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Build this stage
    #[arg(long, value_name = "STAGE")]
    pub(super) target: Option<String>,
    /// Set a build argument; without a value it is taken from the environment
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(super) build_arg: Vec<String>,
    /// Run every step again
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value_t = false, hide_default_value = true, action = clap::ArgAction::Set)]
    pub(super) no_cache: bool,
    /// Name the image
    #[arg(short, long, value_name = "NAME", value_parser = crate::place::new_name)]
    pub(super) tag: Vec<Reference>,
    /// The network of RUN: host or none
    #[arg(long, value_name = "NETWORK", default_value = "host", value_parser = crate::network::parse)]
    pub(super) network: Network,
    /// Say nothing, and print the image's id alone; for several platforms the index's digest
    #[arg(short, long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value_t = false, hide_default_value = true, action = clap::ArgAction::Set)]
    pub(super) quiet: bool,
    /// Run every step of this stage again
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub(super) no_cache_filter: Vec<String>,
    /// Show a secret to RUN: id=ID,src=FILE or id=ID,env=VARIABLE
    #[arg(long, value_name = "SECRET")]
    pub(super) secret: Vec<String>,
    /// Show an SSH agent to RUN: default, or ID=SOCKET
    #[arg(long, value_name = "AGENT")]
    pub(super) ssh: Vec<String>,
    /// Grant what a step may ask for: network.host, security.insecure
    #[arg(long, value_name = "ENTITLEMENT", value_delimiter = ',')]
    pub(super) allow: Vec<String>,
    /// A further build context: NAME=DIRECTORY, or an image (containers-storage:…, oci-layout://…)
    #[arg(long, value_name = "NAME=CONTEXT")]
    pub(super) build_context: Vec<String>,
    /// A further line of /etc/hosts
    #[arg(long, value_name = "NAME:ADDRESS")]
    pub(super) add_host: Vec<String>,
    /// The size of /dev/shm, such as 64m
    #[arg(long, value_name = "BYTES", value_parser = values::size)]
    pub(super) shm_size: Option<u64>,
    /// A resource limit: NAME=SOFT[:HARD]
    #[arg(long, value_name = "LIMIT")]
    pub(super) ulimit: Vec<String>,
    /// A label of the image
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) label: Vec<String>,
    /// Use a build cache of another machine: type=local,src=DIR, type=registry,ref=NAME, or NAME
    #[arg(long, value_name = "CACHE")]
    pub(super) cache_from: Vec<String>,
    /// Write a build cache: type=local,dest=DIR, type=registry,ref=NAME, type=inline; mode=max for every stage
    #[arg(long, value_name = "CACHE")]
    pub(super) cache_to: Vec<String>,
    /// Write the result elsewhere: a directory, - for a tar, or type=local|tar|oci|docker|image|registry|cacheonly,dest=FILE
    #[arg(short, long, value_name = "OUTPUT")]
    pub(super) output: Vec<String>,
    /// Write the image's id, as other tools know it, to this file; for several platforms the index's digest
    #[arg(long, value_name = "FILE")]
    pub(super) iidfile: Option<PathBuf>,
    /// Write what was built to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) metadata_file: Option<PathBuf>,
    /// Don't build: say what can be asked of the Dockerfile
    #[arg(long, value_name = "CALL", value_enum)]
    pub(super) call: Option<Call>,
    /// Short for --call=check
    #[arg(long)]
    pub(super) check: bool,
    /// Fix every time: SOURCE_DATE_EPOCH, or 1970
    #[arg(long)]
    pub(super) reproducible: bool,
    /// The platform to build for; several, with commas between, give an index
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    pub(super) platform: Vec<Platform>,
    /// An annotation: [KIND[[PLATFORM]],…:]NAME=VALUE; kinds: manifest, manifest-descriptor, index, index-descriptor
    #[arg(long, value_name = "ANNOTATION")]
    pub(super) annotation: Vec<String>,
    /// How progress is shown: auto, plain, tty, quiet or rawjson (default: BUILDKIT_PROGRESS, or auto)
    #[arg(long, value_name = "STYLE")]
    pub(super) progress: Option<Style>,
    /// Keep the image in the store, as is done anyway
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value_t = false, hide_default_value = true, action = clap::ArgAction::Set)]
    pub(super) load: bool,
    /// What docker and podman leave behind or pack before a build isn't there in any case
    #[arg(long, alias = "force-rm", alias = "compress", value_name = "true|false", num_args = 0..=1,
        require_equals = true, default_missing_value = "true", hide = true)]
    pub(super) rm: Option<bool>,
    /// false, as docker has it: nothing is attested in any case
    #[arg(long, value_name = "false", value_parser = values::nothing_attested, hide = true)]
    pub(super) provenance: Option<bool>,
    /// The same
    #[arg(long, value_name = "false", value_parser = values::nothing_attested, hide = true)]
    pub(super) sbom: Option<bool>,
    /// Push the image under each of its names
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value_t = false, hide_default_value = true, action = clap::ArgAction::Set)]
    pub(super) push: bool,
    /// Build nothing: print what would be done, as a script
    #[arg(long, value_name = "AS")]
    pub(super) dry_run: Option<DryRun>,
    /// Where a step fails: shell opens a shell in its state, on a terminal
    #[arg(long, value_name = "DO", value_enum)]
    pub(super) on_error: Option<OnError>,
    /// Tell of each step why it was carried out or not
    #[arg(long)]
    pub(super) explain: bool,
    /// Build again without the cache, and show which files differ
    #[arg(long)]
    pub(super) verify: bool,
    /// Pull base images even where they are here; or always, missing, never, newer
    #[arg(
        long,
        value_name = "WHEN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = Policy::of_build
    )]
    pub(super) pull: Option<Policy>,
}

impl Arguments {
    /// What clap makes of a path, `-q` and `-t NAME`. `None` where it has to look itself.
    pub(crate) fn of_words(words: &[OsString]) -> Option<Self> {
        let mut arguments = Self::default();
        let mut path = None;
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_bytes() {
                b"-q" => arguments.quiet = true,
                b"-t" => arguments
                    .tag
                    .push(crate::place::new_name(words.next()?.to_str()?).ok()?),
                bytes if bytes.starts_with(b"-") || path.is_some() => return None,
                _ => path = Some(word.clone()),
            }
        }
        arguments.path = path?;
        Some(arguments)
    }
}
