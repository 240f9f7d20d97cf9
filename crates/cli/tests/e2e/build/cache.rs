//! What is run again, and what isn't.

use super::{context, unchanged};
use crate::harness::{Place, as_users};

as_users!(what_ran_before_with_the_same_inputs_is_not_run_again: root, user, single);
fn what_ran_before_with_the_same_inputs_is_not_run_again(place: &Place) {
    context(place);
    place.write("context/file", "1");
    let dockerfile = "FROM scratch\nCOPY root /\nRUN echo first > /first\nCOPY file /file\nRUN date +%N > /last\n";
    let first = place.build("context", dockerfile).succeeds();
    assert_eq!(unchanged(&first.stderr)[1..], [false; 4]);
    let second = place.wiac(["build", "context"]).succeeds();
    assert_eq!(unchanged(&second.stderr)[1..], [true; 4]);
    assert_eq!(first.stdout, second.stdout);
    // Times aren't what a file is.
    place.host("touch -d '2001-01-01' context/file").succeeds();
    assert_eq!(place.wiac(["build", "context"]).succeeds().stdout, first.stdout);
    place.write("context/file", "2");
    let third = place.wiac(["build", "context"]).succeeds();
    assert_eq!(unchanged(&third.stderr)[1..], [true, true, false, false]);
    // What was before is remembered too.
    place.write("context/file", "1");
    assert_eq!(place.wiac(["build", "context"]).succeeds().stdout, first.stdout);
    place.chmod("context/file", 0o755);
    assert_eq!(
        unchanged(&place.wiac(["build", "context"]).succeeds().stderr)[1..],
        [true, true, false, false]
    );
}

as_users!(a_build_has_an_id: root, user);
fn a_build_has_an_id(place: &Place) {
    context(place);
    place.write("context/Dockerfile", "FROM scratch\nCOPY root /\nRUN echo 1 > /x\n");
    let first = place.wiac(["build", "-q", "context"]).succeeds();
    assert_eq!(first.stderr, "");
    assert_eq!(first.lines().len(), 1);
    assert_eq!(
        place.wiac(["build", "--quiet", "context"]).succeeds().stdout,
        first.stdout
    );
    place.write("context/Dockerfile", "FROM scratch\nCOPY root /\nRUN echo 2 > /x\n");
    assert_ne!(place.wiac(["build", "-q", "context"]).succeeds().stdout, first.stdout);
}

as_users!(no_cache_runs_every_step_and_what_builds_on_them: root, user);
fn no_cache_runs_every_step_and_what_builds_on_them(place: &Place) {
    context(place);
    let dockerfile = "FROM scratch\nCOPY root /\nRUN date +%N > /x\n";
    let first = place.build("context", dockerfile).succeeds();
    let second = place.wiac(["build", "--no-cache", "context"]).succeeds();
    assert_eq!(unchanged(&second.stderr)[1..], [false, false]);
    assert_ne!(first.stdout, second.stdout);
    assert_eq!(
        place.wiac(["build", "context"]).succeeds().stdout,
        second.stdout,
        "the newest counts"
    );
}

as_users!(failing_steps_are_shown_and_those_before_stay: root, user, single);
fn failing_steps_are_shown_and_those_before_stay(place: &Place) {
    context(place);
    let said = place.build("context", "FROM scratch\nCOPY root /\nRUN echo fine > /x\n\n# a comment\nRUN echo this is why; \\\n    exit 42\nRUN never\n").fails(1);
    said.complains(&["Dockerfile:6", "exit code 42", "this is why", "exit 42"]);
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
    let said = place
        .build(
            "context",
            "FROM scratch\nCOPY root /\nRUN echo fine > /x\n\n# a comment\nRUN echo this is better\nRUN test -e /x\n",
        )
        .succeeds();
    assert_eq!(unchanged(&said.stderr)[1..], [true, true, false, false]);
    assert!(
        said.stdout.lines().count() == 1,
        "standard output is for the chain alone: {}",
        said.stdout
    );
}

#[test]
fn a_build_argument_that_a_step_can_see_runs_it_again() {
    let place = Place::root();
    context(&place);
    let dockerfile = "FROM scratch\nCOPY root /\nRUN true\nARG V\nRUN echo $V > /x\n";
    place
        .build("context", dockerfile)
        .args(["--build-arg", "V=1"])
        .succeeds();
    let said = place.wiac(["build", "--build-arg", "V=2", "context"]).succeeds();
    assert_eq!(unchanged(&said.stderr).last(), Some(&false), "{}", said.stderr);
    assert!(unchanged(&said.stderr)[2], "{}", said.stderr);
}

