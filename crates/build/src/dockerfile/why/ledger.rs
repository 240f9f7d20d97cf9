//! What went into the keys of a Dockerfile's steps, kept from build to build.

use super::super::hashing::Manifest;
use super::super::stage::Stage;
use super::super::worker::lock;
use super::words;
use crate::context::Source;
use crate::error::Result;
use crate::key::KeyMaker;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, OnceLock};
use wiac_store::Store;

/// Of a longer value the beginning and the hash are kept.
const LONGEST: usize = 2000;

/// What went into the key of one step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(in super::super) struct Inputs {
    pub(super) key: String,
    /// RUN, COPY …
    pub(super) kind: String,
    /// The layers below, hashed; empty where they don't count.
    pub(super) below: String,
    /// By the words that a change is told with: `ARG VERSION` → `1`.
    pub(super) parts: BTreeMap<String, String>,
    /// Files taken, by path, with a short hash each; empty where they are too many.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) files: BTreeMap<String, String>,
    /// How many there are.
    #[serde(default)]
    pub(super) entries: usize,
    /// Where they are too many: those that were seen to be others than before.
    #[serde(skip)]
    pub(super) changed: Vec<String>,
}

impl Inputs {
    /// Of a step of this kind on a stage's layers.
    pub(in super::super) fn new(kind: &str, stage: &Stage) -> Self {
        Self {
            kind: kind.to_owned(),
            below: stage.key("below").finish(),
            ..Self::default()
        }
    }

    /// Adds one by the words it is called.
    pub(in super::super) fn add(&mut self, name: impl Into<String>, value: impl AsRef<str>) {
        let value = value.as_ref();
        let kept = if value.len() <= LONGEST {
            value.to_owned()
        } else {
            let mut hash = KeyMaker::new("value");
            hash.add(value);
            let beginning: String = value.chars().take(LONGEST / 10).collect();
            format!("{beginning}… {}", hash.finish())
        };
        self.parts.insert(name.into(), kept);
    }

    /// Adds variables, as `NAME=VALUE`.
    pub(in super::super) fn add_variables(&mut self, kind: &str, variables: &[String]) {
        for variable in variables {
            let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
            self.add(format!("{kind} {name}"), value);
        }
    }

    /// The layers below don't count.
    pub(in super::super) fn on_nothing(&mut self) {
        self.below.clear();
    }

    pub(super) fn set_files(&mut self, manifest: Manifest) {
        self.entries = manifest.count;
        self.files = manifest.files.into_iter().collect();
        self.changed = manifest.changed;
    }
}

/// The steps of a build.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Steps {
    /// What each stage starts on, hashed.
    bases: BTreeMap<String, String>,
    /// By stage and position.
    steps: BTreeMap<String, BTreeMap<usize, Inputs>>,
}

/// The inputs of the last build's steps, and of this one's.
pub(in super::super) struct Ledger {
    /// The build is to explain itself.
    pub(super) is_asked: bool,
    is_kept: bool,
    name: String,
    old: OnceLock<Steps>,
    new: Mutex<Steps>,
}

