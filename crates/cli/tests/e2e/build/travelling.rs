//! Build caches that travel: what one machine built, another one takes over, without running anything.

use super::{context, unchanged};
use crate::harness::call::Call;
use crate::harness::{Place, as_users};
use crate::registry::debian::Registry;
use serde_json::Value;

/// A builder's chance shows whether a step was run again.
const DOCKERFILE: &str = "FROM scratch AS base\nCOPY root /\nFROM base AS builder\nRUN head -c 200000 /dev/urandom >/artifact\nRUN head -c 9 /dev/urandom >/unused\nFROM base\nCOPY --from=builder /artifact /a\nRUN md5sum /a >/sum; head -c 9 /dev/urandom | md5sum >>/sum\n";

/// wiac build on a machine, which is a data directory of its own, with what identifies the result elsewhere.
fn build(place: &Place, machine: &str, options: &[&str]) -> Call {
    place
        .wiac(["build", "--iidfile"])
        .arg(place.path(&format!("{machine}.id")))
        .args(["-t", "result"])
        .args(options)
        .arg("context")
        .env("WIAC_DATA", place.path(machine))
}

/// All steps that make something were taken over.
#[track_caller]
fn assert_taken_over(progress: &str) {
    let steps = unchanged(progress);
    assert!(
        !steps.is_empty() && steps.iter().all(|unchanged| *unchanged),
        "{steps:?}\n{progress}"
    );
}

fn sum(place: &Place, machine: &str) -> String {
    let call = place.wiac(["run", "--rm", "result", "cat", "/sum"]);
    call.env("WIAC_DATA", place.path(machine)).succeeds().stdout
}

as_users!(a_directory_takes_a_cache_along: root, user, single);
fn a_directory_takes_a_cache_along(place: &Place) {
    context(place);
    place.write("context/Dockerfile", DOCKERFILE);
    build(place, "a", &["--cache-to", "type=local,dest=cache,mode=max"]).succeeds();
    let said = build(place, "b", &["--cache-from", "type=local,src=cache"]).succeeds();
    assert_taken_over(&said.stderr);
    assert_eq!(sum(place, "a"), sum(place, "b"));
    assert_eq!(place.read("a.id"), place.read("b.id"));
    // The builder's layers were not needed, and are had by nobody here.
    let caches = place
        .wiac(["cache", "ls", "--format", "json"])
        .env("WIAC_DATA", place.path("b"));
    caches.succeeds().never_mentions("/unused").mentions("/sum");
    // What was needed is the machine's own from now on; a builder is run where nobody has it any more.
    let said = build(place, "b", &[]).succeeds();
    assert_eq!(
        unchanged(&said.stderr).iter().filter(|one| !**one).count(),
        2,
        "{}",
        said.stderr
    );
    assert_eq!(sum(place, "a"), sum(place, "b"));
    // A step that changed is run, on layers that are taken over; those of other stages are fetched for it.
    place.write("context/Dockerfile", DOCKERFILE.replace("md5sum /a", "sha1sum /a"));
    let said = build(place, "c", &["--cache-from", "type=local,src=cache"]).succeeds();
    assert_eq!(unchanged(&said.stderr).last(), Some(&false), "{}", said.stderr);
    assert_eq!(
        unchanged(&said.stderr).iter().filter(|one| !**one).count(),
        1,
        "{}",
        said.stderr
    );
    // A machine that took everything over passes it all on.
    place.write("context/Dockerfile", DOCKERFILE);
    let both = [
        "--cache-from",
        "type=local,src=cache",
        "--cache-to",
        "type=local,dest=cache2,mode=max",
    ];
    assert_taken_over(&build(place, "d", &both).succeeds().stderr);
    let said = build(
        place,
        "e",
        &["--cache-from", "type=local,src=cache2", "--target", "builder"],
    )
    .succeeds();
    assert_taken_over(&said.stderr);
    for machine in ["b", "d", "e"] {
        let check = place
            .wiac(["store", "check", "--deep"])
            .env("WIAC_DATA", place.path(machine));
        check.succeeds();
        assert_eq!(place.tree(format!("{machine}/tmp")), Vec::<String>::new());
    }
}

