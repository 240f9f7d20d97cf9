//! COPY, and ADD of files of the build context: from a context, a stage or an image into a new layer.

use super::add::{refuse_remotes, without_user};
use super::cached::Made;
use super::hashing::{self, Fingerprint};
use super::prepared::Prepared;
use super::stage::Stage;
use super::tree::{self, Picked};
use super::worker::Worker;
use super::writer::Writer;
use super::{archive, unpack};
use crate::context::Source;
use crate::error::{Error, IoExt, Result};
use crate::progress::Event;
use std::path::{Path, PathBuf};
use wiac_dockerfile::stages::Source as StageSource;
use wiac_dockerfile::{Copy, Transfer, Word};
use wiac_layer::Form;
use wiac_layer::merged::LayerStack;
use wiac_sys::root::Root;

/// Where files come from.
pub(super) enum Origin {
    /// The build context; with a name, one of those that `--build-context` names.
    Local(Option<String>),
    /// Layers of a stage or an image, each with its lineage, base first.
    Layers {
        layers: Vec<(PathBuf, String)>,
        description: String,
    },
}

impl Worker<'_, '_> {
    /// Carries COPY out, or finds the layer that it made before; `true` for the latter.
    pub(super) fn copy(&mut self, stage: &mut Stage, copy: &Copy) -> Result<bool> {
        let mut prepared = self.prepare(stage, &copy.transfer)?;
        refuse_remotes(&prepared)?;
        prepared.parents = copy.parents;
        let said = said("COPY", copy.from.as_ref(), &copy.transfer, &prepared);
        match self.origin(copy.from.as_ref())? {
            Origin::Local(name) => self.transfer_local(stage, &prepared, said, name.as_deref()),
            Origin::Layers { layers, description } => {
                prepared.keeps_owners = copy.transfer.chown.is_none();
                self.copy_layers(stage, &prepared, said, &layers, description)
            }
        }
    }

    /// From the build context, or the one called `name`.
    pub(super) fn transfer_local(
        &mut self,
        stage: &mut Stage,
        prepared: &Prepared,
        said: String,
        name: Option<&str>,
    ) -> Result<bool> {
        let kind = if prepared.unpack { "ADD" } else { "COPY" };
        let source = self.local(name)?;
        let picked = pick(source, prepared)?;
        let (key, before) = prepared.key(stage, kind, |key| {
            hashing::add_to_key(source, &picked, &prepared.exclude, false, key)
        })?;
        self.cached_or(stage, &key, said, |build, stage, draft| {
            let source = build.local(name)?;
            build.write(stage, &draft.diff(), source, &picked, prepared)?;
            build.check_unchanged(name, &picked, prepared, &before)
        })
    }

    /// A file that was saved between being hashed and being copied has a new content under the old key: such a layer
    /// isn't remembered.
    pub(super) fn check_unchanged(
        &mut self,
        name: Option<&str>,
        picked: &[Picked],
        prepared: &Prepared,
        before: &Fingerprint,
    ) -> Result<Made> {
        let after = hashing::fingerprint(self.local(name)?, picked, &prepared.exclude)?;
        if after == *before {
            return Ok(Made::Whole);
        }
        let message = "a file changed while it was copied: the next build copies it again";
        self.shared.tell(Event::Warning(message));
        Ok(Made::Unsure)
    }

    /// COPY from other layers asks twice: by what these layers are, which costs nothing, and then by the contents of
    /// the files it names.
    fn copy_layers(
        &mut self,
        stage: &mut Stage,
        prepared: &Prepared,
        said: String,
        layers: &[(PathBuf, String)],
        description: String,
    ) -> Result<bool> {
        let (by_layers, ()) = prepared.key(stage, "COPY", |key| {
            let lineages: Vec<&String> = layers.iter().map(|(_, lineage)| lineage).collect();
            key.add_all(&lineages);
            Ok(())
        })?;
        if self.use_cached(stage, &by_layers, &said)? {
            return Ok(true);
        }
        let source = self.open_layers(layers, description)?;
        let picked = pick(&source, prepared)?;
        let (by_content, _) = prepared.key(stage, "COPY", |key| {
            hashing::add_to_key(&source, &picked, &prepared.exclude, prepared.keeps_owners, key)
        })?;
        let cached = self.cached_or(stage, &by_content, said, |build, stage, draft| {
            build.write(stage, &draft.diff(), &source, &picked, prepared)?;
            Ok(Made::Whole)
        })?;
        if let Some(layer) = stage.layers.last()
            && !self.shared.request.apart
        {
            self.shared.store.remember_step(&by_layers, &layer.id)?;
        }
        Ok(cached)
    }

