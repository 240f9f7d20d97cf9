//! Opening directories of a layer by their path, where nobody can lead out: no symlink is followed, by nobody.

use crate::path::split;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::cell::Cell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

/// Directories kept open: tars mostly stay in a few.
const KEPT: usize = 24;

/// PATH_MAX of limits.h, which counts the byte at the end: the kernel takes no path of so many bytes.
const PATH_MAX: usize = 4096;

const RESOLVE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

/// A layer's root directory and some open ones below it.
pub(crate) struct Inside {
    root: Rc<OwnedFd>,
    /// The last used one last.
    kept: Vec<(Vec<u8>, Rc<OwnedFd>)>,
    /// Whether the kernel has `openat2`, and nobody forbids it (some seccomp filters do).
    has_openat2: Cell<bool>,
}

impl Inside {
    /// Below `root`, which must have been opened for reading.
    pub(crate) fn new(root: OwnedFd) -> Self {
        Self {
            root: Rc::new(root),
            kept: Vec::new(),
            has_openat2: Cell::new(true),
        }
    }

    #[cfg(test)]
    pub(crate) fn without_openat2(root: OwnedFd) -> Self {
        let inside = Self::new(root);
        inside.has_openat2.set(false);
        inside
    }

    /// The root.
    pub(crate) fn root(&self) -> &Rc<OwnedFd> {
        &self.root
    }

    /// The directory at `path` (names with one slash between; the root is empty), for use as the start of other
    /// calls only.
    ///
    /// # Errors
    /// ENOENT; ELOOP or ENOTDIR where something on the way is a symlink or no directory.
    pub(crate) fn directory(&mut self, path: &[u8]) -> rustix::io::Result<Rc<OwnedFd>> {
        if path.is_empty() {
            return Ok(Rc::clone(&self.root));
        }
        if let Some(place) = self.kept.iter().rposition(|(kept, _)| kept == path) {
            // Most often it is the last one already.
            if place + 1 < self.kept.len() {
                let used = self.kept.remove(place);
                self.kept.push(used);
            }
            return Ok(Rc::clone(&self.kept[self.kept.len() - 1].1));
        }
        let fd = Rc::new(self.open_from_kept(path)?);
        if self.kept.len() == KEPT {
            self.kept.remove(0);
        }
        self.kept.push((path.to_vec(), Rc::clone(&fd)));
        Ok(fd)
    }

    /// Opens a directory by its name alone where the one above it is open: a single name without "..", not followed where
    /// it is a symlink, can't lead out.
    fn open_from_kept(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        if let Some((above, name)) = split(path)
            && let Some((_, above)) = self.kept.iter().rev().find(|(kept, _)| kept == above)
        {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            return rustix::fs::openat(above, OsStr::from_bytes(name), flags, Mode::empty());
        }
        self.open(path, OFlags::PATH)
    }

    /// Opens the directory at `path` anew.
    ///
    /// # Errors
    /// As [`Self::directory`].
    pub(crate) fn open(&self, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let flags = flags | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = if path.is_empty() { b"." } else { path };
        if self.has_openat2.get() && path.len() < PATH_MAX {
            match retried(|| rustix::fs::openat2(&self.root, path, flags, Mode::empty(), RESOLVE)) {
                Err(Errno::NOSYS | Errno::PERM) => self.has_openat2.set(false),
                result => return result,
            }
        }
        walk(self.root.as_fd(), path, flags)
    }

    /// Closes what is kept open, where directories were removed.
    pub(crate) fn forget(&mut self) {
        self.kept.clear();
    }
}

