//! `wiac push`: its own name or another, nothing twice, blobs of other repositories mounted.

use super::debian::Registry;
use super::{assert_whole, digest_of, json, large_image, wiac_on};
use crate::harness::Place;
use crate::transfer::peers;

#[test]
fn nothing_is_sent_twice() {
    let (place, registry) = (Place::root(), Registry::start());
    large_image(&place, "app", 2, 50_000);
    let (one, two) = (registry.name("one:1"), registry.name("two:1"));
    let first = place.wiac(["push", "app", &one]).succeeds().mentions("digest: sha256:");
    assert_eq!(registry.received(), 4, "3 layers and the configuration");
    place.wiac(["push", "app", &one]).succeeds().says(&first.stdout.clone());
    place.wiac(["push", "-q", "app", &registry.name("one:2")]).succeeds();
    assert_eq!(registry.received(), 4);
    // Another repository takes the layers from the first, which the name's record tells of.
    place.wiac(["tag", "app", &one]).succeeds();
    place.wiac(["push", "-q", &one]).succeeds();
    place.wiac(["push", "app", &two]).succeeds();
    let mounted = registry.requests("POST", "/v2/two/blobs/uploads/?", 201);
    assert_eq!(mounted.len(), 3, "{mounted:?}");
    assert_eq!(registry.received(), 5, "the configuration alone");
    assert_eq!(digest_of(&place, &one), digest_of(&place, &two));
    wiac_on(&place, "other", ["pull", "-q", &two]).succeeds();
    wiac_on(
        &place,
        "other",
        ["run", "--rm", &two, "stat", "-c", "%s", "/parts/part1"],
    )
    .succeeds()
    .says("50000");
    assert_whole(&place, "data");
}

#[test]
fn compression_is_a_matter_of_choice() {
    let (place, registry) = (Place::root(), Registry::start());
    place.image("app", "");
    for (how, media_type) in [("gzip", "tar+gzip"), ("zstd", "tar+zstd")] {
        let name = registry.name(how);
        let file = place.shown("digest");
        let push = ["push", "--compression", how, "--digestfile", &file, "app", &name];
        place.wiac(push).succeeds();
        assert_eq!(place.read("digest"), digest_of(&place, &name));
        let manifest = json(place.wiac(["manifest", "inspect", &name]));
        let found = manifest["layers"][0]["mediaType"].as_str().expect("text");
        assert!(found.ends_with(media_type), "{manifest:#}");
        wiac_on(&place, how, ["run", "--rm", &name, "echo", "here"])
            .succeeds()
            .says("here");
        assert_whole(&place, how);
    }
}

#[test]
fn a_registry_says_what_it_has() {
    let (place, registry) = (Place::root(), Registry::start());
    place.image("app", "");
    for name in ["app:1", "app:2", "team/app:latest", "team/tool:1"] {
        place.wiac(["push", "-q", "app", &registry.name(name)]).succeeds();
    }
    place.wiac(["tags", &registry.name("app")]).succeeds().says("1\n2");
    let tags = json(place.wiac(["tags", "--format", "json", &registry.name("app")]));
    assert_eq!(tags["Tags"], serde_json::json!(["1", "2"]), "{tags:#}");
    let all = format!(
        "{}\n{}\n{}",
        registry.name("app"),
        registry.name("team/app"),
        registry.name("team/tool")
    );
    place.wiac(["search", &registry.authority()]).succeeds().says(&all);
    let some = format!("{}\n{}", registry.name("app"), registry.name("team/app"));
    place.wiac(["search", &registry.name("app")]).succeeds().says(&some);
    place
        .wiac(["search", "app"])
        .fails(125)
        .complains(&["name the registry first"]);
    place
        .wiac(["tags", &registry.name("none")])
        .fails(1)
        .complains(&["none"]);
    let raw = place
        .wiac(["manifest", "inspect", "--raw", &registry.name("app:1")])
        .succeeds();
    assert_eq!(
        place
            .host("sha256sum | cut -d' ' -f1")
            .stdin(&raw.stdout)
            .succeeds()
            .text(),
        digest_of(&place, &registry.name("app:1")).trim_start_matches("sha256:")
    );
}

