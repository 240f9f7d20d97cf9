//! On a terminal a container has one too.

use crate::harness::{Place, as_users};

as_users!(a_shell_on_a_terminal_has_one: root, user, single);
fn a_shell_on_a_terminal_has_one(place: &Place) {
    place.busybox("base");
    let mut shell = place
        .wiac(["run", "./base", "./layer", "sh"])
        .env("TERM", "xterm")
        .on_terminal(33, 77);
    shell
        .shows(" # ")
        .types("test -t 0 && test -t 1 && test -t 2 && echo all three\n")
        .shows("all three");
    shell.types("tty; stty size\n").shows("/dev/pts/0").shows("33 77");
    shell
        .is_resized(40, 100)
        .types("sleep 0.2; stty size\n")
        .shows("40 100");
    shell.types("exit 9\n");
    shell.ends(9);
}

#[test]
fn keys_reach_the_foreground_of_the_container() {
    let place = crate::harness::Place::root();
    place.busybox("base");
    let mut shell = place.wiac(["run", "./base", "./layer", "sh"]).on_terminal(24, 80);
    shell.shows(" # ").types("sleep 1000; echo code $?\n");
    std::thread::sleep(std::time::Duration::from_millis(200));
    // Ctrl-C ends what runs in the container's foreground, and nothing else.
    shell
        .types("\u{3}")
        .shows(" # ")
        .types("echo still here $((6*7))\n")
        .shows("still here 42")
        .types("\u{4}");
    shell.ends(0);
}

#[test]
fn an_image_gets_a_terminal_without_being_asked() {
    let place = crate::harness::Place::root();
    place.image("app", "CMD [\"sh\"]");
    let mut shell = place.wiac(["run", "app"]).on_terminal(24, 80);
    shell
        .shows(" # ")
        .types("echo typed $((1+1))\n")
        .shows("typed 2")
        .types("exit\n");
    shell.ends(0);
    let screen = place
        .wiac(["run", "-it", "app", "sh", "-c", "test -t 0 && echo here"])
        .on_terminal(24, 80)
        .ends(0);
    assert!(screen.contains("here"), "{screen}");
}

#[test]
fn the_terminal_is_as_before_when_the_container_has_ended() {
    let place = crate::harness::Place::root();
    place.busybox("base");
    let wiac = crate::harness::tools::wiac().display();
    let script = format!(
        "before=$(stty -g); {wiac} run ./base ./layer sh -c 'stty; read x; exit 4' || echo code $?; test \"$before\" = \"$(stty -g)\" && echo as before"
    );
    let mut shell = place.host(&script).env("WIAC_DATA", place.data()).on_terminal(24, 80);
    shell.shows("speed").types("x\r").shows("code 4").shows("as before");
    shell.ends(0);
}

#[test]
fn a_pipe_is_no_terminal() {
    let place = crate::harness::Place::root();
    place
        .inside("test ! -t 0 && test ! -t 1 && echo none")
        .stdin("")
        .succeeds()
        .says("none");
    place.image("app", "");
    place
        .wiac(["run", "-it", "app", "true"])
        .stdin("")
        .fails(125)
        .complains(&["-i and -t together need a terminal"]);
    // -t alone asks for one whatever standard input is.
    place
        .wiac(["run", "-t", "app", "sh", "-c", "test -t 1 && echo one"])
        .stdin("")
        .succeeds()
        .mentions("one");
}

#[test]
fn a_window_that_closes_ends_the_container() {
    let place = crate::harness::Place::root();
    place.busybox("base");
    let marker = place.dir().file_name().expect("a name").to_string_lossy().into_owned();
    let mut shell = place
        .wiac([
            "run",
            "./base",
            "./layer",
            "sh",
            "-c",
            "echo ready; sleep 1000",
            &marker,
        ])
        .on_terminal(24, 80);
    shell.shows("ready");
    shell.closes();
    crate::harness::leftovers::assert_nothing_within(std::time::Duration::from_secs(2), place.dir(), &marker);
}

#[test]
fn a_hangup_that_somebody_sends_is_the_commands() {
    let place = crate::harness::Place::root();
    place.busybox("base");
    let script = "trap 'echo told; sleep 2; exit 5' HUP; echo ready; while :; do sleep 0.05; done";
    let mut terminal = place
        .wiac(["run", "./base", "./layer", "sh", "-c", script])
        .on_terminal(24, 80);
    terminal.shows("ready").gets(rustix::process::Signal::HUP);
    terminal.shows("told");
    terminal.ends(5);
}

