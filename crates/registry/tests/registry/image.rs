//! Images for tests: documents and blobs that fit together.

use std::path::Path;
use std::process::Command;
use wiac_oci::digest::{DiffId, Digest};
use wiac_oci::manifest::{Descriptor, Index, Manifest, media_type};
use wiac_oci::reference::Reference;

/// Bytes that look like chance and are always the same.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The descriptor of a layer with these bytes.
pub fn layer_of(bytes: &[u8]) -> Descriptor {
    Descriptor::new(media_type::LAYER_GZIP, Digest::sha256(bytes), bytes.len() as u64)
}

/// `name` at a server.
pub fn reference(authority: &str, name: &str) -> Reference {
    format!("{authority}/{name}").parse().unwrap()
}

/// A manifest that refers to nothing that is there.
pub fn any_manifest() -> Vec<u8> {
    let config = Descriptor::new(media_type::CONFIG, Digest::sha256("{}"), 2);
    serde_json::to_vec(&Manifest::new(config, Vec::new())).unwrap()
}

/// An image with one layer of `size` bytes of noise, as an OCI image layout with the tag `1`.
pub struct Layout {
    pub manifest: Vec<u8>,
    pub config: Vec<u8>,
    pub layer: Vec<u8>,
    pub layer_descriptor: Descriptor,
    pub config_descriptor: Descriptor,
}

impl Layout {
    pub fn write(directory: &Path, size: usize, seed: u64) -> Self {
        let tree = directory.with_extension("tree");
        std::fs::create_dir_all(&tree).unwrap();
        std::fs::write(tree.join("file"), noise(size, seed)).unwrap();
        let tar = output(Command::new("tar").args(["-C", tree.to_str().unwrap(), "-c", "file"]));
        std::fs::write(tree.join("tar"), &tar).unwrap();
        let layer = output(Command::new("gzip").args(["-nc", tree.join("tar").to_str().unwrap()]));
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": { "type": "layers", "diff_ids": [DiffId(Digest::sha256(&tar))] },
            "history": [{ "created_by": "test" }],
        });
        let config = serde_json::to_vec(&config).unwrap();
        let layer_descriptor = layer_of(&layer);
        let config_descriptor = Descriptor::new(media_type::CONFIG, Digest::sha256(&config), config.len() as u64);
        let manifest = Manifest::new(config_descriptor.clone(), vec![layer_descriptor.clone()]);
        let manifest = serde_json::to_vec(&manifest).unwrap();
        let blobs = directory.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).unwrap();
        for bytes in [&layer, &config, &manifest] {
            std::fs::write(blobs.join(Digest::sha256(bytes).hex()), bytes).unwrap();
        }
        let mut entry = Descriptor::new(media_type::MANIFEST, Digest::sha256(&manifest), manifest.len() as u64);
        entry
            .annotations
            .insert("org.opencontainers.image.ref.name".to_owned(), "1".to_owned());
        let index = serde_json::to_vec(&Index::new(vec![entry])).unwrap();
        std::fs::write(directory.join("index.json"), index).unwrap();
        std::fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self {
            manifest,
            config,
            layer,
            layer_descriptor,
            config_descriptor,
        }
    }
}

/// What a program writes; it has to succeed.
pub fn output(command: &mut Command) -> Vec<u8> {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("this test needs {}: {error}", command.get_program().display()));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
