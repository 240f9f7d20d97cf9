//! `bench build`: whole builds against buildah and `BuildKit`, each uncached, then unchanged.
//!
//! (a) ten small RUNs; (b) a COPY of 20,000 small files, and of one of 1 GB, beside `cp -a` of the same; (c) an unchanged rebuild
//! with a context of 100,000 files; (d) one of them changed; (e) eight stages that need nothing of each other; (f) packages of
//! Debian. All start from the same tree imported as an image. Uncached, ours has an empty data directory with that image alone, so
//! that no file's hash is known; the peers are given `--no-cache`, and aren't asked to sync as we do. All RUNs share the host's network.

use super::Arguments;
use super::build_contexts::{self as contexts, Context};
use super::daemon::Daemon;
use super::measure::{Contender, Rounds, race};
use super::memory;
use super::newest;
use super::peers::{self, IMAGE};
use super::place::Place;
use super::report::{Report, Target};
use crate::{Outcome, shell};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// KiB.
const MOST_MEMORY: u64 = 64 * 1024;

/// Where Debian's root is put for (f), when it is measured.
const DEBIAN: &str = "debian.tar";

/// One comparison: which cases of the issue it is, and what is to be reached.
struct Case {
    /// By this letter `--case` chooses it.
    letter: char,
    title: &'static str,
    context: fn(&Place) -> Outcome<Context>,
    /// Peer's time divided by ours, uncached.
    uncached: Option<f64>,
    /// The same for a build of what was built.
    unchanged: Option<f64>,
    /// The same where a file changes before each.
    changed: Option<f64>,
    /// `cp -a` of the context is measured beside.
    copying: bool,
}

const CASES: [Case; 6] = [
    Case {
        letter: 'a',
        title: "ten RUNs",
        context: contexts::ten_runs,
        uncached: Some(20.0),
        unchanged: Some(20.0),
        changed: None,
        copying: false,
    },
    Case {
        letter: 'b',
        title: "COPY of 20,000 files",
        context: contexts::small_files,
        uncached: Some(3.0),
        unchanged: Some(3.0),
        changed: None,
        copying: true,
    },
    Case {
        letter: 'b',
        title: "COPY of 1 GB",
        context: contexts::large_file,
        uncached: Some(3.0),
        unchanged: Some(3.0),
        changed: None,
        copying: true,
    },
    Case {
        letter: 'c',
        title: "a context of 100,000 files",
        context: contexts::many_files,
        uncached: None,
        unchanged: Some(20.0),
        changed: Some(20.0),
        copying: false,
    },
    Case {
        letter: 'e',
        title: "eight stages",
        context: contexts::eight_stages,
        uncached: Some(1.0),
        unchanged: Some(1.0),
        changed: None,
        copying: false,
    },
    Case {
        letter: 'f',
        title: "packages of Debian",
        context: contexts::packages,
        uncached: Some(1.0),
        unchanged: Some(1.0),
        changed: None,
        copying: false,
    },
];

/// Makes what the peers' root can't: a root of Debian.
pub(super) fn prepare(arguments: &Arguments, place: &Place) -> Outcome {
    if !arguments.wants_case('f') {
        return Ok(());
    }
    std::fs::copy(newest::small_debian()?, place.path(DEBIAN))?;
    Ok(())
}

/// Measures.
pub(super) fn run(arguments: &Arguments, place: &Place) -> Outcome<Report> {
    let mut report = Report::default();
    peers::prepare()?;
    if arguments.wants("buildah") {
        report.note(peers::version("buildah", "buildah")?);
        peers::version("podman", "podman")?;
    }
    let docker = arguments.wants("buildkit").then(|| Daemon::start(place)).transpose()?;
    if let Some(docker) = &docker {
        report.note(format!(
            "BuildKit of docker {}; its cpu counts dockerd's and containerd's",
            docker.version()?
        ));
    }
    let tree = place.directory("tree")?;
    shell::finish(place.wiac().args(["bundle", "sh", "sleep"]).arg(&tree))?;
    let small = peers::pack(&tree, place)?;
    for case in CASES.iter().filter(|case| arguments.wants_case(case.letter)) {
        let context = (case.context)(place)?;
        let base = if context.needs_debian {
            place.path(DEBIAN)
        } else {
            small.clone()
        };
        Bench {
            arguments,
            place,
            docker: docker.as_ref(),
            case,
            base,
            context: &context,
        }
        .run(&mut report)?;
        std::fs::remove_dir_all(&context.directory)?;
    }
    Ok(report)
}

/// One case under way.
struct Bench<'b> {
    arguments: &'b Arguments,
    place: &'b Place,
    docker: Option<&'b Daemon>,
    case: &'b Case,
    /// The tar of the image to build on.
    base: PathBuf,
    context: &'b Context,
}

