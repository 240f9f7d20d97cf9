//! Mount targets inside the future root: found without ever leaving it, made where they are missing.
//!
//! Everything here is child-safe: paths are built in buffers on the stack.

use crate::plan::step::{Stub, TargetKind};
use crate::protocol::Call;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;
use std::ffi::CStr;
use wiac_sys::times;

/// Symlinks that may be crossed one after the other while making a missing target.
const MAX_LINKS: u8 = 16;

/// A system call of a step that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed {
    /// The call.
    pub call: Call,
    /// What it said.
    pub errno: Errno,
}

/// Puts the call beside the error number.
pub trait At<T> {
    /// Says which call it was.
    fn at(self, call: Call) -> Result<T, Failed>;
}

impl<T> At<T> for rustix::io::Result<T> {
    fn at(self, call: Call) -> Result<T, Failed> {
        self.map_err(|errno| Failed { call, errno })
    }
}

/// Opens `path` (O_PATH) with `root` as its "/": symlinks and ".." can't lead out, magic links of /proc are refused.
/// The empty path is the root itself.
pub fn open(root: BorrowedFd<'_>, path: &CStr) -> rustix::io::Result<OwnedFd> {
    open_with(root, path, OFlags::PATH)
}

/// Like [`open`] with other flags.
pub fn open_with(root: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { c"." } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // A rename elsewhere in the tree disturbed the walk: the kernel asks to try again.
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Opens `path`, and makes it as `stub` says, with its missing parents, where it does not exist. Where it may not be made
/// the error is `XDEV`.
pub fn ensure(root: BorrowedFd<'_>, path: &CStr, kind: TargetKind, stub: Stub) -> Result<OwnedFd, Failed> {
    match open(root, path) {
        Err(Errno::NOENT) => {}
        result => return result.at(Call::Openat2),
    }
    let new = New {
        kind,
        keep_times: stub != Stub::Elsewhere,
        mount: match stub {
            Stub::OnRootAlone => Some(mount_of(root)?),
            Stub::OnRoot | Stub::Elsewhere => None,
        },
    };
    if let Some(made) = make_in_parent(root, path, new)? {
        return Ok(made);
    }
    let mut buffer = PathBuffer::new();
    buffer.push(path.to_bytes())?;
    make(root, &mut buffer, new, MAX_LINKS)?;
    open(root, path).at(Call::Openat2)
}

/// Makes the symlink `name` in the directory `parent`, which is made where it is missing. What has that name stays.
pub fn link(root: BorrowedFd<'_>, parent: &CStr, name: &CStr, text: &CStr) -> Result<(), Failed> {
    let parent = ensure(root, parent, TargetKind::Directory, Stub::OnRoot)?;
    let before = rustix::fs::fstat(&parent).at(Call::Statx)?;
    match rustix::fs::symlinkat(text, &parent, name) {
        Err(Errno::EXIST) => Ok(()),
        result => {
            result.at(Call::Symlinkat)?;
            restore_modification_time(parent.as_fd(), &before)
        }
    }
}

/// What is made where a target is missing.
#[derive(Clone, Copy)]
struct New {
    kind: TargetKind,
    /// The modification time of the directory that gets a new entry is put back.
    keep_times: bool,
    /// The only mount in which something may be made.
    mount: Option<u64>,
}

/// The number of the mount that `place` lies in.
fn mount_of(place: BorrowedFd<'_>) -> Result<u64, Failed> {
    let status = rustix::fs::statx(place, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).at(Call::Statx)?;
    Ok(status.stx_mnt_id)
}

/// The common case of [`ensure`]: the parent exists. `None` where it doesn't, or where the last component is a symlink
/// that leads to nothing.
fn make_in_parent(root: BorrowedFd<'_>, path: &CStr, new: New) -> Result<Option<OwnedFd>, Failed> {
    let end = path.to_bytes().iter().rposition(|&byte| byte == b'/');
    let mut buffer = PathBuffer::new();
    buffer.push(&path.to_bytes()[..end.unwrap_or(0)])?;
    let parent = match buffer.with_prefix(end.unwrap_or(0), |parent| open(root, parent)) {
        Err(Errno::NOENT) => return Ok(None),
        result => result.at(Call::Openat2)?,
    };
    let name = &path[end.map_or(0, |end| end + 1)..];
    match make_entry(parent.as_fd(), name, new) {
        Err(Failed {
            errno: Errno::EXIST, ..
        }) => Ok(None),
        result => result
            .and_then(|()| open(parent.as_fd(), name).at(Call::Openat2))
            .map(Some),
    }
}

/// A path on the stack.
struct PathBuffer {
    bytes: [u8; 4096],
    length: usize,
}

impl PathBuffer {
    fn new() -> Self {
        Self {
            bytes: [0; 4096],
            length: 0,
        }
    }

    fn push(&mut self, more: &[u8]) -> Result<(), Failed> {
        let end = self.length + more.len();
        // One byte stays for the NUL.
        if end >= self.bytes.len() {
            return Err(Failed {
                call: Call::Openat2,
                errno: Errno::NAMETOOLONG,
            });
        }
        self.bytes[self.length..end].copy_from_slice(more);
        self.length = end;
        self.bytes[end] = 0;
        Ok(())
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn with_prefix<T>(&mut self, end: usize, f: impl FnOnce(&CStr) -> T) -> T {
        let saved = std::mem::replace(&mut self.bytes[end], 0);
        let result = f(CStr::from_bytes_until_nul(&self.bytes[..=end]).unwrap_or(c""));
        self.bytes[end] = saved;
        result
    }
}

/// Makes every missing component of `path`; the last one as `new`, those before as directories.
fn make(root: BorrowedFd<'_>, path: &mut PathBuffer, new: New, links: u8) -> Result<(), Failed> {
    let mut parent = open(root, c"").at(Call::Openat2)?;
    let mut start = 0;
    while start < path.length {
        let end = path.as_bytes()[start..]
            .iter()
            .position(|&b| b == b'/')
            .map_or(path.length, |at| start + at);
        if end == start {
            start += 1;
            continue;
        }
        parent = match path.with_prefix(end, |prefix| open(root, prefix)) {
            Ok(found) => found,
            Err(Errno::NOENT) => {
                let last = path.as_bytes()[end..].iter().all(|&b| b == b'/');
                let kind = if last { new.kind } else { TargetKind::Directory };
                let entry = New { kind, ..new };
                let name = |path: &CStr| make_entry(parent.as_fd(), &path[start..], entry);
                match path.with_prefix(end, name) {
                    Ok(()) => path.with_prefix(end, |prefix| open(root, prefix)).at(Call::Openat2)?,
                    Err(Failed {
                        errno: Errno::EXIST, ..
                    }) => {
                        return make_behind_link(root, path, (start, end), parent.as_fd(), new, links);
                    }
                    Err(failed) => return Err(failed),
                }
            }
            Err(errno) => {
                return Err(Failed {
                    call: Call::Openat2,
                    errno,
                });
            }
        };
        start = end + 1;
    }
    Ok(())
}

/// The component `place` of `path` is a symlink that leads to nothing: makes what it points to instead.
fn make_behind_link(
    root: BorrowedFd<'_>,
    path: &mut PathBuffer,
    place: (usize, usize),
    parent: BorrowedFd<'_>,
    new: New,
    links: u8,
) -> Result<(), Failed> {
    if links == 0 {
        return Err(Failed {
            call: Call::Openat2,
            errno: Errno::LOOP,
        });
    }
    let (start, end) = place;
    let mut text = [0u8; 4096];
    let length = path
        .with_prefix(end, |prefix| {
            rustix::fs::readlinkat_raw(parent, &prefix[start..], &mut text[..])
        })
        .at(Call::Readlinkat)?;
    let mut target = PathBuffer::new();
    if text[0] != b'/' {
        target.push(&path.as_bytes()[..start])?;
    }
    target.push(&text[..length])?;
    target.push(&path.as_bytes()[end..])?;
    make(root, &mut target, new, links - 1)
}

/// Makes one entry `name` in `parent`.
fn make_entry(parent: BorrowedFd<'_>, name: &CStr, new: New) -> Result<(), Failed> {
    if let Some(mount) = new.mount
        && mount_of(parent)? != mount
    {
        let errno = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            // A symlink is in the way: what it leads to may lie in the right one.
            Ok(_) => Errno::EXIST,
            Err(Errno::NOENT) => Errno::XDEV,
            Err(errno) => errno,
        };
        return Err(Failed {
            call: Call::Mknodat,
            errno,
        });
    }
    let before = if new.keep_times {
        Some(rustix::fs::fstat(parent).at(Call::Statx)?)
    } else {
        None
    };
    match new.kind {
        TargetKind::Directory => {
            rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)).at(Call::Mkdirat)?;
        }
        TargetKind::File => {
            let mode = Mode::from_raw_mode(0o644);
            rustix::fs::mknodat(parent, name, rustix::fs::FileType::RegularFile, mode, 0).at(Call::Mknodat)?;
        }
    }
    match before {
        Some(before) => restore_modification_time(parent, &before),
        None => Ok(()),
    }
}

