//! What calls wiac: where its output goes, its directory, its variables, its privileges.

use super::{is_a_message, privately};
use crate::harness::call::Call;
use crate::harness::{Place, as_users, tools};
use std::path::Path;

/// A script of the host's bash as the place's user, with wiac as `$WIAC`.
fn called(place: &Place, script: &str) -> Call {
    place
        .command(Path::new("/bin/bash"))
        .args(["-c", script])
        .env("WIAC", tools::wiac())
        .env("WIAC_DATA", place.data())
}

as_users!(an_output_that_is_full: root, user);
fn an_output_that_is_full(place: &Place) {
    place.image("i", "");
    for command in ["images", "build -q i-context", "save i", "inspect i", "--help"] {
        let said = called(place, &format!("$WIAC {command} > /dev/full")).fails(1);
        is_a_message(&said);
        said.complains(&["standard output", "No space left on device"]);
    }
    called(place, "$WIAC run no-such:image 2> /dev/full").fails(125);
    called(place, "$WIAC run i sh -c 'echo said' 2>&- <&-")
        .succeeds()
        .says("said");
}

as_users!(a_current_directory_that_is_gone: root, user);
fn a_current_directory_that_is_gone(place: &Place) {
    place.image("i", "");
    let gone = "mkdir gone && cd gone && rmdir ../gone";
    for command in ["bundle --list sh", "run -v ./x:/y i true", "commit ./layer name"] {
        let said = called(place, &format!("{gone}; $WIAC {command}")).fails(125);
        said.complains(&["the current directory can't be found", "change to another"]);
    }
    called(place, &format!("{gone}; $WIAC run i pwd")).succeeds().says("/");
}

as_users!(variables_that_are_not_text: root, user);
fn variables_that_are_not_text(place: &Place) {
    place.image("i", "");
    for command in ["run -e ODD i true", "build --build-arg ODD i-context"] {
        let said = called(place, &format!("export ODD=$'a\\377'; $WIAC {command}")).fails(125);
        is_a_message(&said);
        said.complains(&["ODD", "UTF-8"]);
    }
    called(place, "export ODD=$'a\\377'; $WIAC run i true").succeeds();
}

#[test]
fn a_user_without_a_home_shares_no_data_directory() {
    let place = Place::user();
    let homeless = "-u HOME -u WIAC_DATA -u XDG_DATA_HOME $WIAC images";
    let said = place
        .host(&format!(
            "setpriv --reuid 4242 --regid 4242 --clear-groups env {homeless}"
        ))
        .env("WIAC", tools::wiac())
        .fails(1);
    said.complains(&["no home directory", "set HOME", "WIAC_DATA"]);
}

#[test]
fn a_user_who_may_gain_no_privileges() {
    let place = Place::user();
    let said = called(&place, "setpriv --no-new-privs $WIAC run bundle://sh -- sh -c true").fails(125);
    said.complains(&["newuidmap", "no_new_privs", "start wiac without"]);
}

#[test]
fn whiteouts_where_none_can_be_kept() {
    let place = Place::root();
    place.image("i", "RUN touch /x\nRUN rm /x");
    place.wiac(["save", "-o", "i.tar", "i"]).succeeds();
    let mount = "mkdir -p o/low o/up o/work o/merged; mount -t overlay none -o lowerdir=o/low,upperdir=o/up,workdir=o/work o/merged";
    let said = privately(
        &place,
        &format!("{mount}; WIAC_DATA=$PWD/o/merged/data $WIAC load -i i.tar"),
    )
    .fails(1);
    is_a_message(&said);
    said.complains(&[
        "can't mark as deleted x",
        "another overlay",
        "ext4, xfs, btrfs or tmpfs",
    ]);
}

#[test]
fn a_user_with_few_processes() {
    let place = Place::root();
    place.image("i", "");
    place.wiac(["save", "-o", "i.tar", "i"]).succeeds();
    place
        .host("chmod 755 .; chmod 644 i.tar; install -d -o 4243 -g 4243 mine")
        .succeeds();
    let load = |most: u32| {
        // Its own id: the limit counts what all others of that user run.
        let script = format!("ulimit -u {most}; exec $WIAC load -i i.tar");
        place
            .host("exec setpriv --reuid 4243 --regid 4243 --clear-groups bash -c \"$SCRIPT\"")
            .env("SCRIPT", script)
            .env("WIAC", tools::wiac())
            .env("WIAC_DATA", place.path("mine/data"))
    };
    let said = load(1).fails(1);
    is_a_message(&said);
    said.complains(&["can't start a thread", "ulimit -u"]);
    load(8).succeeds();
}

#[test]
fn arguments_that_are_not_text_are_shown() {
    let place = Place::root();
    place.image("i", "");
    let said = called(&place, "$WIAC run i echo $'odd\\377'").fails(125);
    is_a_message(&said);
    said.complains(&["the argument odd\u{fffd} isn't text in UTF-8"]);
}

