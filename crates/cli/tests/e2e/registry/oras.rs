//! oras, by the Python client that its project writes: artifacts that it pushes, images that it reads.

use super::debian::Registry;
use super::{assert_whole, digest_of, json, wiac_on};
use crate::harness::call::Call;
use crate::harness::{Place, tools};

const CLIENT: &str = include_str!("oras_client.py");
const USER: &str = "ann";
const SECRET: &str = "s3cr3t-w0rd";

/// The client; the place is its home, where it looks for credentials.
fn oras<'a>(place: &Place, arguments: impl IntoIterator<Item = &'a str>) -> Call {
    place
        .command(&tools::python_with_oras())
        .arg(place.write("client/oras_client.py", CLIENT))
        .args(arguments)
        .env("HOME", place.dir())
}

/// Several files of several types, a directory, and what is said of them.
fn files(place: &Place) {
    place.write("notes.txt", "one\n");
    place.write("bill.json", "{\"packages\": []}\n");
    place.write("data.bin", super::random(300_000));
    place.write("tree/sub/file", "below\n");
    place.write(
        "about.json",
        r#"{"$manifest": {"org.example.whole": "1"}, "$config": {"org.example.config": "2"},
            "notes.txt": {"org.example.file": "3"}}"#,
    );
}

const FILES: [&str; 4] = ["notes.txt:text/plain", "bill.json:application/json", "data.bin", "tree"];

/// The artifact is what was pushed, under another name.
fn is_whole(place: &Place, name: &str, into: &str) {
    oras(place, ["pull", name, into])
        .succeeds()
        .says("bill.json\ndata.bin\nnotes.txt\ntree");
    place
        .host(&format!(
            "cd {into}; for file in notes.txt bill.json data.bin tree/sub/file; do cmp $file ../$file; done"
        ))
        .succeeds();
}

#[test]
fn what_oras_pushes_is_copied_as_it_is() {
    let (place, registry) = (Place::root(), Registry::start());
    files(&place);
    let name = registry.name("files:1");
    let push = ["push", &name].into_iter().chain(FILES);
    let digest = oras(&place, push.chain(["--annotations", "about.json", "--chunked"])).succeeds();
    let digest = digest.text();
    let shown = json(place.wiac(["manifest", "inspect", &name]));
    assert_eq!(shown["annotations"]["org.example.whole"], "1");
    assert_eq!(shown["config"]["annotations"]["org.example.config"], "2");
    assert_eq!(shown["layers"][0]["mediaType"], "text/plain");
    assert_eq!(shown["layers"][0]["annotations"]["org.example.file"], "3");
    assert_eq!(shown["layers"][1]["mediaType"], "application/json");
    // It is no image.
    for arguments in [&["pull", &name][..], &["run", &name, "true"]] {
        place.wiac(arguments).ends_with_any(&[1, 125]).complains(&[
            "application/vnd.unknown.config.v1+json",
            "not an image",
            "wiac transfer",
        ]);
    }
    let transfer = |from: &str, to: &str| place.wiac(["transfer", "-q", from, to]);
    let remote = |name: &str| format!("docker://{}", registry.name(name));
    for (from, to) in [
        (remote("files:1"), remote("copied/files:2")),
        (remote("files:1"), "oci:layout".to_owned()),
        (remote("files:1"), "oci-archive:archive.tar".to_owned()),
        ("oci:layout".to_owned(), remote("of-layout:3")),
        ("oci-archive:archive.tar".to_owned(), remote("of-archive:4")),
        ("oci:layout".to_owned(), "oci-archive:again.tar".to_owned()),
    ] {
        transfer(&from, &to).succeeds();
    }
    for copied in ["copied/files:2", "of-layout:3", "of-archive:4"] {
        let copied = registry.name(copied);
        assert_eq!(digest_of(&place, &copied), digest, "{copied}");
        is_whole(&place, &copied, &copied.replace([':', '/'], "-"));
    }
    place.host("cmp archive.tar again.tar").succeeds();
    // oras reads the layout: the files, the configuration, the manifest last.
    let blobs = oras(&place, ["layout-blobs", "layout", "1"]).succeeds();
    assert_eq!((blobs.lines().len(), blobs.lines()[5]), (6, digest));
    // Between repositories of one registry nothing was sent but the manifest.
    assert_eq!(registry.requests("PUT", "/copied/files/blobs/uploads/", 201).len(), 0);
    let message = "takes images alone";
    transfer(&remote("files:1"), "mine:1")
        .fails(1)
        .complains(&[message, "oci:"]);
    transfer(&remote("files:1"), "docker-archive:x.tar")
        .fails(1)
        .complains(&["images alone", "oci-archive:"]);
    assert!(!place.has("x.tar"));
    // A blob that isn't what it is said to be goes nowhere.
    place
        .host("cd layout/blobs/sha256; for blob in *; do grep -q '^one$' $blob && echo two >$blob; done; true")
        .succeeds();
    transfer("oci:layout", "oci:other").fails(1).complains(&["damaged"]);
    assert!(!place.has("other/index.json"));
    transfer("oci:layout", &remote("damaged:5")).fails(1);
    assert_whole(&place, "data");
}

