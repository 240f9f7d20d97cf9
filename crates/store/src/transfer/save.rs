//! Writing images to an image layout (a directory or a tar) or to an archive of docker's older kind.

use super::docker_archive::{Entry, LIST};
use super::incoming::describe;
use super::layout::blob_name;
use super::layout_directory;
use super::outgoing::{Outgoing, OutgoingLayer, Packed, Packing, plain_tar, prepare_beside};
use super::pending::write_file;
use super::sink::Sink;
use crate::data::Store;
use crate::error::Result;
use crate::image::{Export, ImageRecord, LocalId};
use crate::layer::to_compact_json;
use crate::temporary::Temporary;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::Path;
use wiac_oci::digest::{DiffId, Digest};
use wiac_oci::manifest::{Descriptor, ImageLayout, Index, Platform, media_type};
use wiac_oci::reference::{Reference, ReferenceError};

/// In which form images are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A tar of an image layout, with docker's list beside it: everybody reads it.
    OciArchive,
    /// An image layout in a directory; what is in it already stays.
    OciDirectory,
    /// docker's list with plain tars, as docker wrote it before 25 and podman does.
    DockerArchive,
}

/// An image and the names to give it.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Its id in the store; `None` for one that isn't in it.
    pub id: Option<LocalId>,
    /// Its layers and configuration.
    pub record: ImageRecord,
    /// Its configuration byte for byte, where it is known and the image isn't in the store.
    pub config_bytes: Option<Vec<u8>>,
    /// How messages call it.
    pub shown: String,
    /// Names in the archive.
    pub names: Vec<Reference>,
    /// The images for other platforms: with them it goes out as an index.
    pub others: Vec<Wanted>,
    /// How many of them stand before it in the index.
    pub position: usize,
    /// What the index says beside.
    pub index_annotations: BTreeMap<String, String>,
    /// What the index's descriptor says beside, in an image layout.
    pub index_descriptor_annotations: BTreeMap<String, String>,
}

impl Wanted {
    /// The manifests that the image has outside, the one to go out by first: what it came with under the name that it was
    /// asked for by, then the newest.
    ///
    /// # Errors
    /// What the disk says.
    pub fn manifests(&self, store: &Store, export: &Export) -> Result<Vec<Descriptor>> {
        let mut meant = Vec::new();
        for name in &self.names {
            meant.extend(name.digest().cloned());
            meant.extend(store.name(name)?.and_then(|name| name.manifest));
        }
        let mut manifests: Vec<Descriptor> = export.manifests.iter().rev().cloned().collect();
        manifests.sort_by_key(|manifest| !meant.contains(&manifest.digest));
        Ok(manifests)
    }

    /// Calls it what somebody wrote behind the path of an archive or layout, in place of its names.
    ///
    /// # Errors
    /// What is no name, in an archive of docker's.
    pub fn call(&mut self, name: &str, format: Format) -> Result<(), ReferenceError> {
        self.names.clear();
        if format == Format::DockerArchive {
            self.names.push(name.parse::<Reference>()?.with_default_tag());
            return Ok(());
        }
        layout_directory::call(
            if self.others.is_empty() {
                &mut self.record.descriptor_annotations
            } else {
                &mut self.index_descriptor_annotations
            },
            name,
        );
        Ok(())
    }
}

/// An image ready to go out with those for other platforms.
#[derive(Debug)]
pub struct OutgoingIndex {
    /// For each platform one, that of the image that was named first.
    pub images: Vec<Outgoing>,
    /// The index, with its descriptor; none for one platform alone.
    pub index: Option<(Descriptor, Vec<u8>)>,
}

impl OutgoingIndex {
    /// What a name points to: the index, or the only manifest.
    pub fn descriptor(&self) -> &Descriptor {
        match (&self.index, self.images.as_slice()) {
            (Some((descriptor, _)), _) => descriptor,
            (None, images) => &images[0].descriptor,
        }
    }

