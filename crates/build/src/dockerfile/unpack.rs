//! Archives into a layer, as BuildKit unpacks them (solver/llbsolver/file/unpack_root.go): onto what the layers below
//! have at the destination, which no path and no symlink of the archive leads out of.

use super::archive::Archive;
use super::below::Below;
use super::prepared::Prepared;
use super::writer::Writer;
use crate::error::{Error, IoExt, Result};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::io::BufReader;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use wiac_layer::Form;
use wiac_layer::merged::Found;
use wiac_layer::tar::{Entry, Kind, Limits, Reader};
use wiac_layer::unpack::BUFFER;
use wiac_sys::times;

/// Directories that an entry's path implies: the archive says nothing of them.
const IMPLIED: (u32, u32) = (0, 0);

/// Unpacks an archive to the destination.
///
/// # Errors
/// What is wrong with the archive; what the disk says. The layer is thrown away then.
pub(super) fn unpack(writer: &mut Writer<'_>, form: Form, prepared: &Prepared, archive: Archive) -> Result<()> {
    let destination = writer.real_destination()?;
    writer.enter(&destination)?;
    let owner = prepared.is_owner_given.then_some(prepared.owner);
    let mut unpacking = Unpacking {
        writer,
        form,
        owner,
        destination,
        directories: Vec::new(),
    };
    let mut tar = BufReader::with_capacity(BUFFER, archive.tar);
    let mut reader = Reader::new(&mut tar, Limits::default());
    let result = unpacking.all(&mut reader);
    result.map_err(|error| match error {
        Error::Layer(error @ (wiac_layer::Error::Archive { .. } | wiac_layer::Error::Source(_))) => {
            Error::wrong(format!("{}: {error}", archive.shown.display()))
        }
        other => other,
    })
}

/// An unpacking under way.
struct Unpacking<'u, 'w> {
    writer: &'u mut Writer<'w>,
    form: Form,
    /// Of everything, where `--chown` says so.
    owner: Option<(u32, u32)>,
    destination: PathBuf,
    /// Those that the archive names: they get their times at the end.
    directories: Vec<(PathBuf, Timestamps)>,
}

/// The place an entry goes to.
struct Spot {
    parent: OwnedFd,
    name: OsString,
    /// From the root of the image, without symlinks.
    path: PathBuf,
}

