//! The overlay, exactly: options, forms, the root's own metadata, stubs, many layers, paths with odd characters.

use crate::harness::{Place, as_users, programs};

as_users!(options_are_explicit: root, user, single);
fn options_are_explicit(place: &Place) {
    let said = place
        .inside("grep ' / ' /proc/mounts; grep ' / / ' /proc/self/mountinfo")
        .succeeds();
    said.mentions("redirect_dir=nofollow")
        .never_mentions("metacopy=on")
        .never_mentions("index=on")
        .never_mentions("nfs_export=on")
        .mentions("nodev");
    // What the user keeps is synced when the container ends; what is thrown away isn't.
    let said = place
        .inside("grep ' / ' /proc/mounts")
        .succeeds()
        .never_mentions("volatile");
    assert_eq!(said.stdout.contains("userxattr"), !place.is_root(), "{}", said.stdout);
    place.image("app", "");
    place
        .wiac(["run", "app", "grep", " / ", "/proc/mounts"])
        .succeeds()
        .mentions("volatile");
}

as_users!(the_root_looks_like_the_topmost_layers: root, user, single);
fn the_root_looks_like_the_topmost_layers(place: &Place) {
    place.busybox("base");
    place.chmod("base", 0o755);
    let look = "stat -c %a /; stat -c %u:%g /";
    place
        .wiac(["run", "./base", "./closed", "sh", "-c", look])
        .after("umask 077")
        .succeeds()
        .says("755\n0:0");
    place.mkdir("open");
    place.chmod("open", 0o1777);
    place.sh("./open:./base", "./layer", look).succeeds().says("1777\n0:0");
    // A change of the user's stays.
    place.sh("./open:./base", "./layer", "chmod 700 /").succeeds();
    place.sh("./open:./base", "./layer", look).succeeds().says("700\n0:0");
}

as_users!(built_layers_hold_what_their_step_did_and_nothing_else: root, user, single);
fn built_layers_hold_what_their_step_did_and_nothing_else(place: &Place) {
    place.busybox("context/root");
    place.write("context/root/etc/motd", "here\n");
    place
        .host("touch -d '2001-02-03 04:05:06' context/root/etc context/root")
        .succeeds();
    let said = place.build("context", "FROM scratch\nCOPY root /\nRUN echo 1 > /x\nRUN true\nRUN echo 2 > /etc/y\nRUN mkdir /proc2 && rm /etc/motd\nRUN echo mine > /dev2\n").succeeds();
    let layers: Vec<String> = said.text().split(':').map(str::to_owned).collect();
    assert_eq!(place.tree(&layers[4]), ["x"]);
    assert_eq!(place.tree(&layers[3]), Vec::<String>::new());
    assert_eq!(place.tree(&layers[2]), ["etc", "etc/y"]);
    assert_eq!(place.tree(&layers[1]), ["etc", "etc/motd", "proc2"]);
    assert_eq!(place.tree(&layers[0]), ["dev2"]);
    // A step that changed nothing left the times as they were.
    let modified = |layer: &str| std::fs::metadata(layer).expect("a layer").modified().expect("a time");
    assert_eq!(modified(&layers[3]), modified(&layers[4]), "the root's time");
    let chain = said.text();
    place
        .sh(chain, "./box", "ls / /etc")
        .succeeds()
        .mentions("y\n")
        .never_mentions("motd");
}

as_users!(what_a_step_puts_where_stubs_are_stays: root, user, single);
fn what_a_step_puts_where_stubs_are_stays(place: &Place) {
    place.busybox("context/root");
    let said = place.build("context", "FROM scratch\nCOPY root /\nRUN mkdir -p /proc /sys /run/mine && touch /run/mine/x && echo kept > /etc/kept\n").succeeds();
    let top = said.text().split(':').next().expect("a layer").to_owned();
    let tree = place.tree(&top);
    assert!(
        tree.contains(&"run/mine/x".to_owned()) && tree.contains(&"etc/kept".to_owned()),
        "{tree:?}"
    );
    assert!(
        !tree
            .iter()
            .any(|name| name.contains("resolv.conf") || name.contains("hosts") || name == "dev"),
        "{tree:?}"
    );
}