/// Tries again where a rename elsewhere made the kernel unsure.
fn retried(mut call: impl FnMut() -> rustix::io::Result<OwnedFd>) -> rustix::io::Result<OwnedFd> {
    for _ in 0..128 {
        match call() {
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
    call()
}

/// The same name by name. The paths have no "..", so that every step leads down.
fn walk(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut names = path.split(|byte| *byte == b'/').peekable();
    let mut current: Option<OwnedFd> = None;
    while let Some(name) = names.next() {
        let flags = if names.peek().is_some() { step } else { flags };
        let parent = current.as_ref().map_or(root, AsFd::as_fd);
        current = Some(rustix::fs::openat(
            parent,
            OsStr::from_bytes(name),
            flags,
            Mode::empty(),
        )?);
    }
    current.ok_or(Errno::NOENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Makes directories below `above`, one in the other, that are too deep for the kernel to open at once.
    fn deep_directories(above: &std::path::Path) -> String {
        let name = "d".repeat(200);
        let mut current = rustix::fs::open(above, OFlags::DIRECTORY, Mode::empty()).expect("open");
        let names = vec![name.as_str(); PATH_MAX / name.len()];
        for name in &names {
            rustix::fs::mkdirat(&current, *name, Mode::RWXU).expect("mkdir");
            current = rustix::fs::openat(&current, *name, OFlags::DIRECTORY, Mode::empty()).expect("open");
        }
        names.join("/")
    }

    /// Both ways of opening say the same of the same paths.
    #[test]
    fn the_fallback_is_the_same() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path();
        std::fs::create_dir_all(path.join("in/a/b")).expect("mkdir");
        std::fs::create_dir(path.join("out")).expect("mkdir");
        std::fs::write(path.join("in/file"), "").expect("write");
        symlink("a", path.join("in/link")).expect("symlink");
        symlink("../out", path.join("in/escape")).expect("symlink");
        symlink("/", path.join("in/absolute")).expect("symlink");
        symlink("/proc/self/root", path.join("in/magic")).expect("symlink");
        let deep = deep_directories(&path.join("in"));
        let root = || {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            rustix::fs::open(path.join("in"), flags, Mode::empty()).expect("open")
        };
        let (new, old) = (Inside::new(root()), Inside::without_openat2(root()));
        let outcome = |inside: &Inside, path: &str, flags| match inside.open(path.as_bytes(), flags) {
            Ok(fd) => Ok(rustix::fs::fstat(fd).expect("fstat").st_ino),
            Err(Errno::LOOP | Errno::NOTDIR) => Err("not a directory"),
            Err(Errno::NOENT) => Err("nothing"),
            Err(errno) => panic!("{path}: {errno}"),
        };
        for flags in [OFlags::PATH, OFlags::RDONLY] {
            for path in ["", "a", "a/b", &deep] {
                assert!(outcome(&new, path, flags).is_ok(), "{path}");
                assert_eq!(outcome(&new, path, flags), outcome(&old, path, flags), "{path}");
            }
            let paths = [
                "link",
                "link/b",
                "escape",
                "escape/x",
                "absolute",
                "absolute/etc",
                "magic/etc",
                "file",
            ];
            for path in paths.into_iter().chain(["file/x", "none", "a/none/x"]) {
                assert!(outcome(&new, path, flags).is_err(), "{path}");
                assert_eq!(outcome(&new, path, flags), outcome(&old, path, flags), "{path}");
            }
        }
        assert!(new.has_openat2.get(), "openat2 isn't there: this test compared nothing");
    }

    /// Where the directory above is open already, its names alone are looked up: they lead out no more than paths do.
    #[test]
    fn a_directory_that_is_kept_open_leads_nowhere_else() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path();
        std::fs::create_dir_all(path.join("in/a")).expect("mkdir");
        std::fs::create_dir(path.join("out")).expect("mkdir");
        std::fs::write(path.join("in/a/file"), "").expect("write");
        symlink("../../out", path.join("in/a/escape")).expect("symlink");
        symlink("/", path.join("in/a/absolute")).expect("symlink");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let mut inside = Inside::new(rustix::fs::open(path.join("in"), flags, Mode::empty()).expect("open"));
        inside.directory(b"a").expect("opened");
        for name in ["a/escape", "a/absolute", "a/file"] {
            let errno = inside.directory(name.as_bytes()).expect_err("refused");
            assert!(matches!(errno, Errno::LOOP | Errno::NOTDIR), "{name}: {errno}");
        }
        for number in 0..2 * KEPT {
            let name = format!("a/{number}");
            std::fs::create_dir(path.join("in").join(&name)).expect("mkdir");
            inside.directory(name.as_bytes()).expect("opened");
            assert!(inside.kept.len() <= KEPT, "descriptors are few");
        }
    }
}
