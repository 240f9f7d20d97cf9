//! What the tests need of the machine. What is missing fails a test with the line that says how to get it.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// An id of the machine's user database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// The program of this name, in the directories where the machine keeps programs.
pub fn program(name: &str) -> Option<PathBuf> {
    ["/usr/local/bin", "/usr/bin", "/usr/sbin", "/bin", "/sbin"]
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.is_file())
}

fn needed(name: &str, package: &str) -> PathBuf {
    program(name)
        .unwrap_or_else(|| panic!("this test needs {name}: apt-get install {package}, or run `cargo xtask test`"))
}

/// A statically linked busybox.
pub fn busybox() -> PathBuf {
    let path = needed("busybox", "busybox-static");
    let bytes = std::fs::read(&path).expect("busybox is readable");
    let names_loader = bytes.windows(15).any(|window| window == b"/lib64/ld-linux");
    assert!(
        !names_loader,
        "this test needs a static busybox: apt-get install busybox-static, or run `cargo xtask test`"
    );
    path
}

/// The names busybox answers to.
pub fn applets() -> &'static [String] {
    static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let output = std::process::Command::new(busybox())
            .arg("--list")
            .output()
            .expect("busybox runs");
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(str::to_owned)
            .collect()
    });
    &NAMES
}

/// The C compiler, able to link statically.
pub fn gcc() -> PathBuf {
    needed("gcc", "gcc libc6-dev")
}

/// podman.
pub fn podman() -> PathBuf {
    needed("podman", "podman")
}

/// The Python that has the module of oras; `cargo xtask test` makes it.
pub fn python_with_oras() -> PathBuf {
    let path = PathBuf::from("/var/tmp/wiac-test/oras/bin/python3");
    assert!(
        path.is_file(),
        "this test needs oras of PyPI in {}: run `cargo xtask test`, which installs it",
        path.display()
    );
    path
}

/// unshare(1) of util-linux.
pub fn unshare() -> PathBuf {
    needed("unshare", "util-linux")
}

/// setsid(1) of util-linux.
pub fn setsid() -> PathBuf {
    needed("setsid", "util-linux")
}

/// A user of the machine by name.
pub fn account(name: &str) -> Account {
    let passwd = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd is readable");
    let fields = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields[0] == name);
    let number = |text: &str| text.parse().expect("a number in /etc/passwd");
    match fields {
        Some(fields) => Account {
            uid: number(fields[2]),
            gid: number(fields[3]),
        },
        None => panic!("this test needs the user {name}: run `cargo xtask test`, which makes it"),
    }
}

/// A user that /etc/subuid gives ids to.
pub fn account_with_ids(name: &str) -> Account {
    let account = account(name);
    assert!(
        has_ids(name),
        "this test needs subordinate ids for {name} in /etc/subuid: run `cargo xtask test`"
    );
    needed("newuidmap", "uidmap");
    account
}

/// A user that /etc/subuid gives no ids to.
pub fn account_without_ids(name: &str) -> Account {
    let account = account(name);
    assert!(
        !has_ids(name),
        "{name} must not have ids in /etc/subuid: run `cargo xtask test`, which takes them away"
    );
    account
}

fn has_ids(name: &str) -> bool {
    let text = std::fs::read_to_string("/etc/subuid").unwrap_or_default();
    text.lines().any(|line| line.split(':').next() == Some(name))
}

/// Refuses to go on without root's rights, which the tests need to become others.
pub fn assert_root() {
    assert!(
        rustix::process::geteuid().is_root(),
        "these tests run containers as root and as other users: run them as root, or run `cargo xtask test`"
    );
}

/// The binary under test, where every user can reach it: `WIAC_BIN`, or the one cargo has built.
pub fn wiac() -> &'static Path {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
        let path =
            std::env::var_os("WIAC_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_wiac")), PathBuf::from);
        assert!(path.is_file(), "{} is to be tested, but isn't there", path.display());
        if is_reachable(&path) { path } else { copied(&path) }
    });
    &BINARY
}

/// Whether users other than root can start `path`.
fn is_reachable(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    path.ancestors()
        .all(|path| std::fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o001 != 0))
}

fn copied(path: &Path) -> PathBuf {
    let directory = std::env::temp_dir().join("wiac-e2e-binary");
    std::fs::create_dir_all(&directory).expect("the temporary directory is writable");
    let (new, place) = (
        directory.join(format!("wiac.{}", std::process::id())),
        directory.join("wiac"),
    );
    std::fs::copy(path, &new).expect("the binary can be copied");
    std::fs::rename(&new, &place).expect("the copy can be put in its place");
    place
}
