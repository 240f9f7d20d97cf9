//! The runtime configuration: `config.json` of a bundle, Linux part, complete.
//!
//! Runtime specification 1.2: config.md, config-linux.md. Names follow the specification, in Rust's spelling.
//! Unknown fields of the larger objects are kept. What is empty is left out on writing.

mod defaults;
mod linux;
mod process;
mod resources;
mod seccomp;

pub use defaults::{DEFAULT_PATH, MASKED_PATHS, READONLY_PATHS};
pub use linux::{Device, DeviceType, IdMapping, IntelRdt, Linux, Namespace, NamespaceType, Personality, TimeOffset};
pub use process::{Capabilities, ConsoleSize, ExecCpuAffinity, IoPriority, Process, ProcessUser, Rlimit, Scheduler};
pub use resources::{
    BlockIo, Cpu, DeviceRule, HugepageLimit, InterfacePriority, Memory, NetworkResources, Pids, Rdma, Resources,
    ThrottleDevice, WeightDevice,
};
pub use seccomp::{LinuxSeccomp, SeccompAction, SeccompArch, SeccompArg, SeccompOperator, SeccompSyscall};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Extra;
use crate::lenient::{is_false, null_default};

/// The version of the runtime specification that is written.
pub const OCI_VERSION: &str = "1.2.0";

/// The runtime JSON (runtime-spec, config.md).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeConfig {
    /// Version of the specification that the document follows.
    pub oci_version: String,
    /// The program to start; may be missing until `start`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// The container's file tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Root>,
    /// The host name inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The NIS domain name inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domainname: Option<String>,
    /// Mounts in addition to the root, in order.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Programs of the caller run at stages of the life cycle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
    /// Free metadata.
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
    /// Everything that only Linux has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linux: Option<Linux>,
    /// Fields without a name here (`windows`, `vm`, …).
    #[serde(flatten)]
    pub extra: Extra,
}

impl RuntimeConfig {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// What serde says of text that isn't one, with line and column.
    pub fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }
}

/// The container's file tree (runtime-spec, config.md, "Root").
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// Path of the rootfs, absolute or relative to the bundle.
    pub path: String,
    /// True if the container must not write to it.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_false")]
    pub readonly: bool,
    /// Fields without a name here.
    #[serde(flatten)]
    pub extra: Extra,
}

/// One mount (runtime-spec, config.md, "Mounts").
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// Where, a path inside the container.
    pub destination: String,
    /// Type of the filesystem; with `bind` or `rbind` among the options it does not count.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Device, or for a bind the path on the host.
    #[serde(default, with = "crate::paths::optional", skip_serializing_if = "Option::is_none")]
    pub source: Option<PathBuf>,
    /// Options as fstab writes them.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// User ids of an id-mapped mount.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub uid_mappings: Vec<IdMapping>,
    /// Group ids of an id-mapped mount.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub gid_mappings: Vec<IdMapping>,
    /// Fields without a name here.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Mount {
    /// A mount of a filesystem type with its source and options.
    pub fn new(destination: &str, kind: &str, source: impl AsRef<Path>, options: &[&str]) -> Self {
        Self {
            destination: destination.to_owned(),
            kind: Some(kind.to_owned()),
            source: Some(source.as_ref().to_owned()),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            ..Self::default()
        }
    }

    /// A recursive bind of a path on the host, with further options (`ro`, …).
    pub fn bind(source: impl AsRef<Path>, destination: &str, options: &[&str]) -> Self {
        let mut mount = Self::new(destination, "bind", source, &["rbind"]);
        mount.options.extend(options.iter().map(|&option| option.to_owned()));
        mount
    }
}

/// The caller's programs, by stage (runtime-spec, config.md, "POSIX-platform Hooks").
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Hooks {
    /// Before the program starts, in the runtime's namespaces (deprecated by the specification, still used).
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub prestart: Vec<Hook>,
    /// During create, in the runtime's namespaces.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub create_runtime: Vec<Hook>,
    /// During create, in the container's namespaces.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub create_container: Vec<Hook>,
    /// At start, in the container.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub start_container: Vec<Hook>,
    /// After the program has started.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub poststart: Vec<Hook>,
    /// After the container is deleted.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub poststop: Vec<Hook>,
    /// Fields without a name here.
    #[serde(flatten)]
    pub extra: Extra,
}

/// One program of the caller.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Absolute path.
    pub path: String,
    /// Arguments, the zeroth included; empty for the path alone.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// The whole environment, `NAME=value`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Seconds until it is killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
}

#[cfg(test)]
mod tests;
