//! Layers, a container that looks around, and the comparison of both ways to it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use wiac_oci::runtime::{Process, RuntimeConfig};
use wiac_run::io::{Io, Stream};
use wiac_run::plan::{OverlayPaths, Rootfs, Settings};
use wiac_run::{Container, Plan, shell};

/// Where busybox-static puts its program.
const BUSYBOX: &str = "/bin/busybox";

/// Layers with a static busybox, a volume, and room for two containers on them.
pub struct Fixture {
    pub directory: tempfile::TempDir,
    pub layers: Vec<PathBuf>,
}

impl Fixture {
    /// Three layers, below a directory of this name.
    pub fn new(name: &str) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "these tests mount and change users: run them as root"
        );
        let busybox = fs::read(BUSYBOX).expect("no /bin/busybox: apt-get install busybox-static");
        assert!(
            !busybox.windows(12).any(|window| window == b"/lib64/ld-li"),
            "{BUSYBOX} isn't static: apt-get install busybox-static"
        );
        let directory = tempfile::tempdir().expect("tempdir");
        // The container's user must get through.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        let layers: Vec<PathBuf> = ["base", "middle", "top"]
            .iter()
            .map(|layer| directory.path().join(name).join(layer))
            .collect();
        for layer in &layers {
            for inside in ["bin", "of", "etc"] {
                fs::create_dir_all(layer.join(inside)).expect("mkdir");
            }
            let file_name = layer.file_name().expect("a name");
            fs::write(layer.join("of").join(file_name), layer.as_os_str().as_encoded_bytes()).expect("write");
        }
        fs::copy(BUSYBOX, layers[0].join("bin/busybox")).expect("copy");
        symlink("busybox", layers[0].join("bin/sh")).expect("symlink");
        // Led out of the container, the script would make a file on the host.
        symlink("/run/inside/resolv.conf", layers[1].join("etc/resolv.conf")).expect("symlink");
        let volume = directory.path().join("volume");
        fs::create_dir_all(volume.join("below")).expect("mkdir");
        for file in ["file", "below/file"] {
            fs::write(volume.join(file), format!("{file}\n")).expect("write");
        }
        Self { directory, layers }
    }

    pub fn volume(&self) -> String {
        self.directory.path().join("volume").to_string_lossy().into_owned()
    }

    /// An overlay on the layers, with its own directories below one of this name.
    pub fn rootfs(&self, name: &str) -> Rootfs {
        let own = self.directory.path().join(name);
        for directory in ["upper", "work", "merged"] {
            fs::create_dir_all(own.join(directory)).expect("mkdir");
        }
        Rootfs::Overlay(OverlayPaths {
            layers: self.layers.clone(),
            upper: own.join("upper"),
            work: own.join("work"),
            merged: own.join("merged"),
            volatile: true,
            user_xattrs: false,
        })
    }
}

/// A container whose program looks around in it.
pub fn probe() -> RuntimeConfig {
    let mut config = RuntimeConfig::default_container().with_host_network();
    config.hostname = Some("probe".into());
    process(&mut config).args = ["sh", "-c", include_str!("probe.sh")].map(str::to_owned).to_vec();
    config
}

pub fn process(config: &mut RuntimeConfig) -> &mut Process {
    config.process.as_mut().expect("the default has a process")
}

pub type Sections = BTreeMap<String, Vec<String>>;

pub fn sections(output: &str) -> Sections {
    let mut sections = Sections::new();
    let mut current = String::new();
    for line in output.lines() {
        match line.strip_prefix("== ") {
            Some(name) => name.clone_into(&mut current),
            None => sections.entry(current.clone()).or_default().push(line.to_owned()),
        }
    }
    for lines in sections.values_mut() {
        lines.sort();
    }
    sections
}

pub fn plan(config: &RuntimeConfig, rootfs: &Rootfs) -> Plan {
    Plan::new(config, rootfs, &Settings::default()).expect("a plan")
}

pub fn run_engine(config: &RuntimeConfig, rootfs: &Rootfs) -> String {
    let (mut output, inside) = std::io::pipe().expect("pipe");
    let error = inside.try_clone().expect("dup");
    let io = Io {
        input: Stream::Null,
        output: Stream::Descriptor(inside.into()),
        error: Stream::Descriptor(error.into()),
    };
    let mut container = Container::run(plan(config, rootfs), io).expect("the container starts");
    let mut text = String::new();
    output.read_to_string(&mut text).expect("UTF-8");
    assert_eq!(container.wait().expect("it ends").exit_code(), 0, "{text}");
    text
}

pub fn bash(script: &str) -> Command {
    let mut command = Command::new("bash");
    command
        .args(["-c", script])
        .stdin(File::open("/dev/null").expect("open"));
    command
}

pub fn run_script(script: &str) -> String {
    let (mut output, inside) = std::io::pipe().expect("pipe");
    let error = inside.try_clone().expect("dup");
    let mut command = bash(script);
    let mut child = command
        .stdout(inside)
        .stderr(error)
        .spawn()
        .expect("bash: apt-get install bash");
    drop(command);
    let mut text = String::new();
    output.read_to_string(&mut text).expect("UTF-8");
    let status = child.wait().expect("it ends");
    assert!(status.success(), "{status}:\n{text}\n{script}");
    text
}

/// Runs both, each on an upper of its own, and compares all sections.
pub fn compare(fixture: &Fixture, config: &RuntimeConfig) -> Sections {
    let engine = sections(&run_engine(config, &fixture.rootfs("engine")));
    let script = shell::script(&plan(config, &fixture.rootfs("script")), None);
    let by_hand = sections(&run_script(&script));
    assert!(engine.len() > 10, "{engine:?}");
    assert_eq!(
        engine.keys().collect::<Vec<_>>(),
        by_hand.keys().collect::<Vec<_>>(),
        "{script}"
    );
    for (name, lines) in &engine {
        assert_eq!(&by_hand[name], lines, "section {name}, first the script's\n{script}");
    }
    let upper = |name: &str| names_below(&fixture.directory.path().join(name).join("upper"));
    assert_eq!(upper("script"), upper("engine"));
    by_hand
}

fn names_below(directory: &Path) -> Vec<PathBuf> {
    let mut names = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).expect("readdir") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("a type").is_dir() {
                left.push(entry.path());
            }
            names.push(entry.path().strip_prefix(directory).expect("below").to_owned());
        }
    }
    names.sort();
    names
}
