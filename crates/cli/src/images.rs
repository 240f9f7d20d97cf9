//! Where a build finds base images: in the store, by name or id.

use wiac_build::dockerfile::{Base, BaseImages};
use wiac_build::{Error, Result};
use wiac_store::Store;

/// The images of a store.
pub(crate) struct StoredImages<'s> {
    /// The store.
    pub(crate) store: &'s Store,
}

impl BaseImages for StoredImages<'_> {
    fn find(&mut self, name: &str) -> Result<Base> {
        match self.store.find_image(name) {
            Ok((_, record)) => Ok(Base {
                layers: record.layers,
                config: record.config,
            }),
            Err(error @ wiac_store::Error::NoSuchImage { .. }) => Err(Error::wrong_with_hint(
                error.to_string(),
                "images can't be pulled from a registry yet: build one and name it with -t, or start FROM bundle://sh",
            )),
            Err(error) => Err(error.into()),
        }
    }
}