impl Ledger {
    /// For the Dockerfile of this context and path, built for this platform. A context that was fetched is elsewhere each
    /// time: nothing is kept of it.
    pub(in super::super) fn new(context: &Source, dockerfile: Option<&Path>, platform: &str, is_asked: bool) -> Self {
        let mut name = KeyMaker::new("build record");
        let dockerfile = dockerfile.map(|path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()));
        name.add(context.place.as_os_str().as_encoded_bytes());
        name.add(dockerfile.unwrap_or_default().as_os_str().as_encoded_bytes());
        name.add(platform);
        Self {
            is_asked,
            is_kept: context.hashes.is_some(),
            name: name.finish(),
            old: OnceLock::new(),
            new: Mutex::default(),
        }
    }

    /// What a stage starts on.
    pub(in super::super) fn add_base(&self, stage: &Stage) {
        let base = stage.key("below").finish();
        lock(&self.new).bases.insert(stage.name.clone(), base);
    }

    pub(super) fn add(&self, stage: &str, position: usize, inputs: Inputs) {
        let mut new = lock(&self.new);
        new.steps.entry(stage.to_owned()).or_default().insert(position, inputs);
    }

    /// Why a step was carried out.
    pub(super) fn words(&self, store: &Store, stage: &str, position: usize, inputs: &Inputs, base: &str) -> String {
        if !self.is_kept {
            return "no layer of it is here (of a fetched build context nothing is kept to compare with)".to_owned();
        }
        let old = self.old.get_or_init(|| self.read(store));
        let Some(earlier) = old.steps.get(stage).and_then(|steps| nearest(steps, position, inputs)) else {
            return "never built before".to_owned();
        };
        let is_base_other = old.bases.get(stage) != lock(&self.new).bases.get(stage);
        let below = if is_base_other {
            base
        } else {
            "a layer below was made anew"
        };
        words::difference(earlier, inputs, below)
    }

    /// Why a step wasn't carried out.
    pub(super) fn words_of_reuse(&self, stage: &str, position: usize, inputs: &Inputs) -> String {
        let is_known = |old: &Steps| {
            let step = old.steps.get(stage).and_then(|steps| steps.get(&position));
            step.is_some_and(|step| step.key == inputs.key)
        };
        match self.old.get() {
            Some(old) if !is_known(old) => "an earlier build made this layer".to_owned(),
            _ => "nothing changed".to_owned(),
        }
    }

    fn read(&self, store: &Store) -> Steps {
        let bytes = store.file_table(&self.name).ok().flatten().unwrap_or_default();
        let steps = bytes.splitn(2, |byte| *byte == b'\n').nth(1).unwrap_or_default();
        // One that can't be read explains nothing, and is written anew.
        serde_json::from_slice(steps).unwrap_or_default()
    }

    /// Reads the earlier steps, where they will be asked for.
    pub(in super::super) fn prepare(&self, store: &Store) {
        if self.is_asked {
            self.old.get_or_init(|| self.read(store));
        }
    }

    /// Writes this build's steps down. Those that it didn't come to stay as they were.
    ///
    /// # Errors
    /// When the data directory can't be written.
    pub(in super::super) fn save(&self, store: &Store) -> Result<()> {
        if !self.is_kept {
            return Ok(());
        }
        let mut new = std::mem::take(&mut *lock(&self.new));
        let mut keys = KeyMaker::new("keys");
        for inputs in new.steps.values().flat_map(BTreeMap::values) {
            keys.add(&inputs.key);
        }
        let keys = keys.finish();
        let known = store.file_table(&self.name)?.unwrap_or_default();
        if known.starts_with(keys.as_bytes()) || new.steps.is_empty() {
            return Ok(());
        }
        let old = self.read(store);
        for (stage, steps) in old.steps {
            let own = new.steps.entry(stage).or_default();
            for (position, inputs) in steps {
                own.entry(position).or_insert(inputs);
            }
        }
        for (stage, base) in old.bases {
            new.bases.entry(stage).or_insert(base);
        }
        let mut text = format!("{keys}\n").into_bytes();
        serde_json::to_writer(&mut text, &new).unwrap_or_default();
        Ok(store.write_file_table(&self.name, &text)?)
    }
}

/// The earlier step that this one most likely was: of the same text, or else the one at its place.
fn nearest<'s>(steps: &'s BTreeMap<usize, Inputs>, position: usize, inputs: &Inputs) -> Option<&'s Inputs> {
    let is_alike = |old: &&Inputs| old.kind == inputs.kind && old.parts.get("text") == inputs.parts.get("text");
    let here = steps.get(&position).filter(|old| old.kind == inputs.kind);
    here.filter(is_alike).or_else(|| steps.values().find(is_alike)).or(here)
}
