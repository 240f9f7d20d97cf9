//! FROM: what a stage starts on, and what its base's ONBUILD adds.

use super::architecture;
use super::prepared::Prepared;
use super::stage::Stage;
use super::stages::Found;
use super::worker::{Worker, lock};
use crate::bundle;
use crate::error::{Error, Result};
use crate::progress::Event;
use std::sync::Arc;
use wiac_dockerfile::expand::Expanded;
use wiac_dockerfile::stages::Source;
use wiac_dockerfile::unset_hint;
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

impl Worker<'_, '_> {
    /// The stage `index` as it stands after its FROM; `true` where nothing had to be made for it.
    pub(super) fn start_stage(&mut self, index: usize) -> Result<(Started, bool)> {
        let described = &self.shared.dockerfile.stages[index];
        let platform = match self.shared.globals.platform(described)? {
            Some(written) => written
                .text
                .parse::<Platform>()
                .map_err(|error| or_unset(Error::wrong(error.to_string()), &written))?,
            None => self.target_platform(),
        };
        let replaced = described.name.clone().filter(|name| self.is_context(name));
        let is_replaced = replaced.is_some();
        let source = match replaced {
            Some(name) => Source::Other(name),
            None => self.shared.graph.base(index).clone(),
        };
        let (mut stage, cached) = match self.base_of(source, &platform) {
            Err(error) if !is_replaced => return Err(or_unset(error, &self.shared.globals.image(described)?)),
            other => other?,
        };
        stage.name = described.display_name();
        stage.epoch = self.shared.request.epoch.and_then(wiac_oci::time::second);
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
        let escape = self.shared.dockerfile.directives.escape;
        match source {
            Source::Stage(earlier) => {
                let mut stage = Stage::clone(&*self.stage(earlier)?);
                // CMD set in another stage is the base's CMD here.
                stage.own_cmd = false;
                Ok((stage, true))
            }
            Source::Other(name) if self.shared.contexts.contains_key(&name) => {
                let mut stage = Stage::new(self.shared.store, &[], empty_config(platform), escape)?;
                let cached = self.copy_context(&mut stage, &name)?;
                Ok((stage, cached))
            }
            Source::Other(name) if name == "scratch" => {
                let config = empty_config(platform);
                Ok((Stage::new(self.shared.store, &[], config, escape)?, true))
            }
            Source::Other(name) => {
                let (layers, config, cached) = self.base_image(&name, platform)?;
                Ok((Stage::new(self.shared.store, &layers, config, escape)?, cached))
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
    pub(super) fn is_context(&self, name: &str) -> bool {
        self.shared.contexts.contains_key(name) || self.shared.request.image_contexts.contains_key(name)
    }

    /// The platform of stages that name none.
    pub(super) fn target_platform(&self) -> Platform {
        self.shared.request.platform.clone().unwrap_or_else(Platform::host)
    }

    /// The layers and configuration of an image from outside the Dockerfile, locked for the build.
    pub(super) fn base_image(&mut self, name: &str, platform: &Platform) -> Result<(Vec<LayerId>, ImageConfig, bool)> {
        let name = self
            .shared
            .request
            .image_contexts
            .get(name)
            .map_or(name, String::as_str);
        if let Some(programs) = name.strip_prefix(bundle::SCHEME) {
            // One at a time: two stages on the same programs get the same layer.
            let _alone = lock(&self.shared.images);
            let bundle = bundle::layer(self.shared.store, programs)?;
            self.shared.keep(bundle.layer.lock);
            return Ok((vec![bundle.layer.id], bundle.config, bundle.cached));
        }
        let found = lock(&self.shared.images).find(name, platform);
        let mut base = found.map_err(|error| self.or_stage(name, error))?;
        base.config.fit_history(base.layers.len());
        self.shared.hold(&base.layers)?;
        let found = platform_of(&base.config);
        if !platform.takes(&found) {
            let message = format!("{name} is for {found}, and {platform} is built");
            self.shared.tell(Event::Warning(&message));
        }
        Ok((base.layers, base.config, true))
    }

    /// What isn't to be had as an image may be the mistyped name of a stage.
    fn or_stage(&self, name: &str, error: Error) -> Error {
        let stages = &self.shared.dockerfile.stages;
        let names = stages.iter().filter_map(|stage| stage.name.as_deref());
        match (error, wiac_suggest::nearest(name, names)) {
            (Error::Wrong { message, .. }, Some(nearest)) => {
                Error::wrong_with_hint(message, format!("did you mean the stage {nearest}?"))
            }
            (error, _) => error,
        }
    }

    /// Carries out what the base recorded, right after FROM. An error is FROM's.
    pub(super) fn run_triggers(&mut self, stage: &mut Stage, triggers: &[String]) -> Result<()> {
        self.insert_steps(triggers.len());
        for text in triggers {
            let failed = |error: Error| match error {
                Error::Interrupted { .. } | Error::Cancelled | Error::Failed { .. } | Error::CacheLost { .. } => error,
                other => Error::wrong(format!("ONBUILD {text} of the base: {other}")),
            };
            let instruction = wiac_dockerfile::parse_trigger(text).map_err(|error| failed(error.into()))?;
            self.step(&format!("ONBUILD {}", instruction.raw), |worker| {
                let cached = worker.instruction(stage, &instruction)?;
                Ok(((), cached))
            })
            .map_err(failed)?;
        }
        Ok(())
    }

    /// An earlier stage, waited for where it isn't built yet. One that only an image's ONBUILD names is built now.
    pub(super) fn stage(&mut self, index: usize) -> Result<Arc<Stage>> {
        let shared = self.shared;
        if self.index().is_none_or(|current| index >= current) {
            let name = shared.dockerfile.stages[index].display_name();
            return Err(Error::wrong_with_hint(
                format!("stage {name} isn't built yet"),
                "a stage can only take from those above it",
            ));
        }
        loop {
            // Whoever builds it waits for stages above it at most, so nobody waits for himself.
            match shared.stages.get(index) {
                Found::Built(stage) => return Ok(stage),
                Found::Claimed(claim) => self.build_stage(claim)?,
                Found::Failed => return Err(Error::Cancelled),
                Found::Building => {
                    self.tell_waiting(&format!("for stage {}", shared.dockerfile.stages[index].display_name()));
                    shared.stages.wait(index);
                }
            }
        }
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

/// What an image is for: this machine, where it names no architecture.
pub(super) fn platform_of(config: &ImageConfig) -> Platform {
    let mut platform = Platform::of(config);
    if platform.architecture.is_empty() {
        architecture().clone_into(&mut platform.architecture);
    }
    platform
}

/// What FROM names without the value of a variable is hardly what was meant.
fn or_unset(error: Error, written: &Expanded) -> Error {
    match (error, unset_hint(&written.undefined)) {
        (Error::Wrong { message, .. }, Some(hint)) => Error::wrong_with_hint(message, hint),
        (error, _) => error,
    }
}
