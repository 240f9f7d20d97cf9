//! An image by whatever name: in our store, or in podman's or docker's, where it lies.

use crate::data::Data;
use crate::error::Failure;
use crate::place;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use wiac_foreign::{Image, Layer, Marks, Reference};
use wiac_layer::Form;
use wiac_layer::merged::LayerStack;
use wiac_oci::digest::Digest;
use wiac_oci::image::ImageConfig;
use wiac_store::layer::{Draft, Elsewhere};
use wiac_store::transfer::{Copied, Incoming, IncomingLayer, LayerSource, TarSplit, copy_layer, load};
use wiac_store::{HeldImage, HeldLayer, ImageRecord, LayerDigests, LayerId, LayerInfo, LayerTar, LocalId};

/// An image that was found.
#[derive(Debug)]
pub(crate) struct Located {
    /// Its layers, base first, held.
    pub(crate) layers: Vec<HeldLayer>,
    /// Its configuration.
    pub(crate) config: ImageConfig,
    /// Where it is.
    pub(crate) origin: Origin,
}

/// Where an image is.
#[derive(Debug)]
pub(crate) enum Origin {
    /// In our store, under this id.
    Stored(LocalId),
    /// In another tool's, whose locks are held as long as this lives.
    Elsewhere(Box<Image>),
}

impl Located {
    /// The ids of its layers, base first.
    pub(crate) fn ids(&self) -> Vec<LayerId> {
        self.layers.iter().map(|layer| layer.id.clone()).collect()
    }

    /// As a record of our store, which it need not be in.
    pub(crate) fn record(&self) -> ImageRecord {
        ImageRecord {
            layers: self.ids(),
            config: self.config.clone(),
            ..ImageRecord::default()
        }
    }
}

/// Finds an image.
///
/// # Errors
/// What there is none of, with the nearest name; what can't be used where it lies.
pub(crate) fn locate(data: &Data, text: &str) -> Result<Located, Failure> {
    if let Some(reference) = wiac_foreign::parse(text) {
        return elsewhere(data, &reference?);
    }
    match find(data, text) {
        Ok((id, record)) => stored(data, id, record),
        Err(wiac_store::Error::NoSuchImage { .. }) if place::inside(text).is_some() => Err(Failure::new(format!(
            "{text}: this command takes images of the store alone; wiac load {text} brings it there"
        ))),
        Err(error) => place::refuse_daemon(text).and(Err(error.into())),
    }
}

/// Finds an image of our store: by its name as docker reads it, or by what a short name means in registries.conf, as it
/// was pulled.
///
/// # Errors
/// As the store has them.
pub(crate) fn find(data: &Data, text: &str) -> wiac_store::Result<(LocalId, ImageRecord)> {
    let text = text.strip_prefix("docker://").unwrap_or(text);
    let error = match data.store.find_image(text) {
        Err(error @ wiac_store::Error::NoSuchImage { .. }) => error,
        result => return result,
    };
    let found = meant(data, text).map(|name| data.store.find_image(&name.to_string()));
    found.unwrap_or(Err(error))
}

/// The name of an image here that a short name means in registries.conf.
pub(crate) fn meant(data: &Data, text: &str) -> Option<wiac_oci::reference::Reference> {
    // What is wrong with that file is told by who needs it.
    let client = crate::registry::RegistryOptions::default().client(data.caller.uid);
    let mut names = client.candidates(text).unwrap_or_default().into_iter();
    names.find(|name| matches!(data.store.find_name(&name.to_string()), Ok(Some(_))))
}

/// An image that was found in our store.
///
/// # Errors
/// A layer that isn't there any more.
pub(crate) fn stored(data: &Data, id: LocalId, record: ImageRecord) -> Result<Located, Failure> {
    Ok(Located {
        layers: data.store.hold_layers(&record.layers)?,
        config: record.config,
        origin: Origin::Stored(id),
    })
}

