//! Commands that can't be started: the message says why.

use super::{complains, starts};
use crate::harness::{Place, as_users, programs, tools};

as_users!(commands_that_are_not_there: root, user, single);
fn commands_that_are_not_there(place: &Place) {
    complains(starts(place, "sl"), 127, &["sl is in no directory of PATH"]);
    complains(
        starts(place, "hostnme"),
        127,
        &["hostnme is in no directory of PATH", "did you mean hostname?"],
    );
    complains(starts(place, "/bin/nothing"), 127, &["/bin/nothing does not exist"]);
    complains(starts(place, "/no/where/at/all"), 127, &["there is no /no"]);
    complains(starts(place, ""), 125, &["empty"]);
    complains(
        starts(place, "ls -l"),
        127,
        &["ls -l is in no directory of PATH", "one word with spaces in it"],
    );
    complains(
        starts(place, "-v"),
        127,
        &[
            "-v is in no directory of PATH",
            "wiac's options stand before the image or the directories",
        ],
    );
}

as_users!(scripts_that_can_not_start: root, user, single);
fn scripts_that_can_not_start(place: &Place) {
    place.script("base/dos.sh", "#!/bin/sh\r\necho x\r\n");
    place.busybox("base2");
    complains(
        starts(place, "/dos.sh"),
        127,
        &["/dos.sh", "carriage return", "Unix line ends"],
    );
    place.script("base/python.py", "#!/usr/bin/python3\nprint()\n");
    complains(
        starts(place, "/python.py"),
        127,
        &["/python.py is a script for /usr/bin/python3", "does not exist"],
    );
    place.script("base/env.py", "#!/usr/bin/env python3\nprint()\n");
    complains(starts(place, "/env.py"), 127, &["/env.py"]);
    place.script("base/bom.sh", "\u{feff}#!/bin/sh\n");
    complains(
        starts(place, "/bom.sh"),
        126,
        &["the #! of /bom.sh is not at its very beginning"],
    );
    place.script("base/text", "just text\n");
    complains(starts(place, "/text"), 126, &["neither an ELF program nor a script"]);
    place.script("base/empty", "");
    complains(starts(place, "/empty"), 126, &["/empty is empty"]);
}

as_users!(files_that_are_no_programs: root, user, single);
fn files_that_are_no_programs(place: &Place) {
    place.busybox("base");
    place.write("base/plain", "#!/bin/sh\necho x\n");
    complains(starts(place, "/plain"), 126, &["/plain is not executable", "chmod +x"]);
    complains(starts(place, "/bin"), 126, &["/bin is a directory, not a program"]);
    complains(
        starts(place, "/bin/sh/x"),
        126,
        &["/bin/sh/x does not exist", "is not a directory"],
    );
    place.symlink("around", "base/around");
    complains(
        starts(place, "/around"),
        126,
        &["/around is a symlink that leads back to itself"],
    );
    place.symlink("/nowhere", "base/dangling");
    complains(
        starts(place, "/dangling"),
        127,
        &["/dangling is a symlink to /nowhere, which does not exist"],
    );
}

as_users!(programs_for_others: root, user, single);
fn programs_for_others(place: &Place) {
    let program = std::fs::read(tools::busybox()).expect("busybox");
    place.busybox("base");
    let with = |offset: usize, value: u8| {
        let mut copy = program.clone();
        copy[offset] = value;
        copy
    };
    // e_machine: AArch64, then one that nobody has.
    std::fs::write(place.script("base/arm", ""), with(18, 183)).expect("written");
    complains(
        starts(place, "/arm"),
        126,
        &["/arm is a program for", "64", "this machine is"],
    );
    std::fs::write(place.script("base/short", ""), &program[..100]).expect("written");
    complains(starts(place, "/short"), 126, &["/short is a damaged program"]);
    std::fs::write(place.script("base/tiny", ""), &program[..10]).expect("written");
    complains(starts(place, "/tiny"), 126, &["/tiny"]);
    // e_phoff far behind the end.
    std::fs::write(place.script("base/lying", ""), with(38, 0x7f)).expect("written");
    complains(starts(place, "/lying"), 126, &["/lying is a damaged program"]);
    complains(place.wiac(["bundle", "base/lying", "target"]), 1, &["lying"]);
    complains(place.wiac(["bundle", "base/short", "target"]), 1, &["short"]);
}

