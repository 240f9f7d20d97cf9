//! What wiac writes is read by other tools: the same configuration, the same files, and it runs there.

use super::peers::{Docker, Unmounted, buildah, podman, skopeo, umoci};
use super::rich::{self, assert_same, below_root, listing, merged, shown};
use super::{assert_whole, json};
use crate::harness::Place;
use serde_json::Value;

/// Deletes, replaces, changes modes, writes through a symlink.
const DOCKERFILE: &str = "FROM example.org/rich:1\n\
    RUN rm -r /etc/second /var/opaque && mkdir /var/opaque && echo fresh >/var/opaque/fresh && chmod 700 /etc/setuid\n\
    COPY --chown=1000:50 file /lib64/\n\
    RUN echo more >>/etc/linked && ln /etc/nothing /etc/nothing-too\n\
    CMD [\"cat\", \"/usr/lib64/file\"]\n";

/// An image that came in, one built on it, one squashed, one committed.
const IMAGES: [&str; 4] = [
    "example.org/rich:1",
    "example.org/built:1",
    "example.org/squashed:1",
    "example.org/committed:1",
];

fn make_images(place: &Place) -> rich::Rich {
    let made = rich::layout(place, "rich");
    place.wiac(["load", "-q", "-i", "rich", "-t", IMAGES[0]]).succeeds();
    place.write("context/file", "a file\n");
    place.build("context", DOCKERFILE).args(["-t", IMAGES[1]]).succeeds();
    place.wiac(["squash", IMAGES[1], IMAGES[2]]).succeeds();
    let chain = place.wiac(["layers", "-q", IMAGES[1]]).succeeds();
    let script =
        "rm /usr/lib64/file && mkdir /usr/lib64/file && echo mine >/usr/lib64/file/x && mv /etc/acl /etc/moved";
    place.sh(chain.text(), "./box", script).succeeds();
    let change = "CMD [\"cat\", \"/usr/lib64/file/x\"]";
    place.wiac(["commit", "-c", change, "./box", IMAGES[3]]).succeeds();
    made
}

/// What the image's command says.
fn says(image: &str) -> &'static str {
    match image {
        "example.org/rich:1" => "root:x:0:0:root:/:/bin/sh\nann:x:1000:1000::/:/bin/sh",
        "example.org/committed:1" => "mine",
        _ => "a file",
    }
}

/// The configuration that another tool shows is ours.
fn assert_config(place: &Place, image: &str, theirs: &Value) {
    let ours = &json(place.wiac(["inspect", image]))[0];
    assert_eq!(theirs["RootFS"]["Layers"], ours["RootFS"]["Layers"], "{image}");
    for field in [
        "Cmd",
        "Env",
        "Labels",
        "User",
        "WorkingDir",
        "Volumes",
        "ExposedPorts",
        "StopSignal",
    ] {
        assert_eq!(theirs["Config"][field], ours["Config"][field], "{image}: {field}");
    }
    for field in ["Architecture", "Os", "Author"] {
        assert_eq!(theirs[field], ours[field], "{image}: {field}");
    }
    // Go leaves zeros at the end of a fraction out.
    let time = |said: &Value| {
        said["Created"]
            .as_str()
            .map(|text| text.trim_end_matches(['0', 'Z']).to_owned())
    };
    assert_eq!(time(theirs), time(ours), "{image}");
}

#[test]
fn podman_buildah_skopeo_and_umoci() {
    let place = Place::root();
    let _unmounted = Unmounted(&place);
    let made = make_images(&place);
    for image in IMAGES {
        let expected = shown(&place, "data", image);
        place.wiac(["run", image]).succeeds().says(says(image));
        to_podman(&place, image, &["--format=docker-archive"], &expected);
        to_umoci(&place, image, &expected);
    }
    let expected = shown(&place, "data", IMAGES[1]);
    for options in [
        ["--compression=gzip", "--compression-level=1"],
        ["--compression=zstd", "--compression-level=1"],
        ["--format=oci-archive", "--compression=none"],
    ] {
        to_podman(&place, IMAGES[1], &options, &expected);
    }
    // buildah goes on with it.
    let container = buildah(&place).args(["from", "oci-archive:saved"]).succeeds();
    let mounted = buildah(&place).args(["mount", container.text()]).succeeds();
    let theirs = listing(&place, mounted.text().as_ref());
    assert_same("buildah", &below_root(&expected), &below_root(&theirs));
    // What came in goes out as it came.
    place
        .wiac(["save", "--format=oci-dir", "-o", "again", IMAGES[0]])
        .succeeds();
    let raw = skopeo(&place).args(["inspect", "--raw", "oci:again:1"]).succeeds();
    assert_eq!(super::layout::digest(raw.stdout.as_bytes()), made.manifest);
    place
        .host("for blob in rich/blobs/sha256/*; do cmp $blob again/blobs/sha256/${blob##*/}; done")
        .succeeds();
    assert_whole(&place, "data");
}

