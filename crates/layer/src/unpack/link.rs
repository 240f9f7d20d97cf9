//! Hard links: to files of the same layer, and of those below.

use super::{Unpacker, path};
use crate::error::{Error, IoExt, Result};
use crate::marks::{is_whiteout, status};
use crate::meta::Meta;
use crate::spot::Spot;
use crate::tar::{Entry, Time, bad, refuse, shown};
use rustix::fs::{AtFlags, FileType, statat};
use rustix::io::Errno;

impl Unpacker<'_> {
    /// Gives a file another name. A file of a lower layer is copied up under its own name first, as overlayfs does
    /// for link(2), so that both names stay one file.
    pub(super) fn hard_link(&mut self, spot: &Spot<'_>, entry: &Entry) -> Result<()> {
        let place = path::link_target(&entry.path, &entry.link)?;
        let target = match self.existing(&place, &entry.path)? {
            Some(target) if can_be_linked(&target, entry)? => target,
            _ => {
                let copied = self.copy_up(&place, entry)?;
                copied.ok_or_else(|| nowhere(entry))?
            }
        };
        if target.path == spot.path {
            return Ok(());
        }
        let link = || rustix::fs::linkat(&target.parent, target.name, &spot.parent, spot.name, AtFlags::empty());
        match link() {
            Err(Errno::EXIST) => {
                self.clear(spot)?;
                // What was cleared may have been a directory with the target in it.
                link()
            }
            result => result,
        }
        .or_else(|errno| match errno {
            Errno::MLINK => self.copy_file(&target, spot),
            errno => Err(errno).at("link", &spot.path),
        })?;
        if let Some(intended) = self.dresser.record.get(&target.path).cloned() {
            self.dresser.record.insert(&spot.path, intended);
        }
        self.take_metadata(spot, &target, entry)
    }

    /// Gives a file what the header of a link to it says, as docker, containerd and podman do: nearly always what it has.
    fn take_metadata(&mut self, spot: &Spot<'_>, target: &Spot<'_>, entry: &Entry) -> Result<()> {
        let mut meta = Meta::of(entry)?;
        let status = statat(&spot.parent, spot.name, AtFlags::SYMLINK_NOFOLLOW).at("look at", &spot.path)?;
        if FileType::from_raw_mode(status.st_mode) == FileType::Symlink {
            // Of a symlink docker and podman take the owner alone.
            meta.modified = Time {
                seconds: status.st_mtime,
                nanoseconds: u32::try_from(status.st_mtime_nsec).unwrap_or_default(),
            };
        }
        self.dresser.dress_again(spot, &meta, &status)?;
        if let Some(intended) = self.dresser.record.get(&spot.path).cloned() {
            self.dresser.record.insert(&target.path, intended);
        }
        Ok(())
    }
}

fn nowhere(entry: &Entry) -> Error {
    let target = shown(&entry.link);
    bad(
        &entry.path,
        format!("is a hard link to \"{target}\", which is neither in this layer nor below"),
    )
}

/// Whether there is a file to be linked to; a whiteout isn't.
fn can_be_linked(target: &Spot<'_>, entry: &Entry) -> Result<bool> {
    let Some(stat) = status(&target.parent, target.name).at("look up", &target.path)? else {
        return Ok(false);
    };
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return refuse(&entry.path, "is a hard link to a directory");
    }
    Ok(!is_whiteout(&stat))
}
