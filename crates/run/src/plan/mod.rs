//! The plan of a container: everything decided, opened and compiled before the clone.

mod make;
mod mounts;
mod overlay;
mod process;
pub mod step;

use crate::error::Error;
use crate::user_namespace::UserNamespace;
use rustix::fd::OwnedFd;
use std::path::PathBuf;
use step::Step;
use wiac_oci::runtime::RuntimeConfig;

pub use mounts::STUB_ON_ROOT_ALONE;

/// Where programs of former days read what is mounted; a symlink to [`MOUNT_TABLE_TEXT`].
pub const MOUNT_TABLE: &str = "/etc/mtab";

/// Where the kernel says it.
pub const MOUNT_TABLE_TEXT: &str = "/proc/mounts";

/// What the container's root directory is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rootfs {
    /// Layers merged by overlayfs.
    Overlay(OverlayPaths),
    /// A plain directory.
    Directory(PathBuf),
}

/// The directories of an overlay. All must exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayPaths {
    /// The layers' directories, base first.
    pub layers: Vec<PathBuf>,
    /// Takes the changes.
    pub upper: PathBuf,
    /// overlayfs's own; on the file system of `upper`, and fresh where `volatile`.
    pub work: PathBuf,
    /// An empty directory where the merged tree is attached before it becomes the root.
    pub merged: PathBuf,
    /// Nothing is synced when it is unmounted: for uppers that are thrown away or synced by other means.
    pub volatile: bool,
    /// overlayfs's marks are `user.overlay.*`: in a user namespace.
    pub user_xattrs: bool,
}

/// Which seccomp filter a container gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SeccompChoice {
    /// docker's default profile, for the container's capabilities.
    #[default]
    Default,
    /// What the runtime configuration says; none where it says nothing.
    FromConfig,
}

/// What the engine is told beside the runtime configuration.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The user namespace the caller has entered, if any.
    pub user_namespace: Option<UserNamespace>,
    /// The filter.
    pub seccomp: SeccompChoice,
    /// Nobody asked for the host name of the configuration: where none may be set, it is left out.
    pub optional_hostname: bool,
    /// Make [`MOUNT_TABLE`] where the root has none, as docker and podman do.
    pub mount_table: bool,
    /// Directories that the image declares as volumes: absolute paths, outer ones first. Each is made where it is missing, and
    /// can be written where the root can't.
    pub image_volumes: Vec<String>,
    /// Mount the overlay by mount(2) even where the kernel knows better: for tests of the older way.
    pub legacy_overlay: bool,
}

/// A container as a list of steps; see [`Plan::new`].
#[derive(Debug)]
pub struct Plan {
    /// Namespaces the first process is cloned into ([`wiac_sys::process::namespace`] bits).
    pub namespaces: u64,
    /// The v2 cgroup it is cloned into.
    pub cgroup: Option<OwnedFd>,
    /// What it then does, in order.
    pub steps: Vec<Step>,
    /// The user of the program, to whom standard streams that are pipes are given.
    pub owner: u32,
    /// Device and inode of wiac's own binary, which no container may start.
    pub own_binary: Option<(u64, u64)>,
}

impl Plan {
    /// Computes the steps for `config` on `rootfs`: validates, opens directories, compiles the seccomp filter.
    ///
    /// # Errors
    /// What can't be done, before anything was done.
    pub fn new(config: &RuntimeConfig, rootfs: &Rootfs, settings: &Settings) -> Result<Self, Error> {
        make::plan(config, rootfs, settings)
    }
}
