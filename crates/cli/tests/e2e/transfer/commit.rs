//! What a container changed becomes a layer.

use super::layout::{CONFIG, LAYER, Layout, config, digest, named};
use super::peers::Unmounted;
use super::rich::{assert_same, merged};
use super::{assert_whole, json};
use crate::harness::{Place, as_users, leftovers};
use rustix::process::Signal;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// How often a commit is killed.
const KILLS: usize = 100;

/// The longest a commit is left alone: a little longer than it takes.
const LONGEST: Duration = Duration::from_millis(60);

fn chain(place: &Place) -> String {
    place.image("app", "ENV WHO=me\nRUN mkdir /made && echo old >/old");
    place.wiac(["layers", "-q", "app"]).succeeds().text().to_owned()
}

as_users!(a_container_becomes_an_image: root, user, single);
fn a_container_becomes_an_image(place: &Place) {
    let chain = chain(place);
    place.sh(&chain, "./box", "rm /old; echo one >/made/one").succeeds();
    let before = std::fs::metadata(place.path("box/diff/made/one")).expect("made").ino();
    let said = place
        .wiac([
            "commit",
            "-c",
            "CMD [\"sh\", \"-c\", \"cat /made/*; echo $WHO\"]",
            "-m",
            "a note",
            "-a",
            "Ann",
            "./box",
            "first",
        ])
        .succeeds();
    assert_eq!(said.stderr, "", "it was moved, not copied");
    place.wiac(["run", "first"]).succeeds().says("one\nme");
    place.wiac(["run", "first", "test", "-e", "/old"]).fails(1);
    let top = json(place.wiac(["layers", "--format", "json", "first"]))[0]["Directory"].clone();
    let top = PathBuf::from(top.as_str().expect("a directory"));
    assert_eq!(std::fs::metadata(top.join("made/one")).expect("there").ino(), before);
    let history = place.wiac(["history", "--no-trunc", "first"]).succeeds();
    history.mentions("a note").mentions("COMMIT");
    assert_eq!(json(place.wiac(["inspect", "first"]))[0]["Author"], "Ann");
    // No stubs of mounts are in it.
    let names: Vec<String> = place
        .tree(&top)
        .into_iter()
        .filter(|name| !name.starts_with("made"))
        .collect();
    assert_eq!(names, ["old"]);

    // It goes on with the chain it was given.
    place
        .sh(&chain, "./box", "cat /made/one && echo two >/made/two")
        .succeeds()
        .says("one");
    place.wiac(["commit", "-q", "./box", "second"]).succeeds();
    place
        .wiac(["run", "second", "sh", "-c", "cat /made/*; test ! -e /old"])
        .succeeds()
        .says("one\ntwo");
    place.sh(&chain, "./box", "cat /made/*").succeeds().says("one\ntwo");
    // Nothing changed since: an empty layer, and what is below it.
    place.wiac(["commit", "./box", "third"]).succeeds();
    place
        .wiac(["run", "third", "sh", "-c", "cat /made/*"])
        .succeeds()
        .says("one\ntwo");
    place.wiac(["prune", "-f"]).succeeds();
    place.sh(&chain, "./box", "cat /made/*").succeeds().says("one\ntwo");
    // What users of docker and podman write beside.
    for pause in ["-p", "--pause=false"] {
        let commit = ["commit", pause, "-f", "docker", "--iidfile", "id", "./box", "fourth"];
        let said = place.wiac(commit).succeeds();
        assert_eq!(place.read("id"), said.text());
    }
    for (option, why) in [("--squash", "wiac squash"), ("--include-volumes", "volumes")] {
        place
            .wiac(["commit", option, "./box", "no"])
            .fails(125)
            .complains(&[option, why]);
    }
    assert_whole(place, "data");
}

