//! `bench save`: the image that `bench load` loads, out to an OCI archive.
//!
//! wiac and podman keep what came in and are asked for an OCI archive; docker writes the only form it has.

use super::Arguments;
use super::corpus::{Kind, NAME};
use super::daemon::Daemon;
use super::measure::{Contender, Rounds, race};
use super::peers;
use super::place::Place;
use super::report::{Report, Target};
use crate::{Outcome, shell};
use std::time::Duration;

const TARGETS: [Target; 2] = [
    Target {
        peer: "podman",
        factor: 2.0,
        processor: false,
    },
    Target {
        peer: "docker",
        factor: 2.0,
        processor: false,
    },
];

/// Measures.
pub(super) fn run(arguments: &Arguments, place: &Place) -> Outcome<Report> {
    let mut report = Report::default();
    peers::prepare()?;
    let archive = place.path(&format!("corpus-{}.tar", Kind::Gzip.word()));
    shell::output(place.wiac().arg("load").arg("-i").arg(&archive))?;
    let docker = arguments.wants("docker").then(|| Daemon::start(place)).transpose()?;
    let mut contenders = vec![Contender::new("wiac", || {
        let mut command = place.wiac();
        command.args(["save", "-o"]).arg(place.path("wiac.tar")).arg(NAME);
        command
    })];
    if arguments.wants("podman") {
        report.note(peers::version("podman", "podman")?);
        shell::output(peers::engine(place, "podman").arg("load").arg("-i").arg(&archive))?;
        contenders.push(
            Contender::new("podman", || {
                let mut command = peers::engine(place, "podman");
                command
                    .args(["save", "--format=oci-archive", "-o"])
                    .arg(place.path("podman.tar"))
                    .arg(NAME);
                command
            })
            .after(|| remove(place, "podman.tar")),
        );
    }
    if let Some(docker) = &docker {
        report.note(format!(
            "docker {}; its cpu counts dockerd's and containerd's",
            docker.version()?
        ));
        shell::output(docker.docker().arg("load").arg("-i").arg(&archive))?;
        contenders.push(
            Contender::new("docker", move || {
                let mut command = docker.docker();
                command.args(["save", "-o"]).arg(place.path("docker.tar")).arg(NAME);
                command
            })
            .after(|| remove(place, "docker.tar"))
            .served_by(docker),
        );
    }
    let rounds = Rounds {
        counted: arguments.runs,
        warm_up: 1,
        pause: Duration::from_millis(500),
    };
    let samples = race(&contenders, rounds, &place.path("log"))?;
    report.section("an image that came in", &contenders, &samples, &TARGETS);
    Ok(report)
}

/// podman refuses to write to a file that is there.
fn remove(place: &Place, name: &str) -> Outcome {
    match std::fs::remove_file(place.path(name)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
