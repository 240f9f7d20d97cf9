//! Going through a whole merged tree without holding too many directories open: each is open once in every layer that
//! has it.

use super::{LayerStack, MergedDirectory, directory_at};
use crate::error::{Error, Result};

/// Open directories above the current one; with those of the stack's roots, far from the 1024 that a process
/// usually may have.
const MOST: usize = 200;

/// The way from the root to the current directory.
pub(crate) struct Descent<'s> {
    stack: &'s LayerStack,
    /// From the root on; `None` for those that were closed.
    way: Vec<Option<MergedDirectory>>,
    open: usize,
}

impl<'s> Descent<'s> {
    pub(crate) fn new(stack: &'s LayerStack) -> Self {
        Self {
            stack,
            way: Vec::new(),
            open: 0,
        }
    }

    /// Goes down into a directory.
    pub(crate) fn enter(&mut self, directory: MergedDirectory) {
        for above in &mut self.way {
            if self.open <= MOST {
                break;
            }
            if let Some(closed) = above.take() {
                self.open -= closed.parts.len();
            }
        }
        self.open += directory.parts.len();
        self.way.push(Some(directory));
    }

    /// Goes back up.
    pub(crate) fn leave(&mut self) {
        if let Some(Some(closed)) = self.way.pop() {
            self.open -= closed.parts.len();
        }
    }

    /// The current directory, whose path is `path`.
    pub(crate) fn current(&mut self, path: &[u8]) -> Result<&MergedDirectory> {
        let gone = || Error::Merged {
            path: crate::path::shown(path),
            reason: "the directory is gone; the layers are changed by somebody",
        };
        let current = self.way.last_mut().ok_or_else(gone)?;
        if current.is_none() {
            *current = directory_at(self.stack, path)?;
            self.open += current.as_ref().map_or(0, |directory| directory.parts.len());
        }
        current.as_ref().ok_or_else(gone)
    }
}
