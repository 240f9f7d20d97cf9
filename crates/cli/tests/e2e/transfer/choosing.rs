//! Which image of a file is meant: of several for several machines, by name, by digest, and what is no image.

use super::layout::{CONFIG, INDEX, LAYER, Layout, MANIFEST, architecture, config, digest, named};
use super::peers::skopeo;
use super::{assert_whole, json, wiac_on};
use crate::harness::{Place, as_users};

#[test]
fn an_image_for_several_machines() {
    let place = Place::root();
    let layout = Layout::new(&place, "many");
    let image = |for_architecture: &str| {
        place.write("tree/for", for_architecture);
        place.host("tar -C tree -cf layer.tar for").succeeds();
        let tar = std::fs::read(place.path("layer.tar")).expect("made");
        let mut said = config(&[digest(&tar)]);
        said["architecture"] = for_architecture.into();
        let mut manifest = layout.manifest(&layout.document(CONFIG, &said), &[layout.blob(LAYER, &tar)]);
        manifest["platform"] = serde_json::json!({"os": "linux", "architecture": for_architecture});
        manifest
    };
    // BuildKit puts a statement about each image beside it.
    let mut statement = image("unknown");
    statement["platform"]["os"] = "unknown".into();
    let manifests = [statement, image("s390x"), image(architecture())];
    let index = layout.document(
        INDEX,
        &serde_json::json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}),
    );
    layout.index(&[named(&index, "example.org/many:1")]);
    let architecture_of = |name: &str| json(place.wiac(["inspect", name]))[0]["Architecture"].clone();
    place
        .wiac(["load", "many"])
        .succeeds()
        .says("Loaded image: example.org/many:1");
    assert_eq!(architecture_of("example.org/many:1"), architecture());
    place
        .wiac(["load", "--platform=linux/s390x", "-t", "other", "many"])
        .succeeds();
    assert_eq!(architecture_of("other"), "s390x");
    place
        .wiac(["load", "--platform=linux/riscv64", "many"])
        .fails(1)
        .complains(&["there is no image for linux/riscv64 in it, only for linux/s390x"]);
    // skopeo's own directories hold such an index, too.
    skopeo(&place)
        .args(["copy", "--all", "-q", "oci:many", "dir:flat"])
        .succeeds();
    place
        .wiac(["load", "--platform=linux/s390x", "-t", "flat", "flat"])
        .succeeds();
    assert_eq!(architecture_of("flat"), "s390x");
    place.wiac(["load", "-t", "flat", "flat"]).succeeds();
    assert_eq!(architecture_of("flat"), architecture());
    assert_whole(&place, "data");
}

