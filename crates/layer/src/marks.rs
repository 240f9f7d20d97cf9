//! The marks overlayfs keeps in a layer: whiteouts and opaque directories, and which form of them a directory has.

use crate::Form;
use crate::error::{IoExt, Result};
use rustix::fd::{AsFd, AsRawFd};
use rustix::fs::{AtFlags, FileType, Stat, XattrFlags};
use rustix::io::Errno;
use std::path::Path;

/// Prefixes of overlayfs's own attributes: never part of a file's contents.
pub const PREFIXES: [&str; 2] = ["trusted.overlay.", "user.overlay."];

/// Whether an entry with this status is a whiteout: a character device 0:0.
pub fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Whether the directory hides what lower layers have at its place. `directory` may be O_PATH.
pub fn is_opaque(directory: impl AsFd) -> Result<bool> {
    for form in [Form::Trusted, Form::User] {
        if attribute(&directory, &form.attribute("opaque"))?.is_some_and(|value| value == b"y") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The same of the directory at `path`; a symlink isn't followed.
pub(crate) fn is_opaque_at(path: &Path) -> Result<bool> {
    for form in [Form::Trusted, Form::User] {
        let mut value = [0u8; 16];
        match rustix::fs::lgetxattr(path, form.attribute("opaque"), &mut value[..]) {
            Ok(length) if value.get(..length) == Some(b"y") => return Ok(true),
            Ok(_) | Err(Errno::RANGE | Errno::NODATA | Errno::NOTSUP | Errno::PERM) => {}
            Err(errno) => return Err(errno).on("read an attribute of", path),
        }
    }
    Ok(false)
}

/// Lets overlayfs leave whiteouts out where it lists this directory. It does so for directories that it merges of several
/// layers; for others only where they say that they were once copied up (`ovl_inode_init` in the kernel's
/// fs/overlayfs/inode.c), and a layer may well delete names of a directory that no layer below it has. Else such a name is
/// listed, and is nowhere. An empty origin means "copied up from somewhere".
///
/// # Errors
/// What the kernel says; a file system without attributes is none.
pub(crate) fn hide_whiteouts_in(directory: impl AsFd, form: Form) -> rustix::io::Result<()> {
    match rustix::fs::fsetxattr(directory, form.attribute("origin"), b"", XattrFlags::empty()) {
        Err(Errno::NOTSUP) => Ok(()),
        result => result,
    }
}

/// A short attribute of what `file` (which may be O_PATH) refers to.
fn attribute(file: impl AsFd, name: &str) -> Result<Option<Vec<u8>>> {
    // The xattr calls refuse O_PATH descriptors but follow their magic links.
    let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    let mut value = [0u8; 16];
    match rustix::fs::getxattr(&path, name, &mut value[..]) {
        Ok(length) => Ok(Some(value[..length].to_vec())),
        // Longer than any value that means something to us, absent, or not to be read without rights: no mark.
        Err(Errno::RANGE | Errno::NODATA | Errno::NOTSUP | Errno::PERM) => Ok(None),
        Err(errno) => Err(errno).on("read an attribute of", Path::new(&path)),
    }
}

/// Which form of marks the layer in `directory` uses, found by looking at it: the form of the first opaque mark, or
/// `None` where none is found (whiteouts are the same in both). Looks at no more than `limit` directories.
pub fn probe(directory: &Path, limit: usize) -> Result<Option<Form>> {
    let mut waiting = vec![directory.to_owned()];
    let mut looked_at = 0;
    while let Some(path) = waiting.pop() {
        looked_at += 1;
        if looked_at > limit {
            break;
        }
        if let Some(form) = form_of(&path)? {
            return Ok(Some(form));
        }
        let Ok(entries) = std::fs::read_dir(&path) else {
            continue;
        };
        waiting.extend(
            entries
                .flatten()
                .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
                .map(|e| e.path()),
        );
    }
    Ok(None)
}

fn form_of(directory: &Path) -> Result<Option<Form>> {
    for form in [Form::Trusted, Form::User] {
        let mut value = [0u8; 16];
        match rustix::fs::lgetxattr(directory, form.attribute("opaque"), &mut value[..]) {
            Ok(_) => return Ok(Some(form)),
            Err(Errno::NODATA | Errno::NOTSUP | Errno::RANGE | Errno::PERM | Errno::ACCESS) => {}
            Err(errno) => return Err(errno).on("read an attribute of", directory),
        }
    }
    Ok(None)
}

/// What overlayfs can keep in a layer that can't be understood without mounting it.
const BEYOND_US: [(&str, &str); 3] = [
    ("redirect", "a directory that was renamed (redirect_dir)"),
    ("metacopy", "a file whose contents are in a lower layer (metacopy)"),
    (
        "whiteout",
        "a deletion in a form that only nested overlays use (xwhiteouts)",
    ),
];

/// Makes sure that a file's attributes (`path` is its place in the layer) don't say that it is something else than
/// what is seen.
///
/// # Errors
/// [`crate::Error::Archive`] with what it is.
pub(crate) fn refuse_beyond_us(path: &[u8], attributes: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
    for (name, _) in attributes {
        let rest = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix.as_bytes()));
        let known = rest.and_then(|rest| BEYOND_US.iter().find(|(known, _)| known.as_bytes() == rest));
        if let Some((_, what)) = known {
            let reason = format!(
                "is {what}, which can't be packed or merged; mount overlays with redirect_dir=off,metacopy=off, or copy the tree"
            );
            return crate::tar::refuse(if path.is_empty() { b"/" } else { path }, reason);
        }
    }
    Ok(())
}

/// The status of `name` in `directory`, itself and not what a symlink leads to; `None` where there is nothing.
pub(crate) fn status(directory: impl AsFd, name: &std::ffi::OsStr) -> rustix::io::Result<Option<Stat>> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(directory: &Path, form: Form, value: &[u8]) {
        rustix::fs::lsetxattr(directory, form.attribute("opaque"), value, XattrFlags::empty()).expect("marked");
    }

    /// The kernel takes "x" for a directory with whiteouts of another form, and nothing else for a mark at all.
    #[test]
    fn a_directory_is_opaque_by_one_value_alone() {
        let dir = tempfile::tempdir().expect("tempdir");
        let opaque = |value: &[u8]| {
            mark(dir.path(), Form::Trusted, value);
            let open = std::fs::File::open(dir.path()).expect("open");
            let both = [
                is_opaque(open).expect("looked"),
                is_opaque_at(dir.path()).expect("looked"),
            ];
            assert_eq!(both[0], both[1], "{}", value.escape_ascii());
            both[0]
        };
        assert!(opaque(b"y"));
        for value in [
            &b"x"[..],
            b"n",
            b"",
            b"yes",
            b"a value that is too long to mean anything",
        ] {
            assert!(!opaque(value), "{}", value.escape_ascii());
        }
    }

    #[test]
    fn the_form_shows_in_marks_of_directories_below() {
        for form in [Form::Trusted, Form::User] {
            let dir = tempfile::tempdir().expect("tempdir");
            let inner = dir.path().join("a/b");
            std::fs::create_dir_all(&inner).expect("mkdir");
            assert_eq!(probe(dir.path(), 3).expect("looked"), None);
            mark(&inner, form, b"y");
            assert_eq!(probe(dir.path(), 3).expect("looked"), Some(form));
            assert_eq!(probe(dir.path(), 2).expect("looked"), None, "no further than asked for");
        }
    }
}
