//! Running images: what the image says, what the command line says over it, streams and exit codes.

use crate::harness::leftovers::{locks, wait_until};
use crate::harness::{Place, programs, tests_as};
use rustix::process::Signal;

tests_as! {
    [root, user, single]
    fn the_images_command_runs(place) {
        place.image("app", "CMD [\"echo\", \"from CMD\"]");
        place.wiac(["run", "app"]).succeeds().says("from CMD");
        place.wiac(["run", "app", "echo", "mine"]).succeeds().says("mine");
        place.wiac(["run", "--rm", "app", "--", "echo", "behind dashes"]).succeeds().says("behind dashes");
    }

    [root, user, single]
    fn changes_to_an_image_are_thrown_away(place) {
        place.image("app", "");
        place.wiac(["run", "app", "sh", "-c", "echo x > /new && cat /new"]).succeeds().says("x");
        place.wiac(["run", "app", "sh", "-c", "test ! -e /new"]).succeeds();
        assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
    }

    [root, user, single]
    fn the_exit_code_is_the_commands(place) {
        place.inside("exit 0").succeeds();
        place.inside("exit 7").fails(7);
        place.inside("exit 255").fails(255);
        place.inside("no-such-command").fails(127);
        // 128 and the signal's number.
        place.inside("kill -KILL $$; sleep 5 & kill -TERM $!; wait $!").fails(143);
        place.compile(programs::ENDS, "base/ends");
        place.wiac(["run", "./base", "./layer", "/ends", "42"]).fails(42);
    }

    [root, user]
    fn volumes_show_the_host_in_the_container(place) {
        place.image("app", "");
        place.write("shared/file", "from the host\n");
        place.wiac(["run", "-v", "./shared:/mnt", "app", "sh", "-c", "cat /mnt/file; echo back > /mnt/answer"]).succeeds().says("from the host");
        assert_eq!(place.read("shared/answer"), "back\n");
        let shared = place.shown("shared");
        place.wiac(["run", "-v", &format!("{shared}:/mnt:ro"), "app", "sh", "-c", "echo x > /mnt/answer"]).fails(1).complains(&["Read-only file system"]);
        place.wiac(["run", "-v", &format!("{shared}/file:/etc/one:ro"), "app", "cat", "/etc/one"]).succeeds().says("from the host");
        // As in docker, a missing directory is made.
        place.wiac(["run", "-v", "./made/deep:/mnt", "app", "touch", "/mnt/x"]).succeeds();
        assert!(place.has("made/deep/x"));
    }

    [root, user]
    fn users_are_looked_up_in_the_image(place) {
        place.image("app", "USER ann");
        place.wiac(["run", "app", "sh", "-c", "id -u; id -g; id -G; echo $HOME; touch /tmp-x"]).fails(1).says("1000\n1000\n1000 50\n/home");
        place.wiac(["run", "-u", "0", "app", "sh", "-c", "id -u; echo $HOME"]).succeeds().says("0\n/");
        place.wiac(["run", "-u", "1234:4321", "app", "sh", "-c", "id -u; id -g"]).succeeds().says("1234\n4321");
        place.wiac(["run", "-u", "ann:staff", "app", "id", "-g"]).succeeds().says("50");
        place.wiac(["run", "-u", "nobody-here", "app", "true"]).fails(125).complains(&["nobody-here"]);
    }

    [root, user, single]
    fn the_root_can_be_read_only(place) {
        place.image("app", "");
        place.wiac(["run", "--read-only", "app", "touch", "/x"]).fails(1).complains(&["Read-only file system"]);
        place.wiac(["run", "--read-only", "app", "sh", "-c", "touch /dev/shm/x && echo > /dev/null"]).succeeds();
    }

    [root, user, single]
    fn without_a_network_there_is_only_loopback(place) {
        place.image("app", "");
        let said = place.wiac(["run", "--network", "none", "app", "sh", "-c", "ls /sys/class/net; cat /sys/class/net/lo/operstate; ping -c 1 -W 1 127.0.0.1 >/dev/null && echo answers"]).succeeds();
        said.mentions("lo\n").mentions("answers").never_mentions("eth");
        let host = std::fs::read_link("/proc/self/ns/net").expect("a namespace").to_string_lossy().into_owned();
        place.wiac(["run", "--network", "host", "app", "readlink", "/proc/self/ns/net"]).succeeds().says(&host);
        place.wiac(["run", "--net=none", "app", "readlink", "/proc/self/ns/net"]).succeeds().never_mentions(&host);
        place.wiac(["run", "--network", "bridge", "app", "true"]).fails(125).complains(&["isn't there yet", "host and none"]);
    }

    [root, user, single]
    fn signals_reach_the_command(place) {
        place.image("app", "");
        for (signal, name) in [(Signal::TERM, "TERM"), (Signal::INT, "INT"), (Signal::HUP, "HUP"), (Signal::USR1, "USR1")] {
            let script = format!("trap 'echo got {name}; exit 33' {name}; touch /ready/{name}; while :; do sleep 0.05; done");
            let call = place.wiac(["run", "-v", "./ready:/ready", "app", "sh", "-c", &script]);
            let mut running = call.in_background();
            wait_until("the container is ready", || place.has(&format!("ready/{name}")));
            running.gets(signal);
            assert_eq!(running.exit_code(), 33, "{name}");
        }
    }
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
        .says("blue  /srv/app");
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

#[test]
fn a_name_belongs_to_one_running_container() {
    let place = Place::root();
    place.image("app", "");
    let call = place.wiac(["run", "--name", "only", "-v", "./ready:/ready", "app", "sh", "-c", "touch /ready/x; sleep 100"]);
    let mut first = call.in_background();
    wait_until("the container is ready", || place.has("ready/x"));
    place
        .wiac(["run", "--name", "only", "app", "true"])
        .fails(125)
        .complains(&["--name only: a running container has this name"]);
    place.wiac(["run", "--name", "other", "app", "true"]).succeeds();
    first.gets(Signal::KILL);
    first.exit_code();
    wait_until("the name is free", || locks(place.dir()).is_empty());
    place.wiac(["run", "--name", "only", "app", "true"]).succeeds();
    place.wiac(["run", "--name", "-x", "app", "true"]).fails(125);
    place
        .wiac(["run", "--name", "no/slash", "app", "true"])
        .fails(125)
        .complains(&["no/slash"]);
}

#[test]
fn standard_input_goes_to_who_asks_for_it() {
    let place = Place::root();
    place.image("app", "");
    // A container that isn't interactive doesn't eat the input of a loop around it.
    place
        .wiac(["run", "app", "cat"])
        .stdin("for the loop")
        .succeeds()
        .says("");
    place
        .wiac(["run", "-i", "app", "cat"])
        .stdin("for the container")
        .succeeds()
        .says("for the container");
    place
        .wiac(["run", "--interactive", "app", "wc", "-c"])
        .stdin("x".repeat(1 << 20))
        .succeeds()
        .says("1048576");
    // A chain is as the original: the command has the caller's streams.
    place
        .inside("cat")
        .stdin("for the chain")
        .succeeds()
        .says("for the chain");
    // Nobody reads on: the command ends by SIGPIPE or is simply done, and wiac with it.
    place
        .host(&format!(
            "WIAC_DATA={} {} run app yes | head -n 1",
            place.data().display(),
            crate::harness::tools::wiac().display()
        ))
        .succeeds()
        .says("y");
}

#[test]
fn output_and_errors_stay_apart() {
    let place = Place::root();
    place.image("app", "");
    let said = place
        .wiac(["run", "app", "sh", "-c", "echo out; echo err >&2"])
        .succeeds();
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("out\n", "err\n"));
}