as_users!(one_of_several_is_named_as_skopeo_does: root, user);
fn one_of_several_is_named_as_skopeo_does(place: &Place) {
    for word in ["one", "two"] {
        place.image(word, &format!("CMD [\"echo\", \"{word}\"]"));
    }
    place.wiac(["save", "-o", "both.tar", "one", "two"]).succeeds();
    let format = ["--format", "docker-archive"];
    place
        .wiac(["save", "-o", "docker.tar", "one", "two"])
        .args(format)
        .succeeds();
    for word in ["one", "two"] {
        let to = format!("oci:layout:v-{word}");
        place.wiac(["transfer", word, &to]).succeeds();
    }
    let said = wiac_on(place, "loaded", ["load", "docker-archive:docker.tar:two"]).succeeds();
    assert_eq!(said.text(), "Loaded image: two:latest");
    wiac_on(place, "loaded", ["run", "one"]).fails(125);
    for (number, from) in [
        "oci:layout:v-two",
        "oci:layout:@1",
        "oci-archive:both.tar:two:latest",
        "docker-archive:docker.tar:two",
        "docker-archive:docker.tar:@1",
    ]
    .into_iter()
    .enumerate()
    {
        let data = &format!("data-{number}");
        wiac_on(place, data, ["load", "-q", "-i", from]).succeeds();
        assert_eq!(
            wiac_on(place, data, ["images", "-q"]).succeeds().lines().len(),
            1,
            "{from}"
        );
        wiac_on(place, "run", ["run", from]).succeeds().says("two");
        let dockerfile = format!("FROM {from}\nRUN true\n");
        let built = place.build("context", &dockerfile).succeeds();
        assert!(!built.stderr.contains("warning"), "{from}: {}", built.stderr);
        wiac_on(place, "pulled", ["pull", "-q", from]).succeeds();
    }
    wiac_on(place, "pulled", ["run", "two"]).succeeds().says("two");
    for (from, words) in [
        ("oci:layout", "2 images in it"),
        ("oci:layout:v-three", "there is [\"v-one\", \"v-two\"]"),
        (
            "docker-archive:docker.tar:three",
            "there is [\"one:latest\", \"two:latest\"]",
        ),
        ("docker-archive:docker.tar:@2", "its 2 images count from @0"),
        ("oci:", "a path belongs behind"),
        ("docker-daemon:one", "docker-storage:NAME"),
    ] {
        wiac_on(place, "run", ["run", from]).fails(125).complains(&[words]);
    }
    let said = wiac_on(place, "run", ["inspect", "oci:layout:v-two"]).fails(1);
    said.complains(&["wiac load oci:layout:v-two"]);
    let context = ["--build-context", "lib=oci-layout://layout:v-two"];
    place.build("context", "FROM lib\nRUN true\n").args(context).succeeds();
    assert_whole(place, "run");
    assert_whole(place, "pulled");
}

/// An image of one layer with one file, in a layout: the manifest's descriptor.
fn of_one_file(place: &Place, layout: &Layout) -> serde_json::Value {
    let make = "mkdir tree; echo x > tree/x; tar -C tree -cf layer.tar x";
    place.host(make).succeeds();
    let tar = std::fs::read(place.path("layer.tar")).expect("made");
    let config = layout.document(CONFIG, &config(&[digest(&tar)]));
    layout.manifest(&config, &[layout.blob(LAYER, &tar)])
}

