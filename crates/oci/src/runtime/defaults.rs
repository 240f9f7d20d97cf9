//! The container that docker starts when it is asked for nothing special; the paths and mounts are a table.

use std::collections::BTreeMap;

use super::{
    Capabilities, DeviceRule, Linux, Mount, Namespace, NamespaceType, OCI_VERSION, Process, Resources, Root,
    RuntimeConfig,
};
use crate::capability;

/// `PATH` where neither the image nor the user sets it.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Paths a container must not read, as docker 28 hides them.
///
/// docker also hides `/sys/devices/system/cpu/cpu<n>/thermal_throttle` of every CPU it sees; whoever knows the
/// machine adds those.
pub const MASKED_PATHS: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts", // timing of key strokes
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap", // power side channel (CVE-2020-8694)
    "/sys/firmware",
];

/// Paths a container must not write, as docker 28 protects them.
pub const READONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Character devices any container may use: null, zero, full, random, urandom, tty, console, ptmx, pts.
const DEVICES: [(i64, Option<i64>); 9] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (136, None),
];

/// Kernel parameters inside a network namespace of the container's own: without these a program needs
/// CAP_NET_BIND_SERVICE for port 80 and CAP_NET_RAW for ping.
const NETWORK_SYSCTL: [(&str, &str); 2] = [
    ("net.ipv4.ip_unprivileged_port_start", "0"),
    ("net.ipv4.ping_group_range", "0 2147483647"),
];

const NAMESPACES: [NamespaceType; 6] = [
    NamespaceType::Mount,
    NamespaceType::Network,
    NamespaceType::Uts,
    NamespaceType::Pid,
    NamespaceType::Ipc,
    NamespaceType::Cgroup,
];

impl RuntimeConfig {
    /// docker's default container: mounts, 14 capabilities, hidden and protected paths, namespaces (network
    /// included), no rlimits, no seccomp filter.
    ///
    /// The caller still sets the rootfs, the process's arguments and the host name; see
    /// [`convert`](crate::convert) for those an image decides.
    pub fn default_container() -> Self {
        Self {
            oci_version: OCI_VERSION.to_owned(),
            process: Some(default_process()),
            root: Some(Root {
                path: "rootfs".to_owned(),
                ..Root::default()
            }),
            mounts: default_mounts(),
            linux: Some(default_linux()),
            ..Self::default()
        }
    }

    /// The same container in the host's network: without a network namespace and its kernel parameters.
    #[must_use]
    pub fn with_host_network(mut self) -> Self {
        if let Some(linux) = &mut self.linux {
            linux
                .namespaces
                .retain(|namespace| namespace.kind != NamespaceType::Network);
            linux.sysctl.retain(|name, _| !name.starts_with("net."));
        }
        self
    }
}

impl Capabilities {
    /// The sets of a process that may have `names`: all but inheritable and ambient for root, the bounding set
    /// alone for anybody else (an exec as another user drops the rest anyway).
    pub fn for_user(uid: u32, names: &[String]) -> Self {
        let held = if uid == 0 { names.to_vec() } else { Vec::new() };
        Self {
            bounding: names.to_vec(),
            effective: held.clone(),
            permitted: held,
            ..Self::default()
        }
    }
}

fn default_process() -> Process {
    let names: Vec<String> = capability::DEFAULT.iter().map(|&name| name.to_owned()).collect();
    Process {
        cwd: "/".to_owned(),
        env: vec![format!("PATH={DEFAULT_PATH}")],
        capabilities: Some(Capabilities::for_user(0, &names)),
        ..Process::default()
    }
}

fn default_mounts() -> Vec<Mount> {
    vec![
        Mount::new("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        Mount::new(
            "/dev",
            "tmpfs",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        Mount::new(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        Mount::new("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        Mount::new(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            &["nosuid", "noexec", "nodev", "ro"],
        ),
        Mount::new("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        Mount::new(
            "/dev/shm",
            "tmpfs",
            "shm",
            &["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"],
        ),
    ]
}

fn default_linux() -> Linux {
    let to_strings = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect();
    let sysctl: BTreeMap<_, _> = NETWORK_SYSCTL
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Linux {
        sysctl,
        resources: Some(Resources {
            devices: default_device_rules(),
            ..Resources::default()
        }),
        namespaces: NAMESPACES.into_iter().map(Namespace::new).collect(),
        masked_paths: to_strings(&MASKED_PATHS),
        readonly_paths: to_strings(&READONLY_PATHS),
        ..Linux::default()
    }
}

/// Everything denied, then the ordinary devices allowed.
fn default_device_rules() -> Vec<DeviceRule> {
    let allowed = DEVICES.iter().map(|&(major, minor)| DeviceRule {
        minor,
        ..DeviceRule::allow_character(major, 0)
    });
    std::iter::once(DeviceRule::all(false)).chain(allowed).collect()
}
