//! Files of the user's that are being written: the name shows all of it, or what was there before. Until then they have no
//! name at all where the file system can do that (`O_TMPFILE`, open(2)), so that a kill leaves nothing of them.

use crate::error::{Error, IoExt, Result};
use crate::temporary::random_name;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// Writes a file so that its name shows all of it or what was there before.
pub(super) fn write_by_rename(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let mut pending = Pending::new(path)?;
    write(&mut pending.file).on("write", path)?;
    pending.commit()
}

/// Writes a file of the user's so that its name shows all of it or what was there before; a pipe or device is written to
/// as it is.
///
/// # Errors
/// What `write` says, or the disk.
pub fn write_file<E: From<Error>>(
    path: &Path,
    write: impl FnOnce(&mut File) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    if path.metadata().is_ok_and(|meta| !meta.is_file()) {
        let mut file = File::options().write(true).open(path).on("open", path)?;
        return write(&mut file);
    }
    let mut pending = Pending::new(path)?;
    write(&mut pending.file)?;
    Ok(pending.commit()?)
}

/// A file that hasn't got its name yet; what there is of it is deleted unless it gets it.
struct Pending {
    file: File,
    /// What it is called until then, if anything.
    fresh: Option<PathBuf>,
    path: PathBuf,
}

impl Pending {
    /// Begins it.
    fn new(path: &Path) -> Result<Self> {
        let fresh = hidden(path)?;
        let path = path.to_owned();
        if let Some(file) = nameless(&fresh) {
            let fresh = None;
            return Ok(Self { file, fresh, path });
        }
        let mut options = File::options();
        let file = options.read(true).write(true).create_new(true).open(&fresh);
        Ok(Self {
            file: file.on("create", &path)?,
            fresh: Some(fresh),
            path,
        })
    }

    /// Gives it its name.
    fn commit(mut self) -> Result<()> {
        let fresh = if let Some(fresh) = &self.fresh {
            fresh.clone()
        } else {
            let fresh = hidden(&self.path)?;
            // A link takes nothing's place; the rename does.
            rustix::fs::linkat(CWD, own_link(&self.file), CWD, &fresh, AtFlags::SYMLINK_FOLLOW)
                .on("write", &self.path)?;
            self.fresh.insert(fresh).clone()
        };
        fs::rename(fresh, &self.path).on("write", &self.path)?;
        self.fresh = None;
        Ok(())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(fresh) = &self.fresh {
            let _ = fs::remove_file(fresh);
        }
    }
}

/// A name beside the file's own.
fn hidden(path: &Path) -> Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| Error::archive(path, "a file's name is expected"))?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}", &random_name()?[..8]));
    Ok(path.with_file_name(hidden))
}

/// A file without a name where `beside` would be, if it can be given one later.
fn nameless(beside: &Path) -> Option<File> {
    let directory = beside.parent().filter(|parent| !parent.as_os_str().is_empty());
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o666);
    let file = rustix::fs::open(directory.unwrap_or(Path::new(".")), flags, mode).ok()?;
    let file = File::from(file);
    fs::symlink_metadata(own_link(&file)).is_ok().then_some(file)
}

/// Where the kernel shows an open file (proc(5)).
fn own_link(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("list").flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_seen_of_a_file_before_it_is_whole() {
        // Where the target directory is: a tmpfs or ext4, both of which have files without names.
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("file");
        for content in ["one", "two"] {
            let mut pending = Pending::new(&path).expect("begun");
            let before = names(dir.path());
            pending.file.write_all(content.as_bytes()).expect("written");
            assert!(!before.iter().any(|name| name.starts_with('.')), "{before:?}");
            pending.commit().expect("named");
            assert_eq!(fs::read_to_string(&path).expect("read"), content);
            assert_eq!(names(dir.path()), ["file"]);
        }
        drop(Pending::new(&path).expect("begun"));
        assert_eq!(fs::read_to_string(&path).expect("read"), "two");
    }

    #[test]
    fn one_with_another_name_until_then_is_deleted_unless_it_is_whole() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("file");
        let begun = || {
            let fresh = hidden(&path).expect("a name");
            Pending {
                file: File::create_new(&fresh).expect("created"),
                fresh: Some(fresh),
                path: path.clone(),
            }
        };
        drop(begun());
        assert!(names(dir.path()).is_empty());
        begun().commit().expect("named");
        assert_eq!(names(dir.path()), ["file"]);
    }
}
