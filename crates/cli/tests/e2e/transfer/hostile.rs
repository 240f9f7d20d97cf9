//! Images written by strangers: each is refused with one line that says what is wrong, and leaves nothing behind.

use super::assert_whole;
use super::layout::{CONFIG, GZIP, INDEX, LAYER, Layout, MANIFEST, architecture, config, digest, named};
use crate::harness::Place;
use serde_json::{Value, json};
use std::fs::OpenOptions;

/// Nothing came in.
#[track_caller]
fn assert_empty(place: &Place) {
    assert_whole(place, "data");
    for directory in [
        "layers",
        "blobs/sha256",
        "images/names",
        "images/records",
        "images/exports",
        "diff-ids",
        "partial",
    ] {
        if place.has(&format!("data/{directory}")) {
            assert_eq!(
                place.tree(format!("data/{directory}")),
                Vec::<String>::new(),
                "{directory}"
            );
        }
    }
}

/// `wiac load` refuses this file or directory: with one line that has all of `expected` in it.
#[track_caller]
fn refused(place: &Place, file: &str, expected: &[&str]) {
    let said = place.wiac(["load", "-i", file]).fails(1).complains(expected);
    assert_eq!(said.stdout, "", "{file}");
    assert_eq!(said.stderr.lines().count(), 1, "{file}: {}", said.stderr);
    assert!(said.stderr.len() < 600, "{file}: {}", said.stderr);
}

/// A tar with one file in it.
fn tar(place: &Place) -> Vec<u8> {
    place.write("small/file", "small\n");
    place
        .host("tar -C small --sort=name --mtime=@0 -cf small.tar file")
        .succeeds();
    std::fs::read(place.path("small.tar")).expect("made")
}

