//! Stores written by hand, as podman writes them; real ones are read in the end-to-end tests.

use super::*;
use crate::image::Image;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use wiac_oci::manifest::media_type;

/// A graph root that is filled step by step.
struct Fixture {
    top: tempfile::TempDir,
    images: Vec<Value>,
    layers: Vec<Value>,
}

fn digest(text: &str) -> String {
    Digest::sha256(text).to_string()
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self {
            top: tempfile::tempdir().unwrap(),
            images: Vec::new(),
            layers: Vec::new(),
        };
        for directory in ["overlay", "overlay-images", "overlay-layers"] {
            std::fs::create_dir(fixture.path(directory)).unwrap();
        }
        fixture
    }

    fn path(&self, path: &str) -> PathBuf {
        self.top.path().join(path)
    }

    /// A layer whose diff ID is made from its name.
    fn layer(&mut self, id: &str, parent: Option<&str>) -> &mut Value {
        std::fs::create_dir_all(self.path("overlay").join(id).join("diff")).unwrap();
        self.layers
            .push(json!({"id": id, "parent": parent, "diff-digest": digest(id), "diff-size": 10}));
        self.write();
        self.layers.last_mut().unwrap()
    }

    /// An image of layers, base first; its id.
    fn image(&mut self, names: &[&str], layers: &[&str]) -> String {
        let diff_ids: Vec<_> = layers.iter().map(|id| digest(id)).collect();
        let config = json!({"created": "2024-01-01T00:00:00Z", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}, "author": names.join(" ")});
        let config = config.to_string();
        let id = Digest::sha256(&config).hex().to_owned();
        let descriptor = json!({"mediaType": media_type::CONFIG, "digest": digest(&config), "size": config.len()});
        let manifest = json!({"schemaVersion": 2, "config": descriptor, "layers": []}).to_string();
        let top = layers.last().copied().unwrap_or_default();
        let manifest_digest = digest(&manifest);
        self.record(&id, names, top, &[(&digest(&config), &config), ("manifest", &manifest)]);
        assert_eq!(
            self.images.last().unwrap()["big-data-digests"]["manifest"],
            json!(manifest_digest)
        );
        id
    }

    fn record(&mut self, id: &str, names: &[&str], top: &str, data: &[(&str, &str)]) {
        let directory = self.path("overlay-images").join(id);
        std::fs::create_dir(&directory).unwrap();
        let mut digests = BTreeMap::new();
        for (name, text) in data {
            let file = match name.strip_prefix("sha256:") {
                Some(_) => format!("={}", base64_of(name)),
                None => (*name).to_owned(),
            };
            std::fs::write(directory.join(file), text).unwrap();
            digests.insert(*name, digest(text));
        }
        let known: Vec<_> = digests.keys().collect();
        self.images.push(
            json!({"id": id, "names": names, "layer": top, "created": "2024-01-01T00:00:00.5Z",
            "big-data-names": known, "big-data-digests": digests}),
        );
        self.write();
    }

    fn write(&self) {
        std::fs::write(self.path("overlay-images/images.json"), json!(self.images).to_string()).unwrap();
        std::fs::write(self.path("overlay-layers/layers.json"), json!(self.layers).to_string()).unwrap();
    }

    fn location(&self) -> Location {
        Location {
            root: Some(self.top.path().to_owned()),
            ..Location::default()
        }
    }

    fn open(&self, name: &str) -> Result<Image> {
        open(&self.location(), name, &self.caller())
    }

    fn caller(&self) -> Caller {
        Caller {
            uid: 0,
            variables: BTreeMap::new(),
            system: self.path("system"),
        }
    }

    fn refusal(&self, name: &str) -> String {
        let message = self.open(name).unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    }
}

/// Base64 by another way than the code under test: coreutils.
fn base64_of(text: &str) -> String {
    use std::io::Write;
    let mut child = std::process::Command::new("base64")
        .arg("--wrap=0")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

fn two_layers() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.layer("base", None);
    fixture.layer("top", Some("base"));
    fixture
}

