//! Image layouts put together by hand, right or wrong.

use crate::harness::Place;
use serde_json::{Value, json};
use wiac_oci::digest::Digest;

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(super) const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A layout in a directory of a place.
pub(super) struct Layout<'p> {
    place: &'p Place,
    name: &'p str,
}

/// The hash of bytes, as documents have it.
pub(super) fn digest(bytes: &[u8]) -> String {
    Digest::sha256(bytes).to_string()
}

impl<'p> Layout<'p> {
    /// Begins one in the directory `name`.
    pub(super) fn new(place: &'p Place, name: &'p str) -> Self {
        place.write(&format!("{name}/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#);
        place.mkdir(&format!("{name}/blobs/sha256"));
        Self { place, name }
    }

    /// Puts a blob into it and gives its descriptor.
    pub(super) fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        let file = digest.replace(':', "/");
        self.place.write(&format!("{}/blobs/{file}", self.name), bytes);
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    /// The same of a document.
    pub(super) fn document(&self, media_type: &str, document: &Value) -> Value {
        self.blob(media_type, document.to_string().as_bytes())
    }

    /// A manifest of these descriptors.
    pub(super) fn manifest(&self, config: &Value, layers: &[Value]) -> Value {
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        self.document(MANIFEST, &manifest)
    }

    /// Ends it with an index of these manifests.
    pub(super) fn index(&self, manifests: &[Value]) {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        self.place
            .write(&format!("{}/index.json", self.name), index.to_string());
    }
}

/// A configuration with these diff IDs.
pub(super) fn config(diff_ids: &[String]) -> Value {
    json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {"Cmd": ["sh", "-c", "cat /etc/passwd"], "Env": ["PATH=/usr/bin", "WHO=hand"], "Labels": {"made": "by hand"},
            "User": "root", "WorkingDir": "/etc", "Volumes": {"/data": {}}, "ExposedPorts": {"80/tcp": {}},
            "Entrypoint": null, "StopSignal": "SIGINT"},
        "created": "2020-02-02T02:02:02.123456789Z",
        "author": "nobody",
        "history": diff_ids.iter().map(|id| json!({"created": "2020-02-02T02:02:02Z", "created_by": format!("tar {id}")}))
            .collect::<Vec<_>>(),
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
}

/// This machine's, in Go's words.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// A descriptor with a name for everybody who reads layouts.
pub(super) fn named(descriptor: &Value, name: &str) -> Value {
    let mut named = descriptor.clone();
    named["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    named
}
