//! The Linux part of a runtime configuration, without resources and seccomp (runtime-spec, config-linux.md).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{LinuxSeccomp, Resources};
use crate::Extra;
use crate::lenient::{is_false, null_default};

/// Everything that only Linux has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Linux {
    /// User ids of a new user namespace.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub uid_mappings: Vec<IdMapping>,
    /// Group ids of a new user namespace.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub gid_mappings: Vec<IdMapping>,
    /// Kernel parameters set inside, `net.ipv4.ip_forward` → `1`.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctl: BTreeMap<String, String>,
    /// cgroup limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Path of the cgroup; its form is the runtime's matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroups_path: Option<String>,
    /// Namespaces made (no path) or entered (path); those not named are shared with the runtime.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<Namespace>,
    /// Device nodes beyond the default ones.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// System call filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<LinuxSeccomp>,
    /// `private`, `shared`, `slave`, `unbindable` (and with `r` in front) for the rootfs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rootfs_propagation: Option<String>,
    /// Paths that the container must not read.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub masked_paths: Vec<String>,
    /// Paths that the container must not write.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub readonly_paths: Vec<String>,
    /// SELinux label of mounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_label: Option<String>,
    /// Intel's resource director.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intel_rdt: Option<IntelRdt>,
    /// Execution domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personality: Option<Personality>,
    /// Offsets of the clocks (`monotonic`, `boottime`) in a new time namespace.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub time_offsets: BTreeMap<String, TimeOffset>,
    /// Fields without a name here.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Linux {
    /// The namespace of a type, where the configuration names one.
    pub fn namespace(&self, kind: NamespaceType) -> Option<&Namespace> {
        self.namespaces.iter().find(|namespace| namespace.kind == kind)
    }
}

/// A range of ids (runtime-spec, config-linux.md, "User namespace mappings").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMapping {
    /// First id inside.
    #[serde(rename = "containerID")]
    pub container_id: u32,
    /// First id on the host.
    #[serde(rename = "hostID")]
    pub host_id: u32,
    /// How many.
    pub size: u32,
}

/// A namespace to make or to enter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Which.
    #[serde(rename = "type")]
    pub kind: NamespaceType,
    /// The namespace file to enter; `None` to make a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Namespace {
    /// A new namespace of a type.
    pub fn new(kind: NamespaceType) -> Self {
        Self { kind, path: None }
    }
}

/// Types of namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceType {
    /// Process ids.
    Pid,
    /// Network.
    Network,
    /// Mounts.
    Mount,
    /// System V IPC and POSIX queues.
    Ipc,
    /// Host and domain name.
    Uts,
    /// User and group ids.
    User,
    /// The visible root of cgroups.
    Cgroup,
    /// Clock offsets.
    Time,
}

/// A device node (runtime-spec, config-linux.md, "Devices").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// What kind of node.
    #[serde(rename = "type")]
    pub kind: DeviceType,
    /// Path inside the container.
    pub path: String,
    /// Major number.
    #[serde(default, deserialize_with = "null_default")]
    pub major: i64,
    /// Minor number.
    #[serde(default, deserialize_with = "null_default")]
    pub minor: i64,
    /// Mode; `None` for 0666.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_mode: Option<u32>,
    /// Owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}

/// Kinds of device nodes, by mknod's letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceType {
    /// Character device.
    #[serde(rename = "c")]
    Character,
    /// Character device without buffer: the same.
    #[serde(rename = "u")]
    Unbuffered,
    /// Block device.
    #[serde(rename = "b")]
    Block,
    /// Named pipe.
    #[serde(rename = "p")]
    Fifo,
}

/// Offset of one clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TimeOffset {
    /// Seconds.
    pub secs: i64,
    /// Nanoseconds.
    pub nanosecs: u32,
}

/// Cache and memory bandwidth allocation (runtime-spec, config-linux.md, "IntelRdt").
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IntelRdt {
    /// Class of service.
    #[serde(rename = "closID", skip_serializing_if = "Option::is_none")]
    pub clos_id: Option<String>,
    /// Schema of the level 3 cache.
    #[serde(rename = "l3CacheSchema", skip_serializing_if = "Option::is_none")]
    pub l3_cache_schema: Option<String>,
    /// Schema of the memory bandwidth.
    #[serde(rename = "memBwSchema", skip_serializing_if = "Option::is_none")]
    pub mem_bw_schema: Option<String>,
    /// Monitor cache occupancy.
    #[serde(rename = "enableCMT", skip_serializing_if = "is_false")]
    pub enable_cmt: bool,
    /// Monitor memory bandwidth.
    #[serde(rename = "enableMBM", skip_serializing_if = "is_false")]
    pub enable_mbm: bool,
    /// Fields without a name here.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Execution domain (personality(2)).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Personality {
    /// `LINUX` or `LINUX32`.
    pub domain: String,
    /// Flags; the specification knows none yet.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
}