#[test]
fn an_image_with_its_layers() {
    let mut fixture = two_layers();
    let id = fixture.image(&["localhost/x:latest"], &["base", "top"]);
    std::fs::write(fixture.path("overlay-layers/top.tar-split.gz"), "").unwrap();
    let image = fixture.open("x").unwrap();
    assert_eq!(image.id.hex(), id);
    image.id.verify(&image.config).unwrap();
    assert!(image.manifest.is_some());
    assert_eq!(image.names, ["localhost/x:latest"]);
    let found: Vec<_> = image.layers.iter().map(|layer| layer.diff.clone()).collect();
    assert_eq!(
        found,
        [fixture.path("overlay/base/diff"), fixture.path("overlay/top/diff")]
    );
    assert_eq!(image.layers[0].tar_split, None);
    assert_eq!(
        image.layers[1].tar_split,
        Some(fixture.path("overlay-layers/top.tar-split.gz"))
    );
    assert_eq!(image.layers[1].size, Some(10));
    assert_eq!(image.layers[1].form, Form::Trusted);
    let summaries = list(&fixture.location(), &fixture.caller()).unwrap();
    assert_eq!(summaries.len(), 1);
    assert_eq!(
        (summaries[0].size, summaries[0].created),
        (Some(20), Some(1_704_067_200))
    );
    assert!(
        !fixture.path("overlay-images/images.lock").exists(),
        "nothing is made in the store"
    );
}

#[test]
fn every_name_podman_takes() {
    let mut fixture = two_layers();
    let own = fixture.image(&["localhost/x:latest", "localhost/x:1"], &["base"]);
    let docker = fixture.image(&["docker.io/library/x:2"], &["base"]);
    let quay = fixture.image(&["quay.io/team/tool:latest"], &["base", "top"]);
    let digest = fixture.images[2]["big-data-digests"]["manifest"]
        .as_str()
        .unwrap()
        .to_owned();
    for (name, id) in [
        ("x", &own),
        ("x:1", &own),
        ("localhost/x", &own),
        (own.as_str(), &own),
        (&own[..6], &own),
        (&format!("sha256:{own}"), &own),
        (&format!("@{own}"), &own),
        (&format!("localhost/x@{own}"), &own),
        ("x:2", &docker),
        ("docker.io/x:2", &docker),
        ("quay.io/team/tool", &quay),
        // By the end of its repository.
        ("team/tool", &quay),
        ("tool", &quay),
        (&format!("quay.io/team/tool@{digest}"), &quay),
        (&format!("quay.io/team/tool:old@{digest}"), &quay),
        (&format!("tool@{digest}"), &quay),
    ] {
        match fixture.open(name) {
            Ok(image) => assert_eq!(image.id.hex(), id, "{name}"),
            Err(error) => panic!("{name}: {error}"),
        }
    }
    for (name, word) in [
        ("x:3", "did you mean"),
        ("quay.io/other/tool", "has no image"),
        ("quay.io/x", "has no image"),
        (&format!("localhost/x@{digest}"), "has no image"),
        ("too", "did you mean quay.io/team/tool?"),
        (&"0".repeat(64), "has no image"),
    ] {
        let message = fixture.refusal(name);
        assert!(message.contains(word), "{name}: {message}");
    }
}

#[test]
fn aliases_and_search_registries() {
    let mut fixture = two_layers();
    fixture.image(&["quay.io/x:latest"], &["base"]);
    fixture.image(&["example.org/real/y:latest"], &["base"]);
    let file = fixture.path("system/etc/containers/registries.conf.d/a.conf");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(
        file,
        "unqualified-search-registries = ['quay.io']\n[aliases]\n'z' = 'example.org/real/y'",
    )
    .unwrap();
    assert_eq!(fixture.open("x").unwrap().names, ["quay.io/x:latest"]);
    assert_eq!(fixture.open("z").unwrap().names, ["example.org/real/y:latest"]);
}

#[test]
fn a_beginning_of_several_ids() {
    let mut fixture = two_layers();
    let mut by_first = BTreeMap::<String, usize>::new();
    for number in 0..17 {
        let id = fixture.image(&[&format!("localhost/x:{number}")], &["base"]);
        *by_first.entry(id[..1].to_owned()).or_default() += 1;
    }
    // 17 ids, 16 first digits.
    let (first, count) = by_first.iter().find(|(_, count)| **count > 1).unwrap();
    let message = fixture.refusal(first);
    assert!(message.contains(&format!("{count} image ids")), "{message}");
}

#[test]
fn the_image_of_a_list_for_this_machine() {
    let mut fixture = two_layers();
    let id = fixture.image(&[], &["base"]);
    let own = fixture.images[0]["big-data-digests"]["manifest"].clone();
    let entry = |digest: &Value, architecture: &str| {
        json!({"mediaType": media_type::MANIFEST, "digest": digest, "size": 1,
            "platform": {"os": "linux", "architecture": architecture}})
    };
    let host = platform::host().architecture;
    let list = |architecture: &str| {
        json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [entry(&own, architecture)]})
            .to_string()
    };
    fixture.record("aa", &["localhost/list:latest"], "", &[("manifest", &list(&host))]);
    fixture.record("bb", &["localhost/others:latest"], "", &[("manifest", &list("other"))]);
    assert_eq!(fixture.open("list").unwrap().id.hex(), id);
    assert!(fixture.refusal("others").contains("has nothing for linux/"));
}

