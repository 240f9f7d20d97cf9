//! `bench steps`: a Dockerfile of one COPY and ten small RUNs, uncached and then unchanged.
//!
//! Ours starts from `bundle://sh`, with an empty data directory (so the bundle is made, too) and with the final sync;
//! the peers start from the same tree imported as an image, with `--no-cache`, and aren't asked to sync. All RUNs share
//! the host's network, so that nobody sets one up.

use super::Arguments;
use super::daemon::Daemon;
use super::measure::{Contender, Rounds, race};
use super::peers::{self, IMAGE};
use super::place::Place;
use super::report::{Report, Target};
use crate::{Outcome, shell};
use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

const UNCACHED: [Target; 2] = both(20.0);
const UNCHANGED: [Target; 2] = both(15.0);

const fn both(factor: f64) -> [Target; 2] {
    [
        Target {
            peer: "buildah",
            factor,
            processor: false,
        },
        Target {
            peer: "BuildKit",
            factor,
            processor: false,
        },
    ]
}

/// Measures.
pub(super) fn run(arguments: &Arguments, place: &Place) -> Outcome<Report> {
    let mut report = Report::default();
    peers::prepare()?;
    contexts(place)?;
    let tree = place.directory("tree")?;
    shell::finish(place.wiac().args(["bundle", "sh"]).arg(&tree))?;
    let tar = peers::pack(&tree, place)?;
    if arguments.wants("buildah") {
        report.note(peers::version("buildah", "buildah")?);
        peers::version("podman", "podman")?;
        shell::output(peers::engine(place, "podman").arg("import").arg(&tar).arg(IMAGE))?;
    }
    let docker = arguments.wants("buildkit").then(|| Daemon::start(place)).transpose()?;
    if let Some(docker) = &docker {
        report.note(format!("BuildKit of docker {}", docker.version()?));
        report.note("BuildKit's cpu counts dockerd's and containerd's");
        shell::output(docker.docker().arg("import").arg(&tar).arg(IMAGE))?;
    }
    let rounds = Rounds {
        counted: arguments.runs,
        warm_up: 1,
        pause: Duration::from_millis(20),
    };
    let log = place.path("log");
    for (title, cached, targets) in [("uncached", false, UNCACHED), ("unchanged", true, UNCHANGED)] {
        let mut contenders = vec![wiac(place, cached)];
        if arguments.wants("buildah") {
            contenders.push(Contender::new("buildah", move || buildah(place, cached)));
        }
        if let Some(docker) = &docker {
            let command = move || buildkit(docker.docker(), place, cached);
            contenders.push(Contender::new("BuildKit", command).served_by(docker));
        }
        report.section(title, &contenders, &race(&contenders, rounds, &log)?, &targets);
    }
    Ok(report)
}

/// The same Dockerfile for both bases.
fn contexts(place: &Place) -> Outcome {
    let mut steps = "COPY file /\n".to_owned();
    for number in 1..=10 {
        writeln!(steps, "RUN echo {number} > /{number}")?;
    }
    for (context, base) in [("ours", "bundle://sh"), ("theirs", IMAGE)] {
        let directory = place.dockerfile(context, &format!("FROM {base}\n{steps}"))?;
        std::fs::write(directory.join("file"), "content\n")?;
    }
    Ok(())
}

fn wiac(place: &Place, cached: bool) -> Contender<'_> {
    let contender = Contender::new("wiac", || {
        let mut command = place.wiac();
        command.args(["build", "-q", "-t", "built"]).arg(place.path("ours"));
        command
    });
    if cached {
        contender
    } else {
        contender.after(|| place.fresh("data").map(drop))
    }
}

fn buildah(place: &Place, cached: bool) -> Command {
    let mut command = peers::engine(place, "buildah");
    command.args(["bud", "--layers", "--network=host", "--pull=never", "-t", "built"]);
    if !cached {
        command.arg("--no-cache");
    }
    command.arg(place.path("theirs"));
    command
}

fn buildkit(mut command: Command, place: &Place, cached: bool) -> Command {
    command.args(["build", "--network=host", "--pull=false", "-t", "built"]);
    if !cached {
        command.arg("--no-cache");
    }
    command.arg(place.path("theirs"));
    command
}
