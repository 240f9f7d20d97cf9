//! Why a container could not be made or started.

use crate::container::ContainerRoot;
use crate::protocol::Call;
use rustix::io::Errno;
use std::path::PathBuf;
use wiac_sys::error::describe;

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call of the caller itself failed.
    #[error(transparent)]
    System(#[from] wiac_sys::Error),
    /// A directory the root is made of can't be used.
    #[error("{role} {}: {}", path.display(), describe(*errno))]
    Directory {
        /// What it was to be: "lower directory" …
        role: &'static str,
        /// Which.
        path: PathBuf,
        /// Why not.
        errno: Errno,
    },
    /// Upper and work directory are on different file systems, which overlay refuses.
    #[error("upper directory {} and work directory {} are on different file systems; an overlay needs both on one",
        upper.display(), work.display())]
    DifferentFileSystems {
        /// Upper.
        upper: PathBuf,
        /// Work.
        work: PathBuf,
    },
    /// Something in the runtime configuration can't be done or makes no sense.
    #[error("{0}")]
    Config(String),
    /// The seccomp profile can't be compiled.
    #[error("seccomp profile: {0}")]
    Seccomp(String),
    /// A step of the plan failed in the child.
    #[error("can't {what}: {}: {}{}", call.name(), describe(*errno), detail(text))]
    Step {
        /// What the step does.
        what: String,
        /// The system call that failed.
        call: Call,
        /// What it said.
        errno: Errno,
        /// What the file system added; may be empty.
        text: String,
        /// Whether the step was the mounting of the root.
        is_root: bool,
    },
    /// The namespaces can't be made.
    #[error("can't make the container's namespaces: clone3: {}", describe(*.0))]
    Clone(Errno),
    /// The program can't be started.
    #[error("can't start the command: {}", describe(*errno))]
    Exec {
        /// What execve said.
        errno: Errno,
        /// The container's root, to look for the reason in.
        root: Option<ContainerRoot>,
    },
    /// The container's processes were killed from outside before they could say anything.
    #[error("the container was killed while it was being made")]
    Killed,
    /// A user namespace can't be entered.
    #[error("{0}")]
    UserNamespace(String),
}

fn detail(text: &str) -> String {
    // The kernel marks each line with its severity: "e overlay: …".
    let text = text.trim_start_matches(['e', 'w', 'i']).trim();
    if text.is_empty() {
        String::new()
    } else {
        format!(" ({text})")
    }
}
