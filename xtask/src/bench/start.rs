//! `bench start`: a static `true` in a container on three layers.
//!
//! Ours does all that `wiac run` always does: the overlay, /dev, /sys, hidden paths, the seccomp filter, capabilities,
//! names, locks, the monitor. The floor is `crates/sys/examples/floor.rs`; like ours it makes and removes an upper
//! directory. bwrap and crun get a root that is ready and mount no overlay. podman and docker are asked for no network.

use super::daemon::Daemon;
use super::measure::{Contender, Rounds, race};
use super::peers::{self, IMAGE};
use super::place::Place;
use super::report::{Report, Target};
use super::{Arguments, memory, oci_bundle};
use crate::{Outcome, shell};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const TARGETS: [Target; 3] = [
    Target {
        peer: "floor",
        factor: 1.0 / 1.5,
        processor: true,
    },
    Target {
        peer: "crun",
        factor: 1.5,
        processor: true,
    },
    Target {
        peer: "podman",
        factor: 25.0,
        processor: true,
    },
];

/// KiB.
const MOST_MEMORY: u64 = 6 * 1024;

/// The directories that any image has.
const SKELETON: [&str; 6] = ["bin", "dev", "etc", "proc", "sys", "tmp"];

const DOCKERFILE: &str = "FROM scratch\nCOPY skeleton/ /\nCOPY pause /\nCOPY text /\nCMD [\"/true\"]\n";

/// Measures.
pub(super) fn run(arguments: &Arguments, place: &Place) -> Outcome<Report> {
    let mut report = Report::default();
    peers::prepare()?;
    let tree = context(place)?;
    let chain = build(place)?;
    let docker = arguments.wants("docker").then(|| Daemon::start(place)).transpose()?;
    let mut contenders = ours(place, &chain)?;
    if arguments.wants("floor") {
        let scratch = place.directory("floor")?;
        contenders.push(Contender::new("floor", move || {
            let mut command = Command::new(place.program("floor"));
            command.arg(&chain).arg(&scratch).arg("/true");
            command
        }));
    }
    if arguments.wants("bwrap") {
        report.note(peers::version("bwrap", "bubblewrap")?);
        contenders.push(bwrap(tree.clone()));
    }
    if arguments.wants("crun") {
        report.note(format!(
            "{}, with docker's seccomp profile and capabilities",
            peers::version("crun", "crun")?
        ));
        report.note("crun makes cgroups, which wiac doesn't yet; \"no cgroup\" is the comparison without");
        contenders.extend(crun(place, &tree)?);
    }
    if arguments.wants("podman") {
        report.note(peers::version("podman", "podman")?);
        let tar = peers::pack(&tree, place)?;
        shell::output(peers::engine(place, "podman").arg("import").arg(tar).arg(IMAGE))?;
        contenders.push(Contender::new("podman", || {
            let mut command = peers::engine(place, "podman");
            command.args(["run", "--rm", "--network=none", IMAGE, "/true"]);
            command
        }));
    }
    if let Some(docker) = &docker {
        report.note(format!(
            "docker {}; its cpu counts dockerd's and containerd's",
            docker.version()?
        ));
        shell::output(docker.docker().arg("import").arg(peers::pack(&tree, place)?).arg(IMAGE))?;
        let command = || {
            let mut command = docker.docker();
            command.args(["run", "--rm", "--network=none", IMAGE, "/true"]);
            command
        };
        contenders.push(Contender::new("docker", command).served_by(docker));
    }
    let rounds = Rounds {
        counted: arguments.runs,
        warm_up: 2,
        pause: Duration::from_millis(20),
    };
    let samples = race(&contenders, rounds, &place.path("log"))?;
    report.section("start", &contenders, &samples, &TARGETS);
    for (process, peak) in memory::peaks(place, IMAGE)? {
        report.fact(
            format!("peak memory of {process}"),
            format!("{peak} KiB"),
            peak <= MOST_MEMORY,
        );
    }
    Ok(report)
}

/// The build context; its merged tree.
fn context(place: &Place) -> Outcome<PathBuf> {
    let context = place.dockerfile("context", DOCKERFILE)?;
    let tree = place.directory("tree")?;
    for name in SKELETON {
        std::fs::create_dir_all(context.join("skeleton").join(name))?;
        std::fs::create_dir_all(tree.join(name))?;
    }
    std::fs::write(context.join("text"), "three layers\n")?;
    std::fs::copy(context.join("text"), tree.join("text"))?;
    for (name, to) in [("true", "skeleton/true"), ("pause", "pause")] {
        std::fs::copy(place.program(name), context.join(to))?;
        std::fs::copy(place.program(name), tree.join(name))?;
    }
    Ok(tree)
}

/// Builds the image; the directories of its layers, topmost first.
fn build(place: &Place) -> Outcome<String> {
    let printed = shell::output(place.wiac().args(["build", "-t", IMAGE]).arg(place.path("context")))?;
    let chain = printed.lines().last().ok_or("wiac build prints no chain")?.to_owned();
    if chain.split(':').count() == 3 {
        Ok(chain)
    } else {
        Err(format!("not three layers: {chain}").into())
    }
}

fn ours<'a>(place: &'a Place, chain: &str) -> Outcome<Vec<Contender<'a>>> {
    let layer = place.directory("layer")?;
    let chain = chain.to_owned();
    let command = |words: &'static [&'static str]| {
        move || {
            let mut command = place.wiac();
            command.arg("run").args(words);
            command
        }
    };
    Ok(vec![
        Contender::new("wiac", command(&[IMAGE])),
        Contender::new("wiac --network none", command(&["--network", "none", IMAGE])),
        Contender::new("wiac, a chain, kept layer", move || {
            let mut command = place.wiac();
            command.arg("run").arg(&chain).arg(&layer).arg("/true");
            command
        }),
    ])
}

fn bwrap<'a>(tree: PathBuf) -> Contender<'a> {
    Contender::new("bwrap", move || {
        let mut command = Command::new("bwrap");
        command
            .args([
                "--unshare-pid",
                "--unshare-ipc",
                "--unshare-uts",
                "--unshare-cgroup",
                "--bind",
            ])
            .arg(&tree);
        command.args(["/", "--proc", "/proc", "--dev", "/dev", "--die-with-parent", "/true"]);
        command
    })
}

fn crun<'a>(place: &'a Place, tree: &Path) -> Outcome<Vec<Contender<'a>>> {
    let bundle = place.directory("crun")?;
    shell::finish(Command::new("cp").arg("-a").arg(tree).arg(bundle.join("rootfs")))?;
    oci_bundle::write(&bundle, "/true")?;
    let contender = |name: &str, manager: &'static str| {
        let bundle = bundle.clone();
        Contender::new(name, move || {
            let mut command = Command::new("crun");
            command
                .arg("--root")
                .arg(place.path("crun-run"))
                .args(manager.split_whitespace());
            command.arg("run").arg("--bundle").arg(&bundle).arg("wiac-bench");
            command
        })
    };
    Ok(vec![
        contender("crun", ""),
        contender("crun, no cgroup", "--cgroup-manager=disabled"),
    ])
}
