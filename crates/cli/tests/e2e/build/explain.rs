//! `build --explain`: for each step why it was carried out or not.

use super::context;
use crate::harness::{Place, as_users};

/// What is said of the steps that make layers, in the order of the Dockerfile.
fn reasons(place: &Place, dockerfile: &str, arguments: &[&str]) -> Vec<String> {
    let said = place
        .build("context", dockerfile)
        .arg("--explain")
        .args(arguments)
        .succeeds();
    let lines = said.stderr.lines().filter_map(|line| line.split_once(" why: "));
    let mut numbered: Vec<(usize, String)> = lines
        .map(|(number, reason)| (number[1..].parse().expect("a number"), reason.to_owned()))
        .collect();
    numbered.sort();
    numbered.into_iter().map(|(_, reason)| reason).collect()
}

const DOCKERFILE: &str =
    "FROM scratch\nCOPY root /\nCOPY src /src\nARG VERSION\nRUN echo $VERSION > /version\nWORKDIR /srv\n";

as_users!(each_reason: root, user);
fn each_reason(place: &Place) {
    context(place);
    place.write("context/src/a.c", "a");
    place.write("context/src/b.c", "b");
    let build = |dockerfile: &str, arguments: &[&str]| reasons(place, dockerfile, arguments);
    let first = ["--build-arg", "VERSION=1"];
    assert_eq!(build(DOCKERFILE, &first), ["never built before"; 4]);
    assert_eq!(build(DOCKERFILE, &first), ["nothing changed"; 4]);
    let second = ["--build-arg", "VERSION=2"];
    let (same, below) = ("nothing changed", "a layer below was made anew");
    assert_eq!(build(DOCKERFILE, &second), [same, same, "ARG VERSION 1 → 2", below]);
    assert_eq!(
        build(DOCKERFILE, &first),
        [
            same,
            same,
            "an earlier build made this layer",
            "an earlier build made this layer"
        ]
    );
    place.write("context/src/a.c", "another");
    assert_eq!(build(DOCKERFILE, &first), [same, "src/a.c changed", below, below]);
    place.write("context/src/new.c", "n");
    std::fs::remove_file(place.path("context/src/b.c")).expect("remove");
    assert_eq!(
        build(DOCKERFILE, &first),
        [same, "src/new.c is new, src/b.c is gone", below, below]
    );
    place.chmod("context/src/a.c", 0o755);
    assert_eq!(build(DOCKERFILE, &first)[1], "src/a.c changed");
    let text = DOCKERFILE.replace("echo $VERSION", "echo version $VERSION");
    let reason = "RUN text changed: echo $VERSION > /version → echo version $VERSION > /version";
    assert_eq!(build(&text, &first), [same, same, reason, below]);
    let inserted = text.replace("ARG VERSION", "RUN true\nENV COLOUR=red\nARG VERSION");
    let anew = format!("ENV COLOUR is new; {below}");
    assert_eq!(
        build(&inserted, &first),
        [same, same, "never built before", &anew, below]
    );
    assert_eq!(
        build(&text, &["--build-arg", "VERSION=1", "--no-cache"]),
        ["--no-cache"; 4]
    );
    assert_eq!(
        build(&text, &["--build-arg", "VERSION=1", "--no-cache-filter", "stage-0"]),
        ["--no-cache-filter=stage-0"; 4]
    );
    let several = &build(DOCKERFILE, &["--build-arg", "VERSION=3", "--network", "none"])[2];
    assert!(
        several.starts_with("ARG VERSION 1 → 3; RUN text changed: "),
        "{several}"
    );
    assert!(
        several.contains("; the network Default of Host → Default of None"),
        "{several}"
    );
}

as_users!(what_lies_below: root, user);
fn what_lies_below(place: &Place) {
    context(place);
    let late = "FROM base\nRUN true\n";
    place.image("base", "RUN echo one > /one");
    assert_eq!(reasons(place, late, &[]), ["never built before"]);
    place.image("second", "RUN echo two > /two");
    place.wiac(["tag", "second", "base"]).succeeds();
    assert_eq!(reasons(place, late, &[]), ["the base image is another"]);
    let stages = "FROM base AS made\nRUN echo 1 > /made\nFROM made\nRUN true\nFROM base\nCOPY --from=1 /made /\n";
    reasons(place, stages, &[]);
    let other = stages.replace("echo 1", "echo 2");
    assert_eq!(
        reasons(place, &other, &[]),
        [
            "RUN text changed: echo 1 > /made → echo 2 > /made",
            "stage made, which stage-1 starts from, was made anew",
            "made changed",
        ]
    );
    // Nothing was written where nothing changed, and what is gone is said to be.
    reasons(place, &other, &[]);
    let again = place.host("stat -c '%n %Y %i' data/cache/files/*").succeeds().stdout;
    reasons(place, &other, &[]);
    assert_eq!(
        place.host("stat -c '%n %Y %i' data/cache/files/*").succeeds().stdout,
        again
    );
    place.host("rm data/cache/steps/*").succeeds();
    let pruned = reasons(place, &other, &[]);
    assert!(
        pruned[0] == "its layer was pruned" && pruned[1].starts_with("its layer was pruned"),
        "{pruned:?}"
    );
}

#[test]
fn among_many_files_the_changed_one_is_named() {
    let place = Place::root();
    place.mkdir("context/many");
    for number in 0..5000 {
        std::fs::write(place.path(&format!("context/many/{number}")), "same").expect("write");
    }
    let dockerfile = "FROM scratch\nCOPY many /many\n";
    // What is as young as the clock's granularity isn't remembered.
    let settle = || std::thread::sleep(std::time::Duration::from_millis(100));
    settle();
    assert_eq!(reasons(&place, dockerfile, &[]), ["never built before"]);
    place.write("context/many/77", "other");
    settle();
    assert_eq!(reasons(&place, dockerfile, &[]), ["many/77 changed"]);
    std::fs::remove_file(place.path("context/many/78")).expect("remove");
    assert_eq!(reasons(&place, dockerfile, &[]), ["4999 files instead of 5000"]);
}

#[test]
fn programs_get_the_reasons_as_logs() {
    let place = Place::root();
    context(&place);
    let said = place
        .build("context", "FROM scratch\nCOPY root /\n")
        .args(["--explain", "--progress=rawjson"])
        .succeeds();
    // "why: never built before\n" in base64.
    let log = "d2h5OiBuZXZlciBidWlsdCBiZWZvcmUK";
    assert!(
        said.stderr
            .lines()
            .any(|line| line.contains("\"logs\"") && line.contains(log)),
        "{}",
        said.stderr
    );
}