as_users!(stubs_behind_links_go_too: root, user);
fn stubs_behind_links_go_too(place: &Place) {
    place.busybox("context/root");
    // As Debian has it where systemd resolves names: a link to a file that only a running system has.
    place.symlink(
        "../run/systemd/resolve/stub-resolv.conf",
        "context/root/etc/resolv.conf",
    );
    place.symlink("/usr/share/hosts", "context/root/etc/hosts");
    place.symlink("var/dev", "context/root/dev");
    place.mkdir("context/root/var");
    let dockerfile =
        "FROM scratch\nCOPY root /\nRUN grep -q . /etc/hosts && cat /etc/resolv.conf && echo > /dev/null\n";
    let said = place.build("context", dockerfile).succeeds();
    let top = said.text().split(':').next().expect("a layer").to_owned();
    assert_eq!(place.tree(&top), Vec::<String>::new());
    place
        .sh(said.text(), "./box", "cat /etc/hosts; readlink /etc/resolv.conf")
        .succeeds()
        .mentions("localhost")
        .mentions("stub-resolv");
}

as_users!(what_a_step_changes_in_a_directory_of_stubs_stays: root, user);
fn what_a_step_changes_in_a_directory_of_stubs_stays(place: &Place) {
    place.busybox("context/root");
    place.mkdir("context/root/etc");
    let cases: [(&str, &[&str], &str, &str); 5] = [
        ("chmod 700 /etc", &["etc"], "stat -c %a etc", "700"),
        (
            "touch -d '2001-02-03 04:05:06' /etc",
            &["etc"],
            "stat -c %Y etc",
            "981173106",
        ),
        ("mkdir /etc/mine", &["etc", "etc/mine"], "ls etc", "mine"),
        ("chmod 1777 /", &[], "stat -c %a .", "1777"),
        ("echo lost > /dev/x; mkdir /dev/shm/y", &[], "true", ""),
    ];
    for (change, tree, look, expected) in cases {
        let said = place
            .build("context", &format!("FROM scratch\nCOPY root /\nRUN {change}\n"))
            .succeeds();
        let top = said.text().split(':').next().expect("a layer").to_owned();
        assert_eq!(place.tree(&top), tree, "{change}");
        place
            .host(&format!("cd {top} && TZ=UTC {look}"))
            .succeeds()
            .says(expected);
    }
}

as_users!(a_container_layer_keeps_no_state_that_a_second_run_trips_over: root, user, single);
fn a_container_layer_keeps_no_state_that_a_second_run_trips_over(place: &Place) {
    for number in 0..3 {
        place
            .inside(&format!("echo {number} >> /count; cat /count | wc -l"))
            .succeeds()
            .says(&(number + 1).to_string());
    }
    place.write("record.json", "");
    let record: serde_json::Value = serde_json::from_str(&place.read("layer/container.json")).expect("JSON");
    assert_eq!(record["lowerdirs"][0], place.shown("base"));
    assert_eq!(record["form"], if place.is_root() { "trusted" } else { "user" });
}

as_users!(two_hundred_layers: root, user);
fn two_hundred_layers(place: &Place) {
    place.busybox("layers/base");
    let mut chain = vec!["./layers/base".to_owned()];
    for number in 0..200 {
        place.write(&format!("layers/l{number}/seen/{number}"), number.to_string());
        place.write(&format!("layers/l{number}/top"), number.to_string());
        chain.push(format!("./layers/l{number}"));
    }
    chain.reverse();
    place
        .sh(&chain.join(":"), "./box", "ls /seen | wc -l; cat /top")
        .succeeds()
        .says("200\n199");
    place
        .sh(&chain.join(":"), "./old", "ls /seen | wc -l; cat /top")
        .env("WIAC_LEGACY_OVERLAY", "1")
        .succeeds()
        .says("200\n199");
}

as_users!(the_older_way_of_mounting_does_the_same: root, user, single);
fn the_older_way_of_mounting_does_the_same(place: &Place) {
    place.busybox("base");
    place.write("top/over", "above");
    place.write("base/over", "below");
    let run = |script: &str| {
        place
            .sh("./top:./base", "./layer", script)
            .env("WIAC_LEGACY_OVERLAY", "1")
    };
    run("cat /over; rm /over; echo new > /new").succeeds().says("above");
    run("ls /over 2>/dev/null || cat /new").succeeds().says("new");
    let said = run("grep ' / ' /proc/mounts").succeeds();
    said.mentions("redirect_dir=nofollow")
        .mentions("nodev")
        .never_mentions("metacopy=on");
    place.image("app", "");
    place
        .wiac(["run", "app", "sh", "-c", "echo x > /y && cat /y"])
        .env("WIAC_LEGACY_OVERLAY", "1")
        .succeeds()
        .says("x");
}

