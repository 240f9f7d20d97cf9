//! SIGKILL at random moments of pulls and pushes: the next attempt goes on with what is there. Many pulls of one image at
//! once fetch it once.

use super::debian::Registry;
use super::throttle::Throttle;
use super::{assert_whole, digest_of, large_image, wiac_on};
use crate::harness::Place;
use crate::harness::call::Call;
use crate::store::killing::{Random, seed};
use std::collections::HashSet;
use std::io::Read;
use std::time::Duration;

/// How many pulls are killed, and how many pushes.
const PULLS: usize = 120;
const PUSHES: usize = 80;

/// After so many kills one attempt is left alone.
const MOST: usize = 40;

/// Bytes a second and connection.
const RATE: u64 = 4 << 20;

/// Layers that are transferred at once.
const AT_ONCE: u64 = 3;

/// Starts a command and kills it after `moment` unless it ends before, which has to be well: whether it was killed.
fn killed(call: &Call, moment: Duration) -> bool {
    let mut command = call.command();
    let null = std::process::Stdio::null;
    let mut child = command
        .stdin(null())
        .stdout(null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("wiac starts");
    std::thread::sleep(moment);
    if let Some(status) = child.try_wait().expect("it can be waited for") {
        let mut said = String::new();
        let _ = child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut said));
        assert!(
            status.success(),
            "an attempt that nobody killed ended with {status}: {said}"
        );
        return false;
    }
    child.kill().expect("it is there");
    let status = child.wait().expect("it ends");
    // It may have ended between the question and the signal.
    !status.success()
}

#[test]
fn a_killed_pull_goes_on_where_it_was() {
    const LAYERS: usize = 4;
    const BYTES: usize = 1 << 20;
    let (place, registry, mut random) = (Place::root(), Registry::start(), Random::new(seed()));
    large_image(&place, "app", LAYERS, BYTES);
    place.wiac(["push", "-q", "app", &registry.name("app")]).succeeds();
    let whole = registry_size(&place, &registry.name("app"));
    let throttle = Throttle::start(&registry.authority(), RATE);
    let name = throttle.name("app");
    let (mut kills, mut round) = (0, 0);
    while kills < PULLS {
        round += 1;
        let (data, before, mut here) = (format!("data{round}"), throttle.down(), 0);
        let pull = || wiac_on(&place, &data, ["pull", "-q", &name]);
        while here < MOST && killed(&pull(), Duration::from_millis(random.below(250))) {
            here += 1;
            throttle.settle();
            registry.settle();
        }
        pull().succeeds();
        throttle.settle();
        kills += here;
        // Of each layer under way what was in the sockets is lost, and each attempt asks for manifest and configuration.
        let (came, lost) = (throttle.down() - before, here as u64 * (AT_ONCE * 64 + 32) * 1024);
        eprintln!("round {round}: {here} kills, {came} bytes for {whole}");
        assert!(
            came < whole + lost + 65_536,
            "{came} bytes came for {whole}, in {here} attempts"
        );
        let parts = wiac_on(&place, &data, ["run", "--rm", "--pull=never", &name, "ls", "/parts"]).succeeds();
        assert_eq!(parts.lines().len(), LAYERS);
        wiac_on(&place, &data, ["prune", "-f"]).succeeds();
        assert_whole(&place, &data);
    }
}

/// The bytes of all blobs of an image.
fn registry_size(place: &Place, name: &str) -> u64 {
    let manifest = super::json(place.wiac(["manifest", "inspect", name]));
    let layers = manifest["layers"].as_array().expect("layers");
    layers.iter().map(|layer| layer["size"].as_u64().expect("a size")).sum()
}

#[test]
fn a_killed_push_sends_no_blob_again_that_arrived() {
    const LAYERS: usize = 16;
    const BYTES: usize = 48 << 10;
    let (place, registry, mut random) = (Place::root(), Registry::start(), Random::new(seed()));
    large_image(&place, "app", LAYERS, BYTES);
    // Packed once, as every attempt does again.
    place.wiac(["push", "-q", "app", &registry.name("whole")]).succeeds();
    let digest = digest_of(&place, &registry.name("whole"));
    let throttle = Throttle::start(&registry.authority(), RATE);
    let (mut kills, mut round) = (0, 0);
    while kills < PUSHES {
        round += 1;
        let repository = format!("round{round}");
        let name = throttle.name(&repository);
        let before = kills;
        let push = || place.wiac(["push", "-q", "app", &name]);
        while kills < before + MOST && killed(&push(), Duration::from_millis(random.below(400))) {
            kills += 1;
            throttle.settle();
            registry.settle();
        }
        push().succeeds();
        throttle.settle();
        registry.settle();
        let arrived = registry.requests("PUT", &format!("/v2/{repository}/blobs/uploads/"), 201);
        let blob = |target: &String| target.split("digest=").nth(1).expect("a digest").to_owned();
        let different: HashSet<String> = arrived.iter().map(blob).collect();
        eprintln!(
            "round {round}: {} kills, {} uploads of {} blobs",
            kills - before,
            arrived.len(),
            different.len()
        );
        assert!(arrived.len() <= different.len() + 1, "sent again: {arrived:?}");
        assert_eq!(digest_of(&place, &registry.name(&repository)), digest);
    }
    place.wiac(["prune", "-f"]).succeeds();
    assert_whole(&place, "data");
    wiac_on(
        &place,
        "other",
        ["run", "--rm", &registry.name("round1"), "ls", "/parts/part7"],
    )
    .succeeds();
}

#[test]
fn pulls_of_one_image_at_once_fetch_it_once() {
    let (place, registry) = (Place::root(), Registry::start());
    large_image(&place, "app", 4, 300_000);
    place.wiac(["push", "-q", "app", &registry.name("app")]).succeeds();
    let throttle = Throttle::start(&registry.authority(), RATE);
    let name = throttle.name("app");
    let manifest = super::json(place.wiac(["manifest", "inspect", &name]));
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| wiac_on(&place, "other", ["pull", "-q", &name]).succeeds());
        }
    });
    for layer in manifest["layers"].as_array().expect("layers") {
        let digest = layer["digest"].as_str().expect("a digest");
        let mut fetched = registry.requests("GET", digest, 200);
        fetched.append(&mut registry.requests("GET", digest, 206));
        assert_eq!(fetched.len(), 1, "{digest}");
    }
    wiac_on(&place, "other", ["run", "--rm", &name, "ls", "/parts/part3"]).succeeds();
    assert_whole(&place, "other");
}
