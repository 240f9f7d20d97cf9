//! `-v`: what docker's users expect of it.

use crate::harness::{Place, as_users};
use std::path::Path;

as_users!(an_outer_volume_is_mounted_before_an_inner_one: root, user);
fn an_outer_volume_is_mounted_before_an_inner_one(place: &Place) {
    place.image("app", "");
    place.write("inner/file", "inner\n");
    place.write("outer/beside", "outer\n");
    place.mkdir("outer/in");
    place
        .wiac(["run", "-v", "./inner:/v/in", "-v", "./outer:/v", "app"])
        .args(["cat", "/v/beside", "/v/in/file"])
        .succeeds()
        .says("outer\ninner");
    place
        .wiac(["run", "-v", "./inner:/v", "-v", "./outer:/v/", "app", "true"])
        .fails(125)
        .complains(&["-v ./outer:/v/: /v is the place of another volume too"]);
    place
        .wiac(["run", "-v", "./inner:/v/..", "app", "true"])
        .fails(125)
        .complains(&["nothing can be mounted on the container's root itself"]);
}

as_users!(the_volumes_of_an_image_are_there: root, user, single);
fn the_volumes_of_an_image_are_there(place: &Place) {
    place.image("app", "RUN mkdir /has && echo here > /has/file\nVOLUME /has /srv/deep");
    let look =
        "cat /has/file; ls -a /srv/deep; echo x > /has/new && echo y > /srv/deep/new && cat /has/new /srv/deep/new";
    let seen = "here\n.\n..\nx\ny";
    place.wiac(["run", "app", "sh", "-c", look]).succeeds().says(seen);
    // They can be written where the root can't; nothing is left in them.
    let read_only = format!("{look}; touch /x /srv/x 2>/dev/null || echo read-only");
    let words = ["--read-only", "app", "sh", "-c", &read_only];
    let seen = format!("{seen}\nread-only");
    place.wiac(["run"]).args(words).succeeds().says(&seen);
    let script = place.wiac(["run", "--dry-run=shell"]).args(words).succeeds();
    place.write("script.sh", &script.stdout);
    place
        .command(Path::new("/bin/bash"))
        .arg("script.sh")
        .succeeds()
        .says(&seen);
    // One that is given is that one, and what lies in one that is given is that one's.
    place.write("given/file", "given\n");
    place
        .wiac([
            "run",
            "--read-only",
            "-v",
            "./given:/has:ro",
            "-v",
            "./given:/srv",
            "app",
        ])
        .args(["sh", "-c", "cat /has/file /srv/file; ls /srv/deep; echo > /has/file"])
        .fails(1)
        .says("given\ngiven");
    assert!(!place.has("given/deep"), "nobody asked for it there");
}

as_users!(options_of_other_machines_change_nothing: root, user);
fn options_of_other_machines_change_nothing(place: &Place) {
    place.image("app", "");
    place.write("shared/file", "here\n");
    place
        .wiac(["run", "-v", "./shared:/v:ro,cached,z", "app"])
        .args(["sh", "-c", "cat /v/file; touch /v/new 2>/dev/null || echo read-only"])
        .succeeds()
        .says("here\nread-only");
    place
        .wiac(["run", "-v", "./shared:/v:rslave", "app", "true"])
        .fails(125)
        .complains(&["-v ./shared:/v:rslave: the option rslave isn't there yet"]);
}

as_users!(a_missing_directory_is_made_for_a_container_that_runs: root, user, single);
fn a_missing_directory_is_made_for_a_container_that_runs(place: &Place) {
    place.image("app", "");
    let volume = "./new/deep:/v";
    place
        .wiac(["run", "--pull=never", "-v", volume, "nobodys", "true"])
        .fails(125);
    place
        .wiac(["run", "-v", volume, "-v", "wrong", "app", "true"])
        .fails(125);
    place
        .wiac(["run", "-v", volume, "-u", "nobodys", "app", "true"])
        .fails(125);
    assert!(!place.has("new"), "nothing ran that it could be for");
    let words = ["-v", volume, "app", "sh", "-c", "echo x > /v/file; ls /v"];
    let script = place.wiac(["run", "--dry-run=shell"]).args(words).succeeds();
    assert!(!place.has("new"), "a dry run makes nothing");
    place.write("script.sh", &script.stdout);
    let by_hand = || place.command(Path::new("/bin/bash")).arg("script.sh");
    by_hand().succeeds().says("file");
    assert_eq!(place.read("new/deep/file"), "x\n");
    place.host("rm -r new").succeeds();
    place.wiac(["run"]).args(words).succeeds().says("file");
    assert_eq!(place.read("new/deep/file"), "x\n");
}

