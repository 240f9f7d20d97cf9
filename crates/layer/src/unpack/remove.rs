//! Making room for an entry that replaces an earlier one of the same archive.

use super::Unpacker;
use crate::error::{IoExt, Result};
use crate::spot::Spot;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FileType, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

impl Unpacker<'_> {
    /// Removes what is at a spot: a file, a whiteout, or a directory with all that is in it.
    pub(super) fn clear(&mut self, spot: &Spot<'_>) -> Result<()> {
        match unlink(&spot.parent, spot.name) {
            Ok(freed) => {
                self.result.size = self.result.size.saturating_sub(freed);
                self.dresser.record.remove(&spot.path);
                Ok(())
            }
            Err(Errno::NOENT) => {
                self.dresser.record.remove(&spot.path);
                Ok(())
            }
            Err(Errno::ISDIR) => self.clear_directory(spot),
            Err(errno) => Err(errno).at("replace", &spot.path),
        }
    }

    fn clear_directory(&mut self, spot: &Spot<'_>) -> Result<()> {
        self.inside.forget();
        // Depth first, and by paths: descriptors of a deep tree would be too many.
        let mut waiting = vec![(spot.path.clone(), false)];
        while let Some((path, is_empty)) = waiting.pop() {
            if is_empty {
                self.remove_empty(&path)?;
                continue;
            }
            waiting.push((path.clone(), true));
            let directory = self.inside.open(&path, OFlags::RDONLY).at("open", &path)?;
            let (names, freed) = empty_of_files(&directory).at("empty", &path)?;
            self.result.size = self.result.size.saturating_sub(freed);
            for name in names {
                waiting.push(([&path, &b"/"[..], &name].concat(), false));
            }
        }
        self.directories.remove(&spot.path);
        self.dresser.record.remove(&spot.path);
        Ok(())
    }

    fn remove_empty(&mut self, path: &[u8]) -> Result<()> {
        let slash = path.iter().rposition(|byte| *byte == b'/');
        let (above, name) = slash.map_or((&b""[..], path), |slash| (&path[..slash], &path[slash + 1..]));
        let parent = self.inside.open(above, OFlags::PATH).at("open", above)?;
        rustix::fs::unlinkat(parent, OsStr::from_bytes(name), AtFlags::REMOVEDIR).at("remove", path)
    }
}

/// Removes anything but a directory; the length of the file that this was the last name of.
fn unlink(parent: &OwnedFd, name: &OsStr) -> rustix::io::Result<u64> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
    let is_gone = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink == 1;
    Ok(if is_gone {
        u64::try_from(stat.st_size).unwrap_or_default()
    } else {
        0
    })
}

/// Removes all but directories; the names of those, and the lengths of the files that are gone with it.
fn empty_of_files(directory: &OwnedFd) -> rustix::io::Result<(Vec<Vec<u8>>, u64)> {
    let (mut directories, mut freed) = (Vec::new(), 0);
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if entry.file_type() == FileType::Directory {
            directories.push(name.to_bytes().to_vec());
            continue;
        }
        match unlink(directory, OsStr::from_bytes(name.to_bytes())) {
            Ok(length) => freed += length,
            // The file system doesn't tell kinds in its listings.
            Err(Errno::ISDIR) => directories.push(name.to_bytes().to_vec()),
            Err(errno) => return Err(errno),
        }
    }
    Ok((directories, freed))
}
