//! Layer directories in overlayfs's form: their marks, and the merged view of a stack of them.
//!
//! A layer is a directory that overlayfs takes as a lower one. This crate knows what stands in such a directory, and
//! nothing of stores, images or containers.

pub mod compare;
pub mod compression;
mod copy;
pub mod damage;
mod dress;
pub mod error;
mod form;
pub mod marks;
pub mod merge;
pub mod merged;
mod meta;
pub mod owners;
pub mod pack;
mod path;
mod spot;
pub mod tar;
pub mod unpack;
mod xattrs;

pub use error::{Error, Result};
pub use form::Form;
