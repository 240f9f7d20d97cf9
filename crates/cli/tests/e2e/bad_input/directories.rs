//! Layers, container layers and data directories that can't serve.

use super::{complains, is_a_message, privately};
use crate::harness::call::Call;
use crate::harness::{Place, as_users, tools};
use std::path::Path;

as_users!(lower_directories: root, user, single);
fn lower_directories(place: &Place) {
    place.busybox("base");
    place
        .sh("./missing:./base", "./layer", "true")
        .fails(125)
        .complains(&["lower directory ./missing: No such file or directory"]);
    place.write("file", "");
    complains(
        place.sh("./base:./file", "./layer", "true"),
        125,
        &["lower directory ./file", "it is a file, not a directory"],
    );
    place.symlink("loop", "loop");
    complains(
        place.sh("./loop", "./layer", "true"),
        125,
        &["lower directory ./loop", "symbolic links"],
    );
    complains(
        place.sh("./base:", "./layer", "true"),
        125,
        &["./base:", "\"\" doesn't begin with /, ./ or ../"],
    );
    complains(
        place.sh("./base:base", "./layer", "true"),
        125,
        &["./base:base: \"base\" doesn't begin with /, ./ or ../", "--lower"],
    );
    complains(
        place.sh("./base:./base/../base", "./layer", "true"),
        125,
        &["lower directory ./base/../base: it is in the chain already"],
    );
    complains(place.sh("./base", "", "true"), 125, &["a directory has no name"]);
    complains(
        place.wiac(["run", "--lower", "", "./layer", "true"]),
        125,
        &["a directory has no name"],
    );
    complains(
        place.sh("./base", "./file/layer", "true"),
        125,
        &["file/layer", "Not a directory"],
    );
    assert!(
        !place.has("layer/container.json"),
        "nothing is recorded for what can't run"
    );
}

as_users!(a_directory_with_work_of_somebodys_is_no_container_layer: root, user);
fn a_directory_with_work_of_somebodys_is_no_container_layer(place: &Place) {
    place.busybox("base");
    place.write("home/work/work/precious", "kept\n");
    complains(
        place.sh("./base", "./home", "true"),
        125,
        &[
            "home can't be a container layer: overlayfs would delete what is in",
            "home/work/work",
        ],
    );
    assert_eq!(place.read("home/work/work/precious"), "kept\n");
    assert!(!place.has("home/diff"), "nothing was made");
    // One's own goes again and again, whatever else is there.
    place.write("layer/work/beside", "");
    for _ in 0..2 {
        place.sh("./base", "./layer", "true").succeeds();
    }
    assert!(place.has("layer/work/beside"));
}

as_users!(a_file_in_the_place_of_a_file_system_says_so: root, single);
fn a_file_in_the_place_of_a_file_system_says_so(place: &Place) {
    place.busybox("base");
    place.write("top/proc", "");
    complains(
        place.sh("./top:./base", "./layer", "true"),
        125,
        &["can't mount proc on /proc", "a directory goes on a directory"],
    );
}

as_users!(a_chain_that_contains_itself: root, user);
fn a_chain_that_contains_itself(place: &Place) {
    place.busybox("base");
    place.mkdir("layer/diff/inner");
    complains(
        place.sh("./layer/diff/inner:./base", "./layer", "true"),
        125,
        &["one of the directories contains another"],
    );
    place.sh("./base:./base", "./other", "true").ends_with_any(&[0, 125]);
}

