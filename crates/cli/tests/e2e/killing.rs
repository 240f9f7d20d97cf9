//! Whatever is killed, nothing is left: no process, no mount, no lock, and the next command sweeps what is on disk.

use crate::harness::call::Background;
use crate::harness::leftovers::{assert_nothing_within, children, descendants, wait_until};
use crate::harness::{Place, as_users, programs};
use rustix::process::{Pid, Signal, kill_process};
use std::time::Duration;

/// How soon the kernel has to be done.
const SOON: Duration = Duration::from_secs(2);

/// A word that only the processes of this test have on their command lines: the place's own name.
fn word(place: &Place) -> String {
    place.dir().file_name().expect("a name").to_string_lossy().into_owned()
}

/// A running container whose processes ignore what can be ignored and have cleared their death signals.
fn stubborn(place: &Place) -> Background {
    place.busybox("base");
    place.compile(programs::STUBBORN, "base/stubborn");
    let running = place
        .wiac(["run", "./base", "./layer", "/stubborn", "/ready", &word(place)])
        .in_background();
    wait_until("the container is ready", || place.has("layer/diff/ready"));
    running
}

/// The same on an image, whose container is thrown away.
fn stubborn_on_an_image(place: &Place) -> Background {
    place.mkdir("ready");
    place.compile(programs::STUBBORN, "context/stubborn");
    place
        .build("context", "FROM scratch\nCOPY stubborn /\n")
        .args(["-t", "app"])
        .succeeds();
    let running = place
        .wiac([
            "run",
            "-v",
            "./ready:/ready",
            "app",
            "/stubborn",
            "/ready/x",
            &word(place),
        ])
        .in_background();
    wait_until("the container is ready", || place.has("ready/x"));
    running
}

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).expect("a process id"), Signal::KILL).expect("the process is there");
}

fn monitor(running: &Background) -> i32 {
    let children = children(running.pid());
    assert_eq!(children.len(), 1, "wiac has one child, the monitor: {children:?}");
    children[0]
}

as_users!(the_caller_is_killed: root, user, single);
fn the_caller_is_killed(place: &Place) {
    let mut running = stubborn(place);
    kill(running.pid());
    assert_eq!(running.exit_code(), 137);
    assert_nothing_within(SOON, place.dir(), &word(place));
    // The container layer is free again, and what was written is there.
    place
        .wiac(["run", "./base", "./layer", "ls", "/ready"])
        .succeeds()
        .says("/ready");
}

as_users!(the_monitor_is_killed: root, user, single);
fn the_monitor_is_killed(place: &Place) {
    let mut running = stubborn(place);
    kill(monitor(&running));
    assert_eq!(running.exit_code(), 137);
    assert_nothing_within(SOON, place.dir(), &word(place));
}

as_users!(both_are_killed: root, user, single);
fn both_are_killed(place: &Place) {
    let mut running = stubborn(place);
    let monitor = monitor(&running);
    running.gets(Signal::STOP);
    kill(monitor);
    kill(running.pid());
    assert_eq!(running.exit_code(), 137);
    assert_nothing_within(SOON, place.dir(), &word(place));
}

as_users!(the_command_is_killed_from_outside: root, user, single);
fn the_command_is_killed_from_outside(place: &Place) {
    let mut running = stubborn(place);
    let all = descendants(running.pid());
    // The monitor first, then the container's process 1.
    kill(all[1]);
    assert_eq!(running.exit_code(), 137);
    assert_nothing_within(SOON, place.dir(), &word(place));
}

as_users!(the_next_command_sweeps_what_a_killed_one_left: root, user);
fn the_next_command_sweeps_what_a_killed_one_left(place: &Place) {
    let mut running = stubborn_on_an_image(place);
    assert_eq!(
        std::fs::read_dir(place.path("data/tmp")).expect("a directory").count(),
        1
    );
    kill(running.pid());
    running.exit_code();
    assert_nothing_within(SOON, place.dir(), &word(place));
    place.wiac(["images"]).succeeds();
    assert_eq!(
        std::fs::read_dir(place.path("data/tmp")).expect("a directory").count(),
        0,
        "swept"
    );
}