#[test]
fn what_refers_to_an_image_goes_along() {
    let (place, registry) = (Place::root(), Registry::start());
    files(&place);
    place.image("app", "");
    let (name, bill) = (registry.name("app:1"), registry.name("app:bill"));
    place.wiac(["push", "-q", "app", &name]).succeeds();
    let digest = oras(
        &place,
        [
            "artifact",
            &bill,
            "application/spdx+json",
            "bill.json",
            "notes.txt",
            "--subject",
            &name,
        ],
    );
    let digest = digest.succeeds();
    let shown = json(place.wiac(["manifest", "inspect", &bill]));
    assert_eq!(shown["artifactType"], "application/spdx+json");
    assert_eq!(shown["subject"]["digest"], digest_of(&place, &name).as_str());
    place
        .wiac(["pull", &bill])
        .fails(1)
        .complains(&["an artifact, not an image", "wiac transfer"]);
    // Debian's registry has no list of referrers, and this client writes none in its place.
    place.wiac(["referrers", &name]).succeeds().says("");
    // wiac does, wherever it copies one to.
    let copied = registry.name("other/app:bill");
    let pairs = [
        (format!("docker://{bill}"), "oci:layout".to_owned()),
        ("oci:layout".to_owned(), format!("docker://{copied}")),
    ];
    for (from, to) in &pairs {
        place.wiac(["transfer", "-q", from, to]).succeeds();
    }
    assert_eq!(digest_of(&place, &copied), digest.text());
    let subject = format!("{}@{}", registry.name("other/app"), digest_of(&place, &name));
    place
        .wiac(["referrers", &subject])
        .succeeds()
        .mentions(&format!("{}  application/spdx+json", digest.text()));
    oras(&place, ["pull", &copied, "pulled"])
        .succeeds()
        .says("bill.json\nnotes.txt");
    place.host("cmp bill.json pulled/bill.json").succeeds();
    let layout = json(place.host("cat layout/index.json"));
    assert_eq!(layout["manifests"][0]["artifactType"], "application/spdx+json");
}

