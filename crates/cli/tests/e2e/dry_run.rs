//! `--dry-run=shell`: scripts that do by hand what wiac does, run with bash to the same result.

use crate::harness::call::{Call, Said};
use crate::harness::{Place, as_users};
use std::path::Path;

/// Runs a printed script with bash, as the place's user, in the place's directory.
fn by_hand(place: &Place, script: &Said) -> Call {
    place.write("script.sh", &script.stdout);
    place.command(Path::new("/bin/bash")).arg("script.sh")
}

/// A script is to be read: comments, no line of a length that nobody reads, nothing of wiac's in it.
fn is_readable(script: &Said) {
    let lines = script.lines();
    assert!(lines[0].starts_with("#!"), "{}", script.stdout);
    assert!(
        lines.iter().filter(|line| line.trim_start().starts_with('#')).count() > 3,
        "{}",
        script.stdout
    );
}

as_users!(run_by_hand: root, user, single);
fn run_by_hand(place: &Place) {
    place.busybox("base");
    place.write("top/file", "of the top\n");
    let inside = "cat /file; echo $$; hostname >/dev/null; ls / /dev; echo new > /made; test ! -e /home; exit 3";
    let said = place.sh("./top:./base", "./layer", inside).fails(3);
    let script = place
        .wiac([
            "run",
            "--dry-run=shell",
            "./top:./base",
            "./by-hand",
            "/bin/sh",
            "-c",
            inside,
        ])
        .succeeds();
    is_readable(&script);
    assert!(!place.has("by-hand/diff/made"), "a dry run runs nothing");
    by_hand(place, &script).fails(3).says(&said.stdout);
    assert_eq!(place.read("by-hand/diff/made"), "new\n");
}

as_users!(an_image_by_hand: root, user, single);
fn an_image_by_hand(place: &Place) {
    place.image(
        "app",
        "ENV COLOUR=\"dark red\"\nWORKDIR /srv\nCMD [\"sh\", \"-c\", \"pwd; echo $COLOUR; id -u\"]",
    );
    let said = place.wiac(["run", "app"]).succeeds();
    let script = place.wiac(["run", "--dry-run=shell", "app"]).succeeds();
    is_readable(&script);
    by_hand(place, &script).succeeds().says(&said.stdout);
}

as_users!(bundle_by_hand: root, user, single);
fn bundle_by_hand(place: &Place) {
    let script = place
        .wiac(["bundle", "--dry-run=shell", "bash", "ls", "by-hand"])
        .succeeds();
    is_readable(&script);
    assert!(!place.has("by-hand"));
    by_hand(place, &script).succeeds();
    place.wiac(["bundle", "bash", "ls", "by-wiac"]).succeeds();
    assert_eq!(place.tree("by-hand"), place.tree("by-wiac"));
    place
        .host("diff -r --no-dereference by-hand by-wiac && chroot by-hand bash -c 'ls /usr/bin'")
        .succeeds()
        .says("bash\nls");
}

as_users!(copy_by_hand: root, user, single);
fn copy_by_hand(place: &Place) {
    place.write("src/a file", "a");
    place.script("src/deep/script", "b");
    place.symlink("a file", "src/link");
    place.write("single", "c");
    for arguments in [
        &["src", "/"][..],
        &["src", "/new"],
        &["src/.", "/srv/"],
        &["single", "src", "/both/"],
        &["single", "/renamed"],
    ] {
        let call = |layer: &str, dry: &[&str]| place.wiac(["copy"]).args(dry).arg(layer).args(arguments);
        call("by-wiac", &[]).succeeds();
        let script = call("by-hand", &["--dry-run=shell"]).succeeds();
        by_hand(place, &script).succeeds();
        assert_eq!(place.tree("by-hand/diff"), place.tree("by-wiac/diff"), "{arguments:?}");
    }
    place.host("diff -r --no-dereference by-hand by-wiac").succeeds();
    place.host("cd by-wiac && find . -printf '%p %m %u %g %y\\n' | sort > ../a && cd ../by-hand && find . -printf '%p %m %u %g %y\\n' | sort > ../b && diff ../a ../b").succeeds();
}

#[test]
fn odd_characters_by_hand() {
    let place = Place::root();
    place.busybox("it's a base");
    let words = [
        "run",
        "--dry-run=shell",
        "-e",
        "A=it's \"$HOME\" `x`",
        "./it's a base",
        "./layer",
        "/bin/sh",
        "-c",
        "echo \"$A\"; printf '%s|' \"$@\"",
        "zero",
        "one two",
        "$three",
        "f'our",
        "",
    ];
    let script = place.wiac(words).succeeds();
    by_hand(&place, &script)
        .succeeds()
        .says("it's \"$HOME\" `x`\none two|$three|f'our||");
}

as_users!(paths_with_backslashes_by_hand: root, user);
fn paths_with_backslashes_by_hand(place: &Place) {
    place.busybox("base");
    place.write("v\\x41 \\052/file", "of the host\n");
    let words = [
        "run",
        "--dry-run=shell",
        "-v",
        "./v\\x41 \\052:/m\\x42,:ro",
        "--lower",
        "base",
        "./lay\\x43er",
    ];
    let script = place
        .wiac(words)
        .args([
            "sh",
            "-c",
            "cat /m*/file; touch /m*/file 2>/dev/null || echo read-only; grep -c ' /proc/sys ro,' /proc/self/mountinfo",
        ])
        .env("WIAC_DATA", place.path("da\\x44ta"))
        .succeeds();
    by_hand(place, &script).succeeds().says("of the host\nread-only\n1");
    place.write("context/file", "copied\n");
    place.write("context/.dockerignore", "ignored\n");
    place.write("context/ignored", "");
    let dockerfile = "FROM scratch AS made\nCOPY . /\nFROM bundle://sh,cat\nRUN --mount=from=made,target=/m cat /m/file >/read\n\
        COPY --from=made --exclude=no* / /made/\n";
    let script = place
        .build("context", dockerfile)
        .arg("--dry-run=shell")
        .env("WIAC_DATA", place.path("da\\x44ta"))
        .succeeds();
    let to = "by,\\x45 (hand";
    let said = by_hand(place, &script).arg(to).succeeds();
    let chain = said.lines().last().copied().unwrap_or_default().to_owned();
    place
        .wiac(["run", &chain, "./layer", "cat", "/made/file", "/read"])
        .succeeds()
        .says("copied\ncopied");
    assert!(!place.has(&format!("{to}/tmp")), "what was mounted is gone");
}

#[test]
fn volumes_and_networks_by_hand() {
    let place = Place::root();
    place.busybox("base");
    place.write("shared/file", "of the host\n");
    let words = [
        "run",
        "--dry-run=shell",
        "--network",
        "none",
        "--read-only",
        "-h",
        "box",
        "-w",
        "/srv",
        "-v",
        "./shared:/mnt:ro",
        "./base",
        "./layer",
        "/bin/sh",
        "-c",
    ];
    let script = place
        .wiac(words)
        .arg("cat /mnt/file; hostname; pwd; ls /sys/class/net; touch /x /mnt/x 2>/dev/null || echo read-only")
        .succeeds();
    by_hand(&place, &script)
        .succeeds()
        .says("of the host\nbox\n/srv\nlo\nread-only");
}

#[test]
fn a_dry_run_makes_no_container_layer() {
    let place = Place::root();
    place.busybox("base");
    place
        .wiac(["run", "--dry-run=shell", "./base", "./layer", "/bin/sh"])
        .succeeds();
    assert!(!place.has("layer"));
}
