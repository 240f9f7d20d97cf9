//! A small Debian, made once on this machine.

use super::tools;
use std::path::{Path, PathBuf};

/// Where it is kept.
const DIRECTORY: &str = "/var/cache/wiac-test";

/// Its tar, with apt in it. Many tests may ask at once.
pub fn tar() -> PathBuf {
    let directory = Path::new(DIRECTORY);
    std::fs::create_dir_all(directory).expect("mkdir");
    let lock = std::fs::File::open(directory).expect("open");
    lock.lock().expect("locked");
    let tar = directory.join("debian-with-apt.tar");
    if tar.exists() {
        return tar;
    }
    let fresh = directory.join("unfinished.tar");
    let mmdebstrap = tools::program("mmdebstrap").expect("mmdebstrap is needed (Debian: mmdebstrap)");
    let status = std::process::Command::new(mmdebstrap)
        .args(["--quiet", "--variant=apt", "stable"])
        .arg(&fresh)
        .arg("http://deb.debian.org/debian")
        .status();
    assert!(
        status.expect("mmdebstrap runs").success(),
        "mmdebstrap can't make a Debian"
    );
    std::fs::rename(&fresh, &tar).expect("renamed");
    tar
}
