//! The tools: each builds a context and gives the image as an archive.

use super::image::Image;
use crate::bench::daemon::Daemon;
use crate::bench::place::Place;
use crate::{Outcome, shell};
use std::path::Path;
use std::process::Command;

/// Who builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Wiac,
    Docker,
    Buildah,
}

/// The name of what is built.
const NAME: &str = "conformance";

impl Tool {
    /// As the list of differences calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Wiac => "wiac",
            Self::Docker => "docker",
            Self::Buildah => "buildah",
        }
    }

    /// Builds `context`: the image, or what the tool said when it failed.
    pub(super) fn build(
        self,
        place: &Place,
        daemon: &Daemon,
        context: &Path,
        options: &[&str],
    ) -> Outcome<Result<Image, String>> {
        let archive = place.path("image.tar");
        let _ = std::fs::remove_file(&archive);
        let mut build = match self {
            Self::Wiac => {
                let mut command = place.wiac();
                let output = format!("type=docker,dest={}", archive.display());
                command.args(["build", "--no-cache", "-t", NAME, "-o", &output]);
                command
            }
            Self::Docker => {
                let mut command = daemon.docker();
                command.args(["build", "--no-cache", "--network", "host", "-t", NAME]);
                command
            }
            Self::Buildah => {
                let mut command = buildah(place);
                command.args([
                    "build",
                    "--no-cache",
                    "--layers",
                    "--isolation",
                    "chroot",
                    "--network",
                    "host",
                ]);
                command.args(["--format", "docker", "-t", NAME]);
                command
            }
        };
        let output = build
            .args(options)
            .arg(context)
            .env("BUILDKIT_PROGRESS", "plain")
            .output()?;
        if !output.status.success() {
            return Ok(Err(last_lines(&String::from_utf8_lossy(&output.stderr))));
        }
        match self {
            Self::Wiac => {}
            Self::Docker => shell::output(daemon.docker().args(["save", "-o"]).arg(&archive).arg(NAME)).map(drop)?,
            Self::Buildah => {
                let to = format!("docker-archive:{}", archive.display());
                shell::output(buildah(place).args(["push", "-q", NAME, &to])).map(drop)?;
            }
        }
        let unpacked = place.fresh("image")?;
        shell::finish(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&unpacked))?;
        Ok(Ok(Image::read(&unpacked)?))
    }
}

fn buildah(place: &Place) -> Command {
    let mut command = Command::new("buildah");
    command.arg("--root").arg(place.path("buildah"));
    command.arg("--runroot").arg(place.path("buildah-run"));
    command.args(["--storage-driver", "overlay"]);
    command
}

/// The end of what a tool said, where the reason stands.
fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(2)..].join(" / ")
}
