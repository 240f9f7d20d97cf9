//! A container on a stack of layers: image configuration and wishes → runtime configuration, overlay and plan.

use crate::error::{Error, Result};
use crate::network_files;
use rustix::event::{PollFd, PollFlags, poll};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use wiac_layer::Form;
use wiac_layer::merged::LayerStack;
use wiac_oci::convert::{self, ProcessOverrides};
use wiac_oci::image::ImageConfig;
use wiac_oci::runtime::{ConsoleSize, Mount, Process, Rlimit, RuntimeConfig};
use wiac_oci::user::lookup_user;
use wiac_run::attach::Signals;
use wiac_run::plan::{OverlayPaths, Rootfs, STUB_ON_ROOT_ALONE, Settings};
use wiac_run::user_namespace::UserNamespace;
use wiac_run::{Container, ContainerRoot, Ended};
use wiac_sys::root::Root;

/// The network a container sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// The host's own.
    #[default]
    Host,
    /// A loopback interface alone.
    None,
}

/// What a container is to be.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// What is asked for on top of the image.
    pub process: ProcessOverrides,
    /// Its network.
    pub network: Network,
    /// Volumes: the container's own /etc/hosts and the like are mounted over what they have of that.
    pub volumes: Vec<Mount>,
    /// What is mounted after everything else.
    pub mounts: Vec<Mount>,
    /// Rows and columns of its terminal.
    pub size: Option<(u16, u16)>,
    /// Further lines of /etc/hosts: a name and its address.
    pub hosts: Vec<(String, String)>,
    /// The size of /dev/shm in bytes, where it isn't docker's 64 MiB.
    pub shm_size: Option<u64>,
    /// Resource limits.
    pub limits: Vec<Rlimit>,
    /// No seccomp filter, no hidden paths, every capability but making devices.
    pub insecure: bool,
    /// What it is called where no host name is given.
    pub default_name: DefaultName,
}

/// What a container is called where nobody says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DefaultName {
    /// A step of a build: as in `BuildKit` the same on every machine, and no variable says it, so that what a step makes
    /// doesn't say either where it was made.
    #[default]
    Step,
    /// The name that others find it by; the host's where it has the host's network, as in docker.
    Own(String),
}

/// The host name of a build's steps: `BuildKit`'s.
const STEP: &str = "buildkitsandbox";

/// Capabilities that docker gives and we don't yet: without device rules a node made in the container would be the
/// host's device.
const WITHHELD: &str = "CAP_MKNOD";

/// The runtime configuration of a container on `stack`, in which its user is looked up. Its resolv.conf, hosts and
/// hostname are written into `files`, a directory that lives as long as the container.
///
/// # Errors
/// An unknown user, no command, a wrong wish; or what the disk says.
pub fn configure(stack: &LayerStack, image: &ImageConfig, wishes: &Wishes, files: &Path) -> Result<RuntimeConfig> {
    let host_network = wishes.network == Network::Host;
    let is_step = wishes.default_name == DefaultName::Step;
    let hostname = match (&wishes.process.hostname, &wishes.default_name) {
        (None, DefaultName::Step) => STEP.to_owned(),
        (None, DefaultName::Own(_)) if host_network => network_files::host_name(),
        (Some(name), _) | (None, DefaultName::Own(name)) => name.clone(),
    };
    let mut overrides = wishes.process.clone();
    overrides.hostname = (!is_step).then(|| hostname.clone());
    let user = find_user(stack, image, &overrides)?;
    let mut config = convert::container(image, &overrides, &user)?;
    config.hostname = Some(hostname.clone());
    if host_network {
        config = config.with_host_network();
    }
    withhold(&mut config);
    if let (Some(process), Some((rows, columns))) = (&mut config.process, wishes.size) {
        process.console_size = Some(ConsoleSize {
            height: rows.into(),
            width: columns.into(),
        });
    }
    grant(&mut config, wishes);
    let mut hosts = wishes.hosts.clone();
    if is_step && host_network {
        // The host's file has another name.
        hosts.insert(0, (hostname.clone(), "127.0.0.1".to_owned()));
    }
    network_files::write(files, &hostname, host_network, &hosts)?;
    config.mounts.extend(wishes.volumes.iter().cloned());
    config
        .mounts
        .extend(network_mounts(files, &wishes.volumes, wishes.process.read_only));
    config.mounts.extend(wishes.mounts.iter().cloned());
    Ok(config)
}

