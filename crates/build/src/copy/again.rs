//! Files that were copied before: an earlier copy that looks as a new one would becomes the new one, by a further name.
//!
//! So a layer that differs from an earlier one by a few files costs no more than their names.

use super::entry::kind;
use super::listed::{ListedDirectory, ListedEntry, Looks};
use super::options::{Options, Ownership};
use rustix::fs::{AtFlags, FileType, Stat, linkat, statat};
use std::os::fd::BorrowedFd;

/// Makes `entry` of `listed` in the new directory `to` a further name of its earlier copy in `earlier`. Where that can't be, or
/// it isn't what a copy would be, the file has to be copied.
pub(super) fn link(
    options: &Options,
    listed: &ListedDirectory,
    entry: &ListedEntry,
    earlier: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
) {
    if !entry.is_known {
        return;
    }
    let name = listed.name(entry);
    let is = statat(earlier, name, AtFlags::SYMLINK_NOFOLLOW);
    let is_same = is.is_ok_and(|is| is_what_a_copy_would_be(options, &is, &entry.looks));
    if is_same && linkat(earlier, name, to, name, AtFlags::empty()).is_ok() {
        entry.set_linked();
    }
}

/// Whether a copy of a file that looks like `source` would look as `is` does; its contents are another matter.
fn is_what_a_copy_would_be(options: &Options, is: &Stat, source: &Looks) -> bool {
    let looks = Looks::of(is);
    let owner = match options.ownership {
        Ownership::Keep => Some(source.owner),
        Ownership::Fixed { uid, gid } => Some((uid, gid)),
        Ownership::Caller => None,
    };
    source.file_type() == FileType::RegularFile
        && looks.file_type() == FileType::RegularFile
        && looks.size == source.size
        && looks.modified == source.modified
        && looks.mode & 0o7777 == options.mode.apply(kind(FileType::RegularFile), source.mode & 0o7777)
        && owner == Some(looks.owner)
        && options.times
}
