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

/// What stands in index.json of a layout.
fn entries(place: &Place, layout: &str) -> Vec<Value> {
    let index = json(&place.read(&format!("{layout}/index.json")));
    index["manifests"].as_array().expect("a list").clone()
}

#[test]
fn an_index_is_called_by_its_digest() {
    let place = Place::root();
    context(&place);
    let annotations = [
        "--annotation",
        "manifest-descriptor[linux/arm64],index-descriptor:org.example.beside=x",
    ];
    let told = ["--iidfile", "id", "--metadata-file", "meta.json"];
    let said = place
        .build("context", DOCKERFILE)
        .args(BOTH)
        .args(annotations)
        .args(told)
        .args(["-q", "-t", "both"])
        .succeeds();
    let id = place.read("id");
    assert_eq!(said.text(), id);
    // As buildx writes it: no configuration's digest, the index's own.
    let meta = json(&place.read("meta.json"));
    assert_eq!(meta["containerimage.digest"], id.as_str());
    assert_eq!(meta.get("containerimage.config.digest"), None);
    let descriptor = &meta["containerimage.descriptor"];
    assert_eq!(descriptor["digest"], id.as_str());
    assert_eq!(descriptor["mediaType"], "application/vnd.oci.image.index.v1+json");
    assert_eq!(descriptor["annotations"]["org.example.beside"], "x");
    assert_eq!(meta["image.name"], "docker.io/library/both:latest");
    // It is what goes out: saved under this name and another one, written by the build, in the order asked for.
    place.wiac(["tag", "both", "again"]).succeeds();
    for (name, layout) in [("both", "saved"), ("again", "again")] {
        place
            .wiac(["save", name, "-o", layout, "--format", "oci-dir"])
            .succeeds();
    }
    place
        .build("context", DOCKERFILE)
        .args(BOTH)
        .args(annotations)
        .args(["-o", "type=oci,tar=false,dest=written", "--iidfile", "written-id"])
        .succeeds();
    assert_eq!(place.read("written-id"), id);
    for layout in ["saved", "again", "written"] {
        let found = entries(&place, layout);
        let [entry] = found.as_slice() else {
            panic!("{layout}: {found:?}")
        };
        assert_eq!(entry["digest"], id.as_str(), "{layout}");
        assert_eq!(entry["annotations"]["org.example.beside"], "x", "{layout}");
        let (index, _) = seen_by_skopeo(&place, layout);
        let manifests = index["manifests"].as_array().expect("a list");
        let beside = manifests
            .iter()
            .map(|entry| (&entry["platform"]["architecture"], &entry["annotations"]));
        let expected = [
            (&"arm64".into(), &serde_json::json!({"org.example.beside": "x"})),
            (&"amd64".into(), &Value::Null),
        ];
        assert_eq!(beside.collect::<Vec<_>>(), expected, "{layout}");
    }
    // By it the image is found, by the name with it, too.
    place.wiac(["run", &id]).succeeds().says("linux/amd64");
    place
        .wiac(["run", &format!("both@{id}")])
        .succeeds()
        .says("linux/amd64");
    // Packed otherwise it is another index.
    place
        .build("context", DOCKERFILE)
        .args(BOTH)
        .args(annotations)
        .args(["-o", "type=oci,tar=false,dest=zstd,compression=zstd", "--iidfile", "id"])
        .succeeds();
    assert_ne!(place.read("id"), id);
    assert_eq!(entries(&place, "zstd")[0]["digest"], place.read("id").as_str());
    // A build that fails leaves no id of the one before.
    place
        .build("context", "FROM scratch\nCOPY nothing /\n")
        .args(["--iidfile", "id"])
        .fails(1);
    assert!(!place.has("id"));
    place
        .build("context", DOCKERFILE)
        .args(BOTH)
        .args(["--annotation", "manifest-descriptor[linux/s390x]:a=b"])
        .fails(125)
        .complains(&["linux/s390x", "nothing is built"]);
}