/// Copies an image of another tool's store into ours, held until it has a name.
///
/// # Errors
/// What can't be read or written.
pub(crate) fn copy_into_store(data: &Data, text: &str, located: &Located, image: &Image) -> Result<HeldImage, Failure> {
    if gives_tars(image) {
        return load_tars(data, text, image);
    }
    // Without what gives the tars again the copy has other diff IDs, and so another id.
    let mut layers: Vec<HeldLayer> = Vec::new();
    let mut below: Vec<PathBuf> = Vec::new();
    for layer in &located.layers {
        let info = data.store.layer_info(&layer.id)?;
        let copied = Copied {
            created_by: &info.created_by,
            created: &info.created,
        };
        let directory = data.store.layer_diff(&layer.id);
        let stack = LayerStack::new(below.clone());
        layers.push(copy_layer(
            &data.store,
            &directory,
            &stack,
            data.owner_policy(),
            &copied,
        )?);
        below.push(directory);
    }
    let mut config = located.config.clone();
    config.rootfs.diff_ids.clear();
    Ok(data.store.add_image(&ImageRecord {
        layers: layers.iter().map(|layer| layer.id.clone()).collect(),
        config,
        ..ImageRecord::default()
    })?)
}

/// Whether each layer of an image gives its tar again, byte for byte.
fn gives_tars(image: &Image) -> bool {
    let gives_tar = |layer: &Layer| layer.tar_split.is_some() || layer.blob.is_some();
    image.layers.iter().all(gives_tar)
}

/// Loads an image by the tars of its layers.
fn load_tars(data: &Data, text: &str, image: &Image) -> Result<HeldImage, Failure> {
    let places = (0..image.layers.len())
        .map(|number| (None, number.to_string()))
        .collect();
    let incoming = Incoming::new(text, image.config.clone(), None, places)?;
    Ok(load(&data.store, &incoming, &Tars(image), data.owner_policy())?.image)
}

/// An image of a store that is another user's, as an additional one is mostly root's: the owners of its files mean
/// something else here, and its marks may not be seen. What its tars say is right, and a copy of that is used.
fn of_another_user(
    data: &Data,
    reference: &Reference,
    image: &Image,
    other: wiac_foreign::Error,
) -> Result<Located, Failure> {
    if !gives_tars(image) {
        return Err(other.into());
    }
    let text = format!("{}{}", reference.kind.prefix(), reference.name);
    let copied = load_tars(data, &text, image).map_err(|failure| {
        Failure::new(format!(
            "{other}, or load what it saves (podman save {} | wiac load): it can't be copied from: {failure}",
            reference.name
        ))
    })?;
    let record = data.store.image(&copied.id)?;
    stored(data, copied.id.clone(), record)
}

/// The tars of an image's layers, as its tool got them.
struct Tars<'i>(&'i Image);

impl LayerSource for Tars<'_> {
    fn open<'s>(&'s self, layer: &IncomingLayer) -> wiac_store::Result<Box<dyn Read + Send + 's>> {
        let wrong = |reason: String| wiac_store::Error::Archive {
            path: self.0.store.clone(),
            reason,
        };
        let number: usize = layer.place.parse().unwrap_or(usize::MAX);
        let found = self
            .0
            .layers
            .get(number)
            .ok_or_else(|| wrong(format!("there is no layer {number}")))?;
        let opened: std::io::Result<Box<dyn Read + Send>> = match (&found.blob, &found.tar_split) {
            (Some(blob), _) => File::open(blob).map(|file| Box::new(file) as Box<dyn Read + Send>),
            (None, Some(list)) => TarSplit::open(list, &found.diff).map(|tar| Box::new(tar) as Box<dyn Read + Send>),
            (None, None) => return Err(wrong(format!("the tar of layer {number} isn't kept"))),
        };
        opened.map_err(|error| wrong(format!("layer {number}: {error}")))
    }
}

