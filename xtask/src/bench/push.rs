//! `bench push`: an image of one layer of half a GB, made here, to Debian's docker-registry on loopback, which is empty each time.
//!
//! Everybody has to pack and compress it: (a) with gzip, podman at its usual level 6, we at the level of ours that packs no worse and
//! at 6 too, (b) with zstd at level 3. Nobody has pushed it before: ours is imported
//! anew for each run, and what podman remembers of registries is deleted. docker knows gzip alone, and its level isn't to be chosen.

use super::Arguments;
use super::corpus::{self, Kind};
use super::daemon::Daemon;
use super::load::MOST_MEMORY;
use super::measure::{Contender, Rounds, race};
use super::memory;
use super::peers;
use super::place::Place;
use super::registry::{Registry, name, notes};
use super::report::{Report, Target};
use crate::{Outcome, shell};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const TARGETS: [Target; 1] = [Target {
    peer: "podman",
    factor: 2.0,
    processor: false,
}];

/// What is pushed may be so much larger than podman's, in parts of a hundred.
const MOST_LARGER: u64 = 2;

/// How podman calls what it has; docker's is named after the registry.
const IMPORTED: &str = "localhost/made";

/// What is measured.
struct Case {
    /// By which `--case` chooses it.
    letter: char,
    kind: Kind,
    /// Podman's level.
    level: &'static str,
    /// Ours that packs no worse (the benchmark compares the bytes): libdeflate's levels of gzip pack better.
    ours: &'static str,
}

const CASES: [Case; 2] = [
    Case {
        letter: 'a',
        kind: Kind::Gzip,
        level: "6",
        ours: "2",
    },
    Case {
        letter: 'b',
        kind: Kind::Zstd,
        level: "3",
        ours: "3",
    },
];

/// What has to be made before the peers' root is entered.
pub(super) fn prepare(place: &Place) -> Outcome {
    corpus::put(place, Kind::Gzip).map(drop)
}

/// Measures.
pub(super) fn run(arguments: &Arguments, place: &Place) -> Outcome<Report> {
    let mut report = Report::default();
    peers::prepare()?;
    let _registry = Registry::start(place)?;
    let docker = (arguments.wants("docker") && arguments.wants_case('a'))
        .then(|| Daemon::start(place))
        .transpose()?;
    notes(arguments, docker.as_ref(), &mut report)?;
    let layout = place.path(&format!("corpus-{}", Kind::Gzip.word()));
    let tree = place.fresh("tree")?;
    for blob in corpus::blobs(&layout)?.iter().take(corpus::LAYERS / 2) {
        shell::finish(Command::new("tar").arg("-C").arg(&tree).arg("-xzf").arg(blob))?;
    }
    let tar = peers::pack(&tree, place)?;
    std::fs::remove_dir_all(tree)?;
    if arguments.wants("podman") {
        shell::output(peers::engine(place, "podman").arg("import").arg(&tar).arg(IMPORTED))?;
    }
    if let Some(docker) = &docker {
        shell::output(docker.docker().arg("import").arg(&tar).arg(name("made")))?;
    }
    let pushing = Pushing {
        arguments,
        place,
        docker: docker.as_ref(),
        tar: &tar,
        to: name("made"),
    };
    for case in CASES.iter().filter(|case| arguments.wants_case(case.letter)) {
        pushing.measure(case, &mut report)?;
    }
    Ok(report)
}

/// What is pushed, by whom, and where to.
struct Pushing<'p> {
    arguments: &'p Arguments,
    place: &'p Place,
    docker: Option<&'p Daemon>,
    tar: &'p Path,
    to: String,
}

impl Pushing<'_> {
    fn measure(&self, case: &Case, report: &mut Report) -> Outcome {
        let (kind, level, ours) = (case.kind, case.level, case.ours);
        let mut contenders = vec![Contender::new("wiac", || self.wiac(kind, ours)).after(|| self.import())];
        if ours != level {
            let name = format!("wiac, level {level}");
            contenders.push(Contender::new(&name, move || self.wiac(kind, level)).after(|| self.import()));
        }
        if self.arguments.wants("podman") {
            contenders.push(Contender::new("podman", || self.podman(kind, level)).after(|| self.forget()));
        }
        if let Some(docker) = self.docker.filter(|_| kind == Kind::Gzip) {
            let push = || {
                let mut command = docker.docker();
                command.args(["push", "-q", &self.to]);
                command
            };
            contenders.push(Contender::new("docker", push).after(|| self.forget()).served_by(docker));
        }
        let rounds = Rounds {
            counted: self.arguments.runs,
            warm_up: 1,
            pause: Duration::from_millis(500),
        };
        let samples = race(&contenders, rounds, &self.place.path("log"))?;
        let title = format!("half a GB made here, {} {level}", kind.word());
        report.section(&title, &contenders, &samples, &TARGETS);
        self.import()?;
        let peak = memory::peak_of(self.wiac(kind, ours))?;
        let what = format!("peak memory of wiac push ({})", kind.word());
        report.fact(what, format!("{peak} KiB"), peak <= MOST_MEMORY);
        let ours = self.size()?;
        if !self.arguments.wants("podman") {
            report.note(format!("wiac sends {ours} bytes ({})", kind.word()));
            return Ok(());
        }
        self.forget()?;
        shell::output(&mut self.podman(kind, level))?;
        let theirs = self.size()?;
        report.fact(
            format!("bytes sent ({})", kind.word()),
            format!("{ours}, by podman {theirs}"),
            ours * 100 <= theirs * (100 + MOST_LARGER),
        );
        Ok(())
    }

    fn wiac(&self, kind: Kind, level: &str) -> Command {
        let mut command = self.place.wiac();
        command.args(["push", "-q", "--compression", kind.word(), "--compression-level", level]);
        command.args(["made", &self.to]);
        command
    }

    fn podman(&self, kind: Kind, level: &str) -> Command {
        let mut command = peers::engine(self.place, "podman");
        command.args(["push", "-q", "--tls-verify=false", "--compression-format", kind.word()]);
        command.args(["--compression-level", level, IMPORTED, &self.to]);
        command
    }

    /// Makes the image anew: what was pushed once has its digest.
    fn import(&self) -> Outcome {
        self.forget()?;
        self.place.fresh("data")?;
        shell::output(self.place.wiac().arg("import").arg(self.tar).arg("made")).map(drop)
    }

    /// Empties the registry, and lets podman forget what is there.
    fn forget(&self) -> Outcome {
        self.place.fresh("registry")?;
        let cache = Path::new("/var/lib/containers/cache");
        if cache.exists() {
            std::fs::remove_dir_all(cache)?;
        }
        Ok(())
    }

    /// What the pushed layer came to: a faster compression that packs worse shows here.
    fn size(&self) -> Outcome<u64> {
        let blobs = self.place.path("registry/docker/registry/v2/blobs");
        let text = shell::output(
            Command::new("find")
                .arg(blobs)
                .args(["-name", "data", "-size", "+10M", "-printf", "%s\\n"]),
        )?;
        let sizes: Vec<u64> = text.lines().map(str::parse).collect::<Result<_, _>>()?;
        match sizes[..] {
            [size] => Ok(size),
            _ => Err(format!("the registry has {} large blobs instead of one", sizes.len()).into()),
        }
    }
}
