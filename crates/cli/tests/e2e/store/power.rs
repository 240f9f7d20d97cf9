//! Power fails at any moment: what a command had said was done is there afterwards, and the store is whole.
//!
//! The file system is shut down without its log being flushed, mounted again, and the store told that the machine has
//! been started again.

use super::killing::{Random, seed};
use super::loop_disk::LoopDisk;
use super::{json, json_of};
use crate::harness::Place;
use crate::harness::call::Call;
use std::time::Duration;

/// How often the power fails on each file system.
const FAILURES: u64 = 25;

/// Builds, loads, commits and deletes until `stop` is there; writes into `done` what has been named.
const WORK: &str = "
number=0
while ! test -e stop; do
  number=$((number + 1))
  name=$CYCLE-$number
  $WIAC build -q -t built-$name --build-arg STEP=$name step > /dev/null && echo built-$name $name >> done
  $WIAC load -q -i packed.tar > /dev/null && echo packed packed >> done
  $WIAC run \"$CHAIN\" disk/container sh -c \"echo $name > /step\" &&
    $WIAC commit -q disk/container committed-$name > /dev/null && echo committed-$name $name >> done
  $WIAC build -q --build-arg STEP=nameless-$name step > /dev/null
  $WIAC prune -f > /dev/null
done
true
";

/// An id as the kernel gives one to each start of the machine.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/uuid")
        .expect("a uuid")
        .trim()
        .to_owned()
}

fn work(place: &Place, disk: &LoopDisk<'_>, boot: &str, cycle: u64, chain: &str) -> Call {
    place.host("rm -f stop done; touch done").succeeds();
    disk.of_boot(boot)
        .args(["bash", "-c", WORK])
        .env("WIAC", crate::harness::tools::wiac())
        .env("CYCLE", cycle.to_string())
        .env("CHAIN", chain)
}

fn power_fails_on(kind: &str, megabytes: u32) {
    let seed = seed();
    let mut random = Random::new(seed);
    let place = Place::root();
    let disk = LoopDisk::new(&place, kind, megabytes);
    place.busybox("context/root");
    place.write(
        "context/Dockerfile",
        "FROM scratch\nCOPY root /\nRUN echo kept > /file\n",
    );
    place.write(
        "step/Dockerfile",
        "FROM kept\nARG STEP\nRUN echo $STEP > /step\nRUN cp /bin/busybox /copy\n",
    );
    let mut boot = boot_id();
    disk.wiac_of_boot(&boot, ["build", "-q", "-t", "kept", "context"])
        .succeeds();
    disk.wiac_of_boot(
        &boot,
        ["build", "-q", "-t", "packed", "--build-arg", "STEP=packed", "step"],
    )
    .succeeds();
    disk.wiac_of_boot(&boot, ["save", "-o", "packed.tar", "packed"])
        .succeeds();
    let chain = disk.wiac_of_boot(&boot, ["layers", "-q", "kept"]).succeeds();
    let mut promised = 0;
    for cycle in 0..FAILURES {
        let mut running = work(&place, &disk, &boot, cycle, chain.text()).in_background();
        std::thread::sleep(Duration::from_millis(random.below(900)));
        // A promise is what was said before: XFS, shut down between a rename and the fsync of its directory, lets that
        // succeed, which a machine without power can't.
        let done = place.read("done");
        disk.lose_power();
        place.write("stop", "");
        running.exit_code();
        disk.get_power_back();
        boot = boot_id();
        let context = format!("{kind}, seed {seed}, failure {cycle}");
        let check = disk.wiac_of_boot(&boot, ["store", "check", "--deep", "--format", "json"]);
        let report = json_of(&check.ends_with_any(&[0, 1]));
        assert_eq!(report["Findings"], serde_json::json!([]), "{context}: {report:#}");
        for line in done.lines() {
            let (name, step) = line.split_once(' ').expect("two words");
            disk.wiac_of_boot(&boot, ["run", name, "cat", "/step"])
                .succeeds()
                .says(step);
            promised += 1;
        }
        disk.wiac_of_boot(&boot, ["run", "kept", "cat", "/file"])
            .succeeds()
            .says("kept");
        clear(&place, &disk, &boot);
    }
    eprintln!("{kind}: {promised} images were promised and there after {FAILURES} failures");
    assert!(
        // A busy machine gets less done in the time.
        promised * 2 > FAILURES,
        "{promised} promises in {FAILURES} cycles prove little"
    );
}

/// Deletes what a cycle made; nothing may be left of it.
fn clear(place: &Place, disk: &LoopDisk<'_>, boot: &str) {
    let names = disk
        .wiac_of_boot(boot, ["images", "--format", "{{range .Names}}{{println .}}{{end}}"])
        .succeeds();
    let made: Vec<&str> = names
        .stdout
        .split_whitespace()
        .filter(|name| !name.starts_with("kept:"))
        .collect();
    disk.wiac_of_boot(boot, ["rmi", "-q", "-f"].into_iter().chain(made).chain(["packed"]))
        .succeeds();
    place.host("rm -rf disk/container").succeeds();
    disk.wiac_of_boot(boot, ["prune", "-f", "--cache"]).succeeds();
    let report = json(disk.wiac_of_boot(boot, ["store", "check", "--format", "json"]));
    let notes = report["Notes"].as_array().expect("a list");
    let beside = notes
        .iter()
        .filter(|note| !note.as_str().is_some_and(|note| note.contains("quarantine/")));
    assert_eq!(beside.count(), 0, "{report:#}");
}

#[test]
fn power_fails_on_ext4() {
    power_fails_on("ext4", 96);
}

#[test]
fn power_fails_on_xfs() {
    power_fails_on("xfs", 320);
}
