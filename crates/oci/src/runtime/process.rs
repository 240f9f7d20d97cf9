//! The process of a runtime configuration (runtime-spec, config.md, "Process").

use serde::{Deserialize, Serialize};

use crate::Extra;
use crate::lenient::{is_false, null_default};

/// The program and all that is its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    /// True if it gets a terminal of its own.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_false")]
    pub terminal: bool,
    /// Size of that terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console_size: Option<ConsoleSize>,
    /// Whom it runs as.
    #[serde(default, deserialize_with = "null_default")]
    pub user: ProcessUser,
    /// Program and arguments.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment, `NAME=value`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Working directory, absolute.
    pub cwd: String,
    /// The five capability sets; `None` means none at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// Resource limits; those not named are inherited.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub rlimits: Vec<Rlimit>,
    /// True if exec must not grant privileges.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_false")]
    pub no_new_privileges: bool,
    /// AppArmor profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apparmor_profile: Option<String>,
    /// `oom_score_adj`; `None` to inherit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i32>,
    /// Scheduling policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<Scheduler>,
    /// SELinux label of the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selinux_label: Option<String>,
    /// I/O priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io_priority: Option<IoPriority>,
    /// CPUs that an `exec` runs on.
    #[serde(default, rename = "execCPUAffinity", skip_serializing_if = "Option::is_none")]
    pub exec_cpu_affinity: Option<ExecCpuAffinity>,
    /// Fields without a name here.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleSize {
    /// Lines.
    pub height: u32,
    /// Columns.
    pub width: u32,
}

/// Whom a process runs as, in the container's ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProcessUser {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// File mode creation mask; `None` for 0022.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// Supplementary groups.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub additional_gids: Vec<u32>,
    /// Name of the user (other systems than Linux).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

/// The capability sets, by names as `CAP_CHOWN`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// What the process and its descendants can ever have.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub bounding: Vec<String>,
    /// What is checked.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub effective: Vec<String>,
    /// What a file's inheritable set is combined with.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub inheritable: Vec<String>,
    /// What the process can make effective.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub permitted: Vec<String>,
    /// What survives the exec of an ordinary program.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub ambient: Vec<String>,
}

/// One resource limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// Name, as `RLIMIT_NOFILE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the process may raise the soft limit to.
    pub hard: u64,
    /// What the kernel enforces.
    pub soft: u64,
}

/// Scheduling policy and its parameters (sched_setattr(2)).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scheduler {
    /// `SCHED_OTHER`, `SCHED_FIFO`, …
    pub policy: String,
    /// Nice value, for the ordinary policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nice: Option<i32>,
    /// Static priority, for FIFO and RR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// `SCHED_FLAG_RESET_ON_FORK`, …
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Run time in ns, for DEADLINE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<u64>,
    /// Deadline in ns, for DEADLINE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u64>,
    /// Period in ns, for DEADLINE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<u64>,
}

/// I/O scheduling class and priority (ioprio_set(2)).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoPriority {
    /// `IOPRIO_CLASS_RT`, `IOPRIO_CLASS_BE`, `IOPRIO_CLASS_IDLE`.
    pub class: String,
    /// 0 (highest) to 7.
    #[serde(default)]
    pub priority: i32,
}

/// CPUs of an `exec`, as lists such as `0-3,7`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecCpuAffinity {
    /// Before it joins the container's cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial: Option<String>,
    /// Afterwards.
    #[serde(rename = "final", skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
}