#[test]
fn layers_of_additional_stores() {
    let mut additional = Fixture::new();
    additional.layer("base", None);
    additional.image(&["localhost/there:latest"], &["base"]);
    let mut fixture = Fixture::new();
    fixture.layer("top", Some("base"));
    fixture.image(&["localhost/here:latest"], &["base", "top"]);
    let location = Location {
        options: vec![format!("overlay.imagestore={}", additional.top.path().display())],
        ..fixture.location()
    };
    let image = open(&location, "here", &fixture.caller()).unwrap();
    assert_eq!(image.layers[0].diff, additional.path("overlay/base/diff"));
    assert_eq!(image.layers[1].diff, fixture.path("overlay/top/diff"));
    assert_eq!(image.store, fixture.top.path());
    let image = open(&location, "there", &fixture.caller()).unwrap();
    assert_eq!(image.store, additional.top.path());
    assert_eq!(list(&location, &fixture.caller()).unwrap().len(), 2);
}

#[test]
fn what_cannot_be_used_is_refused_by_name() {
    type Change = fn(&mut Fixture);
    let changes: [(Change, &str); 12] = [
        (|f| f.layers[0]["flags"] = json!({"incomplete": true}), "incomplete"),
        (
            |f| f.layers[0]["uidmap"] = json!([{"container_id": 0, "host_id": 9, "size": 1}]),
            "id-mapped",
        ),
        (
            |f| std::fs::create_dir(f.path("overlay/base/diff1")).unwrap(),
            "id-mapped",
        ),
        (
            |f| std::fs::create_dir(f.path("overlay/base/composefs-data")).unwrap(),
            "composefs",
        ),
        (
            |f| {
                std::fs::remove_dir(f.path("overlay/base/diff")).unwrap();
                std::os::unix::fs::symlink("/", f.path("overlay/base/diff")).unwrap();
            },
            "additional layer store",
        ),
        (
            |f| std::fs::remove_dir_all(f.path("overlay/base")).unwrap(),
            "is missing",
        ),
        (|f| f.layers.truncate(0), "isn't listed"),
        (|f| f.layers[0]["parent"] = json!("top"), "its own parent"),
        (
            |f| f.layers[0]["diff-digest"] = json!(digest("other")),
            "names the layer",
        ),
        (
            |f| f.layers[1]["parent"] = Value::Null,
            "names 2 layers, the store has 1",
        ),
        (|f| f.layers[0]["diff-digest"] = json!("sha1:0"), "sha1"),
        (|f| f.images[0]["id"] = json!("../escape"), "is no id"),
    ];
    for (change, word) in changes {
        let mut fixture = two_layers();
        fixture.image(&["localhost/x:latest"], &["base", "top"]);
        change(&mut fixture);
        fixture.write();
        let message = fixture.refusal("localhost/x");
        assert!(message.contains(word), "{word}: {message}");
    }
}

#[test]
fn damaged_documents() {
    let mut fixture = two_layers();
    let id = fixture.image(&["localhost/x:latest"], &["base", "top"]);
    let config = fixture
        .path("overlay-images")
        .join(&id)
        .join(format!("={}", base64_of(&format!("sha256:{id}"))));
    std::fs::write(&config, "{}").unwrap();
    assert!(fixture.refusal("x").contains("expected digest"));
    std::fs::remove_file(&config).unwrap();
    assert!(fixture.refusal("x").contains("is missing"));
    std::fs::write(fixture.path("overlay-images/images.json"), "[{]").unwrap();
    let message = fixture.refusal("x");
    assert!(message.contains("images.json is damaged"), "{message}");
}

#[test]
fn another_users_store() {
    let is_root = rustix::process::geteuid().is_root();
    assert!(is_root, "this test needs root: it gives a directory away");
    let mut fixture = two_layers();
    fixture.image(&["localhost/x:latest"], &["base", "top"]);
    // In a user namespace root's is nobody's.
    for (owner, words) in [
        (1234, "belongs to user 1234"),
        (65534, "belongs to another user, perhaps root"),
    ] {
        std::os::unix::fs::chown(fixture.top.path(), Some(owner), Some(owner)).unwrap();
        let image = fixture.open("x").expect("it can be copied from");
        let message = image.check_owner().unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
}
