//! Taking an image into the store: its layers unpacked side by side, everything compared with its digest while it
//! streams by. A layer that is right is put in place; the image is written down when all of them are.
//!
//! As many layers as there are cores are under way at once, the lowest first: a layer that needs something of those below
//! waits for them, and the lowest one needs nobody.

mod place;

use self::place::Fresh;
use super::hashing::Hashing;
use super::incoming::{Incoming, IncomingLayer, LayerSource};
use super::late::Late;
use super::record;
use super::stream::{Expected, stream};
use crate::blobs::{BlobDraft, HeldBlob};
use crate::data::Store;
use crate::error::{Error, IoExt, Result};
use crate::image::HeldImage;
use crate::layer::{Draft, HeldLayer, LayerId, make_room_for};
use std::collections::HashSet;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use wiac_layer::merged::LayerStack;
use wiac_layer::unpack::{self, UnpackOptions};
use wiac_oci::digest::{ChainId, DiffId, Digest};
use wiac_oci::image::{History, ImageConfig};
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
    record::write(store, image, source, ready)
}

/// Takes a single layer into the store, which belongs to no image there. `made`: what is said of it.
///
/// # Errors
/// As [`load`]; a layer that needs those below it, too.
pub fn load_layer(
    store: &Store,
    shown: &str,
    (layer, made): (IncomingLayer, History),
    source: &dyn LayerSource,
    owners: unpack::OwnerPolicy,
) -> Result<HeldLayer> {
    let mut config = ImageConfig::default();
    config.rootfs.diff_ids.push(layer.diff_id.clone());
    config.history.push(made);
    let image = Incoming {
        shown: shown.to_owned(),
        names: Vec::new(),
        config_bytes: Vec::new(),
        config,
        manifest: None,
        layers: vec![layer],
    };
    let mut loading = Loading::new(store, &image, source, owners)?;
    loading.unpack_all();
    match loading.finish()?.pop() {
        Some(State::Here(held) | State::Fresh(held, _)) => Ok(held),
        _ => Err(Error::image(shown, "the layer wasn't unpacked")),
    }
}

/// Where one layer stands.
pub(super) enum State {
    /// Nobody has begun.
    Waiting,
    /// In the store already.
    Here(HeldLayer),
    /// Unpacked, compared and put in place.
    Fresh(HeldLayer, HeldBlob),
    /// It went wrong.
    Failed(Error),
}

/// Why a layer wasn't taken.
struct Failed {
    error: Error,
    /// Its bytes were wrong, of which some were here already; none are any more.
    may_be_of_disk: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self {
            error,
            may_be_of_disk: false,
        }
    }
}

impl State {
    /// The layer, once it is in place.
    fn id(&self) -> Option<LayerId> {
        match self {
            Self::Here(held) | Self::Fresh(held, _) => Some(held.id.clone()),
            Self::Waiting | Self::Failed(_) => None,
        }
    }
}

struct Loading<'a> {
    store: &'a Store,
    image: &'a Incoming,
    source: &'a dyn LayerSource,
    owners: unpack::OwnerPolicy,
    /// The chain below each layer.
    parents: Vec<Option<ChainId>>,
    /// Layers of the store that are in the image already.
    used: Mutex<HashSet<LayerId>>,
    states: Mutex<Vec<State>>,
    changed: Condvar,
    next: AtomicUsize,
    hashing: Arc<Hashing>,
}