    /// What `--from` and `from=` name: a context of `--build-context` first, then a stage, then an image.
    pub(super) fn origin(&mut self, from: Option<&Word>) -> Result<Origin> {
        let Some(word) = from else {
            return Ok(Origin::Local(None));
        };
        if self.shared.contexts.contains_key(&word.text) {
            return Ok(Origin::Local(Some(word.text.clone())));
        }
        let store = self.shared.store;
        let is_renamed = self.shared.request.image_contexts.contains_key(&word.text);
        if !is_renamed && let StageSource::Stage(index) = self.shared.dockerfile.source(word)? {
            let stage = self.stage(index)?;
            let layer = |layer: &super::stage::StageLayer| (store.layer_diff(&layer.id), layer.lineage.clone());
            return Ok(Origin::Layers {
                layers: stage.layers.iter().map(layer).collect(),
                description: format!("stage {}", self.shared.dockerfile.stages[index].display_name()),
            });
        }
        if word.text == "scratch" {
            return Ok(Origin::Layers {
                layers: Vec::new(),
                description: "scratch".to_owned(),
            });
        }
        let (ids, _, _) = self.base_image(&word.text, &self.target_platform())?;
        let layer = |id| Ok((store.layer_diff(id), store.layer_info(id)?.lineage));
        Ok(Origin::Layers {
            layers: ids.iter().map(layer).collect::<Result<_>>()?,
            description: format!("image {word}"),
        })
    }

    /// The build context, or the one called `name`.
    pub(super) fn local(&self, name: Option<&str>) -> Result<&Source> {
        match name {
            None => Ok(&self.shared.context),
            Some(name) => self.shared.contexts.get(name).ok_or_else(|| no_context(name)),
        }
    }

    /// Opens the merged tree of some layers.
    pub(super) fn open_layers(&self, layers: &[(PathBuf, String)], description: String) -> Result<Source> {
        let directories: Vec<PathBuf> = layers.iter().map(|(path, _)| path.clone()).collect();
        if directories.is_empty() {
            return Err(Error::wrong(format!(
                "{description} is empty: there is nothing to copy from it"
            )));
        }
        let fd = wiac_run::view::open_merged(&directories, self.shared.store.form() == Form::User)?;
        let root = Root::from_fd(fd).on("open", Path::new(&description))?;
        Ok(Source::tree(root, PathBuf::from(&description), description))
    }

    fn write(&self, stage: &Stage, diff: &Path, source: &Source, picked: &[Picked], prepared: &Prepared) -> Result<()> {
        let stack = if prepared.link {
            LayerStack::default()
        } else {
            stage.stack(self.shared.store)
        };
        let mut writer = Writer::new(&stack, diff, prepared)?;
        for one in picked {
            let archive = if prepared.unpack && !one.is_directory {
                archive::open(source, one)?
            } else {
                None
            };
            match archive {
                Some(archive) => unpack::unpack(&mut writer, self.shared.store.form(), prepared, archive)?,
                None => writer.put(source, one, &prepared.exclude)?,
            }
        }
        for (name, content) in &prepared.inline {
            writer.put_text(name, content)?;
        }
        Ok(())
    }
}

fn no_context(name: &str) -> Error {
    Error::wrong(format!("there is no build context {name}"))
}

fn pick(source: &Source, prepared: &Prepared) -> Result<Vec<Picked>> {
    if prepared.parents {
        tree::pick_parents(source, &prepared.sources)
    } else {
        tree::pick(source, &prepared.sources, &prepared.exclude)
    }
}

/// As BuildKit words it, but for its own mark: the destination is as written.
pub(super) fn said(name: &str, from: Option<&Word>, transfer: &Transfer, prepared: &Prepared) -> String {
    let mut words = vec![name.to_owned()];
    words.extend(from.map(|from| format!("--from={from}")));
    words.extend(prepared.parents.then(|| "--parents".to_owned()));
    words.extend(transfer.chown.iter().map(|chown| format!("--chown={chown}")));
    words.extend(transfer.chmod.iter().map(|chmod| format!("--chmod={chmod}")));
    words.extend(prepared.sources.iter().map(|source| without_user(source)));
    words.extend(prepared.inline.iter().map(|(name, _)| format!("<<{name}")));
    words.push(prepared.destination.clone());
    words.join(" ")
}