as_users!(what_cant_be_committed: root, user);
fn what_cant_be_committed(place: &Place) {
    let chain = chain(place);
    place.mkdir("shared");
    let mut running = place
        .wiac([
            "run",
            "-v",
            "./shared:/mnt",
            &chain,
            "./box",
            "sh",
            "-c",
            "touch /mnt/started; sleep 50",
        ])
        .in_background();
    leftovers::wait_until("the container has started", || place.has("shared/started"));
    place
        .wiac(["commit", "./box", "no"])
        .fails(1)
        .complains(&["box is in use by a running container: stop it first"]);
    running.gets(Signal::KILL);
    running.exit_code();
    place
        .wiac(["commit", "./missing", "no"])
        .fails(1)
        .complains(&["missing", "no such container layer"]);
    place.mkdir("empty");
    place
        .wiac(["commit", "./empty", "no"])
        .fails(1)
        .complains(&["no container.json in it"]);
    place
        .wiac(["commit", "-c", "RUN true", "./box", "no"])
        .fails(1)
        .complains(&["RUN"]);
    place.wiac(["commit", "./box", "N o"]).fails(125).complains(&["N o"]);
    assert_eq!(place.wiac(["images", "-q", "no"]).succeeds().stdout, "");
    leftovers::assert_nothing_within(Duration::from_secs(10), &place.path("box"), "no-such-word");
    place.wiac(["commit", "./box", "yes"]).succeeds();
    assert_whole(place, "data");
}

#[test]
fn from_another_file_system_it_is_copied() {
    let place = Place::root();
    let _unmounted = Unmounted(&place);
    let chain = chain(&place);
    place.host("mkdir other && mount -t tmpfs none other").succeeds();
    let script = "rm /old; mknod /fifo p; ln /bin/busybox /linked; echo one >/made/one; chown 5:6 /made/one; chmod 4711 /made/one";
    place.sh(&chain, "./other/box", script).succeeds();
    let mut directories: Vec<PathBuf> = chain.split(':').map(PathBuf::from).collect();
    directories.insert(0, place.path("other/box/diff"));
    let expected = merged(&place, &directories);
    place
        .wiac(["commit", "./other/box", "copied"])
        .succeeds()
        .complains(&["on another file system than the data directory: it was copied"]);
    let ours = super::rich::shown(&place, "data", "copied");
    // Mount points that weren't there before aren't the container's doing.
    let is_stub = |line: &&str| {
        !["'dev'", "'proc'", "'sys'", "'etc/"]
            .iter()
            .any(|name| line.starts_with(name))
    };
    let without_stubs = |listing: &str| -> String { listing.lines().filter(is_stub).collect::<Vec<_>>().join("\n") };
    assert_same("copied", &without_stubs(&expected), &without_stubs(&ours));
    place
        .sh(&chain, "./other/box", "cat /made/one; echo two >/made/two")
        .succeeds()
        .says("one");
    place.wiac(["commit", "-q", "./other/box", "again"]).succeeds();
    place
        .wiac(["run", "again", "sh", "-c", "cat /made/*"])
        .succeeds()
        .says("one\ntwo");
    assert_whole(&place, "data");
}

#[test]
fn directories_of_the_users_own_are_copied() {
    let place = Place::root();
    place.busybox("base");
    place.write("l2/file", "from l2\n");
    place.sh("./l2:./base", "./box", "echo mine >/mine").succeeds();
    place
        .wiac(["commit", "-c", "CMD [\"cat\", \"/file\", \"/mine\"]", "./box", "app"])
        .succeeds()
        .complains(&["2 of the directories below are not the store's own: copied into it"]);
    place.host("rm -r l2 base").succeeds();
    place.wiac(["run", "app"]).succeeds().says("from l2\nmine");
    assert_whole(&place, "data");
}

as_users!(killed_at_any_moment_nothing_is_lost: root, user);
fn killed_at_any_moment_nothing_is_lost(place: &Place) {
    let wanted = if place.is_root() { KILLS } else { KILLS / 5 };
    assert_killed_loses_nothing(place, "./box", wanted);
}

