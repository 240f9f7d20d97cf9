//! Images on their way in and out: image layouts and archives of docker's kind, read and written.
//!
//! [`Archive`] finds the files; `layout` and `docker_archive` know what they mean and give [`Incoming`] images;
//! [`load`] takes one into the store.

mod archive;
mod docker_archive;
mod import;
mod incoming;
mod input;
mod layout;
mod load;
mod pipe;
mod stream;

pub use archive::{Archive, Content};
pub use import::import;
pub use incoming::{Incoming, IncomingLayer, LayerSource};
pub use load::{Loaded, load};
