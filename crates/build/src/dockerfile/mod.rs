//! A Dockerfile → layers → an image.
//!
//! The stages the target needs are built at the same time as far as they don't need each other. Each instruction either
//! changes the stage's image configuration, or makes a layer: first its key is looked up in the cache, and only then it is
//! carried out.

pub(crate) use base::empty_config;

mod add;
mod archive;
mod base;
mod below;
mod cached;
mod change;
mod checks;
mod chmod;
mod config;
mod context_archive;
mod devices;
mod earlier;
mod git;
mod hashing;
mod kept;
mod mounts;
mod names;
mod output;
pub mod own_arguments;
mod part;
mod prepared;
mod run;
mod selection;
pub mod shell;
mod signals;
mod stage;
mod stage_layer;
mod stages;
mod stop;
mod survey;
mod transfer;
mod tree;
mod unpack;
mod web;
mod why;
mod workdir;
mod worker;
mod writer;

pub(crate) use stop::Stop;

pub use change::apply_changes;
pub use context_archive::{Arrived, receive_context};
pub use kept::{KeptRun, KeptSecret};
pub use mounts::Secret;
pub use stage_layer::BuiltLayer;

use crate::container::Network;
use crate::context::Source;
use crate::error::{Error, Result};
use crate::fetch::Fetcher;
use crate::import::StepCache;
use crate::progress::{Event, Progress};
use stage::Stage;
use stage_layer::StageLayer;
use stages::Stages;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use why::Ledger;
use wiac_dockerfile::stages::{Globals, StageGraph};
use wiac_dockerfile::{CheckOptions, Dockerfile};
use wiac_oci::image::ImageConfig;
use wiac_oci::manifest::Platform;
use wiac_oci::runtime::Rlimit;
use wiac_run::attach::Signals;
use wiac_run::user_namespace::UserNamespace;
use wiac_store::{ImageRecord, LayerId, Lock, Store};
use worker::Shared;

/// An image to build on.
#[derive(Debug)]
pub struct Base {
    /// Its layers, base first, all in the store.
    pub layers: Vec<LayerId>,
    /// Its configuration.
    pub config: ImageConfig,
}

/// Where images named in FROM and `--from` come from, apart from stages, `scratch` and `bundle://`.
pub trait BaseImages {
    /// The image called `name`; of one for several platforms, that for `platform`.
    ///
    /// # Errors
    /// When there is none; the message says what was looked for where.
    fn find(&mut self, name: &str, platform: &Platform) -> Result<Base>;
}

/// What is to be built, and how.
#[derive(Debug, Default)]
pub struct Request {
    /// The directory of the build context.
    pub context: PathBuf,
    /// The Dockerfile's path, where it is a file: an ignore file may stand beside it.
    pub dockerfile_path: Option<PathBuf>,
    /// The Dockerfile's text.
    pub text: Vec<u8>,
    /// The stage to build; the last one where none is named.
    pub target: Option<String>,
    /// Build arguments by name.
    pub build_args: BTreeMap<String, String>,
    /// Run every step again.
    pub no_cache: bool,
    /// Remember nothing: what is made counts for this build alone. The layers are the caller's to discard.
    pub apart: bool,
    /// Run every step of these stages again.
    pub no_cache_stages: Vec<String>,
    /// SOURCE_DATE_EPOCH: the time of the image, of its history, and of what the build itself makes.
    pub epoch: Option<i64>,
    /// Directories that `--from`, `from=` and FROM know by a name.
    pub contexts: BTreeMap<String, PathBuf>,
    /// Images that they know by another name than their own.
    pub image_contexts: BTreeMap<String, String>,
    /// Tell what a step writes to standard output and to standard error apart; their order may then get lost.
    pub separate_streams: bool,
    /// The network of RUN.
    pub network: Network,
    /// What `RUN --mount=type=secret` may show, by id.
    pub secrets: BTreeMap<String, Secret>,
    /// The sockets of SSH agents, by id.
    pub ssh: BTreeMap<String, PathBuf>,
    /// What a Dockerfile may ask for beyond a confined step.
    pub allow: Vec<Entitlement>,
    /// Further lines of /etc/hosts of every RUN: a name and its address.
    pub hosts: Vec<(String, String)>,
    /// The size of /dev/shm of every RUN, in bytes.
    pub shm_size: Option<u64>,
    /// Resource limits of every RUN.
    pub limits: Vec<Rlimit>,
    /// The platform to build for; this machine's where none is named.
    pub platform: Option<Platform>,
    /// Which checks run, where the Dockerfile isn't to say that.
    pub check: Option<CheckOptions>,
    /// Gets the ids of failed steps that were kept.
    pub kept: Mutex<Vec<String>>,
    /// Tell of each step why it was carried out or not.
    pub explain: bool,
    /// Labels beside those of the Dockerfile, which they override.
    pub labels: BTreeMap<String, String>,
}

/// What `--allow` grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entitlement {
    /// `RUN --network=host` where the build's network is another.
    NetworkHost,
    /// `RUN --security=insecure`.
    SecurityInsecure,
    /// `RUN --device`.
    Device,
}

