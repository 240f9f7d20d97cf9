//! Stages that don't need each other are built at the same time: what they share, and how they end.

use super::{context, unchanged};
use crate::harness::leftovers::{assert_nothing_within, processes_with, wait_until};
use crate::harness::{Place, as_users, programs};
use rustix::process::Signal;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// How soon the kernel has to be done.
const SOON: Duration = Duration::from_secs(2);

/// What every Dockerfile here begins with.
const BASE: &str = "FROM scratch AS base\nCOPY root /\n";

as_users!(stages_meet: root, user, single);
fn stages_meet(place: &Place) {
    context(place);
    // Each waits for the other's sign.
    let meet = |own: &str, other: &str| {
        format!(
            "RUN --mount=type=cache,target=/c touch /c/{own}; n=0; until test -e /c/{other}; do sleep 0.05; n=$((n+1)); test $n -lt 400 || exit 9; done; echo {own} > /{own}\n"
        )
    };
    let dockerfile = format!(
        "{BASE}FROM base AS one\n{}FROM base AS two\n{}FROM base\nCOPY --from=one /one /\nCOPY --from=two /two /\n",
        meet("one", "two"),
        meet("two", "one")
    );
    place.build("context", &dockerfile).args(["-t", "result"]).succeeds();
    place
        .wiac(["run", "result", "cat", "/one", "/two"])
        .succeeds()
        .says("one\ntwo");
    // A stage begins although it copies later from another one.
    let dockerfile = format!(
        "{BASE}FROM base AS three\n{}FROM base\n{}COPY --from=three /three /\n",
        meet("three", "four"),
        meet("four", "three")
    );
    place.build("context", &dockerfile).succeeds();
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
}

as_users!(a_failure_ends_the_other_stages: root, user);
fn a_failure_ends_the_other_stages(place: &Place) {
    context(place);
    place.compile(programs::STUBBORN, "context/root/stubborn");
    let word = place.dir().file_name().expect("a name").to_string_lossy().into_owned();
    let dockerfile = format!(
        "{BASE}FROM base AS stuck\nRUN --mount=type=cache,target=/c /stubborn /c/ready {word}\n\
         FROM base AS broken\nRUN --mount=type=cache,target=/c until test -e /c/ready; do sleep 0.05; done; echo this is why; exit 7\n\
         FROM base\nCOPY --from=stuck /x /\nCOPY --from=broken /y /\n"
    );
    let began = Instant::now();
    let said = place.build("context", &dockerfile).fails(1);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let said = said.complains(&[
        "Dockerfile:6:1: the command failed with exit code 7",
        "this is why",
        "ended",
    ]);
    said.never_complains("another stage failed");
    assert_nothing_within(SOON, place.dir(), &word);
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
}

#[test]
fn a_signal_ends_all_stages_at_once() {
    for (place, signal, code) in [
        (Place::root(), Signal::INT, 130),
        (Place::user(), Signal::TERM, 143),
        (Place::single(), Signal::KILL, 137),
    ] {
        context(&place);
        place.compile(programs::STUBBORN, "context/root/stubborn");
        let word = place.dir().file_name().expect("a name").to_string_lossy().into_owned();
        let mut dockerfile = BASE.to_owned();
        let mut last = "FROM base\n".to_owned();
        for number in 0..5 {
            let _ = write!(
                dockerfile,
                "FROM base AS s{number}\nRUN /stubborn /ready {word} {number}\n"
            );
            let _ = writeln!(last, "COPY --from=s{number} /x /");
        }
        place.write("context/Dockerfile", dockerfile + &last);
        let mut running = place.wiac(["build", "context"]).in_background();
        wait_until("all steps run", || {
            (0..5).all(|number| !processes_with(&format!("/ready {word} {number}")).is_empty())
        });
        running.gets(signal);
        assert_eq!(running.exit_code(), code);
        assert_nothing_within(SOON, place.dir(), &word);
        place.wiac(["images"]).succeeds();
        assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
    }
}

