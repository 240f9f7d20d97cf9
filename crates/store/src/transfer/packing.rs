//! The tar of one layer of a stack: as it came, where that can be put together again, else packed of its files.

use super::tar_split::TarSplit;
use crate::data::Store;
use crate::error::{IoExt, Result};
use crate::layer::{HeldLayer, LayerInfo};
use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;
use wiac_layer::compression::decoder;
use wiac_layer::merged::LayerStack;
use wiac_layer::owners::OwnerRecord;
use wiac_layer::pack::{PackOptions, pack};
use wiac_oci::digest::{Algorithm, Hasher};

/// Layers that lie on each other.
pub(super) struct Stack<'a> {
    store: &'a Store,
    /// Base first.
    pub(super) layers: Vec<HeldLayer>,
    /// What couldn't be put on disk, for each of them; looked up once.
    intended: OnceCell<Vec<Option<Arc<OwnerRecord>>>>,
}

impl<'a> Stack<'a> {
    pub(super) fn new(store: &'a Store, layers: Vec<HeldLayer>) -> Self {
        Self {
            store,
            layers,
            intended: OnceCell::new(),
        }
    }

    /// Writes the tar of one layer.
    pub(super) fn pack(&self, number: usize, clamp: Option<i64>, out: &mut dyn Write) -> Result<()> {
        let directory = |layer: &HeldLayer| self.store.layer_diff(&layer.id);
        let layer = &self.layers[number];
        let path = directory(layer);
        if let Some(mut tar) = tar_elsewhere(&self.store.layer_info(&layer.id)?).on("read", &path)? {
            return io::copy(&mut tar, out).map(drop).on("pack", &path);
        }
        let lower = LayerStack::new(self.layers[..number].iter().map(directory).collect());
        let options = PackOptions {
            lower: &lower,
            owners: self.intended()?[number].as_deref(),
            clamp,
        };
        let opened = File::open(&path).on("open", &path)?;
        pack(&opened, out, &options)?;
        Ok(())
    }

    fn intended(&self) -> Result<&[Option<Arc<OwnerRecord>>]> {
        if let Some(known) = self.intended.get() {
            return Ok(known);
        }
        let found = self.store.intended(&self.layers)?;
        Ok(self.intended.get_or_init(|| found))
    }
}

/// The tar of a layer in another tool's store, as it came to it.
fn tar_elsewhere(info: &LayerInfo) -> io::Result<Option<Box<dyn Read + Send>>> {
    let Some(elsewhere) = &info.elsewhere else {
        return Ok(None);
    };
    if let Some(blob) = &elsewhere.blob {
        let (compression, source) = super::input::detect(Box::new(File::open(blob)?))?;
        return decoder(compression, source).map(Some);
    }
    match &elsewhere.tar_split {
        Some(list) => Ok(Some(Box::new(TarSplit::open(list, &elsewhere.directory)?))),
        None => Ok(None),
    }
}

/// Hashes what is written.
pub(super) struct HashingWriter<W> {
    pub(super) out: W,
    pub(super) hasher: Hasher,
}

impl<W: Write> HashingWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            hasher: Hasher::new(Algorithm::Sha256),
        }
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
