//! A test's own directory: its files, its data directory, and the user whose it is.

use super::call::Call;
use super::tools::{self, Account};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use tempfile::TempDir;

/// overlayfs's magic number: it can't carry the upper directory of another overlay.
const OVERLAYFS: u64 = 0x794c_7630;

/// A directory that belongs to one test, and the user it works as. Everything in it is deleted with it.
#[derive(Debug)]
pub struct Place {
    directory: TempDir,
    account: Option<Account>,
}

impl Place {
    /// A place of root's.
    pub fn root() -> Self {
        Self::new(None)
    }

    /// A place of an ordinary user with subordinate ids.
    pub fn user() -> Self {
        tools::assert_root();
        Self::new(Some(tools::account_with_ids("wiac-test")))
    }

    /// A place of an ordinary user without subordinate ids.
    pub fn single() -> Self {
        tools::assert_root();
        Self::new(Some(tools::account_without_ids("wiac-test-single")))
    }

    fn new(account: Option<Account>) -> Self {
        tools::assert_root();
        let directory = tempfile::Builder::new()
            .prefix("wiac-e2e-")
            .tempdir_in(ground())
            .expect("a temporary directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("its mode can be set");
        let place = Self { directory, account };
        place.own(place.dir());
        place
    }

    /// Whether it is root's.
    pub fn is_root(&self) -> bool {
        self.account.is_none()
    }

    /// The user, where it isn't root.
    pub fn account(&self) -> Option<Account> {
        self.account
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        self.directory.path()
    }

    /// A path in it.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir().join(relative)
    }

    /// A path in it, as text.
    pub fn shown(&self, relative: &str) -> String {
        self.path(relative).to_str().expect("paths here are text").to_owned()
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Gives a file of the place to its user.
    pub fn own(&self, path: &Path) {
        if let Some(account) = self.account {
            std::os::unix::fs::lchown(path, Some(account.uid), Some(account.gid)).expect("root may give files away");
        }
    }

    /// Makes a directory with all above it.
    pub fn mkdir(&self, relative: &str) -> PathBuf {
        let mut path = self.dir().to_owned();
        for component in Path::new(relative)
            .components()
            .filter(|component| *component != Component::CurDir)
        {
            path.push(component);
            if !path.is_dir() {
                fs::create_dir(&path).unwrap_or_else(|error| panic!("mkdir {}: {error}", path.display()));
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
                self.own(&path);
            }
        }
        path
    }

    /// Writes a file, with the directories above it.
    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) -> PathBuf {
        self.write_with(relative, content, 0o644)
    }

    /// Writes an executable file.
    pub fn script(&self, relative: &str, content: &str) -> PathBuf {
        self.write_with(relative, content, 0o755)
    }

    fn write_with(&self, relative: &str, content: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        if let Some(parent) = Path::new(relative).parent().and_then(Path::to_str) {
            self.mkdir(parent);
        }
        let path = self.path(relative);
        fs::write(&path, content).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        self.own(&path);
        path
    }

    /// Copies a file of the host, executable.
    pub fn take(&self, source: &Path, relative: &str) -> PathBuf {
        let content = fs::read(source).unwrap_or_else(|error| panic!("read {}: {error}", source.display()));
        self.write_with(relative, content, 0o755)
    }

    /// Makes a symlink.
    pub fn symlink(&self, text: &str, relative: &str) {
        if let Some(parent) = Path::new(relative).parent().and_then(Path::to_str) {
            self.mkdir(parent);
        }
        let path = self.path(relative);
        std::os::unix::fs::symlink(text, &path).unwrap_or_else(|error| panic!("symlink {}: {error}", path.display()));
        self.own(&path);
    }

    /// Sets a mode.
    pub fn chmod(&self, relative: &str, mode: u32) {
        fs::set_permissions(self.path(relative), fs::Permissions::from_mode(mode)).expect("chmod");
    }

    /// Gives a file an extended attribute.
    pub fn mark(&self, relative: &str, name: &str, value: &str) {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(self.path(relative), name, value.as_bytes(), flags)
            .unwrap_or_else(|error| panic!("setxattr {relative} {name}: {error}"));
    }

    /// The extended attribute of a file, by any path.
    pub fn attribute(&self, path: &str, name: &str) -> String {
        let mut value = [0; 256];
        let length = rustix::fs::lgetxattr(self.path(path), name, &mut value[..])
            .unwrap_or_else(|error| panic!("getxattr {path} {name}: {error}"));
        String::from_utf8_lossy(&value[..length]).into_owned()
    }

    /// The contents of all files in a directory, one after the other.
    pub fn read_all(&self, relative: &str) -> String {
        let entries = fs::read_dir(self.path(relative)).expect("a directory");
        entries
            .map(|entry| fs::read_to_string(entry.expect("an entry").path()).expect("text"))
            .collect()
    }