/// What is asked for beyond docker's default container.
fn grant(config: &mut RuntimeConfig, wishes: &Wishes) {
    if let Some(process) = &mut config.process {
        process.rlimits.extend(wishes.limits.iter().cloned());
    }
    if let Some(size) = wishes.shm_size {
        let is_size = |option: &String| option.starts_with("size=");
        for mount in config.mounts.iter_mut().filter(|mount| mount.destination == "/dev/shm") {
            mount.options.retain(|option| !is_size(option));
            mount.options.push(format!("size={size}"));
        }
    }
    if wishes.insecure {
        if let Some(linux) = &mut config.linux {
            linux.masked_paths.clear();
            linux.readonly_paths.clear();
        }
        let writable = ["/sys", "/sys/fs/cgroup", "/proc"];
        for mount in config
            .mounts
            .iter_mut()
            .filter(|m| writable.contains(&m.destination.as_str()))
        {
            mount.options.retain(|option| option != "ro");
        }
    }
}

/// The mounts of resolv.conf, hosts and hostname, which lie in `files`. They come after `volumes`, as in docker and podman:
/// a volume on /etc has the files that the container needs as well, or those of another machine. One that is the place
/// of a volume itself is that volume. Where a volume has no such file docker and podman leave an empty one in
/// the directory of the host; here the container has none then.
/// With a root that can't be written they can't either.
fn network_mounts(files: &Path, volumes: &[Mount], read_only: bool) -> impl Iterator<Item = Mount> {
    let options: &[&str] = if read_only {
        &[STUB_ON_ROOT_ALONE, "ro"]
    } else {
        &[STUB_ON_ROOT_ALONE]
    };
    let mounts = network_files::NAMES.iter().map(move |name| {
        let source = files.join(name);
        Mount::bind(&source, &format!("/etc/{name}"), options)
    });
    mounts.filter(|mount| volumes.iter().all(|volume| volume.destination != mount.destination))
}

fn find_user(stack: &LayerStack, image: &ImageConfig, overrides: &ProcessOverrides) -> Result<wiac_oci::user::User> {
    let spec = convert::user_spec(image, overrides)?;
    let read = |path: &str| Ok::<_, Error>(stack.read_text(Path::new(path))?.unwrap_or_default());
    Ok(lookup_user(&spec, &read("/etc/passwd")?, &read("/etc/group")?)?)
}

fn withhold(config: &mut RuntimeConfig) {
    let sets = config
        .process
        .as_mut()
        .and_then(|process| process.capabilities.as_mut());
    if let Some(sets) = sets {
        for set in [
            &mut sets.bounding,
            &mut sets.effective,
            &mut sets.permitted,
            &mut sets.inheritable,
            &mut sets.ambient,
        ] {
            set.retain(|name| name != WITHHELD);
        }
    }
}

/// The directories of a container's overlay beside its layers.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// Takes the changes.
    pub upper: PathBuf,
    /// overlayfs's own.
    pub work: PathBuf,
    /// Where the merged tree is attached.
    pub merged: PathBuf,
    /// Nothing need be synced when the container ends.
    pub volatile: bool,
}

/// Gives a new upper directory the owner, mode and attributes of the topmost root of `stack`, which would be hidden by
/// its own otherwise.
///
/// # Errors
/// What the disk says.
pub fn prepare_upper(stack: &LayerStack, upper: &Path) -> Result<()> {
    match stack.directories().last() {
        Some(top) => crate::directory::copy_metadata_at(top, upper),
        None => Ok(()),
    }
}

/// The overlay of `stack` with the directories of `workspace`, whose upper one is prepared.
pub fn overlay(stack: &LayerStack, workspace: Workspace, form: Form) -> Rootfs {
    Rootfs::Overlay(OverlayPaths {
        layers: stack.directories().to_vec(),
        upper: workspace.upper,
        work: workspace.work,
        merged: workspace.merged,
        volatile: workspace.volatile,
        user_xattrs: form == Form::User,
    })
}

/// The places where the container's mounts may have left stubs: those that don't lie in another mount, the deepest first.
pub fn mount_targets(runtime: &RuntimeConfig) -> Vec<PathBuf> {
    let mut mounted: Vec<&Path> = Vec::new();
    let mut targets: Vec<PathBuf> = Vec::new();
    for mount in &runtime.mounts {
        let destination = Path::new(&mount.destination);
        if !mounted.iter().any(|above| destination.starts_with(above)) {
            targets.push(destination.to_owned());
        }
        mounted.push(destination);
    }
    targets.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
    targets
}

/// The engine's settings for the caller's user namespace.
pub fn settings(user_namespace: Option<&UserNamespace>) -> Settings {
    Settings {
        user_namespace: user_namespace.cloned(),
        // Unless somebody asks for one.
        optional_hostname: true,
        // A door for tests of what kernels before 6.8 need; see docs/kernel-features.md.
        legacy_overlay: wiac_run::view::legacy_is_asked_for(),
        ..Settings::default()
    }
}

/// Why a container's command could not be started, and docker's exit code for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// One or two lines.
    pub message: String,
    /// 126: it is there but can't be executed; 127: it isn't there.
    pub code: i32,
}

