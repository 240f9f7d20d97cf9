//! Files that were copied before: an earlier copy that looks as a new one would becomes the new one, by a further name.
//!
//! So a layer that differs from an earlier one by a few files costs no more than their names.

use super::engine::{Engine, original};
use super::entry::{At, Wanted, file_type};
use super::error::{Fault, Side};
use super::links::{self, Spot};
use super::made::Made;
use rustix::fs::{AtFlags, FileType, Stat, linkat, statat};
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

/// An earlier copy of the same tree that nobody changes any more.
pub trait Earlier {
    /// The copy of the file `below` the entry that is copied (empty for that itself), where its contents and extended
    /// attributes are for sure those of the file with this status: the directory that has it, and its name there.
    fn copy_of(&self, below: &Path, stat: &Stat) -> Option<(Rc<OwnedFd>, CString)>;
}

impl Engine {
    /// Makes `to` another name of the earlier copy of a file; `false` where there is none that would do.
    pub(super) fn again(
        &mut self,
        from: At<'_>,
        to: At<'_>,
        spot: Spot<'_>,
        earlier: &dyn Earlier,
    ) -> Result<bool, Fault> {
        let stat = statat(from.dir, from.name, AtFlags::SYMLINK_NOFOLLOW).reading("fstatat", || from.show())?;
        // The names of one file stay together: those that were copied before belong to another copy.
        if file_type(&stat) != FileType::RegularFile || stat.st_nlink > 1 {
            return Ok(false);
        }
        let Some((directory, name)) = earlier.copy_of(spot.relative, &stat) else {
            return Ok(false);
        };
        let Ok(is) = statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW) else {
            return Ok(false);
        };
        if !self.is_what_a_copy_would_be(&is, &stat) {
            return Ok(false);
        }
        let made = Made::new(to, original(&stat), self.options.conflict, "linkat", |new| {
            linkat(&directory, &name, to.dir, new, AtFlags::empty())
        });
        match made {
            Ok(((), made)) => made.finish(self.options.conflict)?,
            Err(Fault::Write(error)) if links::is_impossible(error.errno()) => return Ok(false),
            Err(fault) => return Err(fault),
        }
        self.report.files += 1;
        Ok(true)
    }

    /// Whether a copy of a file with the status `source` would look as `is` does; its contents are another matter.
    fn is_what_a_copy_would_be(&self, is: &Stat, source: &Stat) -> bool {
        let wanted = Wanted::new(source, &self.options);
        file_type(is) == FileType::RegularFile
            && is.st_size == source.st_size
            && (is.st_mtime, is.st_mtime_nsec) == (source.st_mtime, source.st_mtime_nsec)
            && is.st_mode & 0o7777 == wanted.mode
            && wanted.owner == Some((is.st_uid, is.st_gid))
            && wanted.times.is_some()
    }
}
