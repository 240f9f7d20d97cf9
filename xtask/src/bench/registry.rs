//! `bench pull` and `bench push`: an image of 1 GB from and to Debian's docker-registry on loopback.
//!
//! Pull: into an empty store, and with seven of the eight layers there already. skopeo copies to a directory and unpacks nothing.
//! Push: an image of one layer made here, so that everybody has to pack and compress it (gzip, level 6), to a
//! registry that is empty each time. The floors of `bench load` tell what inflating and writing alone take.

use super::Arguments;
use super::corpus::{self, Kind};
use super::daemon::Daemon;
use super::measure::{Contender, Rounds, race};
use super::peers;
use super::place::Place;
use super::report::{Report, Target};
use crate::{Outcome, shell};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const COLD: [Target; 2] = both(3.0);
const MOSTLY_THERE: [Target; 2] = both(10.0);
const PUSH: [Target; 1] = [target("podman", 2.0)];

const fn target(peer: &'static str, factor: f64) -> Target {
    Target {
        peer,
        factor,
        processor: false,
    }
}

const fn both(factor: f64) -> [Target; 2] {
    [target("podman", factor), target("docker", factor)]
}

/// Where the registry listens.
const ADDRESS: &str = "127.0.0.1:5977";

/// A registry of our own; stopped when dropped.
struct Registry(Child);

