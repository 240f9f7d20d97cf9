//! The steps of a container: what is done, in which order, between the clone and the exec.
//!
//! Every string is a C string already, so that the child can walk the list without allocating. The same list is
//! executed (`child`) and rendered as shell commands ([`crate::shell`]).

use std::borrow::Cow;
use std::ffi::CString;
use wiac_sys::process::CStringArray;

/// A path inside the container, kept without its leading slash so that it is relative to the root's descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InRoot(pub CString);

/// What a mount target is made as where it is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// A directory.
    Directory,
    /// An empty file.
    File,
}

/// Where a stub, a mount target that is missing and made, may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stub {
    /// In the root file system itself, where its parents' times are put back.
    OnRoot,
    /// In a file system mounted by an earlier step.
    Elsewhere,
    /// As on the root, and nowhere else: a volume shows a directory of the host, in which nothing is left that nobody asked
    /// for. Where the target is missing there, the mount is left out.
    OnRootAlone,
}

/// The place in the container where something is mounted. A missing one is made: a stub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where.
    pub path: InRoot,
    /// As what a stub is made.
    pub kind: TargetKind,
    /// Where that may be.
    pub stub: Stub,
}

/// An overlay mount, topmost lower first, as the kernel wants it. The child opens the directories itself: the kernel
/// takes only those seen from the mount namespace the overlay is made in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    /// Lower directories, topmost first.
    pub lowers: Vec<CString>,
    /// Upper directory.
    pub upper: CString,
    /// Work directory.
    pub work: CString,
    /// Where the merged tree is attached.
    pub attach: CString,
    /// Options in order; without a value: a flag.
    pub options: Vec<OverlayOption>,
    /// Use mount(2) even where the kernel knows better: for tests of the older way.
    pub force_legacy: bool,
}

/// One overlay option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayOption {
    /// Name.
    pub key: CString,
    /// Value; `None` makes it a flag.
    pub value: Option<CString>,
    /// An older kernel that doesn't know the option behaves as if it were given.
    pub optional: bool,
}

/// A new file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMount {
    /// Type: proc, tmpfs …
    pub fs_type: CString,
    /// What mount(8) shows as the source.
    pub source: CString,
    /// Options of the file system in order.
    pub options: Vec<(CString, Option<CString>)>,
    /// [`wiac_sys::mount::attr`] bits.
    pub attributes: u64,
    /// Where.
    pub target: Target,
    /// Left out where the kernel refuses it (mqueue without CONFIG_POSIX_MQUEUE).
    pub optional: bool,
}

/// A directory or file of the host, seen in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Absolute path on the host.
    pub source: CString,
    /// With the mounts below it.
    pub recursive: bool,
    /// [`wiac_sys::mount::attr`] bits to set.
    pub set: u64,
    /// Bits to clear.
    pub clear: u64,
    /// The bits hold for the mounts below it too.
    pub attributes_recursive: bool,
    /// Where.
    pub target: Target,
}

/// A device node in the container's own /dev.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its place, directly in /dev.
    pub path: InRoot,
    /// The host's node of the same device, shown instead where no node may be made (in another runtime's container).
    pub source: CString,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// The user a process runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups; `None` where the kernel denies setgroups (a user namespace with a single id).
    pub groups: Option<Vec<u32>>,
}

/// Capability sets as bit masks by capability number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// What can ever be had.
    pub bounding: u64,
    /// In effect.
    pub effective: u64,
    /// May be raised.
    pub permitted: u64,
    /// Kept across exec where the file says so.
    pub inheritable: u64,
    /// Kept across exec of an ordinary file.
    pub ambient: u64,
}

/// The program to start.
#[derive(Debug)]
pub struct Exec {
    /// Paths to try in order: one where the program was named with a slash, else one for each directory in PATH.
    pub candidates: Vec<CString>,
    /// argv.
    pub arguments: CStringArray,
    /// envp.
    pub environment: CStringArray,
}