as_users!(libraries_that_are_not_there: root, user);
fn libraries_that_are_not_there(place: &Place) {
    place.compile_with(&[], programs::GREETER, "base/app");
    place
        .host("mkdir -p base/lib64 && cp /lib64/ld-linux-x86-64.so.2 base/lib64/")
        .succeeds();
    complains(
        place.wiac(["run", "./base", "./layer", "/app"]),
        127,
        &["/app lacks a library: libc.so.6", "looked in"],
    );
    // A build's step says the same.
    place.host("mkdir context && cp -r base context/root").succeeds();
    complains(
        place.build("context", "FROM scratch\nCOPY root /\nRUN [\"/app\"]\n"),
        1,
        &["Dockerfile:3", "/app lacks a library: libc.so.6"],
    );
    complains(
        place.build("context", "FROM scratch\nCOPY root /\nRUN echo x\n"),
        1,
        &["Dockerfile:3", "/bin/sh does not exist"],
    );
}

as_users!(a_volume_that_forbids_programs: root, user);
fn a_volume_that_forbids_programs(place: &Place) {
    place.busybox("base");
    place.script("tools/run.sh", "#!/bin/sh\necho x\n");
    complains(
        place.wiac([
            "run",
            "-v",
            "./tools:/tools:noexec",
            "./base",
            "./layer",
            "/tools/run.sh",
        ]),
        126,
        &["/tools/run.sh", "noexec"],
    );
    // A program of a volume is looked for in the volume.
    place.write("tools/plain", "");
    complains(
        place.wiac(["run", "-v", "./tools:/tools", "./base", "./layer", "/tools/plain"]),
        126,
        &["/tools/plain is not executable"],
    );
    complains(starts(place, "/dev/null"), 126, &["/dev/null is a device"]);
    complains(
        place.wiac(["run", "-v", "data:/x", "./base", "./layer", "true"]),
        125,
        &["-v data:/x", "named volumes aren't there yet"],
    );
    complains(
        place.wiac(["run", "-v", "./tools:relative", "./base", "./layer", "true"]),
        125,
        &["must begin with /"],
    );
    complains(
        place.wiac(["run", "-v", "./tools:/x:fast", "./base", "./layer", "true"]),
        125,
        &["unknown option \"fast\""],
    );
}

#[test]
fn names_with_control_characters_are_shown_harmlessly() {
    let place = Place::root();
    place.busybox("base");
    for name in ["\u{1b}[31mred", "two\nlines"] {
        let said = place.wiac(["run", "./base", "./layer", name]).fails(127);
        assert!(!said.stderr.contains('\u{1b}'), "{:?}", said.stderr);
    }
}

#[test]
fn words_that_are_too_long() {
    let place = Place::root();
    let long = "x".repeat(60_000);
    place.image("app", &format!("ENV A={long}\nENV LONG=$A$A$A"));
    complains(
        place.wiac(["run", "app", "true"]),
        126,
        &["true: the variable LONG has 180005 bytes", "131071 at most"],
    );
    place.image("many", &format!("ENV A={long}\nENV B=$A C=$A"));
    place.wiac(["run", "many", "true"]).succeeds();
    complains(
        place.wiac(["run", "many", "true"]).after("ulimit -s 512"),
        126,
        &["true: arguments and variables have 180", "bytes together"],
    );
}

#[test]
fn a_program_that_ran_is_not_said_to_be_missing() {
    let place = Place::root();
    place.image("app", "");
    place.script("own/script", "#!/bin/sh\nexit 127\n");
    for words in [
        &["-v", "./own/script:/script", "app", "/script"][..],
        &["-v", "./own:/own", "app", "/own/script"],
        &["app", "sh", "-c", "exit 127"],
    ] {
        let said = place.wiac(["run"]).args(words).fails(127);
        assert_eq!(said.stderr, "", "{words:?}");
    }
}