/// Gives a directory the modification time it had.
fn restore_modification_time(directory: BorrowedFd<'_>, before: &rustix::fs::Stat) -> Result<(), Failed> {
    let times = times::modified_as(before);
    rustix::fs::utimensat(directory, c"", &times, AtFlags::EMPTY_PATH).at(Call::Utimensat)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    fn root_of(dir: &std::path::Path) -> OwnedFd {
        rustix::fs::open(dir, OFlags::PATH, Mode::empty()).expect("open")
    }

    #[test]
    fn makes_parents_and_keeps_times() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::create_dir(dir.path().join("etc")).expect("mkdir");
        let before = std::fs::metadata(dir.path().join("etc")).expect("stat");
        let root = root_of(dir.path());
        ensure(root.as_fd(), c"etc/a/b/hosts", TargetKind::File, Stub::OnRoot).expect("made");
        assert!(dir.path().join("etc/a/b/hosts").is_file());
        let after = std::fs::metadata(dir.path().join("etc")).expect("stat");
        assert_eq!(
            (before.mtime(), before.mtime_nsec()),
            (after.mtime(), after.mtime_nsec())
        );
    }

    #[test]
    fn follows_a_dangling_link_inside_the_root() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::create_dir(dir.path().join("etc")).expect("mkdir");
        symlink("../../../run/resolve/stub.conf", dir.path().join("etc/resolv.conf")).expect("symlink");
        let root = root_of(dir.path());
        ensure(root.as_fd(), c"etc/resolv.conf", TargetKind::File, Stub::OnRoot).expect("made");
        assert!(dir.path().join("run/resolve/stub.conf").is_file());
    }

    #[test]
    fn what_lies_behind_a_dangling_link_is_of_the_kind_asked_for() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::create_dir(dir.path().join("var")).expect("mkdir");
        symlink("/run", dir.path().join("var/run")).expect("symlink");
        let root = root_of(dir.path());
        ensure(root.as_fd(), c"var/run/deep/socket", TargetKind::File, Stub::OnRoot).expect("made");
        assert!(dir.path().join("run/deep/socket").is_file());
    }

    #[test]
    fn an_absolute_link_stays_inside() {
        let dir = tempfile::tempdir().expect("tempdir");
        let outside = tempfile::tempdir().expect("tempdir");
        symlink(outside.path(), dir.path().join("data")).expect("symlink");
        let root = root_of(dir.path());
        ensure(root.as_fd(), c"data/x", TargetKind::Directory, Stub::OnRoot).expect("made");
        assert!(!outside.path().join("x").exists());
        assert!(
            dir.path()
                .join(outside.path().strip_prefix("/").expect("absolute"))
                .join("x")
                .is_dir()
        );
    }

    #[test]
    fn a_link_takes_nothings_place() {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = root_of(dir.path());
        let make = |text| link(root.as_fd(), c"etc", c"mtab", text).expect("made");
        make(c"/proc/mounts");
        make(c"/elsewhere");
        let made = std::fs::read_link(dir.path().join("etc/mtab")).expect("a link");
        assert_eq!(made, std::path::Path::new("/proc/mounts"));
    }

    #[test]
    fn a_loop_of_links_is_an_error() {
        let dir = tempfile::tempdir().expect("tempdir");
        symlink("b", dir.path().join("a")).expect("symlink");
        symlink("a", dir.path().join("b")).expect("symlink");
        let root = root_of(dir.path());
        let failed = ensure(root.as_fd(), c"a/x", TargetKind::Directory, Stub::OnRoot).expect_err("loop");
        assert_eq!(failed.errno, Errno::LOOP);
    }
}
