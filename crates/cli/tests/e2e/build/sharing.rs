//! Two builds that run the same step at the same time share one run.

use super::context;
use crate::harness::Place;
use crate::harness::as_users;
use crate::harness::leftovers::{assert_nothing_within, wait_until};
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// A Dockerfile whose step writes a line into a cache mount each time it runs, and then does `more`.
fn counting(more: &str) -> String {
    format!("FROM scratch\nCOPY root /\nRUN --mount=type=cache,target=/c echo run >> /c/log; {more}\n")
}

/// How often the step of [`counting`] began to run.
fn runs(place: &Place) -> usize {
    if !place.has("data/cache/mounts") {
        return 0;
    }
    let log = place
        .tree("data/cache/mounts")
        .into_iter()
        .find(|name| name.ends_with("/log"));
    log.map_or(0, |log| place.read(&format!("data/cache/mounts/{log}")).lines().count())
}

as_users!(one_waits_for_the_other: root, user, single);
fn one_waits_for_the_other(place: &Place) {
    context(place);
    place.write("context/Dockerfile", counting("sleep 1; echo done > /result"));
    let mut first = place.wiac(["build", "-t", "first", "context"]).in_background();
    wait_until("the step runs", || runs(place) == 1);
    let second = place.wiac(["build", "-t", "second", "context"]).succeeds();
    second.complains(&["waiting for another build that runs this step", "unchanged"]);
    assert_eq!(first.exit_code(), 0);
    assert_eq!(runs(place), 1);
    let layers = |name: &str| place.wiac(["layers", name]).succeeds().stdout;
    assert_eq!(layers("first"), layers("second"));
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
}

#[test]
fn who_waits_runs_the_step_when_the_first_is_killed() {
    for (signal, code) in [(Signal::KILL, 137), (Signal::INT, 130)] {
        let place = Place::root();
        context(&place);
        // The first run takes for ever, the second one doesn't.
        place.write(
            "context/Dockerfile",
            counting("test $(wc -l < /c/log) -gt 1 || sleep 1000; echo done > /result"),
        );
        let mut first = place.wiac(["build", "context"]).in_background();
        wait_until("the step runs", || runs(&place) == 1);
        let mut second = place
            .wiac(["build", "-t", "second", "context"])
            .after("exec 2> second.log")
            .in_background();
        wait_until("the second waits", || {
            place.has("second.log") && place.read("second.log").contains("waiting for another build")
        });
        first.gets(signal);
        assert_eq!(first.exit_code(), code);
        assert_eq!(second.exit_code(), 0);
        assert_eq!(runs(&place), 2);
        assert_nothing_within(Duration::from_secs(2), place.dir(), "no-such-word-anywhere");
        place.wiac(["images"]).succeeds();
        assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
    }
}

#[test]
fn who_waits_runs_the_step_when_the_first_fails() {
    let place = Place::root();
    context(&place);
    place.write(
        "context/Dockerfile",
        counting("sleep 0.7; test $(wc -l < /c/log) -gt 1"),
    );
    let mut first = place.wiac(["build", "context"]).in_background();
    wait_until("the step runs", || runs(&place) == 1);
    place.wiac(["build", "context"]).succeeds();
    assert_eq!(first.exit_code(), 1);
    assert_eq!(runs(&place), 2);
}

#[test]
fn a_signal_ends_the_waiting() {
    let place = Place::root();
    context(&place);
    place.write("context/Dockerfile", counting("sleep 1000"));
    let mut first = place.wiac(["build", "context"]).in_background();
    wait_until("the step runs", || runs(&place) == 1);
    let mut second = place
        .wiac(["build", "context"])
        .after("exec 2> second.log")
        .in_background();
    wait_until("the second waits", || {
        place.has("second.log") && place.read("second.log").contains("waiting for another build")
    });
    second.gets(Signal::INT);
    assert_eq!(second.exit_code(), 130);
    first.gets(Signal::INT);
    assert_eq!(first.exit_code(), 130);
    assert_eq!(runs(&place), 1);
}

#[test]
fn no_cache_waits_for_nobody() {
    let place = Place::root();
    context(&place);
    place.write(
        "context/Dockerfile",
        counting("test $(wc -l < /c/log) -gt 1 || sleep 1000"),
    );
    let mut first = place.wiac(["build", "context"]).in_background();
    wait_until("the step runs", || runs(&place) == 1);
    let began = Instant::now();
    place
        .wiac(["build", "--no-cache", "context"])
        .succeeds()
        .never_complains("waiting");
    assert!(began.elapsed() < Duration::from_secs(10));
    first.gets(Signal::INT);
    assert_eq!(first.exit_code(), 130);
}
