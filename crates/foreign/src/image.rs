//! What an opened image is: its documents, and plain directories for its layers.

use crate::containers::lock::Guard;
use crate::error::{Error, Result};
use crate::inspect;
use std::path::PathBuf;
use wiac_layer::Form;
use wiac_oci::digest::{DiffId, Digest};

/// A store and the user whose it is.
pub type Owned = (PathBuf, u32);

/// An image in another tool's store.
#[derive(Debug)]
pub struct Image {
    /// The image's id: the digest of its configuration.
    pub id: Digest,
    /// Its names, in full, as the store has them.
    pub names: Vec<String>,
    /// The image configuration's bytes; they have the digest `id`.
    pub config: Vec<u8>,
    /// The manifest's bytes, where the store keeps one.
    pub manifest: Option<Vec<u8>>,
    /// The layers, base first.
    pub layers: Vec<Layer>,
    /// The store's directory.
    pub store: PathBuf,
    /// A store (an additional one) of another user that layers lie in, and whose it is: the owners of its files mean
    /// something else in the caller's containers, so that it can only be copied from.
    pub others: Option<Owned>,
    /// Locks that keep the tool from changing the store. To be let go ([`Image::release`]) once the layers are mounted
    /// or copied: as long as they are held, the tool waits, with some commands that only read as well.
    pub guard: Guard,
}

/// What is known of the marks in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    /// Nobody has looked yet.
    Unknown,
    /// Whiteouts at most, which are the same in both forms.
    None,
    /// Opaque marks of this form.
    Of(Form),
}

/// A layer in another tool's store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The directory that overlayfs takes as a lower one.
    pub diff: PathBuf,
    /// The form of marks to read it in: the store's usual one until [`Image::inspect`] has looked.
    pub form: Form,
    /// What [`Image::inspect`] found. A caller that remembers an earlier finding puts it here and spares the walk:
    /// the tools never change a layer that an image has. To be remembered by `diff`'s path, inode and ctime.
    pub marks: Marks,
    /// The digest of the layer's tar, where known.
    pub diff_id: Option<DiffId>,
    /// Its size as the store recorded it: bytes of its uncompressed tar, or of its files.
    pub size: Option<u64>,
    /// tar-split metadata (gzip), with which the files give the original tar again byte for byte.
    pub tar_split: Option<PathBuf>,
    /// The blob as it was pulled, where the store keeps it (containerd); the manifest tells its digest and form.
    pub blob: Option<PathBuf>,
}

/// An image in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The id that the tool shows: of the configuration, or with containerd of what the name points to.
    pub id: Digest,
    /// Its names, in full.
    pub names: Vec<String>,
    /// When it was made, seconds since 1970, where recorded.
    pub created: Option<i64>,
    /// Bytes of its layers, where recorded.
    pub size: Option<u64>,
}

impl Image {
    /// Looks through every file of the layers whose marks are unknown for such that overlayfs, as we mount it, can't
    /// use, and finds the form of the marks. One system call a file.
    ///
    /// # Errors
    /// Where a layer has redirects or files without data (metacopy), fuse-overlayfs's whiteouts, or marks of both
    /// forms: which layer, which file, and what to do.
    pub fn inspect(&mut self) -> Result<()> {
        inspect::layers(&mut self.layers)
    }

    /// Whether the layers can be used where they lie, as far as it is a matter of whose they are.
    ///
    /// # Errors
    /// Where they are another user's.
    pub fn check_owner(&self) -> Result<()> {
        match &self.others {
            None => Ok(()),
            Some((path, owner)) => Err(Error::OtherUser {
                tool: "podman",
                path: path.clone(),
                owner: *owner,
            }),
        }
    }

    /// Lets the tool go on.
    pub fn release(&mut self) {
        self.guard = Guard::default();
    }

    /// Pairs the layers with the diff IDs that the configuration names.
    pub(crate) fn check_diff_ids(&mut self, diff_ids: &[DiffId]) -> Result<()> {
        if diff_ids.len() != self.layers.len() {
            let reason = format!(
                "the configuration of image {} names {} layers, the store has {}",
                self.id.short(),
                diff_ids.len(),
                self.layers.len()
            );
            return Err(Error::damaged(&self.store, reason));
        }
        for (layer, expected) in self.layers.iter().zip(diff_ids) {
            if layer.diff_id.as_ref().is_some_and(|found| found != expected) {
                let reason = format!("image {} names the layer {expected} in this place", self.id.short());
                return Err(Error::damaged(&layer.diff, reason));
            }
        }
        Ok(())
    }
}
