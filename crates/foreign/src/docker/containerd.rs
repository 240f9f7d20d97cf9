//! containerd's images and their overlayfs snapshots; docker's too, where it uses containerd's image store.
//!
//! ```text
//! io.containerd.metadata.v1.bolt/meta.db             images, and the names of snapshots, of every namespace
//! io.containerd.content.v1.content/blobs/sha256/…    indexes, manifests, configurations, layers as pulled
//! io.containerd.snapshotter.v1.overlayfs/metadata.db names → numbers of snapshots
//! io.containerd.snapshotter.v1.overlayfs/snapshots/<number>/fs
//! ```
//! An image's layers are unpacked into committed snapshots that are named by their chain ids. Numbers of snapshots are
//! never given twice: a record that is gone by the time its directory is looked for leads to a missing directory,
//! never to a wrong one. (containerd, core/metadata/buckets.go, core/snapshots/storage/bolt.go)

mod snapshots;

use crate::bolt::Database;
use crate::error::{Error, Result};
use crate::image::{Image, Layer, Marks, Summary};
use crate::lookup::{self, Beginning};
use crate::{Guard, platform, read, time};
use snapshots::SNAPSHOTTER;
use std::path::{Path, PathBuf};
use wiac_layer::Form;
use wiac_oci::digest::{Algorithm, DiffId, Digest};
use wiac_oci::image::ImageConfig;
use wiac_oci::manifest::{Index, Manifest};
use wiac_oci::reference::Reference;

/// docker's, containerd's own, and Kubernetes's.
const NAMESPACES: [&str; 3] = ["moby", "default", "k8s.io"];
/// Indexes in indexes: one is usual, for attestations.
const DEEPEST: usize = 4;

/// The store below containerd's root directory.
pub(super) struct Containerd {
    root: PathBuf,
    metadata: Database,
    namespaces: Vec<String>,
}

/// A name and what it points to.
struct Named {
    namespace: String,
    name: String,
    target: Digest,
}

/// The documents of an image for this machine.
struct Documents {
    manifest_bytes: Vec<u8>,
    manifest: Manifest,
    config: Vec<u8>,
    parsed: ImageConfig,
}

impl Containerd {
    /// The store, if the directory is containerd's root; with the namespace asked for, or the usual ones.
    pub(super) fn find(root: &Path, namespace: Option<&str>) -> Result<Option<Self>> {
        let database = Database::open(&root.join("io.containerd.metadata.v1.bolt/meta.db"))?;
        let namespaces = match namespace {
            Some(namespace) => vec![namespace.to_owned()],
            None => NAMESPACES.map(str::to_owned).to_vec(),
        };
        Ok(database.map(|metadata| Self {
            root: root.to_owned(),
            metadata,
            namespaces,
        }))
    }

