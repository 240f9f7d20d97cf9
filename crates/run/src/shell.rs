//! The plan as a shell script that does the same by hand, with a comment for each step that says why.
//!
//! The script is a chain of four shells, since the kernel wants it so:
//! 1. the caller's, which makes the namespaces;
//! 2. one in the new mount namespace, which mounts the future root and enters it;
//! 3. process 1 of the new pid namespace, which does everything else, then gives up its privileges;
//! 4. one without privileges, which waits until the root is changed, and becomes the program by `exec`, a builtin:
//!    no program of the host can be started any more.
//!
//! `pivot_root(2)` moves every process whose root is the old one, so the fourth shell need not call it itself: a helper
//! with privileges does, and another shell, whose root is the host's as the caller sees it, detaches the old root.

mod mounts;
mod overlay;
mod quote;
mod start;

use crate::plan::Plan;
use crate::plan::step::Step;
use crate::user_namespace::{IdRange, UserNamespace};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use wiac_sys::process::namespace;

pub use quote::quote;

/// Shell functions that look paths up in a root which is the working directory: `inside PATH` prints where it is.
pub const FUNCTIONS: &str = include_str!("shell/functions.sh");
/// What the second shell leaves behind: the helper that changes the root.
const CHANGE_ROOT: &str = include_str!("shell/change_root.sh");

/// Where comments are broken.
const WIDTH: usize = 116;

const HEADER: &str = "\
#!/usr/bin/env bash
# The container that wiac would start, made by hand with the tools of bash, coreutils and util-linux.
# What no tool does, or does in another way than wiac, is said where it would stand.
set -eu
umask 022
PATH=$PATH:/usr/sbin:/sbin
";

/// Renders `plan` as a bash script. `user_namespace` is the one the plan was made for, if any: the script then makes
/// its like, and is to be run by the user who would run wiac.
pub fn script(plan: &Plan, user_namespace: Option<&UserNamespace>) -> String {
    script_with_files(plan, user_namespace, &[], &[])
}

/// As [`script`], for a plan that mounts files and directories which only the caller's run would have: the script makes
/// them first.
pub fn script_with_files(
    plan: &Plan,
    user_namespace: Option<&UserNamespace>,
    files: &[(PathBuf, Vec<u8>)],
    directories: &[PathBuf],
) -> String {
    let mut parts = Parts::default();
    parts.write_files(files);
    parts.make_directories(directories);
    for step in &plan.steps {
        parts.add(step);
    }
    parts.assemble(plan, user_namespace)
}

/// Commands with their comments.
#[derive(Debug, Default)]
struct Text(String);

impl Text {
    /// A command and why it is there.
    fn step(&mut self, why: &str, command: &str) {
        self.note(why);
        self.line(command);
    }

    /// A comment on its own, after an empty line. Nothing in it may be able to end it: a name can hold a newline.
    fn note(&mut self, why: &str) {
        self.0.push_str("\n#");
        let mut column = 1;
        for word in why.split(' ') {
            let word: String = word.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
            let length = word.chars().count() + 1;
            if column > 1 && column + length > WIDTH {
                self.0.push_str("\n#");
                column = 1;
            }
            self.0.push(' ');
            self.0.push_str(&word);
            column += length;
        }
        self.0.push('\n');
    }

    fn line(&mut self, command: &str) {
        self.0.push_str(command);
        self.0.push('\n');
    }
}

/// What each of the shells does.
#[derive(Debug, Default)]
struct Parts {
    /// The first: files are written.
    outside: Text,
    /// The second.
    root: Text,
    /// The third.
    steps: Text,
    /// The third's last command, by which it becomes the fourth.
    start: start::Start,
    /// The terminal is the caller's: then so is the session.
    terminal: bool,
}