impl Registry {
    fn start(place: &Place) -> Outcome<Self> {
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

fn name(repository: &str) -> String {
    format!("{ADDRESS}/{repository}:latest")
}

/// Measures pulling.
pub(super) fn pull(arguments: &Arguments, place: &Place) -> Outcome<Report> {
    let mut report = Report::default();
    peers::prepare()?;
    let _registry = Registry::start(place)?;
    let docker = arguments.wants("docker").then(|| Daemon::start(place)).transpose()?;
    notes(arguments, docker.as_ref(), &mut report)?;
    for kind in [Kind::Gzip, Kind::Zstd] {
        let layout = place.path(&format!("corpus-{}", kind.word()));
        fill(place, &layout, kind)?;
        let (whole, part) = (name(kind.word()), name(&format!("{}-part", kind.word())));
        let mut contenders =
            vec![Contender::new("wiac", || wiac(place, &whole)).after(|| place.fresh("data").map(drop))];
        contenders.extend(peers_of_pull(arguments, place, docker.as_ref(), &whole, None));
        let samples = race(&contenders, rounds(arguments), &place.path("log"))?;
        report.section(&format!("{}, cold", kind.word()), &contenders, &samples, &COLD);
        let mut contenders = vec![Contender::new("wiac", || wiac(place, &whole)).after(|| {
            place.fresh("data")?;
            shell::output(&mut wiac(place, &part)).map(drop)
        })];
        contenders.extend(peers_of_pull(arguments, place, docker.as_ref(), &whole, Some(&part)));
        let samples = race(&contenders, rounds(arguments), &place.path("log"))?;
        report.section(
            &format!("{}, 7 of 8 layers there", kind.word()),
            &contenders,
            &samples,
            &MOSTLY_THERE,
        );
    }
    Ok(report)
}

fn rounds(arguments: &Arguments) -> Rounds {
    Rounds {
        counted: arguments.runs,
        warm_up: 1,
        pause: Duration::from_millis(500),
    }
}

fn notes(arguments: &Arguments, docker: Option<&Daemon>, report: &mut Report) -> Outcome {
    for name in ["podman", "skopeo"] {
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
fn fill(place: &Place, layout: &Path, kind: Kind) -> Outcome {
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
        copy.args(["copy", "-q", "--insecure-policy", "--dest-tls-verify=false"]);
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

fn wiac(place: &Place, image: &str) -> Command {
    let mut command = place.wiac();
    command.args(["pull", "-q", image]);
    command
}

/// podman, docker and (cold) skopeo; `part`: what they have already.
fn peers_of_pull<'a>(
    arguments: &Arguments,
    place: &'a Place,
    docker: Option<&'a Daemon>,
    whole: &'a str,
    part: Option<&'a str>,
) -> Vec<Contender<'a>> {
    let mut contenders = Vec::new();
    if arguments.wants("podman") {
        let pull = move |image: &str| {
            let mut command = peers::engine(place, "podman");
            command.args(["pull", "-q", "--tls-verify=false", image]);
            command
        };
        contenders.push(Contender::new("podman", move || pull(whole)).after(move || {
            shell::output(peers::engine(place, "podman").args(["rmi", "--all", "--force"]))?;
            part.map_or(Ok(()), |part| shell::output(&mut pull(part)).map(drop))
        }));
    }
    if let Some(docker) = docker {
        let pull = move |image: &str| {
            let mut command = docker.docker();
            command.args(["pull", "-q", image]);
            command
        };
        let prepare = move || {
            let _ = docker.docker().args(["rmi", "--force", whole]).output()?;
            docker.docker().args(["image", "prune", "--all", "--force"]).output()?;
            part.map_or(Ok(()), |part| shell::output(&mut pull(part)).map(drop))
        };
        contenders.push(
            Contender::new("docker", move || pull(whole))
                .after(prepare)
                .served_by(docker),
        );
    }
    if part.is_none() && arguments.wants("skopeo") {
        let to = move || format!("dir:{}", place.path("skopeo").display());
        contenders.push(
            Contender::new("skopeo to a directory", move || {
                let mut command = Command::new("skopeo");
                command.args(["copy", "-q", "--insecure-policy", "--src-tls-verify=false"]);
                command.arg(format!("docker://{whole}")).arg(to());
                command
            })
            .after(move || place.fresh("skopeo").map(drop)),
        );
    }
    contenders
}

/// Measures pushing.
pub(super) fn push(arguments: &Arguments, place: &Place) -> Outcome<Report> {
    let mut report = Report::default();
    peers::prepare()?;
    let _registry = Registry::start(place)?;
    notes(arguments, None, &mut report)?;
    let layout = place.path(&format!("corpus-{}", Kind::Gzip.word()));
    let tree = place.fresh("tree")?;
    for blob in corpus::blobs(&layout)?.iter().take(corpus::LAYERS / 2) {
        shell::finish(Command::new("tar").arg("-C").arg(&tree).arg("-xzf").arg(blob))?;
    }
    let tar = peers::pack(&tree, place)?;
    shell::output(place.wiac().arg("import").arg(&tar).arg("made"))?;
    let to = name("made");
    // Nothing is there, and nobody remembers where it was.
    let forget = || {
        place.fresh("registry")?;
        let cache = Path::new("/var/lib/containers/cache");
        if cache.exists() {
            std::fs::remove_dir_all(cache)?;
        }
        Ok(())
    };
    let mut contenders = vec![
        Contender::new("wiac", || {
            let mut command = place.wiac();
            command.args(["push", "-q", "--compression-level=6", "made", &to]);
            command
        })
        .after(forget),
    ];
    if arguments.wants("podman") {
        shell::output(
            peers::engine(place, "podman")
                .arg("import")
                .arg(&tar)
                .arg("localhost/made"),
        )?;
        contenders.push(
            Contender::new("podman", || {
                let mut command = peers::engine(place, "podman");
                command.args(["push", "-q", "--tls-verify=false"]);
                command.args([
                    "--compression-format=gzip",
                    "--compression-level=6",
                    "localhost/made",
                    &to,
                ]);
                command
            })
            .after(forget),
        );
    }
    let samples = race(&contenders, rounds(arguments), &place.path("log"))?;
    report.section("half a GB made here", &contenders, &samples, &PUSH);
    report.note(format!("podman's layer, sent last: {} bytes", sizes(place)?));
    forget()?;
    shell::output(place.wiac().args(["push", "-q", "--compression-level=6", "made", &to]))?;
    report.note(format!("wiac's: {} bytes", sizes(place)?));
    Ok(report)
}

/// What the pushed layer came to: a faster compression that packs worse would show here.
fn sizes(place: &Place) -> Outcome<String> {
    let blobs = place.path("registry/docker/registry/v2/blobs");
    let text = shell::output(
        Command::new("find")
            .arg(blobs)
            .args(["-name", "data", "-size", "+10M", "-printf", "%s "]),
    )?;
    Ok(text.trim().to_owned())
}
