//! FROM: what a stage starts on, and what its base's ONBUILD adds.

use super::prepared::Prepared;
use super::stage::Stage;
use super::{Build, architecture};
use crate::bundle;
use crate::error::{Error, Result};
use crate::progress::Event;
use wiac_dockerfile::stages::Source;
use wiac_oci::image::{ContainerConfig, ImageConfig};
use wiac_oci::manifest::Platform;
use wiac_store::LayerId;

/// A stage after its FROM.
pub(super) struct Started {
    pub(super) stage: Stage,
    /// What its base recorded for it to do first.
    pub(super) triggers: Vec<String>,
    /// The stage is another one's or an image's by `--build-context`: its instructions don't count.
    pub(super) is_replaced: bool,
}

impl Build<'_, '_> {
    /// The stage `index` as it stands after its FROM; `true` where nothing had to be made for it.
    pub(super) fn start_stage(&mut self, index: usize) -> Result<(Started, bool)> {
        let described = &self.dockerfile.stages[index];
        let platform = match self.globals.platform(described)? {
            Some(written) => written
                .text
                .parse::<Platform>()
                .map_err(|error| Error::wrong(error.to_string()))?,
            None => self.target_platform(),
        };
        let replaced = described.name.clone().filter(|name| self.is_context(name));
        let is_replaced = replaced.is_some();
        let source = match replaced {
            Some(name) => Source::Other(name),
            None => self.graph.base(index).clone(),
        };
        let (mut stage, cached) = self.base_of(source, &platform)?;
        stage.name = described.display_name();
        stage.epoch = self.request.epoch.and_then(wiac_oci::time::second);
        let triggers = std::mem::take(&mut stage.config.config.on_build);
        Ok((
            Started {
                stage,
                triggers,
                is_replaced,
            },
            cached,
        ))
    }

    fn base_of(&mut self, source: Source, platform: &Platform) -> Result<(Stage, bool)> {
        let escape = self.dockerfile.directives.escape;
        match source {
            Source::Stage(earlier) => {
                let mut stage = self.stage(earlier)?.clone();
                // CMD set in another stage is the base's CMD here.
                stage.own_cmd = false;
                Ok((stage, true))
            }
            Source::Other(name) if self.contexts.contains_key(&name) => {
                let mut stage = Stage::new(self.tools.store, &[], empty_config(platform), escape)?;
                let cached = self.copy_context(&mut stage, &name)?;
                Ok((stage, cached))
            }
            Source::Other(name) if name == "scratch" => {
                let config = empty_config(platform);
                Ok((Stage::new(self.tools.store, &[], config, escape)?, true))
            }
            Source::Other(name) => {
                let (layers, config, cached) = self.base_image(&name, platform)?;
                Ok((Stage::new(self.tools.store, &layers, config, escape)?, cached))
            }
        }
    }

    /// A directory of `--build-context` as a base.
    fn copy_context(&mut self, stage: &mut Stage, name: &str) -> Result<bool> {
        let prepared = Prepared {
            sources: vec![".".to_owned()],
            destination: "/".to_owned(),
            ..Prepared::default()
        };
        self.transfer_local(stage, &prepared, format!("FROM {name}"), Some(name))
    }

    /// Whether `--build-context` names it.
    fn is_context(&self, name: &str) -> bool {
        self.contexts.contains_key(name) || self.request.image_contexts.contains_key(name)
    }

    /// The platform of stages that name none.
    pub(super) fn target_platform(&self) -> Platform {
        self.request.platform.clone().unwrap_or_else(Platform::host)
    }

    /// The layers and configuration of an image from outside the Dockerfile, locked for the build.
    pub(super) fn base_image(&mut self, name: &str, platform: &Platform) -> Result<(Vec<LayerId>, ImageConfig, bool)> {
        let name = self.request.image_contexts.get(name).map_or(name, String::as_str);
        if let Some(programs) = name.strip_prefix(bundle::SCHEME) {
            let bundle = bundle::layer(self.tools.store, programs)?;
            self.locks.push(bundle.layer.lock);
            return Ok((vec![bundle.layer.id], bundle.config, bundle.cached));
        }
        let base = self.tools.images.find(name, platform)?;
        self.hold(&base.layers)?;
        let found = platform_of(&base.config);
        if !platform.takes(&found) {
            let message = format!("{name} is for {found}, and {platform} is built");
            self.tools.progress.event(Event::Warning(&message));
        }
        Ok((base.layers, base.config, true))
    }

    /// Carries out what the base recorded, right after FROM. An error is FROM's.
    pub(super) fn run_triggers(&mut self, stage: &mut Stage, triggers: &[String]) -> Result<()> {
        self.count += triggers.len();
        for text in triggers {
            let failed = |error: Error| match error {
                Error::Interrupted { .. } | Error::Failed { .. } => error,
                other => Error::wrong(format!("ONBUILD {text} of the base: {other}")),
            };
            let instruction = wiac_dockerfile::parse_trigger(text).map_err(|error| failed(error.into()))?;
            let name = stage.name.clone();
            self.step(&name, &format!("ONBUILD {}", instruction.raw), |build| {
                let cached = build.instruction(stage, &instruction)?;
                Ok(((), cached))
            })
            .map_err(failed)?;
        }
        Ok(())
    }

    /// A stage that was built before. One that only an image's ONBUILD names is built now.
    pub(super) fn stage(&mut self, index: usize) -> Result<&Stage> {
        if !self.stages.contains_key(&index) {
            let described = &self.dockerfile.stages[index];
            if self.building.last().is_none_or(|&current| index >= current) {
                return Err(Error::wrong_with_hint(
                    format!("stage {} isn't built yet", described.display_name()),
                    "a stage can only take from those above it",
                ));
            }
            self.count += 1 + described.instructions.len();
            self.build_stage(index)?;
        }
        self.stages
            .get(&index)
            .ok_or_else(|| Error::wrong("an earlier stage is missing"))
    }
}

/// The configuration of an image that has nothing yet.
pub(crate) fn empty_config(platform: &Platform) -> ImageConfig {
    ImageConfig {
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        variant: platform.variant.clone(),
        config: ContainerConfig {
            // As BuildKit writes it.
            working_dir: "/".to_owned(),
            ..ContainerConfig::default()
        },
        ..ImageConfig::default()
    }
}

/// What an image is for.
pub(super) fn platform_of(config: &ImageConfig) -> Platform {
    let given = |text: &str, default: &str| if text.is_empty() { default } else { text }.to_owned();
    Platform {
        architecture: given(&config.architecture, architecture()),
        os: given(&config.os, "linux"),
        variant: config.variant.clone(),
        ..Platform::default()
    }
}