impl Parts {
    fn write_files(&mut self, files: &[(PathBuf, Vec<u8>)]) {
        for (path, content) in files {
            let bytes = path.as_os_str().as_bytes();
            self.outside
                .note(&format!("{}, which the container will see.", path.display()));
            if let Some(directory) = path.parent() {
                let directory = quote(directory.as_os_str().as_bytes());
                self.outside.line(&format!("mkdir -p -- {directory}"));
            }
            self.outside
                .line(&format!("printf %s {} >{}", quote(content), quote(bytes)));
        }
    }

    fn make_directories(&mut self, directories: &[PathBuf]) {
        for path in directories {
            let directory = quote(path.as_os_str().as_bytes());
            self.outside.step(
                &format!("{}, which the container will see.", path.display()),
                &format!("mkdir -p -- {directory}"),
            );
        }
    }

    fn add(&mut self, step: &Step) {
        match step {
            Step::PrivateMounts => self.root.step(
                "First of all: what is mounted here must not appear on the host, nor the host's new mounts here.",
                "mount --make-rprivate /",
            ),
            Step::Overlay(overlay) => overlay::overlay(overlay, &mut self.root),
            Step::BindRoot { source } => overlay::bind_root(source, &mut self.root),
            Step::Mount(mount) => mounts::new_mount(mount, &mut self.steps),
            Step::Bind(bind) => mounts::bind(bind, &mut self.steps),
            Step::Device(device) => mounts::device(device, &mut self.steps),
            Step::Symlink { text, path } => mounts::symlink(text, path, &mut self.steps),
            Step::MountTable => mounts::mount_table(&mut self.steps),
            Step::ImageVolume { path, apart } => mounts::image_volume(path, *apart, &mut self.steps),
            Step::Mask { path } => {
                let command = format!("hide {}", mounts::path(path));
                self.steps
                    .step(&format!("The container must not see {path}."), &command);
            }
            Step::ReadOnly { path } => {
                let command = format!("protect {}", mounts::path(path));
                self.steps
                    .step(&format!("The container must not change {path}."), &command);
            }
            Step::WorkingDirectory { path } => {
                let command = format!("directory {} >/dev/null", mounts::path(path));
                self.steps
                    .step("The command's working directory is made where it is missing.", &command);
            }
            Step::ReadOnlyRoot => self.steps.step(
                "The root becomes read-only after everything that had to be made in it.",
                "mount -o remount,bind,ro .",
            ),
            Step::PivotRoot => self.steps.note(
                "Here wiac changes the root. In this script the helper does, once the last shell waits for it: \
                 what follows still needs programs of the host.",
            ),
            _ => self.add_identity(step),
        }
    }

    fn add_identity(&mut self, step: &Step) {
        match step {
            Step::Hostname { name, .. } => self
                .steps
                .step("A name of its own.", &format!("hostname {}", quote(name.to_bytes()))),
            Step::Domainname(name) => self.steps.step(
                "An NIS domain of its own.",
                &format!("domainname {}", quote(name.to_bytes())),
            ),
            Step::Sysctl { path, value } => self.steps.step(
                &format!("The kernel parameter {path}, while it can still be written."),
                &format!(
                    "printf %s {} >\"$(inside {})\"",
                    quote(value.to_bytes()),
                    mounts::path(path)
                ),
            ),
            Step::Loopback => self.steps.step(
                "The loopback interface of the new network.",
                "if command -v ip >/dev/null; then ip link set lo up; else ifconfig lo up; fi",
            ),
            Step::Terminal { .. } => {
                self.terminal = true;
                self.steps.step(
                    "wiac makes a terminal in the container's own /dev/pts. Here it is the one the script runs on.",
                    "if [ -t 0 ]; then mount --bind -- \"$(tty)\" \"$(file /dev/console)\"; fi",
                );
            }
            Step::NewKeyring => self.steps.step(
                "The keys in the caller's session keyring are none of the container's business.",
                "if command -v keyctl >/dev/null; then keyctl new_session >/dev/null; fi",
            ),
            Step::OutOfMemoryScore(score) => self.steps.step(
                "How soon the kernel ends it when memory runs out.",
                &format!("echo {} >/proc/self/oom_score_adj", quote(score.to_bytes())),
            ),
            Step::Umask(mask) => self.steps.step(
                "The permissions that new files don't get.",
                &format!("umask {mask:04o}"),
            ),
            Step::ChangeDirectory { path } => self.steps.step(
                "The command's working directory. It stays so when the root is changed.",
                &format!("cd -- \"$(inside {})\"", mounts::path(path)),
            ),
            step => self.start.add(step),
        }
    }

