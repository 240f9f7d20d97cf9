//! Where a build finds base images: in the store, by name or id, or in podman's or docker's.

use crate::data::Data;
use crate::error::Failure;
use crate::located::Located;
use crate::pulling::Pulling;
use wiac_build::dockerfile::{Base, BaseImages};
use wiac_build::{Error, Result};
use wiac_oci::manifest::Platform;
use wiac_store::HeldLayer;

/// The images that can be built on.
pub(crate) struct AllImages<'d> {
    data: &'d Data,
    pulling: Pulling,
    /// Layers of those that were found, until the build holds them itself.
    held: Vec<HeldLayer>,
}

impl<'d> AllImages<'d> {
    /// What this data directory has, and the stores beside it.
    pub(crate) fn new(data: &'d Data, pulling: Pulling) -> Self {
        Self {
            data,
            pulling,
            held: Vec::new(),
        }
    }
}

impl BaseImages for AllImages<'_> {
    fn find(&mut self, name: &str, platform: &Platform) -> Result<Base> {
        let mut pulling = self.pulling.clone();
        pulling.platform = Some(platform.clone());
        let located = pulling
            .locate(self.data, name)
            .map_err(|failure| hint(name, &failure))?;
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
        "name one that is here (wiac images), or start FROM bundle://sh, which needs no registry"
    };
    Error::wrong_with_hint(failure.to_string(), hint)
}
