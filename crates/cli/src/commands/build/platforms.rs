//! What was built, for one platform or several.

use super::annotations::Annotations;
use super::caches::{self, Imports};
use super::contexts::Contexts;
use super::input::Input;
use super::stopped::Stopped;
use super::{Arguments, make};
use crate::data::Data;
use crate::error::Failure;
use wiac_build::dockerfile::{Built, BuiltLayer};
use wiac_oci::manifest::Platform;
use wiac_run::attach::Signals;
use wiac_store::{HeldImage, ImageRecord, Lock};

/// The images of a build; their layers are held.
pub(super) struct Images {
    /// One for each platform, in the order asked for.
    pub(super) records: Vec<ImageRecord>,
    pub(super) annotations: Annotations,
    locks: Vec<Lock>,
    /// Of each build the layers of its stages, the target's last.
    pub(super) stages: Vec<Vec<Vec<BuiltLayer>>>,
}

impl Images {
    /// Builds for each platform that is asked for, one after the other.
    pub(super) fn build(
        data: &Data,
        signals: &Signals,
        arguments: &Arguments,
        sources: (&Input, &Contexts),
        imports: &Imports<'_>,
        is_inline: bool,
    ) -> Result<Self, Stopped> {
        let annotations = Annotations::parse(&arguments.annotation, arguments.platform.len() > 1)?;
        let platforms: Vec<Option<&Platform>> = match arguments.platform.as_slice() {
            [] => vec![None],
            some => some.iter().map(Some).collect(),
        };
        let mut images = Self {
            records: Vec::with_capacity(platforms.len()),
            annotations,
            locks: Vec::new(),
            stages: Vec::with_capacity(platforms.len()),
        };
        for platform in platforms {
            let Built {
                mut record,
                locks,
                stages,
                ..
            } = make(data, signals, arguments, (sources, Some(imports)), platform)?;
            let target = stages.last().map(Vec::as_slice).unwrap_or_default();
            caches::write_inline(&mut record.config, target, is_inline);
            images.stages.push(stages);
            let built_for = platform.cloned().unwrap_or_else(Platform::host);
            record.annotations = images.annotations.of(&built_for);
            images.records.push(record);
            images.locks.extend(locks);
        }
        Ok(images)
    }

    /// Which of them runs on this machine; the first where none does.
    pub(super) fn own(&self) -> usize {
        let host = Platform::host();
        let fits = |record: &ImageRecord| {
            host.takes(&Platform {
                architecture: record.config.architecture.clone(),
                os: record.config.os.clone(),
                variant: record.config.variant.clone(),
                ..Platform::default()
            })
        };
        self.records.iter().position(fits).unwrap_or_default()
    }

    /// Puts them into the store and names them: a name stands for all of them, and means this machine's here.
    pub(super) fn keep(&self, data: &Data, arguments: &Arguments) -> Result<HeldImage, Failure> {
        let held: Vec<HeldImage> = self
            .records
            .iter()
            .map(|record| data.store.add_image(record))
            .collect::<Result<_, _>>()?;
        let own = self.own();
        let others = held.iter().enumerate().filter(|(number, _)| *number != own);
        let others: Vec<_> = others.map(|(_, image)| image.id.clone()).collect();
        for name in &arguments.tag {
            if others.is_empty() {
                data.store.name_image(name, &held[own].id)?;
            } else {
                data.store
                    .name_index(name, &held[own].id, &others, &self.annotations.index)?;
            }
        }
        let mut held = held;
        Ok(held.swap_remove(own))
    }
}
