//! Any file of the store damaged in any way: `wiac store check --deep --repair` leaves a store that is whole, images that are
//! what they were, and takes none that can be had again from what is left.

use super::json_of;
use super::killing::{Random, seed};
use crate::harness::{Place, as_users};
use std::fs;

/// How many files are damaged as root, each in a store that is whole but for it; a third as many as a user.
const ROUNDS: usize = 48;

/// The parts of the store that are damaged in turn.
const PARTS: [&str; 6] = ["blobs/", "cache/", "diff-ids/", "images/", "layers/", "layers/"];

as_users!(a_repair_leaves_what_is_whole: root, user);
fn a_repair_leaves_what_is_whole(place: &Place) {
    let seed = seed();
    let mut random = Random::new(seed);
    place.image("came", "RUN mkdir /d; echo came > /d/came");
    place.wiac(["save", "-o", "came.tar", "came"]).succeeds();
    place.wiac(["rmi", "came"]).succeeds();
    place.wiac(["prune", "-a", "-f"]).succeeds();
    place.wiac(["load", "-i", "came.tar"]).succeeds();
    place
        .build(
            "context",
            "FROM came\nRUN echo made > /d/made\nRUN mv /d/came /d/moved\n",
        )
        .args(["-t", "made"])
        .succeeds();
    place.wiac(["images"]).succeeds();
    place.wiac(["store", "check", "--deep"]).succeeds();
    let shared = place.wiac(["layers", "-q", "came"]).succeeds().text().to_owned();
    let as_it_came = json_of(&place.wiac(["inspect", "came"]).succeeds());
    place.host("cp -a data whole").succeeds();
    let rounds = if place.is_root() { ROUNDS } else { ROUNDS / 3 };
    for round in 0..rounds {
        place.host("rm -rf data; cp -a whole data").succeeds();
        let damaged = a_file(place, PARTS[round % PARTS.len()], &mut random);
        let how = damage(place, &damaged, &mut random);
        let case = format!("seed {seed}, round {round}: {damaged} {how}");
        place
            .wiac(["store", "check", "--deep", "--repair"])
            .ends_with_any(&[0, 1]);
        // What is counted for it is written down.
        place.wiac(["df", "-v"]).succeeds();
        let check = place.wiac(["store", "check", "--deep", "--format", "json"]);
        let report = json_of(&check.ends_with_any(&[0, 1]));
        assert_eq!(report["Findings"], serde_json::json!([]), "{case}: {report:#}");
        let names = place.wiac(["images", "--format", "{{.Repository}}"]).succeeds();
        let own_files = damaged.starts_with("layers/") && damaged.contains("/diff/") && !is_in(&shared, &damaged);
        let is_told_by_itself = damaged.starts_with("images/records/") || own_files;
        for (name, holds, can_be_lost) in [
            ("came", "came came", false),
            ("made", "made moved made came", is_told_by_itself),
        ] {
            let is_there = names.lines().contains(&name);
            let may_go = can_be_lost || damaged.starts_with("images/names/");
            assert!(is_there || may_go, "{case}: {name} is lost");
            if is_there {
                let run = place.wiac(["run", "--rm", name, "sh", "-c", "cd /d; echo $(ls) $(cat *)"]);
                assert_eq!(run.succeeds().text(), holds, "{case}");
            }
            // Of a name nothing else knows which digest it came by.
            if is_there && name == "came" && !damaged.starts_with("images/names/") {
                assert_eq!(json_of(&place.wiac(["inspect", name]).succeeds()), as_it_came, "{case}");
            }
        }
    }
}

/// Whether a file of the store lies in one of these layers.
fn is_in(chain: &str, path: &str) -> bool {
    let id = path.split('/').nth(1).unwrap_or_default();
    chain.contains(id)
}

/// A file in a part of the store, by its path there.
fn a_file(place: &Place, part: &str, random: &mut Random) -> String {
    let is_file = |path: &String| {
        let meta = place.data().join(path).symlink_metadata();
        path.starts_with(part) && meta.is_ok_and(|meta| meta.is_file())
    };
    let all = place.tree("data").into_iter().filter(is_file);
    // Layers have more files than descriptions.
    let (contents, descriptions): (Vec<String>, Vec<String>) = all.partition(|path| path.contains("/diff/"));
    let files = if contents.is_empty() || random.below(2) == 0 {
        descriptions
    } else {
        contents
    };
    assert!(!files.is_empty(), "there is nothing in {part}");
    files[usize::try_from(random.below(files.len() as u64)).expect("a small number")].clone()
}

/// Damages a file, and says how.
fn damage(place: &Place, file: &str, random: &mut Random) -> &'static str {
    let path = place.data().join(file);
    let bytes = fs::read(&path).expect("read");
    let write = |bytes: &[u8]| fs::write(&path, bytes).expect("written");
    match random.below(6) {
        0 => {
            fs::remove_file(&path).expect("deleted");
            "is deleted"
        }
        1 => {
            write(&bytes[..bytes.len() / 2]);
            "has lost its second half"
        }
        2 => {
            write(&vec![0; bytes.len()]);
            "is all zeros"
        }
        3 => {
            write(&[&bytes[..], b"x"].concat());
            "has a byte more"
        }
        4 => {
            let mut bytes = bytes;
            let at = usize::try_from(random.below(bytes.len().max(1) as u64)).expect("a small number");
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1;
            }
            write(&bytes);
            "has a bit turned"
        }
        _ => {
            fs::remove_file(&path).expect("deleted");
            fs::create_dir(&path).expect("made");
            place.own(&path);
            "is a directory"
        }
    }
}
