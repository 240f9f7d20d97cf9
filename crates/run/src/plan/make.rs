//! Runtime configuration → plan: the order of the steps, and why it is this order.

use super::mounts::{self, MountTable};
use super::step::{InRoot, Step};
use super::{MOUNT_TABLE, Plan, Rootfs, Settings, overlay, process};
use crate::error::Error;
use std::borrow::Cow;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use wiac_oci::runtime::{Linux, NamespaceType, Process, RuntimeConfig};
use wiac_sys::process::namespace;

pub(super) fn plan(config: &RuntimeConfig, rootfs: &Rootfs, settings: &Settings) -> Result<Plan, Error> {
    refuse_unsupported(config)?;
    let process = config
        .process
        .as_ref()
        .ok_or_else(|| invalid("the runtime configuration has no process"))?;
    let linux = config.linux.clone().unwrap_or_default();
    let mut steps = Vec::with_capacity(96);
    root(&mut steps, rootfs, settings)?;
    filesystems(&mut steps, config, &linux, settings)?;
    identity(&mut steps, config, &linux, settings)?;
    process_state(&mut steps, process)?;
    privileges(&mut steps, process, &linux, settings)?;
    steps.push(process::exec(process)?);
    Ok(Plan {
        namespaces: namespaces(&linux),
        cgroup: None,
        steps,
        owner: process.user.uid,
        own_binary: own_binary(),
    })
}

pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::Config(message.into())
}

/// A C string of `bytes`; `what` names it where it contains a NUL byte.
pub(super) fn c_string(what: &str, bytes: impl AsRef<[u8]>) -> Result<CString, Error> {
    let bytes = bytes.as_ref();
    CString::new(bytes).map_err(|_| {
        invalid(format!(
            "{what} contains a NUL byte: {:?}",
            String::from_utf8_lossy(bytes)
        ))
    })
}

pub(super) fn c_path(path: &Path) -> Result<CString, Error> {
    c_string("the path", path.as_os_str().as_bytes())
}

/// A path of the container, absolute, relative to its root.
pub(super) fn in_root(what: &str, path: &str) -> Result<InRoot, Error> {
    if !path.starts_with('/') {
        return Err(invalid(format!(
            "{what} must be an absolute path in the container, not {path:?}"
        )));
    }
    Ok(InRoot(c_string(what, path.trim_matches('/'))?))
}

fn refuse_unsupported(config: &RuntimeConfig) -> Result<(), Error> {
    let linux = config.linux.as_ref();
    if let Some(joined) = linux.and_then(|linux| linux.namespaces.iter().find(|n| n.path.is_some())) {
        return Err(invalid(format!(
            "joining an existing namespace ({:?}) isn't there yet",
            joined.kind
        )));
    }
    if config.hooks.is_some() {
        return Err(invalid("hooks aren't there yet"));
    }
    if linux.is_some_and(|linux| linux.personality.is_some() || !linux.time_offsets.is_empty()) {
        return Err(invalid("personality and time offsets aren't there yet"));
    }
    Ok(())
}

fn namespaces(linux: &Linux) -> u64 {
    linux.namespaces.iter().fold(namespace::MOUNT, |flags, wanted| {
        flags
            | match wanted.kind {
                NamespaceType::Pid => namespace::PID,
                NamespaceType::Network => namespace::NETWORK,
                NamespaceType::Mount => namespace::MOUNT,
                NamespaceType::Ipc => namespace::IPC,
                NamespaceType::Uts => namespace::UTS,
                NamespaceType::Cgroup => namespace::CGROUP,
                // The user namespace was entered by the caller already; time namespaces were refused.
                NamespaceType::User | NamespaceType::Time => 0,
            }
    })
}

/// First the root, since every later target lies in it.
fn root(steps: &mut Vec<Step>, rootfs: &Rootfs, settings: &Settings) -> Result<(), Error> {
    steps.push(Step::PrivateMounts);
    steps.push(match rootfs {
        Rootfs::Overlay(paths) => Step::Overlay(overlay::plan(paths, settings.legacy_overlay)?),
        Rootfs::Directory(path) => Step::BindRoot {
            source: overlay::checked("root directory", path)?,
        },
    });
    Ok(())
}

