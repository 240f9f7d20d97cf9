//! Stores written by hand, as docker and containerd write them; real ones are read in the end-to-end tests.

use super::*;
use crate::bolt::writer::{self, Node, bucket, value};
use serde_json::json;
use wiac_oci::digest::{ChainId, DiffId, Digest};
use wiac_oci::manifest::media_type;

const METADATA: &str = "io.containerd.metadata.v1.bolt/meta.db";
const SNAPSHOTTER: &str = "io.containerd.snapshotter.v1.overlayfs";
const BLOBS: &str = "io.containerd.content.v1.content/blobs/sha256";

struct Fixture {
    top: tempfile::TempDir,
}

fn diff_ids(layers: &[&str]) -> Vec<DiffId> {
    layers.iter().map(|layer| DiffId(Digest::sha256(layer))).collect()
}

fn config(layers: &[&str]) -> String {
    json!({"created": "2024-01-01T00:00:00Z", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids(layers)}})
        .to_string()
}

impl Fixture {
    fn new() -> Self {
        Self {
            top: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.top.path().join(path)
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn caller(&self) -> Caller {
        Caller {
            uid: 0,
            variables: BTreeMap::new(),
            system: self.path("system"),
        }
    }

    fn open_at(&self, root: &str, name: &str) -> Result<Image> {
        let location = Location {
            root: Some(self.path(root)),
            ..Location::default()
        };
        open(&location, name, &self.caller())
    }

    fn refusal(&self, name: &str) -> String {
        let message = self.open_at("", name).unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    }

    /// An image in docker's own store; its id.
    fn docker_image(&self, root: &str, layers: &[&str]) -> Digest {
        let config = config(layers);
        let id = Digest::sha256(&config);
        self.file(
            &format!("{root}/image/overlay2/imagedb/content/sha256/{}", id.hex()),
            &config,
        );
        for count in 1..=layers.len() {
            let (ids, name) = (diff_ids(&layers[..count]), layers[count - 1]);
            let record = format!(
                "{root}/image/overlay2/layerdb/sha256/{}",
                ChainId::of(&ids).unwrap().0.hex()
            );
            self.file(&format!("{record}/diff"), &ids[count - 1].to_string());
            self.file(&format!("{record}/cache-id"), name);
            self.file(&format!("{record}/size"), "7");
            self.file(&format!("{record}/tar-split.json.gz"), "");
            std::fs::create_dir_all(self.path(&format!("{root}/overlay2/{name}/diff"))).unwrap();
        }
        id
    }

    fn docker_names(&self, root: &str, names: &[(&str, &Digest)]) {
        let mut repositories = BTreeMap::<_, BTreeMap<_, _>>::new();
        for (name, id) in names {
            let repository = name.split(['@', ':']).next().unwrap();
            repositories.entry(repository).or_default().insert(*name, *id);
        }
        let text = json!({"Repositories": repositories}).to_string();
        self.file(&format!("{root}/image/overlay2/repositories.json"), &text);
    }

    fn blob(&self, text: &str) -> Digest {
        let digest = Digest::sha256(text);
        self.file(&format!("{BLOBS}/{}", digest.hex()), text);
        digest
    }

    /// An index with an attestation, another platform that isn't held, and this machine's manifest of these layers.
    fn index(&self, layers: &[&str]) -> (Digest, Digest) {
        let config = self.blob(&config(layers));
        let blobs: Vec<_> = layers
            .iter()
            .map(|layer| json!({"mediaType": media_type::LAYER, "digest": self.blob(layer), "size": layer.len()}))
            .collect();
        let manifest = json!({"schemaVersion": 2, "layers": blobs,
            "config": {"mediaType": media_type::CONFIG, "digest": config, "size": 1}});
        let entry = |digest: &Digest, os: &str, architecture: &str| {
            json!({"mediaType": media_type::MANIFEST, "digest": digest, "size": 1,
                "platform": {"os": os, "architecture": architecture}})
        };
        let missing = Digest::sha256("missing");
        let host = crate::platform::host().architecture;
        let index = json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [
            entry(&missing, "unknown", "unknown"),
            entry(&missing, "linux", "other"),
            entry(&self.blob(&manifest.to_string()), "linux", &host),
        ]});
        (self.blob(&index.to_string()), config)
    }