as_users!(odd_characters_in_paths: root, user);
fn odd_characters_in_paths(place: &Place) {
    for (number, name) in [
        "with:colon",
        "with,comma",
        "with space",
        "with\\backslash",
        "with=equals",
        "ends\\",
        "ünï",
        "quo'te\"d",
    ]
    .into_iter()
    .enumerate()
    {
        let base = format!("{name}/{name}");
        place.busybox(&base);
        place.write(&format!("{name}/upper layer/file"), name);
        let escaped = |path: &str| path.replace('\\', "\\\\").replace(':', "\\:");
        let chain = format!("./{}:./{}", escaped(&format!("{name}/upper layer")), escaped(&base));
        let layer = format!("./{name}/box");
        place
            .sh(&chain, &layer, "cat /file; echo new > /new")
            .succeeds()
            .says(name);
        let shown = place.shown(name);
        place
            .sh(
                &chain.replace("./", &format!("{}/", escaped(place.dir().to_str().expect("text")))),
                &layer,
                "cat /new",
            )
            .succeeds()
            .says("new");
        if number < 2 {
            place
                .sh(&chain, &format!("{layer}-old"), "cat /file")
                .env("WIAC_LEGACY_OVERLAY", "1")
                .succeeds()
                .says(name);
        }
        assert!(place.path(name).join("box/diff/new").exists(), "{shown}");
    }
}

as_users!(a_data_directory_with_odd_characters: root, user);
fn a_data_directory_with_odd_characters(place: &Place) {
    place.busybox("context/root");
    place.write("context/Dockerfile", "FROM scratch\nCOPY root /\nRUN echo 1 > /x\n");
    let said = place
        .wiac(["build", "context"])
        .env("WIAC_DATA", place.path("my:data, dir"))
        .succeeds();
    place
        .sh(said.text(), "./box", "cat /x")
        .env("WIAC_DATA", place.path("my:data, dir"))
        .succeeds()
        .says("1");
}

as_users!(long_paths: root, user);
fn long_paths(place: &Place) {
    let deep = format!("{}/{}", "d".repeat(200), "e".repeat(200));
    place.busybox(&format!("{deep}/base"));
    place
        .sh(&format!("./{deep}/base"), &format!("./{deep}/box"), "echo deep")
        .succeeds()
        .says("deep");
    place
        .sh(&format!("./{deep}/base"), &format!("./{deep}/box"), "echo deep")
        .env("WIAC_LEGACY_OVERLAY", "1")
        .succeeds()
        .says("deep");
}

as_users!(a_container_layer_serves_one_container_at_a_time: root, user);
fn a_container_layer_serves_one_container_at_a_time(place: &Place) {
    place.busybox("base");
    let mut first = place
        .sh("./base", "./layer", "touch /ready; sleep 1000")
        .in_background();
    crate::harness::leftovers::wait_until("the container is ready", || place.has("layer/diff/ready"));
    place
        .sh("./base", "./layer", "true")
        .fails(125)
        .complains(&["layer", "in use"]);
    place.sh("./base", "./another", "echo beside").succeeds().says("beside");
    first.gets(rustix::process::Signal::KILL);
    first.exit_code();
    crate::harness::leftovers::wait_until("the layer is free", || {
        crate::harness::leftovers::locks(place.dir()).is_empty()
    });
    place.sh("./base", "./layer", "true").succeeds();
}

as_users!(many_containers_run_at_once: root, user);
fn many_containers_run_at_once(place: &Place) {
    place.image("app", "");
    std::thread::scope(|scope| {
        for number in 0..12 {
            scope.spawn(move || {
                let word = format!("number {number}");
                place
                    .wiac(["run", "app", "sh", "-c", &format!("echo {word} > /x; cat /x")])
                    .succeeds()
                    .says(&word);
            });
        }
    });
    assert_eq!(place.tree("data/tmp"), Vec::<String>::new());
}

#[test]
fn the_roots_attributes_and_owner_are_kept() {
    let place = Place::root();
    place.busybox("base");
    place.host("chown 12:34 base && chmod 2755 base").succeeds();
    place.mark("base", "user.mark", "kept");
    place.inside("stat -c %u:%g:%a /").succeeds().says("12:34:2755");
    assert_eq!(place.attribute("layer/diff", "user.mark"), "kept");
}

