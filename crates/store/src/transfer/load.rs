//! Taking an image into the store: its layers unpacked side by side, everything compared with its digest while it
//! streams by, and put in place when all of it is right.
//!
//! As many layers as there are cores are under way at once, the lowest first: a layer that needs something of those below
//! waits for them, and the lowest one needs nobody.

use super::incoming::{Incoming, IncomingLayer, LayerSource};
use super::stream::{Expected, Streamed, stream};
use crate::blobs::{BlobDraft, HeldBlob};
use crate::data::Store;
use crate::digests::{LayerDigests, LayerTar};
use crate::error::{Error, IoExt, Result};
use crate::image::{Export, HeldImage, ImageRecord};
use crate::layer::{Draft, HeldLayer, LayerInfo};
use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use wiac_layer::merged::LayerStack;
use wiac_layer::unpack::{self, UnpackOptions, Unpacked};
use wiac_oci::digest::{ChainId, DiffId, Digest};
use wiac_oci::image::ImageConfig;
use wiac_oci::manifest::Descriptor;

/// What came of it.
#[derive(Debug)]
pub struct Loaded {
    /// The image, in the store and without a name yet.
    pub image: HeldImage,
    /// The digest of its manifest, where it came with one.
    pub manifest: Option<Digest>,
    /// Layers that were here already.
    pub reused: usize,
}

/// Takes an image into the store.
///
/// # Errors
/// The first layer that can't be read or isn't what it should be. Nothing of the image stays then but layers that were
/// right, which the next attempt finds again.
pub fn load(store: &Store, image: &Incoming, source: &dyn LayerSource, owners: unpack::OwnerPolicy) -> Result<Loaded> {
    let mut loading = Loading::new(store, image, source, owners)?;
    loading.unpack_all();
    let ready = loading.finish()?;
    put_in_place(store, image, ready)
}

/// Where one layer stands.
enum State {
    /// Nobody has begun.
    Waiting,
    /// In the store already.
    Here(HeldLayer),
    /// Unpacked and compared, not in place yet.
    Unpacked(Box<Fresh>),
    /// It went wrong.
    Failed(Error),
}

/// A layer that was unpacked.
struct Fresh {
    draft: Draft,
    unpacked: Unpacked,
    streamed: Streamed,
}

struct Loading<'a> {
    store: &'a Store,
    image: &'a Incoming,
    source: &'a dyn LayerSource,
    owners: unpack::OwnerPolicy,
    states: Mutex<Vec<State>>,
    changed: Condvar,
    next: AtomicUsize,
}

