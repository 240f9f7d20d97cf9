//! Running images: what the image says, what the command line says over it, streams and exit codes.

mod command_line;
mod streams;
mod volumes;

use crate::harness::{Place, as_users, programs};

as_users!(the_images_command_runs: root, user, single);
fn the_images_command_runs(place: &Place) {
    place.image("app", "CMD [\"echo\", \"from CMD\"]");
    place.wiac(["run", "app"]).succeeds().says("from CMD");
    place.wiac(["run", "app", "echo", "mine"]).succeeds().says("mine");
    place
        .wiac(["run", "--rm", "app", "--", "echo", "behind dashes"])
        .succeeds()
        .says("behind dashes");
}

as_users!(changes_to_an_image_are_thrown_away: root, user, single);
fn changes_to_an_image_are_thrown_away(place: &Place) {
    place.image("app", "");
    place
        .wiac(["run", "app", "sh", "-c", "echo x > /new && cat /new"])
        .succeeds()
        .says("x");
    place.wiac(["run", "app", "sh", "-c", "test ! -e /new"]).succeeds();
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
}

as_users!(the_exit_code_is_the_commands: root, user, single);
fn the_exit_code_is_the_commands(place: &Place) {
    place.inside("exit 0").succeeds();
    place.inside("exit 7").fails(7);
    place.inside("exit 255").fails(255);
    place.inside("no-such-command").fails(127);
    // 128 and the signal's number.
    place
        .inside("kill -KILL $$; sleep 5 & kill -TERM $!; wait $!")
        .fails(143);
    place.compile(programs::ENDS, "base/ends");
    place.wiac(["run", "./base", "./layer", "/ends", "42"]).fails(42);
}

as_users!(volumes_show_the_host_in_the_container: root, user);
fn volumes_show_the_host_in_the_container(place: &Place) {
    place.image("app", "");
    place.write("shared/file", "from the host\n");
    place
        .wiac([
            "run",
            "-v",
            "./shared:/mnt",
            "app",
            "sh",
            "-c",
            "cat /mnt/file; echo back > /mnt/answer",
        ])
        .succeeds()
        .says("from the host");
    assert_eq!(place.read("shared/answer"), "back\n");
    let shared = place.shown("shared");
    place
        .wiac([
            "run",
            "-v",
            &format!("{shared}:/mnt:ro"),
            "app",
            "sh",
            "-c",
            "echo x > /mnt/answer",
        ])
        .fails(1)
        .complains(&["Read-only file system"]);
    place
        .wiac([
            "run",
            "-v",
            &format!("{shared}/file:/etc/one:ro"),
            "app",
            "cat",
            "/etc/one",
        ])
        .succeeds()
        .says("from the host");
    // As in docker, a missing directory is made.
    place
        .wiac(["run", "-v", "./made/deep:/mnt", "app", "touch", "/mnt/x"])
        .succeeds();
    assert!(place.has("made/deep/x"));
}

as_users!(users_are_looked_up_in_the_image: root, user);
fn users_are_looked_up_in_the_image(place: &Place) {
    place.image("app", "USER ann");
    place
        .wiac([
            "run",
            "app",
            "sh",
            "-c",
            "id -u; id -g; id -G; echo $HOME; touch /tmp-x",
        ])
        .fails(1)
        .says("1000\n1000\n1000 50\n/home");
    place
        .wiac(["run", "-u", "0", "app", "sh", "-c", "id -u; echo $HOME"])
        .succeeds()
        .says("0\n/");
    place
        .wiac(["run", "-u", "1234:4321", "app", "sh", "-c", "id -u; id -g"])
        .succeeds()
        .says("1234\n4321");
    place
        .wiac(["run", "-u", "ann:staff", "app", "id", "-g"])
        .succeeds()
        .says("50");
    place
        .wiac(["run", "-u", "nobody-here", "app", "true"])
        .fails(125)
        .complains(&["nobody-here"]);
}

as_users!(the_root_can_be_read_only: root, user, single);
fn the_root_can_be_read_only(place: &Place) {
    place.image("app", "");
    place
        .wiac(["run", "--read-only", "app", "touch", "/x"])
        .fails(1)
        .complains(&["Read-only file system"]);
    place
        .wiac([
            "run",
            "--read-only",
            "app",
            "sh",
            "-c",
            "touch /dev/shm/x && echo > /dev/null",
        ])
        .succeeds();
    // Nor what is mounted on files of it, from outside.
    let files = "for name in hosts hostname resolv.conf; do cat /etc/$name >/dev/null; echo >> /etc/$name; done";
    let said = place.wiac(["run", "--read-only", "app", "sh", "-c", files]).fails(1);
    said.complains(&[
        "/etc/hosts: Read-only",
        "/etc/hostname: Read-only",
        "/etc/resolv.conf: Read-only",
    ]);
    place.wiac(["run", "app", "sh", "-c", files]).succeeds();
}

