//! The child's mount steps: binds, new file systems, the change of root.

use super::{Child, StepResult};
use crate::plan::step::{Bind, Device, InRoot, NewMount, Stub, Target, TargetKind};
use crate::protocol::Call;
use crate::target::{self, At, Failed};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, open_tree,
    unmount,
};
use std::ffi::CStr;
use wiac_sys::mount::{attr, set_attributes};

/// First of all: what is mounted from here on must not appear on the host, nor the host's mounts here.
pub(super) fn make_private() -> StepResult {
    mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).at(Call::Mount)
}

pub(super) fn clone_tree(dir: BorrowedFd<'_>, path: &CStr, recursive: bool) -> Result<OwnedFd, Failed> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if path.is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(dir, path, flags).at(Call::OpenTree)
}

pub(super) fn attach(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> StepResult {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, c"", target, c"", flags).at(Call::MoveMount)
}

pub(super) fn attach_at(tree: BorrowedFd<'_>, path: &CStr) -> StepResult {
    move_mount(tree, c"", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).at(Call::MoveMount)
}

/// The name of something directly in /dev.
fn name_in_dev(path: &InRoot) -> Option<&CStr> {
    name_in(path, b"dev/")
}

/// The name of something directly in `directory`.
pub(super) fn name_in<'p>(path: &'p InRoot, directory: &[u8]) -> Option<&'p CStr> {
    let bytes = path.0.to_bytes_with_nul().strip_prefix(directory)?;
    if bytes.contains(&b'/') {
        return None;
    }
    CStr::from_bytes_with_nul(bytes).ok()
}

/// Mounts on `name` in `directory`, made where it is missing. Neither is looked up through a symlink.
fn attach_in(tree: BorrowedFd<'_>, directory: BorrowedFd<'_>, name: &CStr, kind: TargetKind) -> StepResult {
    let made = match kind {
        TargetKind::Directory => rustix::fs::mkdirat(directory, name, Mode::from_raw_mode(0o755)),
        TargetKind::File => rustix::fs::mknodat(directory, name, FileType::RegularFile, Mode::from_raw_mode(0o644), 0),
    };
    match made {
        Err(Errno::EXIST) => {}
        result => result.at(Call::Mknodat)?,
    }
    move_mount(tree, c"", directory, name, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).at(Call::MoveMount)
}

/// Shows the file `source` refers to at `target`.
pub(super) fn clone_onto(source: BorrowedFd<'_>, target: BorrowedFd<'_>) -> StepResult {
    attach(clone_tree(source, c"", false)?.as_fd(), target)
}