#[test]
fn killed_while_it_copies_nothing_is_lost() {
    let place = Place::root();
    let _unmounted = Unmounted(&place);
    place.host("mkdir other && mount -t tmpfs none other").succeeds();
    assert_killed_loses_nothing(&place, "./other/box", KILLS / 5);
}

fn assert_killed_loses_nothing(place: &Place, layer: &str, wanted: usize) {
    let chain = chain(place);
    let (mut kills, mut made) = (0, 0);
    while kills < wanted {
        // All that was made is there, and one more is made.
        let script = format!("test $(ls /made | wc -l) = {made} && echo {made} >/made/{made}");
        place.sh(&chain, layer, &script).succeeds();
        made += 1;
        let moment = super::moment(LONGEST);
        let mut commit = place.wiac(["commit", "-q", layer, "app2"]).in_background();
        std::thread::sleep(moment);
        commit.gets(Signal::KILL);
        kills += usize::from(commit.exit_code() == 137);
        // Whoever comes next finds all: the next command, an export, another commit.
        match made % 3 {
            0 => {}
            1 => {
                place.wiac(["export", "-o", "flat.tar", layer]).succeeds();
                let files = place.host("tar -tf flat.tar | grep -c made/.").succeeds();
                assert_eq!(files.text(), made.to_string());
            }
            _ => drop(place.wiac(["commit", "-q", layer, "again"]).succeeds()),
        }
    }
    let expected: Vec<String> = (0..made).map(|number| number.to_string()).collect();
    let script = "cd /made; cat $(seq 0 $(($(ls | wc -l) - 1)))";
    let says_all = |image: &str, layer: Option<&str>| {
        let words = ["run", image].into_iter().chain(layer).chain(["sh", "-c", script]);
        place.wiac(words).succeeds().says(&expected.join("\n"));
    };
    says_all(&chain, Some(layer));
    place.wiac(["commit", "-q", layer, "whole"]).succeeds();
    says_all("whole", None);
    place.wiac(["prune", "-f"]).succeeds();
    says_all(&chain, Some(layer));
    assert_whole(place, "data");
}

#[test]
fn a_base_without_history_keeps_its_layers_apart() {
    let place = Place::root();
    let layout = Layout::new(&place, "silent");
    place.busybox("tree");
    place.write("tree/etc/passwd", "root:x:0:0::/:/bin/sh\n");
    place
        .host("tar -C tree -cf base.tar . && tar -C tree -cf more.tar bin/sh")
        .succeeds();
    let tars = ["base.tar", "more.tar"].map(|name| std::fs::read(place.path(name)).expect("made"));
    // As Nix and Bazel make them.
    let mut said = config(&tars.each_ref().map(|tar| digest(tar)));
    said.as_object_mut().expect("an object").remove("history");
    let layers = tars.each_ref().map(|tar| layout.blob(LAYER, tar));
    let image = layout.manifest(&layout.document(CONFIG, &said), &layers);
    layout.index(&[named(&image, "silent:1")]);
    place.wiac(["load", "silent"]).succeeds();
    let chain = place.wiac(["layers", "-q", "silent:1"]).succeeds().text().to_owned();
    place.sh(&chain, "./box", "echo 12345 >/new").succeeds();
    place.wiac(["commit", "-m", "a note", "./box", "committed"]).succeeds();
    place
        .build("context", "FROM silent:1\nENV A=b\nRUN echo 12345 >/new\n")
        .args(["-t", "built"])
        .succeeds();
    for (name, newest, count) in [("committed", "6B COMMIT", 3), ("built", "6B RUN", 4)] {
        let said = place.wiac(["history", "--no-trunc", "--format", "{{.Size}} {{.CreatedBy}}", name]);
        let said = said.succeeds();
        let lines: Vec<&str> = said.stdout.lines().collect();
        assert!(
            lines[0].starts_with(newest) && lines.len() == count,
            "{name}: {lines:?}"
        );
        let last = lines[count - 1].trim();
        assert!(last.ends_with("MB"), "{name}: {lines:?}");
    }
}