#[test]
fn steps_that_were_made_to_run_again_travel_too() {
    let place = Place::root();
    context(&place);
    place.write("context/Dockerfile", DOCKERFILE);
    build(&place, "a", &[]).succeeds();
    let options = [
        "--no-cache",
        "--cache-to",
        "type=local,dest=cache,mode=max,compression=zstd",
    ];
    build(&place, "a", &options).succeeds();
    assert_taken_over(
        &build(&place, "b", &["--cache-from", "type=local,src=cache"])
            .succeeds()
            .stderr,
    );
    assert_eq!(sum(&place, "a"), sum(&place, "b"));
    // Only the result's layers: the builder is run again, and gives another artifact.
    build(&place, "a", &["--cache-to", "type=local,dest=small,tag=min,mode=min"]).succeeds();
    let said = build(&place, "c", &["--cache-from", "type=local,src=small,tag=min"]).succeeds();
    assert!(unchanged(&said.stderr).contains(&false), "{}", said.stderr);
    // Several tags in one directory; the one that is written again replaces what it was.
    build(&place, "a", &["--cache-to", "type=local,dest=small,mode=max"]).succeeds();
    build(&place, "a", &["--cache-to", "type=local,dest=small,mode=max"]).succeeds();
    let index: Value = serde_json::from_str(&place.read("small/index.json")).expect("an index");
    assert_eq!(index["manifests"].as_array().map(Vec::len), Some(2));
    assert_taken_over(
        &build(&place, "d", &["--cache-from", "type=local,src=small"])
            .succeeds()
            .stderr,
    );
}

#[test]
fn a_registry_takes_a_cache_along() {
    let (place, registry) = (Place::root(), Registry::start());
    context(&place);
    place.write("context/Dockerfile", DOCKERFILE);
    let to = format!("type=registry,ref={},mode=max", registry.name("team/app:cache"));
    let from = format!("type=registry,ref={}", registry.name("team/app:cache"));
    build(&place, "a", &["--cache-to", &to]).succeeds();
    // root, two of the builder, two of the result, and the configuration.
    assert_eq!(registry.received(), 6, "{}", registry.log());
    build(&place, "a", &["--cache-to", &to]).succeeds();
    assert_eq!(registry.received(), 6, "everything is there already");
    let said = build(&place, "b", &["--cache-from", &from]).succeeds();
    assert_taken_over(&said.stderr);
    assert_eq!(sum(&place, "a"), sum(&place, "b"));
    assert_eq!(place.read("a.id"), place.read("b.id"));
    assert_eq!(
        registry.fetched(),
        4,
        "the configuration, and the result's layers: {}",
        registry.log()
    );
    build(&place, "b", &["--cache-from", &from]).succeeds();
    assert_eq!(registry.fetched(), 5, "the configuration again");
    // Where the first step misses, nothing is fetched but the configuration.
    place.write("context/root/etc/passwd", "root:x:0:0::/:/bin/sh\n");
    build(&place, "c", &["--cache-from", &registry.name("team/app:cache")]).succeeds();
    assert_eq!(registry.fetched(), 6);
    // By the flags that docker has, to a repository of its own.
    let other = format!(
        "{},mode=min,image-manifest=true,oci-mediatypes=true",
        to.replace("app:cache", "other")
    );
    let other = other.replace(",mode=max", "");
    build(&place, "c", &["--cache-to", &other]).succeeds();
    // No registry, no cache: that is told, and the build goes on.
    drop(registry);
    place.write("context/Dockerfile", "FROM scratch\nCOPY root/etc /etc\n");
    let said = build(&place, "d", &["--cache-from", &from]).succeeds();
    said.complains(&["warning", "the build cache isn't used", "can't reach"]);
    build(&place, "d", &["--cache-to", &to])
        .fails(1)
        .complains(&["the build cache isn't written", "can't reach"]);
    place
        .wiac(["images", "-q"])
        .env("WIAC_DATA", place.path("d"))
        .succeeds()
        .mentions("\n");
    build(&place, "d", &["--cache-to", &format!("{to},ignore-error=true")])
        .succeeds()
        .complains(&["warning", "the build cache isn't written"]);
}

