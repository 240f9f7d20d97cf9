//! Writing a build cache: the layers of steps as blobs, and which keys mean which of them.

use super::import::Imports;
use super::{CacheTo, To};
use crate::commands::push;
use crate::data::Data;
use crate::error::Failure;
use crate::registry::RegistryOptions;
use std::collections::HashMap;
use wiac_build::dockerfile::BuiltLayer;
use wiac_build::import::StepCache;
use wiac_oci::build_cache::{self, BuildCache, CachedLayer, InlineLayer};
use wiac_oci::digest::Digest;
use wiac_oci::image::ImageConfig;
use wiac_oci::manifest::{Descriptor, Manifest, media_type};
use wiac_oci::reference::Reference;
use wiac_registry::Client;
use wiac_store::transfer::{CacheLayer, CacheLayout, CachePacker, CachePlace, Outgoing, Packing, save_cache};
use wiac_store::{HeldLayer, LayerId};

/// The layers of a stage, base first.
type Stage = Vec<BuiltLayer>;

/// Writes a cache of what was built: of each build its stages, the target last.
///
/// # Errors
/// What can't be packed or written; a warning where the cache is optional.
pub(in crate::commands::build) fn export(
    data: &Data,
    (to, clamp): (&CacheTo, Option<i64>),
    builds: &[Vec<Stage>],
    imports: &Imports<'_>,
) -> Result<(), Failure> {
    let result = match &to.place {
        To::Inline => Ok(()),
        To::Local { directory, tag } => {
            let place = CacheLayout(directory.clone());
            packer(data, to, clamp, &place).and_then(|packer| {
                let (config, manifest, layers) = collect(data, to, builds, imports, (&packer, &place))?;
                Ok(save_cache(directory, tag, &config, &manifest, &layers)?)
            })
        }
        To::Registry(name) => to_registry(data, (to, clamp), name, builds, imports),
    };
    match result {
        Err(failure) if to.is_optional => {
            eprintln!("wiac: warning: the build cache isn't written: {failure}");
            Ok(())
        }
        result => result.map_err(|failure| Failure::new(format!("the build cache isn't written: {failure}"))),
    }
}

fn to_registry(
    data: &Data,
    (to, clamp): (&CacheTo, Option<i64>),
    name: &str,
    builds: &[Vec<Stage>],
    imports: &Imports<'_>,
) -> Result<(), Failure> {
    let reference: Reference = name.parse()?;
    let reference = reference.with_default_tag();
    let client = RegistryOptions::default().client(data.caller.uid);
    let place = Repository {
        client: &client,
        name: &reference,
    };
    let packer = packer(data, to, clamp, &place)?;
    let (config, manifest, layers) = collect(data, to, builds, imports, (&packer, &place))?;
    let outgoing = Outgoing {
        descriptor: Descriptor::new(media_type::MANIFEST, Digest::sha256(&manifest), manifest.len() as u64),
        config,
        manifest,
        layers: layers.into_iter().filter_map(|layer| layer.blob).collect(),
    };
    push::send(data, &client, &reference, &outgoing, true)
}

/// A repository of a registry.
struct Repository<'r> {
    client: &'r Client,
    name: &'r Reference,
}

impl CachePlace for Repository<'_> {
    fn has(&self, blob: &Descriptor) -> wiac_store::Result<bool> {
        let found = self.client.has_blob(self.name, blob);
        found.map_err(|error| wiac_store::Error::Image {
            image: self.name.familiar(),
            reason: error.to_string(),
        })
    }
}

/// The configuration, the manifest and the layers of a cache.
type Written = (Vec<u8>, Vec<u8>, Vec<CacheLayer>);

/// What packs layers for a place. Its room has to last as long as the layers are read.
fn packer<'p>(
    data: &'p Data,
    to: &CacheTo,
    clamp: Option<i64>,
    place: &'p dyn CachePlace,
) -> Result<CachePacker<'p>, Failure> {
    let packing = Packing {
        compression: to.compression,
        level: to.level,
        clamp,
    };
    Ok(CachePacker::new(&data.store, packing, place)?)
}

