//! What other tools write is loaded: the same configuration, the same files, the same digests.

use super::peers::{Docker, Unmounted, buildah, podman, skopeo, umoci};
use super::rich::{self, Rich, assert_same, below_root, listing, shown};
use super::{assert_whole, json, wiac_on};
use crate::harness::Place;

/// Loads a file or directory into a data directory of its own, and compares what came in with the image.
fn load_and_compare(place: &Place, rich: &Rich, expected: &str, file: &str) {
    let data = format!("data-{}", file.replace('/', "-"));
    wiac_on(place, &data, ["load", "-i", file]).succeeds();
    let id = compare(place, rich, expected, &data, file);
    assert_eq!(id, rich.id, "{file}");
}

/// Compares the only image of a data directory with the rich one; gives its id.
fn compare(place: &Place, rich: &Rich, expected: &str, data: &str, what: &str) -> String {
    let ids = wiac_on(place, data, ["images", "-q", "--no-trunc"]).succeeds();
    let ids: std::collections::BTreeSet<&str> = ids.stdout.split_whitespace().collect();
    assert_eq!(ids.len(), 1, "{what}: {ids:?}");
    let id = ids.first().expect("one image");
    let said = &json(wiac_on(place, data, ["inspect", id]))[0];
    assert_eq!(said["RootFS"]["Layers"], serde_json::json!(rich.diff_ids), "{what}");
    assert_eq!(said["Config"]["Env"][1], "WHO=hand", "{what}");
    assert_eq!(said["Config"]["Labels"]["made"], "by hand", "{what}");
    assert_same(what, &below_root(expected), &below_root(&shown(place, data, id)));
    wiac_on(place, data, ["run", id]).succeeds().mentions("ann:x:1000");
    assert_whole(place, data);
    (*id).to_owned()
}

#[test]
fn skopeo_and_umoci() {
    let place = Place::root();
    let rich = rich::layout(&place, "rich");
    // umoci unpacks as the specification says: what it shows is what everybody has to show.
    umoci(&place)
        .args(["unpack", "--image", "rich:rich", "unpacked"])
        .succeeds();
    let expected = listing(&place, &place.path("unpacked/rootfs"));
    load_and_compare(&place, &rich, &expected, "rich");
    for (target, options) in [
        ("oci-archive:by-skopeo.oci:localhost/rich:1", &[][..]),
        ("docker-archive:by-skopeo.tar:localhost/rich:1", &[]),
        ("oci:by-skopeo-zstd:rich", &["--dest-compress-format=zstd"]),
        ("dir:by-skopeo-dir", &[]),
    ] {
        skopeo(&place)
            .arg("copy")
            .args(options)
            .args(["oci:rich:rich", target])
            .succeeds();
        let file = target.split(':').nth(1).expect("a file");
        load_and_compare(&place, &rich, &expected, file);
    }
    let manifests = place.read("by-skopeo-zstd/index.json");
    assert!(manifests.contains("rich"), "{manifests}");
    for (command, file) in [
        ("gzip -1kc by-skopeo.tar", "outer.tar.gz"),
        ("xz -0kc by-skopeo.oci", "outer.tar.xz"),
        ("zstd -1qc by-skopeo.oci", "outer.tar.zst"),
        ("bzip2 -1kc by-skopeo.tar", "outer.tar.bz2"),
    ] {
        place.host(&format!("{command} >{file}")).succeeds();
        let data = format!("data-{file}");
        let script = format!("cat {file} | \"$@\"");
        let piped = place.command("/bin/bash".as_ref()).args(["-euc", &script, "bash"]);
        piped
            .arg(crate::harness::tools::wiac())
            .arg("load")
            .env("WIAC_DATA", place.path(&data))
            .succeeds();
        assert_eq!(compare(&place, &rich, &expected, &data, file), rich.id);
    }
    // umoci's own: a layer of its making on top.
    place.write("added", "by umoci\n");
    umoci(&place)
        .args(["insert", "--image", "rich:rich", "--tag", "more", "added", "/added"])
        .succeeds();
    let loaded = wiac_on(&place, "data-rich", ["load", "-q", "-i", "rich"]).succeeds();
    let [first, second] = loaded.lines()[..] else {
        panic!("two images are in it: {loaded:?}")
    };
    assert_eq!(format!("sha256:{first}"), rich.id);
    wiac_on(&place, "data-rich", ["run", second, "cat", "/added"])
        .succeeds()
        .says("by umoci");
}

