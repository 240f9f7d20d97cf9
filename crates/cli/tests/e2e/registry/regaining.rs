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