    /// The same with what it says beside, as it stands in a layout's index.
    pub fn described(&self, wanted: &Wanted) -> Descriptor {
        let mut descriptor = self.descriptor().clone();
        descriptor.annotations.clone_from(match &self.index {
            Some(_) => &wanted.index_descriptor_annotations,
            None => &wanted.record.descriptor_annotations,
        });
        descriptor
    }
}

/// Makes an image ready, and those for other platforms with it.
///
/// # Errors
/// As [`super::prepare`].
pub fn prepare_index(store: &Store, wanted: &Wanted, packing: &Packing, room: &Temporary) -> Result<OutgoingIndex> {
    prepare_with_others(store, wanted, packing, room, &Packed::default())
}

fn prepare_with_others(
    store: &Store,
    wanted: &Wanted,
    packing: &Packing,
    room: &Temporary,
    packed: &Packed,
) -> Result<OutgoingIndex> {
    let mut images = vec![prepare_beside(store, wanted, packing, room, packed)?];
    let mut entries = Vec::with_capacity(wanted.others.len());
    for other in &wanted.others {
        let outgoing = prepare_beside(store, other, packing, room, packed)?;
        entries.push(platform_entry(other, &outgoing));
        images.push(outgoing);
    }
    entries.insert(wanted.position.min(entries.len()), platform_entry(wanted, &images[0]));
    let index = (images.len() > 1).then(|| {
        let mut index = Index::new(entries);
        index.annotations.clone_from(&wanted.index_annotations);
        let bytes = to_compact_json(&index);
        (describe(media_type::INDEX, &bytes), bytes)
    });
    Ok(OutgoingIndex { images, index })
}

/// An index's entry for one platform.
fn platform_entry(wanted: &Wanted, outgoing: &Outgoing) -> Descriptor {
    let mut descriptor = outgoing.descriptor.clone();
    descriptor.annotations.clone_from(&wanted.record.descriptor_annotations);
    descriptor.platform = Some(Platform::of(&wanted.record.config));
    descriptor
}

/// Writes images to `path`, which shows all of it or what was there before; gives for each what a name points to.
///
/// # Errors
/// What can't be packed or written.
pub fn save_to(
    store: &Store,
    images: &[Wanted],
    format: Format,
    packing: &Packing,
    path: &Path,
) -> Result<Vec<Descriptor>> {
    let room = Temporary::new(store)?;
    let outgoing = prepare_all(store, images, packing, &room)?;
    if format == Format::OciDirectory {
        let mut written = BTreeSet::new();
        layout_directory::add(path, index_entries(images, &outgoing), |sink| {
            outgoing.iter().try_for_each(|image| blobs(image, sink, &mut written))
        })?;
    } else {
        write_file(path, |file| to_file(images, &outgoing, format, file, path))?;
    }
    Ok(descriptors(images, &outgoing))
}

fn descriptors(images: &[Wanted], outgoing: &[OutgoingIndex]) -> Vec<Descriptor> {
    let pairs = images.iter().zip(outgoing);
    pairs.map(|(wanted, outgoing)| outgoing.described(wanted)).collect()
}

/// Writes images to an open file, such as standard output. `shown`: its name in messages.
///
/// # Errors
/// As [`save_to`].
pub fn save_into(
    store: &Store,
    images: &[Wanted],
    format: Format,
    packing: &Packing,
    (file, shown): (&mut File, &Path),
) -> Result<Vec<Descriptor>> {
    let room = Temporary::new(store)?;
    let outgoing = prepare_all(store, images, packing, &room)?;
    to_file(images, &outgoing, format, file, shown)?;
    Ok(descriptors(images, &outgoing))
}

fn prepare_all(store: &Store, images: &[Wanted], packing: &Packing, room: &Temporary) -> Result<Vec<OutgoingIndex>> {
    let packed = Packed::default();
    images
        .iter()
        .map(|wanted| prepare_with_others(store, wanted, packing, room, &packed))
        .collect()
}

