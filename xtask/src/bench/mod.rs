//! `cargo xtask bench start|bundle|steps|build|load|save|commit|pull|push`: wiac against its peers, side by side on one machine.
//!
//! Peers are the newest that Debian has: a root of Debian trixie is made once, and everything, wiac included, is
//! measured inside it. Data is on tmpfs unless `--disk` is given, so that tools are compared rather than disks. Each
//! round runs every contender once, in turn, so that what else the machine does hits all alike.

mod build;
mod build_contexts;
mod bundle;
mod commit;
mod corpus;
pub(crate) mod daemon;
mod load;
mod measure;
mod memory;
pub(crate) mod newest;
mod oci_bundle;
mod peers;
pub(crate) mod place;
mod pull;
mod push;
mod registry;
mod report;
mod save;
mod start;
mod steps;

use crate::{Outcome, shell};
use place::Place;
use std::path::PathBuf;

/// The arguments.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// What to measure
    what: What,
    /// How many rounds are counted
    #[arg(long, default_value_t = 15)]
    runs: usize,
    /// Only these peers (default: all; one that is missing is an error)
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    only: Vec<String>,
    /// Only these cases of `build`, `pull` or `push`, by their letters
    #[arg(long = "case", value_name = "LETTER", value_delimiter = ',')]
    cases: Vec<char>,
    /// Keep data on disk (/var/tmp) instead of on tmpfs (/dev/shm)
    #[arg(long)]
    disk: bool,
    /// Write the figures to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Take the peers of this machine instead of the newest Debian's
    #[arg(long)]
    host: bool,
    /// What the task itself adds when it starts again inside the root of the newest Debian
    #[arg(long, hide = true)]
    inside: Option<PathBuf>,
}

/// A benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Starting a container
    Start,
    /// Finding and copying what programs need
    Bundle,
    /// Building a Dockerfile of small steps
    Steps,
    /// Building Dockerfiles of every size
    Build,
    /// Loading an image of 1 GB
    Load,
    /// Saving it
    Save,
    /// Committing 1 GB of changes
    Commit,
    /// Pulling an image of 1 GB
    Pull,
    /// Pushing one
    Push,
}

/// Runs the task.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    if let Some(directory) = &arguments.inside {
        return inside(arguments, &Place::existing(directory));
    }
    if !rustix::process::geteuid().is_root() {
        return Err("the peers need root (sudo cargo xtask bench …)".into());
    }
    let place = Place::new(arguments.disk)?;
    let wiac = shell::build_release(&[])?;
    shell::run(&mut shell::cargo(&[
        "build",
        "--release",
        "--package",
        "wiac-sys",
        "--example",
        "floor",
    ]))?;
    place.install(&wiac, "wiac")?;
    place.install(&shell::release_directory()?.join("examples/floor"), "floor")?;
    place.compile("true", "int main(void) { return 0; }")?;
    place.compile("pause", "#include <unistd.h>\nint main(void) { for (;;) pause(); }")?;
    if arguments.what == What::Build {
        build::prepare(arguments, &place)?;
    }
    if !matches!(arguments.what, What::Start | What::Bundle | What::Steps | What::Build) {
        match arguments.what {
            What::Pull => pull::prepare(arguments, &place)?,
            What::Push => push::prepare(&place)?,
            _ => load::prepare(&place)?,
        }
        shell::run(&mut shell::cargo(&[
            "build",
            "--release",
            "--package",
            "wiac-layer",
            "--example",
            "layer-floor",
        ]))?;
        place.install(&shell::release_directory()?.join("examples/layer-floor"), "layer-floor")?;
    }
    measure_where_peers_are(arguments, &place)?;
    if let Some(file) = &arguments.json {
        std::fs::copy(place.path("report.json"), file)?;
    }
    Ok(())
}

fn measure_where_peers_are(arguments: &Arguments, place: &Place) -> Outcome {
    // The programs that `bundle` looks for are this machine's own, and ldd is the only peer.
    if arguments.what == What::Bundle {
        return inside(arguments, place);
    }
    let why = match newest::root() {
        _ if arguments.host => "asked for by --host".to_owned(),
        Ok(root) => return newest::in_namespace(|| newest::enter(&root, place)),
        Err(error) => format!("there is no root of Debian {}: {error}", newest::SUITE),
    };
    println!("The peers are this machine's own ({why}).");
    peers::install(arguments)?;
    newest::in_namespace(|| inside(arguments, place))
}

/// Everything is in place: measures and prints.
fn inside(arguments: &Arguments, place: &Place) -> Outcome {
    let report = match arguments.what {
        What::Start => start::run(arguments, place)?,
        What::Bundle => bundle::run(arguments, place)?,
        What::Steps => steps::run(arguments, place)?,
        What::Build => build::run(arguments, place)?,
        What::Load => load::run(arguments, place)?,
        What::Save => save::run(arguments, place)?,
        What::Commit => commit::run(arguments, place)?,
        What::Pull => pull::run(arguments, place)?,
        What::Push => push::run(arguments, place)?,
    };
    print!("{}", report.text());
    Ok(std::fs::write(
        place.path("report.json"),
        format!("{:#}\n", report.json()),
    )?)
}

impl Arguments {
    fn wants(&self, peer: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == peer)
    }

    fn wants_case(&self, letter: char) -> bool {
        self.cases.is_empty() || self.cases.contains(&letter)
    }
}
