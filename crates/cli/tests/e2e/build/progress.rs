//! What a build shows while it goes on: lines, a terminal's display, objects for programs.

use super::context;
use crate::harness::leftovers::{assert_nothing_within, processes_with, wait_until};
use crate::harness::{Place, as_users, tools};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// Two stages whose steps say something at the same time, in pieces.
fn talkative() -> String {
    let stage = |name: &str| {
        format!(
            "FROM base AS {name}\nRUN --mount=type=cache,target=/c touch /c/{name}; until test -e /c/a && test -e /c/b; do sleep 0.05; done; for n in 1 2 3 4 5; do printf '{name}-'; sleep 0.05; printf 'says-'; echo $n; done; echo err >&2; touch /{name}\n"
        )
    };
    format!(
        "FROM scratch AS base\nCOPY root /\n{}{}FROM base\nCOPY --from=a /a /\nCOPY --from=b /b /\n",
        stage("a"),
        stage("b")
    )
}

#[test]
fn plain_lines_are_whole_and_say_whose_they_are() {
    let place = Place::root();
    context(&place);
    let said = place.build("context", &talkative()).succeeds();
    let mut numbers = BTreeMap::new();
    for line in said.stderr.lines() {
        let (number, text) = line
            .strip_prefix('#')
            .and_then(|line| line.split_once(' '))
            .expect("a number");
        if let Some(stage) = text.strip_prefix('[').filter(|_| text.contains("RUN")) {
            numbers.insert(number.to_owned(), stage[..1].to_owned());
        }
    }
    assert_eq!(numbers.len(), 2, "{}", said.stderr);
    for (number, stage) in numbers {
        for count in 1..=5 {
            let line = format!("#{number} {stage}-says-{count}");
            assert!(
                said.stderr.lines().any(|found| found == line),
                "{line}: {}",
                said.stderr
            );
        }
    }
}

#[test]
fn from_the_background_nothing_is_drawn() {
    let place = Place::root();
    context(&place);
    place.write("context/Dockerfile", "FROM scratch\nCOPY root /\nRUN echo said\n");
    let script = format!(
        "set -m; {} build -q context >/dev/null; {0} build --no-cache context & wait %1",
        tools::wiac().display()
    );
    let shell = place.command(std::path::Path::new("/bin/bash")).args(["-uc", &script]);
    let screen = shell.env("WIAC_DATA", place.data()).on_terminal(24, 80).ends(0);
    assert!(screen.contains("#3 said"), "{screen}");
    assert!(!screen.contains("\u{1b}["), "{screen}");
}

#[test]
fn what_a_step_says_controls_nothing() {
    let place = Place::root();
    context(&place);
    let script = r"printf 'a\033[2J\033[1;31mred\033[m\a\n10%%\r20%%\n\033]0;title\033\\end'";
    let said = place
        .build("context", &format!("FROM scratch\nCOPY root /\nRUN {script}\n"))
        .succeeds();
    let lines: Vec<&str> = said.stderr.lines().filter(|line| line.starts_with("#3 ")).collect();
    assert_eq!(
        lines[1..4],
        ["#3 a\u{1b}[1;31mred\u{1b}[m\u{1b}[0m", "#3 20%", "#3 end"]
    );
}

as_users!(a_terminal_shows_what_runs: root, user);
fn a_terminal_shows_what_runs(place: &Place) {
    context(place);
    place.write(
        "context/Dockerfile",
        "FROM scratch AS first\nCOPY root /\nRUN printf 'begun\\nhalf a line'; sleep 1; exit 0\nFROM first\nRUN echo '\u{1b}[2J\u{1b}[31mred'; sleep 0.5\nRUN echo because; exit 3\n",
    );
    let mut build = place.wiac(["build", "context"]).on_terminal(24, 60);
    build
        .shows("begun")
        .shows("half a line")
        .shows("2 of 6 steps done, 1 running");
    // A narrow window, and a low one.
    build.is_resized(5, 30);
    build.shows("red");
    let screen = build.ends(1);
    // Finished, each step has a row that stays.
    for row in [
        "[first 1/3]",
        "[first 3/3]",
        "failed after",
        "Dockerfile:6:1: the command failed with exit code 3",
        "because",
        "RUN echo because; exit 3",
    ] {
        assert!(screen.contains(row), "{row}: {screen}");
    }
    assert!(
        !screen.contains("\u{1b}[2J") && !screen.contains("\u{1b}[31mred"),
        "{screen}"
    );
    // The cursor is shown after all.
    let hidden = screen.rfind("\u{1b}[?25l").expect("drawn");
    assert!(screen[hidden..].contains("\u{1b}[?25h"), "{screen}");
}