fn to_file(images: &[Wanted], outgoing: &[OutgoingIndex], format: Format, file: &mut File, shown: &Path) -> Result<()> {
    let mut sink = Sink::tar(file, shown);
    if format == Format::DockerArchive {
        docker_archive(images, outgoing, &mut sink)?;
    } else {
        let mut written = BTreeSet::new();
        for image in outgoing {
            blobs(image, &mut sink, &mut written)?;
        }
        sink.document("oci-layout", &to_compact_json(&ImageLayout::default()))?;
        sink.document(
            "index.json",
            &to_compact_json(&Index::new(index_entries(images, outgoing))),
        )?;
        sink.document(LIST, &to_compact_json(&layout_list(images, outgoing)))?;
    }
    sink.finish()
}

/// Everything of an image and those for other platforms that isn't written yet.
fn blobs(outgoing: &OutgoingIndex, sink: &mut Sink<'_>, written: &mut BTreeSet<Digest>) -> Result<()> {
    for image in &outgoing.images {
        image_blobs(image, sink, written)?;
    }
    match &outgoing.index {
        Some((descriptor, bytes)) if written.insert(descriptor.digest.clone()) => {
            sink.document(&blob_name(&descriptor.digest), bytes)
        }
        _ => Ok(()),
    }
}

fn image_blobs(image: &Outgoing, sink: &mut Sink<'_>, written: &mut BTreeSet<Digest>) -> Result<()> {
    for layer in &image.layers {
        if written.insert(layer.descriptor.digest.clone()) {
            sink.file(
                &blob_name(&layer.descriptor.digest),
                &layer.open()?,
                layer.descriptor.size,
            )?;
        }
    }
    for document in [&image.config, &image.manifest] {
        let digest = Digest::sha256(document);
        if written.insert(digest.clone()) {
            sink.document(&blob_name(&digest), document)?;
        }
    }
    Ok(())
}

/// The entries of the layout's index.
fn index_entries(images: &[Wanted], outgoing: &[OutgoingIndex]) -> Vec<Descriptor> {
    let pairs = images.iter().zip(outgoing);
    pairs
        .flat_map(|(wanted, image)| layout_directory::entries(&image.described(wanted), &wanted.names))
        .collect()
}

/// docker's list, pointing to the layout's blobs. Of several platforms it knows this machine's alone.
fn layout_list(images: &[Wanted], outgoing: &[OutgoingIndex]) -> Vec<Entry> {
    let entry = |(wanted, outgoing): (&Wanted, &OutgoingIndex)| Entry {
        config: blob_name(&Digest::sha256(&outgoing.images[0].config)),
        repo_tags: Some(tags(&wanted.names)),
        layers: outgoing.images[0]
            .layers
            .iter()
            .map(|layer| blob_name(&layer.descriptor.digest))
            .collect(),
    };
    images.iter().zip(outgoing).map(entry).collect()
}

/// What docker takes for a name: none with a digest.
fn tags(names: &[Reference]) -> Vec<String> {
    let tagged = names.iter().filter(|name| name.digest().is_none());
    tagged.map(Reference::familiar).collect()
}

fn docker_archive(images: &[Wanted], outgoing: &[OutgoingIndex], sink: &mut Sink<'_>) -> Result<()> {
    let mut written: BTreeSet<DiffId> = BTreeSet::new();
    let mut list = Vec::new();
    for (wanted, outgoing) in images.iter().zip(outgoing) {
        let image = &outgoing.images[0];
        let name_of = |layer: &OutgoingLayer| format!("{}.tar", layer.diff_id.digest().hex());
        for layer in &image.layers {
            if written.insert(layer.diff_id.clone()) {
                let size =
                    io::copy(&mut plain_tar(layer)?, &mut io::sink()).map_err(|error| layer.unreadable(&error))?;
                sink.stream(&name_of(layer), &mut plain_tar(layer)?, size)?;
            }
        }
        let config = format!("{}.json", Digest::sha256(&image.config).hex());
        sink.document(&config, &image.config)?;
        list.push(Entry {
            config,
            repo_tags: Some(tags(&wanted.names)),
            layers: image.layers.iter().map(name_of).collect(),
        });
    }
    sink.document(LIST, &to_compact_json(&list))
}