#[test]
fn what_cannot_be_pushed_is_said() {
    let (place, registry) = (Place::root(), Registry::start());
    place
        .wiac(["push", "none", &registry.name("none")])
        .fails(1)
        .complains(&["none"]);
    place.image("app", "");
    let id = place.wiac(["images", "-q", "app"]).succeeds();
    place
        .wiac(["push", &format!("{}:x:y", id.text())])
        .fails(125)
        .complains(&["say where to push it"]);
    let gone = registry.name("app");
    place
        .wiac(["push", "--format", "v2s2", "--compression", "zstd", "app", &gone])
        .fails(125)
        .complains(&["no layers compressed with zstd", "leave --format v2s2"]);
    place
        .wiac(["transfer", "--format", "v2s2", "app", "oci:layout"])
        .fails(125)
        .complains(&["--format", "registries"]);
    place.wiac(["push", "--format", "oci", "app", &gone]).succeeds();
    drop(registry);
    place.wiac(["push", "app", &gone]).fails(1).complains(&["can't reach"]);
    assert_whole(&place, "data");
}

#[test]
fn an_index_with_all_its_images() {
    let (place, registry) = (Place::root(), Registry::start());
    let name = registry.name("both:1");
    place
        .build(
            "context",
            "FROM scratch\nARG TARGETARCH\nCOPY <<EOF /arch\n$TARGETARCH\nEOF\n",
        )
        .args([
            "--platform",
            "linux/amd64,linux/arm64",
            "--annotation",
            "index:a=b",
            "-t",
            &name,
        ])
        .succeeds();
    place.wiac(["push", &name]).succeeds();
    let index = json(place.wiac(["manifest", "inspect", &name]));
    assert_eq!(index["annotations"]["a"], "b");
    assert_eq!(index["manifests"].as_array().map(Vec::len), Some(2), "{index:#}");
    let received = registry.received();
    place
        .wiac(["push", "-q", &name])
        .succeeds()
        .says(&digest_of(&place, &name));
    assert_eq!(registry.received(), received, "nothing is sent twice");
    wiac_on(&place, "other", ["pull", "-q", "--platform", "linux/arm64", &name]).succeeds();
    wiac_on(&place, "other", ["export", &name, "-o", "arm.tar"]).succeeds();
    place.host("tar -xOf arm.tar arch").succeeds().says("arm64");
    assert_whole(&place, "data");
}

#[test]
fn manifests_are_dockers_where_that_is_wanted() {
    const DOCKER: &str = "application/vnd.docker.distribution.manifest";
    let (place, registry) = (Place::root(), Registry::start());
    place.image("app", "RUN echo here > /file\nLABEL a=b");
    let [oci, docker, again, back] = ["oci", "docker", "again", "back"].map(|name| registry.name(&format!("{name}:1")));
    place.wiac(["push", "-q", "app", &oci]).succeeds();
    let received = registry.received();
    let digest = place
        .wiac(["push", "-q", "--format", "v2s2", "app", &docker])
        .succeeds();
    digest.says(&digest_of(&place, &docker));
    assert_eq!(registry.received(), 2 * received, "the same blobs");
    let manifest = json(place.wiac(["manifest", "inspect", &docker]));
    assert_eq!(manifest["mediaType"], format!("{DOCKER}.v2+json"));
    assert_eq!(
        manifest["config"]["mediaType"],
        "application/vnd.docker.container.image.v1+json"
    );
    let layers = manifest["layers"].as_array().expect("a list");
    let is_dockers =
        |layer: &serde_json::Value| layer["mediaType"] == "application/vnd.docker.image.rootfs.diff.tar.gzip";
    assert!(layers.iter().all(is_dockers), "{manifest:#}");
    // As skopeo makes it of the OCI manifest.
    let skopeo = peers::skopeo(&place).args(["copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false"]);
    skopeo
        .args(["--format", "v2s2"].map(str::to_owned))
        .args([&oci, &again].map(|name| format!("docker://{name}")))
        .succeeds();
    let theirs = json(place.wiac(["manifest", "inspect", &again]));
    assert_eq!(
        (&theirs["config"], &theirs["layers"]),
        (&manifest["config"], &manifest["layers"])
    );
    // What came in as docker's goes out as that, and as OCI's where that is said.
    wiac_on(&place, "other", ["run", "--rm", &docker, "cat", "/file"])
        .succeeds()
        .says("here");
    wiac_on(&place, "other", ["push", "-q", &docker, &back]).succeeds();
    assert_eq!(digest_of(&place, &back), digest_of(&place, &docker));
    wiac_on(&place, "other", ["push", "-q", "--format", "oci", &docker, &back]).succeeds();
    assert_eq!(digest_of(&place, &back), digest_of(&place, &oci));
    let [from, to] = [&oci, &again].map(|name| format!("docker://{name}"));
    wiac_on(&place, "third", ["transfer", "-q", "--format", "v2s2", &from, &to]).succeeds();
    assert_eq!(digest_of(&place, &again), digest_of(&place, &docker));
    assert_whole(&place, "other");
}