#[test]
fn oras_reads_what_wiac_pushes_and_saves() {
    let (place, registry) = (Place::root(), Registry::start());
    place.image("app", "RUN echo here >/here\nCMD [\"cat\", \"/here\"]");
    for compression in ["gzip", "zstd"] {
        let name = registry.name(&format!("app:{compression}"));
        let layout = format!("saved-{compression}");
        place
            .wiac(["push", "-q", "--compression", compression, "app", &name])
            .succeeds();
        let saved = format!("--compression={compression}");
        place
            .wiac(["save", "app", "-o", &layout, "--format", "oci-dir", &saved])
            .succeeds();
        let digest = digest_of(&place, &name);
        // What oras fetches, and what it sends of the layout, is the same byte for byte.
        let fetched = format!("fetched-{compression}");
        oras(&place, ["layout-pull", &name, &fetched, "1"]).succeeds();
        place
            .host(&format!("diff -r {fetched}/blobs {layout}/blobs"))
            .succeeds();
        let blobs = oras(&place, ["layout-blobs", &layout, "latest"]).succeeds();
        assert_eq!(blobs.lines().last(), Some(&digest.as_str()), "{blobs:?}");
        let sent = registry.name(&format!("sent:{compression}"));
        oras(&place, ["layout-push", &layout, "latest", &sent])
            .succeeds()
            .says(&digest);
        wiac_on(&place, "other", ["run", "--rm", &sent]).succeeds().says("here");
        // wiac reads oras's layout.
        let loaded = wiac_on(&place, compression, ["load", "-q", "-i", &fetched]).succeeds();
        wiac_on(&place, compression, ["run", "--rm", loaded.text()])
            .succeeds()
            .says("here");
    }
    // An index, and what transfer writes.
    place.write("context/file", "x");
    place
        .build(
            "context",
            "FROM scratch\nARG TARGETPLATFORM\nLABEL on=$TARGETPLATFORM\nCOPY file /\n",
        )
        .args(["--platform", "linux/amd64,linux/arm64", "-t", "both"])
        .succeeds();
    let both = registry.name("both:1");
    place.wiac(["push", "-q", "both", &both]).succeeds();
    place
        .wiac(["save", "both", "-o", "saved-both", "--format", "oci-dir"])
        .succeeds();
    oras(&place, ["layout-pull", &both, "fetched-both", "1"]).succeeds();
    place.host("diff -r fetched-both/blobs saved-both/blobs").succeeds();
    let remote = format!("docker://{}", registry.name("app:gzip"));
    place.wiac(["transfer", "-q", &remote, "oci:moved"]).succeeds();
    oras(&place, ["layout-blobs", "moved", "gzip"]).succeeds();
    oras(&place, ["tags", &registry.name("app")])
        .succeeds()
        .says("gzip\nzstd");
    assert_whole(&place, "other");
}

#[test]
fn both_are_let_in_by_each_other_s_logins() {
    let (place, registry) = (Place::root(), Registry::with_user(USER, SECRET));
    files(&place);
    place.image("app", "");
    let (name, authority) = (registry.name("files:1"), registry.authority());
    let wiac = |arguments: &[&str]| {
        place
            .wiac(arguments)
            .env("REGISTRY_AUTH_FILE", place.path(".docker/config.json"))
    };
    let push = ["--auth", "basic", "push", &name].into_iter().chain(FILES);
    let push: Vec<&str> = push.collect();
    place.mkdir(".docker");
    let file = place.shown(".docker/config.json");
    let login = ["--auth", "basic", "login", &authority, USER, &file];
    oras(&place, login).stdin(format!("{SECRET}\n")).succeeds();
    oras(&place, push.iter().copied()).succeeds();
    let copy = format!("docker://{}", registry.name("copied:1"));
    wiac(&["transfer", "-q", &format!("docker://{name}"), &copy]).succeeds();
    wiac(&["logout", &authority]).succeeds();
    let copied = registry.name("copied:1");
    wiac(&["manifest", "inspect", &copied])
        .fails(1)
        .complains(&["wiac login"]);
    wiac(&["login", "--username", USER, "--password-stdin", &authority])
        .stdin(format!("{SECRET}\n"))
        .succeeds();
    oras(&place, ["--auth", "basic", "pull", &copied, "pulled"]).succeeds();
    place.host("cmp pulled/data.bin data.bin").succeeds();
    let image = registry.name("app:1");
    wiac(&["push", "-q", "app", &image]).succeeds();
    oras(&place, ["--auth", "basic", "layout-pull", &image, "layout", "1"]).succeeds();
    assert!(!registry.log().contains(SECRET));
}