    /// containerd's records: names of images, and chains that are unpacked by a snapshotter.
    fn containerd(&self, namespace: &str, images: &[(&str, &Digest)], snapshotter: &str, layers: &[&str], kind: u8) {
        let ids = diff_ids(layers);
        let chains: Vec<_> = (1..=ids.len())
            .map(|count| ChainId::of(&ids[..count]).unwrap().to_string())
            .collect();
        let name = |at: usize| format!("{namespace}/{at}/{}", chains[at]);
        let images = images.iter().map(|(name, digest)| {
            let target = bucket([
                ("digest", value(digest.as_str())),
                ("mediatype", value(media_type::INDEX)),
            ]);
            (*name, bucket([("createdat", value("x")), ("target", target)]))
        });
        let snapshots = (0..chains.len()).map(|at| (chains[at].clone(), bucket([("name", value(name(at)))])));
        let records = bucket([
            ("images", bucket(images)),
            ("snapshots", bucket([(snapshotter, bucket(snapshots))])),
        ]);
        let root = bucket([("v1", bucket([("version", value([2])), (namespace, records)]))]);
        writer::write(&self.path(METADATA), &root);
        let numbered = (0..chains.len()).map(|at| {
            let number = u8::try_from(at + 5).unwrap();
            std::fs::create_dir_all(self.path(&format!("{SNAPSHOTTER}/snapshots/{number}/fs"))).unwrap();
            let record: [(&str, Node); 3] = [("id", value([number])), ("kind", value([kind])), ("size", value([14]))];
            (name(at), bucket(record))
        });
        let root = bucket([("v1", bucket([("snapshots", bucket(numbered))]))]);
        writer::write(&self.path(SNAPSHOTTER).join("metadata.db"), &root);
    }
}

#[test]
fn dockers_own_store() {
    let fixture = Fixture::new();
    let id = fixture.docker_image("d", &["base", "top"]);
    let digest = Digest::sha256("a manifest");
    let by_digest = format!("x@{digest}");
    fixture.docker_names("d", &[("x:latest", &id), ("example.org/y:1", &id), (&by_digest, &id)]);
    for name in [
        "x",
        "docker.io/library/x:latest",
        "example.org/y:1",
        id.as_str(),
        id.hex(),
        id.short(),
        &by_digest,
        &format!("x:any@{digest}"),
    ] {
        let image = fixture
            .open_at("d", name)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(image.id, id, "{name}");
        assert_eq!(image.layers.len(), 2);
        assert_eq!(image.layers[1].diff, fixture.path("d/overlay2/top/diff"));
        assert_eq!(image.layers[1].size, Some(7));
        assert!(image.layers[1].tar_split.is_some());
        assert_eq!(image.names.len(), 3);
    }
    for (name, word) in [
        ("y:1", "did you mean example.org/y:1?"),
        ("x:2", "did you mean x?"),
        ("z@sha256:0", "has no image"),
        (&"0".repeat(64), "has no image"),
    ] {
        let message = fixture.open_at("d", name).unwrap_err().to_string();
        assert!(message.contains(word), "{name}: {message}");
    }
    let location = Location {
        root: Some(fixture.path("d")),
        ..Location::default()
    };
    let summaries = list(&location, &fixture.caller()).unwrap();
    assert_eq!((summaries.len(), summaries[0].size), (1, Some(14)));
}

#[test]
fn damage_in_dockers_own_store() {
    let chain = ChainId::of(&diff_ids(&["base"])).unwrap();
    let record = format!("image/overlay2/layerdb/sha256/{}", chain.0.hex());
    for (path, text, word) in [
        (format!("{record}/diff"), "sha256:0", "it isn't sha256:"),
        (format!("{record}/cache-id"), "../x", "is no id"),
        (format!("{record}/cache-id"), "elsewhere", "the directory of layer"),
        (
            "image/overlay2/repositories.json".to_owned(),
            "{",
            "repositories.json is damaged",
        ),
    ] {
        let fixture = Fixture::new();
        let id = fixture.docker_image(".", &["base"]);
        fixture.docker_names(".", &[("x:latest", &id)]);
        fixture.file(&path, text);
        let message = fixture.refusal("x");
        assert!(message.contains(word), "{message}");
    }
    let fixture = Fixture::new();
    let id = fixture.docker_image(".", &["base"]);
    fixture.file(&format!("image/overlay2/imagedb/content/sha256/{}", id.hex()), "{}");
    assert!(fixture.refusal(id.hex()).contains("expected digest"));
}