as_users!(what_the_user_may_not_read_or_write: user, single);
fn what_the_user_may_not_read_or_write(place: &Place) {
    place.busybox("base");
    place
        .host("mkdir -m 0700 theirs && chown 0:0 theirs && mkdir -m 0755 roots && chown 0:0 roots")
        .succeeds();
    complains(
        place.sh("./theirs/base", "./layer", "true"),
        125,
        &["lower directory ./theirs/base", "Permission denied"],
    );
    complains(
        place.sh("./base", "./roots/layer", "true"),
        125,
        &["roots/layer", "Permission denied"],
    );
    complains(
        place
            .wiac(["run", "bundle://sh"])
            .env("WIAC_DATA", place.path("roots/data")),
        125,
        &["roots/data", "Permission denied"],
    );
    place
        .host("install -m 0600 -o 0 /dev/null secret; mkdir -p context; install -m 0600 -o 0 /dev/null context/secret")
        .succeeds();
    complains(
        place.build("context", "FROM scratch\nCOPY secret /\n"),
        1,
        &["Dockerfile:2", "secret", "Permission denied"],
    );
    complains(place.wiac(["bundle", "./secret", "target"]), 1, &["secret"]);
    place.host("chmod 700 context/secret").succeeds();
    complains(
        place.wiac(["copy", "layer1", "context/secret", "/"]),
        1,
        &["secret", "Permission denied"],
    );
}

#[test]
fn upper_and_work_on_different_file_systems() {
    let place = Place::root();
    place.busybox("base");
    place.mkdir("layer/work");
    place.mkdir("layer/diff");
    let said = privately(&place, "mount -t tmpfs none layer/work; $WIAC run ./base ./layer true").fails(125);
    said.complains(&["layer/diff", "layer/work", "different file systems"]);
}

#[test]
fn a_file_system_that_can_not_carry_an_upper_directory() {
    let place = Place::root();
    place.busybox("base");
    let mount = "mkdir -p o/low o/up o/work o/merged; mount -t overlay none -o lowerdir=o/low,upperdir=o/up,workdir=o/work o/merged";
    let said = privately(&place, &format!("{mount}; $WIAC run ./base ./o/merged/layer true")).fails(125);
    is_a_message(&said);
    said.complains(&["o/merged/layer", "such as another overlay", "ext4, xfs, btrfs or tmpfs"]);
    let said = privately(&place, &format!("{mount}; cp -r base o/low/; printf 'FROM scratch\\nCOPY base /\\nRUN true\\n' > o/low/Dockerfile; WIAC_DATA=$PWD/o/merged/data $WIAC build o/low")).fails(1);
    said.complains(&["such as another overlay", "ext4, xfs, btrfs or tmpfs"]);
}

#[test]
fn a_read_only_place() {
    let place = Place::root();
    place.busybox("base");
    place.mkdir("ro");
    let said = privately(&place, "mount -t tmpfs -o ro none ro; $WIAC run ./base ./ro/layer true").fails(125);
    said.complains(&["ro/layer", "Read-only file system"]);
    let said = privately(
        &place,
        "mount -t tmpfs -o ro none ro; WIAC_DATA=$PWD/ro/data $WIAC run bundle://sh -- sh -c true",
    )
    .fails(125);
    said.complains(&["ro/data", "Read-only file system"]);
    // What is in a data directory is of use there, too.
    place.image("app", "RUN echo here > /file");
    let mount = "mount --bind data data; mount -o remount,bind,ro data";
    for command in [
        "images",
        "inspect app",
        "history app",
        "layers app",
        "df",
        "export -o root.tar app",
        "store check",
    ] {
        privately(&place, &format!("{mount}; $WIAC {command}")).succeeds();
    }
    let said = privately(&place, &format!("{mount}; $WIAC run app true")).fails(125);
    said.complains(&["mounted read-only", "wiac --data OTHER run"]);
    let run = "$WIAC --data other run \"$($WIAC layers -q app)\" ./changes cat /file";
    privately(&place, &format!("{mount}; {run}")).succeeds().says("here");
}

