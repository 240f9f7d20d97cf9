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
use wiac_oci::digest::Digest;
use wiac_oci::manifest::Platform;
use wiac_oci::reference::Reference;
use wiac_run::attach::Signals;
use wiac_store::transfer::Wanted;
use wiac_store::{HeldImage, ImageRecord, Lock, NamedIndex};

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
        let annotations = Annotations::parse(&arguments.annotation, &arguments.platform)?;
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
            record.descriptor_annotations = images.annotations.of_descriptor(&built_for);
            images.records.push(record);
            images.locks.extend(locks);
        }
        Ok(images)
    }

    /// Which of them runs on this machine; the first where none does.
    pub(super) fn own(&self) -> usize {
        let host = Platform::host();
        let fits = |record: &ImageRecord| host.takes(&Platform::of(&record.config));
        self.records.iter().position(fits).unwrap_or_default()
    }

    /// Puts them into the store.
    pub(super) fn keep(&self, data: &Data) -> Result<Vec<HeldImage>, Failure> {
        let held = self.records.iter().map(|record| data.store.add_image(record));
        Ok(held.collect::<Result<_, _>>()?)
    }

    /// Names them: a name stands for all of them, and means this machine's here. `digest`: the index's, where it is
    /// known.
    pub(super) fn name(
        &self,
        data: &Data,
        names: &[Reference],
        held: &[HeldImage],
        digest: Option<&Digest>,
    ) -> Result<(), Failure> {
        let own = self.own();
        let others = held.iter().enumerate().filter(|(number, _)| *number != own);
        let index = NamedIndex {
            others: others.map(|(_, image)| image.id.clone()).collect(),
            position: own,
            annotations: self.annotations.index.clone(),
            descriptor_annotations: self.annotations.index_descriptor.clone(),
            digest: digest.cloned(),
        };
        if !index.others.is_empty() {
            data.store.keep_index(&held[own].id, &index)?;
        }
        for name in names {
            if index.others.is_empty() {
                data.store.name_image(name, &held[own].id)?;
            } else {
                data.store.name_index(name, &held[own].id, &index)?;
            }
        }
        Ok(())
    }

    /// As they go out, those that are in the store by their ids: this machine's with the others beside.
    pub(super) fn wanted(&self, names: Vec<Reference>, held: Option<&[HeldImage]>) -> Wanted {
        let one = |number: usize| Wanted {
            id: held.map(|held| held[number].id.clone()),
            record: self.records[number].clone(),
            shown: "the image".to_owned(),
            ..Wanted::default()
        };
        let own = self.own();
        let others = (0..self.records.len()).filter(|number| *number != own);
        Wanted {
            names,
            others: others.map(one).collect(),
            position: own,
            index_annotations: self.annotations.index.clone(),
            index_descriptor_annotations: self.annotations.index_descriptor.clone(),
            ..one(own)
        }
    }
}