/// What is different from one build to the next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing is used again.
    Uncached,
    /// Nothing has changed.
    Unchanged,
    /// One file has.
    Changed,
}

impl Bench<'_> {
    fn run(&self, report: &mut Report) -> Outcome {
        self.import()?;
        for (kind, word, factor) in [
            (Kind::Uncached, "uncached", self.case.uncached),
            (Kind::Unchanged, "unchanged", self.case.unchanged),
            (Kind::Changed, "one file changed", self.case.changed),
        ] {
            let Some(factor) = factor else { continue };
            let contenders = self.contenders(kind);
            let samples = race(&contenders, self.rounds(), &self.place.path("log"))?;
            let targets = Self::targets(kind, factor);
            let title = format!("({}) {}, {word}", self.case.letter, self.case.title);
            report.section(&title, &contenders, &samples, &targets);
        }
        self.start_anew()?;
        let peak = memory::peak_of(self.wiac())?;
        let name = format!("peak memory of wiac build, ({}) {}", self.case.letter, self.case.title);
        report.fact(name, format!("{peak} KiB"), peak <= MOST_MEMORY);
        Ok(())
    }

    fn rounds(&self) -> Rounds {
        Rounds {
            counted: self.arguments.runs,
            warm_up: 1,
            pause: Duration::from_millis(50),
        }
    }

    fn targets(kind: Kind, factor: f64) -> Vec<Target> {
        let target = |peer, factor| Target {
            peer,
            factor,
            processor: false,
        };
        let mut targets = vec![target("buildah", factor), target("BuildKit", factor)];
        if kind == Kind::Uncached {
            targets.push(target("cp -a", 1.0 / 1.3));
        }
        targets
    }

    fn contenders(&self, kind: Kind) -> Vec<Contender<'_>> {
        let before = move || match kind {
            Kind::Uncached => self.start_anew(),
            Kind::Unchanged => Ok(()),
            Kind::Changed => self.context.change(),
        };
        let mut contenders = vec![Contender::new("wiac", || self.wiac()).after(before)];
        let change = move || {
            if kind == Kind::Changed {
                self.context.change()
            } else {
                Ok(())
            }
        };
        let cached = kind != Kind::Uncached;
        if self.arguments.wants("buildah") {
            contenders.push(Contender::new("buildah", move || self.buildah(cached)).after(change));
        }
        if let Some(docker) = self.docker {
            let contender = Contender::new("BuildKit", move || self.buildkit(docker, cached));
            contenders.push(contender.after(change).served_by(docker));
        }
        if self.case.copying && kind == Kind::Uncached && self.arguments.wants("cp") {
            let to = self.place.path("copied");
            let command = move || {
                let mut command = Command::new("cp");
                command.arg("-a").arg(&self.context.directory).arg(&to);
                command
            };
            contenders.push(Contender::new("cp -a", command).after(|| {
                let _ = std::fs::remove_dir_all(self.place.path("copied"));
                Ok(())
            }));
        }
        contenders
    }

    /// The image to build on, for everybody; what was there before is gone.
    fn import(&self) -> Outcome {
        self.start_anew()?;
        if self.arguments.wants("buildah") {
            shell::output(peers::engine(self.place, "podman").args(["rmi", "--all", "--force"]))?;
            shell::output(
                peers::engine(self.place, "podman")
                    .arg("import")
                    .arg(&self.base)
                    .arg(IMAGE),
            )?;
        }
        if let Some(docker) = self.docker {
            shell::output(docker.docker().arg("import").arg(&self.base).arg(IMAGE))?;
        }
        Ok(())
    }

    /// An empty store with the image to build on.
    fn start_anew(&self) -> Outcome {
        self.place.fresh("data")?;
        shell::output(self.place.wiac().arg("import").arg(&self.base).arg(IMAGE)).map(drop)
    }

    fn wiac(&self) -> Command {
        let mut command = self.place.wiac();
        command
            .args(["build", "-q", "-t", "built"])
            .arg(&self.context.directory);
        command
    }

    fn buildah(&self, cached: bool) -> Command {
        let mut command = peers::engine(self.place, "buildah");
        command.args([
            "bud",
            "--layers",
            "--jobs=8",
            "--network=host",
            "--pull=never",
            "-t",
            "built",
        ]);
        end(command, cached, &self.context.directory)
    }

    fn buildkit(&self, docker: &Daemon, cached: bool) -> Command {
        let mut command = docker.docker();
        command.args(["buildx", "build", "--network=host", "--load", "-t", "built"]);
        end(command, cached, &self.context.directory)
    }
}

fn end(mut command: Command, cached: bool, context: &Path) -> Command {
    if !cached {
        command.arg("--no-cache");
    }
    command.arg(context);
    command
}
