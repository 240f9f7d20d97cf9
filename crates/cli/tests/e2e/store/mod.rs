//! What the store holds: shown, named, taken away, checked, and whole after everything that can happen to it.

mod checking;
mod collecting;
mod damage;
mod disk;
pub mod killing;
mod listing;
mod loop_disk;
mod mending;
mod model;
mod power;

use crate::harness::Place;
use crate::harness::call::{Call, Said};
use serde_json::Value;

/// What a command prints as JSON.
fn json(call: Call) -> Value {
    json_of(&call.succeeds())
}

fn json_of(said: &Said) -> Value {
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("no JSON: {error}\n{said:?}"))
}

/// Nothing is wrong with the store, and nothing lies about: what `wiac store check --deep` has to say.
fn assert_whole(place: &Place) {
    let check = place.wiac(["store", "check", "--deep", "--format", "json"]);
    let report = json_of(&check.ends_with_any(&[0, 1]));
    assert_eq!(report["Findings"], serde_json::json!([]), "{report:#}");
    assert_eq!(report["Notes"], serde_json::json!([]), "{report:#}");
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
}