fn collect(
    data: &Data,
    to: &CacheTo,
    builds: &[Vec<Stage>],
    imports: &Imports<'_>,
    (packer, place): (&CachePacker<'_>, &dyn CachePlace),
) -> Result<Written, Failure> {
    let mut collecting = Collecting {
        data,
        imports,
        place,
        packer,
        known: HashMap::new(),
        cached: Vec::new(),
        layers: Vec::new(),
        held: Vec::new(),
    };
    for build in builds {
        let first = if to.all { 0 } else { build.len().saturating_sub(1) };
        for stage in &build[first..] {
            collecting.stage(stage)?;
        }
    }
    for layer in &mut collecting.cached {
        // The same steps give the same document, whichever way they were found.
        layer.keys.sort();
    }
    let config = BuildCache::new(collecting.cached).to_bytes();
    let descriptor = Descriptor::new(build_cache::CONFIG, Digest::sha256(&config), config.len() as u64);
    let blobs = collecting.layers.iter().map(|layer| layer.descriptor.clone());
    let manifest = serde_json::to_vec(&Manifest::new(descriptor, blobs.collect()))?;
    Ok((config, manifest, collecting.layers))
}

/// A cache being put together.
struct Collecting<'c> {
    data: &'c Data,
    imports: &'c Imports<'c>,
    place: &'c dyn CachePlace,
    packer: &'c CachePacker<'c>,
    /// Where a layer stands in the cache, by its lineage: stages have layers in common.
    known: HashMap<String, usize>,
    cached: Vec<CachedLayer>,
    layers: Vec<CacheLayer>,
    /// Layers that were fetched for it.
    held: Vec<HeldLayer>,
}

impl Collecting<'_> {
    fn stage(&mut self, stage: &[BuiltLayer]) -> Result<(), Failure> {
        // Layers that nobody needed so far stay elsewhere, if the place has them too.
        let mut ids: Vec<Option<LayerId>> = stage.iter().map(|layer| layer.id.clone()).collect();
        for (layer, id) in stage.iter().zip(&mut ids) {
            if id.is_none() && !self.take_imported(layer)? {
                *id = Some(self.fetch(layer)?);
            }
        }
        let is_new = |number: &usize| {
            let layer = &stage[*number];
            ids[*number].is_some() && !layer.keys.is_empty() && !self.known.contains_key(&layer.lineage)
        };
        let numbers: Vec<usize> = (0..stage.len()).filter(is_new).collect();
        if let Some(topmost) = numbers.last() {
            // What a deletion hides is looked up in the layers below.
            let mut stack = Vec::with_capacity(topmost + 1);
            for (layer, id) in stage.iter().zip(&ids).take(topmost + 1) {
                stack.push(match id {
                    Some(id) => id.clone(),
                    None => self.fetch(layer)?,
                });
            }
            for (number, packed) in numbers.iter().zip(self.packer.pack(&stack, &numbers)?) {
                let info = self.data.store.layer_info(&stack[*number])?;
                self.add(&stage[*number], (info.created_by, info.created), packed);
            }
        }
        for layer in stage {
            if let Some(position) = self.known.get(&layer.lineage) {
                let keys = &mut self.cached[*position].keys;
                for key in &layer.keys {
                    if !keys.contains(key) {
                        keys.push(key.clone());
                    }
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, layer: &BuiltLayer, (created_by, created): (String, String), packed: CacheLayer) {
        self.known.insert(layer.lineage.clone(), self.layers.len());
        self.cached.push(CachedLayer {
            diff_id: packed.diff_id.clone(),
            keys: layer.keys.clone(),
            lineage: layer.lineage.clone(),
            created_by,
            created,
        });
        self.layers.push(packed);
    }

    /// Takes a layer over that is in another cache, where the place has it too.
    fn take_imported(&mut self, layer: &BuiltLayer) -> Result<bool, Failure> {
        if self.known.contains_key(&layer.lineage) {
            return Ok(true);
        }
        let found = layer.keys.iter().find_map(|key| self.imports.layer(key));
        let Some((cached, descriptor)) = found else {
            return Ok(false);
        };
        if !self.place.has(descriptor)? {
            return Ok(false);
        }
        let packed = CacheLayer {
            descriptor: descriptor.clone(),
            diff_id: cached.diff_id.clone(),
            blob: None,
        };
        let made = (cached.created_by.clone(), cached.created.clone());
        self.add(layer, made, packed);
        Ok(true)
    }

    fn fetch(&mut self, layer: &BuiltLayer) -> Result<LayerId, Failure> {
        let key = layer.keys.first().map(String::as_str).unwrap_or_default();
        let held = self.imports.fetch(key)?;
        let id = held.id.clone();
        self.held.push(held);
        Ok(id)
    }
}

/// Says in an image's configuration which steps made its layers, or takes out what a base image's says of others.
pub(in crate::commands::build) fn write_inline(config: &mut ImageConfig, stage: &[BuiltLayer], is_wanted: bool) {
    build_cache::strip(&mut config.extra);
    if !is_wanted {
        return;
    }
    let said: Vec<String> = config
        .history
        .iter()
        .filter(|step| !step.empty_layer)
        .map(|step| step.created_by.clone().unwrap_or_default())
        .collect();
    let of_steps = stage.iter().enumerate().filter(|(_, layer)| !layer.keys.is_empty());
    let layers: Vec<InlineLayer> = of_steps
        .map(|(number, layer)| InlineLayer {
            layer: number,
            keys: layer.keys.clone(),
            lineage: layer.lineage.clone(),
            created_by: said.get(number).cloned().unwrap_or_default(),
        })
        .collect();
    build_cache::write_inline(config, &layers);
}
