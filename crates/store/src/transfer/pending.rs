//! Files of the user's that are being written: the name shows all of it, or what was there before. Until then they have no
//! name at all where the file system can do that (`O_TMPFILE`, open(2)), so that a kill leaves nothing of them.

use crate::error::{Error, IoExt, Result};
use crate::temporary::random_name;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, PROC_SUPER_MAGIC};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Writes a file so that its name shows all of it or what was there before.
pub(super) fn write_by_rename(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let mut pending = Pending::new(path)?;
    write(&mut pending.file).on("write", path)?;
    pending.commit()
}

/// Writes a file of the user's so that its name shows all of it or what was there before. A symlink stays one: what it
/// leads to is written. A pipe or device is written to as it is, and so is a file that this process has open already
/// (`/dev/stdout`, `/dev/fd/3`): who gave it waits for what comes into that very file.
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
    match end_of(path)? {
        End::Open(mut file) => write(&mut file),
        End::Name(name) => {
            let mut pending = Pending::new(&name)?;
            write(&mut pending.file)?;
            Ok(pending.commit()?)
        }
    }
}

/// Symlinks that are followed one after the other, as many as the kernel follows (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// Where a path leads.
enum End {
    /// To a name that is no symlink; there may be nothing yet.
    Name(PathBuf),
    /// To an open file, emptied.
    Open(File),
}

/// Follows a path's last part as long as it is a symlink, where the kernel would.
fn end_of(path: &Path) -> Result<End> {
    let mut end = path.to_owned();
    for _ in 0..MOST_LINKS {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(link) = rustix::fs::open(&end, flags, Mode::empty()) else {
            return Ok(End::Name(end));
        };
        let Some(target) = target_of(&link) else {
            return Ok(End::Name(end));
        };
        let directory = directory_of(&end).to_owned();
        if !may_be_followed(&link, &directory).on("open", path)? {
            return Err(io::Error::from(Errno::ACCESS)).on("open", path);
        }
        // What such a link says is what the file was once called, and nothing can be put in its place.
        if rustix::fs::statfs(&directory).is_ok_and(|found| found.f_type == PROC_SUPER_MAGIC) {
            let file = File::options().write(true).truncate(true).open(path);
            return Ok(End::Open(file.on("open", path)?));
        }
        end = directory.join(target);
    }
    Err(io::Error::from(Errno::LOOP)).on("open", path)
}

/// What an open symlink says; nothing where it is none.
fn target_of(link: &OwnedFd) -> Option<PathBuf> {
    let target = rustix::fs::readlinkat(link, "", Vec::new()).ok()?;
    Some(PathBuf::from(OsString::from_vec(target.into_bytes())))
}

/// Whether a link in a directory such as /tmp isn't a stranger's, who could lead root anywhere (`fs.protected_symlinks` in
/// proc(5): its rule, since the rename that ends the writing doesn't follow the link).
fn may_be_followed(link: &OwnedFd, directory: &Path) -> rustix::io::Result<bool> {
    let (link, directory) = (rustix::fs::fstat(link)?, rustix::fs::stat(directory)?);
    let everybodys = (Mode::SVTX | Mode::WOTH).bits();
    let is_everybodys = directory.st_mode & everybodys == everybodys;
    let owner = link.st_uid;
    Ok(!is_everybodys || owner == rustix::process::geteuid().as_raw() || owner == directory.st_uid)
}

/// The directory that a name stands in.
fn directory_of(path: &Path) -> &Path {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    directory.unwrap_or(Path::new("."))
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
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o666);
    let file = rustix::fs::open(directory_of(beside), flags, mode).ok()?;
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
    use std::fs::Permissions;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

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

    #[test]
    fn a_symlink_stays_one() {
        let dir = tempfile::tempdir().expect("tempdir");
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("far")).expect("mkdir");
        for (text, link) in [
            ("far/file", "link"),
            ("link", "again"),
            ("again", "loop"),
            ("circle", "circle"),
        ] {
            std::os::unix::fs::symlink(text, at(link)).expect("symlink");
        }
        let write = |name: &str, text: &str| -> Result<()> {
            write_file(&at(name), |file| {
                file.write_all(text.as_bytes()).on("write", Path::new(name))
            })
        };
        // What a link leads to may be missing, or there.
        for text in ["one", "two, longer", "3"] {
            write("loop", text).expect("written");
            assert_eq!(fs::read_to_string(at("far/file")).expect("read"), text);
            assert_eq!(names(dir.path()), ["again", "circle", "far", "link", "loop"]);
            assert!(at("loop").is_symlink() && at("link").is_symlink());
        }
        assert_eq!(names(&at("far")), ["file"]);
        assert!(write("circle", "text").is_err());
    }

    #[test]
    fn a_strangers_symlink_in_everybodys_directory_is_not_followed() {
        let is_root = rustix::process::geteuid().is_root();
        assert!(is_root, "this test needs root: it gives a symlink away");
        let dir = tempfile::tempdir().expect("tempdir");
        let (tmp, link) = (dir.path().join("tmp"), dir.path().join("tmp/link"));
        let target = dir.path().join("target");
        fs::create_dir(&tmp).expect("mkdir");
        std::os::unix::fs::symlink(&target, &link).expect("symlink");
        let write = |text: &str| write_file(&link, |file| file.write_all(text.as_bytes()).on("write", &link));
        for (mode, owner, is_followed) in [(0o1777, 1234, false), (0o777, 1234, true), (0o1777, 0, true)] {
            fs::set_permissions(&tmp, Permissions::from_mode(mode)).expect("chmod");
            std::os::unix::fs::lchown(&link, Some(owner), None).expect("lchown");
            let _ = fs::remove_file(&target);
            assert_eq!(write("text").is_ok(), is_followed, "{mode:o} {owner}");
            assert_eq!(
                (target.exists(), link.is_symlink()),
                (is_followed, true),
                "{mode:o} {owner}"
            );
        }
    }

    #[test]
    fn an_open_file_is_written_to_as_it_is() {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut open = File::create_new(dir.path().join("file")).expect("created");
        open.write_all(b"what was there before").expect("written");
        std::os::unix::fs::symlink(own_link(&open), dir.path().join("stdout")).expect("symlink");
        for path in [own_link(&open), dir.path().join("stdout")] {
            let inode = rustix::fs::fstat(&open).expect("stat").st_ino;
            write_file(&path, |file| file.write_all(b"text").on("write", &path)).expect("written");
            assert_eq!(fs::read(dir.path().join("file")).expect("read"), b"text");
            assert_eq!(rustix::fs::stat(dir.path().join("file")).expect("stat").st_ino, inode);
        }
        assert_eq!(names(dir.path()), ["file", "stdout"]);
    }
}