#[test]
fn layers_whose_deletions_are_marked_for_the_other_side_are_refused() {
    // An opaque directory of an ordinary user's form: root's overlay would overlook the mark and show deleted files.
    let place = Place::root();
    place.busybox("base");
    place.write("base/srv/deleted", "");
    place.write("upper/srv/kept", "");
    place.mark("upper/srv", "user.overlay.opaque", "y");
    place
        .sh("./upper:./base", "./layer", "ls /srv")
        .fails(125)
        .complains(&["upper", "deleted files would be back"]);
}

#[test]
fn built_layers_of_the_other_side_are_refused() {
    for (builder, runner) in [(Place::root(), Place::user()), (Place::user(), Place::root())] {
        builder.busybox("context/root");
        builder.write("context/root/srv/a/deleted", "");
        let said = builder
            .build(
                "context",
                "FROM scratch\nCOPY root /\nRUN rm -r /srv/a && mkdir /srv/a && echo > /srv/a/kept\n",
            )
            .succeeds();
        builder.host("chmod -R a+rX .").succeeds();
        let said = runner.sh(said.text(), "./layer", "ls /srv/a").ends_with_any(&[0, 125]);
        assert!(!said.stdout.contains("deleted"), "a deleted file is back: {said:?}");
        said.complains(&["deleted files would be back"]);
    }
}

#[test]
fn what_other_overlays_left_in_directories_leads_nowhere() {
    let place = Place::root();
    place.busybox("base");
    place.write("base/srv/old/file", "");
    place.mkdir("upper/srv/new");
    place.mark("upper/srv/new", "trusted.overlay.redirect", "/srv/old");
    place.write("base/srv/data", "real");
    place.write("upper/srv/data", "");
    place.mark("upper/srv/data", "trusted.overlay.metacopy", "");
    // A redirect, and a file whose data are in another layer: neither is followed, nor taken for something else.
    for command in ["ls /srv/new", "cat /srv/data"] {
        let said = place.sh("./upper:./base", "./layer", command).fails(1);
        said.says("").complains(&["Operation not permitted"]);
    }
}

#[test]
fn whiteouts_of_a_builds_layers_serve_the_other_commands() {
    let place = Place::root();
    place.busybox("context/root");
    place.write("context/root/srv/a/inner", "");
    place.write("context/root/srv/b", "");
    let said = place.build("context", "FROM scratch\nCOPY root /\nRUN rm -r /srv/a /srv/b\nRUN mkdir /srv/a && echo again > /srv/a/other\nCOPY --from=0 /srv /copied\n").fails(1);
    drop(said);
    let said = place.build("context", "FROM scratch AS first\nCOPY root /\nRUN rm -r /srv/a /srv/b\nRUN mkdir /srv/a && echo again > /srv/a/other\nFROM first\nCOPY --from=first /srv /copied\nRUN ls -R /srv /copied > /list\n").succeeds();
    let top = said.text().split(':').next().expect("a layer").to_owned();
    assert_eq!(
        place.read(&format!("{top}/list")),
        "/copied:\na\n\n/copied/a:\nother\n\n/srv:\na\n\n/srv/a:\nother\n"
    );
}

#[test]
fn nothing_of_wiacs_shows_in_a_layer_of_the_users() {
    let place = Place::root();
    place.busybox("base");
    place.compile(programs::GREETER, "base/app");
    let before = place.tree("base");
    place.wiac(["run", "./base", "./layer", "/app"]).succeeds();
    assert_eq!(place.tree("base"), before);
}

#[test]
fn more_layers_than_the_kernel_takes() {
    let place = Place::root();
    place.busybox("layers/base");
    let mut chain = Vec::new();
    for number in 0..500 {
        place.write(&format!("layers/{number}/seen/{number}"), "");
        chain.push(format!("./layers/{number}"));
    }
    chain.push("./layers/base".to_owned());
    // Those of the store are merged; directories of the user's stay as they are.
    let said = place.sh(&chain.join(":"), "./box", "ls /seen | wc -l").fails(125);
    said.complains(&["501 layers are more than the 500"]);
    let said = place.sh(&chain[1..].join(":"), "./box2", "ls /seen | wc -l").succeeds();
    said.says("499");
    let said = place
        .sh(&chain[300..].join(":"), "./box3", "ls /seen | wc -l")
        .env("WIAC_LEGACY_OVERLAY", "1")
        .succeeds();
    said.says("200");
}
