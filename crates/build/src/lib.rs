//! Instructions + cache → layers → image; the bundle; and a container prepared on a stack of layers, which RUN and
//! `wiac run` share. Nothing here prints: what happens is told through [`progress::Progress`].

pub mod bundle;
pub mod bundle_shell;
mod cdi;
pub mod commit;
pub mod container;
pub mod container_layer;
pub mod context;
pub mod copy;
pub mod debug;
mod directory;
pub mod dockerfile;
pub mod error;
pub mod fetch;
mod hashes;
pub mod import;
mod key;
mod network_files;
pub mod progress;
mod stubs;
pub mod verify;

pub use error::{Error, Result};
