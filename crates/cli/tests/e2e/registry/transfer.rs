//! `wiac transfer`: from any place to any other, with the manifest's digest kept where the bytes are.

use super::debian::Registry;
use super::{assert_whole, digest_of, wiac_on};
use crate::harness::{Place, as_users};
use crate::transfer::peers;

as_users!(an_image_goes_round_all_places: root, user);
fn an_image_goes_round_all_places(place: &Place) {
    let registry = Registry::start();
    place.image("app", "RUN echo here >/here\nCMD [\"cat\", \"/here\"]");
    let remote = |name: &str| format!("docker://{}", registry.name(name));
    place.wiac(["transfer", "app", &remote("one")]).succeeds();
    let digest = digest_of(place, &registry.name("one"));
    let via = |from: &str, to: &str| wiac_on(place, "via", ["transfer", "-q", from, to]).succeeds();
    // The bytes stay: each place gives the same manifest to the next.
    via(&remote("one"), "oci:layout");
    via("oci:layout", &remote("two"));
    via(&remote("two"), "oci-archive:archive.tar");
    via("oci-archive:archive.tar", &remote("three"));
    via(&remote("three"), &remote("four"));
    for name in ["two", "three", "four"] {
        assert_eq!(digest_of(place, &registry.name(name)), digest, "{name}");
    }
    via(&remote("four"), "docker-archive:docker.tar");
    via("docker-archive:docker.tar", &remote("five"));
    wiac_on(place, "other", ["run", "--rm", &registry.name("five")])
        .succeeds()
        .says("here");
    // Nothing of it stays but what was given a name.
    assert_eq!(wiac_on(place, "via", ["images", "-q"]).succeeds().text(), "");
    via(&remote("four"), "kept:1");
    wiac_on(place, "via", ["run", "--rm", "kept:1"]).succeeds().says("here");
    via("kept:1", "again:1");
    wiac_on(place, "via", ["run", "--rm", "again:1"])
        .succeeds()
        .says("here");
    for data in ["data", "via", "other"] {
        // What passed through goes with the next sweep.
        wiac_on(place, data, ["prune", "-f"]).succeeds();
        assert_whole(place, data);
    }
}

#[test]
fn other_tools_images_go_out_and_never_in() {
    let (place, registry) = (Place::root(), Registry::start());
    place.image("app", "CMD [\"echo\", \"here\"]");
    place.wiac(["push", "-q", "app", &registry.name("app")]).succeeds();
    let _unmounted = peers::Unmounted(&place);
    let name = registry.name("app");
    peers::podman(&place)
        .args(["pull", "-q", "--tls-verify=false", &name])
        .succeeds();
    let store = format!(
        "containers-storage:[overlay@{}+{}]{name}",
        place.shown("store"),
        place.shown("run")
    );
    let out = format!("docker://{}", registry.name("out"));
    wiac_on(&place, "other", ["transfer", &store, &out]).succeeds();
    wiac_on(&place, "other", ["run", "--rm", &registry.name("out")])
        .succeeds()
        .says("here");
    wiac_on(&place, "other", ["transfer", &store, "mine:1"]).succeeds();
    wiac_on(&place, "other", ["run", "--rm", "mine:1"])
        .succeeds()
        .says("here");
    wiac_on(&place, "other", ["transfer", "mine:1", &store])
        .fails(125)
        .complains(&["never writes to another tool's store"]);
    wiac_on(&place, "other", ["prune", "-f"]).succeeds();
    assert_whole(&place, "other");
}

#[test]
fn an_index_of_the_store_goes_whole() {
    let (place, registry) = (Place::root(), Registry::start());
    place.write("context/file", "x");
    place
        .build(
            "context",
            "FROM scratch\nARG TARGETPLATFORM\nLABEL on=$TARGETPLATFORM\nCOPY file /\n",
        )
        .args(["--platform", "linux/arm64,linux/amd64", "-t", "both", "--iidfile", "id"])
        .succeeds();
    let name = registry.name("both");
    place
        .wiac(["transfer", "-q", "both", &format!("docker://{name}")])
        .succeeds();
    assert_eq!(digest_of(&place, &name), place.read("id"));
    for architecture in ["arm64", "amd64"] {
        let script =
            format!("skopeo inspect --tls-verify=false --override-arch {architecture} --config docker://{name}");
        place
            .host(&script)
            .succeeds()
            .mentions(&format!("linux/{architecture}"));
    }
}