/// One step. The order of a plan's steps is explained where it is made (`plan::make`).
#[derive(Debug)]
pub enum Step {
    /// Mounts made here must not reach the host, nor the host's come in.
    PrivateMounts,
    /// Mounts the overlay and makes it the future root.
    Overlay(Overlay),
    /// Makes a plain directory the future root.
    BindRoot {
        /// The directory.
        source: CString,
    },
    /// Mounts a new file system in the future root.
    Mount(NewMount),
    /// Mounts a part of the host in the future root.
    Bind(Bind),
    /// Makes a device node in the container's own /dev.
    Device(Device),
    /// Makes a symlink in the container's own /dev.
    Symlink {
        /// Its text.
        text: CString,
        /// Its place, directly in /dev.
        path: InRoot,
    },
    /// Makes /etc/mtab in the root file system where there is none: a stub, too.
    MountTable,
    /// Makes the missing directory that the image declares as a volume.
    ImageVolume {
        /// The path.
        path: InRoot,
        /// It becomes a mount of itself, which stays writable when the root is made read-only.
        apart: bool,
    },
    /// Hides a path that exists: an empty read-only directory or /dev/null is mounted on it.
    Mask {
        /// The path.
        path: InRoot,
    },
    /// Makes a path that exists read-only.
    ReadOnly {
        /// The path.
        path: InRoot,
    },
    /// Makes the missing directory in which the command starts.
    WorkingDirectory {
        /// The path.
        path: InRoot,
    },
    /// Makes the root file system itself read-only.
    ReadOnlyRoot,
    /// Turns the future root into the root; the host's tree is gone afterwards.
    PivotRoot,
    /// Sets the host name.
    Hostname {
        /// It.
        name: CString,
        /// Nobody asked for one: where it is forbidden (a seccomp filter around us), the container does without.
        optional: bool,
    },
    /// Sets the NIS domain name.
    Domainname(CString),
    /// Writes a kernel parameter below /proc/sys; done before the path is made read-only.
    Sysctl {
        /// Path below the root, such as proc/sys/net/ipv4/ip_forward.
        path: InRoot,
        /// What to write.
        value: CString,
    },
    /// Switches the loopback interface of a new network namespace on.
    Loopback,
    /// Leaves the terminal and the process group of the caller.
    NewSession,
    /// Makes a terminal in the container and sends its other side to the caller.
    Terminal {
        /// Rows and columns, where known.
        size: Option<(u16, u16)>,
        /// The user it belongs to.
        owner: u32,
    },
    /// Leaves the session keyring of the caller.
    NewKeyring,
    /// Sets /proc/self/oom_score_adj.
    OutOfMemoryScore(CString),
    /// Sets a resource limit by its kernel number.
    ResourceLimit {
        /// `RLIMIT_*`.
        resource: u32,
        /// Soft limit.
        soft: u64,
        /// Hard limit.
        hard: u64,
        /// Its name, for messages.
        name: &'static str,
    },
    /// Sets the file mode creation mask.
    Umask(u32),
    /// Enters the working directory, by a way that crosses no magic link.
    ChangeDirectory {
        /// The path.
        path: InRoot,
    },
    /// Closes every descriptor but the three standard streams and the way to the caller.
    CloseDescriptors,
    /// Says "created" to the caller and waits for its "start".
    AwaitStart,
    /// Privileges gained by exec (set-user-id files) end here.
    NoNewPrivileges,
    /// Loads the seccomp filter.
    Seccomp {
        /// The compiled filter.
        program: Cow<'static, [wiac_sys::seccomp::Instruction]>,
        /// `SECCOMP_FILTER_FLAG_*`.
        flags: u64,
    },
    /// Drops capabilities that can never come back.
    BoundingSet(u64),
    /// Becomes the user.
    Credentials(Credentials),
    /// Sets the remaining capability sets.
    CapabilitySets(Capabilities),
    /// Starts the program.
    Exec(Exec),
}

impl std::fmt::Display for InRoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "/{}", self.0.to_string_lossy())
    }
}

impl Step {
    /// What the step does, as the beginning of an error message.
    pub fn describe(&self) -> String {
        match self {
            Self::PrivateMounts => "make the mounts private".into(),
            Self::Overlay(overlay) => format!("mount the overlay on {}", overlay.attach.to_string_lossy()),
            Self::BindRoot { source } => format!("use {} as the root", source.to_string_lossy()),
            Self::Mount(mount) => format!("mount {} on {}", mount.fs_type.to_string_lossy(), mount.target.path),
            Self::Bind(bind) => format!("mount {} on {}", bind.source.to_string_lossy(), bind.target.path),
            Self::Device(device) => format!("make the device {}", device.path),
            Self::Symlink { path, .. } => format!("make the symlink {path}"),
            Self::MountTable => format!("make the symlink {}", super::MOUNT_TABLE),
            Self::ImageVolume { path, .. } => format!("make the image's volume {path}"),
            Self::Mask { path } => format!("hide {path}"),
            Self::ReadOnly { path } => format!("make {path} read-only"),
            Self::WorkingDirectory { path } => format!("make the working directory {path}"),
            Self::ReadOnlyRoot => "make the root read-only".into(),
            Self::PivotRoot => "change the root".into(),
            Self::Hostname { name, .. } => format!("set the host name {}", name.to_string_lossy()),
            Self::Domainname(name) => format!("set the domain name {}", name.to_string_lossy()),
            Self::Sysctl { path, .. } => format!("write {path}"),
            Self::Loopback => "switch the loopback interface on".into(),
            Self::NewSession => "start a session".into(),
            Self::Terminal { .. } => "make the terminal".into(),
            Self::NewKeyring => "join a new session keyring".into(),
            Self::OutOfMemoryScore(_) => "set the out-of-memory score".into(),
            Self::ResourceLimit { name, soft, hard, .. } => format!("set the limit {name} to {soft}:{hard}"),
            Self::Umask(_) => "set the umask".into(),
            Self::ChangeDirectory { path } => format!("enter the working directory {path}"),
            Self::CloseDescriptors => "close the descriptors".into(),
            Self::AwaitStart => "wait for the start".into(),
            Self::NoNewPrivileges => "set no_new_privs".into(),
            Self::Seccomp { .. } => "load the seccomp filter".into(),
            Self::BoundingSet(_) => "limit the capabilities".into(),
            Self::Credentials(c) => format!("become user {}:{}", c.uid, c.gid),
            Self::CapabilitySets(_) => "set the capabilities".into(),
            Self::Exec(exec) => match exec.arguments.strings().first() {
                Some(name) => format!("start {}", name.to_string_lossy()),
                None => "start the command".into(),
            },
        }
    }
}
