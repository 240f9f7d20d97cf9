//! Layers, blobs, images, names and locks on disk: the data directory.
//!
//! The layout is written down in `docs/store.md`. A layer is a directory in overlayfs's own form: a tar is made
//! of it, and its contents are hashed, only when it leaves. Nothing unfinished is ever seen: everything is put together
//! in `tmp/` and moved into place by one rename; a name or an image is written only after its layers were synced.

mod adopt;
pub mod blobs;
pub mod cache;
pub mod cache_mounts;
pub mod check;
pub mod collect;
mod data;
pub mod digests;
mod discard;
pub mod error;
mod failures;
pub mod image;
pub mod layer;
pub mod leases;
pub mod lists;
mod lock;
pub mod merge;
pub mod names;
mod owners;
mod replace;
mod sync;
pub mod temporary;
pub mod transfer;
mod turn;
pub mod usage;

pub use collect::{Collected, Removed, Selection};
pub use data::{Store, default_location};
pub use digests::{LayerDigests, LayerTar};
pub use error::{Error, Result};
pub use failures::{FailureRecord, MOST_FAILURES};
pub use image::{Export, HeldImage, ImageRecord, LocalId};
pub use layer::{HeldLayer, LayerId, LayerInfo};
pub use lock::Lock;
pub use names::{Name, NamedIndex};
pub use turn::Turn;
