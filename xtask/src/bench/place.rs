//! Where a benchmark keeps its data, on tmpfs or on disk, and the programs it runs.
//!
//! The programs lie on the disk always, as the peers' do: mapping a program's pages from tmpfs costs a multiple.

use crate::{Outcome, shell};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory that is removed at the end by whoever made it.
#[derive(Debug)]
pub(crate) struct Place {
    directory: PathBuf,
    programs: PathBuf,
    made_here: bool,
}

impl Place {
    /// Makes the directory.
    pub(crate) fn new(disk: bool) -> Outcome<Self> {
        let parent = Path::new(if disk { "/var/tmp" } else { "/dev/shm" });
        let directory = parent.join(format!("wiac-bench-{}", std::process::id()));
        let mut place = Self::existing(&directory);
        place.made_here = true;
        for made in [&place.directory, &place.programs] {
            std::fs::create_dir_all(made)?;
        }
        Ok(place)
    }

    /// One that exists already.
    pub(crate) fn existing(directory: &Path) -> Self {
        let name = directory.file_name().unwrap_or_default().to_string_lossy();
        Self {
            directory: directory.to_owned(),
            programs: Path::new("/var/tmp").join(format!("{name}.programs")),
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

    /// One of the programs that belong to it.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Puts a program there.
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
        if !self.made_here {
            return;
        }
        for made in [&self.directory, &self.programs] {
            if let Err(error) = std::fs::remove_dir_all(made) {
                eprintln!("can't remove {}: {error}", made.display());
            }
        }
    }
}