impl<'a> Loading<'a> {
    fn new(
        store: &'a Store,
        image: &'a Incoming,
        source: &'a dyn LayerSource,
        owners: unpack::OwnerPolicy,
    ) -> Result<Self> {
        make_room_for(image.layers.len());
        let mut parents = Vec::new();
        let mut chain: Option<ChainId> = None;
        for layer in &image.layers {
            parents.push(chain.clone());
            chain = Some(above(chain.as_ref(), &layer.diff_id));
        }
        let mut loading = Self {
            store,
            image,
            source,
            owners,
            parents,
            used: Mutex::default(),
            states: Mutex::default(),
            changed: Condvar::new(),
            next: AtomicUsize::new(0),
            hashing: Arc::default(),
        };
        let mut states = Vec::new();
        for number in 0..image.layers.len() {
            states.push(loading.find(number)?.map_or(State::Waiting, State::Here));
        }
        loading.states = Mutex::new(states);
        Ok(loading)
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
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = cores.max(self.source.at_once()).min(waiting);
        let this = &*self;
        std::thread::scope(|scope| {
            for _ in 1..threads {
                // Where no more threads may be started there are fewer.
                let _ = std::thread::Builder::new().spawn_scoped(scope, || this.work());
            }
            this.work();
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
            let state = self.take(number, layer).unwrap_or_else(State::Failed);
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
            let ids: Option<Vec<LayerId>> = lower.iter().map(State::id).collect();
            if let Some(ids) = ids {
                return self.stack(&ids);
            }
            states = self.changed.wait(states).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Layers with what couldn't be put on disk of them: owners, and whoever sets those may still have made no device, or no
    /// attribute of a symlink.
    fn stack(&self, ids: &[LayerId]) -> wiac_layer::Result<LayerStack> {
        let stack = LayerStack::new(ids.iter().map(|id| self.store.layer_diff(id)).collect());
        let owners: Result<Vec<_>> = ids
            .iter()
            .map(|id| Ok(self.store.layer_owners(id)?.map(Arc::new)))
            .collect();
        let owners = owners.map_err(|error| wiac_layer::Error::Io {
            action: "use",
            path: PathBuf::from("the layers below"),
            source: io::Error::other(error.to_string()),
        })?;
        Ok(stack.with_owners(owners))
    }

    /// Gets one layer into its place. Where it went wrong with what an earlier attempt had got of it, which may have been
    /// damaged since, it is got whole, once.
    fn take(&self, number: usize, layer: &IncomingLayer) -> Result<State> {
        match self.attempt(number, layer) {
            Err(failed) if failed.may_be_of_disk => {
                self.source.begins_anew(layer);
                self.attempt(number, layer).map_err(|failed| failed.error)
            }
            result => result.map_err(|failed| failed.error),
        }
    }

    /// Gets one layer into its place: by reading it, unless another process has done so meanwhile.
    fn attempt(&self, number: usize, layer: &IncomingLayer) -> std::result::Result<State, Failed> {
        let draft = Draft::new(self.store)?;
        let (source, blob) = self.open(number, layer, &draft)?;
        if let Some(held) = self.find(number)? {
            if blob.is_download() {
                blob.discard();
            }
            return Ok(State::Here(held));
        }
        let is_begun = blob.is_begun();
        let blameless = AtomicBool::new(false);
        let options = UnpackOptions {
            form: self.store.form(),
            owners: self.owners,
            lower: &|| {
                self.below(number)
                    .inspect_err(|_| blameless.store(true, Ordering::Relaxed))
            },
            limits: unpack::Limits::default(),
        };
        let diff = draft.diff();
        let directory = std::fs::File::open(&diff).on("open", &diff)?;
        let expected = Expected {
            descriptor: layer.descriptor.as_ref(),
            diff_id: Some(&layer.diff_id),
            blameless: Some(&blameless),
        };
        let streamed = stream(source, Some(blob), expected, &self.hashing, |tar| {
            unpack::unpack(tar, &directory, &options).map_err(|error| error.to_string())
        });
        let (streamed, unpacked) = streamed.map_err(|wrong| Failed {
            error: Error::image(self.image.layer_name(number), wrong.reason),
            may_be_of_disk: is_begun && wrong.is_in_bytes,
        })?;
        let fresh = Fresh {
            draft,
            unpacked,
            streamed,
        };
        let (held, blob) = self.place(number, fresh)?;
        Ok(State::Fresh(held, blob))
    }

    /// The bytes of a layer, and where they are kept: of a download what an earlier attempt got comes first.
    fn open(
        &self,
        number: usize,
        layer: &IncomingLayer,
        draft: &Draft,
    ) -> Result<(Box<dyn Read + Send + '_>, BlobDraft)> {
        let descriptor = layer.descriptor.as_ref();
        let digest = descriptor.map(|descriptor| &descriptor.digest);
        let fresh = || BlobDraft::new(draft.room(), "blob", digest);
        if let Some(Descriptor { digest, size, .. }) = descriptor {
            if let Some(here) = self.store.hold_blob(digest)? {
                return Ok((Box::new(here.open()?), fresh()?));
            }
            // One that is repeated in an image is there once it is needed again, or is read twice: it mustn't wait for itself.
            let is_repeated = self.image.layers[..number]
                .iter()
                .any(|other| other.descriptor.as_ref().is_some_and(|other| other.digest == *digest));
            if self.source.is_remote() && !is_repeated {
                let mut blob = BlobDraft::download(self.store, digest, &|| self.source.goes_on())?;
                // Whoever we waited for may have got it.
                if let Some(here) = self.store.hold_blob(digest)? {
                    blob.discard();
                    return Ok((Box::new(here.open()?), fresh()?));
                }
                if blob.begin_anew_after(*size)? {
                    self.source.begins_anew(layer);
                }
                let (length, begun) = blob.begun()?;
                if length == 0 {
                    return Ok((self.source.open(layer)?, blob));
                }
                // Not asked for before what is here is read: what waits in a connection meanwhile is lost if we are killed.
                let layer = &self.image.layers[number];
                let rest = Late::new(move || self.source.resume(layer, length).map_err(io::Error::other));
                return Ok((Box::new(begun.chain(rest)), blob));
            }
        }
        Ok((self.source.open(layer)?, fresh()?))
    }

    /// The layer, where the store has it, and where it isn't in this image already: the kernel takes each directory once.
    fn find(&self, number: usize) -> Result<Option<HeldLayer>> {
        let layer = &self.image.layers[number];
        let parent = self.parents[number].as_ref();
        let found = self.store.find_diff_id(&layer.diff_id, parent)?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(found.filter(|held| used.insert(held.id.clone())))
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
