//! FROM: what a stage starts on.

use super::stage::Stage;
use super::{Build, architecture};
use crate::bundle;
use crate::error::{Error, Result};
use wiac_dockerfile::stages::Source;
use wiac_oci::image::ImageConfig;
use wiac_store::LayerId;

impl Build<'_, '_> {
    /// The stage `index` as it stands after its FROM; `true` where nothing had to be made for it.
    pub(super) fn start_stage(&mut self, index: usize) -> Result<(Stage, bool)> {
        let (mut stage, cached) = self.base_of(index)?;
        stage.name = self.dockerfile.stages[index].display_name();
        stage.epoch = self.request.epoch.and_then(wiac_oci::time::second);
        Ok((stage, cached))
    }

    fn base_of(&mut self, index: usize) -> Result<(Stage, bool)> {
        let described = &self.dockerfile.stages[index];
        if let Some(platform) = self.globals.platform(described)? {
            refuse_foreign(&platform.text)?;
        }
        let escape = self.dockerfile.directives.escape;
        match self.graph.base(index) {
            Source::Stage(earlier) => {
                let earlier = self
                    .stages
                    .get(earlier)
                    .ok_or_else(|| Error::wrong("an earlier stage is missing"))?;
                let mut stage = earlier.clone();
                refuse_triggers(&stage.config, &described.display_name())?;
                // CMD set in another stage is the base's CMD here.
                stage.own_cmd = false;
                Ok((stage, true))
            }
            Source::Other(name) if name == "scratch" => {
                Ok((Stage::new(self.tools.store, &[], empty_config(), escape)?, true))
            }
            Source::Other(name) => {
                let (layers, config, cached) = self.base_image(&name.clone())?;
                Ok((Stage::new(self.tools.store, &layers, config, escape)?, cached))
            }
        }
    }

    /// The layers and configuration of an image from outside the Dockerfile, locked for the build.
    pub(super) fn base_image(&mut self, name: &str) -> Result<(Vec<LayerId>, ImageConfig, bool)> {
        if let Some(programs) = name.strip_prefix(bundle::SCHEME) {
            let bundle = bundle::layer(self.tools.store, programs)?;
            self.locks.push(bundle.layer.lock);
            return Ok((vec![bundle.layer.id], bundle.config, bundle.cached));
        }
        let base = self.tools.images.find(name)?;
        self.hold(&base.layers)?;
        refuse_triggers(&base.config, name)?;
        Ok((base.layers, base.config, true))
    }
}

/// The configuration of an image that has nothing yet.
pub(crate) fn empty_config() -> ImageConfig {
    ImageConfig {
        architecture: architecture().to_owned(),
        os: "linux".to_owned(),
        ..ImageConfig::default()
    }
}

fn refuse_triggers(config: &ImageConfig, name: &str) -> Result<()> {
    if config.config.on_build.is_empty() {
        return Ok(());
    }
    Err(Error::wrong(format!(
        "{name} has ONBUILD instructions, which aren't carried out yet"
    )))
}

fn refuse_foreign(platform: &str) -> Result<()> {
    let own = format!("linux/{}", architecture());
    if platform == own {
        return Ok(());
    }
    Err(Error::wrong(format!(
        "building for {platform} isn't there yet: this machine is {own}"
    )))
}
