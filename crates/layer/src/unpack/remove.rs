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
        match rustix::fs::unlinkat(&spot.parent, spot.name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {
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
            for name in empty_of_files(&directory).at("empty", &path)? {
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

/// Removes all but directories; the names of those.
fn empty_of_files(directory: &OwnedFd) -> rustix::io::Result<Vec<Vec<u8>>> {
    let mut directories = Vec::new();
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
        match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
            Ok(()) => {}
            // The file system doesn't tell kinds in its listings.
            Err(Errno::ISDIR) => directories.push(name.to_bytes().to_vec()),
            Err(errno) => return Err(errno),
        }
    }
    Ok(directories)
}
