//! What a copy keeps and what it changes: plain data, and the report of what was done.

use super::entry::FileKind;
use std::fmt;
use std::sync::Arc;

/// Who owns the copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// The owner and group of the source.
    Keep,
    /// One owner and group for everything.
    Fixed {
        /// The owner.
        uid: u32,
        /// The group.
        gid: u32,
    },
    /// Whoever the kernel gives new files to: the caller.
    Caller,
}

/// The permission bits of the copies (07777). Symlinks have none.
#[derive(Clone)]
pub enum ModeRule {
    /// The bits of the source.
    Keep,
    /// The same bits for everything.
    Fixed(u32),
    /// The bits of the source as this function changes them.
    Map(Arc<dyn Fn(FileKind, u32) -> u32 + Send + Sync>),
}

/// What happens where a directory meets something that isn't one, under the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// An error, as in cp.
    Refuse,
    /// What was there is removed.
    Replace,
}

/// The owner, mode, times and extended attributes of a directory that is there before the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merged {
    /// Become those of the source, as in `cp -a`.
    Source,
    /// As [`Merged::Source`], but the destination that the caller named stays as it is.
    SourceBelow,
    /// Stay as they are.
    Untouched,
}

/// What a copy keeps and what it changes; [`Options::default`] is `cp -a`.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who owns the copies.
    pub ownership: Ownership,
    /// Whether it's an error when the kernel refuses that owner (else the copy keeps the owner it has, loses set-id
    /// bits as in cp, and is counted in [`Report::owners_lost`]).
    pub ownership_required: bool,
    /// The permission bits.
    pub mode: ModeRule,
    /// Whether times of access and modification are kept; else they are the time of the copy.
    pub times: bool,
    /// Whether extended attributes are kept, file capabilities and POSIX ACLs included. Overlay's own
    /// (`trusted.overlay.*`, `user.overlay.*`) never are. What the kernel refuses is counted in
    /// [`Report::xattrs_lost`].
    pub xattrs: bool,
    /// Whether names of one file stay names of one file.
    pub hard_links: bool,
    /// What happens where a directory meets something else.
    pub conflict: Conflict,
    /// What becomes of the metadata of directories that are there already.
    pub merged: Merged,
    /// Whether overlay whiteouts (character devices 0:0) are copied; else they are an error.
    pub whiteouts: bool,
}

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Regular files, without further names of the same file.
    pub files: u64,
    /// Directories that were made or merged into.
    pub directories: u64,
    /// Symlinks.
    pub symlinks: u64,
    /// Devices, FIFOs and sockets.
    pub specials: u64,
    /// Further names of files already copied.
    pub links: u64,
    /// Bytes of file content, without holes.
    pub bytes: u64,
    /// Copies whose owner the kernel refused to set.
    pub owners_lost: u64,
    /// Extended attributes that the kernel or the file system refused.
    pub xattrs_lost: u64,
}

/// What a filter says of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Copy it.
    Include,
    /// Leave it out, with everything below it.
    Exclude,
    /// Look into the directory, and make it only when something below it is copied; anything else is left out.
    Descend,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ownership: Ownership::Keep,
            ownership_required: false,
            mode: ModeRule::Keep,
            times: true,
            xattrs: true,
            hard_links: true,
            conflict: Conflict::Refuse,
            merged: Merged::Source,
            whiteouts: false,
        }
    }
}

impl ModeRule {
    /// The bits for a copy of something with these `bits`.
    pub fn apply(&self, kind: FileKind, bits: u32) -> u32 {
        match self {
            Self::Keep => bits,
            Self::Fixed(fixed) => fixed & 0o7777,
            Self::Map(map) => map(kind, bits) & 0o7777,
        }
    }
}

impl fmt::Debug for ModeRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep => f.write_str("Keep"),
            Self::Fixed(bits) => write!(f, "Fixed({bits:#o})"),
            Self::Map(_) => f.write_str("Map(..)"),
        }
    }
}
