//! Options of docker that wiac doesn't have yet: known by name, so that the message can say so.

use crate::error::Failure;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;

/// `docker run`'s options that aren't there yet.
const RUN: [&str; 96] = [
    "--add-host",
    "--annotation",
    "--attach",
    "-a",
    "--blkio-weight",
    "--blkio-weight-device",
    "--cap-add",
    "--cap-drop",
    "--cgroup-parent",
    "--cgroupns",
    "--cidfile",
    "--cpu-count",
    "--cpu-percent",
    "--cpu-period",
    "--cpu-quota",
    "--cpu-rt-period",
    "--cpu-rt-runtime",
    "--cpu-shares",
    "-c",
    "--cpus",
    "--cpuset-cpus",
    "--cpuset-mems",
    "--detach",
    "-d",
    "--detach-keys",
    "--device",
    "--device-cgroup-rule",
    "--device-read-bps",
    "--device-read-iops",
    "--device-write-bps",
    "--device-write-iops",
    "--disable-content-trust",
    "--dns",
    "--dns-option",
    "--dns-search",
    "--domainname",
    "--env-file",
    "--expose",
    "--gpus",
    "--group-add",
    "--health-cmd",
    "--health-interval",
    "--health-retries",
    "--health-start-interval",
    "--health-start-period",
    "--health-timeout",
    "--init",
    "--io-maxbandwidth",
    "--io-maxiops",
    "--ip",
    "--ip6",
    "--ipc",
    "--isolation",
    "--kernel-memory",
    "--label",
    "-l",
    "--label-file",
    "--link",
    "--link-local-ip",
    "--log-driver",
    "--log-opt",
    "--mac-address",
    "--memory",
    "-m",
    "--memory-reservation",
    "--memory-swap",
    "--memory-swappiness",
    "--mount",
    "--network-alias",
    "--no-healthcheck",
    "--oom-kill-disable",
    "--oom-score-adj",
    "--pid",
    "--pids-limit",
    "--platform",
    "--privileged",
    "--publish",
    "-p",
    "--publish-all",
    "-P",
    "--pull",
    "--quiet",
    "-q",
    "--restart",
    "--runtime",
    "--security-opt",
    "--shm-size",
    "--sig-proxy",
    "--stop-signal",
    "--stop-timeout",
    "--storage-opt",
    "--sysctl",
    "--tmpfs",
    "--ulimit",
    "--userns",
    "--uts",
];

/// `docker build`'s options that aren't there yet.
const BUILD: [&str; 29] = [
    "--add-host",
    "--allow",
    "--annotation",
    "--attest",
    "--build-context",
    "--builder",
    "--cache-from",
    "--cache-to",
    "--call",
    "--cgroup-parent",
    "--check",
    "--iidfile",
    "--label",
    "--load",
    "--metadata-file",
    "--no-cache-filter",
    "--output",
    "-o",
    "--platform",
    "--progress",
    "--provenance",
    "--pull",
    "--push",
    "--sbom",
    "--secret",
    "--shm-size",
    "--ssh",
    "--squash",
    "--ulimit",
];

/// An unknown option that docker knows is one that isn't there yet; any other error stays clap's.
pub(crate) fn explain(error: clap::Error, arguments: &[OsString]) -> Failure {
    if error.kind() != ErrorKind::UnknownArgument {
        return Failure::from_clap(&error);
    }
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
        return Failure::from_clap(&error);
    };
    let has = |command: &str| arguments.iter().skip(1).any(|argument| argument == command);
    let known: &[&str] = if has("run") {
        &RUN
    } else if has("build") {
        &BUILD
    } else {
        &[]
    };
    let name = option.split('=').next().unwrap_or(option);
    if known.contains(&name) {
        return Failure::usage(format!("{name} isn't there yet: docker has it, wiac doesn't so far"));
    }
    Failure::from_clap(&error)
}