/// All mounts are made before the change of root, while the host's paths can still be named and the host's /proc is
/// still visible, without which the kernel refuses a new one in a user namespace. Their targets are found without
/// leaving the new root.
fn filesystems(steps: &mut Vec<Step>, config: &RuntimeConfig, linux: &Linux, settings: &Settings) -> Result<(), Error> {
    // Before a volume can lie on /etc: that is a directory of the host.
    if settings.mount_table && config.mounts.iter().all(|mount| mount.destination != MOUNT_TABLE) {
        steps.push(Step::MountTable);
    }
    image_volumes(steps, config, settings)?;
    let table = MountTable::new(config, linux, settings);
    mounts::add(steps, config, &table)?;
    // Kernel parameters while /proc/sys can still be written.
    for (key, value) in &linux.sysctl {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        let value = mapped_sysctl(key, value, settings);
        steps.push(Step::Sysctl {
            path: in_root("a kernel parameter", &path)?,
            value: c_string("a value", &*value)?,
        });
    }
    // After all mounts, so that nothing is mounted over what hides.
    for path in &linux.masked_paths {
        steps.push(Step::Mask {
            path: in_root("a masked path", path)?,
        });
    }
    for path in &linux.readonly_paths {
        steps.push(Step::ReadOnly {
            path: in_root("a read-only path", path)?,
        });
    }
    if let Some(process) = config
        .process
        .as_ref()
        .filter(|process| !process.cwd.trim_matches('/').is_empty())
    {
        steps.push(Step::WorkingDirectory {
            path: in_root("the working directory", &process.cwd)?,
        });
    }
    // After everything that makes a missing target.
    if config.root.as_ref().is_some_and(|root| root.readonly) {
        steps.push(Step::ReadOnlyRoot);
    }
    steps.push(Step::PivotRoot);
    Ok(())
}

/// The image's volumes, before the mounts that may lie in them. Where something is mounted, or above, that counts.
fn image_volumes(steps: &mut Vec<Step>, config: &RuntimeConfig, settings: &Settings) -> Result<(), Error> {
    let apart = config.root.as_ref().is_some_and(|root| root.readonly);
    let is_mounted = |path: &Path| config.mounts.iter().any(|mount| path.starts_with(&mount.destination));
    for path in settings
        .image_volumes
        .iter()
        .filter(|path| !is_mounted(Path::new(path)))
    {
        steps.push(Step::ImageVolume {
            path: in_root("an image's volume", path)?,
            apart,
        });
    }
    Ok(())
}

/// The groups that may send pings: those of them that the user namespace has.
fn mapped_sysctl<'v>(key: &str, value: &'v str, settings: &Settings) -> Cow<'v, str> {
    match &settings.user_namespace {
        Some(namespace) if key == "net.ipv4.ping_group_range" => format!("0 {}", namespace.last_group()).into(),
        _ => value.into(),
    }
}

fn identity(steps: &mut Vec<Step>, config: &RuntimeConfig, linux: &Linux, settings: &Settings) -> Result<(), Error> {
    if linux.namespace(NamespaceType::Network).is_some() {
        steps.push(Step::Loopback);
    }
    if let Some(name) = config.hostname.as_deref().filter(|name| !name.is_empty()) {
        steps.push(Step::Hostname {
            name: c_string("the host name", name)?,
            optional: settings.optional_hostname,
        });
    }
    if let Some(name) = config.domainname.as_deref().filter(|name| !name.is_empty()) {
        steps.push(Step::Domainname(c_string("the domain name", name)?));
    }
    Ok(())
}

fn process_state(steps: &mut Vec<Step>, process: &Process) -> Result<(), Error> {
    // Signals of the caller's terminal reach the container through the caller alone.
    steps.push(Step::NewSession);
    if process.terminal {
        let size = process.console_size.map(|size| {
            (
                u16::try_from(size.height).unwrap_or(u16::MAX),
                u16::try_from(size.width).unwrap_or(u16::MAX),
            )
        });
        steps.push(Step::Terminal {
            size,
            owner: process.user.uid,
        });
    }
    steps.push(Step::NewKeyring);
    if let Some(score) = process.oom_score_adj {
        steps.push(Step::OutOfMemoryScore(c_string("the score", score.to_string())?));
    }
    steps.push(Step::Umask(process.user.umask.unwrap_or(0o022)));
    steps.push(Step::ChangeDirectory {
        path: in_root("the working directory", &process.cwd)?,
    });
    // Nothing of the host stays open from here on.
    steps.push(Step::CloseDescriptors);
    for limit in &process.rlimits {
        steps.push(process::resource_limit(limit)?);
    }
    steps.push(Step::AwaitStart);
    Ok(())
}

/// Rights go last, and in this order: without no_new_privs the filter needs CAP_SYS_ADMIN to be loaded, and the
/// bounding set CAP_SETPCAP to be limited, so both precede the loss of capabilities.
fn privileges(steps: &mut Vec<Step>, process: &Process, linux: &Linux, settings: &Settings) -> Result<(), Error> {
    let capabilities = process::capabilities(process)?;
    if process.no_new_privileges {
        steps.push(Step::NoNewPrivileges);
    }
    if let Some(step) = process::seccomp(linux, capabilities.bounding, settings)? {
        steps.push(step);
    }
    steps.push(Step::BoundingSet(capabilities.bounding));
    steps.push(Step::Credentials(process::credentials(process, settings)?));
    steps.push(Step::CapabilitySets(capabilities));
    Ok(())
}

fn own_binary() -> Option<(u64, u64)> {
    std::fs::metadata("/proc/self/exe")
        .ok()
        .map(|meta| (meta.dev(), meta.ino()))
}