    fn assemble(mut self, plan: &Plan, user_namespace: Option<&UserNamespace>) -> String {
        let outer = unshare(plan, user_namespace, &mut self.outside);
        if plan.cgroup.is_some() {
            self.outside
                .note("wiac starts the container in a cgroup of its own; this script leaves it in the shell's.");
        }
        let inner = if plan.namespaces & namespace::PID == 0 {
            "exec \"$BASH\""
        } else {
            "exec unshare --pid --fork --kill-child \"$BASH\""
        };
        let start = self.start.finish(self.terminal);
        let (outside, root, steps) = (self.outside.0, self.root.0, self.steps.0);
        format!(
            "{HEADER}{outside}
# The host's root as it is seen from here: descriptor 7 keeps its tools within reach until the end.
exec 7</

# The namespaces. Each part of the script that follows is read by the next shell, from descriptor 5.
{outer} \"$BASH\" /dev/fd/5 5<<'IN_THE_MOUNT_NAMESPACE'
exec 5<&-
set -eu
{root}
{CHANGE_ROOT}
# The next shell is process 1; if this process is killed, the kernel kills it, and with it everything in its namespace.
{inner} /dev/fd/5 5<<'AS_PROCESS_ONE'
exec 5<&-
set -eu -o pipefail

{FUNCTIONS}{steps}{start}AS_PROCESS_ONE
IN_THE_MOUNT_NAMESPACE
"
        )
    }
}

/// The command that makes all namespaces but the one of process ids.
fn unshare(plan: &Plan, user_namespace: Option<&UserNamespace>, outside: &mut Text) -> String {
    let mut command = "exec unshare".to_owned();
    if let Some(user_namespace) = user_namespace {
        command.push_str(&user_maps(user_namespace, outside));
    }
    for (flag, option) in [
        (namespace::MOUNT, "--mount"),
        (namespace::IPC, "--ipc"),
        (namespace::UTS, "--uts"),
        (namespace::NETWORK, "--net"),
        (namespace::CGROUP, "--cgroup"),
    ] {
        if plan.namespaces & flag != 0 {
            command.push(' ');
            command.push_str(option);
        }
    }
    command
}

/// The beginning of a command that moves into a user namespace like this one. Ranges that unshare(1) can't map are left
/// out.
pub fn unshare_user(user_namespace: &UserNamespace) -> String {
    format!("unshare{}", user_maps(user_namespace, &mut Text::default()))
}

/// unshare(1) maps the caller to 0 and one further range for users and groups each (since util-linux 2.38).
fn user_maps(user_namespace: &UserNamespace, outside: &mut Text) -> String {
    if user_namespace.is_inherited() {
        return String::new();
    }
    let mut options = " --user --map-root-user".to_owned();
    if user_namespace.is_single() {
        return options;
    }
    for (name, ranges) in [("users", &user_namespace.users), ("groups", &user_namespace.groups)] {
        let further: Vec<&IdRange> = ranges.iter().filter(|range| range.inside != 0).collect();
        if let Some(range) = further.first() {
            let _ = write!(
                options,
                " --map-{name}={},{},{}",
                range.outside, range.inside, range.count
            );
        }
        if further.len() > 1 {
            outside.note(&format!(
                "unshare(1) maps one range of {name} beside the caller's own id: {} more, which wiac maps, are left out.",
                further.len() - 1
            ));
        }
    }
    options
}
