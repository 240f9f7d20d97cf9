//! `cargo xtask dist`: the release binary in an archive with its documents, and the archive's checksum.
//!
//! The same commit gives the same archive: entries are sorted, owned by root, and as old as the commit.

use crate::test::binary;
use crate::{Outcome, shell};
use std::path::PathBuf;
use std::process::Command;

/// What goes with the binary.
const DOCUMENTS: [&str; 5] = [
    "CHANGELOG.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
];

/// Runs the task.
pub(crate) fn run() -> Outcome {
    let built = shell::build_release(&[])?;
    binary::check(&built)?;
    let release = shell::release_directory()?;
    let host = release
        .parent()
        .and_then(|path| path.file_name())
        .ok_or("no target's name")?
        .to_string_lossy();
    let name = format!("wiac-{}-{host}", env!("CARGO_PKG_VERSION"));
    let dist = release.join("dist");
    let directory = dist.join(&name);
    if directory.exists() {
        std::fs::remove_dir_all(&directory)?;
    }
    std::fs::create_dir_all(&directory)?;
    std::fs::copy(&built, directory.join("wiac"))?;
    for document in DOCUMENTS {
        std::fs::copy(shell::workspace().join(document), directory.join(document))?;
    }
    let archive = PathBuf::from(format!("{name}.tar.gz"));
    let date = shell::output(
        Command::new("git")
            .args(["log", "-1", "--format=%cI"])
            .current_dir(shell::workspace()),
    )?;
    let mut tar = Command::new("tar");
    tar.current_dir(&dist)
        .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.arg(format!("--mtime={}", date.trim()))
        .args(["--mode=u=rwX,go=rX", "-czf"])
        .arg(&archive)
        .arg(&name);
    shell::finish(&mut tar)?;
    let sum = shell::output(Command::new("sha256sum").arg(&archive).current_dir(&dist))?;
    std::fs::write(dist.join(format!("{name}.tar.gz.sha256")), &sum)?;
    println!("{}", dist.join(archive).display());
    print!("{sum}");
    Ok(())
}
