//! What indexes put together by hand are made of: images here and manifests in registries, and how they are shown.

use crate::commands::tags::meaning;
use crate::data::Data;
use crate::error::Failure;
use crate::{Global, data};
use serde_json::{Value, json};
use wiac_oci::image::ImageConfig;
use wiac_oci::manifest::{Descriptor, Index, Manifest, Platform, media_type};
use wiac_oci::platform::choose;
use wiac_oci::reference::Reference;
use wiac_registry::Client;
use wiac_store::lists::{EntryPlace, IndexEntry, IndexList};
use wiac_store::{LocalId, Name};

/// An index that was put together by hand, or built for several platforms.
pub(super) fn known(data: &Data, name: &Reference) -> Result<Option<IndexList>, Failure> {
    if let Some(list) = data.store.list(name)? {
        return Ok(Some(list));
    }
    let text = name.clone().with_default_tag().to_string();
    let Some(index) = data.store.find_index(&text)? else {
        return Ok(None);
    };
    Ok(Some(IndexList {
        entries: of_index(data, &text, &index)?,
        name: text,
        annotations: index.index.annotations,
    }))
}

/// The images of an index of the store, in its order.
fn of_index(data: &Data, text: &str, index: &Name) -> Result<Vec<IndexEntry>, Failure> {
    let mut ids: Vec<&LocalId> = index.index.others.iter().collect();
    ids.insert(index.index.position.min(ids.len()), &index.image);
    let entry = |id: &LocalId| -> Result<IndexEntry, Failure> {
        let record = data.store.image(id)?;
        Ok(IndexEntry {
            name: text.to_owned(),
            place: EntryPlace::Image(id.clone()),
            platform: Platform::of(&record.config),
            annotations: record.descriptor_annotations,
        })
    };
    ids.into_iter().map(entry).collect()
}

/// What a name means: an image here, else one in a registry; `docker://` means the latter alone.
pub(super) fn entries(data: &Data, client: &Client, text: &str, all: bool) -> Result<Vec<IndexEntry>, Failure> {
    let remote = text.strip_prefix("docker://");
    if remote.is_none()
        && all
        && let Some(index) = data.store.find_index(text)?
    {
        return of_index(data, text, &index);
    }
    if remote.is_none()
        && let Ok((id, record)) = data.store.find_image(text)
    {
        return Ok(vec![IndexEntry {
            name: text.to_owned(),
            place: EntryPlace::Image(id),
            platform: Platform::of(&record.config),
            annotations: std::collections::BTreeMap::new(),
        }]);
    }
    let name = remote.unwrap_or(text);
    let reference = meaning(&client.candidates(name)?, name)?.with_default_tag();
    let found = client.manifest(&reference)?;
    if !media_type::is_index(&found.descriptor.media_type) {
        return Ok(vec![in_registry(client, text, &reference, &found.descriptor)?]);
    }
    let wrong = |reason: String| Failure::new(format!("{}: {reason}", reference.familiar()));
    let index: Index =
        serde_json::from_slice(&found.bytes).map_err(|error| wrong(format!("its index can't be read: {error}")))?;
    let chosen: Vec<&Descriptor> = if all {
        index.manifests.iter().collect()
    } else {
        vec![choose(&index.manifests, &Platform::host()).map_err(wrong)?]
    };
    let mut entries = Vec::new();
    for descriptor in chosen {
        let mut entry = in_registry(client, text, &reference, descriptor)?;
        entry.annotations.clone_from(&descriptor.annotations);
        entries.push(entry);
    }
    Ok(entries)
}

fn in_registry(
    client: &Client,
    text: &str,
    reference: &Reference,
    descriptor: &Descriptor,
) -> Result<IndexEntry, Failure> {
    let by_digest: Reference = format!("{}@{}", reference.name(), descriptor.digest).parse()?;
    let platform = if let Some(platform) = &descriptor.platform {
        platform.clone()
    } else {
        let found = client.manifest(&by_digest)?;
        let manifest: Manifest = serde_json::from_slice(&found.bytes)?;
        let config = crate::registry::document(client, &by_digest, &manifest.config)?;
        Platform::of(&ImageConfig::parse(&config)?)
    };
    let plain = Descriptor::new(
        descriptor.media_type.clone(),
        descriptor.digest.clone(),
        descriptor.size,
    );
    Ok(IndexEntry {
        name: text.to_owned(),
        place: EntryPlace::Registry {
            reference: by_digest.to_string(),
            descriptor: Box::new(plain),
        },
        platform,
        annotations: std::collections::BTreeMap::new(),
    })
}

/// An index that was put together here, for people and programs; `None` where there is none of that name.
pub(super) fn shown(global: &Global, name: &str) -> Result<Option<Value>, Failure> {
    let Ok(reference) = name.parse::<Reference>() else {
        return Ok(None);
    };
    let data = data::open(global)?;
    let Some(list) = known(&data, &reference)? else {
        return Ok(None);
    };
    let entry = |entry: &IndexEntry| {
        let mut value = match &entry.place {
            EntryPlace::Registry { descriptor, .. } => json!(descriptor),
            EntryPlace::Image(id) => json!({ "image": id }),
        };
        value["name"] = json!(entry.name);
        value["platform"] = json!(entry.platform);
        if !entry.annotations.is_empty() {
            value["annotations"] = json!(entry.annotations);
        }
        value
    };
    let manifests: Vec<Value> = list.entries.iter().map(entry).collect();
    Ok(Some(json!({
        "schemaVersion": 2,
        "mediaType": media_type::INDEX,
        "manifests": manifests,
        "annotations": list.annotations,
    })))
}
