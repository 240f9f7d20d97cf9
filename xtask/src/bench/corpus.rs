//! An image of realistic files: eight layers of about 128 MB each from this machine's /usr, packed by GNU tar and compressed by
//! gzip and zstd. Made once and kept.

use super::place::Place;
use crate::test::machine;
use crate::{Outcome, shell};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where it is kept.
const KEPT: &str = "/var/cache/wiac-bench";

/// Where the files come from.
const SOURCES: [&str; 3] = ["/usr/lib", "/usr/share", "/usr/bin"];

/// Layers of an image.
pub(super) const LAYERS: usize = 8;

/// Bytes of files in a layer.
const LAYER: u64 = 125 << 20;

/// Larger files are left out: a few of them would be a layer.
const LARGEST: u64 = 40 << 20;

/// The image's name.
pub(super) const NAME: &str = "localhost/corpus:latest";

/// How the layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// By gzip, level 6.
    Gzip,
    /// By zstd, level 3.
    Zstd,
}

impl Kind {
    /// As in media types and names of files.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    fn compressor(self) -> Command {
        let (program, arguments) = match self {
            Self::Gzip => ("gzip", ["-6", "-n"]),
            Self::Zstd => ("zstd", ["-3", "-q"]),
        };
        let mut command = Command::new(program);
        command.args(arguments).arg("-c");
        command
    }
}

/// Puts an image layout (a directory) of this kind into the place, made and kept where it is missing.
pub(super) fn put(place: &Place, kind: Kind) -> Outcome<PathBuf> {
    let kept = Path::new(KEPT).join(format!("corpus-{}", kind.word()));
    if !kept.join("index.json").exists() {
        make(&kept, kind)?;
    }
    let layout = place.path(&format!("corpus-{}", kind.word()));
    shell::finish(Command::new("cp").arg("-a").arg(&kept).arg(&layout))?;
    Ok(layout)
}

/// The same as one tar.
pub(super) fn archive(layout: &Path) -> Outcome<PathBuf> {
    let archive = layout.with_extension("tar");
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(layout).arg("-cf").arg(&archive);
    shell::finish(tar.args(["blobs", "index.json", "manifest.json", "oci-layout"]))?;
    Ok(archive)
}

/// The blobs of the layers, base first.
pub(super) fn blobs(layout: &Path) -> Outcome<Vec<PathBuf>> {
    let list: Value = serde_json::from_slice(&std::fs::read(layout.join("manifest.json"))?)?;
    let layers = list[0]["Layers"].as_array().ok_or("no layers in the corpus")?;
    Ok(layers
        .iter()
        .filter_map(Value::as_str)
        .map(|name| layout.join(name))
        .collect())
}

fn make(kept: &Path, kind: Kind) -> Outcome {
    machine::install(&[("zstd", "compresses the corpus")])?;
    println!("Making {} (once, about a minute)", kept.display());
    let unfinished = kept.with_extension(std::process::id().to_string());
    std::fs::create_dir_all(unfinished.join("blobs/sha256"))?;
    let (mut layers, mut diff_ids) = (Vec::new(), Vec::new());
    for files in choose()? {
        let (descriptor, diff_id) = layer(&unfinished, kind, &files)?;
        layers.push(descriptor);
        diff_ids.push(diff_id);
    }
    let config = json!({
        "architecture": if std::env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" },
        "os": "linux", "config": { "Cmd": ["/usr/bin/true"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "history": (0..LAYERS).map(|number| json!({ "created_by": format!("layer {number}") })).collect::<Vec<_>>(),
    });
    let config = blob(&unfinished, config.to_string().as_bytes())?;
    let names: Vec<String> = layers.iter().map(|layer| path_of(&layer["digest"])).collect();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described(&config, "application/vnd.oci.image.config.v1+json"), "layers": layers,
    });
    let manifest = blob(&unfinished, manifest.to_string().as_bytes())?;
    let mut descriptor = described(&manifest, "application/vnd.oci.image.manifest.v1+json");
    descriptor["annotations"] = json!({
        "io.containerd.image.name": NAME, "org.opencontainers.image.ref.name": "latest",
    });
    let write = |name: &str, value: Value| std::fs::write(unfinished.join(name), value.to_string());
    write(
        "manifest.json",
        json!([{ "Config": format!("blobs/sha256/{}", config.0), "RepoTags": [NAME], "Layers": names }]),
    )?;
    write("oci-layout", json!({ "imageLayoutVersion": "1.0.0" }))?;
    write("index.json", json!({ "schemaVersion": 2, "manifests": [descriptor] }))?;
    Ok(std::fs::rename(unfinished, kept)?)
}

