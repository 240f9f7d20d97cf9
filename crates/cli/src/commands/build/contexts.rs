//! `--build-context NAME=VALUE`: a directory, what a URL gives, or an image under another name.

use super::input::{self, Fetched};
use crate::data::Data;
use crate::error::Failure;
use crate::place;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wiac_oci::manifest::Platform;
use wiac_store::HeldImage;
use wiac_store::transfer::load;

/// What the names mean.
#[derive(Default)]
pub(super) struct Contexts {
    pub(super) directories: BTreeMap<String, PathBuf>,
    pub(super) images: BTreeMap<String, String>,
    /// Images that were loaded for it.
    held: Vec<HeldImage>,
    /// Contexts that were fetched, as long as they are needed.
    fetched: Vec<Fetched>,
}

impl Contexts {
    /// Whether one of them goes with this.
    pub(super) fn is_fetched(&self) -> bool {
        !self.fetched.is_empty()
    }
}

/// Reads the values; an image layout is loaded into the store.
pub(super) fn contexts(data: &Data, written: &[String]) -> Result<Contexts, Failure> {
    let mut contexts = Contexts::default();
    for text in written {
        let pair = text
            .split_once('=')
            .filter(|(name, value)| !name.is_empty() && !value.is_empty());
        let (name, value) =
            pair.ok_or_else(|| Failure::usage(format!("--build-context {text}: write NAME=DIRECTORY")))?;
        let wrong = |what: &str| Failure::usage(format!("--build-context {text}: {what}"));
        let name = name.to_owned();
        if let Some(image) = value.strip_prefix("docker-image://") {
            contexts.images.insert(name, image.to_owned());
        } else if let Some(layout) = value.strip_prefix("oci-layout://") {
            let image = load_layout(data, layout, &wrong)?;
            contexts.images.insert(name, image.id.as_str().to_owned());
            contexts.held.push(image);
        } else if wiac_foreign::parse(value).is_some() {
            contexts.images.insert(name, value.to_owned());
        } else if let Some(remote) = input::remote(value.as_ref())? {
            let fetched = input::fetch(data, remote)?;
            contexts.directories.insert(name, fetched.directory.clone());
            contexts.fetched.push(fetched);
        } else if Path::new(value).is_dir() {
            contexts.directories.insert(name, PathBuf::from(value));
        } else {
            return Err(wrong("there is no such directory"));
        }
    }
    Ok(contexts)
}

/// `PATH[:NAME|@DIGEST]`.
fn load_layout(data: &Data, text: &str, wrong: &dyn Fn(&str) -> Failure) -> Result<HeldImage, Failure> {
    let (rest, digest) = match text.split_once('@').filter(|_| !Path::new(text).exists()) {
        Some((rest, digest)) => (rest, Some(format!("@{digest}"))),
        None => (text, None),
    };
    let written = format!("oci:{rest}");
    let inside = place::inside(&written).ok_or_else(|| wrong("it is no layout"))?;
    let archive = inside.open(data)?;
    let images = archive.images_called(&Platform::host(), digest.as_deref().or(inside.called))?;
    match images.as_slice() {
        [only] => Ok(load(&data.store, only, &archive, data.owner_policy())?.image),
        _ => Err(wrong("there are several images in it; name one by :TAG")),
    }
}