as_users!(what_a_living_one_uses_is_not_swept: root, user);
fn what_a_living_one_uses_is_not_swept(place: &Place) {
    let mut running = stubborn_on_an_image(place);
    place.wiac(["images"]).succeeds();
    assert_eq!(
        std::fs::read_dir(place.path("data/tmp")).expect("a directory").count(),
        1
    );
    kill(running.pid());
    running.exit_code();
}

#[test]
fn who_asks_three_times_means_it() {
    let place = Place::root();
    let mut running = stubborn(&place);
    for _ in 0..2 {
        running.gets(Signal::TERM);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(
        descendants(running.pid()).len(),
        3,
        "the monitor, the container's process 1 and its child"
    );
    running.gets(Signal::TERM);
    assert_eq!(running.exit_code(), 137);
    assert_nothing_within(SOON, place.dir(), &word(&place));
}

#[test]
fn children_of_the_command_end_with_it() {
    let place = Place::root();
    place.inside("sleep 1000 & sleep 1000 & exit 5").fails(5);
    assert_nothing_within(SOON, place.dir(), "no-such-word-anywhere");
}

#[test]
fn a_step_of_a_build_ends_at_once_with_the_build() {
    for (place, signal, code) in [
        (Place::root(), Signal::INT, 130),
        (Place::user(), Signal::TERM, 143),
        (Place::root(), Signal::KILL, 137),
    ] {
        place.busybox("context/root");
        place.compile(programs::STUBBORN, "context/root/stubborn");
        let word = word(&place);
        place.write(
            "context/Dockerfile",
            format!("FROM scratch\nCOPY root /\nRUN echo first > /first\nRUN /stubborn /ready {word}\n"),
        );
        let mut running = place.wiac(["build", "context"]).in_background();
        wait_until("the step runs", || {
            !crate::harness::leftovers::processes_with(&format!("/ready {word}")).is_empty()
        });
        std::thread::sleep(Duration::from_millis(100));
        running.gets(signal);
        assert_eq!(running.exit_code(), code);
        assert_nothing_within(SOON, place.dir(), &word);
        // What was finished before is used again, and nothing unfinished is left.
        place.write(
            "context/Dockerfile",
            "FROM scratch\nCOPY root /\nRUN echo first > /first\n",
        );
        let said = place.wiac(["build", "context"]).succeeds();
        assert_eq!(said.stderr.matches("unchanged").count(), 3, "{}", said.stderr);
        assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
    }
}

#[test]
fn a_key_ends_a_build_on_a_terminal() {
    let place = Place::root();
    place.busybox("context/root");
    let word = word(&place);
    place.write(
        "context/Dockerfile",
        format!("FROM scratch\nCOPY root /\nRUN echo at it; sleep 1000; echo {word}\n"),
    );
    let mut build = place.wiac(["build", "context"]).on_terminal(24, 80);
    build.shows("at it");
    build.types("\u{3}");
    build.ends(130);
    assert_nothing_within(SOON, place.dir(), &word);
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
}

as_users!(killed_at_any_moment_nothing_is_left: root, user);
fn killed_at_any_moment_nothing_is_left(place: &Place) {
    place.busybox("context/root");
    let word = word(place);
    let dockerfile = format!("FROM scratch\nCOPY root /\nRUN echo {word} > /x\nRUN cat /x > /y\nRUN cat /y > /z\n");
    place.write("context/Dockerfile", dockerfile);
    for number in 0..24 {
        let arguments = ["run", "--build", "context", "sh", "-c", "cat /z; sleep 1000", &word];
        let mut running = place.wiac(arguments).in_background();
        std::thread::sleep(Duration::from_millis(number * number / 2));
        running.gets(Signal::KILL);
        running.exit_code();
        assert_nothing_within(SOON, place.dir(), &word);
    }
    // What the store holds by now is whole.
    place
        .wiac(["run", "--build", "context", "cat", "/z"])
        .succeeds()
        .says(&word);
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
}
