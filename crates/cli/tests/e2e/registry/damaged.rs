//! What an earlier pull got of a layer, and what was damaged on the disk since: the next pull gets that layer whole.

use super::debian::Registry;
use super::{assert_whole, json, large_image, random, wiac_on};
use crate::harness::{Place, as_users};

const BYTES: usize = 300_000;

const SAID: &str = "what was here of it is damaged; getting all of it";

/// The hexadecimal digits of the digest of an image's last layer.
fn last_layer(place: &Place, name: &str) -> String {
    let manifest = json(place.wiac(["manifest", "inspect", name]));
    let layers = manifest["layers"].as_array().expect("layers");
    let digest = layers.last().and_then(|layer| layer["digest"].as_str());
    digest.expect("a digest").replacen("sha256:", "", 1)
}

/// A data directory with what is left of an earlier pull.
fn begun(place: &Place, data: &str, hex: &str, bytes: &[u8]) {
    wiac_on(place, data, ["images"]).succeeds();
    place.write(&format!("{data}/partial/sha256-{hex}"), bytes);
}

as_users!(a_damaged_beginning_is_thrown_away: root, user);
fn a_damaged_beginning_is_thrown_away(place: &Place) {
    let registry = Registry::start();
    let name = registry.name("app");
    large_image(place, "app", 1, BYTES);
    place.wiac(["push", "-q", "app", &name]).succeeds();
    let hex = last_layer(place, &name);
    wiac_on(place, "first", ["pull", "-q", &name]).succeeds();
    let right = std::fs::read(place.path("first/blobs/sha256").join(&hex)).expect("the blob");
    let changed = |length: usize, at: usize| {
        let mut bytes = right[..length].to_vec();
        bytes[at] ^= 0x55;
        bytes
    };
    let half = right.len() / 2;
    let cases = [
        ("magic", changed(half, 0)),
        ("middle", changed(half, half / 2)),
        ("end", changed(right.len(), right.len() - 100)),
        ("zeros", vec![0; half]),
        ("longer", [&right[..], b"more"].concat()),
        ("random", random(half)),
    ];
    for (data, bytes) in cases {
        begun(place, data, &hex, &bytes);
        let pulled = wiac_on(place, data, ["pull", &name]).succeeds();
        pulled.complains(&[&hex[..12], SAID]);
        wiac_on(
            place,
            data,
            ["run", "--rm", "--pull=never", &name, "ls", "/parts/part0"],
        )
        .succeeds();
        assert_whole(place, data);
    }
    // What is right is gone on with, and nothing is said.
    begun(place, "right", &hex, &right[..half]);
    let pulled = wiac_on(place, "right", ["pull", &name]).succeeds();
    pulled.complains(&["going on after"]).never_complains(SAID);
    begun(place, "quiet", &hex, &random(half));
    wiac_on(place, "quiet", ["pull", "-q", &name])
        .succeeds()
        .never_complains(SAID);
    assert_whole(place, "quiet");
}
