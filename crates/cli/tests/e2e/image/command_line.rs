//! The command line of `wiac run`: names, options, what can't be understood.

use crate::harness::Place;
use crate::harness::leftovers::{locks, wait_until};
use rustix::process::Signal;

#[test]
fn a_name_belongs_to_one_running_container() {
    let place = Place::root();
    place.image("app", "");
    let call = place.wiac([
        "run",
        "--name",
        "only",
        "-v",
        "./ready:/ready",
        "app",
        "sh",
        "-c",
        "touch /ready/x; sleep 100",
    ]);
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
    for (option, problem) in [("--sbom=true", "aren't there yet"), ("--squash", "isn't there yet")] {
        place.wiac(["build", option, "."]).fails(125).complains(&[problem]);
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
        .fails(125)
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
    for (theirs, ours) in [
        ("ps", "use ps(1)"),
        ("image", "wiac images"),
        ("exec", "isn't there yet"),
    ] {
        place.wiac([theirs, "x"]).fails(125).complains(&[theirs, ours]);
    }
    place
        .wiac(["copy", "-r", "layer", "x", "/"])
        .fails(125)
        .complains(&["-r isn't there: directories are copied with all that is in them"]);
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
fn a_name_has_a_tag() {
    let place = Place::root();
    place.image("app", "");
    for name in ["tools:v1", "localhost:5000/team/tools:v2", "docker.io/library/tools:v3"] {
        place.wiac(["build", "-t", name, "app-context"]).succeeds();
        place.wiac(["run", name, "echo", "tagged"]).succeeds().says("tagged");
    }
    place
        .wiac(["run", "tools:v3", "echo", "the short name"])
        .succeeds()
        .says("the short name");
    place
        .wiac(["run", "tools", "true"])
        .fails(125)
        .complains(&["no image is called"]);
    place
        .wiac(["run", "app:latest", "echo", "latest"])
        .succeeds()
        .says("latest");
    place
        .wiac(["build", "-t", "Not A Name", "app-context"])
        .fails(125)
        .complains(&["Not A Name"]);
    place
        .wiac(["build", "-t", "one", "-t", "two", "app-context"])
        .succeeds();
    place
        .wiac(["images", "--format", "{{.Repository}}:{{.Tag}}"])
        .succeeds()
        .mentions("one")
        .mentions("two")
        .mentions("tools:v1");
}

#[test]
fn a_named_container_layer_is_not_deleted() {
    let place = Place::root();
    place.busybox("base");
    place
        .wiac(["run", "--rm", "./base", "./layer", "/bin/sh"])
        .fails(125)
        .complains(&["--rm", "a container layer that is named stays"]);
    assert!(!place.has("layer"));
}

#[test]
fn the_last_of_several_counts_and_switches_take_values() {
    let place = Place::root();
    place.image("app", "");
    place
        .wiac([
            "run",
            "-w",
            "/a",
            "-w",
            "/b",
            "--rm",
            "--rm=true",
            "-i",
            "-i=false",
            "app",
            "sh",
        ])
        .args(["-c", "pwd; cat"])
        .stdin("unread")
        .succeeds()
        .says("/b");
    place
        .wiac([
            "run",
            "--read-only=false",
            "-iw/srv",
            "app",
            "sh",
            "-c",
            "touch /x; pwd; cat",
        ])
        .stdin("read")
        .succeeds()
        .says("/srv\nread");
    place.wiac(["run", "--read-only=true", "app", "touch", "/x"]).fails(1);
    place
        .wiac(["run", "-ti=false", "app", "sh", "-c", "test -t 1 && echo one"])
        .stdin("")
        .succeeds()
        .mentions("one");
    place
        .wiac(["run", "--rm=perhaps", "app", "true"])
        .fails(125)
        .complains(&["perhaps", "true"]);
}

#[test]
fn a_variable_comes_from_the_environment_or_is_unset() {
    let place = Place::root();
    place.image("app", "ENV HERE=image GONE=image KEPT=image");
    place
        .wiac(["run", "-e", "HERE", "-e", "GONE", "-e", "NEVER", "app", "sh", "-c"])
        .arg("echo $HERE ${GONE-unset} ${NEVER-unset} $KEPT")
        .env("HERE", "caller")
        .succeeds()
        .says("caller unset unset image");
    for nameless in ["", "=x"] {
        place
            .wiac(["run", "-e", nameless, "app", "true"])
            .fails(125)
            .complains(&["has no name"]);
    }
}

#[test]
fn an_empty_value_is_as_none_and_a_wrong_one_is_named() {
    let place = Place::root();
    place.image("app", "WORKDIR /srv");
    place
        .wiac(["run", "-u", "-1", "app", "id"])
        .fails(125)
        .complains(&["id -1 is out of range"]);
    place
        .wiac(["run", "-w", "", "-u", "", "--hostname", "", "app", "pwd"])
        .succeeds()
        .says("/srv");
    let long = "h".repeat(65);
    for (name, complaint) in [
        (long.as_str(), "65 bytes, and a host name has 64 at most"),
        ("two words", "no spaces"),
        ("a\nb", "no control characters"),
    ] {
        place
            .wiac(["run", "--hostname", name, "app", "true"])
            .fails(125)
            .complains(&["--hostname", complaint]);
    }
    place
        .wiac(["run", "--hostname", &long[1..], "app", "hostname"])
        .succeeds()
        .says(&long[1..]);
}

#[test]
fn an_image_for_another_platform_is_told() {
    let place = Place::root();
    place.image("app", "");
    place
        .wiac(["run", "--platform", "linux/s390x", "app", "echo", "ran"])
        .succeeds()
        .says("ran")
        .complains(&["app is for linux/", "not for linux/s390x"]);
    place
        .wiac(["run", "--platform", "amd46", "app", "true"])
        .fails(125)
        .complains(&["amd46"]);
}

#[test]
fn docker_builds_options_are_known_by_name() {
    let place = Place::root();
    for option in [
        "--memory=1g",
        "-m",
        "--cpuset-cpus",
        "--isolation=chroot",
        "--memory",
        "-c",
    ] {
        place
            .wiac(["build", option, "."])
            .fails(125)
            .complains(&["isn't there yet"]);
    }
    place
        .wiac(["build", "--layers", "."])
        .fails(125)
        .complains(&["--layers isn't there: leave it out"]);
    place.image("app", "");
    place
        .wiac(["build", "-q", "--network=default", "app-context"])
        .succeeds();
    // What is so anyway, and switches with a value.
    let said = place
        .wiac([
            "build",
            "--rm",
            "--force-rm=true",
            "--compress",
            "--no-cache=false",
            "--push=false",
            "--load=true",
        ])
        .args(["--quiet=false", "app-context"])
        .succeeds();
    assert!(said.stderr.contains("unchanged"), "{}", said.stderr);
    place
        .wiac(["build", "--no-cache=perhaps", "app-context"])
        .fails(125)
        .complains(&["perhaps"]);
    for command in ["create", "cp"] {
        place
            .wiac([command, "app"])
            .fails(125)
            .complains(&["wiac export IMAGE | tar -x PATH"]);
    }
}
