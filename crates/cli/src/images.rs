//! Where a build finds base images: in the store, by name or id, or in podman's or docker's.

use crate::data::Data;
use crate::error::Failure;
use crate::located::{Located, locate};
use wiac_build::dockerfile::{Base, BaseImages};
use wiac_build::{Error, Result};
use wiac_store::HeldLayer;

/// The images that can be built on.
pub(crate) struct AllImages<'d> {
    data: &'d Data,
    /// Layers of those that were found, until the build holds them itself.
    held: Vec<HeldLayer>,
}

impl<'d> AllImages<'d> {
    /// What this data directory has, and the stores beside it.
    pub(crate) fn new(data: &'d Data) -> Self {
        Self { data, held: Vec::new() }
    }
}

impl BaseImages for AllImages<'_> {
    fn find(&mut self, name: &str) -> Result<Base> {
        let located = locate(self.data, name).map_err(|failure| hint(name, &failure))?;
        let layers = located.ids();
        let Located {
            layers: held, config, ..
        } = located;
        self.held.extend(held);
        Ok(Base { layers, config })
    }
}

fn hint(name: &str, failure: &Failure) -> Error {
    let hint = if wiac_foreign::parse(name).is_some() {
        "the image must be in that store: podman pull or docker pull it first"
    } else {
        "images can't be pulled from a registry yet: build one and name it with -t, or start FROM bundle://sh"
    };
    Error::wrong_with_hint(failure.to_string(), hint)
}
