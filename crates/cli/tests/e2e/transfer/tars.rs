//! Root file systems in flat tars and directories: in with import, out with export.

use super::peers::{Unmounted, podman, skopeo};
use super::rich::{self, assert_same, below_root, listing, shown};
use super::{assert_whole, json, wiac_on};
use crate::harness::{Place, as_users};
use std::fmt::Write as _;

/// The lowest layer of the rich image as a tree and as `root.tar`.
fn tree(place: &Place) {
    place.write("root.tar", &rich::tars()[0]);
    place
        .host("mkdir tree && tar --xattrs --xattrs-include='*' --numeric-owner -C tree -xpf root.tar")
        .succeeds();
}

#[test]
fn a_root_filesystem_comes_in() {
    let place = Place::root();
    tree(&place);
    let expected = listing(&place, &place.path("tree"));
    place
        .host(
            "gzip -1k root.tar; xz -0k root.tar; bzip2 -1k root.tar; zstd -1q root.tar
            tar -C tree --sparse --format=posix --xattrs --xattrs-include='*' --numeric-owner -cf sparse.tar .
            tar -C tree --sparse --format=gnu --numeric-owner -cf gnu.tar .",
        )
        .succeeds();
    let sources = [
        "root.tar",
        "root.tar.gz",
        "root.tar.xz",
        "root.tar.bz2",
        "root.tar.zst",
        "sparse.tar",
        "tree",
    ];
    for source in sources {
        place.wiac(["import", source, "imported"]).succeeds();
        assert_same(source, &expected, &shown(&place, "data", "imported"));
    }
    // GNU's own form has neither attributes nor fractions of seconds.
    place.wiac(["import", "gnu.tar", "gnu"]).succeeds();
    assert_eq!(shown(&place, "data", "gnu").lines().count(), expected.lines().count());
    let script = "cat root.tar.gz | \"$@\"";
    let piped = place.command("/bin/bash".as_ref()).args(["-euc", script, "bash"]);
    let piped = piped.arg(crate::harness::tools::wiac()).args(["import", "-", "piped"]);
    piped.env("WIAC_DATA", place.data()).succeeds();
    assert_same("a pipe", &expected, &shown(&place, "data", "piped"));
    place.wiac(["prune", "-f"]).succeeds();
    assert_whole(&place, "data");
}

as_users!(an_import_is_configured: root, user, single);
fn an_import_is_configured(place: &Place) {
    place.busybox("tree");
    place.host("tar -C tree -cf root.tar .").succeeds();
    let changes = [
        "CMD [\"sh\", \"-c\", \"echo $WHO in $PWD\"]",
        "ENV WHO=me",
        "WORKDIR /bin",
        "LABEL a=b",
        "EXPOSE 80",
        "VOLUME /data",
        "STOPSIGNAL INT",
    ];
    let options = changes.iter().flat_map(|change| ["-c", change]);
    place
        .wiac(["import", "-m", "a note"])
        .args(options)
        .args(["root.tar", "app"])
        .succeeds();
    place.wiac(["run", "app"]).succeeds().says("me in /bin");
    let said = &json(place.wiac(["inspect", "app"]))[0];
    assert_eq!(said["Config"]["Labels"], serde_json::json!({"a": "b"}));
    assert_eq!(said["Config"]["StopSignal"], "INT");
    assert_eq!(said["Config"]["ExposedPorts"], serde_json::json!({"80/tcp": {}}));
    assert_eq!(said["Config"]["Volumes"], serde_json::json!({"/data": {}}));
    place.wiac(["history", "app"]).succeeds().mentions("a note");
    place
        .wiac(["import", "-c", "RUN true", "root.tar", "wrong"])
        .fails(1)
        .complains(&["RUN"]);
    place
        .wiac(["import", "-c", "CMMD x", "root.tar", "wrong"])
        .fails(1)
        .complains(&["did you mean CMD"]);
    for (change, words) in [("FROM x", "FROM can't be used here"), ("# x", "no instruction in it")] {
        let said = place.wiac(["import", "-c", change, "root.tar", "wrong"]).fails(1);
        said.complains(&[words]);
    }
    place
        .wiac(["import", "--platform", "foo/bar", "root.tar", "wrong"])
        .fails(125)
        .complains(&["--platform foo/bar", "for Linux"]);
    place.write("text", "no tar at all\n".repeat(100));
    place
        .wiac(["import", "text", "wrong"])
        .fails(1)
        .complains(&["text", "tar"]);
    place
        .wiac(["import", "missing.tar", "wrong"])
        .fails(1)
        .complains(&["missing.tar", "No such file"]);
    place
        .wiac(["import", "/dev/null", "wrong"])
        .fails(1)
        .complains(&["there is nothing in it"]);
    place.wiac(["run", "wrong", "true"]).fails(125);
    assert_whole(place, "data");
}

