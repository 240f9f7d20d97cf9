//! containerd's store, while its daemon holds the locks on the databases.

use crate::tools::{Daemon, Place, lower, merged_listing, open, run};
use std::process::Command;
use wiac_oci::digest::ChainId;

struct Containerd {
    // Ends before its directory goes.
    _daemon: Daemon,
    place: Place,
}

impl Containerd {
    fn start() -> Self {
        let place = Place::new();
        let configuration = format!(
            "version = 2\nroot = \"{0}\"\nstate = \"{1}\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{2}\"\n[ttrpc]\naddress = \"{3}\"\n",
            place.path("containerd").display(),
            place.path("state").display(),
            place.path("socket").display(),
            place.path("socket.ttrpc").display(),
        );
        std::fs::write(place.path("config.toml"), configuration).unwrap();
        let mut daemon = Command::new("containerd");
        daemon.arg("--config").arg(place.path("config.toml"));
        let mut check = Self::client(&place);
        check.arg("version");
        let daemon = Daemon::start(&mut daemon, &place.path("log"), check);
        Self { place, _daemon: daemon }
    }

    fn client(place: &Place) -> Command {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(place.path("socket"));
        command
    }

    fn run(&self) -> Command {
        Self::client(&self.place)
    }

    fn reference(&self, name: &str) -> String {
        format!("docker-storage:[{}]{name}", self.place.path("containerd").display())
    }

    /// Imports the image `localhost/built:1`, made by podman.
    fn import(&self) {
        let podman = || {
            let mut command = Command::new("podman");
            command
                .arg("--root")
                .arg(self.place.path("store"))
                .arg("--runroot")
                .arg(self.place.path("run"));
            command.args([
                "--storage-driver=overlay",
                "--cgroup-manager=cgroupfs",
                "--events-backend=none",
            ]);
            command
                .arg("--runtime=crun")
                .env("PODMAN_IGNORE_CGROUPSV1_WARNING", "1");
            command
        };
        let archive = self.place.path("archive.tar");
        run(podman()
            .arg("import")
            .arg(self.place.path("base.tar"))
            .arg("localhost/base:latest"));
        let mut build = podman();
        run(build
            .args(["build", "--network=none", "--tag", "localhost/built:1"])
            .arg(self.place.path("context")));
        run(podman()
            .args(["save", "--format=oci-archive", "--output"])
            .arg(&archive)
            .arg("localhost/built:1"));
        run(self.run().args(["images", "import"]).arg(&archive));
    }
}

#[test]
fn what_containerd_says_of_an_image() {
    let containerd = Containerd::start();
    containerd.import();
    let image = open(&containerd.reference("localhost/built:1")).unwrap();
    let diff_ids: Vec<_> = image
        .layers
        .iter()
        .map(|layer| layer.diff_id.clone().unwrap())
        .collect();
    let chain = ChainId::of(&diff_ids).unwrap().to_string();
    let mount = run(containerd
        .run()
        .args(["snapshots", "view", "--target", "/mnt", "view", &chain]));
    assert!(mount.contains(&format!("lowerdir={}", lower(&image))), "{mount}");
    let listing = merged_listing(&image);
    assert!(
        listing.contains("directory/new") && !listing.contains("directory/old"),
        "{listing}"
    );
    assert!(
        !listing.contains("etc/gone") && listing.contains("etc/kept f 700"),
        "{listing}"
    );
    assert!(
        image
            .layers
            .iter()
            .all(|layer| layer.blob.is_some() && layer.size.is_some())
    );
    let target = run(containerd.run().args(["images", "ls", "name==localhost/built:1"]));
    let digest = target
        .split_whitespace()
        .find(|word| word.starts_with("sha256:"))
        .unwrap();
    for name in [
        digest,
        &digest[..19],
        image.id.as_str(),
        &format!("localhost/built@{digest}"),
    ] {
        assert_eq!(open(&containerd.reference(name)).unwrap().id, image.id, "{name}");
    }
    assert!(
        open(&containerd.reference("built:1"))
            .unwrap_err()
            .to_string()
            .contains("did you mean localhost/built:1?")
    );
}

#[test]
fn many_names_and_a_busy_writer() {
    let containerd = Containerd::start();
    containerd.import();
    let tag = |from: usize| {
        let names: Vec<_> = (from..from + 400)
            .map(|number| format!("example.org/name-{number}:tag"))
            .collect();
        run(containerd
            .run()
            .args(["images", "tag", "localhost/built:1"])
            .args(&names));
        names
    };
    let first = tag(1000);
    // Whoever is slower: containerd writes until it was read often enough.
    let enough = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| {
            for round in 2..100 {
                if round > 4 && enough.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                let names = tag(round * 1000);
                run(containerd.run().args(["images", "rm"]).args(&names));
            }
        });
        let mut count = 0;
        while !busy.is_finished() {
            let image = open(&containerd.reference(&first[count % first.len()])).unwrap();
            assert!(image.names.contains(&first[0]) && image.names.contains(&first[399]));
            count += 1;
            enough.store(count > 20, std::sync::atomic::Ordering::Relaxed);
        }
        busy.join().unwrap();
        assert!(count > 20, "only {count} times");
    });
}
