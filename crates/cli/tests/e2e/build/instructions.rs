//! RUN, and the instructions that change the configuration.

use super::{context, result};
use crate::harness::Place;
use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt;

#[test]
fn variables() {
    let place = Place::root();
    context(&place);
    let dockerfile = "ARG BASE=scratch\nFROM $BASE\nARG BASE\nCOPY root /\nARG COLOUR=red\nARG UNSET\nENV SIZE=large\nENV COLOUR_TOO=${COLOUR}-ish SIZE_TOO=${SIZE:-small} NONE=${UNSET:-nothing}\n\
        RUN echo \"$COLOUR $COLOUR_TOO $SIZE_TOO $NONE $BASE\" > /x\nENV A=1\nENV A=2 B=$A\nRUN echo $A $B >> /x\n";
    place.build("context", dockerfile).args(["-t", "result"]).succeeds();
    // ARG is for the build alone, ENV stays.
    place
        .wiac([
            "run",
            "result",
            "sh",
            "-c",
            "cat /x; echo \"[$COLOUR] [$COLOUR_TOO] [$B]\"",
        ])
        .succeeds()
        .says("red red-ish large nothing scratch\n2 1\n[] [red-ish] [1]");
    place
        .wiac(["build", "--build-arg", "COLOUR=blue", "-t", "result", "context"])
        .succeeds();
    place
        .wiac(["run", "result", "cat", "/x"])
        .succeeds()
        .says("blue blue-ish large nothing scratch\n2 1");
    place
        .wiac(["build", "--build-arg", "COLOUR", "-t", "result", "context"])
        .env("COLOUR", "green")
        .succeeds();
    place
        .wiac(["run", "result", "head", "-n", "1", "/x"])
        .succeeds()
        .says("green green-ish large nothing scratch");
    // ENV counts before ARG.
    let shadowed = "FROM scratch\nCOPY root /\nENV V=env\nARG V=arg\nRUN echo $V > /x\n";
    place
        .build("context", shadowed)
        .args(["--build-arg", "V=given", "-t", "result"])
        .succeeds();
    place.wiac(["run", "result", "cat", "/x"]).succeeds().says("env");
    place
        .wiac(["build", "--build-arg", "TYPO=1", "context"])
        .succeeds()
        .complains(&["no ARG declares", "TYPO"]);
}

#[test]
fn what_is_empty_without_its_variables_changes_nothing() {
    let place = Place::root();
    let made = result(
        &place,
        "ARG UNSET\nWORKDIR /srv\nWORKDIR $UNSET\nUSER ann\nUSER $UNSET\nRUN echo $(pwd) $(id -u) > /x\n",
        "cat /x; pwd; id -u",
    );
    assert_eq!(made, "/srv 0\n/srv\n0\n");
}

#[test]
fn a_step_is_called_the_same_on_every_machine() {
    let place = Place::root();
    let steps = "RUN hostname > /x; (env | grep HOSTNAME || echo none) >> /x; grep buildkitsandbox /etc/hosts /etc/hostname >> /x\n\
        RUN --network=none hostname >> /x; (env | grep HOSTNAME || echo none) >> /x\nENV HOSTNAME=mine\nRUN echo $HOSTNAME >> /x\n";
    assert_eq!(
        result(&place, steps, "cat /x"),
        "buildkitsandbox\nnone\n/etc/hosts:127.0.0.1\tbuildkitsandbox\n/etc/hostname:buildkitsandbox\n\
         buildkitsandbox\nnone\nmine\n"
    );
}

#[test]
fn root_is_known_without_passwd() {
    let place = Place::root();
    place.write("context/file", "x");
    let dockerfile =
        "FROM scratch\nCOPY --chown=root:root file /a\nCOPY --chown=5:root file /b\nUSER root\nWORKDIR /c\n";
    let chain = place.build("context", dockerfile).succeeds();
    let owners = |path: &str| {
        let mut layers = chain.text().split(':').map(|layer| place.path(layer).join(path));
        let there = layers.find(|path| path.exists()).expect("it is in a layer");
        let meta = std::fs::metadata(there).expect("it can be looked at");
        (meta.uid(), meta.gid())
    };
    assert_eq!([owners("a"), owners("b"), owners("c")], [(0, 0), (5, 0), (0, 0)]);
    place
        .build("context", "FROM scratch\nCOPY --chown=rot file /a\n")
        .fails(1)
        .complains(&["Dockerfile:2", "no user \"rot\""]);
}

