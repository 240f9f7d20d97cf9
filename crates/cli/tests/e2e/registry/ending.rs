//! A signal while a registry says nothing any more: the command ends at once, and what came is kept for the next one.

use super::assert_whole;
use super::debian::Registry;
use super::large_image;
use super::throttle::Throttle;
use crate::harness::Place;
use crate::harness::call::Call;
use crate::harness::leftovers::wait_until;
use rustix::process::Signal;

/// Of the one layer that matters, and what comes of it before the silence.
const BYTES: usize = 4 << 20;
const BEFORE: u64 = 2 << 20;

/// The length of what was downloaded and isn't whole.
fn partial(place: &Place) -> u64 {
    let Ok(entries) = std::fs::read_dir(place.path("data/partial")) else {
        return 0;
    };
    let lengths = entries.flatten().filter_map(|entry| Some(entry.metadata().ok()?.len()));
    lengths.sum()
}

/// Ends a command that pulls `name` in the middle of it, which takes no time.
fn ends_at_once(command: impl FnOnce(&Place, &str) -> Call, leaves_rooms: bool) {
    let (place, registry) = (Place::root(), Registry::start());
    large_image(&place, "app", 1, BYTES);
    place.wiac(["push", "-q", "app", &registry.name("app")]).succeeds();
    std::fs::remove_dir_all(place.path("data")).expect("removed");
    let silent = Throttle::silent_after(&registry.authority(), BEFORE);
    let mut pulling = command(&place, &silent.name("app")).in_background();
    wait_until("all that comes has come", || {
        silent.down() > BEFORE && partial(&place) > 0
    });
    pulling.gets(Signal::INT);
    assert_eq!(pulling.exit_code(), 130);
    assert!(partial(&place) > 0, "what came is gone");
    if !leaves_rooms {
        assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
    }
    // The next one goes on with it, and finds nothing in its way.
    place
        .wiac(["pull", &registry.name("app")])
        .succeeds()
        .complains(&["going on after"]);
    place.wiac(["prune", "-f"]).succeeds();
    assert_whole(&place, "data");
}

#[test]
fn a_pull() {
    // Killed by the signal, it leaves its room to the next command.
    ends_at_once(|place, name| place.wiac(["pull", "-q", name]), true);
}

#[test]
fn a_build_on_an_image_that_comes() {
    let command = |place: &Place, name: &str| place.build("on", &format!("FROM {name}\nRUN true\n"));
    ends_at_once(command, false);
}

#[test]
fn a_container_of_an_image_that_comes() {
    ends_at_once(|place, name| place.wiac(["run", "--rm", name, "true"]), false);
}

#[test]
fn a_file_of_the_web_that_a_build_adds() {
    let (place, registry) = (Place::root(), Registry::start());
    place.image("base", "");
    let silent = Throttle::silent_after(&registry.authority(), 0);
    let dockerfile = format!("FROM base\nADD http://{} /there\n", silent.name("v2/"));
    let mut building = place.build("adds", &dockerfile).in_background();
    wait_until("the server was asked", || silent.down() > 0);
    building.gets(Signal::INT);
    assert_eq!(building.exit_code(), 130);
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
}