#[test]
fn long_copies_end_too() {
    // Read for many seconds, though it takes no room.
    let sparse = |place: &Place| {
        context(place);
        let file = std::fs::File::create(place.path("context/large")).expect("created");
        file.set_len(40 << 30).expect("a sparse file");
    };
    let place = Place::root();
    sparse(&place);
    place.write("context/Dockerfile", format!("{BASE}COPY large /\n"));
    let mut running = place.wiac(["build", "context"]).after("exec 2> log").in_background();
    wait_until("it copies", || {
        place.has("log") && place.read("log").contains("COPY large")
    });
    std::thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    running.gets(Signal::INT);
    assert_eq!(running.exit_code(), 130);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    place.wiac(["images"]).succeeds();
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
    // Another stage's failure ends it as well.
    let place = Place::root();
    sparse(&place);
    let dockerfile = format!(
        "{BASE}FROM base AS a\nCOPY large /\nFROM base AS b\nRUN sleep 0.5; exit 7\nFROM base\nCOPY --from=a /large /\nCOPY --from=b /x /\n"
    );
    let began = Instant::now();
    let said = place.build("context", &dockerfile).fails(1);
    said.complains(&["Dockerfile:6:1: the command failed with exit code 7"]);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
}

/// Eight stages and one that takes something of each.
fn eight() -> String {
    let mut dockerfile = BASE.to_owned();
    let mut last = "FROM base\n".to_owned();
    for number in 0..8 {
        let _ = write!(
            dockerfile,
            "FROM base AS s{number}\nENV N={number}\nRUN echo {number} > /f{number}\nRUN cat /f{number} > /g{number}\n"
        );
        let _ = writeln!(last, "COPY --from=s{number} /g{number} /");
    }
    dockerfile + &last
}

#[test]
fn the_image_doesnt_depend_on_what_is_first() {
    let place = Place::root();
    context(&place);
    place.write("context/Dockerfile", eight());
    let id = |arguments: &[&str]| {
        let all = ["build", "-q", "--reproducible", "--iidfile", "id", "context"];
        place.wiac(all).args(arguments).succeeds();
        place.read("id")
    };
    let first = id(&[]);
    for _ in 0..10 {
        assert_eq!(id(&["--no-cache"]), first);
    }
    // And what was built last is found again whole.
    let said = place.wiac(["build", "context"]).succeeds();
    for _ in 0..10 {
        let again = place.wiac(["build", "context"]).succeeds();
        assert_eq!(again.stdout, said.stdout);
    }
}

#[test]
fn a_step_of_two_stages_runs_once() {
    let place = Place::root();
    context(&place);
    let step = "RUN --mount=type=cache,target=/c echo run >> /c/log; sleep 0.5; wc -l < /c/log > /count\n";
    let dockerfile = format!(
        "{BASE}FROM base AS one\n{step}FROM base AS two\n{step}FROM base\nCOPY --from=one /count /1\nCOPY --from=two /count /2\n"
    );
    let said = place.build("context", &dockerfile).args(["-t", "result"]).succeeds();
    said.complains(&["waiting for another build that runs this step"]);
    place.wiac(["run", "result", "cat", "/1", "/2"]).succeeds().says("1\n1");
}

as_users!(secrets_and_views_are_each_stages_own: root, user, single);
fn secrets_and_views_are_each_stages_own(place: &Place) {
    context(place);
    let mut dockerfile = format!("{BASE}RUN mkdir /d && echo shared > /d/x\n");
    let mut last = "FROM base\n".to_owned();
    let mut arguments = Vec::new();
    for number in 0..6 {
        place.write(&format!("secret-{number}"), format!("secret {number}"));
        arguments.extend([
            "--secret".to_owned(),
            format!("id=s{number},src={}", place.shown(&format!("secret-{number}"))),
        ]);
        let _ = write!(
            dockerfile,
            "FROM base AS s{number}\nRUN --mount=type=secret,id=s{number} --mount=from=base,source=/d,target=/v,rw \
             echo {number} > /v/own; sleep 0.3; cat /v/own /v/x /run/secrets/s{number} > /r{number}; ls /run/secrets >> /r{number}; grep -c secret /proc/mounts >> /r{number}\n"
        );
        let _ = writeln!(last, "COPY --from=s{number} /r{number} /");
    }
    place
        .build("context", &(dockerfile + &last))
        .args(&arguments)
        .args(["-t", "result"])
        .succeeds();
    for number in 0..6 {
        place
            .wiac(["run", "result", "cat", &format!("/r{number}")])
            .succeeds()
            .says(&format!("{number}\nshared\nsecret {number}s{number}\n1"));
    }
}