#[test]
fn shells_labels_and_forms_of_run() {
    let place = Place::root();
    let made = result(
        &place,
        "LABEL version=\"1.0\" \"with space\"=yes\nRUN [\"/bin/sh\", \"-c\", \"echo $0 exec > /x\"]\nSHELL [\"/bin/sh\", \"-eu\", \"-c\"]\nRUN echo $- >> /x; false || echo after >> /x\nUSER ann\nRUN id -u > /tmp-x || true\nWORKDIR /srv/deep\nWORKDIR er\nUSER root\nRUN pwd >> /x\nEXPOSE 80/tcp\nVOLUME /data\nSTOPSIGNAL SIGINT\nHEALTHCHECK NONE\nMAINTAINER nobody\n",
        "cat /x; pwd; stat -c %u:%g:%a /srv/deep/er",
    );
    let lines: Vec<&str> = made.lines().collect();
    assert_eq!(lines[0], "/bin/sh exec");
    assert!(lines[1].contains('e') && lines[1].contains('u'), "{made}");
    assert_eq!(lines[2..], ["after", "/srv/deep/er", "/srv/deep/er", "1000:1000:755"]);
    // A set -e shell ends at the first failure.
    place
        .build(
            "context",
            "FROM scratch\nCOPY root /\nSHELL [\"/bin/sh\", \"-e\", \"-c\"]\nRUN false; echo on > /x\n",
        )
        .fails(1)
        .complains(&["Dockerfile:4", "exit code 1"]);
}

#[test]
fn heredocs() {
    let place = Place::root();
    let made = result(
        &place,
        "ENV NAME=Ann\nRUN <<EOF\necho one > /x\necho \"two $NAME\" >> /x\nEOF\nRUN <<'EOF'\n#!/bin/sh\necho three $NAME >> /x\nEOF\nCOPY <<one <<two /files/\nI am $NAME\none\nliteral\ntwo\nCOPY <<'RAW' /raw\n$NAME stays\nRAW\nRUN cat <<EOF >> /x\nfour\nEOF\n",
        "cat /x /files/one /files/two /raw; stat -c %a /raw",
    );
    assert_eq!(
        made,
        "one\ntwo Ann\nthree Ann\nfour\nI am Ann\nliteral\n$NAME stays\n644\n"
    );
    place
        .build("context", "FROM scratch\nCOPY root /\nRUN <<EOF\nfalse\nexit 9\nEOF\n")
        .fails(1)
        .complains(&["Dockerfile:3", "exit code 9"]);
    place
        .build("context", "FROM scratch\nRUN <<EOF\nnever ended\n")
        .fails(1)
        .complains(&["Dockerfile:2", "EOF", "never ended"]);
}

#[test]
fn what_a_step_says_goes_to_standard_error() {
    let place = Place::root();
    context(&place);
    let said = place
        .build(
            "context",
            "FROM scratch\nCOPY root /\nRUN echo aloud; echo softly >&2; cat\n",
        )
        .stdin("not for it")
        .succeeds();
    assert_eq!(said.stdout.lines().count(), 1);
    said.complains(&["aloud", "softly", "RUN echo aloud"])
        .never_complains("not for it");
    // -q is quiet but for what fails.
    place
        .build("context", "FROM scratch\nCOPY root /\nRUN echo why; exit 3\n")
        .args(["-q"])
        .fails(1)
        .complains(&["why", "exit code 3", "Dockerfile:3"]);
    place
        .build(
            "context",
            "FROM scratch\nCOPY root /\nRUN echo chatter; echo more >&2\n",
        )
        .args(["-q"])
        .succeeds()
        .never_complains("chatter")
        .never_complains("more");
}