    /// Every name.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        Ok(self.images()?.into_iter().map(|image| image.name).collect())
    }

    /// Finds an image by name, id, or the beginning of an id.
    pub(super) fn open(&self, name: &str, form: Form) -> Result<Option<Image>> {
        let images = self.images()?;
        let Some(found) = self.resolve(&images, name)? else {
            return Ok(None);
        };
        super::check_owner(&self.root)?;
        let documents = self.documents(&found.target, name)?;
        let id = documents.manifest.config.digest.clone();
        let diff_ids = &documents.parsed.rootfs.diff_ids;
        let names = images
            .iter()
            .filter(|image| (&image.namespace, &image.target) == (&found.namespace, &found.target));
        let mut image = Image {
            id,
            names: names.map(|image| image.name.clone()).collect(),
            config: documents.config,
            manifest: Some(documents.manifest_bytes),
            layers: self.layers(found, diff_ids, form)?,
            store: self.root.clone(),
            others: None,
            guard: Guard::default(),
        };
        image.check_diff_ids(diff_ids)?;
        if image.layers.len() == documents.manifest.layers.len() {
            for (layer, blob) in image.layers.iter_mut().zip(&documents.manifest.layers) {
                layer.blob = Some(self.blob(&blob.digest)).filter(|path| path.exists());
            }
        }
        Ok(Some(image))
    }

    /// Every image that has something for this machine; one entry for all names of a target.
    pub(super) fn list(&self) -> Result<Vec<Summary>> {
        let mut summaries: Vec<Summary> = Vec::new();
        for image in self.images()? {
            if let Some(known) = summaries.iter_mut().find(|known| known.id == image.target) {
                known.names.push(image.name);
                continue;
            }
            let documents = self.documents(&image.target, &image.name).ok();
            let created = documents
                .as_ref()
                .and_then(|documents| documents.parsed.created.as_deref());
            let layers = documents.as_ref().and_then(|documents| {
                self.layers(&image, &documents.parsed.rootfs.diff_ids, Form::Trusted)
                    .ok()
            });
            summaries.push(Summary {
                created: created.and_then(time::seconds),
                size: layers.and_then(|layers| layers.iter().map(|layer| layer.size).sum()),
                id: image.target,
                names: vec![image.name],
            });
        }
        Ok(summaries)
    }

    /// Every image of the namespaces.
    fn images(&self) -> Result<Vec<Named>> {
        self.metadata.read(|root| {
            let mut images = Vec::new();
            for namespace in &self.namespaces {
                let Some(bucket) = root.descend(&[b"v1", namespace.as_bytes(), b"images"])? else {
                    continue;
                };
                for (name, record) in bucket.buckets()? {
                    let target = record
                        .bucket(b"target")?
                        .map(|target| target.value(b"digest"))
                        .transpose()?
                        .flatten();
                    let target = target.and_then(|digest| String::from_utf8(digest).ok()?.parse().ok());
                    let (Some(target), Ok(name)) = (target, String::from_utf8(name)) else {
                        continue;
                    };
                    let namespace = namespace.clone();
                    images.push(Named {
                        namespace,
                        name,
                        target,
                    });
                }
            }
            Ok(images)
        })
    }

    /// As docker resolves what it is given with this store: a name, a digest of what a name points to, its beginning.
    /// Kubernetes shows the configuration's digest, which is a name of its own.
    fn resolve<'a>(&self, images: &'a [Named], name: &str) -> Result<Option<&'a Named>> {
        let by_digest = |hex: &str| {
            images
                .iter()
                .find(|image| image.target.hex() == hex || configured(&image.name, hex))
        };
        if let Some(hex) = lookup::whole_id(name) {
            return Ok(by_digest(hex).or_else(|| self.by_configuration(images, hex)));
        }
        let wanted = name.parse::<Reference>().ok().map(Reference::with_default_tag);
        let named = images
            .iter()
            .find(|image| image.name == name || wanted.as_ref().is_some_and(|wanted| same(image, wanted)));
        if named.is_some() {
            return Ok(named);
        }
        let ids = images
            .iter()
            .flat_map(|image| [image.target.hex(), image.name.strip_prefix("sha256:").unwrap_or("")]);
        match lookup::beginning(name.strip_prefix("sha256:").unwrap_or(name), ids) {
            Beginning::One(hex) => Ok(by_digest(hex)),
            Beginning::None => Ok(None),
            Beginning::Many(count) => Err(Error::Ambiguous {
                place: self.root.clone(),
                prefix: name.to_owned(),
                count,
            }),
        }
    }

    /// The image whose configuration has this digest: what docker without containerd calls its id.
    fn by_configuration<'a>(&self, images: &'a [Named], hex: &str) -> Option<&'a Named> {
        images.iter().find(|image| {
            let documents = self.documents(&image.target, &image.name);
            documents.is_ok_and(|documents| documents.manifest.config.digest.hex() == hex)
        })
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        let blobs = self.root.join("io.containerd.content.v1.content/blobs");
        blobs.join(digest.algorithm().name()).join(digest.hex())
    }

    /// A document, verified; `None` where it isn't held.
    fn content(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        let path = self.blob(digest);
        let bytes = read::document(&path)?;
        if let Some(bytes) = &bytes {
            digest
                .verify(bytes)
                .map_err(|error| Error::damaged(&path, error.to_string()))?;
        }
        Ok(bytes)
    }

    /// The documents of what a name points to, for this machine.
    fn documents(&self, target: &Digest, name: &str) -> Result<Documents> {
        let bytes = self.content(target)?;
        let bytes = bytes
            .ok_or_else(|| Error::damaged(self.blob(target), format!("it is missing, image {name:?} names it")))?;
        let found = self.manifest(target, bytes, 0)?;
        found.ok_or_else(|| Error::Platform {
            place: self.root.clone(),
            name: name.to_owned(),
            platform: platform::words(&platform::host()),
            remedy: "pull or build it for this platform",
        })
    }

    /// The first manifest for this machine whose documents are all held.
    fn manifest(&self, digest: &Digest, bytes: Vec<u8>, depth: usize) -> Result<Option<Documents>> {
        if let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) {
            let Some(config) = self.content(&manifest.config.digest)? else {
                return Ok(None);
            };
            let parsed = read::json(&self.blob(&manifest.config.digest), &config)?;
            return Ok(Some(Documents {
                manifest_bytes: bytes,
                manifest,
                config,
                parsed,
            }));
        }
        let index: Index = read::json(&self.blob(digest), &bytes)?;
        let nested = index
            .manifests
            .iter()
            .filter(|descriptor| depth < DEEPEST && wiac_oci::manifest::media_type::is_index(&descriptor.media_type));
        for descriptor in platform::fitting(&index.manifests).into_iter().chain(nested) {
            if let Some(bytes) = self.content(&descriptor.digest)?
                && let Some(found) = self.manifest(&descriptor.digest, bytes, depth + 1)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn layers(&self, image: &Named, diff_ids: &[DiffId], form: Form) -> Result<Vec<Layer>> {
        let names = self.snapshot_names(image, diff_ids)?;
        let snapshots = self.snapshots(&names)?;
        let mut layers = Vec::new();
        for ((number, size), diff_id) in snapshots.into_iter().zip(diff_ids) {
            let diff = self
                .root
                .join(SNAPSHOTTER)
                .join("snapshots")
                .join(number.to_string())
                .join("fs");
            if !std::fs::symlink_metadata(&diff).is_ok_and(|stat| stat.is_dir()) {
                return Err(Error::damaged(
                    &diff,
                    format!("the directory of layer {diff_id} is missing"),
                ));
            }
            layers.push(Layer {
                diff,
                form,
                marks: Marks::Unknown,
                diff_id: Some(diff_id.clone()),
                size,
                tar_split: None,
                blob: None,
            });
        }
        Ok(layers)
    }
}

/// Whether a name is the digest of a configuration, as Kubernetes has it.
fn configured(name: &str, hex: &str) -> bool {
    name.strip_prefix(Algorithm::Sha256.name())
        .and_then(|rest| rest.strip_prefix(':'))
        == Some(hex)
}

/// Whether an image has the wanted name; beside a digest, a tag doesn't count.
fn same(image: &Named, wanted: &Reference) -> bool {
    let Ok(known) = image.name.parse::<Reference>() else {
        return false;
    };
    let is_same = match wanted.digest() {
        Some(digest) => image.target == *digest,
        None => known.digest().is_none() && known.tag() == wanted.tag(),
    };
    is_same && known.name() == wanted.name()
}
