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

/// An image for two platforms, as `both`; gives its index's digest.
fn both(place: &Place) -> String {
    place.write("context/file", "x");
    let dockerfile = "FROM scratch\nARG TARGETPLATFORM\nLABEL on=$TARGETPLATFORM\nCOPY file /\n";
    place
        .build("context", dockerfile)
        .args(["--platform", "linux/arm64,linux/amd64", "-t", "both", "--iidfile", "id"])
        .succeeds();
    place.read("id")
}

#[test]
fn one_platform_of_an_index_of_the_store() {
    let (place, registry) = (Place::root(), Registry::start());
    both(&place);
    let config = |image: &str| {
        let script = format!("skopeo inspect --tls-verify=false --config {image}");
        super::json(place.host(&script))["config"]["Labels"]["on"].clone()
    };
    let one = registry.name("one");
    let arm = ["--platform", "linux/arm64"];
    let said = |arguments: &[&str]| place.wiac(arguments).args(arm);
    said(&["transfer", "-q", "both", &format!("docker://{one}")]).succeeds();
    assert_eq!(config(&format!("docker://{one}")), "linux/arm64");
    said(&["transfer", "-q", "both", "oci:layout:arm"]).succeeds();
    assert_eq!(config("oci:layout:arm"), "linux/arm64");
    said(&["push", "-q", "both", &registry.name("two")]).succeeds();
    assert_eq!(config(&format!("docker://{}", registry.name("two"))), "linux/arm64");
    said(&["save", "both", "-o", "saved", "--format", "oci-dir"]).succeeds();
    assert_eq!(config("oci:saved"), "linux/arm64");
    said(&["transfer", "both", "arm:1"]).succeeds();
    place
        .wiac(["inspect", "-f", "{{.Architecture}}", "arm:1"])
        .succeeds()
        .says("arm64");
    place
        .wiac(["transfer", "--platform", "linux/s390x", "both", "oci:layout"])
        .fails(1)
        .complains(&["linux/s390x", "only for linux/amd64, linux/arm64"]);
    // Without it, to another name of the store too, it stays an index.
    place.wiac(["transfer", "both", "again:1"]).succeeds();
    place
        .wiac([
            "transfer",
            "-q",
            "again:1",
            &format!("docker://{}", registry.name("again")),
        ])
        .succeeds();
    assert_eq!(digest_of(&place, &registry.name("again")), place.read("id"));
    assert_whole(&place, "data");
}

#[test]
fn all_platforms_go_byte_for_byte() {
    let (place, registry) = (Place::root(), Registry::start());
    let id = both(&place);
    let remote = |name: &str| format!("docker://{}", registry.name(name));
    place.wiac(["push", "-q", "both", &registry.name("both")]).succeeds();
    let all = |from: &str, to: &str| wiac_on(&place, "via", ["transfer", "-q", "--all", from, to]);
    all(&remote("both"), &remote("other/two:2")).succeeds();
    all(&remote("other/two:2"), "oci:layout:here").succeeds();
    all("oci:layout:here", "oci-archive:archive.tar").succeeds();
    all("oci-archive:archive.tar", &remote("three")).succeeds();
    for name in ["other/two:2", "three"] {
        assert_eq!(digest_of(&place, &registry.name(name)), id, "{name}");
    }
    place.host("skopeo copy -q --all oci:layout:here dir:copied").succeeds();
    assert_eq!(wiac_on(&place, "via", ["images", "-q"]).succeeds().text(), "");
    all(&remote("three"), "mine:1").fails(125).complains(&["one platform"]);
    all(&remote("three"), "docker-archive:x.tar")
        .fails(1)
        .complains(&["oci-archive:"]);
    all("docker-archive:x.tar", &remote("x")).fails(1);
    assert!(!place.has("x.tar"));
    wiac_on(
        &place,
        "via",
        ["pull", "-q", "--platform", "linux/arm64", &registry.name("three")],
    )
    .succeeds();
    assert_whole(&place, "via");
}

