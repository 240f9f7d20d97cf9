//! Packing what a container on a stack of layers sees: one flat tar without marks.

use super::emit::Emitter;
use super::layer::intended;
use super::{MergedOptions, Packed};
use crate::error::Result;
use crate::merged::{Descent, Found, LayerStack, MergedDirectory};
use crate::path::join;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

/// Packs the merged view of a stack.
///
/// # Errors
/// As [`super::pack`].
pub fn pack_merged(stack: &LayerStack, out: &mut dyn Write, options: &MergedOptions<'_>) -> Result<Packed> {
    let mut emitter = Emitter::new(out, options.clamp);
    if !stack.is_empty() {
        let mut descent = Descent::new(stack);
        let mut levels = vec![enter(&mut emitter, &mut descent, stack.root()?, Vec::new(), options)?];
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.names.pop() else {
                levels.pop();
                descent.leave();
                continue;
            };
            let path = join(&level.path, name.as_bytes());
            match descent.current(&level.path)?.entry_and_layer(&name)? {
                None => {}
                Some((Found::Directory(directory), _)) => {
                    let next = enter(&mut emitter, &mut descent, directory, path, options)?;
                    levels.push(next);
                }
                Some((Found::Other { parent, name, status }, layer)) => {
                    let owners = options.owners.get(layer).copied().flatten();
                    emitter.file(&parent, &name, &path, &status, intended(owners, &path))?;
                }
            }
        }
    }
    emitter.finish()
}

/// A directory whose names are being packed.
struct Level {
    path: Vec<u8>,
    /// Still to come, the next one last.
    names: Vec<OsString>,
}

fn enter(
    emitter: &mut Emitter<'_>,
    descent: &mut Descent<'_>,
    directory: MergedDirectory,
    path: Vec<u8>,
    options: &MergedOptions<'_>,
) -> Result<Level> {
    if let Some((topmost, layer)) = directory.topmost_and_layer() {
        let owners = options.owners.get(layer).copied().flatten();
        emitter.directory(topmost, &path, intended(owners, &path))?;
    }
    let mut names = directory.names()?;
    names.reverse();
    descent.enter(directory);
    Ok(Level { path, names })
}