#[test]
fn an_image_is_called_by_its_configuration() {
    let place = Place::root();
    context(&place);
    let said = place
        .build("context", DOCKERFILE)
        .args(["--iidfile", "id", "--metadata-file", "meta.json", "-q", "-t", "one"])
        .args(["--annotation", "manifest-descriptor:org.example.beside=x"])
        .succeeds();
    let id = place.read("id");
    assert_eq!(said.text(), id);
    let meta = json(&place.read("meta.json"));
    assert_eq!(meta["containerimage.config.digest"], id.as_str());
    let descriptor = &meta["containerimage.descriptor"];
    assert_eq!(descriptor["digest"], meta["containerimage.digest"]);
    assert_eq!(descriptor["platform"]["architecture"], "amd64");
    assert_eq!(descriptor["annotations"]["org.example.beside"], "x");
    place
        .wiac(["save", "one", "-o", "saved", "--format", "oci-dir"])
        .succeeds();
    let entry = &entries(&place, "saved")[0];
    assert_eq!(entry["digest"], meta["containerimage.digest"]);
    assert_eq!(entry["annotations"]["org.example.beside"], "x");
    place.wiac(["run", &id]).succeeds().says("linux/amd64");
    // Without a name it takes its own place again.
    for _ in 0..2 {
        place
            .build("context", DOCKERFILE)
            .args(["-o", "type=oci,tar=false,dest=nameless"])
            .args(["--annotation", "manifest-descriptor:org.example.beside=x"])
            .succeeds();
    }
    assert_eq!(entries(&place, "nameless").len(), 1);
    place
        .build("context", DOCKERFILE)
        .args(["--annotation", "index-descriptor:a=b"])
        .fails(125)
        .complains(&["index-descriptor:a=b", "several platforms"]);
}

as_users!(an_index_without_a_name: root, user);
fn an_index_without_a_name(place: &Place) {
    context(place);
    let build = |more: &[&str]| {
        let said = place
            .build("context", DOCKERFILE)
            .args(BOTH)
            .args(more)
            .arg("-q")
            .succeeds();
        said.text().to_owned()
    };
    let id = build(&[]);
    place.wiac(["run", &id]).succeeds().says("linux/amd64");
    place.wiac(["run", "--platform", "linux/arm64", &id, "true"]).succeeds();
    place
        .wiac(["inspect", "-f", "{{.Architecture}}", &id])
        .succeeds()
        .says("amd64");
    let short = &id["sha256:".len()..][..12];
    let entry = |layout: &str| entries(place, layout)[0]["digest"].clone();
    place
        .wiac(["save", short, "-o", "saved", "--format", "oci-dir"])
        .succeeds();
    place.wiac(["transfer", "-q", &id, "oci:copied"]).succeeds();
    assert_eq!(
        (entry("saved"), entry("copied")),
        (id.as_str().into(), id.as_str().into())
    );
    place.wiac(["tag", &id, "named:1"]).succeeds();
    place
        .wiac(["save", "named:1", "-o", "named", "--format", "oci-dir"])
        .succeeds();
    assert_eq!(entry("named"), id.as_str());
    // By the digest it goes with its name, and without one whole.
    place.wiac(["rmi", &id]).succeeds().mentions("Untagged: named:1");
    assert_eq!(place.tree("data/images/records"), Vec::<String>::new());
    assert_eq!(place.tree("data/images/indexes"), Vec::<String>::new());
    assert_eq!(build(&[]), id);
    place.wiac(["rmi", &id]).succeeds();
    assert_eq!(place.tree("data/images/records"), Vec::<String>::new());
    place.wiac(["inspect", &id]).fails(1);
    // A name that is taken away takes the index along; what nothing names goes with a prune.
    assert_eq!(build(&["-t", "both"]), id);
    place.wiac(["rmi", "both"]).succeeds();
    place.wiac(["run", &id]).fails(125);
    assert_eq!(build(&[]), id);
    place.wiac(["prune", "-f"]).succeeds();
    assert_eq!(place.tree("data/images/indexes"), Vec::<String>::new());
    place.wiac(["store", "check"]).succeeds();
}
