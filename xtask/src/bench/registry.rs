//! Debian's docker-registry on loopback, and the images that `bench pull` gets from it.

use super::Arguments;
use super::corpus::{self, Kind};
use super::daemon::Daemon;
use super::peers;
use super::place::Place;
use super::report::Report;
use crate::{Outcome, shell};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Where the registry listens.
pub(super) const ADDRESS: &str = "127.0.0.1:5977";

/// A registry of our own; stopped when dropped.
pub(super) struct Registry(Child);

impl Registry {
    /// Starts it, empty, and waits until it answers.
    pub(super) fn start(place: &Place) -> Outcome<Self> {
        let config = place.path("registry.yml");
        let data = place.directory("registry")?;
        std::fs::write(
            &config,
            format!(
                "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{ADDRESS}\"}}\n",
                data.display()
            ),
        )?;
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("docker-registry: {error} (Debian: docker-registry)"))?;
        let registry = Self(child);
        for _ in 0..100 {
            if std::net::TcpStream::connect(ADDRESS).is_ok() {
                return Ok(registry);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("docker-registry doesn't start".into())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A name in it.
pub(super) fn name(repository: &str) -> String {
    format!("{ADDRESS}/{repository}:latest")
}

/// The versions of the peers that are measured.
pub(super) fn notes(arguments: &Arguments, docker: Option<&Daemon>, report: &mut Report) -> Outcome {
    for name in ["podman", "skopeo", "umoci"] {
        if arguments.wants(name) {
            report.note(peers::version(name, name)?);
        }
    }
    if let Some(docker) = docker {
        report.note(format!(
            "docker {}; its cpu counts dockerd's and containerd's",
            docker.version()?
        ));
    }
    Ok(())
}

/// The image, and the same without its last layer.
pub(super) fn fill(place: &Place, layout: &Path, kind: Kind) -> Outcome {
    let part = place.path("part");
    if part.exists() {
        std::fs::remove_dir_all(&part)?;
    }
    shell::finish(Command::new("cp").arg("-a").arg(layout).arg(&part))?;
    without_last_layer(&part)?;
    for (layout, repository) in [
        (layout, kind.word().to_owned()),
        (&part, format!("{}-part", kind.word())),
    ] {
        let mut copy = Command::new("skopeo");
        // Else it sends, of what it has seen compressed in another way, that blob.
        copy.args([
            "copy",
            "-q",
            "--insecure-policy",
            "--dest-tls-verify=false",
            "--preserve-digests",
        ]);
        copy.arg(format!("oci:{}:latest", layout.display()));
        shell::output(copy.arg(format!("docker://{}", name(&repository))))?;
    }
    Ok(std::fs::remove_dir_all(&part)?)
}

fn without_last_layer(layout: &Path) -> Outcome {
    let read = |path: &Path| -> Outcome<Value> { Ok(serde_json::from_slice(&std::fs::read(path)?)?) };
    let blob = |descriptor: &Value| layout.join(corpus::path_of(&descriptor["digest"]));
    let mut index = read(&layout.join("index.json"))?;
    let mut manifest = read(&blob(&index["manifests"][0]))?;
    let mut config = read(&blob(&manifest["config"]))?;
    let pop = |document: &mut Value, list: &str| -> Outcome {
        let list = document.pointer_mut(list).and_then(Value::as_array_mut);
        list.ok_or("no list of layers")?.pop();
        Ok(())
    };
    pop(&mut manifest, "/layers")?;
    pop(&mut config, "/rootfs/diff_ids")?;
    pop(&mut config, "/history")?;
    let media_type = manifest["config"]["mediaType"].as_str().unwrap_or_default().to_owned();
    let written = corpus::blob(layout, config.to_string().as_bytes())?;
    manifest["config"] = corpus::described(&written, &media_type);
    let written = corpus::blob(layout, manifest.to_string().as_bytes())?;
    let annotations = index["manifests"][0]["annotations"].clone();
    index["manifests"] = json!([corpus::described(
        &written,
        "application/vnd.oci.image.manifest.v1+json"
    )]);
    index["manifests"][0]["annotations"] = annotations;
    Ok(std::fs::write(layout.join("index.json"), index.to_string())?)
}
