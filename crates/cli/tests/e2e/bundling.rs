//! `wiac bundle` beyond what the articles do: scripts, sets of files that programs load unasked, further files.

use crate::bad_input::privately;
use crate::harness::{Place, as_users, programs};

as_users!(scripts_bring_their_interpreters: root, user);
fn scripts_bring_their_interpreters(place: &Place) {
    place.script("hello", "#!/bin/sh\necho hello\n");
    place.script("by-env", "#!/usr/bin/env bash\necho \"${BASH_VERSION:+bash}\"\n");
    place.mkdir("target/srv");
    place.host("cp -p hello by-env target/srv/").succeeds();
    place.wiac(["bundle", "./hello", "./by-env", "target"]).succeeds();
    place
        .wiac(["run", "./target", "./layer", "/srv/hello"])
        .succeeds()
        .says("hello");
    place
        .wiac(["run", "./target", "./layer", "/srv/by-env"])
        .succeeds()
        .says("bash");
}

as_users!(further_files_come_along: root, user);
fn further_files_come_along(place: &Place) {
    place
        .wiac([
            "bundle",
            "bash",
            "cat",
            "--add",
            "/etc/debian_version",
            "--add",
            "/usr/bin/ls",
            "target",
        ])
        .succeeds();
    let version = std::fs::read_to_string("/etc/debian_version").expect("Debian's");
    place
        .wiac(["run", "./target", "./layer", "cat", "/etc/debian_version"])
        .succeeds()
        .says(&version);
    place
        .wiac(["run", "./target", "./layer", "ls", "/usr/bin"])
        .succeeds()
        .says("bash\ncat\nls");
}

// Relative paths start where the caller is, and what leads nowhere is said in words.
as_users!(paths_start_in_the_working_directory: root, user);
fn paths_start_in_the_working_directory(place: &Place) {
    place.script("mine", "#!/bin/sh\n");
    place.script("dos", "#!/bin/sh\r\n");
    place.write("notes", "mine\n");
    place.wiac(["bundle", "sh", "--add", "./notes", "target"]).succeeds();
    let copied = format!("target{}", place.shown("notes"));
    assert_eq!(std::fs::read_to_string(place.path(&copied)).expect("a copy"), "mine\n");
    for (words, said) in [
        (&["mine"][..], "for the file in this directory write ./mine"),
        (&["./dos"], "ends with a carriage return"),
        (&["./nosuch"], "/nosuch does not exist"),
        (&["./notes/x"], "/notes is not a directory"),
        (&["sh", "--add", "./nosuch"], "/nosuch does not exist"),
        (
            &["sh", "--root", "./nosuch"],
            "--root ./nosuch: No such file or directory",
        ),
    ] {
        let words = ["bundle", "--list"].iter().chain(words);
        place.wiac(words).fails(1).complains(&[said]);
    }
}

as_users!(names_in_a_reference_are_looked_up_where_everybody_finds_them: root, user);
fn names_in_a_reference_are_looked_up_where_everybody_finds_them(place: &Place) {
    place.script("private/true", "#!/bin/sh\necho mine\n");
    let path = format!("{}:/usr/bin:/bin", place.shown("private"));
    place
        .wiac(["run", "bundle://true,sh", "--", "true"])
        .env("PATH", path)
        .succeeds()
        .says("");
    place
        .wiac(["run", "bundle://sh,nosuch", "--", "sh"])
        .fails(125)
        .complains(&["nosuch"]);
    place
        .wiac(["run", "bundle://,", "--", "sh"])
        .fails(125)
        .complains(&["a program has no name"]);
}