/// Finds out why `execve` failed with `errno` in the container with this root.
pub fn explain_start(runtime: &RuntimeConfig, errno: rustix::io::Errno, root: Option<&ContainerRoot>) -> Explanation {
    let Some((process, root)) = runtime
        .process
        .as_ref()
        .zip(root.and_then(|root| Root::from_fd(root.open().ok()?).ok()))
    else {
        return Explanation {
            message: wiac_sys::error::describe(errno),
            code: 126,
        };
    };
    let program = process.args.first().map(String::as_str).unwrap_or_default();
    if errno == rustix::io::Errno::PERM {
        return Explanation {
            message: format!(
                "{program}: this would start wiac's own binary inside the container, which is refused; a copy of it can be \
                 started"
            ),
            code: 126,
        };
    }
    if errno == rustix::io::Errno::TOOBIG {
        return Explanation {
            message: too_big(process, program),
            code: 126,
        };
    }
    let diagnosis = diagnose(process, program, &root, Some(errno.raw_os_error()));
    let mut message = diagnosis.to_string();
    if matches!(diagnosis, wiac_loader::Diagnosis::NotInPath { .. }) && program.contains(char::is_whitespace) {
        message.push_str("\nit is one word with spaces in it: write several words, or sh -c '…'");
    }
    Explanation {
        message,
        code: i32::from(diagnosis.exit_code()),
    }
}

/// What is too long for execve(2): one word, or all together.
fn too_big(process: &Process, program: &str) -> String {
    /// MAX_ARG_STRLEN, the NUL at the end included.
    const WORD: usize = 128 << 10;
    let words = || process.args.iter().chain(&process.env);
    if let Some(variable) = process.env.iter().find(|entry| entry.len() >= WORD) {
        let name = variable.split('=').next().unwrap_or_default();
        let length = variable.len();
        return format!(
            "{program}: the variable {name} has {length} bytes with its name, and the kernel takes {} at most",
            WORD - 1
        );
    }
    if let Some(argument) = process.args.iter().find(|word| word.len() >= WORD) {
        let length = argument.len();
        return format!(
            "{program}: an argument has {length} bytes, and the kernel takes {} at most",
            WORD - 1
        );
    }
    let total: usize = words().map(|word| word.len() + 1).sum();
    format!(
        "{program}: arguments and variables have {total} bytes together, more than the kernel takes: a quarter of the \
         stack's limit (ulimit -s), and 6 MiB at most"
    )
}

fn diagnose(process: &Process, program: &str, root: &Root, errno: Option<i32>) -> wiac_loader::Diagnosis {
    let search_path = process.env.iter().rev().find_map(|entry| entry.strip_prefix("PATH="));
    wiac_loader::explain(
        root,
        &wiac_loader::FailedStart {
            program: OsStr::new(program),
            directory: Path::new(&process.cwd),
            search_path: search_path.map(OsStr::new),
            errno,
        },
    )
}

/// What is known about a command that started and ended with `code`: the dynamic loader says 127 when a library is
/// missing, and names it in words of its own. `stack` has the container's upper directory on top.
pub fn explain_end(stack: &LayerStack, form: Form, runtime: &RuntimeConfig, code: i32) -> Option<String> {
    const LOADER_FAILED: i32 = 127;
    if code != LOADER_FAILED {
        return None;
    }
    let process = runtime.process.as_ref()?;
    let program = process.args.first()?;
    // Volumes aren't in the stack.
    let is_above = |mount: &Mount| Path::new(program).starts_with(&mount.destination);
    if runtime.mounts.iter().any(is_above) {
        return None;
    }
    // Not the caller's id: in a user namespace everybody is root.
    let root = wiac_run::view::open_merged(stack.directories(), form == Form::User).ok()?;
    let root = Root::from_fd(root).ok()?;
    let diagnosis = diagnose(process, program, &root, None);
    says_why_it_ended(&diagnosis).then(|| diagnosis.to_string())
}

/// Whether this can be so of a program that was started: it was there then, and could be executed.
fn says_why_it_ended(diagnosis: &wiac_loader::Diagnosis) -> bool {
    use wiac_loader::Diagnosis;
    matches!(
        diagnosis,
        Diagnosis::MissingLibraries { .. } | Diagnosis::Script { .. } | Diagnosis::CarriageReturn { .. }
    )
}

/// Waits for a container's end; a signal that asks the caller to end ends the container at once.
///
/// # Errors
/// [`Error::Interrupted`] after such a signal.
pub fn wait_or_interrupt(container: &mut Container, signals: &Signals) -> Result<Ended> {
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(container.ended_descriptor(), PollFlags::IN),
            PollFd::new(signals.descriptor(), PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(wiac_run::Error::from(wiac_sys::Error::new("poll", "a container", errno)).into()),
        }
        if !fds[0].revents().is_empty() {
            return Ok(container.wait()?);
        }
        if let Some(signal) = signals.next_request_to_end() {
            // Dropped by the caller, the container ends with its monitor.
            return Err(Error::Interrupted { signal });
        }
    }
}
