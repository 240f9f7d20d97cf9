//! Layers, images, names and locks on disk: the data directory, on disk: the data directory.
//!
//! The layout is written down in `docs/store.md`. A layer is a directory in overlayfs's own form: it is never made
//! into a tar here, and its contents are never hashed. Nothing unfinished is ever seen: everything is put together
//! in `tmp/` and moved into place by one rename; a name or an image is written only after its layers were synced.

pub mod cache;
mod data;
pub mod error;
pub mod image;
pub mod layer;
mod lock;
mod sync;
pub mod temporary;

pub use data::{Store, default_location};
pub use error::{Error, Result};
pub use image::{ImageRecord, LocalId};
pub use layer::{LayerId, LayerInfo};
pub use lock::Lock;