as_users!(a_volume_behind_a_link_that_leads_nowhere_yet: root, user, single);
fn a_volume_behind_a_link_that_leads_nowhere_yet(place: &Place) {
    place.image("app", "RUN mkdir -p /var && ln -s /run /var/run");
    place.write("file", "here\n");
    place
        .wiac(["run", "-v", "./file:/var/run/deep/file", "app", "cat", "/run/deep/file"])
        .succeeds()
        .says("here");
}

#[test]
fn a_directory_on_a_file_says_what_is_wrong() {
    let place = Place::root();
    place.image("app", "RUN echo x > /file && mkdir /directory");
    place.write("file", "");
    place.mkdir("directory");
    for volume in ["./directory:/file", "./file:/directory"] {
        place
            .wiac(["run", "-v", volume, "app", "true"])
            .fails(125)
            .complains(&["a directory goes on a directory, a file on a file"]);
    }
    let beneath = ["-v", "./file:/v/new", "app", "true"];
    place
        .wiac(["run", "-v", "./directory:/v:ro"])
        .args(beneath)
        .fails(125)
        .complains(&[
            "can't mount",
            "on /v/new",
            "make it in the volume's directory on the host, or leave :ro out",
        ]);
    place
        .wiac(["run", "-w", "/v/new", "-v", "./directory:/v:ro", "app", "true"])
        .fails(125)
        .complains(&["can't make the working directory /v/new", "leave :ro out"]);
    place
        .wiac(["run", "-v", "./directory:/proc/new", "app", "true"])
        .fails(125)
        .complains(&["on /proc/new", "nothing can be made there"]);
    place
        .wiac(["run", "-v", "./directory:/dev", "app", "true"])
        .fails(125)
        .complains(&["a volume on /dev has to have one"]);
}

as_users!(a_volume_on_etc_has_the_containers_names_and_keeps_none: root, user, single);
fn a_volume_on_etc_has_the_containers_names_and_keeps_none(place: &Place) {
    place.image("app", "");
    place.write("conf/hosts", "of another machine\n");
    place.write("conf/hostname", "another\n");
    place.symlink("../run/resolve/stub.conf", "conf/resolv.conf");
    let look = "cat /etc/hostname; grep -c another /etc/hosts; test -e /etc/resolv.conf && echo resolves; ls /etc";
    let words = ["-v", "./conf:/etc", "-h", "box", "app", "sh", "-c", look];
    let expected = "box\n0\nresolves\nhostname\nhosts\nresolv.conf";
    place.wiac(["run"]).args(words).succeeds().says(expected);
    let script = place.wiac(["run", "--dry-run=shell"]).args(words).succeeds();
    place.write("script.sh", &script.stdout);
    let by_hand = || place.command(Path::new("/bin/bash")).arg("script.sh");
    by_hand().succeeds().says(expected);
    assert_eq!(place.read("conf/hosts"), "of another machine\n");
    // What isn't there isn't made: the directory is the host's. docker and podman leave empty files in it.
    place.mkdir("empty");
    let words = ["-v", "./empty:/etc", "app", "ls", "/etc"];
    place.wiac(["run"]).args(words).succeeds().says("");
    let script = place.wiac(["run", "--dry-run=shell"]).args(words).succeeds();
    place.write("script.sh", &script.stdout);
    by_hand().succeeds().says("");
    let left = std::fs::read_dir(place.path("empty")).expect("a directory").count();
    assert_eq!(left, 0, "nothing is left in the host's directory");
    // A volume in one's place is that one.
    place
        .wiac(["run", "-v", "./conf/hosts:/etc/hosts", "app", "cat", "/etc/hosts"])
        .succeeds()
        .says("of another machine");
}
