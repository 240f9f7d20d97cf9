//! Running the tools, and the small image that all of them build.

use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};
use wiac_foreign::{Caller, Image};

/// The base, a step that deletes, replaces and changes, and a copied file.
pub const DOCKERFILE: &str = "\
FROM localhost/base:latest
RUN rm /etc/gone && rm -rf /directory && mkdir /directory && echo new >/directory/new && chmod 700 /etc/kept
COPY hello /hello
CMD [\"/bin/cat\", \"/hello\"]
";

/// A directory of a test's own, with a base tree in a tar and a build context.
pub struct Place {
    top: tempfile::TempDir,
}

impl Place {
    /// Makes the directory.
    pub fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "these tests need root");
        // Not in /tmp where that is a tmpfs or overlay: the tools want a file system that overlayfs takes as an upper.
        let top = tempfile::Builder::new()
            .prefix("wiac-foreign")
            .tempdir_in("/var/tmp")
            .unwrap();
        std::fs::set_permissions(top.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let place = Self { top };
        for directory in ["tree/bin", "tree/etc", "tree/directory", "context"] {
            std::fs::create_dir_all(place.path(directory)).unwrap();
        }
        for (file, text) in [
            ("tree/etc/gone", "gone"),
            ("tree/etc/kept", "kept"),
            ("tree/directory/old", "old"),
            ("context/hello", "hello"),
            ("context/Dockerfile", DOCKERFILE),
        ] {
            std::fs::write(place.path(file), text).unwrap();
        }
        std::fs::copy("/bin/busybox", place.path("tree/bin/busybox"))
            .expect("/bin/busybox is needed (Debian: busybox-static)");
        for name in ["sh", "rm", "mkdir", "chmod", "cat", "echo"] {
            std::os::unix::fs::symlink("busybox", place.path("tree/bin").join(name)).unwrap();
        }
        let (tree, tar) = (place.path("tree"), place.path("base.tar"));
        run(Command::new("tar").arg("-C").arg(tree).arg("-cf").arg(tar).arg("."));
        place
    }

    /// A path in it.
    pub fn path(&self, path: &str) -> PathBuf {
        self.top.path().join(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // podman and docker leave their directories mounted on themselves.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for point in points.filter(|point| Path::new(point).starts_with(self.top.path())) {
            let _ = rustix::mount::unmount(point, rustix::mount::UnmountFlags::DETACH);
        }
    }
}

/// What the command prints; panics where it fails.
pub fn run(command: &mut Command) -> String {
    let output = output(command);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Runs a command that may fail.
pub fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| {
        panic!(
            "{}: {error}; main.rs lists the packages",
            command.get_program().display()
        )
    })
}

/// What the command prints as JSON.
pub fn json(command: &mut Command) -> Value {
    serde_json::from_str(&run(command)).unwrap()
}

/// A daemon, ended with the test.
pub struct Daemon(Child);

impl Daemon {
    /// Starts a daemon and waits until `check` succeeds.
    pub fn start(command: &mut Command, log: &Path, mut check: Command) -> Self {
        let file = std::fs::File::create(log).unwrap();
        let child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn();
        let mut daemon = Self(child.unwrap_or_else(|error| panic!("{command:?}: {error}; main.rs lists the packages")));
        let begun = Instant::now();
        while !output(&mut check).status.success() {
            let ended = daemon.0.try_wait().unwrap();
            let late = begun.elapsed() > Duration::from_mins(1);
            assert!(ended.is_none() && !late, "{}", std::fs::read_to_string(log).unwrap());
            std::thread::sleep(Duration::from_millis(100));
        }
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // SIGTERM first: a killed daemon leaves its children.
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), rustix::process::Signal::TERM);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(15) && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Opens an image as root.
pub fn open(name: &str) -> wiac_foreign::Result<Image> {
    let reference = wiac_foreign::parse(name).expect("a name of another tool's store")?;
    wiac_foreign::open(&reference, &Caller::current())
}

/// Opens an image as root and lets its tool go on.
pub fn opened(name: &str) -> Image {
    let mut image = open(name).unwrap();
    image.release();
    image
}

/// The layer directories, topmost first, as overlayfs takes them.
pub fn lower(image: &Image) -> String {
    let paths: Vec<_> = image
        .layers
        .iter()
        .rev()
        .map(|layer| layer.diff.to_str().unwrap())
        .collect();
    paths.join(":")
}

/// What the layers are when overlayfs merges them: a line a file.
pub fn merged_listing(image: &Image) -> String {
    // In a mount namespace that goes away with the command.
    let script = format!(
        "mount -t tmpfs none /mnt && mkdir /mnt/m && \
         mount -t overlay none /mnt/m -o ro,metacopy=off,redirect_dir=nofollow,index=off,lowerdir={} && {}",
        lower(image),
        listing_script("/mnt/m")
    );
    run(Command::new("unshare").args(["--mount", "sh", "-ec", &script]))
}

/// The same of a directory that a tool has mounted.
pub fn listing(directory: impl AsRef<OsStr>) -> String {
    let script = listing_script(&directory.as_ref().to_string_lossy());
    run(Command::new("sh").args(["-ec", &script]))
}

/// Everything but times of access: kinds, modes, owners, link counts of files, sizes, targets, times, contents.
fn listing_script(directory: &str) -> String {
    format!(
        "cd {directory}; find . -mindepth 1 ! -type d -printf '%P %y %m %U:%G %n %s %T@ %l\\n' | sort; \
         find . -type d -printf '%P %m %U:%G %T@\\n' | sort; find . -type f -exec sha256sum {{}} + | sort"
    )
}
