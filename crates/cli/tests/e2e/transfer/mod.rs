//! Images on their way in and out: files that other tools write and read, tars, changes of containers.

mod layout;
mod many_layers;
pub mod peers;
mod rich;

mod choosing;
mod commit;
mod crowd;
mod hostile;
mod incoming;
mod messages;
mod outgoing;
mod proving;
mod tars;
mod users;
mod web;

use crate::harness::Place;
use crate::harness::call::Call;
use serde_json::Value;

/// What a command prints as JSON.
fn json(call: Call) -> Value {
    let said = call.succeeds();
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("no JSON: {error}\n{said:?}"))
}

/// Nothing is wrong with a data directory, and nothing lies about in it.
#[track_caller]
fn assert_whole(place: &Place, data: &str) {
    let check = place
        .wiac(["store", "check", "--deep", "--format", "json"])
        .env("WIAC_DATA", place.path(data));
    let said = check.ends_with_any(&[0, 1]);
    let report: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("no JSON: {error}\n{said:?}"));
    assert_eq!(report["Findings"], serde_json::json!([]), "{report:#}");
    assert_eq!(report["Notes"], serde_json::json!([]), "{report:#}");
    assert_eq!(place.tree(format!("{data}/tmp")), Vec::<String>::new());
}

/// wiac on a data directory of the place by name.
fn wiac_on<'a>(place: &Place, data: &str, arguments: impl IntoIterator<Item = &'a str>) -> Call {
    place.wiac(arguments).env("WIAC_DATA", place.path(data))
}

/// Any moment up to `longest` from now.
fn moment(longest: std::time::Duration) -> std::time::Duration {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("a clock");
    longest * (since.subsec_nanos() / 100 % 1000) / 1000
}
