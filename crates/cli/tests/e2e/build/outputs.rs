//! Where a build's result goes, the same result on any machine, and what a Dockerfile says of itself.

use super::context;
use crate::harness::Place;

const DOCKERFILE: &str = "FROM scratch\nCOPY root /\nRUN echo made > /made && mkdir /d && ln /made /d/link && rm /bin/true\nCMD [\"cat\", \"/made\"]\n";

#[test]
fn files_go_to_a_directory_or_a_tar() {
    let place = Place::root();
    context(&place);
    place
        .build("context", DOCKERFILE)
        .args(["-o", "out", "-o", "type=tar,dest=out.tar"])
        .succeeds();
    assert_eq!(place.read("out/d/link"), "made\n");
    assert!(!place.has("out/bin/true") && place.has("out/bin/false"));
    place
        .host("tar -tf out.tar | grep -qx made && { tar -xOf out.tar made; tar -xOf out.tar d/link; } && ! tar -tf out.tar | grep -qx bin/true")
        .succeeds()
        .says("made");
    // Nothing is left in the store.
    assert_eq!(place.wiac(["images", "-q"]).succeeds().stdout, "");
    place
        .wiac(["build", "-q", "-o", "-", "context"])
        .after("set -o pipefail")
        .succeeds()
        .mentions("ustar");
    place
        .build("context", DOCKERFILE)
        .args(["-o", "type=what,dest=x"])
        .fails(125)
        .complains(&["unknown type what"]);
}

#[test]
fn images_go_to_archives() {
    let place = Place::root();
    context(&place);
    place
        .build("context", DOCKERFILE)
        .args([
            "-t",
            "named",
            "-o",
            "type=oci,dest=oci.tar",
            "-o",
            "type=docker,dest=docker.tar",
        ])
        .args([
            "-o",
            "type=oci,tar=false,dest=layout",
            "--iidfile",
            "id",
            "--metadata-file",
            "meta.json",
        ])
        .succeeds();
    let id = place.read("id");
    assert!(
        place.read("meta.json").contains(&id) && place.read("meta.json").contains("docker.io/library/named:latest")
    );
    // The id is the one that others see.
    place
        .host("tar -xOf docker.tar manifest.json | grep -q \"$(sed s/sha256:// id)\" && grep -q '\"imageLayoutVersion\"' layout/oci-layout")
        .succeeds();
    for archive in ["oci.tar", "docker.tar", "layout"] {
        place.host("rm -rf data").succeeds();
        place
            .wiac(["load", "-q", "-i", archive])
            .succeeds()
            .says(id.trim_start_matches("sha256:"));
        place.wiac(["run", "named"]).succeeds().says("made");
    }
}

#[test]
fn outputs_that_mean_the_store() {
    let place = Place::root();
    context(&place);
    // docker's own images are the ones that its run finds.
    place
        .build("context", DOCKERFILE)
        .args(["-t", "one", "-o", "type=docker"])
        .succeeds();
    place.wiac(["run", "--pull=never", "one"]).succeeds().says("made");
    place
        .build("context", DOCKERFILE)
        .args(["-o", "type=image,name=two"])
        .succeeds();
    place.wiac(["run", "--pull=never", "two"]).succeeds().says("made");
    place
        .build("context", DOCKERFILE)
        .args(["-t", "three", "-o", "type=cacheonly"])
        .succeeds()
        .says("");
    place.wiac(["inspect", "three"]).fails(1);
    place
        .build("context", DOCKERFILE)
        .args(["-o", "type=registry"])
        .fails(125)
        .complains(&["needs a name", "--tag"]);
}

#[test]
fn the_same_image_everywhere() {
    let (place, other) = (Place::root(), Place::user());
    let build = |place: &Place, arguments: &[&str], stamp: &str| {
        context(place);
        place
            .host(&format!("find context -exec touch -h -d @{stamp} {{}} +"))
            .succeeds();
        place
            .build("context", DOCKERFILE)
            .args(["--iidfile", "id"])
            .args(arguments)
            .succeeds();
        place.read("id")
    };
    let fixed = build(&place, &["--reproducible"], "1700000000");
    assert_eq!(build(&other, &["--reproducible"], "1700005555"), fixed);
    let (place, other) = (Place::root(), Place::single());
    let stamped = build(&place, &["--build-arg", "SOURCE_DATE_EPOCH=1600000000"], "1700000000");
    assert_ne!(stamped, fixed);
    context(&other);
    other
        .build("context", DOCKERFILE)
        .args(["--iidfile", "id", "-o", "type=oci,dest=x.tar"])
        .env("SOURCE_DATE_EPOCH", "1600000000")
        .succeeds();
    assert_eq!(other.read("id"), stamped);
    other
        .wiac(["build", "-t", "result", "context"])
        .env("SOURCE_DATE_EPOCH", "1600000000")
        .succeeds();
    let said = other.wiac(["inspect", "result"]).succeeds();
    assert!(said.stdout.contains("2020-09-13T12:26:40Z"), "{}", said.stdout);
}

