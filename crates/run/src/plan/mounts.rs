//! The mounts of a plan: OCI mount entries and their option strings → steps.

use super::Settings;
use super::make::{c_path, c_string, in_root, invalid};
use super::step::{Bind, Device, InRoot, NewMount, Step, Stub, Target, TargetKind};
use crate::error::Error;
use std::ffi::CString;
use std::path::{Path, PathBuf};
use wiac_oci::runtime::{Linux, Mount, NamespaceType, RuntimeConfig};
use wiac_sys::mount::attr;

/// Devices every container has (runtime-spec, config-linux.md, "Default Devices"), with their numbers
/// (admin-guide/devices.txt).
const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// Symlinks every container has in /dev.
const LINKS: [(&str, &str); 6] = [
    ("/proc/self/fd", "dev/fd"),
    ("/proc/self/fd/0", "dev/stdin"),
    ("/proc/self/fd/1", "dev/stdout"),
    ("/proc/self/fd/2", "dev/stderr"),
    ("pts/ptmx", "dev/ptmx"),
    ("/proc/kcore", "dev/core"),
];

/// The option of a bind whose target is made in the root file system alone ([`Stub::OnRootAlone`]). Options that begin so
/// are for programs, not for the kernel (mount(8)).
pub const STUB_ON_ROOT_ALONE: &str = "x-wiac.stub-on-root-alone";

/// What the mounts depend on beside their entries.
pub(super) struct MountTable {
    /// The container shares the host's network namespace.
    host_network: bool,
    /// In a user namespace.
    user_namespace: bool,
    /// Group 5 (tty) has an id there.
    tty_group: bool,
    /// /dev gets device nodes of its own: a change of their mode or times stays inside. Not in a user namespace, where
    /// none can be made, and not for who may make nodes of other devices, since nodes count in such a /dev.
    own_devices: bool,
    /// The host has the unified (v2) cgroup hierarchy alone.
    unified_cgroups: bool,
}

impl MountTable {
    pub(super) fn new(config: &RuntimeConfig, linux: &Linux, settings: &Settings) -> Self {
        let wants_cgroup = config
            .mounts
            .iter()
            .any(|mount| mount.kind.as_deref() == Some("cgroup"));
        Self {
            host_network: linux.namespace(NamespaceType::Network).is_none(),
            user_namespace: settings.user_namespace.is_some(),
            tty_group: settings
                .user_namespace
                .as_ref()
                .is_none_or(|namespace| namespace.has_group(5)),
            own_devices: settings.user_namespace.is_none() && !super::process::may_make_devices(config),
            unified_cgroups: wants_cgroup && has_unified_cgroups(),
        }
    }
}

fn has_unified_cgroups() -> bool {
    const CGROUP2_MAGIC: i64 = 0x6367_7270;
    rustix::fs::statfs(c"/sys/fs/cgroup").is_ok_and(|stat| stat.f_type == CGROUP2_MAGIC)
}

/// Adds the steps of all mounts of `config`, and of the devices where /dev is a file system of the container's own.
pub(super) fn add(steps: &mut Vec<Step>, config: &RuntimeConfig, table: &MountTable) -> Result<(), Error> {
    let mut mounted: Vec<PathBuf> = Vec::new();
    for mount in &config.mounts {
        let destination = PathBuf::from(&mount.destination);
        let in_mount = mounted
            .iter()
            .any(|above| destination.starts_with(above) && destination != *above);
        let stub = if in_mount { Stub::Elsewhere } else { Stub::OnRoot };
        let is_dev = mount.kind.as_deref() == Some("tmpfs") && destination == Path::new("/dev");
        if let Some(step) = plan_mount(mount, stub, table)? {
            steps.push(step);
            mounted.push(destination);
        }
        if is_dev {
            add_devices(steps, table.own_devices)?;
        }
    }
    Ok(())
}

