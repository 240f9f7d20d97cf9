//! `run IMAGE` and `FROM IMAGE` fetch what isn't here; `--pull` says when.

use super::debian::Registry;
use super::throttle::Throttle;
use super::{assert_whole, large_image, wiac_on};
use crate::harness::{Place, as_users};

/// Puts an image that says `word` under a name of the registry.
fn publish(place: &Place, name: &str, word: &str) {
    place.image(word, &format!("CMD [\"echo\", \"{word}\"]"));
    wiac_on(place, "data", ["push", "-q", word, name]).succeeds();
}

as_users!(run_pulls_what_is_missing: root, user);
fn run_pulls_what_is_missing(place: &Place) {
    let registry = Registry::start();
    let name = registry.name("team/app:1");
    publish(place, &name, "first");
    let run = |pull: &str| wiac_on(place, "other", ["run", "--rm", pull, &name]);
    run("--pull=never").fails(125).complains(&["team/app:1"]);
    assert_eq!(registry.fetched(), 0);
    run("--pull=missing").succeeds().says("first");
    // Another image has the name there now.
    publish(place, &name, "second");
    run("--pull=missing").succeeds().says("first");
    run("--pull=never").succeeds().says("first");
    run("--pull=newer").succeeds().says("second");
    publish(place, &name, "third");
    run("--pull=always").succeeds().says("third");
    run("--pull=missing").succeeds().says("third");
    // Without the registry what is here serves, unless it has to be fetched.
    drop(registry);
    run("--pull=newer")
        .succeeds()
        .says("third")
        .complains(&["as it is here"]);
    run("--pull=missing").succeeds().says("third");
    run("--pull=always").fails(125).complains(&["can't reach"]);
    assert_whole(place, "other");
}

#[test]
fn run_takes_an_image_by_its_digest() {
    let (place, registry) = (Place::root(), Registry::start());
    let name = registry.name("app:1");
    publish(&place, &name, "one");
    let digest = super::digest_of(&place, &name);
    publish(&place, &name, "two");
    let by_digest = format!("{}@{digest}", registry.name("app"));
    let run = |pull: &str, what: &str| wiac_on(&place, "other", ["run", "--rm", pull, what]);
    run("--pull=missing", &by_digest).succeeds().says("one");
    let fetched = registry.fetched();
    run("--pull=missing", &by_digest).succeeds().says("one");
    assert_eq!(registry.fetched(), fetched, "it is here");
    drop(registry);
    run("--pull=never", &by_digest).succeeds().says("one");
    run("--pull=never", &format!("{name}@{digest}")).succeeds().says("one");
    let wrong = by_digest.replace(&digest[8..], &"0".repeat(64));
    run("--pull=never", &wrong).fails(125).complains(&["000000"]);
}

as_users!(from_pulls_what_is_missing: user);
fn from_pulls_what_is_missing(place: &Place) {
    let registry = Registry::start();
    let name = registry.name("base");
    publish(place, &name, "first");
    let steps = format!(
        "FROM {name} AS one\nRUN echo built >/built\nFROM scratch\nCOPY --from=one / /\nCOPY --from={name} /etc/group /group\n"
    );
    place.write("context/Dockerfile", &steps);
    let build = |more: &[&str]| {
        wiac_on(place, "other", ["build", "-q", "-t", "app"])
            .args(more)
            .arg("context")
    };
    build(&[]).succeeds();
    wiac_on(place, "other", ["run", "--rm", "app", "cat", "/built"])
        .succeeds()
        .says("built");
    wiac_on(place, "other", ["run", "--rm", &name]).succeeds().says("first");
    publish(place, &name, "second");
    build(&[]).succeeds();
    wiac_on(place, "other", ["run", "--rm", &name]).succeeds().says("first");
    build(&["--pull=sometimes"])
        .fails(125)
        .complains(&["--pull", "always, missing, never and newer"]);
    build(&["--pull=newer"]).succeeds();
    wiac_on(place, "other", ["run", "--rm", "--pull=never", &name])
        .succeeds()
        .says("second");
    let none = registry.name("none");
    place.write("context/Dockerfile", format!("FROM scratch\nFROM {none}\n"));
    build(&[]).fails(1).complains(&["none", "Dockerfile"]);
    assert_whole(place, "other");
}

#[test]
fn an_image_as_a_build_context_is_pulled() {
    let (place, registry) = (Place::root(), Registry::start());
    let name = registry.name("team/app:1");
    publish(&place, &name, "first");
    let steps = "FROM lib\nFROM scratch\nCOPY --from=lib /etc/group /group\n";
    place.write("context/Dockerfile", steps);
    let image = format!("lib=docker-image://{name}");
    let build = |value: &str| wiac_on(&place, "other", ["build", "-q", "--build-context", value, "context"]);
    build(&image).succeeds();
    assert!(registry.fetched() > 0, "it was pulled");
    let fetched = registry.fetched();
    build(&image).succeeds();
    assert_eq!(registry.fetched(), fetched, "it is here");
    let none = format!("lib=docker-image://{}", registry.name("none"));
    build(&none).fails(1).complains(&["none", "Dockerfile:3"]);
}

#[test]
fn a_build_on_a_terminal_shows_how_far_its_base_is() {
    let (place, registry) = (Place::root(), Registry::start());
    large_image(&place, "app", 2, 3 << 20);
    place.wiac(["push", "-q", "app", &registry.name("app")]).succeeds();
    let throttle = Throttle::start(&registry.authority(), 2 << 20);
    let dockerfile = format!("FROM {}\nRUN echo it is here\n", throttle.name("app"));
    place.write("built/Dockerfile", dockerfile);
    let build = wiac_on(&place, "data2", ["build", "built"]);
    let mut build = build.on_terminal(24, 80);
    build.shows("/s  ").shows("0 of 2 steps done, 1 running");
    let screen = build.ends(0);
    // Nothing but the display draws: each frame hides the cursor first.
    for (at, _) in screen.match_indices("/s  ") {
        let frame = screen[..at].rfind("\u{1b}[?25l").expect("a frame");
        assert!(!screen[frame..at].contains("\u{1b}[?25h"), "{screen}");
    }
    assert!(screen.contains("RUN echo it is here"), "{screen}");
}
