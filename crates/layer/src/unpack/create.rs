//! Making what an entry names: directories, files, symlinks, devices, pipes.

use super::Unpacker;
use crate::error::{IoExt, Result};
use crate::meta::Meta;
use crate::owners::Device;
use crate::spot::Spot;
use crate::tar::{Entry, Kind, Reader, refuse};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

impl Unpacker<'_> {
    pub(super) fn directory(&mut self, spot: &Spot<'_>, entry: &Entry) -> Result<()> {
        // Until the end this user must be able to write into it.
        let mode = entry.mode & 0o777 | 0o700;
        let make = || rustix::fs::mkdirat(&spot.parent, spot.name, Mode::from_raw_mode(mode));
        let made = match make() {
            Err(Errno::EXIST) if is_directory(spot)? => None,
            Err(Errno::EXIST) => {
                self.clear(spot)?;
                make().at("create", &spot.path)?;
                Some(self.dresser.made_with(mode))
            }
            result => {
                result.at("create", &spot.path)?;
                Some(self.dresser.made_with(mode))
            }
        };
        self.directories.name(&spot.path, entry, made)
    }

    pub(super) fn file(&mut self, spot: &Spot<'_>, entry: &Entry, reader: &mut Reader<'_>) -> Result<()> {
        let meta = Meta::of(entry)?;
        let file = self.create(spot, meta.mode)?;
        match &entry.sparse {
            None => loop {
                let data = reader.data()?;
                if data.is_empty() {
                    break;
                }
                write_all(&file, data).at("write", &spot.path)?;
            },
            Some(pieces) => {
                for piece in pieces {
                    let mut at = piece.offset;
                    while at < piece.offset + piece.length {
                        let data = reader.data_at_most(piece.offset + piece.length - at)?;
                        write_at(&file, data, at).at("write", &spot.path)?;
                        at += data.len() as u64;
                    }
                }
                rustix::fs::ftruncate(&file, entry.size).at("write", &spot.path)?;
            }
        }
        self.result.size = self.result.size.saturating_add(entry.size);
        let made = self.dresser.made_with(meta.mode);
        self.dresser.dress(file.as_fd(), &spot.path, &meta, Some(made))
    }

    /// Makes an empty file, open for writing.
    pub(super) fn create(&mut self, spot: &Spot<'_>, mode: u32) -> Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode & 0o777);
        self.replacing(spot, || rustix::fs::openat(&spot.parent, spot.name, flags, mode))
    }

    pub(super) fn symlink(&mut self, spot: &Spot<'_>, entry: &Entry) -> Result<()> {
        let meta = Meta::of(entry)?;
        if entry.link.is_empty() || entry.link.contains(&0) {
            return refuse(&entry.path, "is a symlink without a valid target");
        }
        let target = OsStr::from_bytes(&entry.link);
        self.replacing(spot, || rustix::fs::symlinkat(target, &spot.parent, spot.name))?;
        self.dresser.dress_unopened(spot, &meta, None)
    }

    pub(super) fn fifo(&mut self, spot: &Spot<'_>, entry: &Entry) -> Result<()> {
        let meta = Meta::of(entry)?;
        let mode = Mode::from_raw_mode(meta.mode & 0o777);
        self.replacing(spot, || {
            rustix::fs::mknodat(&spot.parent, spot.name, FileType::Fifo, mode, 0)
        })?;
        self.dresser
            .dress_unopened(spot, &meta, Some(self.dresser.made_with(meta.mode)))
    }

    /// Makes a device node; where none may be made (a user namespace), an empty file and a note.
    pub(super) fn device(&mut self, spot: &Spot<'_>, entry: &Entry) -> Result<()> {
        let meta = Meta::of(entry)?;
        let block = entry.kind == Kind::BlockDevice;
        let (major, minor) = entry.device;
        // What the kernel's own type has room for (kdev_t.h): more would be cut, to 0:0 in the worst case.
        let number = |value: i64, bits: u32| u32::try_from(value).ok().filter(|value| value >> bits == 0);
        let (Some(major), Some(minor)) = (number(major, 12), number(minor, 20)) else {
            return refuse(
                &entry.path,
                format!("has the device number {major}:{minor}, which doesn't exist"),
            );
        };
        if !block && (major, minor) == (0, 0) {
            return refuse(
                &entry.path,
                "is the character device 0:0, which means a deletion in layers",
            );
        }
        let kind = if block {
            FileType::BlockDevice
        } else {
            FileType::CharacterDevice
        };
        let number = rustix::fs::makedev(major, minor);
        let mode = Mode::from_raw_mode(meta.mode & 0o777);
        let node = self.try_replacing(spot, || {
            rustix::fs::mknodat(&spot.parent, spot.name, kind, mode, number)
        })?;
        match node {
            Err(Errno::PERM) => {
                let file = self.create(spot, meta.mode)?;
                let device = Device { block, major, minor };
                self.dresser
                    .intend(&spot.path, &meta, |intended| intended.device = Some(device));
                self.dresser.dress(file.as_fd(), &spot.path, &meta, None)
            }
            result => {
                result.at("create", &spot.path)?;
                self.dresser
                    .dress_unopened(spot, &meta, Some(self.dresser.made_with(meta.mode)))
            }
        }
    }

    /// Makes something; where the name is taken, after clearing it.
    pub(super) fn replacing<T>(&mut self, spot: &Spot<'_>, make: impl Fn() -> rustix::io::Result<T>) -> Result<T> {
        self.try_replacing(spot, make)?.at("create", &spot.path)
    }

    fn try_replacing<T>(
        &mut self,
        spot: &Spot<'_>,
        make: impl Fn() -> rustix::io::Result<T>,
    ) -> Result<rustix::io::Result<T>> {
        match make() {
            Err(Errno::EXIST) => {
                self.clear(spot)?;
                Ok(make())
            }
            result => Ok(result),
        }
    }
}

fn is_directory(spot: &Spot<'_>) -> Result<bool> {
    let stat = rustix::fs::statat(&spot.parent, spot.name, AtFlags::SYMLINK_NOFOLLOW).at("look at", &spot.path)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

pub(super) fn write_all(file: impl AsFd, mut data: &[u8]) -> rustix::io::Result<()> {
    while !data.is_empty() {
        let count = rustix::io::retry_on_intr(|| rustix::io::write(&file, data))?;
        data = &data[count..];
    }
    Ok(())
}

pub(super) fn write_at(file: &OwnedFd, mut data: &[u8], mut at: u64) -> rustix::io::Result<()> {
    let file: BorrowedFd<'_> = file.as_fd();
    while !data.is_empty() {
        let count = rustix::io::retry_on_intr(|| rustix::io::pwrite(file, data, at))?;
        data = &data[count..];
        at += count as u64;
    }
    Ok(())
}
