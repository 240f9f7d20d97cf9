//! From a layer directory, or from the merged view of a stack, to a tar.
//!
//! The same tree gives the same bytes on every machine: entries are sorted (a directory, then what is in it by name,
//! bytes compared), numbers stand for owners, and what the machine adds is left out: times of access and change,
//! overlayfs's bookkeeping, security labels. Holes are written as zeros.

mod attributes;
mod emit;
mod layer;
mod merged;

pub(crate) use attributes::OF_THE_MACHINE;
pub use layer::pack;
pub use merged::pack_merged;

use crate::merged::LayerStack;
use crate::owners::OwnerRecord;

/// How to pack a layer.
#[derive(Clone, Copy)]
pub struct PackOptions<'a> {
    /// The layers below: opaque marks are written only for directories that they have.
    pub lower: &'a LayerStack,
    /// What couldn't be put on disk as it was meant.
    pub owners: Option<&'a OwnerRecord>,
    /// Newer times become this one, in seconds since 1970 (`SOURCE_DATE_EPOCH`).
    pub clamp: Option<i64>,
}

/// How to pack a merged view.
#[derive(Clone, Copy, Default)]
pub struct MergedOptions<'a> {
    /// For each layer, base first, what couldn't be put on disk as it was meant; may be shorter than the stack.
    pub owners: &'a [Option<&'a OwnerRecord>],
    /// As in [`PackOptions`].
    pub clamp: Option<i64>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Packed {
    /// Bytes of the tar.
    pub size: u64,
    /// Entries in it.
    pub entries: u64,
    /// Sockets, which no tar has room for: left out.
    pub sockets: u64,
}
