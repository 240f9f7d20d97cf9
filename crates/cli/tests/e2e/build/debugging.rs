//! `wiac debug`: a failed step's state, its variables, user and mounts, with and without a shell in the image.

use super::context;
use crate::harness::{Place, as_users};

fn debug(place: &Place, words: &[&str]) -> crate::harness::call::Call {
    place.wiac(["debug"].iter().chain(words))
}

as_users!(the_state_of_a_failed_step: root, user, single);
fn the_state_of_a_failed_step(place: &Place) {
    context(place);
    place.write("context/file", "of the context\n");
    place.write("secret", "told to nobody, nowhere");
    let dockerfile = "FROM scratch\nCOPY root /\nARG VERSION\nENV COLOUR=\"dark red\"\nWORKDIR /srv\n\
        RUN --mount=type=cache,target=/cache --mount=target=/ctx,source=file --mount=type=tmpfs,target=/mem \
        --mount=type=secret,id=s,env=WORD,target=/run/secrets/s echo half > made; echo kept > /cache/c; test $VERSION -gt 1 || exit 7\n";
    let arguments = ["--build-arg", "VERSION=1", "--secret", "id=s,src=secret", "-t", "app"];
    let said = place.build("context", dockerfile).args(arguments).fails(1);
    said.complains(&["exit code 7", "wiac debug opens a shell"]);
    assert!(
        !place.read_all("data/failures").contains("told to nobody"),
        "no secret is kept"
    );
    let look = "cat made /cache/c /ctx; echo $VERSION $COLOUR; pwd; ls -A /mem; cat /run/secrets/s; echo more > made";
    let expected = "half\nkept\nof the context\n1 dark red\n/srv\ntold to nobody, nowhere";
    debug(place, &["last", "sh", "-c", look]).succeeds().says(expected);
    // What is changed there is thrown away, and a shell reads what is typed.
    debug(place, &[])
        .stdin("cat made; echo $WORD; exit 5\n")
        .fails(5)
        .says("half\ntold to nobody, nowhere");
    let listed = debug(place, &["ls"]).succeeds().mentions("exit code 7").stdout;
    let id = listed.split(' ').next().expect("an id");
    debug(place, &[&id[..6], "cat", "made"]).succeeds().says("half");
    // A good build isn't bothered, and the collector lets go what is kept.
    place
        .build("context", dockerfile)
        .args(arguments)
        .args(["--build-arg", "VERSION=2"])
        .succeeds();
    place.wiac(["store", "check"]).succeeds();
    place.wiac(["prune", "-f"]).succeeds();
    debug(place, &[]).fails(1).complains(&["no failed step is kept"]);
    assert_eq!(place.tree("data/failures"), Vec::<String>::new());
    place.wiac(["store", "check"]).succeeds();
}

as_users!(an_image_without_a_shell: root, user, single);
fn an_image_without_a_shell(place: &Place) {
    place.busybox("context/root");
    let dockerfile =
        "FROM scratch\nCOPY root/bin/busybox /only/false\nCOPY <<x /data\nsomething\nx\nRUN [\"/only/false\"]\n";
    place.build("context", dockerfile).fails(1);
    debug(place, &[])
        .stdin("ls /; cat /data | wc -l; exit 3\n")
        .fails(3)
        .mentions("only")
        .mentions("\n1\n");
    debug(place, &["last", "/only/false"]).fails(1);
}

as_users!(another_user_has_a_shell_too_whatever_the_callers_umask: root, user);
fn another_user_has_a_shell_too_whatever_the_callers_umask(place: &Place) {
    place.busybox("context/root");
    let dockerfile = "FROM scratch\nCOPY root/bin/busybox /only/false\nUSER 1000\nRUN [\"/only/false\"]\n";
    place.build("context", dockerfile).fails(1);
    let call = debug(place, &[]).after("umask 077");
    call.stdin("id -u; exit 3\n").fails(3).says("1000");
}

as_users!(only_so_many_are_kept: root, user);
fn only_so_many_are_kept(place: &Place) {
    context(place);
    for number in 0..7 {
        let dockerfile = format!("FROM scratch\nCOPY root /\nRUN echo {number} > /number; false\n");
        place.build("context", &dockerfile).fails(1);
    }
    let listed = debug(place, &["ls"]).succeeds();
    assert_eq!(listed.lines().len(), 5, "{listed:?}");
    assert!(
        listed.lines()[0].contains("echo 6") && listed.lines()[4].contains("echo 2"),
        "{listed:?}"
    );
    let layers = place
        .tree("data/layers")
        .into_iter()
        .filter(|path| !path.contains('/'))
        .count();
    assert_eq!(layers, 1 + 5, "the first layer, and what the five had changed");
    debug(place, &["last", "cat", "/number"]).succeeds().says("6");
    debug(place, &["rm", "last"]).succeeds();
    debug(place, &["last", "cat", "/number"]).succeeds().says("5");
    debug(place, &["rm", "all"]).succeeds();
    debug(place, &["rm", "last"]).fails(1).complains(&["no failed step"]);
    assert_eq!(place.tree("data/failures"), Vec::<String>::new());
}

#[test]
fn users_and_networks_are_the_step_s() {
    let place = Place::root();
    context(&place);
    let dockerfile = "FROM scratch\nCOPY root /\nUSER ann\nRUN --network=none false\n";
    place.build("context", dockerfile).fails(1);
    let script = "id -u; ls /sys/class/net | wc -l; echo $HOME";
    debug(&place, &["last", "sh", "-c", script])
        .succeeds()
        .says("1000\n1\n/home");
}

as_users!(a_shell_at_once: root, user);
fn a_shell_at_once(place: &Place) {
    context(place);
    place.write(
        "context/Dockerfile",
        "FROM scratch\nCOPY root /\nRUN echo half > /made; exit 9\n",
    );
    let mut shell = place
        .wiac(["build", "--on-error=shell", "context"])
        .on_terminal(33, 100);
    shell
        .shows(" # ")
        .types("cat /made; echo $((6*7))\n")
        .shows("half")
        .shows("42");
    shell.types("exit 4\n");
    let screen = shell.ends(1);
    assert!(screen.contains("exit code 9"), "{screen}");
    // Where nobody sits at a terminal it is a failure as any other.
    place
        .wiac(["build", "--on-error=shell", "context"])
        .fails(1)
        .complains(&["wiac debug"]);
}