#[test]
fn signatures_beside_an_image_stay_behind() {
    let place = Place::root();
    let layout = Layout::new(&place, "signed");
    let image = of_one_file(&place, &layout);
    // As ORAS puts a referrer into a layout, and as cosign puts a signature there.
    let empty = layout.blob("application/vnd.oci.empty.v1+json", b"{}");
    let note = layout.blob("text/plain", b"note");
    let mut artifact =
        serde_json::json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": empty, "layers": [note]});
    artifact["artifactType"] = "application/vnd.example.note".into();
    artifact["subject"] = image.clone();
    let artifact = layout.document(MANIFEST, &artifact);
    let payload = layout.blob("application/vnd.dev.cosign.simplesigning.v1+json", b"{}");
    let signature = layout.manifest(&layout.document(CONFIG, &config(&[digest(b"{}")])), &[payload]);
    layout.index(&[
        artifact.clone(),
        named(&image, "example.org/signed:1"),
        signature.clone(),
    ]);
    place
        .wiac(["load", "signed"])
        .succeeds()
        .says("Loaded image: example.org/signed:1");
    assert_eq!(
        json(place.wiac(["images", "--format", "json"]))
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert_whole(&place, "data");
    // Alone they are what somebody wants, and there is no image.
    for (alone, reason) in [
        (artifact, "it is an artifact, not an image"),
        (signature, "is of a type that no layer has"),
    ] {
        layout.index(&[alone]);
        place.wiac(["load", "signed"]).fails(1).complains(&[reason]);
    }
}

/// Who asks for a digest gets what has it, whatever an archive calls itself.
#[test]
fn nothing_passes_for_another_digest() {
    let place = Place::root();
    let layout = Layout::new(&place, "layout");
    let image = of_one_file(&place, &layout);
    let own = format!("example.org/x@{}", image["digest"].as_str().expect("a digest"));
    let foreign = format!("example.org/x@{}", digest(b"another"));
    let names = || place.tree("data/images/names");
    layout.index(&[named(&image, &foreign)]);
    place.wiac(["load", "layout"]).succeeds();
    assert_eq!(names(), Vec::<String>::new());
    layout.index(&[named(&image, &own)]);
    place
        .wiac(["load", "layout"])
        .succeeds()
        .says(&format!("Loaded image: {own}"));
    assert_eq!(names().len(), 1);
    // docker's list has no digests, and docker takes none in it.
    place
        .wiac(["save", "--format=docker-archive", "-o", "saved.tar", &own])
        .succeeds();
    place.host("mkdir saved && tar -C saved -xf saved.tar").succeeds();
    assert!(place.read("saved/manifest.json").contains("\"RepoTags\":[]"));
    let list = place
        .read("saved/manifest.json")
        .replace("[]", &format!("[\"{foreign}\"]"));
    place.write("saved/manifest.json", list);
    place.host("tar -C saved -cf forged.tar .").succeeds();
    place.wiac(["load", "-i", "forged.tar"]).succeeds();
    assert_eq!(names().len(), 1);
    // Nor is anything called by an image's id: who writes one gets that image.
    let of = |name: &str| {
        place
            .wiac(["inspect", "-f", "{{.Id}}", name])
            .succeeds()
            .text()
            .to_owned()
    };
    let id = of(&own);
    place.image("other", "");
    for name in [format!("sha256:{id}"), format!("sha256:{}", &id[..12])] {
        place
            .wiac(["tag", "other", &name])
            .fails(125)
            .complains(&["an image id"]);
        let list = place.read("saved/manifest.json").replace(&foreign, &name);
        place.write("renamed/manifest.json", list);
        place
            .host("cp -rn saved/. renamed && tar -C renamed -cf renamed.tar .")
            .succeeds();
        place
            .wiac(["load", "-i", "renamed.tar"])
            .fails(1)
            .complains(&["an image id"]);
        layout.index(&[named(&image, &name)]);
        place.wiac(["load", "layout"]).succeeds();
        assert_eq!(of(&name), id);
    }
    for command in [
        &["load", "-i", "saved.tar", "-t", &foreign][..],
        &["import", "layer.tar", &foreign],
        &["build", "-t", &foreign, "tree"],
        &["squash", &own, &foreign],
    ] {
        place
            .wiac(command)
            .fails(125)
            .complains(&["a digest belongs to a manifest"]);
    }
}

as_users!(an_image_that_comes_back_is_the_one_that_went: root, user);
fn an_image_that_comes_back_is_the_one_that_went(place: &Place) {
    place.image("app", "RUN echo here > /file");
    let ids = |data: &str| {
        wiac_on(place, data, ["images", "-q", "--no-trunc"])
            .succeeds()
            .stdout
            .clone()
    };
    let made = ids("data");
    for format in ["oci-archive", "docker-archive"] {
        let compression = if format == "oci-archive" { "zstd" } else { "none" };
        let save = [
            "save",
            "--format",
            format,
            "--compression",
            compression,
            "-o",
            "app.tar",
            "app",
        ];
        place.wiac(save).succeeds();
        place.wiac(["load", "-q", "-i", "app.tar", "-t", "back"]).succeeds();
        assert_eq!(ids("data"), made, "{format}");
        place.wiac(["untag", "back"]).succeeds();
    }
    // Elsewhere it is known by its configuration, and so it is here.
    wiac_on(place, "other", ["load", "-q", "-i", "app.tar"]).succeeds();
    let outside = ids("other");
    let named = |id: &str| json(place.wiac(["inspect", id]))[0]["RepoTags"].clone();
    assert_eq!(named(outside.trim()), named(made.trim()));
    place.wiac(["rmi", outside.trim()]).succeeds();
    assert_eq!(ids("data"), "");
    place.wiac(["load", "-q", "-i", "app.tar"]).succeeds();
    assert_eq!(ids("data"), outside);
    assert_whole(place, "data");
}
