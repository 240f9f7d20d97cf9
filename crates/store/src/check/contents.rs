//! Contents: blobs hashed, layers counted, layers made here packed again.

use super::proof::DEEPER;
use super::{Checker, Repair};
use crate::error::{IoExt, Result};
use crate::layer::{HeldLayer, LayerId};
use crate::usage::contents_size;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use wiac_layer::merged::LayerStack;
use wiac_layer::pack::{PackOptions, pack};
use wiac_oci::digest::{Algorithm, Digest, Hasher};

impl Checker<'_> {
    /// Hashes each blob, held meanwhile.
    pub(super) fn blob_contents(&mut self) -> Result<()> {
        for digest in self.store.blobs()? {
            let Some(held) = self.store.hold_blob(&digest)? else {
                let path = self.store.blob_path(&digest);
                if path.is_symlink() {
                    self.blob_finding(&digest, "is a symlink that leads nowhere".to_owned());
                }
                continue;
            };
            self.report.blobs += 1;
            let problem = match hash(held.open()?, digest.algorithm()) {
                Ok(found) if found == digest => None,
                Ok(found) => Some(format!("its bytes have the digest {found}")),
                Err(error) => Some(format!("can't be read: {}", self.kernel_says(&error))),
            };
            drop(held);
            if let Some(problem) = problem {
                self.blob_finding(&digest, problem);
            }
        }
        Ok(())
    }

    fn blob_finding(&mut self, digest: &Digest, problem: String) {
        self.proofs.damaged_blobs.insert(digest.clone());
        let name = digest.as_str().replace(':', "-");
        let repair = Repair::SetAside(self.store.blob_path(digest), name);
        let advice = "load or pull the image again, or let it be packed again when it is saved";
        self.found(format!("blob {digest}"), problem, repair, Some(advice.to_owned()));
    }

    /// Compares the contents of each layer with what was counted before, where nothing better was compared.
    pub(super) fn layer_contents(&mut self) -> Result<()> {
        for id in self.store.layers()? {
            if self.is_compared(&id) || self.is_lost(&id) {
                continue;
            }
            let Some(held) = self.store.hold_layer(id)? else {
                continue;
            };
            // A damaged description was found before.
            let Some(info) = self.seen(self.store.layer_info(&held.id)) else {
                continue;
            };
            let is_ours = info.elsewhere.is_none();
            let known = self.store.layer_digests(&held.id)?.size.filter(|_| is_ours);
            let Some(known) = known else { continue };
            let problem = match contents_size(&self.store.layer_diff(&held.id)) {
                Ok(size) if size == known => None,
                Ok(size) => Some(format!(
                    "its files have {size} bytes, and had {known}: somebody changed them"
                )),
                Err(error) => Some(self.says(&error)),
            };
            self.layer_finding(held, problem);
        }
        Ok(())
    }

    pub(super) fn layer_finding(&mut self, held: HeldLayer, problem: Option<String>) {
        let Some(problem) = problem else { return };
        let id = held.id.clone();
        drop(held);
        if !self.options.deep && self.has_proof(&id) {
            // Setting it aside would take the images along that a deep check keeps.
            let advice = Some(DEEPER.to_owned());
            self.found(format!("layer {id}"), problem, Repair::Nothing, advice);
            return;
        }
        let advice = self.again_for(&id);
        let directory = self.store.layer_directory(&id);
        self.found(
            format!("layer {id}"),
            problem,
            Repair::SetAside(directory, id.to_string()),
            advice,
        );
    }

    /// Packs layers that were packed before: the same files give the same tar. One that came in was packed by somebody
    /// else, whose tar another packer needn't give: see [`super::proof`].
    pub(super) fn pack_again(&mut self) -> Result<()> {
        let mut done: HashSet<LayerId> = HashSet::new();
        for record in self.readable_images()? {
            for (number, id) in record.layers.iter().enumerate() {
                if done.insert(id.clone()) {
                    self.pack_layer(id, &record.layers[..number])?;
                }
            }
        }
        Ok(())
    }

    fn pack_layer(&mut self, id: &LayerId, below: &[LayerId]) -> Result<()> {
        if below.iter().chain([id]).any(|id| !self.is_whole(id)) {
            return Ok(());
        }
        let Some(held) = self.store.hold_layer(id.clone())? else {
            return Ok(());
        };
        let Some(info) = self.seen(self.store.layer_info(id)) else {
            return Ok(());
        };
        if info.unpacked_from.is_some() || info.elsewhere.is_some() {
            return Ok(());
        }
        let mut holds = Vec::new();
        for layer in below {
            match self.store.hold_layer(layer.clone())? {
                Some(hold) => holds.push(hold),
                None => return Ok(()),
            }
        }
        let mut directories: Vec<PathBuf> = below.iter().map(|layer| self.store.layer_diff(layer)).collect();
        let lower = LayerStack::new(directories.clone());
        directories.push(self.store.layer_diff(id));
        let owners = self.store.intended_in(&directories)?;
        let path = self.store.layer_diff(id);
        for tar in self.store.layer_digests(id)?.tars {
            let options = PackOptions {
                lower: &lower,
                owners: owners.last().and_then(Option::as_deref),
                clamp: tar.clamp,
            };
            let problem = match packed(&path, &options, tar.diff_id.digest().algorithm())? {
                Ok(found) if found == *tar.diff_id.digest() => {
                    self.proofs.packed.insert(id.clone());
                    continue;
                }
                Ok(found) => format!(
                    "packs to {found} and packed to {}: somebody changed its files",
                    tar.diff_id
                ),
                Err(error) => self.says(&error),
            };
            self.layer_finding(held, Some(problem));
            return Ok(());
        }
        Ok(())
    }
}

/// What packing the layer at a path gives, hashed. The inner error is one of the layer's files, the outer one keeps from looking.
pub(super) fn packed(
    path: &Path,
    options: &PackOptions<'_>,
    algorithm: Algorithm,
) -> Result<std::result::Result<Digest, wiac_layer::Error>> {
    let mut sink = Hashing(Hasher::new(algorithm));
    let directory = File::open(path).on("open", path)?;
    let outcome = pack(&directory, &mut sink, options);
    Ok(outcome.map(|_| sink.0.finish()))
}

struct Hashing(Hasher);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hash(mut file: File, algorithm: Algorithm) -> io::Result<Digest> {
    let mut hasher = Hasher::new(algorithm);
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        }
    }
}