#[test]
fn options_that_docker_has_are_known_by_name() {
    let place = Place::root();
    place.image("app", "");
    for option in [
        "--privileged",
        "-d",
        "--detach",
        "--cap-add=ALL",
        "-p",
        "--publish",
        "--memory",
        "-m",
        "--init",
        "--mount",
        "--gpus",
        "--security-opt",
        "--tmpfs",
        "--ulimit",
        "--pull",
        "--platform",
        "--restart",
        "--cpus=2",
        "--userns",
        "--pid=host",
    ] {
        place
            .wiac(["run", option, "app", "true"])
            .fails(125)
            .complains(&["isn't there yet"]);
    }
    place
        .wiac(["run", "--privliged", "app", "true"])
        .fails(125)
        .never_complains("isn't there yet");
    for option in [
        "--iidfile=x",
        "--platform=linux/arm64",
        "--secret=id=x",
        "--ssh",
        "--output=x",
        "--progress=plain",
    ] {
        place
            .wiac(["build", option, "."])
            .fails(125)
            .complains(&["isn't there yet"]);
    }
    // Behind the image they are the command's.
    place
        .wiac(["run", "app", "echo", "--privileged", "-d"])
        .succeeds()
        .says("--privileged -d");
}

#[test]
fn images_have_names_and_ids() {
    let place = Place::root();
    place.image("app", "LABEL one=1");
    place.image("tools", "LABEL two=2");
    place.wiac(["images"]).succeeds().mentions("app").mentions("tools");
    let said = place.wiac(["build", "-q", "app-context"]).succeeds();
    let id = said.text().to_owned();
    place.wiac(["run", &id, "echo", "by id"]).succeeds().says("by id");
    let hex = id.strip_prefix("sha256:").unwrap_or(&id);
    place
        .wiac(["run", &hex[..12], "echo", "by its beginning"])
        .succeeds()
        .says("by its beginning");
    place
        .wiac(["run", "ap", "true"])
        .fails(125)
        .complains(&["no image is called \"ap\"", "did you mean app"]);
    place
        .wiac(["run", "localhost:5000/team/app:v1", "true"])
        .fails(125)
        .complains(&["no image is called"]);
}