fn add_devices(steps: &mut Vec<Step>, own: bool) -> Result<(), Error> {
    for (name, major, minor) in DEVICES {
        let path = format!("/dev/{name}");
        let (source, path) = (c_string("a device", &path)?, in_root("a device", &path)?);
        steps.push(if own {
            Step::Device(Device {
                path,
                source,
                major,
                minor,
            })
        } else {
            Step::Bind(bind_device(source, path))
        });
    }
    for (text, path) in LINKS {
        steps.push(Step::Symlink {
            text: c_string("a link", text)?,
            path: InRoot(c_string("a link", path)?),
        });
    }
    Ok(())
}

/// The host's device, as it is: a character device is neither executed nor has it other bits to take away.
fn bind_device(source: CString, path: InRoot) -> Bind {
    Bind {
        source,
        recursive: false,
        set: 0,
        clear: 0,
        attributes_recursive: false,
        target: Target {
            path,
            kind: TargetKind::File,
            stub: Stub::Elsewhere,
        },
    }
}

fn plan_mount(mount: &Mount, stub: Stub, table: &MountTable) -> Result<Option<Step>, Error> {
    let options = Options::parse(&mount.options);
    let kind = mount
        .kind
        .as_deref()
        .unwrap_or(if options.bind.is_some() { "bind" } else { "" });
    let path = in_root("a mount's destination", &mount.destination)?;
    if path.0.is_empty() {
        return Err(invalid("nothing can be mounted on the container's root itself"));
    }
    let target = Target {
        path,
        kind: TargetKind::Directory,
        stub: if options.stub_on_root_alone {
            Stub::OnRootAlone
        } else {
            stub
        },
    };
    match kind {
        "bind" => bind(mount, &options, target).map(Some),
        _ if options.bind.is_some() => bind(mount, &options, target).map(Some),
        "" => Err(invalid(format!("the mount on {} has no type", mount.destination))),
        // The kernel lets nobody mount a sysfs that shows another owner's network devices.
        "sysfs" if table.user_namespace && table.host_network => Ok(Some(bind_sys(target))),
        "cgroup" if table.unified_cgroups => new_mount("cgroup2", mount, &options, target, table).map(Some),
        // On v1 hosts /sys/fs/cgroup stays the empty directory that sysfs shows (docs/kernel-features.md).
        "cgroup" => Ok(None),
        _ => new_mount(kind, mount, &options, target, table).map(Some),
    }
}

fn bind_sys(target: Target) -> Step {
    Step::Bind(Bind {
        source: c"/sys".into(),
        recursive: true,
        set: attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC,
        clear: 0,
        attributes_recursive: true,
        target,
    })
}

fn bind(mount: &Mount, options: &Options, mut target: Target) -> Result<Step, Error> {
    let source = mount.source.as_deref().unwrap_or(Path::new(""));
    if !source.is_absolute() {
        return Err(invalid(format!(
            "the source of a bind mount must be an absolute path, not {}",
            source.display()
        )));
    }
    let meta = std::fs::metadata(source).map_err(|error| Error::Directory {
        role: "volume source",
        path: source.to_owned(),
        errno: rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO),
    })?;
    if !meta.is_dir() {
        target.kind = TargetKind::File;
    }
    if let Some(unknown) = options.data.first() {
        return Err(invalid(format!(
            "unknown option {:?} of the mount on {}",
            unknown.0, mount.destination
        )));
    }
    Ok(Step::Bind(Bind {
        source: c_path(source)?,
        recursive: options.bind == Some(true),
        set: options.set,
        clear: options.clear,
        attributes_recursive: options.bind == Some(true),
        target,
    }))
}

fn new_mount(kind: &str, mount: &Mount, options: &Options, target: Target, table: &MountTable) -> Result<Step, Error> {
    let mut data = Vec::with_capacity(options.data.len());
    for (key, value) in &options.data {
        let unmapped_group = kind == "devpts" && key == "gid" && !table.tty_group;
        // newinstance is what every devpts mount does since Linux 4.7; the mount API doesn't know the word.
        if unmapped_group || (kind == "devpts" && key == "newinstance") {
            continue;
        }
        let value = value
            .as_ref()
            .map(|value| c_string("a mount option", value))
            .transpose()?;
        data.push((c_string("a mount option", key)?, value));
    }
    // Device nodes made inside count nowhere.
    let has_devices = table.own_devices && target.path.0.as_c_str() == c"dev";
    let nodev = if matches!(kind, "tmpfs" | "ramfs") && !has_devices {
        attr::NODEV
    } else {
        0
    };
    Ok(Step::Mount(NewMount {
        fs_type: CString::new(kind).map_err(|_| invalid("a NUL byte in a mount type"))?,
        source: c_path(mount.source.as_deref().unwrap_or(Path::new(kind)))?,
        options: data,
        attributes: options.set | nodev,
        target,
        optional: matches!(kind, "mqueue" | "cgroup2"),
    }))
}

