//! What wiac pushes others read, and what they push wiac reads: skopeo, podman, docker, umoci.

use super::debian::Registry;
use super::{assert_whole, digest_of, wiac_on};
use crate::harness::Place;
use crate::transfer::peers;

/// An image with a deletion and an opaque directory.
fn published(place: &Place, registry: &Registry) -> String {
    let steps = "RUN mkdir /d && echo a >/d/a && echo gone >/gone\nRUN rm -r /gone /d && mkdir /d && echo b >/d/b\n\
        CMD [\"sh\", \"-c\", \"ls /d; cat /d/b; ls /gone 2>/dev/null; echo end\"]";
    place.image("app", steps);
    let name = registry.name("app:1");
    place.wiac(["push", "-q", "app", &name]).succeeds();
    name
}

const SAID: &str = "b\nb\nend";

#[test]
fn skopeo_and_umoci_read_what_was_pushed() {
    let (place, registry) = (Place::root(), Registry::start());
    let name = published(&place, &registry);
    let copy = peers::skopeo(&place).args(["copy", "--src-tls-verify=false", "-q"]);
    copy.args([format!("docker://{name}"), "oci:layout:1".to_owned()])
        .succeeds();
    peers::umoci(&place)
        .args(["unpack", "--image", "layout:1", "bundle"])
        .succeeds();
    place
        .host("cd bundle/rootfs && ls d && test ! -e gone")
        .succeeds()
        .says("b");
    // Back by skopeo, as docker's kind of manifest too.
    for format in ["oci", "v2s2"] {
        let back = registry.name(&format!("back:{format}"));
        let copy = peers::skopeo(&place).args(["copy", "-q", "--dest-tls-verify=false", "--format", format]);
        copy.args(["oci:layout:1", &format!("docker://{back}")]).succeeds();
        wiac_on(&place, format, ["run", "--rm", &back]).succeeds().says(SAID);
        // What came in as it is goes out as it is.
        let out = registry.name(&format!("out:{format}"));
        wiac_on(&place, format, ["push", "-q", &back, &out]).succeeds();
        assert_eq!(digest_of(&place, &out), digest_of(&place, &back));
        assert_whole(&place, format);
    }
}

#[test]
fn podman_runs_what_was_pushed_and_wiac_what_podman_pushes() {
    let (place, registry) = (Place::root(), Registry::start());
    let name = published(&place, &registry);
    let _unmounted = peers::Unmounted(&place);
    let podman = |arguments: &[&str]| peers::podman(&place).args(arguments).succeeds();
    podman(&["pull", "-q", "--tls-verify=false", &name]);
    podman(&["run", "--rm", "--network=none", "--cgroups=disabled", &name]).says(SAID);
    // What podman packs itself, with each compression it has.
    for compression in ["gzip", "zstd"] {
        let (made, back) = (
            format!("made-{compression}"),
            registry.name(&format!("podman:{compression}")),
        );
        podman(&[
            "run",
            "--network=none",
            "--cgroups=disabled",
            "--name",
            &made,
            &name,
            "sh",
            "-c",
            "echo b >/d/b",
        ]);
        podman(&["commit", "-q", &made, &made]);
        podman(&[
            "push",
            "-q",
            "--tls-verify=false",
            "--compression-format",
            compression,
            &made,
            &back,
        ]);
        wiac_on(&place, "other", ["run", "--rm", &back, "cat", "/d/b"])
            .succeeds()
            .says("b");
    }
    assert_whole(&place, "other");
}

#[test]
fn docker_runs_what_was_pushed_and_wiac_what_docker_pushes() {
    let (place, registry) = (Place::root(), Registry::start());
    let name = published(&place, &registry);
    let docker = peers::Docker::start(&place);
    docker.call(["pull", "-q", &name]).succeeds();
    docker
        .call(["run", "--rm", "--network=none", &name])
        .succeeds()
        .says(SAID);
    // Under docker's own kind of manifest, too: it has all the layers by now.
    let older = registry.name("app:v2s2");
    place.wiac(["push", "-q", "--format", "v2s2", "app", &older]).succeeds();
    let pulled = docker.call(["pull", &older]).succeeds();
    pulled.mentions(&digest_of(&place, &older));
    let back = registry.name("docker:1");
    docker.call(["tag", &name, &back]).succeeds();
    docker.call(["push", "-q", &back]).succeeds();
    wiac_on(&place, "other", ["run", "--rm", &back]).succeeds().says(SAID);
    assert_whole(&place, "other");
}