/// How docker's users make an image with nothing in it.
#[test]
fn a_tar_without_entries_is_an_empty_root() {
    let place = Place::root();
    place.host("tar -cf empty.tar --files-from=/dev/null").succeeds();
    place.wiac(["import", "empty.tar", "empty"]).succeeds();
    place.wiac(["export", "-o", "out.tar", "empty"]).succeeds();
    place.host("tar -tf out.tar").succeeds().says("./");
    place.write("context/file", "x");
    place.write("context/Dockerfile", "FROM empty\nCOPY file /\n");
    place.wiac(["build", "-q", "context"]).succeeds();
    assert_whole(&place, "data");
}

#[test]
fn an_import_is_configured_as_by_podman_and_docker() {
    let place = Place::root();
    let _unmounted = Unmounted(&place);
    place.busybox("tree");
    place.host("tar -C tree -cf root.tar .").succeeds();
    // podman's form; several at once are docker's.
    let changes = ["CMD=/bin/sh", "ENV=A=b=c", "label=x=y", "WORKDIR=/bin", "EXPOSE=80"];
    let options = || changes.iter().flat_map(|change| ["-c", change]);
    podman(&place)
        .arg("import")
        .args(options())
        .args(["root.tar", "app"])
        .succeeds();
    place
        .wiac(["import"])
        .args(options())
        .args(["root.tar", "app"])
        .succeeds();
    let template =
        "{{json .Config.Env}} {{.Config.Cmd}} {{.Config.Labels}} {{.Config.WorkingDir}} {{.Config.ExposedPorts}}";
    let theirs = podman(&place)
        .args(["image", "inspect", "-f", template, "app"])
        .succeeds();
    place
        .wiac(["inspect", "-f", template, "app"])
        .succeeds()
        .says(theirs.text());
    let lines = "ENV A=1\nENV PATH=$PATH:/x";
    place.wiac(["import", "-c", lines, "root.tar", "lines"]).succeeds();
    let env = place
        .wiac(["inspect", "-f", "{{json .Config.Env}}", "lines"])
        .succeeds();
    env.mentions("\"A=1\"").mentions("/bin:/x\"");
    let platform = ["import", "-q", "--platform", "linux/ARM64/v8", "root.tar", "arm"];
    place.wiac(platform).succeeds();
    let said = place.wiac(["inspect", "-f", "{{.Architecture}}/{{.Variant}}", "arm"]);
    said.succeeds().says("arm64/v8");
    let said = place
        .wiac(["import", "--platform", "linux/amd46", "root.tar", "odd"])
        .succeeds();
    said.complains(&["warning", "\"amd46\""]);
}

#[test]
fn an_image_and_a_container_go_out_as_from_podman() {
    let place = Place::root();
    let _unmounted = Unmounted(&place);
    rich::layout(&place, "rich");
    place.wiac(["load", "-q", "-i", "rich", "-t", "rich"]).succeeds();
    let chain = place.wiac(["layers", "-q", "rich"]).succeeds();
    let script = "rm /var/kept && mkdir /made && echo made >/made/file && chmod 600 /etc/passwd && rm -r /var/opaque";
    place.sh(chain.text(), "./box", script).succeeds();
    for (what, file) in [("rich", "image"), ("./box", "box")] {
        place.wiac(["export", "-o", &format!("{file}.tar"), what]).succeeds();
        place
            .host(&format!(
                "mkdir {file}.ours && tar --xattrs --xattrs-include='*' --numeric-owner -C {file}.ours -xpf {file}.tar"
            ))
            .succeeds();
    }
    assert_same(
        "an image",
        &shown(&place, "data", "rich"),
        &listing(&place, &place.path("image.ours")),
    );

    let target = format!(
        "containers-storage:[overlay@{}+{}]localhost/rich:1",
        place.shown("store"),
        place.shown("run")
    );
    skopeo(&place).args(["copy", "-q", "oci:rich:rich", &target]).succeeds();
    podman(&place)
        .args(["create", "--name=image", "localhost/rich:1"])
        .succeeds();
    podman(&place)
        .args([
            "run",
            "--name=box",
            "--network=none",
            "localhost/rich:1",
            "sh",
            "-c",
            script,
        ])
        .succeeds();
    for name in ["image", "box"] {
        podman(&place)
            .args(["export", "-o", &format!("podman-{name}.tar"), name])
            .succeeds();
        place
            .host(&format!(
                "mkdir {name}.theirs && tar --xattrs --xattrs-include='*' --numeric-owner -C {name}.theirs -xpf podman-{name}.tar"
            ))
            .succeeds();
        let timeless = name == "box";
        let theirs = comparable(&listing(&place, &place.path(&format!("{name}.theirs"))), timeless);
        let ours = comparable(&listing(&place, &place.path(&format!("{name}.ours"))), timeless);
        assert_same(name, &theirs, &ours);
    }
}