#[test]
fn layers_that_docker_has_no_word_for_are_packed_anew() {
    let (place, registry) = (Place::root(), Registry::start());
    place.image("app", "RUN echo here > /file");
    let [zstd, docker] = ["zstd", "docker"].map(|name| registry.name(&format!("{name}:1")));
    place
        .wiac(["push", "-q", "--compression", "zstd", "app", &zstd])
        .succeeds();
    wiac_on(&place, "other", ["pull", "-q", &zstd]).succeeds();
    wiac_on(&place, "other", ["push", "-q", "--format", "v2s2", &zstd, &docker]).succeeds();
    let manifest = json(wiac_on(&place, "third", ["manifest", "inspect", &docker]));
    let layers = manifest["layers"].as_array().expect("a list");
    let is_gzip = |layer: &serde_json::Value| layer["mediaType"] == "application/vnd.docker.image.rootfs.diff.tar.gzip";
    assert!(layers.iter().all(is_gzip), "{manifest:#}");
    wiac_on(&place, "third", ["run", "--rm", &docker, "cat", "/file"])
        .succeeds()
        .says("here");
    // It is the same image.
    let ids = |data: &str| wiac_on(&place, data, ["images", "-q", "--no-trunc"]).succeeds().stdout;
    assert_eq!(ids("third"), ids("other"));
    assert_whole(&place, "other");
}

#[test]
fn an_image_of_several_manifests_goes_out_by_the_one_of_its_name() {
    let (place, registry) = (Place::root(), Registry::start());
    place.image("app", "");
    let names = ["gzip", "zstd", "none"].map(|how| (how, registry.name(&format!("app:{how}"))));
    for (how, name) in &names {
        place.wiac(["push", "-q", "--compression", how, "app", name]).succeeds();
        wiac_on(&place, "other", ["pull", "-q", name]).succeeds();
    }
    let ids = wiac_on(&place, "other", ["images", "-q", "--no-trunc"]).succeeds();
    assert_eq!(ids.lines().len(), 1, "one image: {ids:?}");
    for (how, name) in &names {
        let back = registry.name(&format!("back:{how}"));
        wiac_on(&place, "other", ["push", "-q", name, &back]).succeeds();
        assert_eq!(digest_of(&place, name), digest_of(&place, &back), "{how}");
    }
}

#[test]
fn an_index_is_dockers_with_its_manifests() {
    let (place, registry) = (Place::root(), Registry::start());
    let name = registry.name("both:1");
    let build = place.build(
        "context",
        "FROM scratch\nARG TARGETARCH\nCOPY <<EOF /arch\n$TARGETARCH\nEOF\n",
    );
    build
        .args(["--platform", "linux/amd64,linux/arm64", "-t", &name])
        .succeeds();
    place.wiac(["push", "-q", "--format", "v2s2", &name]).succeeds();
    // Where there is none of this name it is the registry's that is shown.
    let index = json(wiac_on(&place, "other", ["manifest", "inspect", &name]));
    assert_eq!(
        index["mediaType"],
        "application/vnd.docker.distribution.manifest.list.v2+json"
    );
    let manifests = index["manifests"].as_array().expect("a list");
    let is_dockers =
        |entry: &serde_json::Value| entry["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json";
    assert!(manifests.len() == 2 && manifests.iter().all(is_dockers), "{index:#}");
    wiac_on(&place, "other", ["pull", "-q", "--platform", "linux/arm64", &name]).succeeds();
    wiac_on(&place, "other", ["export", &name, "-o", "arm.tar"]).succeeds();
    place.host("tar -xOf arm.tar arch").succeeds().says("arm64");
}