impl<'a> Loading<'a> {
    fn new(
        store: &'a Store,
        image: &'a Incoming,
        source: &'a dyn LayerSource,
        owners: unpack::OwnerPolicy,
    ) -> Result<Self> {
        let mut used = HashSet::new();
        let mut states = Vec::new();
        let mut chain: Option<ChainId> = None;
        for layer in &image.layers {
            let known = store.find_diff_id(&layer.diff_id, chain.as_ref())?;
            // The kernel takes each directory once in a stack: a repeated layer gets another one.
            states.push(match known.filter(|held| used.insert(held.id.clone())) {
                Some(held) => State::Here(held),
                None => State::Waiting,
            });
            chain = Some(above(chain.as_ref(), &layer.diff_id));
        }
        Ok(Self {
            store,
            image,
            source,
            owners,
            states: Mutex::new(states),
            changed: Condvar::new(),
            next: AtomicUsize::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<State>> {
        // A thread that panicked ends the whole command.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unpack_all(&mut self) {
        let waiting = self
            .lock()
            .iter()
            .filter(|state| matches!(state, State::Waiting))
            .count();
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(waiting);
        let this = &*self;
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| this.work());
            }
        });
    }

    /// Takes one layer after the other, the lowest first, until none is left or one has failed.
    fn work(&self) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(layer) = self.image.layers.get(number) else {
                return;
            };
            {
                let states = self.lock();
                if states.iter().any(|state| matches!(state, State::Failed(_))) {
                    return;
                }
                if !matches!(states[number], State::Waiting) {
                    continue;
                }
            }
            let state = match self.unpack(number, layer) {
                Ok(fresh) => State::Unpacked(Box::new(fresh)),
                Err(error) => State::Failed(error),
            };
            self.lock()[number] = state;
            self.changed.notify_all();
        }
    }

    /// The stack of the layers below `number`, once they are all unpacked.
    fn below(&self, number: usize) -> wiac_layer::Result<LayerStack> {
        let mut states = self.lock();
        loop {
            let lower = &states[..number];
            if lower.iter().any(|state| matches!(state, State::Failed(_))) {
                return Err(wiac_layer::Error::Io {
                    action: "use",
                    path: PathBuf::from("the layers below"),
                    source: io::Error::other("one of them failed"),
                });
            }
            let directories: Option<Vec<PathBuf>> = lower.iter().map(|state| self.directory(state)).collect();
            if let Some(directories) = directories {
                return Ok(LayerStack::new(directories));
            }
            states = self.changed.wait(states).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn directory(&self, state: &State) -> Option<PathBuf> {
        match state {
            State::Here(held) => Some(self.store.layer_diff(&held.id)),
            State::Unpacked(fresh) => Some(fresh.draft.diff()),
            State::Waiting | State::Failed(_) => None,
        }
    }

    fn unpack(&self, number: usize, layer: &IncomingLayer) -> Result<Fresh> {
        let draft = Draft::new(self.store)?;
        let blob = BlobDraft::new(draft.room(), "blob", layer.descriptor.as_ref().map(|d| &d.digest))?;
        let source = self.source.open(layer)?;
        let options = UnpackOptions {
            form: self.store.form(),
            owners: self.owners,
            lower: &|| self.below(number),
            limits: unpack::Limits::default(),
        };
        let diff = draft.diff();
        let directory = std::fs::File::open(&diff).on("open", &diff)?;
        let expected = Expected {
            descriptor: layer.descriptor.as_ref(),
            diff_id: Some(&layer.diff_id),
        };
        let streamed = stream(source, Some(blob), expected, |tar| {
            unpack::unpack(tar, &directory, &options).map_err(|error| error.to_string())
        });
        let (streamed, unpacked) = streamed.map_err(|reason| Error::image(self.name(layer, number), reason))?;
        Ok(Fresh {
            draft,
            unpacked,
            streamed,
        })
    }

    /// What messages call a layer.
    fn name(&self, layer: &IncomingLayer, number: usize) -> String {
        let digest = layer
            .descriptor
            .as_ref()
            .map_or(layer.diff_id.digest(), |descriptor| &descriptor.digest);
        let count = self.image.layers.len();
        format!(
            "{}: layer {} of {count} ({})",
            self.image.shown,
            number + 1,
            digest.short()
        )
    }

    /// All layers, or the first error that is not just another one's consequence.
    fn finish(self) -> Result<Vec<State>> {
        let states = self.states.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut ready = Vec::new();
        for state in states {
            match state {
                State::Failed(error) => return Err(error),
                state => ready.push(state),
            }
        }
        Ok(ready)
    }
}

/// The chain of `parent` with one more layer.
fn above(parent: Option<&ChainId>, diff_id: &DiffId) -> ChainId {
    match parent {
        Some(parent) => parent.with(diff_id),
        None => ChainId(diff_id.digest().clone()),
    }
}

/// Puts the layers in place, base first, and writes the image's record.
fn put_in_place(store: &Store, image: &Incoming, states: Vec<State>) -> Result<Loaded> {
    let mut held = Vec::new();
    let mut blobs = Vec::new();
    let mut reused = 0;
    let mut chain: Option<ChainId> = None;
    for (state, (layer, made_by)) in states.into_iter().zip(image.layers.iter().zip(history(&image.config))) {
        match state {
            State::Here(layer_here) => {
                reused += 1;
                note_blob(store, &layer_here, layer)?;
                held.push(layer_here);
            }
            State::Unpacked(fresh) => {
                let (layer, blob) = place_layer(store, *fresh, layer, chain.as_ref(), &made_by)?;
                held.push(layer);
                blobs.push(blob);
            }
            State::Waiting | State::Failed(_) => {
                return Err(Error::image(image.shown.as_str(), "a layer wasn't unpacked"));
            }
        }
        chain = Some(above(chain.as_ref(), &layer.diff_id));
    }
    let config = store.add_document(&image.config_bytes)?;
    let manifest = match &image.manifest {
        Some((descriptor, bytes)) => {
            let document = store.add_document(bytes)?;
            Some((document, descriptor.clone()))
        }
        None => None,
    };
    let export = Export {
        config: config.digest.clone(),
        // What an index said of it there doesn't belong to it.
        manifests: manifest
            .iter()
            .map(|(_, one)| Descriptor::new(one.media_type.clone(), one.digest.clone(), one.size))
            .collect(),
    };
    let record = ImageRecord {
        layers: held.iter().map(|layer| layer.id.clone()).collect(),
        config: image.config.clone(),
    };
    let digests: Vec<Digest> = blobs.iter().map(|blob: &HeldBlob| blob.digest.clone()).collect();
    Ok(Loaded {
        image: store.add_imported(&record, &export, &digests)?,
        manifest: manifest.map(|(_, descriptor)| descriptor.digest),
        reused,
    })
}

/// A layer that is here has one more blob, though its bytes are not here.
fn note_blob(store: &Store, held: &HeldLayer, layer: &IncomingLayer) -> Result<()> {
    let Some(descriptor) = &layer.descriptor else {
        return Ok(());
    };
    store.update_digests(&held.id, |digests| {
        let clamp = digests.tar(&layer.diff_id).and_then(|tar| tar.clamp);
        digests.add(LayerTar {
            diff_id: layer.diff_id.clone(),
            clamp,
            blobs: vec![descriptor.clone()],
        });
    })
}

fn place_layer(
    store: &Store,
    fresh: Fresh,
    layer: &IncomingLayer,
    parent: Option<&ChainId>,
    made_by: &Made,
) -> Result<(HeldLayer, HeldBlob)> {
    let blob = fresh
        .streamed
        .blob
        .ok_or_else(|| Error::image("a layer", "its blob wasn't kept"))?
        .commit(store)?;
    let described = Descriptor::new(fresh.streamed.media_type, blob.digest.clone(), blob.size);
    let depends_on_lower = fresh.unpacked.depends_on_lower;
    fresh.draft.set_digests(&LayerDigests {
        size: Some(fresh.unpacked.size),
        depends_on_lower,
        tars: vec![LayerTar {
            diff_id: layer.diff_id.clone(),
            clamp: None,
            blobs: vec![layer.descriptor.clone().unwrap_or(described)],
        }],
    })?;
    if let Some(owners) = &fresh.unpacked.owners {
        fresh.draft.write_owners(owners)?;
    }
    let info = LayerInfo {
        form: store.form(),
        lineage: layer.diff_id.digest().hex().to_owned(),
        created_by: made_by.by.clone(),
        created: made_by.when.clone(),
        unpacked_from: Some(layer.diff_id.clone()),
        elsewhere: None,
    };
    let held = fresh.draft.commit(store, &info)?;
    store.remember_diff_id(&layer.diff_id, parent.filter(|_| depends_on_lower), &held.id)?;
    Ok((held, blob))
}

/// What the history says of a layer.
struct Made {
    by: String,
    when: String,
}

/// What the history says of each layer, base first; nothing where it says nothing.
fn history(config: &ImageConfig) -> impl Iterator<Item = Made> + '_ {
    let unknown = || Made {
        by: String::new(),
        when: config.created.clone().unwrap_or_default(),
    };
    let said = config.history.iter().filter(|step| !step.empty_layer).map(|step| Made {
        by: step.created_by.clone().unwrap_or_default(),
        when: step.created.clone().unwrap_or_default(),
    });
    said.chain(std::iter::repeat_with(unknown))
}