#[test]
fn an_overlay_that_is_not_permitted() {
    let place = Place::root();
    place.busybox("base");
    let wiac = tools::wiac();
    // Without the capability to mount, root is as powerless as anybody: say so, and what to do.
    let call = Call::new(Path::new("/usr/bin/setpriv"), place.dir()).args([
        "--bounding-set",
        "-sys_admin",
        "--inh-caps",
        "-sys_admin",
    ]);
    let said = call
        .arg(wiac)
        .args(["run", "./base", "./layer", "true"])
        .env("WIAC_DATA", place.data())
        .fails(125);
    is_a_message(&said);
    said.complains(&["Operation not permitted"]);
}

#[test]
fn a_full_disk() {
    let place = Place::root();
    place.busybox("context/root");
    place.write(
        "context/Dockerfile",
        "FROM scratch\nCOPY root /\nRUN cat /dev/zero > /big\n",
    );
    place.mkdir("small");
    let script = "mount -t tmpfs -o size=6m none small; export WIAC_DATA=$PWD/small/data\n";
    let said = privately(&place, &format!("{script} $WIAC build context")).fails(1);
    said.complains(&["No space left on device", "Dockerfile:3"]);
    place.host("head -c 8388608 /dev/zero > context/root/large").succeeds();
    let said = privately(
        &place,
        &format!("{script} $WIAC build context || {{ code=$?; ls small/data/tmp small/data/layers; exit $code; }}"),
    )
    .fails(1);
    is_a_message(&said);
    said.says("small/data/layers:\n\nsmall/data/tmp:")
        .complains(&["No space left on device", "Dockerfile:2"]);
    // Not even the data directory itself.
    let said = privately(&place, "mount -t tmpfs -o size=4k,nr_inodes=3 none small; WIAC_DATA=$PWD/small/data $WIAC run bundle://sh -- sh -c true").fails(125);
    said.complains(&["No space left on device"]);
}

#[test]
fn a_data_directory_that_is_not_ours() {
    let place = Place::root();
    place.write("foreign/file", "mine");
    let said = place.wiac(["images"]).env("WIAC_DATA", place.path("foreign")).fails(1);
    said.complains(&["foreign", "not empty and not a data directory of wiac", "WIAC_DATA"]);
    assert_eq!(place.tree("foreign"), ["file"]);
    place.wiac(["images"]).succeeds();
    place.write("data/format", "999\n");
    place
        .wiac(["images"])
        .fails(1)
        .complains(&["999", "use the wiac that made it"]);
    place.write("plain", "");
    place
        .wiac(["images"])
        .env("WIAC_DATA", place.path("plain"))
        .fails(1)
        .complains(&["the data directory", "plain is no directory", "--data DIR"]);
    place.symlink("nowhere", "leads-nowhere");
    place
        .wiac(["images"])
        .env("WIAC_DATA", place.path("leads-nowhere"))
        .fails(1)
        .complains(&["leads-nowhere is a symlink that leads nowhere", "--data DIR"]);
}

#[test]
fn the_data_directory_is_where_it_is_said_to_be() {
    let place = Place::root();
    place
        .wiac([
            "--data",
            "elsewhere",
            "run",
            "bundle://sh",
            "--",
            "sh",
            "-c",
            "echo fine",
        ])
        .succeeds()
        .says("fine");
    assert!(place.has("elsewhere/format") && !place.has("data"));
    // Without root and without being told, below the home directory.
    let place = Place::user();
    place.command(tools::wiac()).args(["images"]).succeeds();
    assert!(place.has(".local/share/wiac/format"));
    place
        .command(tools::wiac())
        .args(["images"])
        .env("XDG_DATA_HOME", place.path("xdg"))
        .succeeds();
    assert!(place.has("xdg/wiac/format"));
}

#[test]
fn layers_that_went_missing() {
    let place = Place::root();
    place.image("app", "");
    place.host("rm -r data/layers/*").succeeds();
    place
        .wiac(["run", "app", "true"])
        .fails(125)
        .complains(&["is missing; build or load the image again"]);
    // A build makes it again.
    place.wiac(["build", "-t", "app", "app-context"]).succeeds();
    place.wiac(["run", "app", "echo", "again"]).succeeds().says("again");
}