#[test]
fn steps_have_the_network_that_is_asked_for() {
    let place = Place::root();
    context(&place);
    place
        .build(
            "context",
            "FROM scratch\nCOPY root /\nRUN ls /sys/class/net > /all\nRUN --network=none ls /sys/class/net > /none\n",
        )
        .args(["-t", "result"])
        .succeeds();
    place.wiac(["run", "result", "cat", "/none"]).succeeds().says("lo");
    place
        .wiac(["build", "--network", "none", "-t", "result", "context"])
        .succeeds();
    place.wiac(["run", "result", "cat", "/all"]).succeeds().says("lo");
}

/// Devices as their vendors describe them (CDI), found as BuildKit finds them.
#[test]
fn devices_are_asked_for_by_name() {
    const SPECIFICATION: &str = r#"{"cdiVersion": "0.6.0", "kind": "example.com/dice", "devices": [{"name": "one",
        "containerEdits": {"env": ["DICE=yes"], "deviceNodes": [{"path": "/dev/dice", "hostPath": "/dev/urandom"}]}}]}"#;
    let place = Place::root();
    context(&place);
    place.write("cdi/dice.json", SPECIFICATION);
    let build = |run: &str, arguments: &[&str]| {
        let call = place.build("context", &format!("FROM scratch\nCOPY root /\nRUN --device={run}\n"));
        call.env("WIAC_CDI_DIRECTORY", place.path("cdi")).args(arguments)
    };
    let throw = "example.com/dice=one test -c /dev/dice -a \"$DICE\" = yes";
    build(throw, &[])
        .fails(1)
        .complains(&["Dockerfile:3", "isn't allowed", "--allow device"]);
    build(throw, &["--allow", "device"]).succeeds();
    place.write(
        "cdi/dice.json",
        SPECIFICATION.replace("DICE=yes", "DICE=yes\", \"SIDES=6"),
    );
    let again = build(throw, &["--allow", "device", "--explain"]).succeeds();
    again.complains(&["the device example.com/dice=one"]);
    // Neither is there when the image runs.
    let gone = "example.com/dice true\nRUN test ! -e /dev/dice -a -z \"$DICE\"";
    build(gone, &["--allow", "device"]).succeeds();
    build("nvidia.com/gpu true", &[])
        .succeeds()
        .complains(&["nvidia.com/gpu", "does without it"]);
    let missing = build("nvidia.com/gpu,required true", &["--allow", "device"]).fails(1);
    missing.complains(&["Dockerfile:3", "nvidia.com/gpu", "not registered", "/etc/cdi"]);
}

#[test]
fn two_thousand_instructions() {
    let place = Place::root();
    context(&place);
    let mut dockerfile = "FROM scratch\nCOPY root /\n".to_owned();
    for number in 0..2000 {
        let _ = match number % 50 {
            0 => writeln!(dockerfile, "RUN echo $V{} >> /log", number - 1),
            _ => writeln!(dockerfile, "ENV V{number}={number}"),
        };
    }
    dockerfile = dockerfile.replace("$V-1", "begun");
    place.build("context", &dockerfile).args(["-t", "long"]).succeeds();
    place
        .wiac(["run", "long", "sh", "-c", "wc -l < /log; tail -n 1 /log; echo $V1999"])
        .succeeds()
        .says("40\n1949\n1999");
    let again = place.wiac(["build", "context"]).succeeds();
    assert_eq!(again.stderr.matches(" unchanged\n").count(), 42);
}

#[test]
fn the_dockerfile_is_looked_for_here_and_then_in_the_context() {
    let place = Place::root();
    place.write("context/file", "x");
    place.write("context/other/Other", "FROM scratch\nCOPY . /inside\n");
    place.write("context/other/Other.dockerignore", "other\n");
    let build = || place.wiac(["build", "-f", "other/Other", "context"]);
    let chain = build().succeeds();
    assert_eq!(place.tree(chain.text()), ["inside", "inside/file"]);
    place.write("other/Other", "FROM scratch\nCOPY file /here\n");
    let chain = build().succeeds();
    assert_eq!(place.tree(chain.text()), ["here"]);
    place
        .wiac(["build", "-f", "none", "context"])
        .fails(1)
        .complains(&["can't read none"]);
}