/// A layout with one image, which `wrong` has made wrong: it gets configuration and layer and gives the manifest.
fn image_with(place: &Place, name: &str, wrong: impl FnOnce(&Layout<'_>, Value, Value) -> Value) {
    let layout = Layout::new(place, name);
    let tar = tar(place);
    let layer = layout.blob(LAYER, &tar);
    let config = layout.document(CONFIG, &config(&[digest(&tar)]));
    let manifest = wrong(&layout, config, layer);
    layout.index(&[named(&manifest, "example.org/wrong:1")]);
}

/// The file of a blob.
fn file_of(name: &str, descriptor: &Value) -> String {
    let digest = descriptor["digest"].as_str().expect("a digest");
    format!("{name}/blobs/{}", digest.replace(':', "/"))
}

/// Makes a file as long as that, with a hole at its end.
fn lengthen(place: &Place, file: &str, length: u64) {
    let file = OpenOptions::new().write(true).open(place.path(file)).expect("there");
    file.set_len(length).expect("longer");
}

#[test]
fn documents_that_are_too_much() {
    let place = Place::root();
    let huge = 100 << 20;
    image_with(&place, "huge-manifest", |layout, config, layer| {
        let mut manifest = layout.manifest(&config, &[layer]);
        lengthen(&place, &file_of("huge-manifest", &manifest), huge);
        manifest["size"] = json!(huge);
        manifest
    });
    refused(&place, "huge-manifest", &["has 104857600 bytes; such a document has"]);
    image_with(&place, "huge-config", |layout, mut config, layer| {
        lengthen(&place, &file_of("huge-config", &config), huge);
        config["size"] = json!(huge);
        layout.manifest(&config, &[layer])
    });
    refused(&place, "huge-config", &["has 104857600 bytes; such a document has"]);
    image_with(&place, "huge-index", |layout, config, layer| {
        layout.manifest(&config, &[layer])
    });
    lengthen(&place, "huge-index/index.json", huge);
    refused(&place, "huge-index", &["index.json has 104857600 bytes"]);
    let deep = |opening: &str, closing: &str| format!("{}{}", opening.repeat(100_000), closing.repeat(100_000));
    image_with(&place, "deep-config", |layout, _, layer| {
        let deep = format!(
            "{{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{}}}",
            deep("{\"a\":", "}")
        );
        let config = layout.blob(CONFIG, deep.as_bytes());
        layout.manifest(&config, &[layer])
    });
    refused(&place, "deep-config", &["its configuration can't be read"]);
    image_with(&place, "deep-manifest", |layout, _, _| {
        layout.blob(MANIFEST, deep("[", "]").as_bytes())
    });
    refused(&place, "deep-manifest", &["its manifest can't be read"]);
    image_with(&place, "many-layers", |layout, config, layer| {
        layout.manifest(&config, &vec![layer; 5000])
    });
    refused(
        &place,
        "many-layers",
        &["its configuration has 1 layers, its manifest 5000"],
    );
    assert_empty(&place);
}

#[test]
fn documents_that_lie() {
    let place = Place::root();
    for (name, wrong, expected) in [
        ("manifest-size", "manifest size", "instead of 7"),
        ("manifest-damaged", "manifest", "its manifest (blobs/sha256/"),
        (
            "manifest-missing",
            "manifest missing",
            "is missing: the layout isn't whole",
        ),
        ("config-size", "config size", "its configuration"),
        ("config-damaged", "config", "is damaged"),
        ("config-missing", "config missing", "is missing: the layout isn't whole"),
        ("layer-short", "layer shorter", "layer 1 of 1"),
        (
            "layer-long",
            "layer longer",
            "longer than the 100 bytes its descriptor says",
        ),
        ("layer-damaged", "layer", "is damaged"),
        ("layer-missing", "layer missing", "is missing"),
    ] {
        image_with(&place, name, |layout, mut config, mut layer| {
            match wrong {
                "config size" => config["size"] = json!(7),
                "layer shorter" => layer["size"] = json!(1 << 20),
                "layer longer" => layer["size"] = json!(100),
                _ => {}
            }
            let mut manifest = layout.manifest(&config, &[layer.clone()]);
            if wrong == "manifest size" {
                manifest["size"] = json!(7);
            }
            let (kind, rest) = wrong.split_once(' ').unwrap_or((wrong, "damaged"));
            let file = file_of(
                name,
                match kind {
                    "manifest" => &manifest,
                    "config" => &config,
                    _ => &layer,
                },
            );
            match rest {
                "missing" => std::fs::remove_file(place.path(&file)).expect("there"),
                "damaged" => {
                    let bytes = std::fs::read(place.path(&file)).expect("there");
                    let at = bytes.windows(5).position(|part| part == b"small" || part == b"linux");
                    let mut bytes = bytes.clone();
                    bytes[at.unwrap_or(30)] ^= 1;
                    std::fs::write(place.path(&file), bytes).expect("changed");
                }
                _ => {}
            }
            manifest
        });
        refused(&place, name, &[expected]);
    }
    image_with(&place, "diff-id", |layout, _, layer| {
        let config = layout.document(CONFIG, &config(&[digest(b"another")]));
        layout.manifest(&config, &[layer])
    });
    refused(
        &place,
        "diff-id",
        &["layer 1 of 1", "its tar is not the one the configuration names"],
    );
    assert_empty(&place);
}

#[test]
fn lies_about_a_layer_that_is_here() {
    let place = Place::root();
    image_with(&place, "good", |layout, config, layer| {
        layout.manifest(&config, &[layer])
    });
    place.wiac(["load", "good"]).succeeds();
    // The same configuration, and so the same image: nothing of its layer need be read.
    for (name, expected) in [
        ("size", "instead of 18446744073709551615"),
        ("recompressed-size", "instead of 18446744073709551615"),
        ("other-blob", "its tar is not the one the configuration names"),
    ] {
        image_with(&place, name, |layout, config, mut layer| {
            if name == "recompressed-size" {
                place.host("gzip -nk9f small.tar").succeeds();
                let bytes = std::fs::read(place.path("small.tar.gz")).expect("made");
                layer = layout.blob(GZIP, &bytes);
            }
            if name == "other-blob" {
                layer["digest"] = config["digest"].clone();
                layer["size"] = config["size"].clone();
            } else {
                layer["size"] = json!(u64::MAX);
            }
            layout.manifest(&config, &[layer])
        });
        refused(&place, name, &["layer 1 of 1", expected]);
    }
    image_with(&place, "missing-blob", |layout, config, mut layer| {
        layer["digest"] = json!(digest(b"nowhere"));
        layout.manifest(&config, &[layer])
    });
    place.wiac(["load", "missing-blob"]).succeeds();
    place.wiac(["store", "check", "--deep"]).succeeds();
    place
        .wiac(["transfer", "-q", "example.org/wrong:1", "oci:saved"])
        .succeeds();
    place.host("skopeo copy -q oci:saved dir:copied").succeeds();
    let other = place.wiac(["--data", "other", "load", "saved"]);
    other.succeeds();
}

#[test]
fn what_is_no_image_of_ours() {
    let place = Place::root();
    let manifest_of = |name: &str, kind: &str, layer_kind: &str, platform: Value| {
        image_with(&place, name, |layout, _, mut layer| {
            layer["mediaType"] = json!(layer_kind);
            let mut said = config(&[layer["digest"].as_str().expect("a digest").to_owned()]);
            if let Some(platform) = platform.as_object() {
                said.as_object_mut().expect("an object").extend(platform.clone());
            }
            let config = layout.document(kind, &said);
            layout.manifest(&config, &[layer])
        });
    };
    manifest_of("artifact", "application/vnd.cncf.helm.config.v1+json", LAYER, json!({}));
    refused(
        &place,
        "artifact",
        &["its configuration is of the unknown type application/vnd.cncf.helm"],
    );
    manifest_of("empty-artifact", "application/vnd.oci.empty.v1+json", LAYER, json!({}));
    refused(&place, "empty-artifact", &["it is an artifact, not an image"]);
    manifest_of("encrypted", CONFIG, &format!("{GZIP}+encrypted"), json!({}));
    refused(
        &place,
        "encrypted",
        &["is encrypted: decrypt the image first (skopeo copy --decryption-key"],
    );
    manifest_of("strange-layer", CONFIG, "application/vnd.example.chart", json!({}));
    refused(&place, "strange-layer", &["is of a type that no layer has"]);
    manifest_of("windows", CONFIG, LAYER, json!({"os": "windows"}));
    refused(&place, "windows", &["it is an image for windows, not for Linux"]);
    image_with(&place, "strange-manifest", |layout, config, layer| {
        let mut manifest = layout.manifest(&config, &[layer]);
        manifest["mediaType"] = json!("text/plain");
        manifest
    });
    refused(&place, "strange-manifest", &["text/plain is no image manifest"]);
    image_with(&place, "cyclic", |layout, config, layer| {
        let mut inner = layout.manifest(&config, &[layer]);
        for _ in 0..10 {
            inner = layout.document(INDEX, &json!({"schemaVersion": 2, "manifests": [inner]}));
        }
        inner
    });
    refused(&place, "cyclic", &["nested too deeply"]);
    image_with(&place, "other-machines", |layout, config, layer| {
        let manifest = layout.manifest(&config, &[layer]);
        let of = |architecture: &str| {
            let mut manifest = manifest.clone();
            manifest["platform"] = json!({"os": "linux", "architecture": architecture});
            manifest
        };
        layout.document(
            INDEX,
            &json!({"schemaVersion": 2, "manifests": [of("s390x"), of("riscv64")]}),
        )
    });
    let ours = format!(
        "there is no image for linux/{} in it, only for linux/s390x, linux/riscv64",
        architecture()
    );
    refused(&place, "other-machines", &[&ours]);
    place.write("v1/repositories", "{}");
    place.write("v1/abc/json", "{}");
    place
        .host("tar -C v1 -cf v1.tar . && tar -C small -cf root.tar . && mkdir nothing && : >empty")
        .succeeds();
    refused(&place, "v1.tar", &["before 1.10", "load and save it with docker once"]);
    refused(
        &place,
        "root.tar",
        &["there is no image in it", "for a root filesystem use wiac import"],
    );
    refused(&place, "nothing", &["there is no image in it"]);
    Layout::new(&place, "no-entry").index(&[]);
    refused(&place, "no-entry", &["there is no image in it"]);
    refused(&place, "empty", &["empty"]);
    place.write("text", "This is no archive.\n".repeat(100));
    refused(&place, "text", &["no tar"]);
    refused(&place, "not-there", &["No such file"]);
    assert_empty(&place);
}

#[test]
fn dockers_archives_that_are_wrong() {
    let place = Place::root();
    let tar = tar(&place);
    let archive = |name: &str, list: &Value, config: &Value| {
        place.write(&format!("{name}/manifest.json"), list.to_string());
        place.write(&format!("{name}/config.json"), config.to_string());
        place.write(&format!("{name}/layer.tar"), &tar);
    };
    let entry =
        |config: &str, layer: &str, name: &str| json!([{"Config": config, "RepoTags": [name], "Layers": [layer]}]);
    let right = config(&[digest(&tar)]);
    archive("no-config", &entry("missing.json", "layer.tar", "a:1"), &right);
    refused(
        &place,
        "no-config",
        &["a:1", "its configuration missing.json is missing"],
    );
    archive("no-layer", &entry("config.json", "missing.tar", "a:1"), &right);
    refused(&place, "no-layer", &["layer missing.tar is missing"]);
    archive("outside", &entry("config.json", "../small.tar", "a:1"), &right);
    refused(&place, "outside", &["../small.tar"]);
    archive("no-image", &json!([]), &right);
    refused(&place, "no-image", &["there is no image in it"]);
    archive("no-list", &json!("text"), &right);
    refused(&place, "no-list", &["manifest.json can't be read"]);
    archive("no-name", &entry("config.json", "layer.tar", "A Name"), &right);
    refused(&place, "no-name", &["its name \"A Name\" is none"]);
    archive(
        "other-tar",
        &entry("config.json", "layer.tar", "a:1"),
        &config(&[digest(b"x")]),
    );
    refused(&place, "other-tar", &["its tar is not the one the configuration names"]);
    archive("few", &entry("config.json", "layer.tar", "a:1"), &config(&[]));
    refused(&place, "few", &["they don't belong together"]);
    assert_empty(&place);
}

#[test]
fn archives_that_are_cut_off_or_burst() {
    let place = Place::root();
    image_with(&place, "good", |layout, config, layer| {
        layout.manifest(&config, &[layer])
    });
    place
        .host("tar -C good --sort=name -cf good.tar . && gzip -k good.tar && xz -k good.tar && zstd -q good.tar")
        .succeeds();
    let whole = std::fs::metadata(place.path("good.tar")).expect("made").len();
    for length in [1, 511, 700, 2000, 5000, whole / 2] {
        place.host(&format!("head -c {length} good.tar >cut.tar")).succeeds();
        refused(&place, "cut.tar", &["cut.tar"]);
    }
    for file in ["good.tar.gz", "good.tar.xz", "good.tar.zst"] {
        place.host(&format!("head -c -20 {file} >cut")).succeeds();
        refused(&place, "cut", &["cut"]);
        place.host(&format!("head -c 100 {file} >cut")).succeeds();
        refused(&place, "cut", &["cut"]);
    }
    // Zeros, and a tar that goes on with zeros: neither fills the disk.
    place.host("head -c 64M /dev/zero | zstd -q1 >zeros.zst").succeeds();
    refused(&place, "zeros.zst", &["zeros.zst", "there is nothing in it"]);
    place
        .host("truncate -s 3G hole && tar -cf - hole | zstd -q1 >bomb.zst")
        .succeeds();
    refused(&place, "bomb.zst", &["bomb.zst", "1000 times as large"]);
    assert_empty(&place);
    place.wiac(["load", "-q", "-i", "good.tar.gz"]).succeeds();
    assert_whole(&place, "data");
}

#[test]
fn nothing_of_it_reaches_the_terminal() {
    let place = Place::root();
    let bad = "a\u{1b}[2Jb";
    image_with(&place, "strange-type", |layout, config, layer| {
        let mut manifest = layout.manifest(&config, &[layer]);
        manifest["mediaType"] = json!(bad);
        manifest
    });
    refused(&place, "strange-type", &["a\\u{1b}[2Jb is no image manifest"]);
    place.write(&format!("named/{bad}"), "x".repeat(4000));
    place
        .host("tar -C named -cf named.tar . && head -c 2000 named.tar >cut.tar")
        .succeeds();
    refused(&place, "cut.tar", &["in the middle of ./a\\u{1b}[2Jb"]);
    let list = json!([{"Config": bad, "RepoTags": [], "Layers": []}]);
    place.write("listed/manifest.json", list.to_string());
    refused(&place, "listed", &["a\\u{1b}[2Jb is missing"]);
    assert_empty(&place);
}
