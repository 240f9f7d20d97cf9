//! `bench commit`: the changes of a container, 1 GB and 1 MB of files, become the layer of an image.
//!
//! Ours moves the directory, after a syncfs; what that alone takes is shown beside it. The data was written before and, on a
//! disk, is synced before each run; "dirty" is the same without. A commit takes the directory away, so it is copied anew
//! before each of our runs; podman and buildah copy it themselves and go on from the same container.

use super::Arguments;
use super::corpus::{self, Kind};
use super::measure::{Contender, Rounds, race};
use super::peers::{self, IMAGE};
use super::place::Place;
use super::report::{Report, Target};
use crate::{Outcome, shell};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const TARGETS: [Target; 2] = [
    Target {
        peer: "podman",
        factor: 100.0,
        processor: false,
    },
    Target {
        peer: "buildah",
        factor: 100.0,
        processor: false,
    },
];

/// What the two sizes may differ by: noise of a few milliseconds, not 1000 times the data.
const SAME: f64 = 1.5;

/// Measures.
pub(super) fn run(arguments: &Arguments, place: &Place) -> Outcome<Report> {
    let mut report = Report::default();
    peers::prepare()?;
    let large = large(place)?;
    let small = place.fresh("small")?;
    std::fs::write(small.join("file"), vec![b'x'; 1 << 20])?;
    let tree = place.directory("tree")?;
    shell::finish(place.wiac().args(["bundle", "sh", "true"]).arg(&tree))?;
    let chain = shell::output(
        place
            .wiac()
            .args(["build", "-t", "base"])
            .arg(place.dockerfile("base", "FROM bundle://sh,true\n")?),
    )?;
    let chain = chain.trim().to_owned();
    let mut contenders = vec![
        wiac(place, "wiac", &chain, &large, true),
        wiac(place, "wiac, 1 MB", &chain, &small, true),
        wiac(place, "wiac, dirty", &chain, &large, false),
        Contender::new("syncfs alone, dirty", || {
            let mut command = Command::new("sync");
            command.arg("--file-system").arg(place.path("dirty"));
            command
        })
        .after(|| copy(&large, &place.path("dirty"))),
    ];
    let tar = peers::pack(&tree, place)?;
    for name in ["podman", "buildah"] {
        if arguments.wants(name) {
            report.note(peers::version(name, name)?);
            contenders.push(engine(place, name, &tar, &large)?);
        }
    }
    let rounds = Rounds {
        counted: arguments.runs,
        warm_up: 1,
        pause: Duration::from_millis(200),
    };
    let samples = race(&contenders, rounds, &place.path("log"))?;
    report.section("1 GB of changes", &contenders, &samples, &TARGETS);
    let median = |number: usize| {
        let mut times: Vec<f64> = samples[number]
            .iter()
            .map(|sample| sample.wall.as_secs_f64() * 1000.0)
            .collect();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let (of_large, of_small) = (median(0), median(1));
    let figure = format!("{of_large:.2} ms for 1 GB, {of_small:.2} ms for 1 MB");
    report.fact("the same time for any size", figure, of_large <= of_small * SAME);
    Ok(report)
}

/// The files of the corpus, as they would stand in an upper directory.
fn large(place: &Place) -> Outcome<PathBuf> {
    let large = place.fresh("large")?;
    for blob in corpus::blobs(&place.path(&format!("corpus-{}", Kind::Gzip.word())))? {
        shell::finish(Command::new("tar").arg("-C").arg(&large).arg("-xzf").arg(blob))?;
    }
    Ok(large)
}

/// Copies a directory; on the disk it is there when this returns only if `sync` was asked for.
fn copy(from: &Path, to: &Path) -> Outcome {
    if to.exists() {
        std::fs::remove_dir_all(to)?;
    }
    shell::finish(Command::new("cp").arg("-a").arg(from).arg(to))
}

/// A container layer with these changes, made anew before each run.
fn wiac<'a>(place: &'a Place, name: &str, chain: &'a str, changes: &'a Path, sync: bool) -> Contender<'a> {
    let layer = place.path("container");
    let made = layer.clone();
    Contender::new(name, move || {
        let mut command = place.wiac();
        command.arg("commit").arg(&layer).arg("committed");
        command
    })
    .after(move || {
        if made.exists() {
            std::fs::remove_dir_all(&made)?;
        }
        // What earlier runs committed would fill the memory.
        let _ = place.wiac().args(["rmi", "-f", "committed"]).output()?;
        shell::output(place.wiac().args(["prune", "-f"]))?;
        shell::output(place.wiac().arg("run").arg(chain).arg(&made).arg("true"))?;
        copy(changes, &made.join("diff"))?;
        if sync {
            shell::finish(Command::new("sync").arg("--file-system").arg(&made))?;
        }
        Ok(())
    })
}

/// A container of podman's or buildah's with these changes.
fn engine<'a>(place: &'a Place, name: &'static str, tar: &Path, changes: &Path) -> Outcome<Contender<'a>> {
    // An image of podman's serves buildah too.
    let has = peers::engine(place, "podman")
        .args(["image", "exists", IMAGE])
        .status()?
        .success();
    if !has {
        shell::output(peers::engine(place, "podman").arg("import").arg(tar).arg(IMAGE))?;
    }
    let engine = move || peers::engine(place, name);
    let container = match name {
        "podman" => shell::output(engine().args(["create", "--network=none", IMAGE, "true"]))?,
        _ => shell::output(engine().args(["from", "--pull=never", IMAGE]))?,
    };
    let container = container.trim().to_owned();
    let root = shell::output(engine().arg("mount").arg(&container))?;
    shell::finish(Command::new("cp").arg("-a").arg(changes.join(".")).arg(root.trim()))?;
    shell::output(engine().arg("umount").arg(&container))?;
    Ok(Contender::new(name, move || {
        let mut command = engine();
        command
            .args(["commit", "--quiet"])
            .arg(&container)
            .arg("localhost/committed");
        command
    })
    .after(move || {
        let _ = engine().args(["rmi", "--force", "localhost/committed"]).output()?;
        Ok(())
    }))
}
