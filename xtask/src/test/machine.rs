//! What the tests need of a machine: packages, two ordinary users, engines that work as peers.

use super::users;
use crate::{Outcome, shell};
use std::path::Path;
use std::process::Command;

/// Debian's packages, and what needs them.
const PACKAGES: [(&str, &str); 30] = [
    ("apache2-utils", "htpasswd, for a registry with users"),
    ("attr", "setfattr: trees with attributes"),
    ("busybox-static", "the BusyBox container of the articles"),
    ("buildah", "images to and from it"),
    ("bzip2", "archives compressed with it"),
    ("containerd", "docker's, with images of its own"),
    ("curl", "puts into a registry what no tool of ours does"),
    ("crun", "podman's runtime"),
    ("docker-registry", "images from and to it"),
    ("docker.io", "images to and from it, and where they lie"),
    (
        "gcc",
        "programs linked in every way the loader knows, the articles' C programs",
    ),
    ("git", "repositories as build contexts and in ADD"),
    ("jq", "changes documents of images"),
    ("libc6-dev", "static C programs"),
    ("libcap2-bin", "setcap: files with capabilities"),
    ("libseccomp2", "the oracle of the seccomp compiler"),
    ("mmdebstrap", "a Debian image where podman and docker have it"),
    ("net-tools", "ifconfig, which scripts of --dry-run=shell call"),
    ("openssl", "certificates of a registry with TLS"),
    ("podman", "an image's layers are run by their directories"),
    ("python3", "drives libseccomp"),
    ("python3-venv", "oras, which Debian hasn't got"),
    ("e2fsprogs", "mkfs.ext4: disks that are full or lose their power"),
    ("qemu-system-x86", "a machine with another kernel"),
    ("skopeo", "images in every form"),
    ("uidmap", "newuidmap and newgidmap for containers without root"),
    ("umoci", "unpacks image layouts as the specification says"),
    (
        "xfsprogs",
        "mkfs.xfs; xfs_io, which lets the power of a file system fail",
    ),
    ("xz-utils", "archives compressed with it"),
    ("zstd", "archives compressed with it"),
];

/// oras, which is in no Debian: the client that its project writes in Python, from `PyPI`. The tests look for it here.
const ORAS: (&str, &str) = ("0.2.43", "/var/tmp/wiac-test/oras");

/// The user whose ids are mapped by newuidmap, and one without subordinate ids.
const USERS: [(&str, users::Ids); 2] = [
    ("wiac-test", users::Ids::Subordinate),
    ("wiac-test-single", users::Ids::Single),
];

/// Prepares the machine; does nothing where everything is there.
pub(super) fn prepare() -> Outcome {
    if !rustix::process::geteuid().is_root() {
        return Err(
            "the tests need root: they run containers as root and as other users (sudo cargo xtask test)".into(),
        );
    }
    install(&PACKAGES)?;
    install_oras()?;
    for (name, ids) in USERS {
        users::ensure(name, ids)?;
    }
    limit_engines()?;
    free_unified_hierarchy()
}

/// Installs those of the packages (with what needs them) that are missing.
pub(crate) fn install(packages: &[(&str, &str)]) -> Outcome {
    let missing: Vec<_> = packages.iter().filter(|(name, _)| !is_installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for (name, why) in &missing {
        eprintln!("needed: {name} ({why})");
    }
    let apt = || {
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-qq", "-o", "DPkg::Lock::Timeout=600"]);
        command
    };
    // Lists of a moment ago may name versions that are gone; a source that fails may not be one of ours.
    if let Err(error) = shell::run(apt().arg("update")) {
        eprintln!("{error}; going on with the lists there are");
    }
    let names = missing.iter().map(|(name, _)| name);
    shell::run(apt().args(["install", "--yes", "--no-install-recommends"]).args(names))
}

/// Makes a Python environment with oras in it, where it is missing or of another version.
fn install_oras() -> Outcome {
    let (version, directory) = ORAS;
    let python = Path::new(directory).join("bin/python3");
    let asked = Command::new(&python)
        .args(["-c", "from importlib.metadata import version; print(version('oras'))"])
        .output();
    if asked.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == version) {
        return Ok(());
    }
    eprintln!("needed: oras {version} of PyPI (artifacts, and images to and from it)");
    shell::run(Command::new("python3").args(["-m", "venv", "--clear", directory]))?;
    let wanted = format!("oras=={version}");
    shell::run(Command::new(python).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-cache-dir",
        &wanted,
    ]))
}

fn is_installed(package: &str) -> bool {
    let query = Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status} ", package])
        .output();
    // One word for each architecture.
    query.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout)
            .split(' ')
            .any(|word| word == "installed")
    })
}

/// podman and buildah raise limits, for which they need a capability that some machines (a job in a container) lack.
pub(crate) fn limit_engines() -> Outcome {
    const CAP_SYS_RESOURCE: u32 = 24;
    let path = Path::new("/etc/containers/containers.conf");
    if path.exists() || has_capability(CAP_SYS_RESOURCE)? {
        return Ok(());
    }
    eprintln!("writing {}: podman can't raise limits here", path.display());
    std::fs::create_dir_all("/etc/containers")?;
    Ok(std::fs::write(
        path,
        "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n",
    )?)
}

fn has_capability(number: u32) -> Outcome<bool> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .ok_or("no CapEff in /proc/self/status")?;
    Ok(u64::from_str_radix(line.trim(), 16)? & (1 << number) != 0)
}

/// crun refuses cgroups v1 as long as a controller is left in the v2 hierarchy beside: here, hugetlb.
pub(crate) fn free_unified_hierarchy() -> Outcome {
    let mounts = std::fs::read_to_string("/proc/mounts")?;
    let fields = |line: &str| {
        let mut fields = line.split(' ').skip(1).map(str::to_owned);
        Some((fields.next()?, fields.next()?))
    };
    let mounts: Vec<_> = mounts.lines().filter_map(fields).collect();
    let has_v1 = mounts.iter().any(|(_, kind)| kind == "cgroup");
    let Some((unified, _)) = mounts.iter().find(|(_, kind)| kind == "cgroup2").filter(|_| has_v1) else {
        return Ok(());
    };
    let left = std::fs::read_to_string(Path::new(unified).join("cgroup.controllers")).unwrap_or_default();
    if !left.split_whitespace().any(|name| name == "hugetlb") {
        return Ok(());
    }
    eprintln!("mounting the hugetlb hierarchy: crun wants no controller left in {unified}");
    std::fs::create_dir_all("/sys/fs/cgroup/hugetlb")?;
    let (path, flags) = (c"/sys/fs/cgroup/hugetlb", rustix::mount::MountFlags::empty());
    Ok(rustix::mount::mount(
        c"cgroup",
        path,
        c"cgroup",
        flags,
        Some(c"hugetlb"),
    )?)
}
