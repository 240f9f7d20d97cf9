//! A virtual machine with a kernel of Debian's, for what this machine's kernel and cgroups can't show.
//!
//! Each kernel is downloaded once, not installed. There is no disk: everything is in memory, and the machine is off
//! again when the script has ended. It takes some seconds: the processor is emulated.

use super::tools;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the kernels are kept.
const DIRECTORY: &str = "/var/cache/wiac-test/kernels";

/// A symbolic name that the newest kernel for virtual machines has in each of Debian's releases.
const PACKAGE: &str = "linux-image-cloud-amd64";

/// Its modules that a container needs, and a disk.
const MODULES: [&str; 2] = ["fs/overlayfs/overlay.ko", "drivers/block/loop.ko"];

/// Which kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// 5.10, of Debian 11: the oldest that wiac runs on.
    Bullseye,
    /// 6.1, of Debian 12: overlays take one option string, tmpfs has no user attributes.
    Bookworm,
    /// 6.12, of Debian 13, built for Debian 12: overlays take their layers one by one, but not by descriptor.
    Backports,
}

impl Kernel {
    /// The archive, by the end of its address, and the suite in it.
    fn source(self) -> (&'static str, &'static str) {
        match self {
            // The rest of Debian 11 has an older one.
            Self::Bullseye => ("debian-security", "bullseye-security"),
            Self::Bookworm => ("debian", "bookworm"),
            Self::Backports => ("debian", "bookworm-backports"),
        }
    }
}

/// The longest that a script may take, in seconds.
const PATIENCE: &str = "240";

/// First of all a root that isn't the kernel's first one, which nobody can change for another.
const INIT: &str = "#!/bin/busybox sh
/bin/busybox mkdir /new
/bin/busybox mount -t tmpfs -o mode=755 none /new
cd /new
/bin/busybox mkdir -p bin proc sys dev tmp etc root var/lib
/bin/busybox cp /bin/busybox bin
/bin/busybox mv /bin/wiac bin
/bin/busybox mv /modules /machine /script .
/bin/busybox --install -s bin
exec /bin/busybox switch_root /new /machine
";

