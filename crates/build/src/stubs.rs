//! Stubs: the empty files and directories that a container's mounts needed and the root didn't have. They are taken
//! out of a finished step's upper directory, as if they had never been there.

use crate::directory::{attributes, open_in};
use crate::error::{IoExt, Result};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use wiac_layer::merged::{Found, LayerStack};
use wiac_run::plan::MOUNT_TABLE_TEXT;
use wiac_sys::times;

/// Removes from `upper`, whose lower layers are `stack`, what mounting on `targets` (absolute paths in the container)
/// made there. What the step itself put in their place stays.
///
/// # Errors
/// What the disk says.
pub(crate) fn remove(stack: &LayerStack, upper: &Path, targets: &[PathBuf]) -> Result<()> {
    let root = rustix::fs::open(upper, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let root = root.on("open", upper)?;
    for target in targets {
        let resolved = stack.resolve(target)?;
        if resolved.found.is_none() {
            remove_made(&root, &resolved.path, resolved.deepest.1)?;
        }
        let existing: PathBuf = resolved.path.components().take(resolved.deepest.1 + 1).collect();
        remove_copied_up(stack, &root, &existing)?;
    }
    Ok(())
}

/// Removes the entries of `path` past its first `kept` components, the last first, as long as they are empty.
fn remove_made(root: &OwnedFd, path: &Path, kept: usize) -> Result<()> {
    let mut path = path.to_owned();
    while path.components().count() > kept + 1 {
        if !remove_empty(root, &path)? {
            break;
        }
        path.pop();
    }
    Ok(())
}

/// A directory of the lower layers is copied up when something is made in it. With that gone again and nothing else
/// changed, the copy goes too, and so on towards the root.
fn remove_copied_up(stack: &LayerStack, root: &OwnedFd, path: &Path) -> Result<()> {
    let mut path = path.to_owned();
    while path.components().count() > 1 {
        let Some(Found::Directory(lower)) = stack.resolve(&path)?.found else {
            break;
        };
        let Some(lower) = lower.topmost() else { break };
        let status_below = rustix::fs::fstat(lower).on("look at", &path)?;
        let Some(upper) = status(root, &path)? else { break };
        if !is_same(&status_below, &upper) || !has_same_attributes(lower, root, &path)? || !remove_empty(root, &path)? {
            break;
        }
        path.pop();
    }
    Ok(())
}

fn is_same(a: &Stat, b: &Stat) -> bool {
    let facts = |s: &Stat| (s.st_mode, s.st_uid, s.st_gid, s.st_mtime, s.st_mtime_nsec);
    facts(a) == facts(b)
}

/// A change of attributes alone changes no time that a copy keeps.
fn has_same_attributes(lower: &OwnedFd, root: &OwnedFd, path: &Path) -> Result<bool> {
    let (Some(parent), Some(name)) = (open_parent(root, path)?, path.file_name()) else {
        return Ok(false);
    };
    let of = |parent: BorrowedFd<'_>, name: &OsStr| {
        let directory = open_in(parent, name)?;
        attributes(directory.as_fd())
    };
    let below = of(lower.as_fd(), OsStr::new(".")).on("read the attributes of", path)?;
    match of(parent.as_fd(), name) {
        Err(Errno::NOTDIR | Errno::LOOP | Errno::NOENT) => Ok(false),
        upper => Ok(upper.on("read the attributes of", path)? == below),
    }
}

/// Opens the directory that holds `path`, crossing no symlink: the step may have planted one.
fn open_parent(root: &OwnedFd, path: &Path) -> Result<Option<OwnedFd>> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let relative = parent.strip_prefix("/").unwrap_or(parent);
    let relative = if relative.as_os_str().is_empty() {
        Path::new(".")
    } else {
        relative
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match rustix::fs::openat2(root, relative, flags, Mode::empty(), resolve) {
        Ok(directory) => Ok(Some(directory)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(errno).on("open", path),
    }
}

fn status(root: &OwnedFd, path: &Path) -> Result<Option<Stat>> {
    let (Some(parent), Some(name)) = (open_parent(root, path)?, path.file_name()) else {
        return Ok(None);
    };
    match rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno).on("look at", path),
    }
}

