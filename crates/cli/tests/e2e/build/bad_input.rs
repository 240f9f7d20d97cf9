//! What a Dockerfile and its context can get wrong, and what is much.

use super::context;
use crate::harness::{Place, as_users};
use std::fmt::Write as _;

#[test]
fn errors_point_at_their_place() {
    let place = Place::root();
    context(&place);
    place.write("context/notes.txt", "x");
    for (dockerfile, expected) in [
        (
            "FROM scratch\nCOPPY a b\n",
            &["Dockerfile:2:1", "COPPY", "did you mean COPY", "2 | COPPY a b"][..],
        ),
        (
            "FROM scratch\nCOPY --chwon=1 root /\n",
            &["Dockerfile:2:6", "chwon", "did you mean"][..],
        ),
        (
            "FROM scratch AS a\nFROM b AS b\nCOPY --from=c / /\nFROM a AS c\nCOPY --from=b / /\n",
            &["Dockerfile:5:13", "stages depend on each other"][..],
        ),
        ("FROM a AS b\nFROM b AS a\nCOPY --from=a / /\n", &["a"][..]),
        (
            "FROM scratch\nCOPY note.txt /\n",
            &["Dockerfile:2", "note.txt", "did you mean notes.txt"][..],
        ),
        (
            "FROM scratch\nRUN --mount=type=bnid,target=/x true\n",
            &["Dockerfile:2:13", "bnid", "did you mean bind"][..],
        ),
        ("FROM scratch\nCOPY [\"a\", \n", &["Dockerfile:2"][..]),
        ("FROM scratch\nENV A=${B\n", &["Dockerfile:2:7", "closing"][..]),
        ("FROM scratch\nCOPY --from=9 / /\n", &["Dockerfile:2:13", "9"][..]),
        (
            "FROM scratch\nCOPY root /\nCOPY --chown=nobody-there root /\n",
            &["Dockerfile:3", "nobody-there"][..],
        ),
        ("COPY a b\n", &["Dockerfile:1", "FROM"][..]),
        ("", &["Dockerfile"][..]),
    ] {
        place.build("context", dockerfile).fails(1).complains(expected);
    }
    place
        .build("context", "FROM scratch AS build\nFROM scratch\n")
        .args(["--target", "biuld"])
        .fails(1)
        .complains(&["biuld", "did you mean build"]);
}

#[test]
fn a_mistyped_stage_is_not_only_an_image_that_is_not_there() {
    let place = Place::root();
    for line in [
        "FROM biulder",
        "FROM scratch\nCOPY --from=biulder / /",
        "FROM bundle://sh\nRUN --mount=from=biulder,target=/x true",
    ] {
        place
            .build("context", &format!("FROM scratch AS builder\n{line}\n"))
            .arg("--pull=never")
            .fails(1)
            .complains(&["no image is called \"biulder\"", "did you mean the stage builder?"]);
    }
}

#[test]
fn nothing_is_attested() {
    let place = Place::root();
    let build = || place.build("context", "FROM bundle://sh\n");
    build().args(["--provenance=false", "--sbom", "false"]).succeeds();
    build()
        .arg("--provenance=mode=max")
        .fails(125)
        .complains(&["--provenance", "attestations aren't there yet"]);
}

as_users!(what_can_t_be_copied_is_named: root, user);
fn what_can_t_be_copied_is_named(place: &Place) {
    context(place);
    place.mkdir("context/files");
    place.host("mkfifo context/files/pipe").succeeds();
    place
        .build("context", "FROM scratch\nCOPY files /\n")
        .fails(1)
        .complains(&["Dockerfile:2", "files/pipe", "FIFO", ".dockerignore"]);
    place.host("rm context/files/pipe && python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"context/files/socket\")' || perl -MSocket -e 'socket(S,PF_UNIX,SOCK_STREAM,0); bind(S, sockaddr_un(\"context/files/socket\"))'").succeeds();
    place
        .build("context", "FROM scratch\nCOPY files /\n")
        .fails(1)
        .complains(&["files/socket"]);
    place.write("context/.dockerignore", "files/socket\n");
    place.build("context", "FROM scratch\nCOPY files /\n").succeeds();
    // A symlink leads nowhere outside of the context.
    place.symlink("../../../../../../etc/hostname", "context/out");
    place.symlink("/etc/hostname", "context/absolute");
    for name in ["out", "absolute"] {
        place
            .build("context", &format!("FROM scratch\nCOPY {name} /\n"))
            .fails(1)
            .complains(&[
                "Dockerfile:2",
                name,
                "is a symlink to",
                "isn't there in the build context",
            ]);
    }
    if !place.is_root() {
        place.write("context/closed", "x");
        place
            .host("chown root context/closed && chmod 600 context/closed")
            .succeeds();
        place
            .build("context", "FROM scratch\nCOPY closed /\n")
            .fails(1)
            .complains(&["Dockerfile:2", "closed", "ermission denied"]);
    }
}

#[test]
fn two_thousand_instructions() {
    let place = Place::root();
    context(&place);
    let mut dockerfile = "FROM scratch\nCOPY root /\n".to_owned();
    for number in 0..1000 {
        let _ = writeln!(
            dockerfile,
            "ARG A{number}=$A{}x\nENV V{number}=$A{number}",
            number.max(1) - 1
        );
        if number % 100 == 0 {
            let _ = writeln!(dockerfile, "COPY <<E /f{number}\n$V{number}\nE");
        }
    }
    let began = std::time::Instant::now();
    place.build("context", &dockerfile).succeeds();
    place.build("context", &dockerfile).succeeds();
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

#[test]
fn many_files() {
    let place = Place::root();
    place
        .host("mkdir -p context && cd context && for d in $(seq 100); do mkdir $d && (cd $d && seq 200 | split -l 1 -a 3 - f); done")
        .succeeds();
    let first = place
        .build("context", "FROM scratch\nCOPY . /\n")
        .args(["-t", "result"])
        .succeeds();
    let began = std::time::Instant::now();
    assert_eq!(place.wiac(["build", "context"]).succeeds().stdout, first.stdout);
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

#[test]
fn a_base_without_the_value_of_its_argument_says_which() {
    let place = Place::root();
    place.mkdir("context");
    for (dockerfile, said) in [
        ("ARG BASE\nFROM $BASE\n", "expands to nothing"),
        ("ARG BASE\nFROM here:$BASE-slim\n", "no image is called \"here:-slim\""),
        ("FROM here:${BASE}\nARG BASE=1\n", "no image is called \"here:\""),
        ("ARG BASE\nFROM --platform=linux/$BASE scratch\n", "platform \"linux/\""),
        ("ARG BASE\nFROM --platform=$BASE scratch\n", "expands to nothing"),
    ] {
        let help = "BASE has no value: pass --build-arg BASE=VALUE";
        place.build("context", dockerfile).fails(1).complains(&[said, help]);
    }
    place
        .build("context", "ARG BASE=none\nFROM here:$BASE\n")
        .fails(1)
        .complains(&["here:none", "name one that is here"]);
}
