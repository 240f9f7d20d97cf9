//! Blobs that were let go of are fetched again when their image goes out: it has the digest then that it came with.

use super::debian::Registry;
use super::{assert_whole, digest_of, large_image, wiac_on};
use crate::harness::Place;

/// An image in the registry whose blobs packing here doesn't give again, and on the machine `other` without them.
fn pulled_and_pruned(place: &Place, registry: &Registry) -> String {
    large_image(place, "app", 2, 20_000);
    let name = registry.name("team/app:1");
    wiac_on(place, "data", ["push", "-q", "--compression", "zstd", "app", &name]).succeeds();
    wiac_on(place, "other", ["pull", "-q", &name]).succeeds();
    wiac_on(place, "other", ["prune", "--blobs"]).succeeds();
    name
}

#[test]
fn an_image_whose_blobs_were_freed_goes_out_as_it_came() {
    let (place, registry) = (Place::root(), Registry::start());
    let name = pulled_and_pruned(&place, &registry);
    let fetched = registry.fetched();
    wiac_on(&place, "other", ["run", "--rm", &name, "true"]).succeeds();
    assert_eq!(registry.fetched(), fetched, "to run it nothing is needed");
    let elsewhere = registry.name("elsewhere/app:1");
    wiac_on(&place, "other", ["push", "-q", &name, &elsewhere])
        .succeeds()
        .complains(&["3 blobs fetched again"]);
    assert_eq!(registry.fetched(), fetched + 3);
    assert_eq!(digest_of(&place, &name), digest_of(&place, &elsewhere));
    // Now they are held.
    wiac_on(&place, "other", ["save", "-o", "one.tar", &name]).succeeds();
    assert_eq!(registry.fetched(), fetched + 3);
    wiac_on(&place, "other", ["prune", "--blobs"]).succeeds();
    wiac_on(&place, "other", ["transfer", "-q", &name, "oci-archive:two.tar"]).succeeds();
    let digest = "tar -xOf FILE index.json | jq -r .manifests[0].digest";
    let said = place.host(&format!(
        "{}; {}",
        digest.replace("FILE", "one.tar"),
        digest.replace("FILE", "two.tar")
    ));
    let said = said.succeeds();
    assert_eq!(said.lines(), vec![digest_of(&place, &name); 2]);
    assert_whole(&place, "other");
}

#[test]
fn where_they_can_t_be_had_that_is_said() {
    let (place, registry) = (Place::root(), Registry::start());
    let name = pulled_and_pruned(&place, &registry);
    drop(registry);
    wiac_on(&place, "other", ["save", "-o", "one.tar", &name])
        .succeeds()
        .complains(&["warning", "can't be fetched again", "can't reach", "another digest"]);
    wiac_on(&place, "third", ["load", "-i", "one.tar"]).succeeds();
    wiac_on(&place, "third", ["run", "--rm", &name, "true"]).succeeds();
    assert_whole(&place, "other");
}

/// Writes the configuration of the image in `layout` in another way, which stands for that of another tool.
const REWRITE: &str = r#"
import hashlib, json
def read(digest): return json.load(open("layout/blobs/" + digest.replace(":", "/")))
def write(entry, document):
    data = json.dumps(document, indent=1).encode()
    entry["digest"], entry["size"] = "sha256:" + hashlib.sha256(data).hexdigest(), len(data)
    open("layout/blobs/" + entry["digest"].replace(":", "/"), "wb").write(data)
index = json.load(open("layout/index.json"))
entry = index["manifests"][0]
manifest = read(entry["digest"])
write(manifest["config"], read(manifest["config"]["digest"]))
write(entry, manifest)
json.dump(index, open("layout/index.json", "w"))
"#;

#[test]
fn an_image_goes_on_without_what_it_came_with() {
    let (place, registry) = (Place::root(), Registry::start());
    large_image(&place, "app", 2, 20_000);
    let name = registry.name("team/app:1");
    place
        .wiac([
            "save",
            "--compression",
            "zstd",
            "--format",
            "oci-dir",
            "-o",
            "layout",
            "app",
        ])
        .succeeds();
    place.write("rewrite.py", REWRITE);
    place.host("python3 rewrite.py").succeeds();
    place
        .wiac(["transfer", "-q", "oci:layout", &format!("docker://{name}")])
        .succeeds();
    wiac_on(&place, "other", ["pull", "-q", &name]).succeeds();
    let on_other = |words: &[&str]| wiac_on(&place, "other", words.to_vec());
    let id = || {
        on_other(&["images", "-q", "--no-trunc", &name])
            .succeeds()
            .text()
            .to_owned()
    };
    let by_digest = format!("{}@{}", registry.name("team/app"), digest_of(&place, &name));
    let came_with = id();
    let lose = || {
        place.host("rm -r other/blobs/*").succeeds();
        on_other(&["store", "check"])
            .fails(1)
            .mentions("load, pull or build 127.0.0.1");
        on_other(&["store", "check", "--repair"])
            .succeeds()
            .mentions("the image is kept, but goes out under another id");
        on_other(&["store", "check"])
            .succeeds()
            .mentions("would go out as another one");
        on_other(&["run", "--rm", "--pull=never", &by_digest, "true"]).succeeds();
        assert_eq!(id(), came_with);
    };
    lose();
    let elsewhere = registry.name("elsewhere/app:1");
    on_other(&["push", "-q", &name, &elsewhere])
        .succeeds()
        .complains(&["configuration and manifest fetched again", "3 blobs fetched again"]);
    assert_eq!(digest_of(&place, &name), digest_of(&place, &elsewhere));
    assert_whole(&place, "other");
    lose();
    on_other(&["pull", "-q", &name]).succeeds();
    assert_whole(&place, "other");
    lose();
    drop(registry);
    on_other(&["save", "-o", "one.tar", &name]).succeeds().complains(&[
        "is lost and can't be fetched again",
        "can't reach",
        "another id",
    ]);
    assert_eq!(id(), came_with);
    wiac_on(&place, "third", ["load", "-i", "one.tar"]).succeeds();
    wiac_on(&place, "third", ["run", "--rm", &name, "true"]).succeeds();
    on_other(&["store", "check"]).succeeds().mentions("nothing is wrong");
}

#[test]
fn a_configuration_of_ours_is_no_loss() {
    let (place, registry) = (Place::root(), Registry::start());
    let name = pulled_and_pruned(&place, &registry);
    place.host("rm -r other/blobs/*").succeeds();
    let repaired = wiac_on(&place, "other", ["store", "check", "--repair"]).succeeds();
    repaired.mentions("the image is kept, but goes out under another digest");
    let elsewhere = registry.name("elsewhere/app:1");
    wiac_on(&place, "other", ["push", "-q", &name, &elsewhere])
        .succeeds()
        .complains(&["configuration and manifest fetched again", "3 blobs fetched again"]);
    assert_eq!(digest_of(&place, &name), digest_of(&place, &elsewhere));
    assert_whole(&place, "other");
}