impl Unpacking<'_, '_> {
    fn all(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let mut entry = Entry::default();
        while reader.next(&mut entry)? {
            if !self.writer.goes_on() {
                return Err(Error::Cancelled);
            }
            self.take(&entry, reader)?;
        }
        for (path, times) in std::mem::take(&mut self.directories).into_iter().rev() {
            // A later entry may have taken its place.
            if let Some(Found::Directory(_)) = self.writer.stack.resolve(&path)?.found {
                let directory = self.writer.enter_as(&path, IMPLIED)?;
                rustix::fs::futimens(&directory, &times).on("set the times of", &path)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, entry: &Entry, reader: &mut Reader<'_>) -> Result<()> {
        let below = Below {
            stack: &self.writer.stack,
            top: &self.destination,
        };
        let Some(relative) = below.resolve(&entry.path, entry.kind == Kind::Directory)? else {
            return Ok(());
        };
        let path = self.destination.join(relative);
        let name = path.file_name().unwrap_or_default().to_owned();
        let above = path.parent().unwrap_or(Path::new("/")).to_owned();
        let spot = Spot {
            parent: self.writer.enter_as(&above, IMPLIED)?,
            name,
            path,
        };
        match entry.kind {
            Kind::Directory => self.directory(&spot, entry),
            Kind::File => {
                Self::clear(&spot)?;
                self.file(&spot, entry, reader)
            }
            Kind::HardLink => self.hard_link(&spot, entry),
            Kind::Symlink => {
                Self::clear(&spot)?;
                let text = OsStr::from_bytes(&entry.link);
                rustix::fs::symlinkat(text, &spot.parent, spot.name.as_os_str()).on("create", &spot.path)?;
                self.dress_node(&spot, entry, false)
            }
            Kind::CharacterDevice | Kind::BlockDevice | Kind::Fifo => {
                Self::clear(&spot)?;
                self.node(&spot, entry)
            }
        }
    }

    fn directory(&mut self, spot: &Spot, entry: &Entry) -> Result<()> {
        let directory = if self.is_directory(spot)? {
            self.writer.enter_as(&spot.path, IMPLIED)?
        } else {
            Self::clear(spot)?;
            // What a file of this layer hid must stay hidden under a directory too.
            let hides = self.is_directory(spot)?;
            let name = spot.name.as_os_str();
            rustix::fs::mkdirat(&spot.parent, name, Mode::RWXU).on("create", &spot.path)?;
            let made = crate::directory::open_in(&spot.parent, name).on("open", &spot.path)?;
            if hides {
                let mark = self.form.attribute("opaque");
                rustix::fs::fsetxattr(&made, mark, b"y", XattrFlags::empty()).on("mark", &spot.path)?;
            }
            made
        };
        self.dress(directory.as_fd(), spot, entry)?;
        self.directories.push((spot.path.clone(), times(entry)));
        Ok(())
    }

    fn is_directory(&self, spot: &Spot) -> Result<bool> {
        let above = spot.path.parent().unwrap_or(Path::new("/"));
        let Some(Found::Directory(parent)) = self.writer.stack.resolve(above)?.found else {
            return Ok(false);
        };
        Ok(matches!(parent.entry(&spot.name)?, Some(Found::Directory(_))))
    }

    /// Takes away what this layer has under the name; what layers below have is hidden by what is made next.
    fn clear(spot: &Spot) -> Result<()> {
        let name = spot.name.as_os_str();
        match rustix::fs::unlinkat(&spot.parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => {
                let path = format!("/proc/self/fd/{}", spot.parent.as_raw_fd());
                std::fs::remove_dir_all(Path::new(&path).join(name)).on("delete", &spot.path)
            }
            Err(errno) => Err(errno).on("delete", &spot.path),
        }
    }

    fn file(&self, spot: &Spot, entry: &Entry, reader: &mut Reader<'_>) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = spot.name.as_os_str();
        let file = rustix::fs::openat(&spot.parent, name, flags, Mode::RUSR | Mode::WUSR).on("create", &spot.path)?;
        let file = std::fs::File::from(file);
        let whole = [wiac_layer::tar::Piece {
            offset: 0,
            length: entry.size,
        }];
        for piece in entry.sparse.as_deref().unwrap_or(&whole) {
            let (mut at, end) = (piece.offset, piece.offset + piece.length);
            while at < end {
                let data = reader.data_at_most(end - at)?;
                std::os::unix::fs::FileExt::write_all_at(&file, data, at).on("write", &spot.path)?;
                at += data.len() as u64;
            }
        }
        if entry.sparse.is_some() {
            file.set_len(entry.size).on("write", &spot.path)?;
        }
        self.dress(file.as_fd(), spot, entry)?;
        rustix::fs::futimens(&file, &times(entry)).on("set the times of", &spot.path)
    }

    /// Another name of a file; one of a layer below is copied into this one first.
    fn hard_link(&self, spot: &Spot, entry: &Entry) -> Result<()> {
        let below = Below {
            stack: &self.writer.stack,
            top: &self.destination,
        };
        let shown = String::from_utf8_lossy(&entry.link).into_owned();
        let missing = || {
            Error::wrong(format!(
                "{}: it is a link to {shown}, which isn't there",
                spot.path.display()
            ))
        };
        let relative = below.resolve(&entry.link, false)?.ok_or_else(missing)?;
        let original = self.destination.join(relative);
        if original == spot.path {
            return Ok(());
        }
        self.writer.copy_up(&original)?.ok_or_else(missing)?;
        Self::clear(spot)?;
        let above = self
            .writer
            .enter_as(original.parent().unwrap_or(Path::new("/")), IMPLIED)?;
        let name = original.file_name().unwrap_or_default();
        rustix::fs::linkat(&above, name, &spot.parent, spot.name.as_os_str(), AtFlags::empty())
            .on("link", &spot.path)?;
        self.dress_linked(spot, entry)
    }

    /// The header of a link says what the file has, as in docker; nearly always it is what it has already.
    fn dress_linked(&self, spot: &Spot, entry: &Entry) -> Result<()> {
        let name = spot.name.as_os_str();
        let status = rustix::fs::statat(&spot.parent, name, AtFlags::SYMLINK_NOFOLLOW).on("look at", &spot.path)?;
        match FileType::from_raw_mode(status.st_mode) {
            FileType::Symlink => Ok(()),
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&spot.parent, name, flags, Mode::empty()).on("open", &spot.path)?;
                self.dress(file.as_fd(), spot, entry)?;
                rustix::fs::futimens(&file, &times(entry)).on("set the times of", &spot.path)
            }
            _ => self.dress_node(spot, entry, true),
        }
    }