#[test]
fn entrypoint_and_command_make_one() {
    let place = Place::root();
    place.image("app", "ENTRYPOINT [\"echo\", \"entry\"]\nCMD [\"and\", \"command\"]");
    place.wiac(["run", "app"]).succeeds().says("entry and command");
    place.wiac(["run", "app", "mine"]).succeeds().says("entry mine");
    place
        .wiac(["run", "--entrypoint", "basename", "app", "/a/b"])
        .succeeds()
        .says("b");
    // The image's command belongs to the entrypoint that is replaced.
    place.wiac(["run", "--entrypoint", "pwd", "app"]).succeeds().says("/");
}

#[test]
fn the_environment_is_the_images_and_the_command_lines() {
    let place = Place::root();
    place.image("app", "ENV COLOUR=red SIZE=\"very large\"\nENV PATH=/opt/bin:/bin\nWORKDIR /srv/app\nCMD [\"sh\", \"-c\", \"echo $COLOUR $SIZE $PWD\"]");
    place.wiac(["run", "app"]).succeeds().says("red very large /srv/app");
    place
        .wiac(["run", "-e", "COLOUR=blue", "-eSIZE=", "app"])
        .succeeds()
        .says("blue /srv/app");
    place
        .wiac(["run", "-e", "TAKEN", "-e", "UNSET", "app", "env"])
        .env("TAKEN", "from here")
        .succeeds()
        .mentions("TAKEN=from here\n")
        .never_mentions("UNSET");
    let said = place
        .wiac(["run", "app", "env"])
        .env("SECRET", "of the host")
        .succeeds();
    said.mentions("PATH=/opt/bin:/bin\n")
        .mentions("HOME=/")
        .never_mentions("SECRET")
        .never_mentions("WIAC");
    place
        .wiac(["run", "-w", "/made/up", "app", "pwd"])
        .succeeds()
        .says("/made/up");
    place.wiac(["run", "app", "hostname"]).succeeds();
}

#[test]
fn the_host_name_is_the_containers_own() {
    let place = Place::root();
    place.image("app", "");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    for option in ["-h", "--hostname"] {
        let said = place
            .wiac([
                "run",
                option,
                "box",
                "app",
                "sh",
                "-c",
                "hostname; cat /etc/hostname; cat /etc/hosts",
            ])
            .succeeds();
        said.mentions("box\nbox\n").mentions("127.0.0.1");
    }
    place.wiac(["run", "app", "hostname", "changed"]).fails(1);
    assert_eq!(
        std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name"),
        host
    );
    place
        .wiac([
            "run",
            "--network=none",
            "app",
            "sh",
            "-c",
            "test $(hostname) = $(cat /etc/hostname) && grep -q $(hostname) /etc/hosts",
        ])
        .succeeds();
}

as_users!(the_mount_table_is_where_programs_look: root, user, single);
fn the_mount_table_is_where_programs_look(place: &Place) {
    place.image("bare", "");
    place.image("own", "RUN echo mine >/etc/mtab");
    place.mkdir("volume");
    let look = "readlink /etc/mtab; grep -q ' / overlay' /etc/mtab && echo read";
    let run = |image: &str, script: &str| place.wiac(["run", image, "sh", "-c", script]).succeeds();
    run("bare", look).says("/proc/mounts\nread");
    run("own", "cat /etc/mtab").says("mine");
    place
        .wiac(["run", "--read-only", "bare", "readlink", "/etc/mtab"])
        .succeeds();
    let volume = ["run", "-v", "./volume:/etc", "bare", "sh", "-c", "[ ! -L /etc/mtab ]"];
    place.wiac(volume).succeeds();
    assert!(!place.has("volume/mtab"));
    let volume = [
        "run",
        "-v",
        "./bare-context/Dockerfile:/etc/mtab",
        "bare",
        "cat",
        "/etc/mtab",
    ];
    place.wiac(volume).succeeds().mentions("FROM scratch");
    // As in BuildKit, a build sees none; and in what is committed there is none that the container didn't make.
    place.image("built", "RUN [ ! -L /etc/mtab ]");
    place.busybox("base");
    place
        .sh("./base", "./layer", look)
        .succeeds()
        .says("/proc/mounts\nread");
    place.wiac(["commit", "./layer", "committed"]).succeeds();
    let chain = place.wiac(["layers", "-q", "committed"]).succeeds();
    let topmost = chain.text().split(':').next().expect("a layer").to_owned();
    place.host(&format!("[ ! -e {topmost}/etc ]")).succeeds();
}