/// Saves an image, lets podman load it, compares and runs it there.
fn to_podman(place: &Place, image: &str, options: &[&str], expected: &str) {
    let what = format!("{image} {options:?}");
    place.wiac(["save", "-o", "saved"]).args(options).arg(image).succeeds();
    podman(place).args(["load", "-q", "-i", "saved"]).succeeds();
    let theirs = &json(podman(place).args(["image", "inspect", image]))[0];
    assert_config(place, image, theirs);
    let mounted = podman(place).args(["image", "mount", image]).succeeds();
    let theirs = listing(place, mounted.text().as_ref());
    assert_same(&what, &below_root(expected), &below_root(&theirs));
    podman(place).args(["image", "unmount", image]).succeeds();
    let run = podman(place).args(["run", "--rm", "--network=none", "--pull=never", image]);
    run.succeeds().says(says(image));
    podman(place).args(["rmi", "--force", image]).succeeds();
}

/// The same with a layout that umoci unpacks; skopeo compares the digests on the way.
fn to_umoci(place: &Place, image: &str, expected: &str) {
    place.host("rm -rf layout copied unpacked").succeeds();
    place
        .wiac(["save", "--format=oci-dir", "-o", "layout", image])
        .succeeds();
    skopeo(place)
        .args(["copy", "-q", "--preserve-digests", "oci:layout:1", "oci:copied:1"])
        .succeeds();
    umoci(place)
        .args(["unpack", "--image", "copied:1", "unpacked"])
        .succeeds();
    assert_same(
        &format!("{image} by umoci"),
        expected,
        &listing(place, &place.path("unpacked/rootfs")),
    );
}

/// The bytes that a layer came with can't be made again of its files: that is said, not hidden.
#[test]
fn what_isnt_held_any_more() {
    let place = Place::root();
    rich::layout(&place, "rich");
    place.wiac(["load", "-q", "-i", "rich", "-t", "rich"]).succeeds();
    place.wiac(["prune", "-f", "--blobs"]).succeeds();
    place
        .wiac(["save", "-o", "saved", "rich"])
        .fails(1)
        .complains(&["the blob of layer 1 isn't held any more", "load the image again"]);
    assert!(!place.has("saved"));
    place.wiac(["load", "-q", "-i", "rich", "-t", "rich"]).succeeds();
    place
        .wiac(["save", "--format=oci-dir", "-o", "again", "rich"])
        .succeeds();
    place
        .host("for blob in rich/blobs/sha256/*; do cmp $blob again/blobs/sha256/${blob##*/}; done")
        .succeeds();
    assert_whole(&place, "data");
}

#[test]
fn docker() {
    let place = Place::root();
    make_images(&place);
    let docker = Docker::start(&place);
    // Several images with layers in common, packed for the first time; from pipe to pipe.
    let script = "set -o pipefail; \"$@\" | $DOCKER load -q";
    let save = place
        .command("/bin/bash".as_ref())
        .args(["-euc", script, "bash"])
        .arg(crate::harness::tools::wiac());
    let save = save.arg("save").args(IMAGES).env("WIAC_DATA", place.data());
    let said = save.env("DOCKER", docker.words()).succeeds();
    for image in IMAGES {
        assert!(said.stdout.contains(image), "{said:?}");
    }
    for (image, options) in [
        (IMAGES[0], ["--format=oci-archive", "--compression=gzip"]),
        (IMAGES[1], ["--format=oci-archive", "--compression=gzip"]),
        (IMAGES[1], ["--format=docker-archive", "--compression=none"]),
        (IMAGES[2], ["--format=docker-archive", "--compression=none"]),
        (IMAGES[3], ["--format=oci-archive", "--compression=none"]),
    ] {
        place.wiac(["save", "-o", "saved"]).args(options).arg(image).succeeds();
        docker.call(["load", "-q", "-i", "saved"]).succeeds();
        let theirs = &json(docker.call(["image", "inspect", image]))[0];
        assert_config(&place, image, theirs);
        let expected = shown(&place, "data", image);
        assert_same(image, &expected, &merged(&place, &docker.directories(image)));
        docker
            .call(["run", "--rm", "--network=none", image])
            .succeeds()
            .says(says(image));
        docker.call(["rmi", "--force", image]).succeeds();
    }
}

/// docker's archives have the tars alone: one of a layer that is here belongs to nobody, unless its blob was let go of.
#[test]
fn a_plain_tar_is_kept_where_there_is_no_blob() {
    let place = Place::root();
    rich::layout(&place, "rich");
    place.wiac(["load", "-q", "-i", "rich", "-t", "rich"]).succeeds();
    place
        .wiac(["save", "--format=docker-archive", "-o", "plain.tar", "rich"])
        .succeeds();
    let blobs = place.tree("data/blobs/sha256");
    for _ in 0..2 {
        place.wiac(["load", "-q", "-i", "plain.tar"]).succeeds();
        assert_eq!(place.tree("data/blobs/sha256"), blobs);
        assert_whole(&place, "data");
    }
    place.wiac(["prune", "-f", "--blobs"]).succeeds();
    place.wiac(["load", "-q", "-i", "plain.tar"]).succeeds();
    assert_whole(&place, "data");
    place
        .wiac(["save", "--format=docker-archive", "-o", "again.tar", "rich"])
        .succeeds();
    place.host("cmp plain.tar again.tar").succeeds();
}
