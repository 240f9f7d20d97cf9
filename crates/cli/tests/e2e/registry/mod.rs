//! Images from and to registries: Debian's docker-registry on loopback, one for each test, and servers that misbehave.

pub mod debian;
mod throttle;
pub mod web;

mod access;
mod damaged;
mod ending;
mod hostile;
mod indexes;
mod killing;
mod oras;
mod peers;
mod pulling;
mod pushing;
mod regaining;
mod running;
mod transfer;

use crate::harness::Place;
use crate::harness::call::Call;
use serde_json::Value;
use std::fmt::Write as _;

/// What a command prints as JSON.
fn json(call: Call) -> Value {
    let said = call.succeeds();
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("no JSON: {error}\n{said:?}"))
}

/// wiac on a data directory of the place by name.
fn wiac_on<'a>(place: &Place, data: &str, arguments: impl IntoIterator<Item = &'a str>) -> Call {
    place.wiac(arguments).env("WIAC_DATA", place.path(data))
}

/// Nothing is wrong with a data directory, and nothing lies about in it.
#[track_caller]
fn assert_whole(place: &Place, data: &str) {
    let said = wiac_on(place, data, ["store", "check", "--deep", "--format", "json"]).ends_with_any(&[0, 1]);
    let report: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("no JSON: {error}\n{said:?}"));
    assert_eq!(report["Findings"], serde_json::json!([]), "{report:#}");
    assert_eq!(report["Notes"], serde_json::json!([]), "{report:#}");
    for directory in ["tmp", "partial"] {
        let path = format!("{data}/{directory}");
        if place.has(&path) {
            assert_eq!(place.tree(&path), Vec::<String>::new(), "{path}");
        }
    }
}

/// Builds an image of busybox with so many more layers of so many random bytes each.
fn large_image(place: &Place, name: &str, layers: usize, bytes: usize) {
    let mut instructions = String::new();
    place.mkdir(&format!("{name}-context"));
    for number in 0..layers {
        place.write(&format!("{name}-context/part{number}"), random(bytes));
        writeln!(instructions, "COPY part{number} /parts/").expect("text");
    }
    place.image(name, &instructions);
}

/// Bytes that don't get smaller.
fn random(bytes: usize) -> Vec<u8> {
    use std::io::Read;
    let mut buffer = vec![0; bytes];
    let mut source = std::fs::File::open("/dev/urandom").expect("/dev/urandom");
    source.read_exact(&mut buffer).expect("random bytes");
    buffer
}

/// The digest of the manifest that a registry has, as skopeo sees it.
fn digest_of(place: &Place, name: &str) -> String {
    let script = format!("skopeo inspect --raw --tls-verify=false docker://{name} | sha256sum | cut -d' ' -f1");
    let said = place
        .host(&script)
        .env("REGISTRY_AUTH_FILE", place.path("none.json"))
        .succeeds();
    format!("sha256:{}", said.text())
}
