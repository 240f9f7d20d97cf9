//! An archive as `docker save` writes it → what a container would see, and the configuration: plain texts by name.

use crate::Outcome;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use wiac_layer::compression::{Compression, decoder};
use wiac_layer::tar::{Entry, Kind, Limits, Reader};
use wiac_oci::digest::{Algorithm, Hasher};

/// An image's files and configuration.
#[derive(Debug, Default)]
pub(super) struct Image {
    /// Path → type, mode, owner, attributes, target, content.
    pub(super) files: BTreeMap<String, String>,
    /// Field → value as JSON.
    pub(super) config: BTreeMap<String, String>,
}

impl Image {
    /// Reads an archive that was unpacked to a directory.
    pub(super) fn read(directory: &Path) -> Outcome<Self> {
        let text = |path: &Path| std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
        let manifest: Value = serde_json::from_str(&text(&directory.join("manifest.json"))?)?;
        let manifest = &manifest[0];
        let name = manifest["Config"]
            .as_str()
            .ok_or("the manifest names no configuration")?;
        let config: Value = serde_json::from_str(&text(&directory.join(name))?)?;
        let mut image = Self::default();
        for layer in manifest["Layers"].as_array().ok_or("the manifest has no layers")? {
            let name = layer.as_str().ok_or("a layer has no name")?;
            image.apply(&directory.join(name))?;
        }
        image.configure(&config);
        Ok(image)
    }

    /// Lays one layer over the files.
    fn apply(&mut self, layer: &Path) -> Outcome {
        let mut file = File::open(layer).map_err(|error| format!("{}: {error}", layer.display()))?;
        let mut first = [0; Compression::MAGIC];
        let length = file.read(&mut first)?;
        let compression = Compression::detect(&first[..length]);
        let mut tar = BufReader::new(decoder(compression, Box::new(File::open(layer)?))?);
        let mut reader = Reader::new(&mut tar, Limits::default());
        let mut entry = Entry::default();
        let mut added: Vec<(String, String)> = Vec::new();
        while reader.next(&mut entry)? {
            let path = String::from_utf8_lossy(&entry.path).trim_matches('/').to_owned();
            let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
            let (above, name) = path.rsplit_once('/').unwrap_or(("", &path));
            if let Some(deleted) = name.strip_prefix(".wh.") {
                let deleted = if deleted == ".wh..opq" {
                    above.to_owned()
                } else {
                    format!("{above}/{deleted}").trim_matches('/').to_owned()
                };
                let is_opaque = name == ".wh..wh..opq";
                self.delete(&deleted, is_opaque);
                continue;
            }
            // The root is every tool's own, and no tool says anything of it by instructions.
            if path.is_empty() || path == "." {
                continue;
            }
            let known = |link: &str| {
                let added = added
                    .iter()
                    .rev()
                    .find(|(path, _)| path == link)
                    .map(|(_, text)| text.clone());
                added.or_else(|| self.files.get(link).cloned())
            };
            let text = describe(&entry, &mut reader, &known)?;
            if entry.kind != Kind::Directory {
                self.delete(&path, true);
            }
            added.push((path, text));
        }
        self.files.extend(added);
        Ok(())
    }

    fn delete(&mut self, path: &str, only_below: bool) {
        let below = format!("{path}/");
        self.files
            .retain(|known, _| !known.starts_with(&below) && (only_below || known != path));
    }

    fn configure(&mut self, config: &Value) {
        for name in ["architecture", "os", "author"] {
            self.field(name, &config[name]);
        }
        for name in [
            "User",
            "ExposedPorts",
            "Env",
            "Entrypoint",
            "Cmd",
            "Healthcheck",
            "Volumes",
            "WorkingDir",
            "OnBuild",
            "Labels",
            "StopSignal",
            "Shell",
        ] {
            self.field(name, &config["config"][name]);
        }
        let history = config["history"].as_array().cloned().unwrap_or_default();
        let with_layers = history
            .iter()
            .filter(|step| step["empty_layer"] != Value::Bool(true))
            .count();
        self.config.insert(
            "history".to_owned(),
            format!("{} entries, {with_layers} with layers", history.len()),
        );
    }

    /// What is empty and what isn't there mean the same.
    fn field(&mut self, name: &str, value: &Value) {
        let is_empty = match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        if !is_empty {
            let mut value = value.clone();
            value.sort_all_objects();
            self.config.insert(name.to_owned(), value.to_string());
        }
    }
}

/// Everything that is compared of one entry.
fn describe(entry: &Entry, reader: &mut Reader<'_>, known: &dyn Fn(&str) -> Option<String>) -> Outcome<String> {
    let target = String::from_utf8_lossy(&entry.link).into_owned();
    if entry.kind == Kind::HardLink {
        let target = target.trim_matches('/');
        return Ok(known(target.strip_prefix("./").unwrap_or(target)).unwrap_or_else(|| format!("link to {target}")));
    }
    let mut text = format!("{:?} {:o} {}:{}", entry.kind, entry.mode, entry.uid, entry.gid);
    if entry.kind == Kind::Symlink {
        // A symlink has no mode of its own.
        text = format!("Symlink {}:{} -> {target}", entry.uid, entry.gid);
    }
    if entry.kind == Kind::File {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        loop {
            let data = reader.data()?;
            if data.is_empty() {
                break;
            }
            hasher.update(data);
        }
        text = format!("{text} {} bytes {}", entry.size, &hasher.finish().hex()[..12]);
    }
    if matches!(entry.kind, Kind::CharacterDevice | Kind::BlockDevice) {
        text = format!("{text} {:?}", entry.device);
    }
    let mut attributes: Vec<String> = entry
        .xattrs
        .iter()
        .map(|(name, value)| format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)))
        .collect();
    attributes.sort();
    Ok(format!("{text} {}", attributes.join(" ")).trim_end().to_owned())
}