#[test]
fn build_and_run_in_one_go() {
    let place = Place::root();
    place.busybox("context/root");
    place.write(
        "context/Dockerfile",
        "FROM scratch\nCOPY root /\nRUN echo made > /made\nCMD [\"cat\", \"/made\"]\n",
    );
    place.wiac(["run", "--build", "context"]).succeeds().says("made");
    place
        .wiac(["run", "--build", "context", "echo", "mine"])
        .succeeds()
        .says("mine");
    place.write("context/Dockerfile", "FROM scratch\nCOPY root /\nRUN exit 3\n");
    place
        .wiac(["run", "--build", "context"])
        .fails(1)
        .complains(&["Dockerfile:3", "exit code 3"]);
}

#[test]
fn the_example_runs_on_this_machine() {
    let place = Place::root();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/hello");
    place
        .wiac(["run", "--build", example])
        .succeeds()
        .mentions("run by wiac");
}

#[test]
fn commands_that_can_not_be_understood_say_how_they_are_written() {
    let place = Place::root();
    place
        .wiac(["run"])
        .fails(125)
        .complains(&["nothing to run", "bundle://"]);
    place
        .wiac(["run", "./a", "./b"])
        .fails(125)
        .complains(&["LOWER[:LOWER…] CONTAINERLAYER COMMAND"]);
    place.wiac(["buld", "x"]).fails(125).complains(&["build"]);
    place
        .wiac(["--help"])
        .succeeds()
        .mentions("bundle")
        .mentions("build")
        .mentions("run")
        .mentions("copy");
    place.wiac(["run", "--help"]).succeeds().mentions("--hostname");
    place.wiac(["--version"]).succeeds().mentions("wiac");
    // A directory is not a name.
    place.mkdir("rootfs");
    place
        .wiac(["run", "rootfs", "true"])
        .fails(125)
        .complains(&["./rootfs"]);
}

#[test]
fn closed_streams_do_no_harm() {
    let place = Place::root();
    place.busybox("base");
    for closed in ["exec 0<&-", "exec 1>&-", "exec 2>&-", "exec 0<&- 1>&- 2>&-"] {
        place.sh("./base", "./layer", "exit 5").after(closed).fails(5);
        place.sh("./base", "./layer", "echo x > /y; cat /y >&2; exit 6").after(closed).fails(6);
    }
}
