//! What is particular to an ordinary user: ids, ownership, what can't be had with a single id.

use crate::harness::{Place, as_users, tools};
use std::os::unix::fs::MetadataExt;

as_users!(the_user_is_root_inside_and_itself_outside: user, single);
fn the_user_is_root_inside_and_itself_outside(place: &Place) {
    place.image("app", "");
    place
        .wiac([
            "run",
            "-v",
            "./shared:/mnt",
            "app",
            "sh",
            "-c",
            "id -u; touch /mnt/mine",
        ])
        .succeeds()
        .says("0");
    let account = place.account().expect("an ordinary user");
    assert_eq!(
        std::fs::metadata(place.path("shared/mine")).expect("made").uid(),
        account.uid
    );
}

as_users!(bundles_belong_to_root_inside: user, single);
fn bundles_belong_to_root_inside(place: &Place) {
    place
        .wiac([
            "run",
            "bundle://sh,ls,stat",
            "--",
            "stat",
            "-c",
            "%u:%g",
            "/",
            "/usr",
            "/usr/bin/ls",
        ])
        .succeeds()
        .says("0:0\n0:0\n0:0");
}

as_users!(the_example_builds_and_runs: user, single);
fn the_example_builds_and_runs(place: &Place) {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/hello");
    place
        .host(&format!("cp -r {example} example && chmod -R a+rX example"))
        .succeeds();
    place
        .wiac(["run", "--build", "example"])
        .succeeds()
        .mentions("run by wiac");
}

as_users!(everything_can_be_deleted_by_its_user: user, single);
fn everything_can_be_deleted_by_its_user(place: &Place) {
    place.image("app", "RUN mkdir -m 0700 /closed && touch /closed/x");
    place
        .wiac(["run", "app", "sh", "-c", "mkdir -m 000 /locked && touch /locked/x"])
        .succeeds();
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
}

as_users!(devices_can_be_used: user, single);
fn devices_can_be_used(place: &Place) {
    place
        .inside("echo x > /dev/null && test $(head -c 3 /dev/zero | wc -c) = 3 && test -c /dev/tty && echo used")
        .succeeds()
        .says("used");
}

#[test]
fn other_users_have_ids_of_the_users_range() {
    let place = Place::user();
    place.image("app", "RUN touch /mine /anns && chown ann:staff /anns");
    place
        .wiac([
            "run",
            "-u",
            "ann",
            "app",
            "sh",
            "-c",
            "id -u; id -G; stat -c %u:%g /anns /mine",
        ])
        .succeeds()
        .says("1000\n1000 50\n1000:50\n0:0");
    let said = place.wiac(["build", "-q", "app-context"]).succeeds();
    drop(said);
    let said = place.wiac(["build", "app-context"]).succeeds();
    let top = said.text().split(':').next().expect("a layer").to_owned();
    let meta = std::fs::metadata(format!("{top}/anns")).expect("made");
    let account = place.account().expect("an ordinary user");
    assert!(meta.uid() >= 100_000 && meta.uid() != account.uid, "{}", meta.uid());
    assert_eq!(
        std::fs::metadata(format!("{top}/mine")).expect("made").uid(),
        account.uid
    );
    place
        .wiac(["run", "-u", "70000", "app", "true"])
        .fails(125)
        .complains(&["70000", "has the ids 0 to 65536"]);
}

#[test]
fn copied_files_have_the_owners_that_chown_names() {
    let place = Place::user();
    place.write("app-context/file", "x");
    place.image(
        "app",
        "COPY --chown=ann:staff file /srv/\nRUN stat -c %u:%g /srv/file > /list",
    );
    place.wiac(["run", "app", "cat", "/list"]).succeeds().says("1000:50");
}

#[test]
fn a_single_id_says_what_it_lacks() {
    let place = Place::single();
    place.image("app", "");
    let said = place.wiac(["run", "-u", "1000", "app", "true"]).fails(125);
    said.complains(&["1000", "has the id 0 alone", "/etc/subuid"]);
    place
        .wiac(["run", "app", "chown", "1000", "/etc/passwd"])
        .fails(1)
        .complains(&["Invalid argument"]);
    place.write("app-context/file", "x");
    let said = place
        .build("app-context", "FROM scratch\nCOPY root /\nRUN chown 1000 /etc/passwd\n")
        .fails(1);
    said.complains(&["Dockerfile:3", "exit code 1"]);
}

#[test]
fn without_user_namespaces_the_message_names_the_switch() {
    let place = Place::user();
    place.busybox("base");
    // A limit of a user namespace of our own: nobody else's.
    let script =
        "echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --reuid=1000 --regid=1000 --clear-groups \"$@\"";
    let call = place.command(&tools::unshare()).args([
        "--user",
        "--map-root-user",
        "--map-auto",
        "bash",
        "-ec",
        script,
        "bash",
    ]);
    let call = call
        .arg(tools::wiac())
        .args(["run", "./base", "./layer", "true"])
        .env("WIAC_DATA", place.data());
    call.fails(125)
        .complains(&["can't make a user namespace", "/proc/sys/user/max_user_namespaces is 0"]);
}

#[test]
fn root_of_another_namespace_is_no_root_of_the_machine() {
    for place in [Place::user(), Place::single()] {
        place.busybox("base");
        let mapped = if place.account() == Place::user().account() {
            "set -- unshare --map-auto --map-root-user -- \"$@\""
        } else {
            "set -- unshare --map-root-user -- \"$@\""
        };
        let call =
            place.inside("id -u; rm -r /bin/../etc/gone && mkdir /etc/gone; echo x > /dev/null; ls -A /etc/gone");
        place.mkdir("base/etc/gone/full");
        call.after(mapped).succeeds().says("0");
        place.image("app", "RUN mkdir /gone\nRUN rm -r /gone");
        place
            .wiac(["run", "app", "sh", "-c", "ls -d /gone"])
            .after(mapped)
            .fails(1)
            .complains(&["No such file"]);
        // The same directory serves the user itself.
        place
            .wiac(["run", "app", "sh", "-c", "ls -d /gone"])
            .fails(1)
            .complains(&["No such file"]);
        let script = place
            .wiac(["run", "--dry-run=shell", "app", "id", "-u"])
            .after(mapped)
            .succeeds();
        place.write("script", &script.stdout);
        place
            .command(std::path::Path::new("/bin/bash"))
            .arg("./script")
            .after(mapped)
            .succeeds()
            .says("0");
    }
}

#[test]
fn a_step_that_wants_more_ids_is_told_where_they_come_from() {
    for (place, is_single) in [(Place::single(), true), (Place::user(), false)] {
        place.busybox("context/root");
        let build = |run: &str| place.build("context", &format!("FROM scratch\nCOPY root /\nRUN {run}\n"));
        let said = build("touch /x && chown 1:1 /x && exit 3").fails(1);
        if is_single {
            said.complains(&[
                "to change owners or users",
                "has the id 0 alone",
                "subordinate ids in /etc/subuid",
            ]);
        } else {
            said.complains(&["exit code 3"]).never_complains("owners or users");
        }
    }
}
