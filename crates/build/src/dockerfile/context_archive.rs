//! A build context that arrives as a stream: a tar, compressed or not, or the text of a Dockerfile.

use super::archive::{self, Archive};
use super::prepared::Prepared;
use super::unpack;
use super::writer::Writer;
use crate::error::{Error, IoExt, Result};
use std::io::{Cursor, Read};
use std::path::Path;
use wiac_layer::Form;
use wiac_layer::compression::{Compression, decoder};
use wiac_layer::merged::LayerStack;

/// Larger than any Dockerfile.
const LARGEST_TEXT: u64 = 4 << 20;

/// What arrived.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrived {
    /// A tar: its files are in the directory.
    Files,
    /// A text: a Dockerfile, then.
    Text(Vec<u8>),
}

/// Reads a stream to its end: a tar's files go into the empty directory `into`, where nothing of it leads out of, and
/// belong to root. `shown`: what messages call it.
///
/// # Errors
/// What can't be read, and what is neither of the two.
pub fn receive_context(form: Form, mut source: Box<dyn Read + Send>, shown: &str, into: &Path) -> Result<Arrived> {
    /// Enough for the headers in front of a first entry, however they are compressed.
    const ENOUGH: u64 = 256 << 10;
    let failed =
        |error: std::io::Error| Error::wrong(format!("can't read {shown}: {}", wiac_sys::error::words(&error)));
    let mut first = Vec::new();
    source.by_ref().take(ENOUGH).read_to_end(&mut first).map_err(failed)?;
    let compression = Compression::detect(&first);
    let is_tar = decoder(compression, Box::new(Cursor::new(first.clone()))).is_ok_and(archive::begins_with_a_header);
    if is_tar {
        let whole = Box::new(Cursor::new(first).chain(source));
        let tar = decoder(compression, whole).on("unpack", Path::new(shown))?;
        unpack_into(form, tar, shown, into)?;
        return Ok(Arrived::Files);
    }
    if compression != Compression::None {
        return Err(Error::wrong(format!("{shown} is compressed, but no tar is in it")));
    }
    let mut text = first;
    source.take(LARGEST_TEXT).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > LARGEST_TEXT || text.contains(&0) {
        return Err(Error::wrong_with_hint(
            format!("{shown} is neither a tar nor a Dockerfile"),
            "a build context is a tar, plain or compressed with gzip, bzip2, xz or zstd",
        ));
    }
    Ok(Arrived::Text(text))
}

fn unpack_into(form: Form, tar: Box<dyn Read + Send>, shown: &str, into: &Path) -> Result<()> {
    let prepared = Prepared {
        destination: "/".to_owned(),
        // Owners mean nothing in a build context, and may not exist here.
        is_owner_given: true,
        ..Prepared::default()
    };
    let mut writer = Writer::new(&LayerStack::default(), into, &prepared)?;
    let archive = Archive {
        tar,
        shown: shown.into(),
    };
    unpack::unpack(&mut writer, form, &prepared, archive)
}
