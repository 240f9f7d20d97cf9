//! `wiac pull`: what comes, what isn't fetched again, and under which names it is found afterwards.

use super::debian::Registry;
use super::{assert_whole, digest_of, json, large_image, wiac_on};
use crate::harness::{Place, as_users};
use crate::transfer::peers;

as_users!(an_image_comes_back_as_it_went: root, user, single);
fn an_image_comes_back_as_it_went(place: &Place) {
    let registry = Registry::start();
    let name = registry.name("app:1");
    place.image(
        "app",
        "RUN echo one >/one\nRUN rm /one; echo two >/two\nCMD [\"cat\", \"/two\"]",
    );
    place.wiac(["tag", "app", &name]).succeeds();
    let id = place.wiac(["images", "-q", "--no-trunc", "app"]).succeeds();
    let digest = place.wiac(["push", "-q", &name]).succeeds();
    assert_eq!(digest.text(), digest_of(place, &name));
    let pulled = wiac_on(place, "other", ["pull", &name]).succeeds();
    let pulled = pulled.complains(&[&format!("{name}: {}", digest.text())]);
    assert!(!pulled.text().is_empty() && !id.text().is_empty());
    wiac_on(place, "other", ["run", &name]).succeeds().says("two");
    // By tag, by digest, by both, and by id.
    let by_digest = format!("{}@{}", registry.name("app"), digest.text());
    let by_both = format!("{name}@{}", digest.text());
    for written in [&by_digest, &by_both, pulled.text()] {
        let run = wiac_on(place, "other", ["run", "--pull=never", written, "cat", "/two"]);
        run.succeeds().says("two");
    }
    // Elsewhere it has the same digest, byte for byte.
    let copy = registry.name("copies/app:2");
    let pushed = wiac_on(place, "other", ["push", "-q", &name, &copy]).succeeds();
    assert_eq!(pushed.text(), digest.text());
    assert_eq!(digest_of(place, &copy), digest.text());
    for data in ["data", "other"] {
        assert_whole(place, data);
    }
}

#[test]
fn layers_that_are_here_stay_there() {
    let (place, registry) = (Place::root(), Registry::start());
    let (first, second) = (registry.name("first"), registry.name("second"));
    large_image(&place, "base", 2, 100_000);
    place
        .build("more", "FROM base\nRUN echo more >/more\n")
        .args(["-t", "more"])
        .succeeds();
    place.wiac(["push", "-q", "base", &first]).succeeds();
    place.wiac(["push", "-q", "more", &second]).succeeds();
    wiac_on(&place, "other", ["pull", "-q", &first]).succeeds();
    let before = registry.requests("GET", "/v2/second/blobs/", 200).len();
    assert_eq!(before, 0);
    wiac_on(&place, "other", ["pull", &second])
        .succeeds()
        .complains(&["3 layers were here"]);
    let fetched = registry.requests("GET", "/v2/second/blobs/", 200);
    assert_eq!(
        fetched.len(),
        2,
        "the configuration and the layer that is new: {fetched:?}"
    );
    // Nothing at all where everything is here, also under another name.
    let before = registry.fetched();
    wiac_on(&place, "other", ["pull", &second]).succeeds();
    assert_eq!(registry.fetched(), before);
    assert_whole(&place, "other");
}

#[test]
fn an_image_for_several_platforms_is_one_of_them_here() {
    let (place, registry) = (Place::root(), Registry::start());
    for word in ["amd64", "arm64"] {
        place.write(&format!("{word}/word"), word);
        let build = place.build(word, &format!("FROM scratch\nCOPY word /word\nLABEL made-for={word}\n"));
        build.args(["-t", word]).succeeds();
        place
            .wiac(["push", "-q", word, &registry.name(&format!("app:{word}"))])
            .succeeds();
    }
    let _unmounted = peers::Unmounted(&place);
    let podman = |arguments: &[&str]| peers::podman(&place).args(arguments).succeeds();
    let index = registry.name("app:both");
    podman(&["manifest", "create", "both"]);
    for word in ["amd64", "arm64"] {
        let name = format!("docker://{}", registry.name(&format!("app:{word}")));
        podman(&[
            "manifest",
            "add",
            "--tls-verify=false",
            "--os=linux",
            "--arch",
            word,
            "both",
            &name,
        ]);
    }
    podman(&[
        "manifest",
        "push",
        "--tls-verify=false",
        "both",
        &format!("docker://{index}"),
    ]);
    let made_for = |data: &str, name: &str| {
        let inspected = json(wiac_on(&place, data, ["inspect", name]));
        inspected[0]["Config"]["Labels"]["made-for"]
            .as_str()
            .expect("a label")
            .to_owned()
    };
    let host = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    place.wiac(["pull", &index]).succeeds();
    assert_eq!(made_for("data", &index), host);
    for other in ["arm64", "amd64"] {
        place
            .wiac(["pull", "--platform", &format!("linux/{other}"), &index])
            .succeeds();
        assert_eq!(made_for("data", &index), other);
    }
    place
        .wiac(["pull", "--platform=linux/s390x", &index])
        .fails(1)
        .complains(&["linux/s390x", "linux/amd64", "linux/arm64"]);
    // By the index's digest, and found by it afterwards.
    let by_digest = format!("{}@{}", registry.name("app"), digest_of(&place, &index));
    wiac_on(&place, "other", ["pull", &by_digest]).succeeds();
    assert_eq!(made_for("other", &by_digest), host);
    assert_whole(&place, "data");
    assert_whole(&place, "other");
}