#[test]
fn cache_mounts_of_stages_are_shared_as_asked() {
    let place = Place::root();
    context(&place);
    let count = |sharing: &str, meet: &str| {
        let step = |name: &str| {
            format!(
                "FROM base AS {name}\nRUN --mount=type=cache,id={sharing},target=/c,sharing={sharing} --mount=type=cache,id=meet-{sharing},target=/m echo in >> /c/log; touch /m/{name}; {meet}; wc -l < /c/log > /n; sleep 0.3; echo out >> /c/log\n"
            )
        };
        let dockerfile = format!(
            "{BASE}{}{}FROM base\nCOPY --from=a /n /a\nCOPY --from=b /n /b\n",
            step("a"),
            step("b")
        );
        place.build("context", &dockerfile).args(["-t", sharing]).succeeds();
        let said = place.wiac(["run", sharing, "cat", "/a", "/b"]).succeeds();
        let mut counts: Vec<String> = said.lines().into_iter().map(str::to_owned).collect();
        counts.sort();
        counts
    };
    let both = "n=0; until test -e /m/a && test -e /m/b; do sleep 0.02; n=$((n+1)); test $n -lt 1000 || exit 9; done";
    // They are there at the same time, in one directory and in two.
    let shared = count("shared", both);
    assert!(shared == ["2", "2"] || shared == ["2", "3"], "{shared:?}");
    assert_eq!(count("private", both), ["1", "1"]);
    // One after the other.
    assert_eq!(count("locked", "sleep 0.5"), ["1", "3"]);
}

#[test]
fn nobody_waits_for_cache_mounts_for_ever() {
    let place = Place::root();
    context(&place);
    let mount = |id: &str, target: &str| format!("--mount=type=cache,id={id},target={target},sharing=locked");
    // In one order and in the other, and one twice in a step.
    let mut dockerfile = BASE.to_owned();
    let mut last = "FROM base\n".to_owned();
    for number in 0..8 {
        let (first, second) = if number % 2 == 0 { ("x", "y") } else { ("y", "x") };
        let _ = write!(
            dockerfile,
            "FROM base AS s{number}\nRUN {} {} {} echo {number} > /n{number} && touch /a/t && test -e /c/t\n",
            mount(first, "/a"),
            mount(second, "/b"),
            mount(first, "/c")
        );
        let _ = writeln!(last, "COPY --from=s{number} /n{number} /");
    }
    place.build("context", &(dockerfile + &last)).succeeds();
}

#[test]
fn many_stages() {
    let place = Place::root();
    context(&place);
    let mut dockerfile = BASE.to_owned();
    let mut last = "FROM base\n".to_owned();
    for number in 0..300 {
        let _ = write!(
            dockerfile,
            "FROM base AS s{number}\nCOPY <<f{number} /\n{number}\nf{number}\n"
        );
        let _ = writeln!(last, "COPY --from=s{number} /f{number} /n/");
    }
    place
        .build("context", &(dockerfile + &last))
        .args(["-t", "wide"])
        .succeeds();
    place
        .wiac(["run", "wide", "sh", "-c", "cat /n/* | wc -l"])
        .succeeds()
        .says("300");
    // One after the other: each takes from the one before.
    let mut dockerfile = "FROM scratch AS s0\nCOPY <<f /\nhere\nf\n".to_owned();
    for number in 1..300 {
        let _ = write!(
            dockerfile,
            "FROM scratch AS s{number}\nCOPY --from=s{} /f /\n",
            number - 1
        );
    }
    let said = place.build("context", &dockerfile).succeeds();
    assert_eq!(unchanged(&said.stderr).len(), 600);
}