#[test]
fn images_of_a_layout_have_names() {
    let (place, registry) = (Place::root(), Registry::start());
    place.image("app", "CMD [\"echo\", \"one\"]");
    place.image("two", "CMD [\"echo\", \"two\"]");
    let wiac = |from: &str, to: &str| place.wiac(["transfer", "-q", from, to]);
    wiac("app", "oci:layout:v1").succeeds();
    wiac("two", "oci:layout:v2").succeeds();
    // The name goes to what comes last.
    wiac("app", "oci:layout:v3").succeeds();
    wiac("two", "oci:layout:v3").succeeds();
    let script =
        "skopeo copy -q oci:layout:v2 oci:theirs:mine && skopeo copy -q oci:layout:v1 oci:theirs:r.example/a/b:1";
    place.host(script).succeeds();
    for (from, word) in [
        ("oci:layout:v1", "one"),
        ("oci:layout:v3", "two"),
        ("oci:theirs:mine", "two"),
        ("oci:theirs:r.example/a/b:1", "one"),
    ] {
        wiac(from, "taken:1").succeeds();
        place.wiac(["run", "taken:1"]).succeeds().says(word);
    }
    wiac("oci:layout", "taken:1")
        .fails(1)
        .complains(&["3 images", "layout:NAME"]);
    wiac("oci:layout:v9", "taken:1")
        .fails(1)
        .complains(&["\"v9\"", "\"v1\""]);
    wiac("app", "docker-archive:archive.tar:r.example/app:7").succeeds();
    place
        .host("tar -xOf archive.tar manifest.json")
        .succeeds()
        .mentions("r.example/app:7");
    wiac(
        "docker-archive:archive.tar:r.example/app:7",
        &format!("docker://{}", registry.name("x")),
    )
    .succeeds();
    wiac("docker-archive:archive.tar:r.example/app:8", "taken:1")
        .fails(1)
        .complains(&["r.example/app:8"]);
    place.host("skopeo copy -q oci:layout:v1 dir:flat").succeeds();
    wiac("dir:flat", "taken:1").succeeds();
    place.wiac(["run", "taken:1"]).succeeds().says("one");
    for (from, to, words) in [
        ("app", "dir:x", "oci:DIR"),
        ("docker-daemon:app:1", "x", "docker-storage:NAME"),
        ("app", "docker-daemon:app:1", "docker load"),
        ("ostree:x", "y", "--help"),
    ] {
        wiac(from, to).fails(125).complains(&[words]);
    }
    assert_whole(&place, "data");
}

#[test]
fn nothing_is_sent_under_the_digest_of_something_else() {
    let (place, registry) = (Place::root(), Registry::start());
    place.image("app", "CMD [\"echo\", \"here\"]");
    let remote = |name: &str| format!("docker://{}", registry.name(name));
    place.wiac(["transfer", "-q", "app", &remote("one")]).succeeds();
    let digest = digest_of(&place, &registry.name("one"));
    let other = format!("sha256:{}", "0".repeat(64));
    let with = |name: &str, digest: &str| format!("{name}@{digest}");
    wiac_on(&place, "via", ["transfer", &remote("one"), &with("x", &other)])
        .fails(125)
        .complains(&[&other, &digest]);
    for source in ["app", "oci:layout"] {
        place.wiac(["transfer", "app", "oci:layout"]).succeeds();
        place
            .wiac(["transfer", source, &with("x", &other)])
            .fails(125)
            .complains(&["name a tag"]);
    }
    for arguments in [
        ["transfer", "app", &with(&remote("two"), &other)],
        ["push", "app", &with(&registry.name("two"), &other)],
    ] {
        place.wiac(arguments).fails(125).complains(&[&other, &digest]);
    }
    place.wiac(["tags", &registry.name("two")]).fails(1);
    assert_eq!(wiac_on(&place, "via", ["images", "-aq"]).succeeds().text(), "");
    // What has the digest is called by it.
    wiac_on(&place, "via", ["transfer", "-q", &remote("one"), &with("x:1", &digest)]).succeeds();
    wiac_on(&place, "via", ["run", &with("x", &digest)])
        .succeeds()
        .says("here");
    place
        .wiac(["push", "-q", "app", &with(&registry.name("two"), &digest)])
        .succeeds();
    assert_whole(&place, "via");
}

#[test]
fn a_password_is_for_one_side_alone() {
    let (place, registry, other) = (Place::root(), Registry::start(), Registry::with_user("ann", "w0rd"));
    place.image("app", "");
    let (from, to) = (
        format!("docker://{}", registry.name("a")),
        format!("docker://{}", other.name("a")),
    );
    let transfer = |from: &str, to: &str, more: &[&str]| {
        let call = place.wiac(["transfer", "-q", from, to]).args(more);
        call.env("REGISTRY_AUTH_FILE", place.path("none.json"))
    };
    transfer("app", &from, &[]).succeeds();
    transfer(&from, &to, &["--creds", "ann:w0rd"])
        .fails(125)
        .complains(&["--src-creds or --dest-creds"]);
    transfer(&from, &to, &["--src-creds", "ann:w0rd"])
        .fails(1)
        .complains(&["wiac login"]);
    transfer(&from, &to, &["--dest-creds", "ann:w0rd"]).succeeds();
    transfer(&to, &from, &["--src-creds", "ann:w0rd"]).succeeds();
    transfer(&to, "kept:1", &["--creds", "ann:w0rd"]).succeeds();
    transfer(&from, &to, &["--src-tls-verify=false"])
        .fails(125)
        .complains(&["--src-tls-verify isn't there: write --tls-verify=false"]);
}
