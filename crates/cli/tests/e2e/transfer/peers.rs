//! The other tools: each with a store of the place's own.

use crate::harness::call::Call;
use crate::harness::{Place, tools};
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

/// A program of the machine.
pub fn tool(name: &str, package: &str) -> PathBuf {
    tools::program(name).unwrap_or_else(|| {
        panic!("this test needs {name}: apt-get install {package}, or run `cargo xtask test`, which installs it")
    })
}

/// skopeo, which takes any image.
pub fn skopeo(place: &Place) -> Call {
    place
        .command(&tool("skopeo", "skopeo"))
        .arg("--insecure-policy")
        .env("TMPDIR", place.dir())
}

/// umoci.
pub fn umoci(place: &Place) -> Call {
    place.command(&tool("umoci", "umoci"))
}

/// podman on the store `store` of the place, as root.
pub fn podman(place: &Place) -> Call {
    engine(place, "podman").args(["--cgroup-manager=cgroupfs", "--events-backend=none", "--runtime=crun"])
}

/// buildah on the same store.
pub fn buildah(place: &Place) -> Call {
    engine(place, "buildah")
        .env("BUILDAH_RUNTIME", "crun")
        .env("BUILDAH_ISOLATION", "chroot")
}

fn engine(place: &Place, name: &str) -> Call {
    let call = place.command(&tool(name, name)).arg("--root").arg(place.path("store"));
    call.arg("--runroot")
        .arg(place.path("run"))
        .args(["--storage-driver", "overlay"])
        .env("PODMAN_IGNORE_CGROUPSV1_WARNING", "1")
        .env("TMPDIR", place.dir())
}

/// What podman and buildah leave mounted goes with this.
pub struct Unmounted<'p>(pub &'p Place);

impl Drop for Unmounted<'_> {
    fn drop(&mut self) {
        let script = "grep -o \" $PWD/[^ ]* \" /proc/mounts | sort -r | xargs --no-run-if-empty umount --lazy";
        self.0.host(script).ends_with_any(&[0, 1, 123]);
    }
}

/// A docker daemon of the place's own; ends with this.
pub struct Docker<'p> {
    place: &'p Place,
    daemon: Child,
    _unmounted: Unmounted<'p>,
}

impl<'p> Docker<'p> {
    /// Starts it and waits until it answers.
    pub fn start(place: &'p Place) -> Self {
        place.write("daemon.json", "{}");
        let log = std::fs::File::create(place.path("docker.log")).expect("a log");
        let option = |name: &str, file: &str| format!("--{name}={}", place.shown(file));
        let mut command = place.command(&tool("dockerd", "docker.io")).command();
        command
            .args([
                "--iptables=false",
                "--ip6tables=false",
                "--bridge=none",
                "--storage-driver=overlay2",
            ])
            .args([option("config-file", "daemon.json"), option("data-root", "docker")])
            .args([option("exec-root", "exec"), option("pidfile", "docker.pid")])
            .arg(format!("--host=unix://{}", place.shown("docker.sock")))
            .stdin(std::process::Stdio::null())
            .stdout(log.try_clone().expect("a second descriptor"))
            .stderr(log);
        let daemon = command.spawn().expect("dockerd starts");
        let mut docker = Self {
            place,
            daemon,
            _unmounted: Unmounted(place),
        };
        let begun = Instant::now();
        while !docker
            .call(["info"])
            .command()
            .output()
            .is_ok_and(|output| output.status.success())
        {
            let ended = docker.daemon.try_wait().expect("it can be asked").is_some();
            let late = begun.elapsed() > Duration::from_mins(1);
            assert!(!ended && !late, "dockerd doesn't start:\n{}", place.read("docker.log"));
            std::thread::sleep(Duration::from_millis(100));
        }
        docker
    }

    /// docker with these arguments.
    pub fn call<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Call {
        let call = self.place.command(&tool("docker", "docker.io"));
        call.arg(format!("--host=unix://{}", self.place.shown("docker.sock")))
            .env("DOCKER_BUILDKIT", "0")
            .args(arguments)
    }

    /// docker as words of a shell.
    pub fn words(&self) -> String {
        let docker = tool("docker", "docker.io");
        format!("{} --host=unix://{}", docker.display(), self.place.shown("docker.sock"))
    }

    /// The layer directories of an image, topmost first.
    pub fn directories(&self, image: &str) -> Vec<PathBuf> {
        let format = "{{.GraphDriver.Data.UpperDir}}:{{.GraphDriver.Data.LowerDir}}";
        let said = self.call(["image", "inspect", "--format", format, image]).succeeds();
        let paths = said.text().split(':').filter(|path| path.starts_with('/'));
        paths.map(PathBuf::from).collect()
    }
}

impl Drop for Docker<'_> {
    fn drop(&mut self) {
        // SIGTERM first: a killed daemon leaves its containerd.
        let pid = rustix::process::Pid::from_child(&self.daemon);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(15) && matches!(self.daemon.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
