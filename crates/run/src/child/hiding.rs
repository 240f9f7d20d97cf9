//! The child's steps that take something away: hidden and read-only paths.
//!
//! Nearly all of these paths lie directly in /proc. While that is the one just mounted, they are looked up in it by
//! their names: a walk from the root would cost each of them a good part of its step.

use super::mounts::{attach, clone_tree, mount_attributes, name_in};
use super::{Child, StepResult};
use crate::plan::step::InRoot;
use crate::protocol::Call;
use crate::target::{self, At, Failed};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MoveMountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen, move_mount,
};
use std::ffi::CStr;
use wiac_sys::mount::{attr, set_attributes};

/// What is mounted on to take it away.
enum Taken<'c> {
    /// An entry of the fresh /proc.
    InProc(BorrowedFd<'c>, &'c CStr, FileType),
    /// Anything else, opened.
    Opened(OwnedFd),
}

impl Taken<'_> {
    fn kind(&self) -> Result<FileType, Failed> {
        match self {
            Self::InProc(_, _, kind) => Ok(*kind),
            Self::Opened(target) => {
                let stat = rustix::fs::fstat(target).at(Call::Statx)?;
                Ok(FileType::from_raw_mode(stat.st_mode))
            }
        }
    }

    /// Mounts `tree` on it.
    fn cover(&self, tree: BorrowedFd<'_>) -> StepResult {
        match self {
            Self::InProc(proc, name, _) => {
                move_mount(tree, c"", proc, *name, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).at(Call::MoveMount)
            }
            Self::Opened(target) => attach(tree, target.as_fd()),
        }
    }

    /// A copy of it, with the mounts below.
    fn tree(&self) -> Result<OwnedFd, Failed> {
        match self {
            Self::InProc(proc, name, _) => clone_tree(*proc, name, true),
            Self::Opened(target) => clone_tree(target.as_fd(), c"", true),
        }
    }
}

impl Child<'_> {
    pub(super) fn mask(&mut self, path: &InRoot) -> StepResult {
        let Some(taken) = self.find(path)? else {
            return Ok(());
        };
        if !taken.kind()?.is_dir() {
            return taken.cover(clone_tree(self.root()?, c"dev/null", false)?.as_fd());
        }
        if let Some(empty) = &self.empty {
            return taken.cover(clone_tree(empty.as_fd(), c"", false)?.as_fd());
        }
        let empty = empty_directory()?;
        taken.cover(empty.as_fd())?;
        self.empty = Some(empty);
        Ok(())
    }

    pub(super) fn make_read_only(&self, path: &InRoot) -> StepResult {
        let Some(taken) = self.find(path)? else {
            return Ok(());
        };
        let tree = taken.tree()?;
        taken.cover(tree.as_fd())?;
        set_attributes(tree.as_fd(), true, attr::RDONLY, 0).at(Call::MountSetattr)
    }

    /// What is at `path`; what isn't there needn't be taken away.
    fn find<'c>(&'c self, path: &'c InRoot) -> Result<Option<Taken<'c>>, Failed> {
        if let Some((proc, name)) = self.proc.as_ref().zip(name_in(path, b"proc/")) {
            let stat = rustix::fs::statat(proc, name, AtFlags::SYMLINK_NOFOLLOW);
            match stat.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
                Err(Errno::NOENT) => return Ok(None),
                Ok(kind) if !kind.is_symlink() => return Ok(Some(Taken::InProc(proc.as_fd(), name, kind))),
                // The walk below looks at where it leads.
                _ => {}
            }
        }
        match target::open(self.root()?, &path.0) {
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            result => result.at(Call::Openat2).map(|target| Some(Taken::Opened(target))),
        }
    }
}

fn empty_directory() -> Result<OwnedFd, Failed> {
    let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).at(Call::Fsopen)?;
    fsconfig_set_string(&context, c"source", c"tmpfs").at(Call::Fsconfig)?;
    fsconfig_set_string(&context, c"size", c"4096").at(Call::Fsconfig)?;
    fsconfig_set_string(&context, c"mode", c"555").at(Call::Fsconfig)?;
    fsconfig_create(&context).at(Call::FsconfigCreate)?;
    let attributes = attr::RDONLY | attr::NODEV | attr::NOSUID | attr::NOEXEC;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, mount_attributes(attributes)).at(Call::Fsmount)
}
