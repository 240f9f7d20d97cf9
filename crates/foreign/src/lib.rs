//! Images in the stores of other tools, read where they lie: podman's, buildah's and CRI-O's (containers/storage),
//! docker's, and containerd's. Nothing is copied, and nothing is ever written there.
//!
//! [`parse`] recognises a name such as `containers-storage:alpine`, [`open`] finds the image and hands out plain
//! directories in overlayfs's form. This crate knows nothing of our own store and of running.
//!
//! | module | what it holds |
//! |---|---|
//! | `reference` | `containers-storage:[driver@root+run]NAME`, `docker-storage:[root]NAME` |
//! | `caller` | whose stores are looked at: user, home, environment |
//! | `image` | what an opened image is |
//! | `inspect` | the walk that finds marks which overlayfs, as we mount it, can't use |
//! | `lookup` | identifiers, beginnings of identifiers, and suggestions |
//! | `containers` | containers/storage: its configuration, locks, records and names |
//! | `docker` | docker's own store and containerd's |
//! | `bolt` | a reader of bbolt's files, which containerd keeps its records in |
//! | `platform`, `read`, `time` | this machine's manifest of an index; bounded reading; times in records |
//!
//! An image that its tool removes after [`open`] loses files, as a container of that tool would.

mod bolt;
mod caller;
mod containers;
mod docker;
pub mod error;
mod image;
mod inspect;
mod lookup;
mod platform;
mod read;
mod reference;
mod time;

pub use caller::Caller;
pub use containers::lock::Guard;
pub use error::{Error, Result};
pub use image::{Image, Layer, Marks, Owned, Summary};
pub use reference::{Kind, Location, Reference, parse};

/// Finds an image and looks through its layers: [`resolve`], then [`Image::inspect`].
///
/// # Errors
/// What the two return.
pub fn open(reference: &Reference, caller: &Caller) -> Result<Image> {
    let mut image = resolve(reference, caller)?;
    image.check_owner()?;
    image.inspect()?;
    Ok(image)
}

/// Finds an image without looking through its layers: reads records and configuration only.
///
/// # Errors
/// Where the store isn't there, can't be read in place or is damaged, or has no such image.
pub fn resolve(reference: &Reference, caller: &Caller) -> Result<Image> {
    match reference.kind {
        Kind::Containers => containers::open(&reference.location, &reference.name, caller),
        Kind::Docker => docker::open(&reference.location, &reference.name, caller),
    }
}

/// The images of a store, in the store's order.
///
/// # Errors
/// Where the store isn't there, can't be read in place or is damaged.
pub fn list(kind: Kind, location: &Location, caller: &Caller) -> Result<Vec<Summary>> {
    match kind {
        Kind::Containers => containers::list(location, caller),
        Kind::Docker => docker::list(location, caller),
    }
}
