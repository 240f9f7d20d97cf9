//! Writing what is in a directory on disk as entries of a tar.

use super::{Packed, attributes};
use crate::copy::next_data;
use crate::error::{Error, IoExt, Result};
use crate::owners::Intended;
use crate::path::{join, magic_path};
use crate::tar::{Entry, Kind, Time, Writer, bad, refuse};
use crate::unpack::path::{OPAQUE, WHITEOUT};
use crate::xattrs;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, Stat};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

/// File data goes through a buffer of this size.
const BUFFER: usize = 256 << 10;

/// The mode of marks, as other tools write it.
const MARK_MODE: u32 = 0o600;

/// A tar being made.
pub(super) struct Emitter<'w> {
    writer: Writer<BufWriter<&'w mut dyn Write>>,
    clamp: Option<i64>,
    buffer: Vec<u8>,
    /// The first path of every file that has more names, and how many of them are still to come.
    links: HashMap<(u64, u64), (Vec<u8>, u64)>,
    result: Packed,
}

impl<'w> Emitter<'w> {
    pub(super) fn new(out: &'w mut dyn Write, clamp: Option<i64>) -> Self {
        Self {
            writer: Writer::new(BufWriter::with_capacity(BUFFER, out)),
            clamp,
            buffer: vec![0; BUFFER],
            links: HashMap::new(),
            result: Packed::default(),
        }
    }

    pub(super) fn finish(mut self) -> Result<Packed> {
        self.result.size = self.writer.finish().map_err(Error::Sink)?;
        Ok(self.result)
    }

    /// A directory, with the attributes of the open one (which may be O_PATH).
    pub(super) fn directory(&mut self, directory: &OwnedFd, path: &[u8], intended: Option<&Intended>) -> Result<()> {
        let magic = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
        let stat = rustix::fs::fstat(directory).at("look at", path)?;
        let found = xattrs::all(&magic, true).at("read the attributes of", path)?;
        let mut entry = self.entry(path, Kind::Directory, &stat, found, intended)?;
        if path.is_empty() {
            entry.path.push(b'.');
        }
        entry.path.push(b'/');
        self.header(&entry)
    }

