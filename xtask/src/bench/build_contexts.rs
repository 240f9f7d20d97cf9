//! The build contexts of `bench build`.

use super::peers::IMAGE;
use super::place::Place;
use crate::Outcome;
use std::cell::Cell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Files in a directory.
const IN_ONE: usize = 100;

/// A directory to build.
pub(super) struct Context {
    pub(super) directory: PathBuf,
    /// It builds on a root of Debian instead of on a shell.
    pub(super) needs_debian: bool,
    changes: Cell<usize>,
}

impl Context {
    fn new(place: &Place, name: &str, text: &str) -> Outcome<Self> {
        Ok(Self {
            directory: place.dockerfile(name, &format!("FROM {IMAGE}\n{text}"))?,
            needs_debian: false,
            changes: Cell::new(0),
        })
    }

    /// Writes something else to one of its files.
    pub(super) fn change(&self) -> Outcome {
        self.changes.set(self.changes.get() + 1);
        let text = format!("change {}\n", self.changes.get());
        Ok(std::fs::write(self.directory.join("files/7/7"), text)?)
    }
}

/// `files/N/M`: small texts of different lengths, as of a source tree.
fn write_files(directory: &Path, count: usize) -> Outcome {
    let line = b"some words of a source text that nobody reads\n";
    for number in 0..count {
        let parent = directory.join("files").join((number / IN_ONE).to_string());
        if number % IN_ONE == 0 {
            std::fs::create_dir_all(&parent)?;
        }
        let mut text = format!("file {number}\n").into_bytes();
        for _ in 0..number % 89 {
            text.extend_from_slice(line);
        }
        std::fs::write(parent.join((number % IN_ONE).to_string()), text)?;
    }
    Ok(())
}

/// Ten small RUNs.
pub(super) fn ten_runs(place: &Place) -> Outcome<Context> {
    let mut steps = String::new();
    for number in 1..=10 {
        writeln!(steps, "RUN echo {number} > /{number}")?;
    }
    Context::new(place, "ten-runs", &steps)
}

/// 20,000 files of up to 4 KiB.
pub(super) fn small_files(place: &Place) -> Outcome<Context> {
    let context = Context::new(place, "small-files", "COPY files /files\n")?;
    write_files(&context.directory, 20_000)?;
    Ok(context)
}

/// One file of 1 GB that no file system stores as holes.
pub(super) fn large_file(place: &Place) -> Outcome<Context> {
    let context = Context::new(place, "large-file", "COPY large /large\n")?;
    let mut file = std::fs::File::create(context.directory.join("large"))?;
    let mut state = 1_u64;
    let mut piece = vec![0; 1 << 20];
    for _ in 0..1000 {
        for word in piece.chunks_exact_mut(8) {
            // xorshift64.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&piece)?;
    }
    Ok(context)
}

/// 100,000 files.
pub(super) fn many_files(place: &Place) -> Outcome<Context> {
    let context = Context::new(place, "many-files", "COPY . /files\nRUN echo done >/done\n")?;
    write_files(&context.directory, 100_000)?;
    Ok(context)
}

/// Eight stages that wait, compute and write, and one that takes something of each.
pub(super) fn eight_stages(place: &Place) -> Outcome<Context> {
    let mut text = "AS base\n".to_owned();
    let mut last = "FROM base\n".to_owned();
    for number in 1..=8 {
        writeln!(
            text,
            "FROM base AS stage{number}\n\
             RUN i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo {number} $i >/computed\n\
             RUN sleep 0.2; echo {number} >/number"
        )?;
        writeln!(last, "COPY --from=stage{number} /number /{number}")?;
    }
    let mut context = Context::new(place, "eight-stages", "")?;
    let text = format!("FROM {IMAGE} {text}{last}");
    std::fs::write(context.directory.join("Dockerfile"), text)?;
    context.needs_debian = false;
    Ok(context)
}

/// What a C program needs to be built, by Debian's packages.
pub(super) fn packages(place: &Place) -> Outcome<Context> {
    let mut context = Context::new(
        place,
        "packages",
        "ENV DEBIAN_FRONTEND=noninteractive\n\
         RUN apt-get update\n\
         RUN apt-get install -y --no-install-recommends gcc libc6-dev make pkg-config zlib1g-dev\n",
    )?;
    context.needs_debian = true;
    Ok(context)
}
