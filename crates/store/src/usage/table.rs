//! What the store's space is used for, in docker's categories.

use super::contents_size;
use crate::collect::{References, step_entries};
use crate::data::Store;
use crate::error::{IoExt, Result};
use crate::image::{ImageRecord, LocalId};
use crate::layer::LayerId;
use crate::lock::Lock;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

/// One kind of thing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many there are.
    pub total: usize,
    /// How many of them are in use.
    pub active: usize,
    /// Bytes of all.
    pub size: u64,
    /// Bytes that deleting what isn't in use would free.
    pub reclaimable: u64,
}

/// All kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usages {
    /// Images; in use where a container runs on one. Layers of several images count once.
    pub images: Usage,
    /// Layers, an image's or not; in use where an image, the build cache or a container needs one.
    pub layers: Usage,
    /// Layers as they came in, configurations, manifests; the layers among them can be freed.
    pub blobs: Usage,
    /// Steps of builds; in use where an image has the step's layer.
    pub cache: Usage,
    /// Containers: those that run on an image now, and container layers elsewhere that run on layers of the store.
    pub containers: Usage,
    /// Unfinished things, downloads among them; in use where somebody is at work on one.
    pub temporary: Usage,
    /// What was set aside after a crash.
    pub quarantine: Usage,
}

impl Store {
    /// What the space is used for, at this moment.
    pub fn usage(&self) -> Result<Usages> {
        let images = self.all_images()?;
        let references = References::of_images(self, &images)?;
        let sizes = self.layer_sizes()?;
        let leased = self.leased_layers()?;
        let cached: HashSet<LayerId> = step_entries(self)?.into_iter().filter_map(|(_, layer)| layer).collect();
        let used: HashSet<LayerId> = sizes
            .keys()
            .filter_map(|id| self.used(id, &leased))
            .collect::<Result<_>>()?;
        let sum = |ids: &mut dyn Iterator<Item = &LayerId>| ids.filter_map(|id| sizes.get(id)).sum::<u64>();
        let is_active = |record: &ImageRecord| record.layers.last().is_some_and(|layer| used.contains(layer));
        let (active, idle): (Vec<_>, Vec<_>) = images.iter().partition(|(_, record)| is_active(record));
        let needed: HashSet<&LayerId> = active.iter().flat_map(|(_, record)| &record.layers).collect();
        let idle: HashSet<&LayerId> = idle.iter().flat_map(|(_, record)| &record.layers).collect();
        let is_kept = |id: &LayerId| references.layers.contains(id) || cached.contains(id) || used.contains(id);
        let only_cached = |id: &LayerId| !references.layers.contains(id);
        let (containers, temporary) = self.rooms()?;
        Ok(Usages {
            images: Usage {
                total: images.len(),
                active: active.len(),
                size: sum(&mut references.layers.iter()),
                reclaimable: sum(&mut idle.difference(&needed).copied()),
            },
            layers: Usage {
                total: sizes.len(),
                active: sizes.keys().filter(|id| is_kept(id)).count(),
                size: sizes.values().sum(),
                reclaimable: sum(&mut sizes.keys().filter(|id| !is_kept(id))),
            },
            blobs: self.blob_usage(&references, &sizes)?,
            cache: Usage {
                total: cached.len(),
                active: cached.iter().filter(|id| references.layers.contains(id)).count(),
                size: sum(&mut cached.iter().filter(|id| only_cached(id))),
                reclaimable: sum(&mut cached.iter().filter(|id| only_cached(id) && !used.contains(id))),
            },
            containers: self.container_usage(containers)?,
            temporary,
            quarantine: self.quarantine_usage()?,
        })
    }

    fn used(&self, id: &LayerId, leased: &HashSet<LayerId>) -> Option<Result<LayerId>> {
        match self.is_layer_used(id) {
            Ok(is_used) => (is_used || leased.contains(id)).then(|| Ok(id.clone())),
            Err(error) => Some(Err(error)),
        }
    }

