//! `bench load`: an image of 1 GB in eight layers from an OCI archive into an empty store, gzip and zstd.
//!
//! Ours verifies every digest and diff ID, keeps the blobs, and syncs. podman and docker load the same archive; umoci unpacks the
//! same layout to a bundle. The floors are what is unavoidable, each alone: inflating the blobs, and writing the files from tars that
//! are inflated already, on one core and (to know) on all of them. On the disk `tar -xzf`, layer by layer into one directory, is the peer.

use super::corpus::{self, Kind, NAME};
use super::daemon::Daemon;
use super::measure::{Contender, Rounds, Sample, race};
use super::peers;
use super::place::Place;
use super::report::{Report, Target};
use super::{Arguments, memory};
use crate::{Outcome, shell};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const fn target(peer: &'static str, factor: f64) -> Target {
    Target {
        peer,
        factor,
        processor: false,
    }
}

/// On tmpfs.
const TARGETS: [Target; 3] = [target("podman", 3.0), target("docker", 3.0), target("umoci", 3.0)];

/// Each on one thread, as it is in our pipeline.
pub(super) const FLOORS: [Target; 4] = [
    target("floor: transfer", 1.0 / 1.3),
    target("floor: hashing", 1.0 / 1.3),
    target("floor: inflating", 1.0 / 1.3),
    target("floor: writing", 1.0 / 1.3),
];

/// On the disk.
const ON_DISK: [Target; 1] = [target("tar", 1.0)];

/// KiB: what loading and pulling may take.
pub(super) const MOST_MEMORY: u64 = 64 * 1024;

/// What has to be made before the peers' root is entered.
pub(super) fn prepare(place: &Place) -> Outcome {
    for kind in [Kind::Gzip, Kind::Zstd] {
        corpus::archive(&corpus::put(place, kind)?)?;
    }
    Ok(())
}

/// Measures.
pub(super) fn run(arguments: &Arguments, place: &Place) -> Outcome<Report> {
    let mut report = Report::default();
    peers::prepare()?;
    for (name, package) in [("podman", "podman"), ("umoci", "umoci")] {
        if arguments.wants(name) {
            report.note(peers::version(name, package)?);
        }
    }
    let docker = arguments.wants("docker").then(|| Daemon::start(place)).transpose()?;
    if let Some(docker) = &docker {
        report.note(format!(
            "docker {}; its cpu counts dockerd's and containerd's",
            docker.version()?
        ));
    }
    for kind in [Kind::Gzip, Kind::Zstd] {
        measure(arguments, place, kind, docker.as_ref(), &mut report)?;
    }
    Ok(report)
}

fn measure(arguments: &Arguments, place: &Place, kind: Kind, docker: Option<&Daemon>, report: &mut Report) -> Outcome {
    let layout = place.path(&format!("corpus-{}", kind.word()));
    let archive = layout.with_extension("tar");
    let mut contenders = vec![Contender::new("wiac", || load(place, &archive)).after(|| place.fresh("data").map(drop))];
    if arguments.wants("podman") {
        contenders.push(podman(place, &archive));
    }
    if let Some(docker) = docker {
        contenders.push(with_docker(docker, &archive));
    }
    // umoci of Debian doesn't know zstd.
    if arguments.wants("umoci") && kind == Kind::Gzip {
        contenders.push(umoci(place, &layout));
    }
    if arguments.wants("floor") {
        contenders.extend(floors(place, &layout)?);
    }
    if arguments.wants("tar") {
        contenders.push(tar(place, kind, corpus::blobs(&layout)?));
    }
    let rounds = Rounds {
        counted: arguments.runs,
        warm_up: 1,
        pause: Duration::from_millis(500),
    };
    let samples = race(&contenders, rounds, &place.path("log"))?;
    let targets = if arguments.disk {
        ON_DISK.to_vec()
    } else {
        with_slowest_floor(&TARGETS, &contenders, &samples)
    };
    report.section(kind.word(), &contenders, &samples, &targets);
    place.fresh("data")?;
    let peak = memory::peak_of(load(place, &archive))?;
    let name = format!("peak memory of wiac load ({})", kind.word());
    report.fact(name, format!("{peak} KiB"), peak <= MOST_MEMORY);
    Ok(())
}

fn load(place: &Place, archive: &Path) -> Command {
    let mut command = place.wiac();
    command.arg("load").arg("-i").arg(archive);
    command
}