#[test]
fn containerds_store() {
    let fixture = Fixture::new();
    let (index, config) = fixture.index(&["base", "top"]);
    let names = [("docker.io/library/x:latest", &index), ("example.org/y:1", &index)];
    fixture.containerd("default", &names, "overlayfs", &["base", "top"], 3);
    for name in [
        "x",
        "docker.io/library/x:latest",
        "example.org/y:1",
        index.as_str(),
        index.hex(),
        index.short(),
        config.hex(),
        &format!("x@{index}"),
    ] {
        let image = fixture
            .open_at("", name)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(image.id, config, "{name}");
        assert_eq!(image.names, ["docker.io/library/x:latest", "example.org/y:1"]);
        assert_eq!(image.layers[0].diff, fixture.path(SNAPSHOTTER).join("snapshots/5/fs"));
        assert_eq!(image.layers[1].diff, fixture.path(SNAPSHOTTER).join("snapshots/6/fs"));
        assert_eq!((image.layers[1].size, image.layers[1].blob.is_some()), (Some(7), true));
    }
    assert!(fixture.refusal("y:1").contains("did you mean example.org/y:1?"));
    let location = Location {
        root: Some(fixture.top.path().to_owned()),
        ..Location::default()
    };
    let summaries = list(&location, &fixture.caller()).unwrap();
    assert_eq!(
        (summaries.len(), summaries[0].names.len(), summaries[0].size),
        (1, 2, Some(14))
    );
    let other = Location {
        driver: Some("other".to_owned()),
        ..location
    };
    assert!(open(&other, "x", &fixture.caller()).is_err(), "another namespace");
}

#[test]
fn what_containerd_has_not_unpacked() {
    let fixture = Fixture::new();
    let (index, _) = fixture.index(&["base", "top"]);
    let names = [("docker.io/library/x:latest", &index)];
    fixture.containerd("moby", &names, "overlayfs", &["base"], 3);
    assert!(fixture.refusal("x").contains("isn't unpacked"));
    fixture.containerd("moby", &names, "stargz", &["base", "top"], 3);
    assert!(fixture.refusal("x").contains("the snapshotter stargz"));
    fixture.containerd("moby", &names, "overlayfs", &["base", "top"], 2);
    assert!(fixture.refusal("x").contains("isn't committed"));
    fixture.containerd("moby", &names, "overlayfs", &["base", "top"], 3);
    std::fs::remove_dir(fixture.path(SNAPSHOTTER).join("snapshots/6/fs")).unwrap();
    assert!(fixture.refusal("x").contains("is missing"));
}

#[test]
fn documents_of_containerd_are_verified() {
    let fixture = Fixture::new();
    let (index, config) = fixture.index(&["base"]);
    fixture.containerd(
        "moby",
        &[("docker.io/library/x:latest", &index)],
        "overlayfs",
        &["base"],
        3,
    );
    let blob = format!("{BLOBS}/{}", config.hex());
    fixture.file(&blob, "{}");
    assert!(fixture.refusal("x").contains("expected digest"));
    std::fs::remove_file(fixture.path(&blob)).unwrap();
    assert!(fixture.refusal("x").contains("has nothing for linux/"));
}

#[test]
fn the_store_in_use_comes_first() {
    let fixture = Fixture::new();
    let own = fixture.docker_image("system/var/lib/docker", &["own"]);
    fixture.docker_names("system/var/lib/docker", &[("x:latest", &own)]);
    let containerd = Fixture::new();
    let (index, config) = containerd.index(&["theirs"]);
    containerd.containerd(
        "moby",
        &[("docker.io/library/x:latest", &index)],
        "overlayfs",
        &["theirs"],
        3,
    );
    std::fs::create_dir_all(fixture.path("system/var/lib")).unwrap();
    std::fs::rename(containerd.top.path(), fixture.path("system/var/lib/containerd")).unwrap();
    let found = || open(&Location::default(), "x", &fixture.caller()).unwrap().id;
    assert_eq!(found(), own);
    fixture.file(
        "system/etc/docker/daemon.json",
        r#"{"features": {"containerd-snapshotter": true}}"#,
    );
    assert_eq!(found(), config);
    fixture.file(
        "system/etc/docker/daemon.json",
        r#"{"features": {"containerd-snapshotter": false}}"#,
    );
    assert_eq!(found(), own);
    fixture.file("system/etc/docker/daemon.json", r#"{"userns-remap": "default"}"#);
    let message = open(&Location::default(), "x", &fixture.caller())
        .unwrap_err()
        .to_string();
    assert!(message.contains("userns-remap"), "{message}");
}

#[test]
fn no_store() {
    let fixture = Fixture::new();
    assert!(fixture.refusal("x").starts_with("no docker store at"));
    fixture.file("image/btrfs/repositories.json", "{}");
    assert!(fixture.refusal("x").contains("driver btrfs"));
    let user = Caller {
        uid: 1000,
        variables: BTreeMap::from([("HOME".to_owned(), fixture.path("home").into_os_string())]),
        ..fixture.caller()
    };
    let message = open(&Location::default(), "x", &user).unwrap_err().to_string();
    assert!(
        message.contains("home/.local/share/docker") && message.contains("run wiac as root"),
        "{message}"
    );
}