    /// All images with their records; one that is deleted meanwhile is left out.
    pub(crate) fn all_images(&self) -> Result<Vec<(LocalId, ImageRecord)>> {
        let mut images = Vec::new();
        for id in self.images()? {
            match self.image(&id) {
                Err(crate::Error::NoSuchImage { .. }) => {}
                result => images.push((id, result?)),
            }
        }
        Ok(images)
    }

    fn layer_sizes(&self) -> Result<HashMap<LayerId, u64>> {
        let mut sizes = HashMap::new();
        for id in self.layers()? {
            // Locked only while it is counted, so that it isn't in use for that.
            if let Some(held) = self.hold_layer(id)? {
                // One in another tool's store takes none of our space.
                let is_ours = self
                    .layer_diff(&held.id)
                    .symlink_metadata()
                    .is_ok_and(|meta| meta.is_dir());
                let size = if is_ours { self.layer_size(&held)? } else { 0 };
                sizes.insert(held.id.clone(), size);
            }
        }
        Ok(sizes)
    }

    fn blob_usage(&self, references: &References, layers: &HashMap<LayerId, u64>) -> Result<Usage> {
        let mut usage = Usage::default();
        let mut known = references.documents.clone();
        for id in layers.keys() {
            let tars = self.layer_digests(id)?.tars;
            known.extend(tars.into_iter().flat_map(|tar| tar.blobs).map(|blob| blob.digest));
        }
        for digest in self.blobs()? {
            let size = fs::metadata(self.blob_path(&digest)).map_or(0, |meta| meta.len());
            usage.total += 1;
            usage.size += size;
            usage.active += usize::from(known.contains(&digest));
            if !references.documents.contains(&digest) {
                usage.reclaimable += size;
            }
        }
        Ok(usage)
    }

    /// The directories in `tmp/`: those of containers, and the others, downloads among them.
    fn rooms(&self) -> Result<(Usage, Usage)> {
        let (mut containers, mut others) = (Usage::default(), Usage::default());
        for parent in ["tmp", "partial"].map(|name| self.path(name)) {
            // A data directory that nothing was downloaded into may lack the second.
            if !parent.exists() {
                continue;
            }
            for entry in fs::read_dir(&parent).on("read", &parent)? {
                let path = entry.on("read", &parent)?.path();
                let is_locked = matches!(Lock::try_exclusive(&path), Ok(None));
                let is_container = is_locked && path.join("merged").is_dir() && path.join("files").is_dir();
                let usage = if is_container { &mut containers } else { &mut others };
                let size = room_size(&path)?;
                usage.total += 1;
                usage.active += usize::from(is_locked);
                usage.size += size;
                usage.reclaimable += if is_locked { 0 } else { size };
            }
        }
        Ok((containers, others))
    }

    fn container_usage(&self, mut usage: Usage) -> Result<Usage> {
        for (_, lease) in self.leases()? {
            let Some(lease) = lease.filter(|lease| self.is_valid(lease)) else {
                continue;
            };
            usage.total += 1;
            usage.active += usize::from(matches!(Lock::try_exclusive(&lease.path), Ok(None)));
        }
        Ok(usage)
    }

    fn quarantine_usage(&self) -> Result<Usage> {
        let mut usage = Usage::default();
        let parent = self.path("quarantine");
        for entry in fs::read_dir(&parent).on("read", &parent)? {
            let size = room_size(&entry.on("read", &parent)?.path())?;
            usage.total += 1;
            usage.size += size;
            usage.reclaimable += size;
        }
        Ok(usage)
    }
}

/// A directory's contents, or a file's length; 0 for what is gone.
fn room_size(path: &Path) -> Result<u64> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => contents_size(path),
        Ok(meta) => Ok(meta.len()),
        Err(_) => Ok(0),
    }
}
