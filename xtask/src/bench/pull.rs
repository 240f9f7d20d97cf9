//! `bench pull`: an image of 1 GB from Debian's docker-registry on loopback.
//!
//! (a) gzip into an empty store, (b) the same with seven of the eight layers there already; (c) and (d) the same of zstd. skopeo copies
//! to a directory and unpacks nothing; umoci can't pull: skopeo gets it a layout. On tmpfs the floors say what each part of a pull takes
//! alone, and on the disk what GNU tar takes that has the blobs already.

use super::Arguments;
use super::corpus::{self, Kind};
use super::daemon::Daemon;
use super::load::{self, MOST_MEMORY};
use super::measure::{Contender, Rounds, race};
use super::memory;
use super::peers;
use super::place::Place;
use super::registry::{ADDRESS, Registry, fill, name, notes};
use super::report::{Report, Target};
use crate::{Outcome, shell};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// On tmpfs.
const COLD: [Target; 2] = [target("podman", 3.0), target("docker", 3.0)];

/// On the disk.
const COLD_ON_DISK: [Target; 1] = [target("tar", 1.0)];

const MOSTLY_THERE: [Target; 2] = [target("podman", 10.0), target("docker", 10.0)];

const fn target(peer: &'static str, factor: f64) -> Target {
    Target {
        peer,
        factor,
        processor: false,
    }
}

/// What is pulled, and the letters of its cases.
const KINDS: [(Kind, char, char); 2] = [(Kind::Gzip, 'a', 'b'), (Kind::Zstd, 'c', 'd')];

/// What has to be made before the peers' root is entered.
pub(super) fn prepare(arguments: &Arguments, place: &Place) -> Outcome {
    for (kind, cold, warm) in KINDS {
        if arguments.wants_case(cold) || arguments.wants_case(warm) {
            corpus::put(place, kind)?;
        }
    }
    Ok(())
}

/// Measures.
pub(super) fn run(arguments: &Arguments, place: &Place) -> Outcome<Report> {
    let mut report = Report::default();
    peers::prepare()?;
    let _registry = Registry::start(place)?;
    let docker = arguments.wants("docker").then(|| Daemon::start(place)).transpose()?;
    notes(arguments, docker.as_ref(), &mut report)?;
    for (kind, cold, warm) in KINDS {
        let is_wanted = [cold, warm].map(|letter| arguments.wants_case(letter));
        if is_wanted == [false, false] {
            continue;
        }
        let layout = place.path(&format!("corpus-{}", kind.word()));
        fill(place, &layout, kind)?;
        let pulling = Pulling {
            arguments,
            place,
            docker: docker.as_ref(),
            whole: name(kind.word()),
            part: name(&format!("{}-part", kind.word())),
            kind,
        };
        if is_wanted[0] {
            pulling.cold(&layout, &mut report)?;
        }
        if is_wanted[1] {
            pulling.mostly_there(&mut report)?;
        }
    }
    Ok(report)
}

/// An image to pull.
struct Pulling<'p> {
    arguments: &'p Arguments,
    place: &'p Place,
    docker: Option<&'p Daemon>,
    whole: String,
    /// The same without its last layer.
    part: String,
    kind: Kind,
}

