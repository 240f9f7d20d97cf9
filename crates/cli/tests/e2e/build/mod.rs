//! Building: what is run again and what isn't, the instructions, what goes into the context, and what failing says.

mod add;
mod again;
mod bad_input;
mod bases;
mod by_hand;
mod cache;
mod copy;
mod debugging;
mod explain;
mod instructions;
mod mounts;
mod outputs;
mod parallel;
mod platforms;
mod programs;
mod progress;
mod remote_contexts;
mod remote_files;
mod repositories;
mod sharing;
mod stages;
mod travelling;
mod verify;

use crate::harness::Place;

/// A context with busybox below `root/`.
fn context(place: &Place) {
    place.busybox("context/root");
    place.write(
        "context/root/etc/passwd",
        "root:x:0:0:root:/:/bin/sh\nann:x:1000:1000:Ann:/home:/bin/sh\n",
    );
    place.write("context/root/etc/group", "root:x:0:\nann:x:1000:\nstaff:x:50:\n");
}

/// Which steps of a build weren't carried out again, by its progress, in the order of the Dockerfile.
fn unchanged(progress: &str) -> Vec<bool> {
    let about = progress
        .lines()
        .filter_map(|line| line.strip_prefix('#')?.split_once(' '));
    let mut steps: Vec<(usize, bool)> = about
        .clone()
        .filter(|(_, text)| text.starts_with('['))
        .map(|(number, _)| (number, about.clone().any(|line| line == (number, "unchanged"))))
        .map(|(number, is_unchanged)| (number.parse().expect("a number"), is_unchanged))
        .collect();
    steps.sort_unstable();
    steps.into_iter().map(|(_, is_unchanged)| is_unchanged).collect()
}

/// The directory of the topmost layer that a build printed.
fn topmost(chain: &str) -> String {
    chain.trim().split(':').next().expect("a layer").to_owned()
}

/// Builds `dockerfile` on busybox and runs `script` in the result.
fn result(place: &Place, dockerfile: &str, script: &str) -> String {
    context(place);
    let dockerfile = format!("FROM scratch\nCOPY root /\n{dockerfile}");
    place.build("context", &dockerfile).args(["-t", "result"]).succeeds();
    place.wiac(["run", "result", "sh", "-c", script]).succeeds().stdout
}
