//! What can be wrong with what wiac is given, and what it says then.

mod callers;
mod directories;
mod programs;
mod sources;

use crate::harness::call::{Call, Said};
use crate::harness::{Place, tools};

/// Standard error ends with a message: short, without a panic, begun with the program's name. Before it a build tells what
/// it does.
fn is_a_message(said: &Said) {
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    let lines: Vec<&str> = said.stderr.lines().collect();
    let begin = lines.iter().position(|line| line.starts_with("wiac: "));
    let begin = begin.unwrap_or_else(|| panic!("no message: {}", said.stderr));
    assert!(lines.len() - begin < 8, "{}", said.stderr);
}

fn complains(call: Call, code: i32, expected: &[&str]) {
    let said = call.fails(code).explains(expected);
    is_a_message(&said);
}

/// A container of busybox and one more file that is to be started.
fn starts(place: &Place, program: &str) -> Call {
    if !place.has("base/bin/sh") {
        place.busybox("base");
    }
    place.wiac(["run", "./base", "./layer", program])
}

/// A script that is run as root in a mount namespace of its own, with wiac and the place's data directory at hand.
pub fn privately(place: &Place, script: &str) -> Call {
    let wiac = tools::wiac().display().to_string();
    let script = format!("mount --make-rprivate /\n{script}");
    let call = Call::new(&tools::unshare(), place.dir()).args(["--mount", "bash", "-euc", &script]);
    call.env("WIAC", wiac).env("WIAC_DATA", place.data())
}