#[test]
fn a_dockerfile_is_asked() {
    let place = Place::root();
    place.write(
        "context/Dockerfile",
        "# VERSION which one\nARG VERSION=1\n# first the beginning\nFROM scratch as first\nRUN --mount=type=secret,id=token,required --mount=type=ssh true\n# last the end\nFROM first AS last\nARG NAME\nMAINTAINER me\n",
    );
    place
        .wiac(["build", "--check", "context"])
        .fails(1)
        .mentions("MaintainerDeprecated")
        .mentions("FromAsCasing")
        .mentions("Check complete, 2 warnings found!");
    place
        .wiac(["build", "--call=targets", "context"])
        .succeeds()
        .mentions("last (default)")
        .mentions("the beginning");
    place
        .wiac(["build", "--call=outline", "--build-arg", "NAME=ann", "context"])
        .succeeds()
        .mentions("TARGET:      last")
        .mentions("which one")
        .mentions("ann")
        .mentions("token")
        .mentions("default");
    assert!(!place.has("data/layers") || place.tree("data/layers").is_empty());
    place
        .wiac(["build", "--check", "context"])
        .env("BUILDKIT_DOCKERFILE_CHECK", "skip=all")
        .succeeds()
        .says("Check complete, no warnings found.");
    place
        .wiac([
            "build",
            "--check",
            "--build-arg",
            "BUILDKIT_DOCKERFILE_CHECK=skip=all",
            "context",
        ])
        .env("BUILDKIT_DOCKERFILE_CHECK", "skip=FromAsCasing")
        .succeeds()
        .says("Check complete, no warnings found.");
}

#[test]
fn only_the_stages_that_are_named_run_again() {
    let place = Place::root();
    context(&place);
    let dockerfile = "FROM scratch AS base\nCOPY root /\nRUN head -c 8 /dev/urandom | md5sum > /one\nFROM base AS top\nRUN head -c 8 /dev/urandom | md5sum > /two\nRUN cat /one /two > /said\n";
    let build = |arguments: &[&str]| {
        place
            .build("context", dockerfile)
            .args(["-t", "result"])
            .args(arguments)
            .succeeds();
        let said = place.wiac(["run", "result", "cat", "/said"]).succeeds();
        said.lines().iter().map(|line| (*line).to_owned()).collect::<Vec<_>>()
    };
    let first = build(&[]);
    assert_eq!(build(&[]), first);
    let second = build(&["--no-cache-filter", "top"]);
    assert_eq!(second[0], first[0]);
    assert_ne!(second[1], first[1]);
}

#[test]
fn an_id_goes_through_links_and_into_devices() {
    let place = Place::root();
    place.write("context/Dockerfile", "FROM scratch\nLABEL a=b\n");
    // As /dev/stdout and /dev/null are: both are root's to delete.
    place.symlink("kept", "link");
    place.symlink("/proc/self/fd/1", "stdout");
    place.host("mknod null c 1 3").succeeds();
    let build = |to: &str| place.wiac(["build", "-q", "--iidfile", to, "context"]);
    let id = build("link").succeeds().text().to_owned();
    assert_eq!(place.read("kept"), id);
    build("stdout").succeeds().says(&format!("{id}{id}"));
    build("null").succeeds().says(&id);
    place.host("test -L link && test -L stdout && test -c null").succeeds();
    // A build that fails leaves no id of another one.
    place.write("context/Dockerfile", "FROM scratch\nRUN false\n");
    build("link").fails(1);
    assert_eq!(place.read("kept"), "");
    place.write("id", &id);
    build("id").fails(1);
    assert!(!place.has("id"));
}
