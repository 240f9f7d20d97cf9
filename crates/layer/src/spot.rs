//! A place for a file in a layer.

use crate::path::shown;
use rustix::fd::OwnedFd;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::rc::Rc;

/// Where something is: its directory, its name there, and its path in the layer.
pub(crate) struct Spot<'p> {
    pub parent: Rc<OwnedFd>,
    pub name: &'p OsStr,
    pub path: Vec<u8>,
}

impl Spot<'_> {
    /// The path, safe to print.
    pub(crate) fn shown(&self) -> PathBuf {
        shown(&self.path)
    }
}
