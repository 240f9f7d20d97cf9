//! A place for a file in a layer.

use rustix::fd::OwnedFd;
use std::ffi::OsStr;
use std::rc::Rc;

/// Where something is: its directory, its name there, and its path in the layer.
pub(crate) struct Spot<'p> {
    pub parent: Rc<OwnedFd>,
    pub name: &'p OsStr,
    pub path: Vec<u8>,
}