    /// Reads a file.
    pub fn read(&self, relative: &str) -> String {
        let path = self.path(relative);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
    }

    /// Whether there is something under this name.
    pub fn has(&self, relative: &str) -> bool {
        self.path(relative).symlink_metadata().is_ok()
    }

    /// The names below a directory, sorted, those of subdirectories with the path that leads to them.
    pub fn tree(&self, relative: impl AsRef<Path>) -> Vec<String> {
        let top = self.dir().join(relative);
        let mut names = Vec::new();
        collect(&top, &top, &mut names);
        names.sort();
        names
    }

    /// A root directory with busybox in it under all its names.
    pub fn busybox(&self, relative: &str) {
        self.take(&tools::busybox(), &format!("{relative}/bin/busybox"));
        for applet in tools::applets().iter().filter(|name| *name != "busybox") {
            self.symlink("busybox", &format!("{relative}/bin/{applet}"));
        }
    }

    /// wiac with these arguments, as the place's user, started in its directory.
    pub fn wiac<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Call {
        self.command(tools::wiac())
            .args(arguments)
            .env("WIAC_DATA", self.data())
    }

    /// `wiac run CHAIN CONTAINERLAYER sh -c SCRIPT` with the chain and the container layer below.
    pub fn sh(&self, chain: &str, layer: &str, script: &str) -> Call {
        self.wiac(["run", chain, layer, "/bin/sh", "-c", script])
    }

    /// A container on busybox, the quickest way to look at what a container sees: `wiac run ./base ./layer sh -c …`.
    pub fn inside(&self, script: &str) -> Call {
        if !self.has("base") {
            self.busybox("base");
        }
        self.sh("./base", "./layer", script)
    }

    /// `wiac build DIR` where DIR holds this Dockerfile.
    pub fn build(&self, directory: &str, dockerfile: &str) -> Call {
        self.write(&format!("{directory}/Dockerfile"), dockerfile);
        self.wiac(["build", directory])
    }

    /// Builds an image called `name` of busybox with these further instructions.
    pub fn image(&self, name: &str, instructions: &str) {
        let directory = format!("{name}-context");
        self.busybox(&format!("{directory}/root"));
        self.write(
            &format!("{directory}/root/etc/passwd"),
            "root:x:0:0:root:/:/bin/sh\nann:x:1000:1000:Ann:/home:/bin/sh\n",
        );
        self.write(
            &format!("{directory}/root/etc/group"),
            "root:x:0:\nann:x:1000:\nstaff:x:50:ann\n",
        );
        let dockerfile = format!("FROM scratch\nCOPY root /\n{instructions}\n");
        self.build(&directory, &dockerfile).args(["-t", name]).succeeds();
    }

    /// A program of the host as the place's user.
    pub fn command(&self, program: &Path) -> Call {
        Call::new(program, self.dir()).account(self.account)
    }

    /// A script of the host's bash, run as root whoever's the place is.
    pub fn host(&self, script: &str) -> Call {
        Call::new(Path::new("/bin/bash"), self.dir()).args(["-euc", script])
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A test may have left a directory closed; root gets in anyway.
        if std::thread::panicking() && std::env::var_os("WIAC_E2E_KEEP").is_some() {
            self.directory.disable_cleanup(true);
            eprintln!("kept: {}", self.dir().display());
        }
    }
}

fn collect(top: &Path, directory: &Path, names: &mut Vec<String>) {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("list {}: {error}", directory.display()));
    for entry in entries {
        let path = entry.expect("an entry").path();
        names.push(path.strip_prefix(top).expect("below").to_string_lossy().into_owned());
        if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
            collect(top, &path, names);
        }
    }
}

/// A file system that can carry an overlay's upper directory and programs: `WIAC_TEST_DIR`, or the first that serves.
fn ground() -> PathBuf {
    let candidates = match std::env::var_os("WIAC_TEST_DIR") {
        Some(named) => vec![PathBuf::from(named)],
        None => ["/dev/shm", "/tmp", "/var/tmp"].map(PathBuf::from).to_vec(),
    };
    candidates.into_iter().find(|path| serves(path)).unwrap_or_else(|| {
        panic!("no directory can carry an overlay: set WIAC_TEST_DIR to one on ext4, xfs, btrfs or tmpfs, or run `cargo xtask test`")
    })
}

fn serves(path: &Path) -> bool {
    let (Ok(kind), Ok(status)) = (rustix::fs::statfs(path), rustix::fs::statvfs(path)) else {
        return false;
    };
    let room = status.f_bavail.saturating_mul(status.f_frsize);
    let flags = status.f_flag;
    let refused = rustix::fs::StatVfsMountFlags::NOEXEC
        | rustix::fs::StatVfsMountFlags::NOSUID
        | rustix::fs::StatVfsMountFlags::RDONLY;
    u64::try_from(kind.f_type).unwrap_or(0) != OVERLAYFS && !flags.intersects(refused) && room > 1 << 29
}