/// Builds twice: the last step is carried out the first time, whatever was built before, and not the second.
#[track_caller]
fn assert_another_step(place: &Place, what: &str, options: &[&str]) {
    let last_is_unchanged = || {
        let said = place.wiac(["build", "context"]).args(options).succeeds();
        *unchanged(&said.stderr).last().expect("a step")
    };
    assert!(!last_is_unchanged(), "taken for another step: {what}");
    assert!(last_is_unchanged(), "not remembered: {what}");
}

/// None of these is what another one of them is, though all do the same.
#[test]
fn all_that_a_command_can_see_makes_another_step() {
    let place = Place::root();
    context(&place);
    place.write("context/sub/file", "");
    let variants = [
        "RUN true",
        "RUN [\"true\"]",
        "SHELL [\"/bin/sh\", \"-ec\"]\nRUN true",
        "RUN <<E\n#!/bin/sh\ntrue\nE",
        "RUN <<E\n#!/bin/sh\n\ntrue\nE",
        "RUN <<F\n#!/bin/sh\ntrue\nF",
        "ENV A=1\nRUN true",
        "ENV A=2\nRUN true",
        "ENV A=1 B=2\nRUN true",
        "USER ann\nRUN true",
        "USER ann:staff\nRUN true",
        "WORKDIR /etc\nRUN true",
        "RUN --network=none true",
        "RUN --mount=type=tmpfs,target=/a true",
        "RUN --mount=type=tmpfs,target=/b true",
        "RUN --mount=type=tmpfs,target=/a,size=1m true",
        "RUN --mount=type=cache,target=/a true",
        "RUN --mount=type=cache,target=/a,id=other true",
        "RUN --mount=type=bind,target=/a true",
        "RUN --mount=type=bind,target=/b true",
        "RUN --mount=type=bind,target=/a,rw true",
        "RUN --mount=type=bind,target=/a,source=sub true",
        "RUN --mount=type=secret,id=none true",
        "RUN --mount=type=secret,id=none,mode=0444 true",
    ];
    for variant in variants {
        place.write("context/Dockerfile", format!("FROM scratch\nCOPY root /\n{variant}\n"));
        assert_another_step(&place, variant, &[]);
    }
    place.write("context/Dockerfile", "FROM scratch\nCOPY root /\nRUN true\n");
    for options in [
        ["--add-host", "a:192.0.2.1"],
        ["--add-host", "a:192.0.2.2"],
        ["--shm-size", "1m"],
        ["--shm-size", "2m"],
        ["--ulimit", "nofile=100"],
        ["--ulimit", "nofile=101"],
        ["--network", "none"],
    ] {
        assert_another_step(&place, &options.join(" "), &options);
    }
}

#[test]
fn all_that_is_said_of_a_copy_makes_another_step() {
    let place = Place::root();
    place.write("context/file", "1");
    place.write("context/tree/sub/file", "1");
    let variants = [
        "COPY file /a",
        "COPY file /b",
        "COPY --chown=1 file /a",
        "COPY --chown=1:2 file /a",
        "COPY --chmod=600 file /a",
        "COPY --link file /a",
        "COPY --parents file /a",
        "COPY tree /a",
        "COPY --exclude=none tree /a",
        "COPY --exclude=other tree /a",
        "COPY tree/sub /a",
        "COPY file tree/sub /a/",
        "COPY <<a /a\n1\na",
        "COPY <<a /a\n2\na",
        "COPY <<b <<c /a/\n1\nb\n2\nc",
        "COPY <<b <<c /a/\n12\nb\n\nc",
        "ADD file /a",
    ];
    for variant in variants {
        place.write("context/Dockerfile", format!("FROM scratch\n{variant}\n"));
        assert_another_step(&place, variant, &[]);
    }
    place.write("context/Dockerfile", "FROM scratch\nCOPY tree /a\n");
    for change in [
        "chmod 700 sub",
        "chmod 600 sub/file",
        "mv sub/file sub/renamed",
        "mkdir empty",
        "mv empty sub/",
        "ln -s sub link",
        "ln -sfn other link",
        "rm link; echo -n other > link",
        "setfattr -n user.x -v 1 sub/renamed",
        "setfattr -n user.x -v 2 sub/renamed",
        "setfattr -n user.y -v 1 sub",
        "setfattr -n user.y -v 2 sub",
        "rm link",
    ] {
        place.host(&format!("cd context/tree && {change}")).succeeds();
        assert_another_step(&place, change, &[]);
    }
}

#[test]
fn two_builds_at_once_get_along() {
    let place = Place::root();
    context(&place);
    place.write(
        "context/Dockerfile",
        "FROM scratch\nCOPY root /\nRUN echo 1 > /x\nRUN echo 2 > /y\n",
    );
    std::thread::scope(|scope| {
        for number in 0..6 {
            let place = &place;
            scope.spawn(move || {
                let name = format!("image{number}");
                place.wiac(["build", "-t", &name, "context"]).succeeds();
                place.wiac(["run", &name, "cat", "/x", "/y"]).succeeds().says("1\n2");
            });
        }
    });
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
}
