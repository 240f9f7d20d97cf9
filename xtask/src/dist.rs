//! `cargo xtask dist`: the checked release binary with what belongs beside it, as one archive below `target/dist`.

use crate::test::binary;
use crate::{Outcome, shell};
use std::path::Path;

/// What goes into the archive beside the binary.
const DOCUMENTS: [&str; 5] = [
    "README.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
];

/// Runs the task.
pub(crate) fn run() -> Outcome {
    let built = shell::build_release(&[])?;
    binary::check(&built)?;
    binary::check_order(&built)?;
    let name = format!("wiac-{}-linux-{}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let place = Path::new("target/dist");
    let directory = place.join(&name);
    if directory.exists() {
        std::fs::remove_dir_all(&directory)?;
    }
    std::fs::create_dir_all(&directory)?;
    let mut strip = std::process::Command::new("strip");
    shell::run(
        strip
            .arg("--strip-all")
            .arg("-o")
            .arg(directory.join("wiac"))
            .arg(&built),
    )?;
    for document in DOCUMENTS {
        std::fs::copy(document, directory.join(document))?;
    }
    let archive = format!("{name}.tar.gz");
    let mut tar = std::process::Command::new("tar");
    // The same sources give the same archive: order, owners and times are fixed.
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0"]);
    shell::run(tar.args(["-czf", &archive, &name]).current_dir(place))?;
    println!("{}", place.join(archive).display());
    Ok(())
}