/// Where a blob stands in a layout.
pub(super) fn path_of(digest: &Value) -> String {
    format!("blobs/{}", digest.as_str().unwrap_or_default().replace(':', "/"))
}

/// The files of each layer, with the directories above them, as tar wants them: without the first slash, sorted.
fn choose() -> Outcome<Vec<BTreeSet<String>>> {
    let list = shell::output(Command::new("find").args(SOURCES).args([
        "-xdev", "(", "-type", "f", "-o", "-type", "l", ")", "-printf", "%s %p\\n",
    ]))?;
    let mut files: Vec<(u64, &str)> = list
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(size, path)| Some((size.parse().ok()?, path)))
        .filter(|(size, path)| *size <= LARGEST && !path.contains('\\'))
        .collect();
    // Mixed, and the same each time: sorted by a hash of the name.
    files.sort_by_key(|(_, path)| {
        path.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    });
    let mut files = files.into_iter();
    let mut layers = Vec::new();
    for _ in 0..LAYERS {
        let (mut names, mut size) = (BTreeSet::new(), 0);
        for (length, path) in files.by_ref() {
            let name = path.trim_start_matches('/');
            let parents = Path::new(name).ancestors().skip(1);
            names.extend(
                parents
                    .filter_map(Path::to_str)
                    .filter(|parent| !parent.is_empty())
                    .map(str::to_owned),
            );
            names.insert(name.to_owned());
            size += length;
            if size >= LAYER {
                break;
            }
        }
        layers.push(names);
    }
    Ok(layers)
}

/// Packs one layer: its descriptor and its diff ID.
fn layer(layout: &Path, kind: Kind, names: &BTreeSet<String>) -> Outcome<(Value, String)> {
    let tar = layout.join("layer.tar");
    let mut pack = Command::new("tar")
        .args(["--no-recursion", "-C", "/", "-cf"])
        .arg(&tar)
        .args(["--null", "-T", "-"])
        .stdin(Stdio::piped())
        .spawn()?;
    let list: Vec<&str> = names.iter().map(String::as_str).collect();
    pack.stdin
        .take()
        .ok_or("no pipe to tar")?
        .write_all(list.join("\0").as_bytes())?;
    if !pack.wait()?.success() {
        return Err("tar can't pack the corpus".into());
    }
    let diff_id = format!("sha256:{}", sha256(&tar)?);
    let compressed = layout.join("layer");
    shell::finish(kind.compressor().arg(&tar).stdout(std::fs::File::create(&compressed)?))?;
    std::fs::remove_file(&tar)?;
    let hash = sha256(&compressed)?;
    let size = compressed.metadata()?.len();
    std::fs::rename(&compressed, layout.join("blobs/sha256").join(&hash))?;
    let media_type = format!("application/vnd.oci.image.layer.v1.tar+{}", kind.word());
    Ok((described(&(hash, size), &media_type), diff_id))
}

fn sha256(path: &Path) -> Outcome<String> {
    let text = shell::output(Command::new("sha256sum").arg(path))?;
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}

/// Writes a document: its hash and length.
pub(super) fn blob(layout: &Path, bytes: &[u8]) -> Outcome<(String, u64)> {
    let path = layout.join("document");
    std::fs::write(&path, bytes)?;
    let hash = sha256(&path)?;
    std::fs::rename(&path, layout.join("blobs/sha256").join(&hash))?;
    Ok((hash, bytes.len() as u64))
}

/// A descriptor.
pub(super) fn described((hash, size): &(String, u64), media_type: &str) -> Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{hash}"), "size": size })
}