impl Pulling<'_> {
    fn cold(&self, layout: &Path, report: &mut Report) -> Outcome {
        let place = self.place;
        let mut contenders =
            vec![Contender::new("wiac", || self.wiac(&self.whole)).after(|| place.fresh("data").map(drop))];
        contenders.extend(self.engines(None));
        if self.arguments.wants("skopeo") {
            contenders.push(
                Contender::new("skopeo to a directory", || self.skopeo("dir:skopeo"))
                    .after(|| place.fresh("skopeo").map(drop)),
            );
        }
        // umoci of Debian doesn't know zstd.
        if self.arguments.wants("umoci") && self.kind == Kind::Gzip {
            contenders.push(Contender::new("skopeo and umoci", || self.umoci()).after(|| {
                load::remove(&place.path("bundle"))?;
                place.fresh("skopeo").map(drop)
            }));
        }
        if self.arguments.wants("floor") {
            contenders.extend(self.floors_of_getting(corpus::blobs(layout)?)?);
            contenders.extend(load::floors(place, layout)?);
        }
        if self.arguments.wants("tar") {
            contenders.push(load::tar(place, self.kind, corpus::blobs(layout)?));
        }
        let samples = self.race(&contenders)?;
        let targets = if self.arguments.disk {
            COLD_ON_DISK.to_vec()
        } else {
            load::with_slowest_floor(&COLD, &contenders, &samples)
        };
        report.section(&format!("{}, cold", self.kind.word()), &contenders, &samples, &targets);
        place.fresh("data")?;
        let peak = memory::peak_of(self.wiac(&self.whole))?;
        let what = format!("peak memory of wiac pull ({}, cold)", self.kind.word());
        report.fact(what, format!("{peak} KiB"), peak <= MOST_MEMORY);
        Ok(())
    }

    fn mostly_there(&self, report: &mut Report) -> Outcome {
        let mut contenders = vec![Contender::new("wiac", || self.wiac(&self.whole)).after(|| {
            self.place.fresh("data")?;
            shell::output(&mut self.wiac(&self.part)).map(drop)
        })];
        contenders.extend(self.engines(Some(&self.part)));
        let samples = self.race(&contenders)?;
        let title = format!("{}, 7 of 8 layers there", self.kind.word());
        report.section(&title, &contenders, &samples, &MOSTLY_THERE);
        Ok(())
    }

    fn race(&self, contenders: &[Contender]) -> Outcome<Vec<Vec<super::measure::Sample>>> {
        let rounds = Rounds {
            counted: self.arguments.runs,
            warm_up: 1,
            pause: Duration::from_millis(500),
        };
        race(contenders, rounds, &self.place.path("log"))
    }

    fn wiac(&self, image: &str) -> Command {
        let mut command = self.place.wiac();
        command.args(["pull", "-q", image]);
        command
    }

    /// podman and docker; `part`: what they have already.
    fn engines<'a>(&'a self, part: Option<&'a str>) -> Vec<Contender<'a>> {
        let mut contenders = Vec::new();
        let place = self.place;
        if self.arguments.wants("podman") {
            let pull = |image: &str| {
                let mut command = peers::engine(place, "podman");
                command.args(["pull", "-q", "--tls-verify=false", image]);
                command
            };
            contenders.push(Contender::new("podman", move || pull(&self.whole)).after(move || {
                shell::output(peers::engine(place, "podman").args(["rmi", "--all", "--force"]))?;
                part.map_or(Ok(()), |part| shell::output(&mut pull(part)).map(drop))
            }));
        }
        if let Some(docker) = self.docker {
            let pull = |image: &str| {
                let mut command = docker.docker();
                command.args(["pull", "-q", image]);
                command
            };
            let prepare = move || {
                let _ = docker.docker().args(["rmi", "--force", &self.whole]).output()?;
                let _ = docker.docker().args(["rmi", "--force", &self.part]).output()?;
                docker.docker().args(["image", "prune", "--all", "--force"]).output()?;
                part.map_or(Ok(()), |part| shell::output(&mut pull(part)).map(drop))
            };
            contenders.push(
                Contender::new("docker", move || pull(&self.whole))
                    .after(prepare)
                    .served_by(docker),
            );
        }
        contenders
    }

    /// `to`: a transport and a name in the place.
    fn skopeo(&self, to: &str) -> Command {
        let mut command = Command::new("skopeo");
        command.args(["copy", "-q", "--insecure-policy", "--src-tls-verify=false"]);
        command.arg(format!("docker://{}", self.whole)).arg(to);
        command.current_dir(self.place.path(""));
        command
    }

    fn umoci(&self) -> Command {
        const SCRIPT: &str = "skopeo copy -q --insecure-policy --src-tls-verify=false \"docker://$1\" oci:skopeo:x \
                              && umoci unpack --image skopeo:x bundle";
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "umoci", &self.whole]);
        command.current_dir(self.place.path(""));
        command
    }

    /// Getting all layers without keeping them, and hashing all that a pull must hash; `load` has the other floors.
    fn floors_of_getting(&self, blobs: Vec<PathBuf>) -> Outcome<Vec<Contender<'_>>> {
        let place = self.place;
        let paths: Vec<String> = blobs
            .iter()
            .filter_map(|blob| blob.file_name()?.to_str())
            .map(|hash| format!("/v2/{}/blobs/sha256:{hash}", self.kind.word()))
            .collect();
        let mut hashed = blobs;
        hashed.extend(load::expanded(place, &hashed)?);
        let mut floors = Vec::new();
        for (threads, transfer, hashing) in [
            (1, "floor: transfer", "floor: hashing"),
            (
                std::thread::available_parallelism()?.get(),
                "transfer on all cores",
                "hashing on all cores",
            ),
        ] {
            let (paths, hashed) = (paths.clone(), hashed.clone());
            floors.push(Contender::new(transfer, move || {
                let mut command = load::floor(place, threads, "fetch");
                command.arg(ADDRESS).args(&paths);
                command
            }));
            floors.push(Contender::new(hashing, move || {
                let mut command = load::floor(place, threads, "hash");
                command.args(&hashed);
                command
            }));
        }
        Ok(floors)
    }
}