#[test]
fn sets_are_what_programs_load_unasked() {
    let place = Place::root();
    place
        .wiac([
            "bundle",
            "--with",
            "nss,tzdata",
            // Users are no part of a set, and not every machine has a module that makes root up.
            "--add",
            "/etc/passwd",
            "bash",
            "id",
            "date",
            "target",
        ])
        .succeeds();
    place
        .wiac(["run", "./target", "./layer", "id", "-un"])
        .succeeds()
        .says("root");
    place
        .wiac([
            "run",
            "-e",
            "TZ=Asia/Tokyo",
            "./target",
            "./layer",
            "date",
            "-d",
            "@0",
            "+%H:%M",
        ])
        .succeeds()
        .says("09:00");
    place
        .wiac(["bundle", "--with", "nonsense", "bash", "target"])
        .fails(125)
        .complains(&["nss, certs and tzdata"]);
}

#[test]
fn a_bundle_can_be_added_to_and_made_again() {
    let place = Place::root();
    place.wiac(["bundle", "bash", "target"]).succeeds();
    place.write("target/etc/mine", "kept");
    place.wiac(["bundle", "bash", "ls", "target"]).succeeds();
    assert_eq!(place.read("target/etc/mine"), "kept");
    place.write("plain", "");
    place.wiac(["bundle", "bash", "plain"]).fails(1).complains(&["plain"]);
}

#[test]
fn a_bundle_that_is_cut_off_leaves_directories_that_others_can_enter() {
    let place = Place::root();
    let script = "mkdir small; mount -t tmpfs -o size=1m none small; umask 077; $WIAC bundle bash small || echo $?; \
                  find small -mindepth 1 -type d | wc -l; find small -mindepth 1 -type d ! -perm 755";
    let said = privately(&place, script)
        .succeeds()
        .complains(&["No space left on device"]);
    let lines = said.lines();
    assert_eq!(lines[0], "1");
    assert!(lines[1] != "0" && lines.len() == 2, "{lines:?}");
}

#[test]
fn what_cannot_be_looked_at_is_not_left_out() {
    let place = Place::user();
    place.write("listed/file", "");
    place.host("chmod 600 listed").succeeds();
    place
        .wiac(["bundle", "--add", "./listed", "bash", "target"])
        .fails(1)
        .complains(&["listed/file", "Permission denied"]);
}

#[test]
fn static_programs_come_alone() {
    let place = Place::root();
    for (name, options) in [("fixed", &["-static"][..]), ("movable", &["-static-pie"])] {
        place.compile_with(options, programs::GREETER, name);
        place
            .wiac(["bundle", &format!("./{name}"), &format!("target-{name}")])
            .succeeds();
        let files = place.host(&format!("find target-{name} -type f | wc -l")).succeeds();
        assert_eq!(files.text(), "1", "{name}");
    }
}

#[test]
fn libraries_are_found_as_the_loader_finds_them() {
    let place = Place::root();
    place.wiac(["bundle", "bash", "first"]).succeeds();
    place.compile_with(
        &["-shared", "-fPIC", "-Wl,-soname,libanswer.so.1"],
        "int answer(void) { return 42; }\n",
        "first/opt/lib/libanswer.so.1",
    );
    let library = place.shown("first/opt/lib/libanswer.so.1");
    place.compile_with(
        &[&library, "-Wl,-rpath,$ORIGIN/../lib"],
        "int answer(void);\nint main(void) { return answer(); }\n",
        "first/opt/bin/app",
    );
    // $ORIGIN is where the program lies, in the bundle as where it comes from.
    place
        .wiac(["bundle", "--root", "first", "--list", "/opt/bin/app"])
        .succeeds()
        .mentions("libanswer.so.1 => /opt/lib/libanswer.so.1");
    place
        .wiac(["bundle", "--root", "first", "/opt/bin/app", "second"])
        .succeeds()
        .complains(&[
            "/opt/bin/app finds libraries by its own place ($ORIGIN)",
            "mkdir second/proc && mount",
        ]);
    place.wiac(["run", "./second", "./layer", "/opt/bin/app"]).fails(42);
    place.host("chroot second /opt/bin/app").fails(127);
    let with_proc = "mkdir second/proc && mount -t proc proc second/proc && chroot second /opt/bin/app";
    place.host(&format!("unshare --mount bash -c '{with_proc}'")).fails(42);
}