/// A mount entry's options, sorted: mount attributes, bind, and what is the file system's own.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    set: u64,
    clear: u64,
    /// Bind mount; `true`: recursive.
    bind: Option<bool>,
    /// [`STUB_ON_ROOT_ALONE`].
    stub_on_root_alone: bool,
    data: Vec<(String, Option<String>)>,
}

impl Options {
    fn parse(options: &[String]) -> Self {
        let mut parsed = Self::default();
        for option in options {
            parsed.add(option);
        }
        parsed
    }

    fn add(&mut self, option: &str) {
        match option {
            "ro" | "rro" => self.switch(attr::RDONLY, true),
            "rw" | "rrw" => self.switch(attr::RDONLY, false),
            "nosuid" | "rnosuid" => self.switch(attr::NOSUID, true),
            "suid" | "rsuid" => self.switch(attr::NOSUID, false),
            "nodev" | "rnodev" => self.switch(attr::NODEV, true),
            "dev" | "rdev" => self.switch(attr::NODEV, false),
            "noexec" | "rnoexec" => self.switch(attr::NOEXEC, true),
            "exec" | "rexec" => self.switch(attr::NOEXEC, false),
            "noatime" | "rnoatime" => self.access_time(attr::NOATIME),
            "strictatime" | "rstrictatime" => self.access_time(attr::STRICTATIME),
            "relatime" | "rrelatime" => self.access_time(0),
            "nodiratime" | "rnodiratime" => self.switch(attr::NODIRATIME, true),
            "nosymfollow" | "rnosymfollow" => self.switch(attr::NOSYMFOLLOW, true),
            "bind" => self.bind = self.bind.or(Some(false)),
            "rbind" => self.bind = Some(true),
            STUB_ON_ROOT_ALONE => self.stub_on_root_alone = true,
            // Everything is private in the container's mount namespace; these ask for nothing that is not so. And
            // z and Z, SELinux labels: nothing to do where there is no SELinux.
            "private" | "rprivate" | "slave" | "rslave" | "shared" | "rshared" | "unbindable" | "runbindable"
            | "defaults" | "async" | "z" | "Z" => {}
            other => {
                let (key, value) = match other.split_once('=') {
                    Some((key, value)) => (key, Some(value.to_owned())),
                    None => (other, None),
                };
                self.data.push((key.to_owned(), value));
            }
        }
    }

    fn switch(&mut self, bit: u64, on: bool) {
        let (add, remove) = if on {
            (&mut self.set, &mut self.clear)
        } else {
            (&mut self.clear, &mut self.set)
        };
        *add |= bit;
        *remove &= !bit;
    }

    fn access_time(&mut self, value: u64) {
        self.clear |= attr::ATIME_MASK;
        self.set = (self.set & !attr::ATIME_MASK) | value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> Options {
        Options::parse(&options.iter().map(|&option| option.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_sorted() {
        let parsed = parse(&["nosuid", "ro", "mode=755", "size=64k", "rbind"]);
        assert_eq!(parsed.set, attr::NOSUID | attr::RDONLY);
        assert_eq!(parsed.bind, Some(true));
        assert_eq!(
            parsed.data,
            [("mode".into(), Some("755".into())), ("size".into(), Some("64k".into()))]
        );
    }

    #[test]
    fn the_last_one_wins() {
        let parsed = parse(&["ro", "rw"]);
        assert_eq!((parsed.set, parsed.clear), (0, attr::RDONLY));
        assert_eq!(parse(&["noatime", "strictatime"]).set, attr::STRICTATIME);
    }
}