#[test]
fn a_key_leaves_the_terminal_as_it_was() {
    let place = Place::root();
    context(&place);
    let word = place.dir().file_name().expect("a name").to_string_lossy().into_owned();
    let mut dockerfile = "FROM scratch AS base\nCOPY root /\n".to_owned();
    for name in ["a", "b"] {
        let _ = write!(
            dockerfile,
            "FROM base AS {name}\nRUN echo {name} is at it; sleep 1000; echo {word}\n"
        );
    }
    dockerfile += "FROM base\nCOPY --from=a /x /\nCOPY --from=b /x /\n";
    place.write("context/Dockerfile", dockerfile);
    let mut build = place.wiac(["build", "context"]).on_terminal(24, 80);
    build.shows("a is at it").shows("b is at it");
    build.types("\u{3}");
    let screen = build.ends(130);
    assert_nothing_within(Duration::from_secs(2), place.dir(), &word);
    assert!(processes_with(&word).is_empty());
    let last = screen.rfind("\u{1b}[?25").expect("drawn");
    assert!(screen[last..].starts_with("\u{1b}[?25h"), "{screen}");
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
}

#[test]
fn the_style_is_chosen() {
    let place = Place::root();
    context(&place);
    place.write("context/Dockerfile", "FROM scratch\nCOPY root /\nRUN echo word\n");
    let build = |style: &str| place.wiac(["build", "--no-cache", "--progress", style, "context"]);
    build("plain").succeeds().complains(&["#3 word"]);
    build("quiet").succeeds().never_complains("word");
    build("tty").fails(125).complains(&["--progress=tty needs a terminal"]);
    build("fancy")
        .fails(125)
        .complains(&["auto, plain, tty, quiet and rawjson"]);
    let variable = |style: &str| {
        place
            .wiac(["build", "--no-cache", "context"])
            .env("BUILDKIT_PROGRESS", style)
    };
    variable("rawjson").succeeds().complains(&["\"vertexes\""]);
    variable("fancy").fails(125).complains(&["BUILDKIT_PROGRESS=fancy"]);
    variable("quiet")
        .args(["--progress=plain"])
        .succeeds()
        .complains(&["#3 word"]);
    // On a terminal too, where it is asked for.
    let mut build = build("plain").on_terminal(24, 80);
    build.shows("#3 word\r\n");
    build.ends(0);
}

/// The objects a build printed, in order.
fn objects(text: &str) -> Vec<Value> {
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect()
}

/// All that is listed under this name.
fn all<'o>(objects: &'o [Value], name: &str) -> Vec<&'o Value> {
    let lists = objects.iter().filter_map(|object| object.get(name)?.as_array());
    lists.flatten().collect()
}

#[test]
fn programs_read_objects() {
    let place = Place::root();
    context(&place);
    place.write(
        "context/Dockerfile",
        "FROM scratch\nCOPY root /\nRUN echo out; echo err >&2\nRUN echo because; exit 3\n",
    );
    let build = || place.wiac(["build", "--progress=rawjson", "context"]).fails(1);
    let said = build();
    let first = objects(&said.stderr);
    let vertices = all(&first, "vertexes");
    let named = |name: &str| {
        let of_name = vertices
            .iter()
            .filter(|vertex| vertex["name"].as_str().is_some_and(|found| found.contains(name)));
        of_name.copied().collect::<Vec<_>>()
    };
    let run = named("RUN echo out");
    assert_eq!(run.len(), 2, "begun and ended: {run:#?}");
    assert!(run[0].get("completed").is_none() && run[0]["started"].is_string());
    assert!(run[1]["completed"].as_str() > run[1]["started"].as_str());
    assert_eq!(run[0]["digest"], run[1]["digest"]);
    assert_eq!(run[0]["inputs"][0], named("COPY root")[0]["digest"]);
    assert!(
        named("exit 3")[1]["error"]
            .as_str()
            .expect("an error")
            .contains("exit code 3")
    );
    let logs = all(&first, "logs");
    let of_run: Vec<_> = logs.iter().filter(|log| log["vertex"] == run[0]["digest"]).collect();
    let texts: Vec<_> = of_run
        .iter()
        .map(|log| (log["stream"].as_u64(), log["data"].as_str()))
        .collect();
    // "out\n" and "err\n".
    assert!(
        texts.contains(&(Some(1), Some("b3V0Cg=="))) && texts.contains(&(Some(2), Some("ZXJyCg=="))),
        "{texts:?}"
    );
    let second = objects(&build().stderr);
    let cached = all(&second, "vertexes")
        .iter()
        .filter(|vertex| vertex["cached"] == true)
        .count();
    assert!(cached >= 2, "{second:#?}");
}

#[test]
fn a_killed_build_leaves_no_hidden_cursor() {
    let place = Place::root();
    context(&place);
    let word = place.dir().file_name().expect("a name").to_string_lossy().into_owned();
    place.write(
        "context/Dockerfile",
        format!("FROM scratch\nCOPY root /\nRUN echo at it; sleep 1000; echo {word}\n"),
    );
    let mut build = place.wiac(["build", "context"]).on_terminal(24, 80);
    build.shows("at it");
    wait_until("the step runs", || !processes_with(&word).is_empty());
    build.gets(Signal::KILL);
    let screen = build.ends(137);
    let last = screen.rfind("\u{1b}[?25").expect("drawn");
    assert!(screen[last..].starts_with("\u{1b}[?25h"), "{screen}");
    assert_nothing_within(Duration::from_secs(2), place.dir(), &word);
}