/// Lets the layers of another tool's image stand in our store, as symlinks to where they lie.
fn elsewhere(data: &Data, reference: &Reference) -> Result<Located, Failure> {
    let mut image = wiac_foreign::resolve(reference, &data.caller)?;
    if let Err(other) = image.check_owner() {
        return of_another_user(data, reference, &image, other);
    }
    let config = ImageConfig::parse(&image.config)?;
    let keys: Vec<String> = image.layers.iter().map(key).collect::<Result<_, _>>()?;
    let mut known: Vec<Option<HeldLayer>> = Vec::with_capacity(keys.len());
    for (key, layer) in keys.iter().zip(&mut image.layers) {
        let held = data.store.cached_step(key)?;
        if let Some(held) = &held {
            // Looked through when it was first met.
            layer.marks = Marks::Of(data.store.layer_info(&held.id)?.form);
        }
        known.push(held);
    }
    image.inspect()?;
    refuse_other_form(data, reference, &image)?;
    let mut history = config.history.iter().filter(|step| !step.empty_layer);
    let mut layers = Vec::with_capacity(keys.len());
    for ((key, layer), known) in keys.iter().zip(&image.layers).zip(known) {
        let step = history.next();
        let made = (
            step.and_then(|step| step.created_by.clone()).unwrap_or_default(),
            step.and_then(|step| step.created.clone()).unwrap_or_default(),
        );
        layers.push(match known {
            Some(held) => held,
            None => register(data, reference, layer, key, made)?,
        });
    }
    Ok(Located {
        layers,
        config,
        origin: Origin::Elsewhere(Box::new(image)),
    })
}

/// What a layer directory is known by: the tools never change one that an image has.
fn key(layer: &Layer) -> Result<String, Failure> {
    let meta = std::fs::metadata(&layer.diff)
        .map_err(|error| Failure::new(format!("{}: {}", layer.diff.display(), crate::error::words(&error))))?;
    let text = format!(
        "elsewhere {} {} {} {} {}",
        layer.diff.display(),
        meta.dev(),
        meta.ino(),
        meta.ctime(),
        meta.ctime_nsec()
    );
    Ok(Digest::sha256(text).hex().to_owned())
}

fn refuse_other_form(data: &Data, reference: &Reference, image: &Image) -> Result<(), Failure> {
    let form = data.store.form();
    // Marks in the lowest layer hide nothing.
    let other = image.layers.iter().skip(1).find(|layer| match layer.marks {
        Marks::Of(found) => found != form,
        Marks::None | Marks::Unknown => false,
    });
    match other {
        None => Ok(()),
        Some(layer) => Err(Failure::new(format!(
            "{}: its deletions are marked for {} overlays, which {} can't see; copy the image instead: {} save | wiac load",
            layer.diff.display(),
            if form == Form::Trusted {
                "an ordinary user's"
            } else {
                "root's"
            },
            if form == Form::Trusted {
                "root's"
            } else {
                "an ordinary user's"
            },
            if reference.kind == wiac_foreign::Kind::Docker {
                "docker"
            } else {
                "podman"
            },
        ))),
    }
}

fn register(
    data: &Data,
    reference: &Reference,
    layer: &Layer,
    key: &str,
    (created_by, created): (String, String),
) -> Result<HeldLayer, Failure> {
    let store = &data.store;
    let draft = Draft::elsewhere(store, &layer.diff)?;
    let gives_its_tar = layer.tar_split.is_some() || layer.blob.is_some();
    if let Some(diff_id) = &layer.diff_id {
        draft.set_digests(&LayerDigests {
            // What the tool recorded may be the tar's.
            size: None,
            depends_on_lower: false,
            tars: vec![LayerTar {
                diff_id: diff_id.clone(),
                clamp: None,
                blobs: Vec::new(),
            }],
        })?;
    }
    let lineage = layer.diff_id.as_ref().map_or(key, |diff_id| diff_id.digest().hex());
    let info = LayerInfo {
        form: store.form(),
        lineage: lineage.to_owned(),
        created_by,
        created,
        unpacked_from: layer.diff_id.clone().filter(|_| gives_its_tar),
        elsewhere: Some(Elsewhere {
            directory: layer.diff.clone(),
            store: reference.kind.prefix().trim_end_matches(':').to_owned(),
            tar_split: layer.tar_split.clone(),
            blob: layer.blob.clone(),
        }),
    };
    let held = draft.commit(store, &info)?;
    store.remember_step(key, &held.id)?;
    Ok(held)
}