as_users!(few_open_files_are_not_missing_files: root, user);
fn few_open_files_are_not_missing_files(place: &Place) {
    let whole = place.wiac(["bundle", "--list", "bash"]).succeeds();
    place.image("i", "");
    let mut refused = 0;
    for limit in 3..24 {
        let limited = format!("ulimit -n {limit}");
        for arguments in [
            &["bundle", "--list", "bash"][..],
            &["bundle", "--list", "bsh"],
            &["run", "i", "bsh"],
        ] {
            let said = place.wiac(arguments).after(&limited).ends_with_any(&[0, 1, 125, 127]);
            if said.stderr.to_lowercase().contains("too many open files") {
                is_a_message(&said);
                let said = said.complains(&["ulimit -n"]);
                said.never_complains("os error");
                refused += 1;
            } else if arguments.contains(&"bash") {
                said.says(&whole.stdout);
            } else {
                said.complains(&["bsh"]);
            }
        }
    }
    assert!(refused > 3, "a limit of 3 files is no hindrance");
}

as_users!(names_of_the_host_that_are_not_text: root, user);
fn names_of_the_host_that_are_not_text(place: &Place) {
    // In Latin-1, as old file systems have them.
    let odd = |script: &str| called(place, &format!("o=$'\\351'; {script}")).env("LC_ALL", "C");
    odd("mkdir -p ctx$o/d$o; echo one >ctx$o/f$o; echo two >ctx$o/d$o/g$o; echo no >ctx$o/h$o; echo 'h*' >ctx$o/.dockerignore")
        .succeeds();
    odd(
        r#"printf '%s\n' 'FROM bundle://sh,cat,ls' 'COPY . /all/' 'COPY f* /one' 'RUN cat /all/*/* /one; ! ls /all/h*' \
        >"ctx$o/Dockerfile""#,
    )
    .succeeds();
    odd("$WIAC build -q -t odd ctx$o").succeeds();
    odd("$WIAC run odd sh -c 'cat /one /all/d*/*'")
        .succeeds()
        .says("one\ntwo");
    odd("$WIAC run -v $PWD/ctx$o/d$o:/v:ro odd sh -c 'cat /v/*'")
        .succeeds()
        .says("two");
    // A data directory, and what is bound from it.
    odd("WIAC_DATA=$WIAC_DATA-$o $WIAC build -q -t odd ctx$o").succeeds();
    odd("WIAC_DATA=$WIAC_DATA-$o $WIAC run odd cat /etc/hostname").succeeds();
    // Directories by hand, what is written down of them, and a layer of the store that they keep.
    odd("$WIAC bundle sh ls cat root$o && $WIAC copy files$o ctx$o/f$o /file").succeeds();
    odd("$WIAC run ./files$o/diff:./root$o ./layer$o sh -c 'cat /file; echo three >/new'")
        .succeeds()
        .says("one");
    odd("$WIAC run $($WIAC layers -q odd):./root$o ./kept$o sh -c 'echo four >/new'").succeeds();
    place.wiac(["rmi", "odd"]).succeeds();
    place.wiac(["prune", "-a", "-f"]).succeeds();
    odd("$WIAC commit ./layer$o changed && $WIAC run changed cat /new")
        .succeeds()
        .mentions("three");
    odd("$WIAC commit ./kept$o changed && $WIAC run changed cat /new /one")
        .succeeds()
        .mentions("four\none");
    odd("$WIAC bundle --list --format json --add root$o sh")
        .succeeds()
        .mentions("/root\u{fffd}/");
    // What goes into a configuration can't.
    odd("$WIAC run -v /tmp:/t$o changed true")
        .fails(125)
        .complains(&["UTF-8"]);
}

#[test]
fn what_may_not_be_read_is_not_missing() {
    let place = Place::user();
    place.busybox("base");
    place.write("closed/ctx/Dockerfile", "FROM scratch\nCOPY . /\n");
    place.host("chown -R root closed; chmod 644 closed/ctx").succeeds();
    let build = || place.wiac(["build", "closed/ctx"]).fails(1);
    build().complains(&["closed/ctx/Dockerfile: Permission denied"]);
    place.host("chmod 700 closed").succeeds();
    build().complains(&["closed/ctx: Permission denied"]);
    let commit = place.wiac(["commit", "closed/ctx", "name"]).fails(1);
    commit.complains(&["closed/ctx: Permission denied"]);
    place
        .wiac(["build", "nowhere"])
        .fails(1)
        .complains(&["nowhere: No such file", "name the directory that is the build context"]);
    // Taken for missing, the record would be written anew, without what was committed from the layer.
    place.sh("./base", "./layer", "echo one >/one").succeeds();
    place.wiac(["commit", "./layer", "name"]).succeeds();
    place
        .host("mv layer/container.json kept; cp kept layer/container.json; chmod 600 layer/container.json")
        .succeeds();
    place
        .sh("./base", "./layer", "true")
        .fails(125)
        .complains(&["layer/container.json: Permission denied"]);
    place.host("mv -f kept layer/container.json").succeeds();
    place.sh("./base", "./layer", "cat /one").succeeds().says("one");
}
