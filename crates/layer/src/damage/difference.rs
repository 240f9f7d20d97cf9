//! In what a path differs from what it should be, and how that is said.

use crate::tar::Time;
use std::fmt;

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symlink.
    Symlink,
    /// A character device with its numbers.
    CharacterDevice(u32, u32),
    /// A block device with its numbers.
    BlockDevice(u32, u32),
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
    /// A deletion of what layers below have.
    Whiteout,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("file"),
            Self::Directory => f.write_str("directory"),
            Self::Symlink => f.write_str("symlink"),
            Self::CharacterDevice(major, minor) => write!(f, "character device {major}:{minor}"),
            Self::BlockDevice(major, minor) => write!(f, "block device {major}:{minor}"),
            Self::Pipe => f.write_str("pipe"),
            Self::Socket => f.write_str("socket"),
            Self::Whiteout => f.write_str("whiteout"),
        }
    }
}

/// In what a path differs: of two values, the one that was found first, and then the one that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// It shouldn't be there.
    Added,
    /// This is missing.
    Missing(Kind),
    /// It is something else.
    Kind(Kind, Kind),
    /// Permissions, set-id and sticky bits.
    Mode(u32, u32),
    /// Owner and group.
    Owner((u32, u32), (u32, u32)),
    /// The length of a file.
    Size(u64, u64),
    /// The bytes of a file, of the same length.
    Content,
    /// Where a symlink leads, safe to print.
    Target(String, String),
    /// The time of modification.
    Time(Time, Time),
    /// An attribute (its name safe to print) that shouldn't be there.
    AttributeAdded(String),
    /// An attribute that is missing.
    AttributeMissing(String),
    /// An attribute with another value.
    Attribute(String),
    /// The directory hides what lies below it, and shouldn't (true); or the other way round.
    Opaque(bool),
    /// It should be the same file as this path.
    Parted(String),
    /// It is the same file as this path, and shouldn't be.
    Linked(String),
    /// It can't be read, for this reason.
    Unreadable(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added => f.write_str("was added"),
            Self::Missing(Kind::File) => f.write_str("is missing"),
            Self::Missing(kind) => write!(f, "the {kind} is missing"),
            Self::Kind(found, meant) => write!(f, "is a {found} instead of a {meant}"),
            Self::Mode(found, meant) => write!(f, "mode is {found:04o} instead of {meant:04o}"),
            Self::Owner(found, meant) => {
                write!(f, "owner is {}:{} instead of {}:{}", found.0, found.1, meant.0, meant.1)
            }
            Self::Size(found, meant) => write!(f, "has {found} bytes instead of {meant}"),
            Self::Content => f.write_str("has another content"),
            Self::Target(found, meant) => write!(f, "leads to {found} instead of {meant}"),
            Self::Time(found, meant) => write!(
                f,
                "was modified at {} instead of {} (seconds since 1970)",
                seconds(*found),
                seconds(*meant)
            ),
            Self::AttributeAdded(name) => write!(f, "attribute {name} was added"),
            Self::AttributeMissing(name) => write!(f, "attribute {name} is missing"),
            Self::Attribute(name) => write!(f, "attribute {name} has another value"),
            Self::Opaque(true) => f.write_str("hides what layers below have in it, and shouldn't"),
            Self::Opaque(false) => f.write_str("doesn't hide what layers below have in it"),
            Self::Parted(path) => write!(f, "isn't the same file as {path}"),
            Self::Unreadable(reason) => f.write_str(reason),
            Self::Linked(path) => write!(f, "is the same file as {path}, and shouldn't be"),
        }
    }
}

/// As `date +%s.%N` has it; the fraction only where there is one.
fn seconds(time: Time) -> String {
    match time.nanoseconds {
        0 => time.seconds.to_string(),
        nanoseconds => format!("{}.{nanoseconds:09}", time.seconds),
    }
}