/// What both tools mean to be in a container: without the root, what they mount on, and what podman leaves out (attributes
/// and fractions of seconds). `timeless`: it was changed at another time.
fn comparable(listing: &str, timeless: bool) -> String {
    const MOUNTED: [&str; 9] = [
        "'dev",
        "'proc",
        "'sys",
        "'run",
        "'data",
        "'etc/hosts'",
        "'etc/hostname'",
        "'etc/resolv.conf'",
        "'etc/mtab'",
    ];
    let is_time = |word: &str| word.len() == 19 && word.bytes().all(|byte| byte.is_ascii_digit());
    let shown = |word: &str| match (is_time(word), timeless) {
        (false, _) => word.to_owned(),
        (true, false) => word[..10].to_owned(),
        (true, true) => String::new(),
    };
    let below = below_root(listing);
    let kept = below
        .lines()
        .filter(|line| !MOUNTED.iter().any(|name| line.starts_with(name)));
    let words = |line: &str| {
        let line = line.split(" {").next().unwrap_or(line);
        line.split(' ').map(shown).collect::<Vec<String>>().join(" ") + "\n"
    };
    kept.map(words).collect()
}

#[test]
fn a_squashed_image_shows_the_same() {
    let place = Place::root();
    rich::layout(&place, "rich");
    place.wiac(["load", "-q", "-i", "rich", "-t", "rich"]).succeeds();
    place
        .build("context", "FROM rich\nRUN rm /etc/linked && echo x >/etc/setuid\n")
        .args(["-t", "built"])
        .succeeds();
    place
        .wiac(["squash", "-m", "all in one", "built", "squashed"])
        .succeeds();
    assert_same(
        "squash",
        &shown(&place, "data", "built"),
        &shown(&place, "data", "squashed"),
    );
    let layers = json(place.wiac(["layers", "--format", "json", "squashed"]));
    assert_eq!(layers.as_array().map(Vec::len), Some(1));
    place
        .wiac(["history", "squashed"])
        .succeeds()
        .mentions("all in one")
        .mentions("SQUASH");
    // Over its own name, and again.
    place.wiac(["squash", "built", "built"]).succeeds();
    place.wiac(["squash", "built", "built"]).succeeds();
    assert_same(
        "twice",
        &shown(&place, "data", "built"),
        &shown(&place, "data", "squashed"),
    );
    place.wiac(["prune", "-f"]).succeeds();
    assert_whole(&place, "data");
}

#[test]
fn more_layers_than_the_kernel_takes() {
    const STEPS: usize = 520;
    let place = Place::root();
    place.busybox("context/root");
    let mut dockerfile = "FROM scratch\nCOPY root /\n".to_owned();
    for number in 0..STEPS {
        place.write(&format!("context/f{number}"), number.to_string());
        let _ = writeln!(dockerfile, "COPY f{number} /files/");
    }
    dockerfile += "CMD [\"sh\", \"-c\", \"ls /files | wc -l; cat /files/f0 /files/f519\"]\n";
    place
        .build("context", &dockerfile)
        .args(["-q", "-t", "high"])
        .succeeds();
    place.wiac(["run", "high"]).succeeds().says("520\n0519");
    place
        .wiac(["save", "--compression=none", "-o", "high.tar", "high"])
        .succeeds();
    wiac_on(&place, "other", ["load", "-q", "-i", "high.tar"]).succeeds();
    wiac_on(&place, "other", ["run", "high"]).succeeds().says("520\n0519");
    // A step on top of it, and all in one.
    place.write("more/more", "more\n");
    place
        .build("more", "FROM high\nCOPY more /more\n")
        .args(["-q", "-t", "more"])
        .succeeds();
    place.wiac(["run", "more", "cat", "/more"]).succeeds().says("more");
    place.wiac(["squash", "high", "low"]).succeeds();
    place.wiac(["run", "low"]).succeeds().says("520\n0519");
}
