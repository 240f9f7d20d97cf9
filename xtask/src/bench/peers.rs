//! The commands of the peers, on data of their own in the benchmark's place.

use super::Arguments;
use super::place::Place;
use crate::test::machine;
use crate::{Outcome, shell};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The name under which a tree is imported everywhere.
pub(super) const IMAGE: &str = "localhost/bench";

/// Debian's packages of the peers, and by which name they are asked for.
const PACKAGES: [(&str, &str); 5] = [
    ("bubblewrap", "bwrap"),
    ("buildah", "buildah"),
    ("crun", "crun"),
    ("docker.io", "docker, buildkit"),
    ("podman", "podman"),
];

/// Installs the peers that are asked for, where those of the newest Debian can't be had.
pub(super) fn install(arguments: &Arguments) -> Outcome {
    let wanted = PACKAGES
        .into_iter()
        .filter(|(_, names)| names.split(", ").any(|name| arguments.wants(name)));
    machine::install(&wanted.collect::<Vec<_>>())
}

/// Makes this machine one that podman, buildah and crun work on.
pub(super) fn prepare() -> Outcome {
    machine::limit_engines()?;
    machine::free_unified_hierarchy()
}

/// podman or buildah on their data.
pub(super) fn engine(place: &Place, name: &str) -> Command {
    let mut command = Command::new(name);
    command
        .arg("--root")
        .arg(place.path("podman"))
        .arg("--runroot")
        .arg(place.path("podman-run"));
    command.args(["--storage-driver", "overlay"]);
    if name == "podman" {
        command.args(["--cgroup-manager=cgroupfs", "--events-backend=none", "--runtime=crun"]);
    }
    command
        .env("PODMAN_IGNORE_CGROUPSV1_WARNING", "1")
        .env("BUILDAH_RUNTIME", "crun");
    command
}

/// A peer's version, or an error that says which package is missing.
pub(super) fn version(program: &str, package: &str) -> Outcome<String> {
    let text = shell::output(Command::new(program).arg("--version"))
        .map_err(|error| format!("{program} doesn't run: {error} (Debian: {package}; --only leaves peers out)"))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Packs a tree.
pub(super) fn pack(tree: &Path, place: &Place) -> Outcome<PathBuf> {
    let tar = place.path("tree.tar");
    shell::finish(Command::new("tar").arg("-C").arg(tree).arg("-cf").arg(&tar).arg("."))?;
    Ok(tar)
}