impl Child<'_> {
    /// Keeps what the kernel said about a file system context when `result` is an error.
    pub(super) fn explained(&mut self, result: rustix::io::Result<()>, context: &OwnedFd, call: Call) -> StepResult {
        if result.is_err() {
            self.text_length = wiac_sys::mount::context_message(context, &mut self.text);
        }
        result.at(call)
    }

    pub(super) fn bind_root(&mut self, source: &CStr) -> StepResult {
        let tree = clone_tree(CWD, source, true)?;
        attach_at(tree.as_fd(), source)?;
        set_attributes(tree.as_fd(), false, attr::NODEV, 0).at(Call::MountSetattr)?;
        self.root = Some(tree);
        Ok(())
    }

    /// The container's own /dev, and the name of something directly in it.
    fn in_dev<'p>(&self, path: &'p InRoot, call: Call) -> Result<(BorrowedFd<'_>, &'p CStr), Failed> {
        let place = self.dev.as_ref().map(AsFd::as_fd).zip(name_in_dev(path));
        let errno = Errno::BADF;
        place.ok_or(Failed { call, errno })
    }

    /// Makes a symlink in the container's own /dev.
    pub(super) fn link_in_dev(&self, text: &CStr, path: &InRoot) -> StepResult {
        let (dev, name) = self.in_dev(path, Call::Symlinkat)?;
        rustix::fs::symlinkat(text, dev, name).at(Call::Symlinkat)
    }

    /// Makes /etc/mtab where it is missing. A container whose user may change nothing in its /etc does without.
    pub(super) fn link_mount_table(&self) -> StepResult {
        match target::link(self.root()?, c"etc", c"mtab", c"/proc/mounts") {
            Err(Failed {
                errno: Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::OVERFLOW | Errno::NOTDIR | Errno::LOOP,
                ..
            }) => Ok(()),
            result => result,
        }
    }

    /// Makes the directory of a volume that nobody gave one of the host; `apart`: as a mount of its own.
    pub(super) fn make_volume(&self, path: &InRoot, apart: bool) -> StepResult {
        let place = target::ensure(self.root()?, &path.0, TargetKind::Directory, Stub::Elsewhere)?;
        if apart {
            clone_onto(place.as_fd(), place.as_fd())?;
        }
        Ok(())
    }

    /// Makes a device node in the container's own /dev, or shows the host's there.
    pub(super) fn make_device(&self, device: &Device) -> StepResult {
        let (dev, name) = self.in_dev(&device.path, Call::Mknodat)?;
        let number = rustix::fs::makedev(device.major, device.minor);
        match rustix::fs::mknodat(dev, name, FileType::CharacterDevice, Mode::from_raw_mode(0o666), number) {
            Err(Errno::PERM) => {
                let tree = clone_tree(CWD, &device.source, false)?;
                attach_in(tree.as_fd(), dev, name, TargetKind::File)
            }
            result => result.at(Call::Mknodat),
        }
    }

    /// Puts `tree` in its place; `false` where it has none there and does without.
    fn place(&mut self, tree: &OwnedFd, target: &Target) -> Result<bool, Failed> {
        if let (Some(dev), Some(name)) = (&self.dev, name_in_dev(&target.path)) {
            return attach_in(tree.as_fd(), dev.as_fd(), name, target.kind).map(|()| true);
        }
        let place = match target::ensure(self.root()?, &target.path.0, target.kind, target.stub) {
            Err(failed) if target.stub == Stub::OnRootAlone && failed.errno == Errno::XDEV => return Ok(false),
            result => result?,
        };
        match target.path.0.to_bytes() {
            b"dev" => self.dev = None,
            b"proc" => self.proc = None,
            _ => {}
        }
        attach(tree.as_fd(), place.as_fd()).map(|()| true)
    }

    pub(super) fn mount_new(&mut self, new: &NewMount) -> StepResult {
        match self.make_mount(new) {
            Err(Failed {
                errno: Errno::NODEV | Errno::PERM | Errno::BUSY,
                ..
            }) if new.optional => {
                self.text_length = 0;
                Ok(())
            }
            Err(failed) => Err(failed),
            Ok(tree) => {
                self.place(&tree, &new.target)?;
                match (new.target.path.0.to_bytes(), new.fs_type.to_bytes()) {
                    (b"dev", b"tmpfs") => self.dev = Some(tree),
                    (b"proc", b"proc") => self.proc = Some(tree),
                    _ => {}
                }
                Ok(())
            }
        }
    }

    fn make_mount(&mut self, new: &NewMount) -> Result<OwnedFd, Failed> {
        let context = fsopen(new.fs_type.as_c_str(), FsOpenFlags::FSOPEN_CLOEXEC).at(Call::Fsopen)?;
        let result = fsconfig_set_string(&context, c"source", new.source.as_c_str());
        self.explained(result, &context, Call::Fsconfig)?;
        for (key, value) in &new.options {
            let result = match value {
                Some(value) => fsconfig_set_string(&context, key.as_c_str(), value.as_c_str()),
                None => fsconfig_set_flag(&context, key.as_c_str()),
            };
            self.explained(result, &context, Call::Fsconfig)?;
        }
        let result = fsconfig_create(&context);
        self.explained(result, &context, Call::FsconfigCreate)?;
        fsmount(
            &context,
            FsMountFlags::FSMOUNT_CLOEXEC,
            mount_attributes(new.attributes),
        )
        .at(Call::Fsmount)
    }

    pub(super) fn bind(&mut self, bind: &Bind) -> StepResult {
        let tree = clone_tree(CWD, &bind.source, bind.recursive)?;
        let is_placed = self.place(&tree, &bind.target)?;
        if !is_placed || (bind.set == 0 && bind.clear == 0) {
            return Ok(());
        }
        set_attributes(tree.as_fd(), bind.attributes_recursive, bind.set, bind.clear).at(Call::MountSetattr)
    }

    pub(super) fn make_root_read_only(&self) -> StepResult {
        set_attributes(self.root()?, false, attr::RDONLY, 0).at(Call::MountSetattr)
    }

    /// The old root ends up mounted on the new one and is detached from there: no directory for it is needed in the
    /// container (pivot_root(2), "." twice).
    pub(super) fn pivot_root(&self) -> StepResult {
        rustix::process::fchdir(self.root()?).at(Call::Fchdir)?;
        rustix::process::pivot_root(c".", c".").at(Call::PivotRoot)?;
        unmount(c".", UnmountFlags::DETACH).at(Call::Umount)?;
        rustix::process::chdir(c"/").at(Call::Chdir)
    }
}

/// The attributes as fsmount(2) takes them.
pub(super) fn mount_attributes(bits: u64) -> MountAttrFlags {
    MountAttrFlags::from_bits_retain(u32::try_from(bits).unwrap_or(0))
}