as_users!(in_the_background_it_has_none_and_goes_on: root, user, single);
fn in_the_background_it_has_none_and_goes_on(place: &Place) {
    place.busybox("base");
    let wiac = crate::harness::tools::wiac().display();
    // With -t alone it has one, and what is typed stays the shell's.
    let script = format!(
        "set -m; for words in '' '-t'; do {wiac} run $words --lower base ./layer sh -c 'sleep 0.2; test -t 0; echo is $?' & \
         wait %% && echo went on; done"
    );
    let shell = place.command(std::path::Path::new("/bin/bash"));
    let call = shell.args(["-uc", &script]).env("WIAC_DATA", place.data());
    let screen = call.on_terminal(24, 80).ends(0);
    let said: Vec<&str> = screen
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("is ") || *line == "went on")
        .collect();
    assert_eq!(said, ["is 1", "went on", "is 0", "went on"], "{screen}");
}

as_users!(the_key_that_stops_a_job_stops_it: root, user);
fn the_key_that_stops_a_job_stops_it(place: &Place) {
    place.busybox("base");
    let wiac = crate::harness::tools::wiac().display();
    // Where the output isn't the terminal, the container has none, and the key is for the whole job. The container is told
    // by its monitor, which may come later than the shell hears that the job has stopped.
    let script = format!(
        "set -m; {wiac} run -v ./shared:/shared --lower base ./layer sh -c 'trap \"echo told; touch /shared/told\" TSTP; echo ready >&2; while ! test -e /shared/end; do sleep 0.05; done' | \
         cat; jobs; for try in $(seq 600); do test -e shared/told && break; sleep 0.05; done; touch shared/end; fg"
    );
    let shell = place.command(std::path::Path::new("/bin/bash"));
    let mut terminal = shell
        .args(["-uc", &script])
        .env("WIAC_DATA", place.data())
        .on_terminal(24, 80);
    terminal.shows("ready");
    terminal.types("\u{1a}").shows("Stopped");
    let screen = terminal.ends(0);
    assert!(screen.lines().any(|line| line.trim() == "told"), "{screen}");
}

#[test]
fn a_terminal_that_is_asked_for_takes_no_input_but_with_i() {
    let place = crate::harness::Place::root();
    place.image("app", "");
    let wiac = crate::harness::tools::wiac().display();
    let script = format!("{wiac} run -t app sh -c 'sleep 0.2; echo ran'; read line; echo left: $line");
    let shell = place.command(std::path::Path::new("/bin/sh"));
    let call = shell.args(["-c", &script]).env("WIAC_DATA", place.data());
    call.stdin("one\ntwo\n")
        .succeeds()
        .mentions("ran")
        .mentions("left: one");
}

#[test]
fn its_size_is_that_of_the_terminal_where_output_is_shown() {
    let place = crate::harness::Place::root();
    place.image("app", "");
    let wiac = crate::harness::tools::wiac().display();
    let script = format!("{wiac} run -t app stty size </dev/null");
    let shell = place.command(std::path::Path::new("/bin/sh"));
    let call = shell.args(["-c", &script]).env("WIAC_DATA", place.data());
    let screen = call.on_terminal(33, 77).ends(0);
    assert!(screen.contains("33 77"), "{screen}");
}

as_users!(a_command_that_can_not_be_interrupted_ends_when_it_is_asked_three_times: root, user);
fn a_command_that_can_not_be_interrupted_ends_when_it_is_asked_three_times(place: &Place) {
    place.image("app", "");
    // As the first process of its namespace sleep doesn't get a signal that it has no handler for.
    let mut sleep = place
        .wiac(["run", "app", "sh", "-c", "echo ready; exec sleep 1000"])
        .on_terminal(24, 80);
    sleep.shows("ready").types("\u{3}");
    std::thread::sleep(std::time::Duration::from_millis(100));
    sleep.types("x\u{3}\u{3}");
    std::thread::sleep(std::time::Duration::from_millis(100));
    sleep.types("\u{3}\u{3}");
    std::thread::sleep(std::time::Duration::from_millis(100));
    sleep.types("\u{3}");
    sleep.ends(137);
    // Who ignores it on purpose is left alone, as is a shell at its prompt.
    let deaf = "trap '' INT; echo ready; read line; echo read $line";
    let mut deaf = place.wiac(["run", "app", "sh", "-c", deaf]).on_terminal(24, 80);
    deaf.shows("ready").types("\u{3}\u{3}\u{3}\u{3}");
    std::thread::sleep(std::time::Duration::from_millis(100));
    deaf.types("it\r").shows("read it");
    deaf.ends(0);
    let mut shell = place.wiac(["run", "app", "sh"]).on_terminal(24, 80);
    shell
        .shows(" # ")
        .types("\u{3}\u{3}\u{3}\u{3}")
        .types("echo still $((6*7))\r")
        .shows("still 42");
    shell.types("exit 5\r");
    shell.ends(5);
}
