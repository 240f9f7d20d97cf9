//! COPY, and ADD of files of the build context: from a context, a stage or an image into a new layer.

use super::add::{refuse_remotes, without_user};
use super::cached::Made;
use super::earlier::{self, Again, Before, EarlierLayer};
use super::hashing::{self, Fingerprint, How, Inputs};
use super::prepared::Prepared;
use super::stage::Stage;
use super::stage_layer::StageLayer;
use super::tree::{self, Picked};
use super::worker::{Shared, Worker};
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
use wiac_store::LayerId;
use wiac_store::layer::Draft;
use wiac_sys::root::Root;

/// Where files come from.
pub(super) enum Origin {
    /// The build context; with a name, one of those that `--build-context` names.
    Local(Option<String>),
    /// Layers of a stage or an image, each with its lineage, base first.
    Layers {
        layers: Vec<StageLayer>,
        description: String,
    },
}

/// What is to be copied from a build context, a stage or an image.
struct Transferred<'t> {
    /// Of the build context.
    name: Option<&'t str>,
    prepared: &'t Prepared,
    source: &'t Source,
    picked: &'t [Picked],
}

impl Transferred<'_> {
    fn kind(&self) -> &'static str {
        if self.prepared.unpack { "ADD" } else { "COPY" }
    }

    /// The key of the step, and what was found out of the files.
    fn key(&self, stage: &Stage, how: How) -> Result<(String, Inputs)> {
        self.prepared.key(stage, self.kind(), |key| {
            hashing::add_to_key(self.source, self.picked, &self.prepared.exclude, how, key)
        })
    }
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
        let shared = self.shared;
        let source = shared.local(name)?;
        let picked = pick(source, prepared)?;
        let last = earlier::key(stage, prepared, source, &picked)?;
        let before = match &last {
            Some(_) if self.is_forced(stage) => Before::Never,
            Some(key) => earlier::find(shared.store, key, source)?,
            None => Before::NotAsked,
        };
        let transfer = Transferred {
            name,
            prepared,
            source,
            picked: &picked,
        };
        let (cached, made) = match &before {
            Before::Never => self.copy_while_hashing(stage, &transfer, said)?,
            Before::Once(earlier) => self.hash_then_copy(stage, &transfer, said, earlier.as_ref())?,
            Before::NotAsked => self.hash_then_copy(stage, &transfer, said, None)?,
        };
        let layer = stage.layers.last().and_then(StageLayer::id);
        if let (Some(key), Made::Whole, Some(layer), Some(table)) = (last, made, layer, &source.hashes)
            && !shared.request.apart
        {
            table.remember_copy(key, layer);
        }
        Ok(cached)
    }

    /// The key first, which may tell that nothing is to be copied.
    fn hash_then_copy(
        &mut self,
        stage: &mut Stage,
        transfer: &Transferred<'_>,
        said: String,
        earlier: Option<&EarlierLayer>,
    ) -> Result<(bool, Made)> {
        let how = How {
            list: earlier.is_some(),
            ..How::default()
        };
        let (key, inputs) = transfer.key(stage, how)?;
        self.note_inputs(transfer.prepared.inputs(stage, transfer.kind(), &said));
        self.note_files(inputs.manifest);
        let (before, list) = (inputs.fingerprint, inputs.list);
        let mut made = Made::Whole;
        let cached = self.cached_or(stage, &key, said, |build, stage, draft| {
            let again = earlier.zip(list.as_deref()).map(|(layer, list)| Again { layer, list });
            build.write(stage, &draft.diff(), transfer, again.as_ref())?;
            made = match (&again, transfer.picked) {
                (Some(again), [one]) => build.judge(earlier::is_unchanged(transfer.source, one, again.list)?),
                _ => build.check_unchanged(transfer.name, transfer.picked, transfer.prepared, &before)?,
            };
            Ok(made)
        })?;
        Ok((cached, made))
    }

    /// Where nothing like it was ever copied, the key can't be known: it is found out while the files are copied.
    fn copy_while_hashing(
        &mut self,
        stage: &mut Stage,
        transfer: &Transferred<'_>,
        said: String,
    ) -> Result<(bool, Made)> {
        let draft = Draft::new(self.shared.store)?;
        let below: &Stage = stage;
        let busy = How {
            is_busy: true,
            ..How::default()
        };
        let (key, written) = std::thread::scope(|scope| {
            let hashing = std::thread::Builder::new()
                .name("hashing".to_owned())
                .spawn_scoped(scope, || transfer.key(below, busy));
            let written = self.write(below, &draft.diff(), transfer, None);
            let key = match hashing {
                Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                // Without another thread it takes longer.
                Err(_) => transfer.key(below, busy),
            };
            (key, written)
        });
        // What is wrong with a file is said as it is where nothing is copied meanwhile.
        let (key, inputs) = key?;
        written?;
        self.note_inputs(transfer.prepared.inputs(stage, transfer.kind(), &said));
        self.note_files(inputs.manifest);
        let made = self.check_unchanged(transfer.name, transfer.picked, transfer.prepared, &inputs.fingerprint)?;
        let cached = self.cached_or_take(stage, &key, said, (draft, made))?;
        Ok((cached, made))
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
        Ok(self.judge(after == *before))
    }

    fn judge(&mut self, is_unchanged: bool) -> Made {
        if is_unchanged {
            return Made::Whole;
        }
        let message = "a file changed while it was copied: the next build copies it again";
        self.shared.tell(Event::Warning(message));
        Made::Unsure
    }

    /// COPY from other layers asks twice: by what these layers are, which costs nothing, and then by the contents of
    /// the files it names.
    fn copy_layers(
        &mut self,
        stage: &mut Stage,
        prepared: &Prepared,
        said: String,
        layers: &[StageLayer],
        description: String,
    ) -> Result<bool> {
        let (by_layers, ()) = prepared.key(stage, "COPY", |key| {
            let lineages: Vec<&String> = layers.iter().map(|layer| &layer.lineage).collect();
            key.add_all(&lineages);
            Ok(())
        })?;
        if self.use_cached(stage, &by_layers, &said)? {
            self.tell_reuse();
            return Ok(true);
        }
        let source = self.open_layers(layers, description)?;
        let picked = pick(&source, prepared)?;
        let how = How {
            owners: prepared.keeps_owners,
            ..How::default()
        };
        let (by_content, inputs) = prepared.key(stage, "COPY", |key| {
            hashing::add_to_key(&source, &picked, &prepared.exclude, how, key)
        })?;
        self.note_inputs(prepared.inputs(stage, "COPY", &said));
        self.note_files(inputs.manifest);
        let cached = self.cached_or(stage, &by_content, said, |build, stage, draft| {
            let transfer = Transferred {
                name: None,
                prepared,
                source: &source,
                picked: &picked,
            };
            build.write(stage, &draft.diff(), &transfer, None)?;
            Ok(Made::Whole)
        })?;
        if let Some(layer) = stage.layers.last_mut() {
            if let Some(id) = layer.id().filter(|_| !self.shared.request.apart) {
                let store = self.shared.store;
                store.remember_step_as(&by_layers, &id, &layer.lineage, &layer.keys)?;
            }
            layer.keys.push(by_layers);
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
            return Ok(Origin::Layers {
                layers: stage.layers.clone(),
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
        let layer = |id: &LayerId| Ok(StageLayer::of_image(id.clone(), store.layer_info(id)?.lineage));
        Ok(Origin::Layers {
            layers: ids.iter().map(layer).collect::<Result<_>>()?,
            description: format!("image {word}"),
        })
    }

    /// The build context, or the one called `name`.
    pub(super) fn local(&self, name: Option<&str>) -> Result<&Source> {
        self.shared.local(name)
    }

    /// Opens the merged tree of some layers.
    pub(super) fn open_layers(&self, layers: &[StageLayer], description: String) -> Result<Source> {
        let directories = self.shared.directories(layers)?;
        if directories.is_empty() {
            return Err(Error::wrong(format!(
                "{description} is empty: there is nothing to copy from it"
            )));
        }
        let fd = wiac_run::view::open_merged(&directories, self.shared.store.form() == Form::User)?;
        let root = Root::from_fd(fd).on("open", Path::new(&description))?;
        Ok(Source::tree(root, PathBuf::from(&description), description).until(&self.shared.stop))
    }

    fn write(&self, stage: &Stage, diff: &Path, transfer: &Transferred<'_>, again: Option<&Again<'_>>) -> Result<()> {
        let Transferred {
            prepared,
            source,
            picked,
            ..
        } = *transfer;
        let stack = if prepared.link {
            LayerStack::default()
        } else {
            stage.stack(self.shared)?
        };
        let mut writer = Writer::new(&stack, diff, prepared)?
            .with_earlier(again)
            .until(&self.shared.stop);
        for one in picked {
            let archive = if prepared.unpack && !one.is_directory {
                archive::open(source, one)?
            } else {
                None
            };
            let result = match archive {
                Some(archive) => unpack::unpack(&mut writer, self.shared.store.form(), prepared, archive),
                None => writer.put(source, one, &prepared.exclude),
            };
            // Something that was broken off failed for no reason of its own.
            self.shared.stop.check()?;
            result?;
        }
        for (name, content) in &prepared.inline {
            writer.put_text(name, content)?;
        }
        Ok(())
    }
}

impl Shared<'_> {
    /// The build context, or the one called `name`.
    fn local(&self, name: Option<&str>) -> Result<&Source> {
        match name {
            None => Ok(&self.context),
            Some(name) => self.contexts.get(name).ok_or_else(|| no_context(name)),
        }
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