fn podman<'a>(place: &'a Place, archive: &'a Path) -> Contender<'a> {
    Contender::new("podman", move || {
        let mut command = peers::engine(place, "podman");
        command.arg("load").arg("-i").arg(archive);
        command
    })
    .after(move || shell::output(peers::engine(place, "podman").args(["rmi", "--all", "--force"])).map(drop))
}

fn with_docker<'a>(docker: &'a Daemon, archive: &'a Path) -> Contender<'a> {
    Contender::new("docker", move || {
        let mut command = docker.docker();
        command.arg("load").arg("-i").arg(archive);
        command
    })
    .after(move || {
        // It isn't there the first time.
        let _ = docker.docker().args(["rmi", "--force", NAME]).output()?;
        Ok(())
    })
    .served_by(docker)
}

fn umoci<'a>(place: &'a Place, layout: &'a Path) -> Contender<'a> {
    Contender::new("umoci", move || {
        let mut command = Command::new("umoci");
        command
            .arg("unpack")
            .arg("--image")
            .arg(format!("{}:latest", layout.display()))
            .arg(place.path("bundle"));
        command
    })
    .after(move || remove(&place.path("bundle")))
}

/// Targets, and that of the slowest of the floors: the others aren't what has to be reached.
pub(super) fn with_slowest_floor(targets: &[Target], contenders: &[Contender], samples: &[Vec<Sample>]) -> Vec<Target> {
    let time = |floor: &Target| {
        let at = contenders.iter().position(|contender| contender.name == floor.peer)?;
        Some(samples[at].iter().map(|sample| sample.wall).sum::<Duration>())
    };
    let slowest = FLOORS
        .iter()
        .filter(|floor| time(floor).is_some())
        .max_by_key(|floor| time(floor));
    targets.iter().chain(slowest).copied().collect()
}

/// The example of crates/layer that does one thing alone.
pub(super) fn floor(place: &Place, threads: usize, verb: &str) -> Command {
    let mut command = Command::new(place.program("layer-floor"));
    command.arg(threads.to_string()).arg(verb);
    command
}

/// The tars of the layers.
pub(super) fn expanded(place: &Place, blobs: &[PathBuf]) -> Outcome<Vec<PathBuf>> {
    let plain = place.fresh("plain")?;
    shell::finish(floor(place, 1, "expand").arg(&plain).args(blobs))?;
    let mut tars: Vec<PathBuf> = std::fs::read_dir(&plain)?.flatten().map(|entry| entry.path()).collect();
    tars.sort();
    Ok(tars)
}

/// What inflating and writing take alone.
pub(super) fn floors<'a>(place: &'a Place, layout: &Path) -> Outcome<Vec<Contender<'a>>> {
    let blobs = corpus::blobs(layout)?;
    let tars = expanded(place, &blobs)?;
    let mut floors = Vec::new();
    let cores = std::thread::available_parallelism()?.get();
    for (threads, inflating, writing) in [
        (1, "floor: inflating", "floor: writing"),
        (cores, "inflating on all cores", "writing on all cores"),
    ] {
        let (blobs, tars) = (blobs.clone(), tars.clone());
        floors.push(Contender::new(inflating, move || {
            let mut command = floor(place, threads, "inflate");
            command.args(&blobs);
            command
        }));
        floors.push(
            Contender::new(writing, move || {
                let mut command = floor(place, threads, "write");
                command.arg(place.path("written")).args(&tars);
                command
            })
            .after(move || place.fresh("written").map(drop)),
        );
    }
    Ok(floors)
}

/// GNU tar, which has the blobs already.
pub(super) fn tar(place: &Place, kind: Kind, blobs: Vec<PathBuf>) -> Contender<'_> {
    let script = r#"directory=$1; how=$2; shift 2; for blob; do tar -C "$directory" "$how" -xf "$blob"; done"#;
    let how = format!("--{}", kind.word());
    Contender::new("tar", move || {
        let mut command = Command::new("sh");
        command
            .args(["-c", script, "tar"])
            .arg(place.path("untarred"))
            .arg(&how)
            .args(&blobs);
        command
    })
    .after(|| place.fresh("untarred").map(drop))
}

/// Removes a directory, where it is there.
pub(super) fn remove(path: &Path) -> Outcome {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