#[test]
fn an_image_takes_its_cache_along() {
    let (place, registry) = (Place::root(), Registry::start());
    context(&place);
    let dockerfile =
        "FROM scratch\nCOPY root /\nRUN head -c 9 /dev/urandom | md5sum >/sum\nENV A=1\nRUN md5sum /sum >/sum2\n";
    place.write("context/Dockerfile", dockerfile);
    let name = registry.name("app:1");
    build(&place, "a", &["--cache-to", "type=inline", "-t", &name]).succeeds();
    place
        .wiac(["push", "-q", &name])
        .env("WIAC_DATA", place.path("a"))
        .succeeds();
    let said = build(&place, "b", &["--cache-from", &name]).succeeds();
    assert_eq!(
        unchanged(&said.stderr),
        [true, true, true, false, true],
        "all but ENV: {}",
        said.stderr
    );
    assert_eq!(sum(&place, "a"), sum(&place, "b"));
    // The build argument that docker's users know for it.
    let other = registry.name("app:argument");
    let said = build(&place, "c", &["--build-arg", "BUILDKIT_INLINE_CACHE=1", "-t", &other]).succeeds();
    assert!(!said.stderr.contains("no ARG declares"), "{}", said.stderr);
    place
        .wiac(["push", "-q", &other])
        .env("WIAC_DATA", place.path("c"))
        .succeeds();
    build(&place, "d", &["--cache-from", &other]).succeeds();
    assert_eq!(sum(&place, "c"), sum(&place, "d"));
    // Others read the image as before.
    let said = place
        .host(&format!("skopeo inspect --config --tls-verify=false docker://{name}"))
        .succeeds();
    assert!(said.stdout.contains("A=1"), "{}", said.stdout);
    // An image on top of it doesn't say of its layers what is true of the base's.
    place.write("context/Dockerfile", format!("FROM {name}\nRUN echo >/more\n"));
    build(&place, "b", &["-t", "more"]).succeeds();
    let inspected = place
        .wiac(["save", "-o", "more.tar", "more"])
        .env("WIAC_DATA", place.path("b"));
    inspected.succeeds();
    place
        .host("tar -xf more.tar; ! grep -rqs wiac.build-cache blobs")
        .succeeds();
    let said = build(
        &place,
        "c",
        &["--cache-from", &format!("{name}@sha256:{}", "0".repeat(64))],
    )
    .succeeds();
    said.complains(&["the build cache isn't used"]);
    // One without says so.
    place.write("context/Dockerfile", dockerfile);
    build(&place, "a", &["-t", &name]).succeeds();
    place
        .wiac(["push", "-q", &name])
        .env("WIAC_DATA", place.path("a"))
        .succeeds();
    build(&place, "d", &["--cache-from", &name])
        .succeeds()
        .complains(&["doesn't say which steps made it"]);
}

#[test]
fn a_cache_that_lies_is_found_out() {
    let place = Place::root();
    context(&place);
    place.write("context/Dockerfile", DOCKERFILE);
    build(&place, "a", &["--cache-to", "type=local,dest=cache,mode=max"]).succeeds();
    let config = place
        .host("f=$(jq -r .manifests[0].digest cache/index.json); jq -r .config.digest cache/blobs/${f/://}")
        .succeeds();
    let config = format!("blobs/{}", config.text().replace(':', "/"));
    let try_with = |machine: &str, script: &str, why: &str| {
        place
            .host(&format!(
                "rm -rf lying; cp -a cache lying; cd lying; config={config}; {script}"
            ))
            .succeeds();
        let said = build(&place, machine, &["--cache-from", "type=local,src=lying"]).succeeds();
        let said = said.complains(&["warning", why]);
        // Some step was run, whatever was said before that.
        assert!(said.stderr.contains(" ms\n"), "{}", said.stderr);
        assert!(sum(&place, machine).contains("/a"), "{machine}");
        assert_eq!(place.tree(format!("{machine}/tmp")), Vec::<String>::new());
        let check = place
            .wiac(["store", "check", "--deep"])
            .env("WIAC_DATA", place.path(machine));
        check.succeeds();
    };
    try_with("b", "rm index.json", "index.json is missing");
    try_with(
        "c",
        "echo '{\"schemaVersion\":2,\"manifests\":[]}' >index.json",
        "there is no latest",
    );
    try_with("d", "echo >>$config", "is damaged");
    let layers = "for f in blobs/sha256/*; do if test $(stat -c %s $f) -gt 100000; then LAYER; fi; done";
    try_with("e", &layers.replace("LAYER", "rm $f"), "the build cache is lost");
    let damage = "printf x | dd of=$f bs=1 seek=5000 conv=notrunc status=none";
    try_with("f", &layers.replace("LAYER", damage), "the build cache is lost");
    // Digests that are right, and something else in it: another layer, or a name that leads out.
    let rewrite = "jq -c 'EDIT' $config >new; digest=sha256:$(sha256sum <new | cut -d' ' -f1); size=$(stat -c %s new)\n\
        mv new blobs/${digest/://}\n\
        manifest=blobs/$(jq -r .manifests[0].digest index.json | tr : /)\n\
        jq -c \".config.digest=\\\"$digest\\\"|.config.size=$size\" $manifest >new\n\
        digest=sha256:$(sha256sum <new | cut -d' ' -f1); size=$(stat -c %s new); mv new blobs/${digest/://}\n\
        jq -c \".manifests[0].digest=\\\"$digest\\\"|.manifests[0].size=$size\" index.json >new; mv new index.json";
    let edited = |edit: &str| rewrite.replace("EDIT", edit);
    try_with("g", &edited(".layers[].keys=[\"../../../x\"]"), "no key of a step");
    try_with("h", &edited(".layers[].lineage=\"a b\""), "no key of a step");
    try_with("i", &edited(".layers|=reverse"), "the build cache is lost");
    try_with("j", &edited(".version=9"), "version 9");
    try_with("k", &edited("del(.layers[0])"), "don't belong together");
}
