//! docker with its own image store, while its daemon runs.

use crate::tools::{self, Daemon, Place, json, merged_listing, open, output, run};
use std::process::Command;

struct Docker {
    // Ends before its directory goes.
    _daemon: Daemon,
    place: Place,
}

impl Docker {
    fn start() -> Self {
        let place = Place::new();
        let mut daemon = Command::new("dockerd");
        daemon.args([
            "--iptables=false",
            "--ip6tables=false",
            "--bridge=none",
            "--storage-driver=overlay2",
        ]);
        // A configuration of the machine's could name another store.
        std::fs::write(place.path("daemon.json"), "{}").unwrap();
        daemon.arg("--config-file").arg(place.path("daemon.json"));
        daemon
            .arg("--data-root")
            .arg(place.path("docker"))
            .arg("--exec-root")
            .arg(place.path("exec"));
        daemon
            .arg("--pidfile")
            .arg(place.path("docker.pid"))
            .arg("--host")
            .arg(Self::socket(&place));
        let mut check = Self::client(&place);
        check.arg("info");
        let daemon = Daemon::start(&mut daemon, &place.path("docker.log"), check);
        Self { place, _daemon: daemon }
    }

    fn socket(place: &Place) -> String {
        format!("unix://{}", place.path("docker.sock").display())
    }

    fn client(place: &Place) -> Command {
        let mut command = Command::new("docker");
        command.arg("--host").arg(Self::socket(place));
        command.env("DOCKER_BUILDKIT", "0");
        command
    }

    fn run(&self) -> Command {
        Self::client(&self.place)
    }

    fn reference(&self, name: &str) -> String {
        format!("docker-storage:[{}]{name}", self.place.path("docker").display())
    }
}

#[test]
fn what_docker_says_of_an_image() {
    let docker = Docker::start();
    run(docker
        .run()
        .arg("import")
        .arg(docker.place.path("base.tar"))
        .arg("localhost/base:latest"));
    let mut build = docker.run();
    run(build
        .args(["build", "--network=none", "--tag", "built:1"])
        .arg(docker.place.path("context")));
    run(docker.run().args(["tag", "built:1", "example.org/team/tool"]));
    let said = &json(docker.run().args(["image", "inspect", "built:1"]))[0];
    let image = open(&docker.reference("built:1")).unwrap();
    assert_eq!(said["Id"], image.id.as_str());
    assert_eq!(image.names.len(), 2);
    let data = &said["GraphDriver"]["Data"];
    let dirs = format!(
        "{}:{}",
        data["UpperDir"].as_str().unwrap(),
        data["LowerDir"].as_str().unwrap()
    );
    assert_eq!(dirs, tools::lower(&image));
    let diff_ids: Vec<_> = image
        .layers
        .iter()
        .map(|layer| layer.diff_id.clone().unwrap().to_string())
        .collect();
    assert_eq!(said["RootFS"]["Layers"], serde_json::json!(diff_ids));
    assert!(
        image
            .layers
            .iter()
            .all(|layer| layer.tar_split.is_some() && layer.size.is_some())
    );

    // The first container that isn't started shows the tree through docker's own mount of it when exported.
    let listing = merged_listing(&image);
    assert!(
        listing.contains("directory/new") && !listing.contains("directory/old"),
        "{listing}"
    );
    assert!(
        !listing.contains("etc/gone") && listing.contains("etc/kept f 700"),
        "{listing}"
    );

    let id = image.id.hex().to_owned();
    for name in [
        "built:1",
        "built",
        "docker.io/library/built:1",
        "library/built:1",
        "index.docker.io/built:1",
        "example.org/team/tool",
        "team/tool",
        "localhost/base",
        &id,
        &id[..12],
        &id[..4],
        &format!("sha256:{id}"),
        &format!("sha256:{}", &id[..12]),
        "sha256:00",
        "Upper",
    ] {
        let theirs = output(docker.run().args(["image", "inspect", "--format={{.Id}}", name]));
        let theirs = theirs
            .status
            .success()
            .then(|| String::from_utf8(theirs.stdout).unwrap().trim().to_owned());
        let ours = open(&docker.reference(name)).ok().map(|image| image.id.to_string());
        assert_eq!(ours, theirs, "{name}");
    }
    run(docker.run().args(["rmi", "--force", &id]));
    assert!(
        open(&docker.reference("built:1"))
            .unwrap_err()
            .to_string()
            .contains("has no image")
    );
}
