//! The state of one stage while it is built: its layers, its image configuration, the arguments in effect.

use super::stage_layer::StageLayer;
use super::worker::Shared;
use crate::error::Result;
use crate::key::KeyMaker;
use std::collections::BTreeMap;
use std::path::PathBuf;
use wiac_dockerfile::Word;
use wiac_dockerfile::expand::{Expanded, Expander};
use wiac_layer::merged::{KnownLayers, LayerStack};
use wiac_oci::image::{History, ImageConfig};
use wiac_oci::runtime::DEFAULT_PATH;
use wiac_store::{ImageRecord, LayerId, Store};

/// The shell of the shell forms where SHELL doesn't say.
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// Arguments known without an ARG, and kept out of keys and history unless one declares them.
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// Whether `name` is a proxy argument, in capitals or small letters.
pub(super) fn is_proxy(name: &str) -> bool {
    PROXIES
        .iter()
        .any(|proxy| name == *proxy || name == proxy.to_ascii_lowercase())
}

/// A stage.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    /// As messages call it.
    pub(super) name: String,
    pub(super) layers: Vec<StageLayer>,
    pub(super) config: ImageConfig,
    /// Build arguments declared so far, with their values.
    pub(super) arguments: BTreeMap<String, String>,
    pub(super) escape: char,
    /// When the last layer was made: the time of history entries that make none, so that a build that changes
    /// nothing gives the same image.
    pub(super) created: Option<String>,
    /// The time of everything that is made, where one is set.
    pub(super) epoch: Option<String>,
    /// What was found in its layers.
    known: KnownLayers,
    /// CMD was set in this stage: ENTRYPOINT doesn't clear it.
    pub(super) own_cmd: bool,
}

impl Stage {
    /// A stage on `layers` with a base image's configuration.
    pub(super) fn new(store: &Store, layers: &[LayerId], config: ImageConfig, escape: char) -> Result<Self> {
        let mut stage = Self {
            name: String::new(),
            layers: Vec::with_capacity(layers.len()),
            config,
            arguments: BTreeMap::new(),
            escape,
            created: None,
            epoch: None,
            known: KnownLayers::default(),
            own_cmd: false,
        };
        for id in layers {
            let info = store.layer_info(id)?;
            stage.created = Some(info.created);
            stage.layers.push(StageLayer::of_image(id.clone(), info.lineage));
        }
        if !stage.config.config.env.iter().any(|entry| entry.starts_with("PATH=")) {
            stage.config.config.env.insert(0, format!("PATH={DEFAULT_PATH}"));
        }
        Ok(stage)
    }

    /// Starts a key of a step on this stage: what lies below goes in.
    pub(super) fn key(&self, kind: &str) -> KeyMaker {
        let mut key = KeyMaker::new(kind);
        let lineages: Vec<&str> = self.layers.iter().map(|layer| layer.lineage.as_str()).collect();
        key.add_all(&lineages);
        key
    }

    /// The stage's directories. Layers that are elsewhere are fetched for that.
    pub(super) fn stack(&self, shared: &Shared<'_>) -> Result<LayerStack> {
        let directories = shared.directories(&self.layers)?;
        Ok(LayerStack::new(directories).remembering(&self.known)?)
    }

    /// Adds a layer that was made at some time, with its entry in the history.
    pub(super) fn push_layer(&mut self, layer: StageLayer, created: String, created_by: String) {
        self.layers.push(layer);
        self.created = Some(created);
        self.add_history(created_by, false);
    }

    /// Adds an entry to the history.
    pub(super) fn add_history(&mut self, created_by: String, empty_layer: bool) {
        let created = self.epoch.clone().or_else(|| self.created.clone());
        self.config.history.push(History {
            created,
            created_by: Some(created_by),
            empty_layer,
            ..History::default()
        });
    }

    /// The value of a variable: ENV counts before ARG.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let environment = self.config.config.env.iter().rev();
        let set = environment
            .filter_map(|entry| entry.split_once('='))
            .find(|(known, _)| *known == name);
        set.map(|(_, value)| value.to_owned())
            .or_else(|| self.arguments.get(name).cloned())
    }

    /// Expands a word with the stage's variables.
    pub(super) fn expand(&self, word: &Word) -> Result<Expanded> {
        let lookup = |name: &str| self.variable(name);
        Ok(Expander::new(self.escape, &lookup).word(word)?)
    }

    /// The arguments a RUN sees in its environment: those that no ENV hides.
    pub(super) fn visible_arguments(&self) -> Vec<String> {
        let is_set = |name: &str| {
            self.config
                .config
                .env
                .iter()
                .any(|e| e.split_once('=').is_some_and(|(n, _)| n == name))
        };
        let visible = self.arguments.iter().filter(|(name, _)| !is_set(name));
        visible.map(|(name, value)| format!("{name}={value}")).collect()
    }

    /// The shell of shell forms.
    pub(super) fn shell(&self) -> Vec<String> {
        if self.config.config.shell.is_empty() {
            return DEFAULT_SHELL.iter().map(|&part| part.to_owned()).collect();
        }
        self.config.config.shell.clone()
    }

    /// The working directory, absolute.
    pub(super) fn working_directory(&self) -> PathBuf {
        std::path::Path::new("/").join(&self.config.config.working_dir)
    }

    /// The finished image, with all its layers here.
    pub(super) fn into_record(mut self, shared: &Shared<'_>) -> Result<ImageRecord> {
        self.config.created = self.epoch.or(self.created);
        let layers = self.layers.iter().map(|layer| shared.layer(layer));
        Ok(ImageRecord {
            layers: layers.collect::<Result<_>>()?,
            config: self.config,
            ..ImageRecord::default()
        })
    }
}