/// Removes an empty directory, an empty regular file, or the symlink for [`wiac_run::plan::MOUNT_TABLE`], and puts its
/// parent's modification time back; `false` where it is something else or not there.
fn remove_empty(root: &OwnedFd, path: &Path) -> Result<bool> {
    let (Some(parent), Some(name)) = (open_parent(root, path)?, path.file_name()) else {
        return Ok(false);
    };
    let before = rustix::fs::fstat(&parent).on("look at", path)?;
    let stat = match rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(false),
        Err(errno) => return Err(errno).on("look at", path),
    };
    let removed = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR),
        FileType::RegularFile if stat.st_size == 0 => rustix::fs::unlinkat(&parent, name, AtFlags::empty()),
        FileType::Symlink if is_mount_table(&parent, name) => rustix::fs::unlinkat(&parent, name, AtFlags::empty()),
        _ => return Ok(false),
    };
    match removed {
        Err(Errno::NOTEMPTY) => return Ok(false),
        result => result.on("delete", path)?,
    }
    let times = times::modified_as(&before);
    rustix::fs::futimens(parent.as_fd(), &times).on("set the times of", path)?;
    Ok(true)
}

/// Whether it is the one symlink that is made for a container.
fn is_mount_table(parent: &OwnedFd, name: &OsStr) -> bool {
    rustix::fs::readlinkat(parent, name, Vec::new()).is_ok_and(|text| text.to_bytes() == MOUNT_TABLE_TEXT.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    fn layers() -> (tempfile::TempDir, LayerStack, PathBuf) {
        let dir = tempfile::tempdir().expect("tempdir");
        let (lower, upper) = (dir.path().join("lower"), dir.path().join("upper"));
        fs::create_dir_all(lower.join("etc")).expect("mkdir");
        fs::create_dir(&upper).expect("mkdir");
        (dir, LayerStack::new(vec![lower]), upper)
    }

    fn copy_up(stack: &LayerStack, upper: &Path, name: &str) {
        fs::create_dir(upper.join(name)).expect("mkdir");
        crate::directory::copy_metadata_at(&stack.directories()[0].join(name), &upper.join(name)).expect("metadata");
    }

    #[test]
    fn stubs_and_copies_for_them_go() {
        let (_dir, stack, upper) = layers();
        let before = fs::metadata(&upper).expect("stat").mtime_nsec();
        copy_up(&stack, &upper, "etc");
        let modified = fs::metadata(upper.join("etc")).expect("stat").modified().expect("time");
        fs::write(upper.join("etc/hosts"), "").expect("write");
        fs::create_dir(upper.join("proc")).expect("mkdir");
        // As the engine does when it makes a stub.
        fs::File::open(upper.join("etc"))
            .expect("open")
            .set_modified(modified)
            .expect("times");
        remove(&stack, &upper, &["/proc".into(), "/etc/hosts".into()]).expect("removed");
        assert_eq!(fs::read_dir(&upper).expect("read").count(), 0);
        assert_ne!(before, 0);
    }

    #[test]
    fn a_directory_with_other_attributes_stays() {
        let (_dir, stack, upper) = layers();
        copy_up(&stack, &upper, "etc");
        remove(&stack, &upper, &["/etc/hosts".into()]).expect("removed");
        assert!(!upper.join("etc").exists());
        copy_up(&stack, &upper, "etc");
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(upper.join("etc"), "user.mark", b"set", flags).expect("user xattrs on the test's disk");
        remove(&stack, &upper, &["/etc/hosts".into()]).expect("removed");
        assert!(upper.join("etc").is_dir());
    }

    #[test]
    fn what_the_step_made_stays() {
        let (_dir, stack, upper) = layers();
        fs::create_dir_all(upper.join("proc/mine")).expect("mkdir");
        fs::create_dir_all(upper.join("etc")).expect("mkdir");
        fs::write(upper.join("etc/hosts"), "127.0.0.1 me").expect("write");
        remove(&stack, &upper, &["/proc".into(), "/etc/hosts".into()]).expect("removed");
        assert!(upper.join("proc/mine").is_dir() && upper.join("etc/hosts").is_file());
    }

    #[test]
    fn a_planted_symlink_is_not_followed() {
        let (dir, stack, upper) = layers();
        let outside = dir.path().join("outside");
        fs::create_dir_all(outside.join("empty")).expect("mkdir");
        symlink(&outside, upper.join("run")).expect("symlink");
        remove(&stack, &upper, &["/run/empty".into()]).expect("nothing to remove");
        assert!(outside.join("empty").is_dir());
    }
}