/// The machine, as an installed one would be.
const MACHINE: &str = "#!/bin/sh
export PATH=/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
chmod 1777 /tmp
for module in /modules/*; do insmod $module; done
mount -t cgroup2 cgroup2 /sys/fs/cgroup
printf 'root:x:0:0:root:/root:/bin/sh\\nuser:x:1000:1000::/home:/bin/sh\\n' > /etc/passwd
printf 'root:x:0:\\nuser:x:1000:\\n' > /etc/group
echo 'nameserver 127.0.0.1' > /etc/resolv.conf
echo '127.0.0.1 localhost' > /etc/hosts
dd if=/dev/zero of=/disk bs=1M count=0 seek=128 2>/dev/null
mke2fs -F /disk >/dev/null
losetup /dev/loop0 /disk
mkdir /home
mount -t ext4 /dev/loop0 /home
chown user:user /home
sh /script 2>&1
echo '== end'
poweroff -f
";

/// Boots `kernel`, runs `script` as root with busybox's applets and wiac, and returns what it printed.
///
/// In the machine, cgroup v2 has every controller, /home is an ext4 disk of `user`'s, everything else a tmpfs.
pub fn runs(kernel: Kernel, directory: &Path, script: &str) -> String {
    let kernel = unpacked(kernel);
    let root = directory.join("initramfs");
    for (name, text) in [("init", INIT), ("machine", MACHINE), ("script", script)] {
        write_program(&root.join(name), text.as_bytes());
    }
    write_program(&root.join("bin/busybox"), &fs::read(tools::busybox()).expect("read"));
    write_program(&root.join("bin/wiac"), &fs::read(tools::wiac()).expect("read"));
    for module in MODULES {
        let name = Path::new(module).file_name().expect("a name");
        write_program(&root.join("modules").join(name), &module_of(&kernel, module));
    }
    boot(&kernel, &packed(&root))
}

fn write_program(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
    fs::write(path, bytes).expect("write");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("chmod");
}

/// The unpacked package. Many tests may ask at once.
fn unpacked(kernel: Kernel) -> PathBuf {
    let (archive, suite) = kernel.source();
    let directory = Path::new(DIRECTORY);
    fs::create_dir_all(directory).expect("mkdir");
    let lock = File::open(directory).expect("open");
    lock.lock().expect("locked");
    let unpacked = directory.join(suite);
    if unpacked.exists() {
        return unpacked;
    }
    let fresh = directory.join("unfinished");
    // Lists of its own: what this machine installs from stays as it is. The address is the one this machine uses.
    let script = format!(
        "set -e; rm -rf {fresh}; mkdir -p {fresh}/apt/lists/partial {fresh}/apt/cache; cd {fresh}
        uri=$(apt-get indextargets --format '$(REPO_URI)' | grep '/{archive}/$' | head -n 1)
        keys=/usr/share/keyrings/debian-archive-keyring.gpg
        echo \"deb [arch=amd64 signed-by=$keys] $uri {suite} main\" > apt/list
        set -- -o Dir::Etc::SourceList=$PWD/apt/list -o Dir::Etc::SourceParts=- -o Dir::State::Lists=$PWD/apt/lists \
            -o Dir::Cache=$PWD/apt/cache -o APT::Sandbox::User=root
        apt-get \"$@\" update
        name=$(apt-cache \"$@\" depends {PACKAGE} | sed -n 's/.*Depends: //p' | grep '^linux-image' | head -n 1)
        apt-get \"$@\" download \"$name\"
        dpkg-deb -x *.deb .; rm -r *.deb apt",
        fresh = fresh.display(),
    );
    let status = Command::new("sh").args(["-c", &script]).status().expect("sh runs");
    assert!(
        status.success(),
        "Debian's kernel {PACKAGE} of {suite} can't be downloaded"
    );
    fs::rename(&fresh, &unpacked).expect("renamed");
    unpacked
}

fn only_entry(directory: &Path, start: &str) -> PathBuf {
    let entries = fs::read_dir(directory).expect("read");
    entries
        .map(|entry| entry.expect("entry").path())
        .find(|path| path.file_name().expect("a name").to_string_lossy().starts_with(start))
        .unwrap_or_else(|| panic!("there is no {start}… in {}", directory.display()))
}

/// A module's bytes; newer packages have it compressed.
fn module_of(kernel: &Path, module: &str) -> Vec<u8> {
    let modules = [kernel.join("lib/modules"), kernel.join("usr/lib/modules")];
    let directory = modules.iter().find(|path| path.exists()).expect("modules");
    let plain = only_entry(directory, "").join("kernel").join(module);
    if plain.exists() {
        return fs::read(plain).expect("read");
    }
    let compressed = plain.with_extension("ko.xz");
    let output = Command::new("xz")
        .arg("-dc")
        .arg(&compressed)
        .output()
        .expect("xz runs");
    assert!(output.status.success(), "{} can't be read", compressed.display());
    output.stdout
}

/// The archive that the kernel unpacks as its first root.
fn packed(root: &Path) -> PathBuf {
    let archive = root.with_extension("cpio");
    let script = format!(
        "cd {} && find . | {} cpio -o -H newc 2>/dev/null",
        root.display(),
        tools::busybox().display()
    );
    let status = Command::new("sh")
        .args(["-c", &script])
        .stdout(File::create(&archive).expect("create"))
        .status();
    assert!(status.expect("sh runs").success(), "cpio fails");
    archive
}

fn boot(kernel: &Path, initramfs: &Path) -> String {
    let output = Command::new("timeout")
        .args([
            PATIENCE,
            "qemu-system-x86_64",
            "-m",
            "2048",
            "-display",
            "none",
            // QEMU 7.2 gets this instruction wrong at times, and 6.12 ends with a double fault.
            "-cpu",
            "qemu64,-cx16",
            "-vga",
            "none",
        ])
        .args(["-serial", "stdio", "-monitor", "none", "-no-reboot", "-nic", "none"])
        .arg("-kernel")
        .arg(only_entry(&kernel.join("boot"), "vmlinuz"))
        .arg("-initrd")
        .arg(initramfs)
        .args(["-append", "console=ttyS0 quiet cgroup_no_v1=all panic=-1"])
        .stdin(Stdio::null())
        .output()
        .expect("this test needs qemu-system-x86: run `cargo xtask test`");
    let said = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    assert!(said.contains("== end"), "the machine didn't come to the end: {said}");
    said
}
