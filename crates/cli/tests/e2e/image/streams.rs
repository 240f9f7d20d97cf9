//! Standard streams, signals, and the network.

use crate::harness::leftovers::{descendants, wait_until};
use crate::harness::{Place, as_users};
use std::path::Path;

as_users!(without_a_network_there_is_only_loopback: root, user, single);
fn without_a_network_there_is_only_loopback(place: &Place) {
    place.image("app", "");
    let said = place
        .wiac([
            "run",
            "--network",
            "none",
            "app",
            "sh",
            "-c",
            "ls /sys/class/net; cat /sys/class/net/lo/operstate; ping -c 1 -W 1 127.0.0.1 >/dev/null && echo answers",
        ])
        .succeeds();
    said.mentions("lo\n").mentions("answers").never_mentions("eth");
    let host = std::fs::read_link("/proc/self/ns/net")
        .expect("a namespace")
        .to_string_lossy()
        .into_owned();
    place
        .wiac(["run", "--network", "host", "app", "readlink", "/proc/self/ns/net"])
        .succeeds()
        .says(&host);
    place
        .wiac(["run", "--net=none", "app", "readlink", "/proc/self/ns/net"])
        .succeeds()
        .never_mentions(&host);
    place
        .wiac(["run", "--network", "bridge", "app", "true"])
        .fails(125)
        .complains(&["isn't there yet", "host and none"]);
}

as_users!(signals_reach_the_command: root, user, single);
fn signals_reach_the_command(place: &Place) {
    place.image("app", "");
    for name in [
        "TERM", "INT", "HUP", "USR1", "ALRM", "37", "TSTP", "CONT", "ABRT", "XCPU", "WINCH",
    ] {
        let script =
            format!("trap 'echo got {name}; exit 33' {name}; touch /ready/{name}; while :; do sleep 0.05; done");
        let call = place.wiac(["run", "-v", "./ready:/ready", "app", "sh", "-c", &script]);
        let mut running = call.in_background();
        wait_until("the container is ready", || place.has(&format!("ready/{name}")));
        running.gets_by_name(name);
        assert_eq!(running.exit_code(), 33, "{name}");
    }
}

as_users!(signals_that_are_not_passed_on_end_the_container: root, user, single);
fn signals_that_are_not_passed_on_end_the_container(place: &Place) {
    place.image("app", "");
    for (name, code) in [("TERM", 143), ("USR1", 138), ("ABRT", 134)] {
        let script = format!("trap 'exit 33' {name}; touch /ready/{name}; while :; do sleep 0.05; done");
        let call = place.wiac([
            "run",
            "--sig-proxy=false",
            "-v",
            "./ready:/ready",
            "app",
            "sh",
            "-c",
            &script,
        ]);
        let mut running = call.in_background();
        wait_until("the container is ready", || place.has(&format!("ready/{name}")));
        let container = *descendants(running.pid()).last().expect("a process");
        running.gets_by_name(name);
        assert_eq!(running.exit_code(), code, "{name}");
        wait_until("the container is gone", || {
            !Path::new(&format!("/proc/{container}")).exists()
        });
    }
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
    // As docker has it, a program may write to an input that is nobody's.
    place
        .wiac(["run", "app", "sh", "-c", "echo lost >&0 && cat"])
        .succeeds()
        .says("");
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

as_users!(output_in_a_file_is_as_a_pipe_to_the_container: root, user);
fn output_in_a_file_is_as_a_pipe_to_the_container(place: &Place) {
    place.image("app", "");
    place.write("log", "of yesterday\n");
    // Opened again by its name, the file would be cut off, or be refused to another user.
    let script = "echo one; echo two > /dev/stdout; echo three > /dev/stderr";
    for user in ["0", "1000"] {
        place
            .wiac(["run", "-u", user, "app", "sh", "-c", script])
            .after("exec >>log 2>&1")
            .succeeds();
    }
    assert_eq!(place.read("log"), format!("of yesterday\n{0}{0}", "one\ntwo\nthree\n"));
    // Both streams in one file stay in order, and nothing of much is lost.
    let script =
        "i=0; while [ $i -lt 500 ]; do echo $i; echo $i >&2; i=$((i+1)); done; head -c 300000 /dev/zero; exit 7";
    let call = place.wiac(["run", "app", "sh", "-c", script]);
    call.after("exec >both 2>&1").fails(7);
    let numbers: Vec<String> = (0..500).map(|number| format!("{number}\n{number}\n")).collect();
    assert_eq!(place.read("both"), numbers.concat() + &"\0".repeat(300_000));
}

as_users!(input_from_a_file_is_as_a_pipe_to_the_container: root, user);
fn input_from_a_file_is_as_a_pipe_to_the_container(place: &Place) {
    place.image("app", "");
    place.write("input", "of the caller\n".repeat(20_000));
    place.host("chmod 600 input").succeeds();
    let run = |words: &[&str]| {
        let call = place.wiac(["run", "-i"]).args(words);
        call.after("exec <input").succeeds()
    };
    // Opened again by its name the file could be written to, and would be refused to another user.
    run(&["app", "sh", "-c", "cat > /dev/null; echo changed > /proc/self/fd/0"]);
    assert!(
        place.read("input").starts_with("of the caller\nof"),
        "it was only given to be read"
    );
    run(&["-u", "1000", "app", "sh", "-c", "wc -l < /dev/stdin"]).says("20000");
    // What nobody reads on is no matter.
    run(&["app", "head", "-n", "1"]).says("of the caller");
    run(&["app", "sh", "-c", "exec <&-; echo closed"]).says("closed");
    // A command on directories leaves what it doesn't read.
    place.busybox("base");
    let first = "read line; echo $line";
    place
        .sh("./base", "./layer", first)
        .after("exec <input; read line; line=")
        .succeeds()
        .says("of the caller");
}

#[test]
fn output_that_can_not_be_written_is_told() {
    let place = Place::root();
    place.image("app", "");
    place
        .wiac(["run", "app", "sh", "-c", "head -c 200000 /dev/zero; echo $? >&2"])
        .after("ulimit -f 64; exec >file")
        .fails(125)
        .complains(&["standard output", "File too large"]);
}

#[test]
fn a_socket_takes_what_the_container_writes() {
    use std::io::Read as _;
    let place = Place::root();
    place.image("app", "");
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().expect("sockets");
    let script = "echo one; echo two > /dev/stdout; head -c 300000 /dev/zero; exit 7";
    let mut running = std::process::Command::new(crate::harness::tools::wiac())
        .args(["run", "app", "sh", "-c", script])
        .env("WIAC_DATA", place.data())
        .stdout(std::os::fd::OwnedFd::from(theirs))
        .spawn()
        .expect("started");
    let mut said = Vec::new();
    ours.read_to_end(&mut said).expect("read");
    assert_eq!(running.wait().expect("its end").code(), Some(7));
    assert_eq!(said, ["one\ntwo\n", &"\0".repeat(300_000)].concat().as_bytes());
}

#[test]
fn closed_streams_do_no_harm() {
    let place = Place::root();
    place.busybox("base");
    for closed in ["exec 0<&-", "exec 1>&-", "exec 2>&-", "exec 0<&- 1>&- 2>&-"] {
        place.sh("./base", "./layer", "exit 5").after(closed).fails(5);
        place
            .sh("./base", "./layer", "echo x > /y; cat /y >&2; exit 6")
            .after(closed)
            .fails(6);
    }
}