    /// Anything but a directory or a whiteout.
    pub(super) fn file(
        &mut self,
        parent: &OwnedFd,
        name: &OsStr,
        path: &[u8],
        stat: &Stat,
        intended: Option<&Intended>,
    ) -> Result<()> {
        refuse_reserved(path, name.as_encoded_bytes())?;
        if let Some(first) = self.first_of(stat, path) {
            // What the first name says holds for all: nothing but the path is read again.
            let mut entry = self.entry(path, Kind::HardLink, stat, Vec::new(), intended)?;
            entry.xattrs.clear();
            entry.link = first;
            return self.header(&entry);
        }
        let device = intended.and_then(|intended| intended.device);
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile if device.is_some_and(|device| device.block) => Kind::BlockDevice,
            FileType::RegularFile if device.is_some() => Kind::CharacterDevice,
            FileType::RegularFile => return self.regular(parent, name, path, stat, intended),
            FileType::Symlink => Kind::Symlink,
            FileType::CharacterDevice => Kind::CharacterDevice,
            FileType::BlockDevice => Kind::BlockDevice,
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => {
                self.result.sockets += 1;
                return Ok(());
            }
            _ => return refuse(path, "is of a kind that a tar has no room for"),
        };
        let found = xattrs::all(&magic_path(parent, name), false).at("read the attributes of", path)?;
        let mut entry = self.entry(path, kind, stat, found, intended)?;
        match kind {
            Kind::Symlink => {
                let target = rustix::fs::readlinkat(parent, name, Vec::new()).at("read the link", path)?;
                entry.link = target.into_bytes();
            }
            Kind::CharacterDevice | Kind::BlockDevice => {
                let (major, minor) = device.map_or_else(
                    || (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)),
                    |device| (device.major, device.minor),
                );
                entry.device = (major.into(), minor.into());
            }
            _ => {}
        }
        self.header(&entry)
    }

    /// The mark that hides `name` of lower layers; `directory` is the path of its directory.
    pub(super) fn whiteout(&mut self, directory: &[u8], name: &OsStr) -> Result<()> {
        self.mark(directory, &[WHITEOUT, name.as_encoded_bytes()].concat())
    }

    /// The mark that hides all that lower layers have in a directory.
    pub(super) fn opaque(&mut self, directory: &[u8]) -> Result<()> {
        self.mark(directory, OPAQUE)
    }

    /// Marks have no owner and no time of their own: those on disk are of the moment of the deletion.
    fn mark(&mut self, directory: &[u8], name: &[u8]) -> Result<()> {
        self.header(&Entry {
            path: join(directory, name),
            mode: MARK_MODE,
            ..Entry::default()
        })
    }

    fn regular(
        &mut self,
        parent: &OwnedFd,
        name: &OsStr,
        path: &[u8],
        stat: &Stat,
        intended: Option<&Intended>,
    ) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(parent, name, flags, Mode::empty()).at("open", path)?;
        let found = xattrs::of_file(&file).at("read the attributes of", path)?;
        let mut entry = self.entry(path, Kind::File, stat, found, intended)?;
        entry.size = u64::try_from(stat.st_size).unwrap_or_default();
        self.header(&entry)?;
        // A small file is read at once; a larger one may have holes.
        if entry.size <= BUFFER as u64 {
            self.data(&file, path, 0, entry.size)?;
        } else {
            self.data_and_holes(&file, path, entry.size)?;
        }
        self.writer.pad().map_err(Error::Sink)
    }

    fn data_and_holes(&mut self, file: &OwnedFd, path: &[u8], size: u64) -> Result<()> {
        let mut at = 0;
        while let Some((start, end)) = next_data(file, at, size).at("read", path)? {
            self.zeros(start - at)?;
            self.data(file, path, start, end)?;
            at = end;
        }
        self.zeros(size - at)
    }

    fn data(&mut self, file: impl AsFd, path: &[u8], start: u64, end: u64) -> Result<()> {
        let mut at = start;
        while at < end {
            let most = usize::try_from(end - at).map_or(BUFFER, |left| left.min(BUFFER));
            let buffer = &mut self.buffer[..most];
            let count = rustix::io::retry_on_intr(|| rustix::io::pread(&file, &mut *buffer, at));
            let count = count.at("read", path)?;
            if count == 0 {
                return Err(bad(path, "became shorter while it was packed"));
            }
            self.writer.data(&buffer[..count]).map_err(Error::Sink)?;
            at += count as u64;
        }
        Ok(())
    }

    fn zeros(&mut self, mut count: u64) -> Result<()> {
        static ZEROS: [u8; 8 << 10] = [0; 8 << 10];
        while count > 0 {
            let now = count.min(ZEROS.len() as u64);
            let piece = usize::try_from(now).unwrap_or(ZEROS.len());
            self.writer.data(&ZEROS[..piece]).map_err(Error::Sink)?;
            count -= now;
        }
        Ok(())
    }

    /// The path under which the file was packed before; notes this one otherwise.
    fn first_of(&mut self, stat: &Stat, path: &[u8]) -> Option<Vec<u8>> {
        // The width of these fields differs between architectures.
        #[allow(clippy::unnecessary_cast)]
        let (file, names) = ((stat.st_dev as u64, stat.st_ino as u64), stat.st_nlink as u64);
        if names < 2 || FileType::from_raw_mode(stat.st_mode) == FileType::Socket {
            return None;
        }
        let Some((first, left)) = self.links.get_mut(&file) else {
            self.links.insert(file, (path.to_vec(), names - 1));
            return None;
        };
        *left -= 1;
        if *left > 0 {
            return Some(first.clone());
        }
        self.links.remove(&file).map(|(first, _)| first)
    }

    /// What is the same for all kinds.
    fn entry(
        &self,
        path: &[u8],
        kind: Kind,
        stat: &Stat,
        found: Vec<(Vec<u8>, Vec<u8>)>,
        intended: Option<&Intended>,
    ) -> Result<Entry> {
        let mut xattrs = attributes::kept(path, found)?;
        let (mut uid, mut gid) = (stat.st_uid, stat.st_gid);
        if let Some(intended) = intended {
            (uid, gid) = (intended.uid, intended.gid);
            for missing in &intended.xattrs {
                xattrs.retain(|(name, _)| *name != missing.0);
                xattrs.push(missing.clone());
            }
        }
        Ok(Entry {
            path: path.to_vec(),
            kind,
            mode: stat.st_mode & 0o7777,
            uid: uid.into(),
            gid: gid.into(),
            modified: self.clamped(stat),
            xattrs,
            ..Entry::default()
        })
    }

    fn clamped(&self, stat: &Stat) -> Time {
        let seconds = stat.st_mtime;
        let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or_default();
        match self.clamp {
            Some(most) if seconds >= most => Time {
                seconds: most,
                nanoseconds: 0,
            },
            _ => Time { seconds, nanoseconds },
        }
    }

    fn header(&mut self, entry: &Entry) -> Result<()> {
        self.result.entries += 1;
        self.writer.header(entry).map_err(Error::Sink)
    }
}

/// Refuses what would be taken for a mark when the tar is unpacked.
pub(super) fn refuse_reserved(path: &[u8], name: &[u8]) -> Result<()> {
    if name.starts_with(WHITEOUT) {
        let reason = "has a name that starts with .wh., which means a deletion in layers: rename or remove it";
        return refuse(path, reason);
    }
    Ok(())
}
