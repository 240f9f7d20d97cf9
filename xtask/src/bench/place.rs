//! Where a benchmark keeps its data, on tmpfs or on disk, and the programs it runs.

use crate::{Outcome, shell};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory that is removed at the end by whoever made it.
#[derive(Debug)]
pub(crate) struct Place {
    directory: PathBuf,
    made_here: bool,
}

impl Place {
    /// Makes the directory.
    pub(crate) fn new(disk: bool) -> Outcome<Self> {
        let parent = Path::new(if disk { "/var/tmp" } else { "/dev/shm" });
        let directory = parent.join(format!("wiac-bench-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("bin"))?;
        Ok(Self {
            directory,
            made_here: true,
        })
    }

    /// One that exists already.
    pub(crate) fn existing(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            made_here: false,
        }
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A directory in it, made where missing.
    pub(crate) fn directory(&self, name: &str) -> Outcome<PathBuf> {
        let path = self.path(name);
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// A new, empty directory in it.
    pub(crate) fn fresh(&self, name: &str) -> Outcome<PathBuf> {
        let path = self.path(name);
        if path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// One of the programs put into it.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.directory.join("bin").join(name)
    }

    /// Puts a program into it.
    pub(crate) fn install(&self, from: &Path, name: &str) -> Outcome {
        std::fs::copy(from, self.program(name)).map_err(|error| format!("{}: {error}", from.display()))?;
        Ok(())
    }

    /// Puts a static C program into it.
    pub(super) fn compile(&self, name: &str, source: &str) -> Outcome {
        let file = self.path(&format!("{name}.c"));
        std::fs::write(&file, source)?;
        shell::finish(
            Command::new("cc")
                .args(["-static", "-Os", "-s", "-o"])
                .arg(self.program(name))
                .arg(file),
        )
    }

    /// A command of wiac on data in it.
    pub(crate) fn wiac(&self) -> Command {
        let mut command = Command::new(self.program("wiac"));
        command.env("WIAC_DATA", self.path("data"));
        command
    }

    /// Writes a Dockerfile (and makes the directory of its build context).
    pub(super) fn dockerfile(&self, context: &str, text: &str) -> Outcome<PathBuf> {
        let directory = self.directory(context)?;
        std::fs::write(directory.join("Dockerfile"), text)?;
        Ok(directory)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.made_here
            && let Err(error) = std::fs::remove_dir_all(&self.directory)
        {
            eprintln!("can't remove {}: {error}", self.directory.display());
        }
    }
}