    fn node(&self, spot: &Spot, entry: &Entry) -> Result<()> {
        let kind = match entry.kind {
            Kind::Fifo => FileType::Fifo,
            Kind::BlockDevice => FileType::BlockDevice,
            _ => FileType::CharacterDevice,
        };
        let number = |value: i64| u32::try_from(value).unwrap_or(0);
        let device = rustix::fs::makedev(number(entry.device.0), number(entry.device.1));
        if kind == FileType::CharacterDevice && device == 0 {
            return Err(Error::wrong(format!(
                "{}: the archive has the character device 0:0 there, which means a deletion in layers",
                spot.path.display()
            )));
        }
        let mode = Mode::RUSR | Mode::WUSR;
        match rustix::fs::mknodat(&spot.parent, spot.name.as_os_str(), kind, mode, device) {
            Err(Errno::PERM) => {
                return Err(Error::wrong_with_hint(
                    format!("{}: only root can unpack a device", spot.path.display()),
                    "leave it out of the archive, or build as root",
                ));
            }
            result => result.on("create", &spot.path)?,
        }
        self.dress_node(spot, entry, true)
    }

    fn owner_of(&self, entry: &Entry, spot: &Spot) -> Result<(Option<Uid>, Option<Gid>)> {
        let (uid, gid) = match self.owner {
            Some(owner) => owner,
            None => id(entry.uid).zip(id(entry.gid)).ok_or_else(|| {
                let message = format!("{}: the archive gives it an owner that can't be", spot.path.display());
                Error::wrong_with_hint(message, "choose another one by --chown")
            })?,
        };
        Ok((Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))))
    }

    /// Owner, attributes and mode of what is open. The owner comes first: a change of it takes set-id bits and capabilities
    /// away, which a file that is linked once more keeps where its owner stays.
    fn dress(&self, file: BorrowedFd<'_>, spot: &Spot, entry: &Entry) -> Result<()> {
        let (uid, gid) = self.owner_of(entry, spot)?;
        let status = rustix::fs::fstat(file).on("look at", &spot.path)?;
        if (uid, gid) != (Some(Uid::from_raw(status.st_uid)), Some(Gid::from_raw(status.st_gid))) {
            rustix::fs::fchown(file, uid, gid).map_err(|errno| owner_refused(spot, entry, errno))?;
        }
        for (name, value) in &entry.xattrs {
            let name = OsStr::from_bytes(name);
            let is_overlay = wiac_layer::marks::PREFIXES
                .iter()
                .any(|prefix| name.as_bytes().starts_with(prefix.as_bytes()));
            if !is_overlay {
                // As in docker: what can't be set is left out.
                let _ = rustix::fs::fsetxattr(file, name, value, XattrFlags::empty());
            }
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(entry.mode & 0o7777)).on("change the mode of", &spot.path)
    }

    /// The same, with times, for what isn't opened.
    fn dress_node(&self, spot: &Spot, entry: &Entry, has_mode: bool) -> Result<()> {
        let (uid, gid) = self.owner_of(entry, spot)?;
        let name = spot.name.as_os_str();
        rustix::fs::chownat(&spot.parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| owner_refused(spot, entry, errno))?;
        if has_mode {
            // It was made a moment ago in a directory that nobody else uses: no symlink.
            let mode = Mode::from_raw_mode(entry.mode & 0o7777);
            rustix::fs::chmodat(&spot.parent, name, mode, AtFlags::empty()).on("change the mode of", &spot.path)?;
        }
        rustix::fs::utimensat(&spot.parent, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)
            .on("set the times of", &spot.path)
    }
}

/// The largest number is no id: chown(2) takes it for "as it is".
fn id(value: i64) -> Option<u32> {
    u32::try_from(value).ok().filter(|id| *id != u32::MAX)
}

fn owner_refused(spot: &Spot, entry: &Entry, errno: Errno) -> Error {
    if !matches!(errno, Errno::PERM | Errno::INVAL) {
        return Error::Io {
            action: "change the owner of",
            path: spot.path.clone(),
            source: errno.into(),
        };
    }
    Error::wrong_with_hint(
        format!(
            "{}: the archive gives it to {}:{}, which this user namespace doesn't have",
            spot.path.display(),
            entry.uid,
            entry.gid
        ),
        "choose an owner by --chown, or give the user more ids in /etc/subuid and /etc/subgid",
    )
}

fn times(entry: &Entry) -> Timestamps {
    times::at(entry.modified.seconds, entry.modified.nanoseconds)
}
