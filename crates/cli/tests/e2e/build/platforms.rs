//! Several platforms in one build: an index in the store, in layouts, and in what skopeo sees of it; annotations.

use super::context;
use crate::harness::{Place, as_users};
use serde_json::Value;

const DOCKERFILE: &str = "FROM scratch\nCOPY root /\nARG TARGETPLATFORM\nLABEL for=$TARGETPLATFORM\n\
     COPY <<EOF /platform\n$TARGETPLATFORM\nEOF\nCMD [\"cat\", \"/platform\"]\n";
const BOTH: [&str; 2] = ["--platform", "linux/arm64,linux/amd64"];
const ANNOTATIONS: [&str; 6] = [
    "--annotation",
    "org.example.all=each",
    "--annotation",
    "index:org.example.index=whole",
    "--annotation",
    "manifest[linux/arm64]:org.example.arm=one",
];

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("no JSON: {error}\n{text}"))
}

/// The index that skopeo finds, and the manifest of each platform.
fn seen_by_skopeo(place: &Place, layout: &str) -> (Value, Vec<(String, Value)>) {
    let raw = place
        .host(&format!("skopeo inspect --raw oci:{layout}"))
        .succeeds()
        .stdout;
    let index = json(&raw);
    let manifests = index["manifests"].as_array().expect("a list").iter().map(|entry| {
        let digest = entry["digest"].as_str().expect("a digest").replace(':', "/");
        let platform = entry["platform"]["architecture"]
            .as_str()
            .expect("a platform")
            .to_owned();
        (platform, json(&place.read(&format!("{layout}/blobs/{digest}"))))
    });
    let manifests = manifests.collect();
    (index, manifests)
}

fn is_the_index(place: &Place, layout: &str) {
    let (index, manifests) = seen_by_skopeo(place, layout);
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
    assert_eq!(index["annotations"], serde_json::json!({"org.example.index": "whole"}));
    let mut platforms: Vec<&str> = manifests.iter().map(|(platform, _)| platform.as_str()).collect();
    platforms.sort_unstable();
    assert_eq!(platforms, ["amd64", "arm64"]);
    for (platform, manifest) in &manifests {
        assert_eq!(manifest["annotations"]["org.example.all"], "each");
        let arm = &manifest["annotations"]["org.example.arm"];
        assert_eq!(arm == "one", platform == "arm64", "{platform}: {manifest}");
    }
    for platform in ["amd64", "arm64"] {
        let config = format!("skopeo inspect --override-arch {platform} --config oci:{layout}");
        let config = json(&place.host(&config).succeeds().stdout);
        assert_eq!(config["config"]["Labels"]["for"], format!("linux/{platform}"));
    }
}

as_users!(an_index: root, user, single);
fn an_index(place: &Place) {
    context(place);
    place
        .build("context", DOCKERFILE)
        .args(BOTH)
        .args(ANNOTATIONS)
        .args([
            "-t",
            "both",
            "-o",
            "type=oci,tar=false,dest=layout",
            "-o",
            "type=local,dest=files",
            "--load",
        ])
        .succeeds();
    place.host("chmod -R a+rX layout files").succeeds();
    is_the_index(place, "layout");
    assert_eq!(place.read("files/linux_arm64/platform"), "linux/arm64\n");
    assert_eq!(place.read("files/linux_amd64/platform"), "linux/amd64\n");
    // What runs here is this machine's.
    place.wiac(["run", "both"]).succeeds().says("linux/amd64");
    place
        .wiac(["run", "--platform", "linux/arm64", "both", "true"])
        .succeeds();
    assert_eq!(place.wiac(["images", "-q"]).succeeds().lines().len(), 1);
    // Saved, under another name too, it is the same index.
    place.wiac(["tag", "both", "again"]).succeeds();
    place
        .wiac(["save", "again", "-o", "saved/", "--format", "oci-dir"])
        .succeeds();
    place.host("chmod -R a+rX saved").succeeds();
    is_the_index(place, "saved");
    // A stage on it gets the one for its own platform.
    place
        .build("late", "FROM both\nARG TARGETPLATFORM\nLABEL on=$TARGETPLATFORM\n")
        .args(["--platform", "linux/arm64", "-o", "type=local,dest=late-files"])
        .succeeds();
    assert_eq!(place.read("late-files/platform"), "linux/arm64\n");
    // Nothing of it is collected as long as a name is left, and all of it afterwards.
    place.wiac(["rmi", "both"]).succeeds();
    place.wiac(["prune", "-f"]).succeeds();
    place.wiac(["save", "again", "-o", "kept.tar"]).succeeds();
    place.wiac(["rmi", "again"]).succeeds();
    assert_eq!(place.tree("data/images/records"), Vec::<String>::new());
    place.wiac(["store", "check"]).succeeds();
}

#[test]
fn annotations_of_one_platform() {
    let place = Place::root();
    context(&place);
    place
        .build("context", DOCKERFILE)
        .args(["--annotation", "org.example.a=b", "-t", "one"])
        .succeeds();
    place
        .wiac(["save", "one", "-o", "saved/", "--format", "oci-dir"])
        .succeeds();
    let manifest = json(&place.host("skopeo inspect --raw oci:saved").succeeds().stdout);
    assert_eq!(manifest["annotations"], serde_json::json!({"org.example.a": "b"}));
    place
        .build("context", DOCKERFILE)
        .args(["--annotation", "index:a=b"])
        .fails(125)
        .complains(&["index:a=b", "several platforms", "--platform"]);
    place
        .build("context", DOCKERFILE)
        .args(BOTH)
        .args(["-o", "type=docker,dest=x"])
        .fails(125)
        .complains(&["several platforms", "type=oci"]);
}
