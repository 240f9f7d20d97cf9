//! `bench bundle`: what bash, ls, git and python3 need to start, found and copied, against ldd and cp.

use super::Arguments;
use super::measure::{Contender, Rounds, race};
use super::place::Place;
use super::report::{Report, Target};
use crate::Outcome;
use std::process::Command;
use std::time::Duration;

const PROGRAMS: [&str; 4] = ["bash", "ls", "git", "python3"];

/// Debian's own programs: what comes before them in a developer's PATH may be a script that only starts them, and both
/// sides would look for what a shell needs instead of python3.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// The usual script: ldd names the libraries and the interpreter.
const FIND: &str = r#"for name; do
    path=$(command -v "$name")
    echo "$path"
    ldd "$path" | grep -o '/[^ ]*'
done | sort -u"#;

/// The same with the files copied, symlinks followed as these scripts do.
const COPY: &str = r#"directory=$1
shift
for name; do
    path=$(command -v "$name")
    for file in "$path" $(ldd "$path" | grep -o '/[^ ]*'); do
        mkdir -p "$directory${file%/*}"
        cp -n "$file" "$directory$file"
    done
done"#;

const TARGETS: [Target; 1] = [Target {
    peer: "ldd",
    factor: 30.0,
    processor: false,
}];

/// Measures.
pub(super) fn run(arguments: &Arguments, place: &Place) -> Outcome<Report> {
    let mut report = Report::default();
    let rounds = |pause| Rounds {
        counted: arguments.runs,
        warm_up: 2,
        pause: Duration::from_millis(pause),
    };
    let log = place.path("log");
    let finding = [
        Contender::new("wiac bundle --list", || {
            let mut command = place.wiac();
            command.args(["bundle", "--list"]).args(PROGRAMS).env("PATH", PATH);
            command
        }),
        Contender::new("ldd", || {
            let mut command = Command::new("bash");
            command.args(["-c", FIND, "find"]).args(PROGRAMS).env("PATH", PATH);
            command
        }),
    ];
    // Both ways: after a pause the caches are others', which shows in a millisecond more than in the script's forty processes.
    for (title, pause) in [
        ("finding the closure, one after the other", 0),
        ("finding the closure, after a pause of 5 ms", 5),
    ] {
        let samples = race(&finding, rounds(pause), &log)?;
        report.section(title, &finding, &samples, &TARGETS);
    }
    let copying = [
        Contender::new("wiac bundle", || {
            let mut command = place.wiac();
            command.arg("bundle").args(PROGRAMS).arg(place.path("ours"));
            command.env("PATH", PATH);
            command
        })
        .after(|| place.fresh("ours").map(drop)),
        Contender::new("ldd and cp", || {
            let mut command = Command::new("bash");
            command
                .args(["-c", COPY, "copy"])
                .arg(place.path("theirs"))
                .args(PROGRAMS)
                .env("PATH", PATH);
            command
        })
        .after(|| place.fresh("theirs").map(drop)),
    ];
    report.section(
        "copying it to an empty directory",
        &copying,
        &race(&copying, rounds(5), &log)?,
        &[],
    );
    Ok(report)
}
