//! A full disk at any write: a command says so in a line, and the store is whole.

use super::loop_disk::LoopDisk;
use super::{json, json_of};
use crate::harness::Place;

/// How much is free when a command begins: closer together where the small files are written.
fn rooms() -> impl Iterator<Item = u64> {
    (0..26).map(|step: u64| step * step * 4096)
}

#[test]
fn a_disk_full_at_any_write_leaves_the_store_whole() {
    let place = Place::root();
    let disk = LoopDisk::new(&place, "ext4", 48);
    place.busybox("context/root");
    place.write(
        "context/Dockerfile",
        "FROM scratch\nCOPY root /\nRUN echo kept > /file\n",
    );
    disk.wiac(["build", "-q", "-t", "kept", "context"]).succeeds();
    let step = "FROM kept\nARG STEP\nRUN dd if=/dev/zero of=/new bs=4k count=300 2>&1 && echo $STEP > /step\n";
    place.write("step/Dockerfile", step);
    disk.wiac(["build", "-q", "-t", "packed", "--build-arg", "STEP=packed", "step"])
        .succeeds();
    disk.wiac(["save", "-o", "packed.tar", "packed"]).succeeds();
    let chain = disk.wiac(["layers", "-q", "kept"]).succeeds();
    let (mut full, mut done) = (0, 0);
    for (number, free) in rooms().enumerate() {
        disk.wiac(["rmi", "-f", "packed"]).succeeds();
        disk.wiac([
            "run",
            chain.text(),
            "disk/container",
            "sh",
            "-c",
            &format!("echo {number} > /mine"),
        ])
        .succeeds();
        disk.wiac(["prune", "-f", "--cache"]).succeeds();
        let argument = format!("STEP={number}");
        for words in [
            vec!["build", "-q", "-t", "new", "--build-arg", &argument, "step"],
            vec!["load", "-q", "-i", "packed.tar"],
            vec!["commit", "-q", "disk/container", "committed"],
            vec!["tag", "kept", "another"],
            vec!["run", "kept", "sh", "-c", "dd if=/dev/zero of=/x bs=4k count=300 2>&1"],
        ] {
            disk.fill(free);
            let said = disk.wiac(words.iter().copied()).ends_with_any(&[0, 1, 125]);
            if said.stderr.is_empty() {
                done += 1;
            } else {
                full += 1;
                assert!(
                    said.stderr.contains("o space left"),
                    "{free} bytes free, {words:?}: {}",
                    said.stderr
                );
            }
            // The disk is as full as it was.
            let check = disk.wiac(["store", "check", "--deep", "--format", "json"]);
            let report = json_of(&check.ends_with_any(&[0, 1]));
            assert_eq!(
                report["Findings"],
                serde_json::json!([]),
                "{free} bytes free, after {words:?}: {report:#}"
            );
            // Also where nothing fits any more, something can be freed.
            if free == 0 {
                disk.wiac(["prune", "-f", "--cache", "--blobs"]).succeeds();
            }
            disk.empty();
            // What the container wrote is in its layer, or in the one that was committed.
            let names = disk.wiac(["run", "kept", "cat", "/file"]).succeeds();
            names.says("kept");
            disk.wiac(["run", chain.text(), "disk/container", "cat", "/mine"])
                .succeeds()
                .says(&number.to_string());
        }
        disk.wiac(["rmi", "-f", "new", "committed", "another"]).succeeds();
        disk.wiac(["prune", "-f", "--cache"]).succeeds();
        place.host("rm -rf disk/container").succeeds();
        disk.wiac(["prune", "-f", "--cache"]).succeeds();
        let report = json(disk.wiac(["store", "check", "--format", "json"]));
        assert_eq!(report["Notes"], serde_json::json!([]), "{free} bytes free: {report:#}");
    }
    assert!(
        full > 20 && done > 20,
        "the disk was full {full} times and wasn't {done} times"
    );
}
