//! What can be wrong with what wiac is given, and what it says then.

use crate::harness::call::{Call, Said};
use crate::harness::{Place, programs, tests_as, tools};
use std::path::Path;

/// Standard error is a message: short, without a panic, begun with the program's name.
fn is_a_message(said: &Said) {
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    assert!(said.stderr.starts_with("wiac: ") || said.stderr.contains("\nwiac: "), "{}", said.stderr);
    assert!(said.stderr.lines().count() < 12, "{}", said.stderr);
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

tests_as! {
    [root, user, single]
    fn lower_directories(place) {
        place.busybox("base");
        place.sh("./missing:./base", "./layer", "true").fails(125).complains(&["lower directory ./missing: No such file or directory"]);
        place.write("file", "");
        complains(place.sh("./base:./file", "./layer", "true"), 125, &["lower directory ./file", "it is a file, not a directory"]);
        place.symlink("loop", "loop");
        complains(place.sh("./loop", "./layer", "true"), 125, &["lower directory ./loop", "symbolic links"]);
        complains(place.sh("./base:", "./layer", "true"), 125, &["./base:"]);
        complains(place.sh("./base", "./file/layer", "true"), 125, &["file/layer", "Not a directory"]);
        assert!(!place.has("layer/container.json"), "nothing is recorded for what can't run");
    }

    [root, user]
    fn a_chain_that_contains_itself(place) {
        place.busybox("base");
        place.mkdir("layer/diff/inner");
        complains(place.sh("./layer/diff/inner:./base", "./layer", "true"), 125, &["one of the directories contains another"]);
        place.sh("./base:./base", "./other", "true").ends_with_any(&[0, 125]);
    }

    [user, single]
    fn what_the_user_may_not_read_or_write(place) {
        place.busybox("base");
        place.host("mkdir -m 0700 theirs && chown 0:0 theirs && mkdir -m 0755 roots && chown 0:0 roots").succeeds();
        complains(place.sh("./theirs/base", "./layer", "true"), 125, &["lower directory ./theirs/base", "Permission denied"]);
        complains(place.sh("./base", "./roots/layer", "true"), 125, &["roots/layer", "Permission denied"]);
        complains(place.wiac(["run", "bundle://sh"]).env("WIAC_DATA", place.path("roots/data")), 125, &["roots/data", "Permission denied"]);
        place.host("install -m 0600 -o 0 /dev/null secret; mkdir -p context; install -m 0600 -o 0 /dev/null context/secret").succeeds();
        complains(place.build("context", "FROM scratch\nCOPY secret /\n"), 1, &["Dockerfile:2", "secret", "Permission denied"]);
        complains(place.wiac(["bundle", "./secret", "target"]), 1, &["secret"]);
        place.host("chmod 700 context/secret").succeeds();
        complains(place.wiac(["copy", "layer1", "context/secret", "/"]), 1, &["secret", "Permission denied"]);
    }

    [root, user, single]
    fn commands_that_are_not_there(place) {
        complains(starts(place, "sl"), 127, &["sl is in no directory of PATH"]);
        complains(starts(place, "hostnme"), 127, &["hostnme is in no directory of PATH", "did you mean hostname?"]);
        complains(starts(place, "/bin/nothing"), 127, &["/bin/nothing does not exist"]);
        complains(starts(place, "/no/where/at/all"), 127, &["there is no /no"]);
        complains(starts(place, ""), 125, &["empty"]);
    }

    [root, user, single]
    fn scripts_that_can_not_start(place) {
        place.script("base/dos.sh", "#!/bin/sh\r\necho x\r\n");
        place.busybox("base2");
        complains(starts(place, "/dos.sh"), 127, &["/dos.sh", "carriage return", "Unix line ends"]);
        place.script("base/python.py", "#!/usr/bin/python3\nprint()\n");
        complains(starts(place, "/python.py"), 127, &["/python.py is a script for /usr/bin/python3", "does not exist"]);
        place.script("base/env.py", "#!/usr/bin/env python3\nprint()\n");
        complains(starts(place, "/env.py"), 127, &["/env.py"]);
        place.script("base/bom.sh", "\u{feff}#!/bin/sh\n");
        complains(starts(place, "/bom.sh"), 126, &["the #! of /bom.sh is not at its very beginning"]);
        place.script("base/text", "just text\n");
        complains(starts(place, "/text"), 126, &["neither an ELF program nor a script"]);
        place.script("base/empty", "");
        complains(starts(place, "/empty"), 126, &["/empty is empty"]);
    }

    [root, user, single]
    fn files_that_are_no_programs(place) {
        place.busybox("base");
        place.write("base/plain", "#!/bin/sh\necho x\n");
        complains(starts(place, "/plain"), 126, &["/plain is not executable", "chmod +x"]);
        complains(starts(place, "/bin"), 126, &["/bin is a directory, not a program"]);
        complains(starts(place, "/bin/sh/x"), 126, &["/bin/sh/x does not exist", "is not a directory"]);
        place.symlink("around", "base/around");
        complains(starts(place, "/around"), 126, &["/around is a symlink that leads back to itself"]);
        place.symlink("/nowhere", "base/dangling");
        complains(starts(place, "/dangling"), 127, &["/dangling is a symlink to /nowhere, which does not exist"]);
    }

    [root, user, single]
    fn programs_for_others(place) {
        let program = std::fs::read(tools::busybox()).expect("busybox");
        place.busybox("base");
        let with = |offset: usize, value: u8| { let mut copy = program.clone(); copy[offset] = value; copy };
        // e_machine: AArch64, then one that nobody has.
        std::fs::write(place.script("base/arm", ""), with(18, 183)).expect("written");
        complains(starts(place, "/arm"), 126, &["/arm is a program for", "64", "this machine is"]);
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

    [root, user]
    fn libraries_that_are_not_there(place) {
        place.compile_with(&[], programs::GREETER, "base/app");
        place.host("mkdir -p base/lib64 && cp /lib64/ld-linux-x86-64.so.2 base/lib64/").succeeds();
        complains(place.wiac(["run", "./base", "./layer", "/app"]), 127, &["/app lacks a library: libc.so.6", "looked in"]);
        // A build's step says the same.
        place.host("mkdir context && cp -r base context/root").succeeds();
        complains(place.build("context", "FROM scratch\nCOPY root /\nRUN [\"/app\"]\n"), 1, &["Dockerfile:3", "/app lacks a library: libc.so.6"]);
        complains(place.build("context", "FROM scratch\nCOPY root /\nRUN echo x\n"), 1, &["Dockerfile:3", "/bin/sh does not exist"]);
    }

    [root, user]
    fn a_volume_that_forbids_programs(place) {
        place.busybox("base");
        place.script("tools/run.sh", "#!/bin/sh\necho x\n");
        complains(place.wiac(["run", "-v", "./tools:/tools:noexec", "./base", "./layer", "/tools/run.sh"]), 126, &["/tools/run.sh", "noexec"]);
        // A program of a volume is looked for in the volume.
        place.write("tools/plain", "");
        complains(place.wiac(["run", "-v", "./tools:/tools", "./base", "./layer", "/tools/plain"]), 126, &["/tools/plain is not executable"]);
        complains(starts(place, "/dev/null"), 126, &["/dev/null is a device"]);
        complains(place.wiac(["run", "-v", "data:/x", "./base", "./layer", "true"]), 125, &["-v data:/x", "named volumes aren't there yet"]);
        complains(place.wiac(["run", "-v", "./tools:relative", "./base", "./layer", "true"]), 125, &["must begin with /"]);
        complains(place.wiac(["run", "-v", "./tools:/x:fast", "./base", "./layer", "true"]), 125, &["unknown option \"fast\""]);
    }

    [root, user, single]
    fn dockerfiles(place) {
        for (text, expected) in [
            (&b""[..], "the Dockerfile is empty"),
            (b"# nothing\n\n", "has no instructions"),
            (b"\x7fELF\x02\x01\x01\x00\x00", "not text in UTF-8"),
            (b"FROM scratch\nCOPPY a /\n", "did you mean COPY"),
            (b"FROM scratch\nWHATEVER a\n", "unknown instruction \"WHATEVER\""),
            (b"RUN true\n", "stands before the first FROM"),
            (b"ARG A=1\n", "no FROM instruction"),
            (b"FROM scratch\nCOPY --chwon=1 a /\n", "did you mean --chown"),
            (b"FROM scratch\nCOPY a\n", "COPY needs"),
            (b"FROM scratch\nENV a\n", "ENV"),
            (b"FROM scratch\nRUN true\n", "RUN needs a root with a program in it"),
            (b"FROM scratch AS a\nFROM scratch\nCOPY --from=c x /\n", "c"),
        ] {
            place.write("context/Dockerfile", text);
            let said = place.wiac(["build", "context"]).fails(1).complains(&[expected]);
            assert!(!said.stderr.contains("panicked") && said.stdout.is_empty(), "{said:?}");
        }
    }

    [root, user, single]
    fn sources_outside_of_the_context(place) {
        place.write("outside", "secret");
        place.mkdir("context");
        complains(place.build("context", "FROM scratch\nCOPY ../outside /\n"), 1, &["Dockerfile:2", "../outside", "COPY takes nothing from outside"]);
        place.symlink("../outside", "context/link");
        let said = place.build("context", "FROM scratch\nCOPY link /\n").ends_with_any(&[0, 1]);
        assert!(!said.stdout.is_empty() || said.stderr.contains("link"), "{said:?}");
        if let Some(layer) = said.stdout.trim().split(':').next().filter(|layer| !layer.is_empty()) {
            assert!(std::fs::read_to_string(Path::new(layer).join("link")).is_ok_and(|text| text != "secret") || Path::new(layer).join("link").is_symlink());
        }
        place.symlink("/etc", "context/directory");
        complains(place.build("context", "FROM scratch\nCOPY directory/shadow /\n"), 1, &["Dockerfile:2", "directory/shadow"]);
    }
}

/// A script that is run as root in a mount namespace of its own, with wiac and the place's data directory at hand.
fn privately(place: &Place, script: &str) -> Call {
    let wiac = tools::wiac().display().to_string();
    let script = format!("mount --make-rprivate /\n{script}");
    let call = Call::new(&tools::unshare(), place.dir()).args(["--mount", "bash", "-euc", &script]);
    call.env("WIAC", wiac).env("WIAC_DATA", place.data())
}

#[test]
fn upper_and_work_on_different_file_systems() {
    let place = Place::root();
    place.busybox("base");
    place.mkdir("layer/work");
    place.mkdir("layer/diff");
    let said = privately(&place, "mount -t tmpfs none layer/work; $WIAC run ./base ./layer true").fails(125);
    said.complains(&["layer/diff", "layer/work", "different file systems"]);
}

#[test]
fn a_file_system_that_can_not_carry_an_upper_directory() {
    let place = Place::root();
    place.busybox("base");
    let mount = "mkdir -p o/low o/up o/work o/merged; mount -t overlay none -o lowerdir=o/low,upperdir=o/up,workdir=o/work o/merged";
    let said = privately(&place, &format!("{mount}; $WIAC run ./base ./o/merged/layer true")).fails(125);
    is_a_message(&said);
    said.complains(&["o/merged/layer", "such as another overlay", "ext4, xfs, btrfs or tmpfs"]);
    let said = privately(&place, &format!("{mount}; cp -r base o/low/; printf 'FROM scratch\\nCOPY base /\\nRUN true\\n' > o/low/Dockerfile; WIAC_DATA=$PWD/o/merged/data $WIAC build o/low")).fails(1);
    said.complains(&["such as another overlay", "ext4, xfs, btrfs or tmpfs"]);
}

#[test]
fn a_read_only_place() {
    let place = Place::root();
    place.busybox("base");
    place.mkdir("ro");
    let said = privately(&place, "mount -t tmpfs -o ro none ro; $WIAC run ./base ./ro/layer true").fails(125);
    said.complains(&["ro/layer", "Read-only file system"]);
    let said = privately(&place, "mount -t tmpfs -o ro none ro; WIAC_DATA=$PWD/ro/data $WIAC run bundle://sh -- sh -c true").fails(125);
    said.complains(&["ro/data", "Read-only file system"]);
}

#[test]
fn an_overlay_that_is_not_permitted() {
    let place = Place::root();
    place.busybox("base");
    let wiac = tools::wiac();
    // Without the capability to mount, root is as powerless as anybody: say so, and what to do.
    let call = Call::new(Path::new("/usr/bin/setpriv"), place.dir()).args(["--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]);
    let said = call.arg(wiac).args(["run", "./base", "./layer", "true"]).env("WIAC_DATA", place.data()).fails(125);
    is_a_message(&said);
    said.complains(&["Operation not permitted"]);
}

#[test]
fn a_full_disk() {
    let place = Place::root();
    place.busybox("context/root");
    place.write("context/Dockerfile", "FROM scratch\nCOPY root /\nRUN cat /dev/zero > /big\n");
    place.mkdir("small");
    let script = "mount -t tmpfs -o size=6m none small; export WIAC_DATA=$PWD/small/data\n";
    let said = privately(&place, &format!("{script} $WIAC build context")).fails(1);
    said.complains(&["No space left on device", "Dockerfile:3"]);
    place.host("head -c 8388608 /dev/zero > context/root/large").succeeds();
    let said = privately(&place, &format!("{script} $WIAC build context || {{ code=$?; ls small/data/tmp small/data/layers; exit $code; }}")).fails(1);
    is_a_message(&said);
    said.says("small/data/layers:\n\nsmall/data/tmp:").complains(&["No space left on device", "Dockerfile:2"]);
    // Not even the data directory itself.
    let said = privately(&place, "mount -t tmpfs -o size=4k,nr_inodes=3 none small; WIAC_DATA=$PWD/small/data $WIAC run bundle://sh -- sh -c true").fails(125);
    said.complains(&["No space left on device"]);
}

#[test]
fn a_data_directory_that_is_not_ours() {
    let place = Place::root();
    place.write("foreign/file", "mine");
    let said = place.wiac(["images"]).env("WIAC_DATA", place.path("foreign")).fails(1);
    said.complains(&["foreign", "not empty and not a data directory of wiac", "WIAC_DATA"]);
    assert_eq!(place.tree("foreign"), ["file"]);
    place.wiac(["images"]).succeeds();
    place.write("data/format", "999\n");
    place.wiac(["images"]).fails(1).complains(&["999", "use the wiac that made it"]);
    place.write("plain", "");
    place.wiac(["images"]).env("WIAC_DATA", place.path("plain")).fails(1).complains(&["plain"]);
}

#[test]
fn the_data_directory_is_where_it_is_said_to_be() {
    let place = Place::root();
    place.wiac(["--data", "elsewhere", "run", "bundle://sh", "--", "sh", "-c", "echo fine"]).succeeds().says("fine");
    assert!(place.has("elsewhere/format") && !place.has("data"));
    // Without root and without being told, below the home directory.
    let place = Place::user();
    place.command(tools::wiac()).args(["images"]).succeeds();
    assert!(place.has(".local/share/wiac/format"));
    place.command(tools::wiac()).args(["images"]).env("XDG_DATA_HOME", place.path("xdg")).succeeds();
    assert!(place.has("xdg/wiac/format"));
}

#[test]
fn layers_that_went_missing() {
    let place = Place::root();
    place.image("app", "");
    place.host("rm -r data/layers/*").succeeds();
    place.wiac(["run", "app", "true"]).fails(125).complains(&["is missing; build or load the image again"]);
    // A build makes it again.
    place.wiac(["build", "-t", "app", "app-context"]).succeeds();
    place.wiac(["run", "app", "echo", "again"]).succeeds().says("again");
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
fn copies_that_make_no_sense() {
    let place = Place::root();
    place.write("file", "x");
    place.write("dir/inner", "x");
    complains(place.wiac(["copy", "layer", "missing", "/"]), 1, &["missing"]);
    complains(place.wiac(["copy", "layer", "fiel", "/"]), 1, &["did you mean file"]);
    complains(place.wiac(["copy", "layer", "file", "dir", "/a/b"]), 1, &["several sources need a directory"]);
    place.wiac(["copy", "layer", "file"]).fails(125);
}