#[test]
fn what_there_is_none_of_is_said() {
    let (place, registry) = (Place::root(), Registry::start());
    let name = registry.name("no/such:tag");
    place
        .wiac(["pull", &name])
        .fails(1)
        .complains(&[&registry.authority(), "no/such:tag"]);
    // Nobody listens there.
    let gone = registry.name("app");
    drop(registry);
    place.wiac(["pull", &gone]).fails(1).complains(&["can't reach"]);
    place
        .wiac(["run", &gone])
        .fails(125)
        .complains(&["can't be pulled", "can't reach"]);
    assert_whole(&place, "data");
}

#[test]
fn short_names_mean_the_same_here_as_there() {
    let (place, registry) = (Place::root(), Registry::start());
    place.image("app", "CMD [\"echo\", \"here\"]");
    place.wiac(["push", "-q", "app", &registry.name("team/app")]).succeeds();
    place.wiac(["push", "-q", "app", &registry.name("found")]).succeeds();
    let text = format!(
        "unqualified-search-registries = [\"{}\"]\n[aliases]\n\"short\" = \"{}\"\n",
        registry.authority(),
        registry.name("team/app")
    );
    place.write("registries.conf", text);
    let wiac = |arguments: &[&str]| {
        wiac_on(&place, "other", arguments.iter().copied())
            .env("CONTAINERS_REGISTRIES_CONF", place.path("registries.conf"))
    };
    for name in ["short", "found:latest"] {
        wiac(&["pull", "-q", name]).succeeds();
        wiac(&["run", "--pull=never", name]).succeeds().says("here");
        wiac(&["inspect", name]).succeeds().mentions(&registry.authority());
        wiac(&["tag", name, "docker.io/library/kept:1"]).succeeds();
        wiac(&["push", name]).succeeds().mentions(&registry.authority());
    }
    // What is written out is meant as it stands, as skopeo and podman have it.
    let whole = format!("docker://{}", registry.name("found"));
    wiac(&["pull", "-q", &whole]).succeeds();
    wiac(&["run", &whole]).succeeds().says("here");
    wiac(&["tags", &whole]).succeeds().says("latest");
    wiac(&["rmi", "-f", "short"]).succeeds();
    wiac(&["run", "--pull=never", "other-short"])
        .fails(125)
        .complains(&["other-short"]);
}

#[test]
fn a_digest_is_no_tag() {
    let (place, registry) = (Place::root(), Registry::start());
    let (repository, tag) = (registry.name("app"), registry.name("app:1"));
    let publish = |word: &str| {
        place.image(word, &format!("CMD [\"echo\", \"{word}\"]"));
        place.wiac(["push", "-q", word, &tag]).succeeds();
        digest_of(&place, &tag)
    };
    let old = publish("old");
    let both = format!("{tag}@{old}");
    let wiac = |arguments: &[&str]| wiac_on(&place, "other", arguments.iter().copied());
    wiac(&["pull", "-q", &both]).succeeds();
    wiac(&["run", "--pull=never", &both]).succeeds().says("old");
    // The tag isn't claimed: who asks for it gets what it means now, and what it means is pushed under it alone.
    let inspected = json(wiac(&["inspect", &both]));
    assert_eq!(inspected[0]["RepoTags"], serde_json::json!([]));
    assert_eq!(
        inspected[0]["RepoDigests"],
        serde_json::json!([format!("{repository}@{old}")])
    );
    let new = publish("new");
    wiac(&["run", &tag]).succeeds().says("new");
    wiac(&["push", "--all-tags", &repository]).succeeds();
    assert_eq!(digest_of(&place, &tag), new);
    wiac(&["tag", &both, "kept:1"]).succeeds();
    // Each name can be taken away by itself.
    wiac(&["rmi", &format!("{repository}@{old}")])
        .succeeds()
        .mentions("Untagged: ");
    wiac(&["run", "kept:1"]).succeeds().says("old");
    let id = wiac(&["images", "-q", "kept:1"]).succeeds();
    wiac(&["push", id.text()]).fails(125).complains(&["an id, not a name"]);
}