/// What a build is done with.
pub struct Tools<'t> {
    /// Takes the layers.
    pub store: &'t Store,
    /// Finds base images.
    pub images: &'t mut (dyn BaseImages + Send),
    /// Fetches what ADD names by an address.
    pub fetcher: &'t dyn Fetcher,
    /// Knows of steps that were carried out elsewhere.
    pub cache: Option<&'t dyn StepCache>,
    /// Is told what happens.
    pub progress: &'t mut (dyn Progress + Send),
    /// The caller's signals: one of them ends the build. They are blocked in the calling thread.
    pub signals: &'t Signals,
    /// The namespace the caller is in.
    pub user_namespace: Option<&'t UserNamespace>,
}

/// A built image that is not in the store yet.
#[derive(Debug)]
pub struct Built {
    /// Its layers and configuration.
    pub record: ImageRecord,
    /// Of its layers: keep them until the record is written, since until then nothing refers to them.
    pub locks: Vec<Lock>,
    /// The layers that no earlier build had made, of all stages.
    pub made: Vec<LayerId>,
    /// The layers of every stage that was built, base first, the target's last: what a build cache may take along.
    pub stages: Vec<Vec<BuiltLayer>>,
}

/// Builds what `request` asks for. The layers are in the store, but not synced yet.
///
/// # Errors
/// The first thing that goes wrong; other stages under way are ended then. The layers made before it stay and are found
/// again by the next build.
pub fn build(request: &Request, tools: Tools<'_>) -> Result<Built> {
    let Tools {
        store,
        images: base_images,
        fetcher,
        cache,
        progress,
        signals,
        user_namespace,
    } = tools;
    let dockerfile = wiac_dockerfile::parse(&request.text)?;
    let lookup = |name: &str| request.build_args.get(name).cloned();
    let target = dockerfile.target(request.target.as_deref())?;
    let platform = request.platform.clone().unwrap_or_else(Platform::host);
    let automatic = checks::automatic_arguments(dockerfile.stages[target].name.as_deref(), &platform);
    let warnings = checks::check_first(request, &dockerfile, &automatic)?;
    let globals = Globals::new(&dockerfile, automatic, &lookup)?;
    let images = globals.images(&dockerfile)?;
    let graph = StageGraph::new(&dockerfile, &images)?;
    let order = graph.reachable(target)?;
    let stop = Arc::new(Stop::new(signals)?);
    // Each layer stays locked until the image has it.
    wiac_sys::open_files::raise();
    let context = Source::context(store, &request.context, request.dockerfile_path.as_deref())?.until(&stop);
    let mut contexts = BTreeMap::new();
    for (name, directory) in &request.contexts {
        contexts.insert(name.clone(), Source::named(store, name, directory)?.until(&stop));
    }
    let (numbers, count) = number_steps(&dockerfile, &order);
    progress.event(Event::Planned { steps: count });
    for warning in &warnings {
        progress.event(Event::Warning(warning));
    }
    let ledger = Ledger::new(
        &context,
        request.dockerfile_path.as_deref(),
        &platform.to_string(),
        request.explain,
    );
    ledger.prepare(store);
    let shared = Shared {
        ledger,
        request,
        dockerfile: &dockerfile,
        globals: &globals,
        graph: &graph,
        context,
        contexts,
        store,
        user_namespace,
        images: Mutex::new(base_images),
        fetcher,
        cache,
        progress: Mutex::new(progress),
        stop,
        stages: Stages::new(&graph, dockerfile.stages.len(), &order),
        locks: Mutex::default(),
        made: Mutex::default(),
        starting: Mutex::default(),
        numbers,
        count: AtomicUsize::new(count),
        failures: Mutex::default(),
    };
    finish(&shared, &order, target)
}

/// Builds the stages and takes the target's image.
fn finish(shared: &Shared<'_>, order: &[usize], target: usize) -> Result<Built> {
    let result = worker::build_all(shared);
    // Whatever happened, what was read need not be read again.
    let mut contexts = std::iter::once(&shared.context).chain(shared.contexts.values());
    let saved = contexts.try_for_each(|context| context.save_hashes(shared.store));
    let recorded = if shared.request.apart {
        Ok(())
    } else {
        shared.ledger.save(shared.store)
    };
    result?;
    saved?;
    recorded?;
    let stage = shared
        .stages
        .built(target)
        .ok_or_else(|| Error::wrong("the target was not built"))?;
    let mut stage = Stage::clone(&stage);
    stage.config.config.labels.extend(shared.request.labels.clone());
    if let Some(warning) = checks::unused_arguments(shared.request, shared.dockerfile, shared.globals) {
        shared.tell(Event::Warning(&warning));
    }
    let record = stage.into_record(shared)?;
    let others = order.iter().filter(|index| **index != target).chain([&target]);
    let stages = others.filter_map(|index| shared.stages.built(*index));
    Ok(Built {
        record,
        stages: stages
            .map(|stage| stage.layers.iter().map(StageLayer::built).collect())
            .collect(),
        locks: std::mem::take(&mut *worker::lock(&shared.locks)),
        made: std::mem::take(&mut *worker::lock(&shared.made)),
    })
}

/// The number of each stage's first step, and how many steps there are: in the order of the file, whatever is done first.
fn number_steps(dockerfile: &Dockerfile, order: &[usize]) -> (BTreeMap<usize, usize>, usize) {
    let mut numbers = BTreeMap::new();
    let mut count = 0;
    for &index in order {
        numbers.insert(index, count + 1);
        count += 1 + dockerfile.stages[index].instructions.len();
    }
    (numbers, count)
}

/// This machine's architecture by Go's name, as OCI documents use it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}