#[test]
fn podman_and_buildah() {
    let place = Place::root();
    let _unmounted = Unmounted(&place);
    let rich = rich::layout(&place, "rich");
    let expected = shown_by_podman(&place, &rich);
    for (format, file) in [
        ("docker-archive", "by-podman.tar"),
        ("oci-archive", "by-podman.oci"),
        ("oci-dir", "by-podman"),
        ("docker-dir", "by-podman-docker"),
    ] {
        podman(&place)
            .args(["save", "-q", "--format", format, "-o", file, "localhost/rich:1"])
            .succeeds();
        load_and_compare(&place, &rich, &expected, file);
    }
    // Several images, several names, one file.
    podman(&place)
        .args(["tag", "localhost/rich:1", "example.org/team/other:2"])
        .succeeds();
    let container = buildah(&place).args(["from", "localhost/rich:1"]).succeeds();
    buildah(&place)
        .args(["config", "--label", "more=yes", container.text()])
        .succeeds();
    buildah(&place)
        .args(["commit", "-q", container.text(), "localhost/more:1"])
        .succeeds();
    let names = ["localhost/rich:1", "example.org/team/other:2", "localhost/more:1"];
    podman(&place)
        .args(["save", "-q", "-m", "-o", "several.tar"])
        .args(names)
        .succeeds();
    let loaded = wiac_on(&place, "data-several", ["load", "-i", "several.tar"]).succeeds();
    for name in names {
        loaded
            .stdout
            .lines()
            .find(|line| line.ends_with(name))
            .unwrap_or_else(|| panic!("{name} in {loaded:?}"));
        wiac_on(&place, "data-several", ["run", name])
            .succeeds()
            .mentions("ann:x:1000");
    }
    let label = wiac_on(
        &place,
        "data-several",
        ["inspect", "-f", "{{.Config.Labels.more}}", names[2]],
    );
    label.succeeds().says("yes");
    // buildah's own way out.
    buildah(&place)
        .args(["push", "-q", "localhost/more:1", "oci:by-buildah:more"])
        .succeeds();
    wiac_on(&place, "data-buildah", ["load", "-i", "by-buildah", "-t", "more"]).succeeds();
    let ours = shown(&place, "data-buildah", "more");
    assert_same("buildah", &below_root(&expected), &below_root(&ours));
}

/// What podman shows of the image after it has loaded it.
fn shown_by_podman(place: &Place, rich: &Rich) -> String {
    let loaded = skopeo(place).args(["copy", "-q", "oci:rich:rich"]).arg(format!(
        "containers-storage:[overlay@{}+{}]localhost/rich:1",
        place.shown("store"),
        place.shown("run")
    ));
    loaded.succeeds();
    let id = podman(place)
        .args(["image", "inspect", "--format={{.Id}}", "localhost/rich:1"])
        .succeeds();
    assert_eq!(format!("sha256:{}", id.text()), rich.id);
    let mounted = podman(place).args(["image", "mount", "localhost/rich:1"]).succeeds();
    let expected = listing(place, mounted.text().as_ref());
    podman(place).args(["image", "unmount", "localhost/rich:1"]).succeeds();
    expected
}

#[test]
fn docker() {
    let place = Place::root();
    let rich = rich::layout(&place, "rich");
    skopeo(&place)
        .args(["copy", "-q", "oci:rich:rich", "docker-archive:rich.tar:rich:1"])
        .succeeds();
    let docker = Docker::start(&place);
    docker.call(["load", "-q", "-i", "rich.tar"]).succeeds();
    let id = docker
        .call(["image", "inspect", "--format={{.Id}}", "rich:1"])
        .succeeds();
    assert_eq!(id.text(), rich.id);
    let expected = rich::merged(&place, &docker.directories("rich:1"));
    docker.call(["tag", "rich:1", "example.org/team/other:2"]).succeeds();
    docker
        .call(["save", "-o", "by-docker.tar", "rich:1", "example.org/team/other:2"])
        .succeeds();
    load_and_compare(&place, &rich, &expected, "by-docker.tar");
}
