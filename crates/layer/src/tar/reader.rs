//! Reads an archive entry by entry from a stream; file data is handed out where it lies in the stream's own buffer.

use super::header::{Header, Role};
use super::pax::{Overrides, Records};
use super::sparse::Map;
use super::{BLOCK, Entry, Kind, Limits, bad, refuse};
use crate::error::{Error, Result};
use std::io::{self, BufRead};

/// An archive being read.
pub struct Reader<'r> {
    source: &'r mut dyn BufRead,
    /// So much of the source's buffer was handed out, and is consumed with the next call.
    lent: usize,
    /// Bytes taken from the source so far.
    read: u64,
    pub(super) limits: Limits,
    /// Data of the current entry that is still to come, and its padding.
    pub(super) data: u64,
    padding: u64,
    /// The path of the current entry, for errors.
    pub(super) path: Vec<u8>,
    /// What global headers say.
    global: Overrides,
    global_bytes: usize,
    entries: u64,
    /// Lengths of all files so far.
    pub(super) lengths: u64,
}

impl<'r> Reader<'r> {
    /// Reads from `source`, in whose buffer blocks should mostly lie whole: it should hold many.
    pub fn new(source: &'r mut dyn BufRead, limits: Limits) -> Self {
        Self {
            source,
            lent: 0,
            read: 0,
            limits,
            data: 0,
            padding: 0,
            path: Vec::new(),
            global: Overrides::default(),
            global_bytes: 0,
            entries: 0,
            lengths: 0,
        }
    }

    /// Goes to the next entry, passing over what is left of the one before; `false` at the archive's end, which is
    /// two blocks of zeros or the end of the stream between two entries.
    ///
    /// # Errors
    /// [`Error::Archive`] for an archive that isn't valid, is truncated or goes beyond the limits;
    /// [`Error::Source`] for what the source reports.
    pub fn next(&mut self, entry: &mut Entry) -> Result<bool> {
        self.skip()?;
        self.path.clear();
        let mut overrides = self.global.clone();
        let mut extended = Extended::default();
        loop {
            let Some(block) = self.header()? else {
                return if extended.seen {
                    refuse(b"", "the archive ends after an extended header")
                } else {
                    Ok(false)
                };
            };
            let header = Header(&block);
            match header.role()? {
                Role::Entry(kind) => {
                    self.entry(&header, kind, overrides, extended, entry)?;
                    return Ok(true);
                }
                Role::Sparse => {
                    self.entry(&header, Kind::File, overrides, extended, entry)?;
                    self.old_sparse(&block, entry)?;
                    return Ok(true);
                }
                Role::LongName => extended.name = Some(self.text(&header, &mut extended.bytes)?),
                Role::LongLink => extended.link = Some(self.text(&header, &mut extended.bytes)?),
                Role::Local => {
                    let data = self.extension(&header, &mut extended.bytes)?;
                    for record in Records::new(&data) {
                        let (key, value) = record?;
                        overrides.take(key, value)?;
                    }
                }
                Role::Global => {
                    // They stay to the archive's end, so all of them count together.
                    let mut bytes = std::mem::take(&mut self.global_bytes);
                    let data = self.extension(&header, &mut bytes)?;
                    self.global_bytes = bytes;
                    for record in Records::new(&data) {
                        let (key, value) = record?;
                        self.global.take(key, value)?;
                        overrides.take(key, value)?;
                    }
                    continue;
                }
                Role::Label => {
                    self.begin(header.size()?)?;
                    self.skip()?;
                    continue;
                }
            }
            extended.seen = true;
        }
    }

    /// The next piece of the current entry's data, as much as is there; nothing at its end. It counts as read.
    pub fn data(&mut self) -> Result<&[u8]> {
        self.data_at_most(u64::MAX)
    }

    /// The same with no more bytes than `most`.
    pub fn data_at_most(&mut self, most: u64) -> Result<&[u8]> {
        self.settle();
        let most = most.min(self.data);
        if most == 0 {
            return Ok(&[]);
        }
        let there = self.fill()?;
        if there == 0 {
            return Err(self.truncated());
        }
        let length = usize::try_from(most).map_or(there, |most| most.min(there));
        self.count(length)?;
        self.data -= length as u64;
        self.lent = length;
        // What was filled is there: nothing is read again.
        let buffer = self.source.fill_buf().map_err(Error::Source)?;
        Ok(&buffer[..length])
    }

    /// Reads the source to its end, whatever there is after the archive's end: the caller hashes all of it.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn drain(&mut self) -> Result<()> {
        self.settle();
        loop {
            match self.fill()? {
                0 => return Ok(()),
                length => {
                    self.count(length)?;
                    self.source.consume(length);
                }
            }
        }
    }

    /// Takes what an entry's header and everything in front of it say.
    fn entry(
        &mut self,
        header: &Header<'_>,
        kind: Kind,
        overrides: Overrides,
        extended: Extended,
        entry: &mut Entry,
    ) -> Result<()> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return refuse(
                b"",
                format!("the archive has more than {} entries", self.limits.entries),
            );
        }
        entry.kind = kind;
        entry.sparse = None;
        entry.xattrs.clear();
        header.read_into(entry)?;
        if let Some(name) = extended.name {
            entry.path = name;
        }
        if let Some(link) = extended.link {
            entry.link = link;
        }
        let mut size = header.size()?;
        let mut map = Map::None;
        if !overrides.is_empty() {
            size = overrides.size.unwrap_or(size);
            map = overrides.sparse.clone().map()?;
            overrides.apply(entry);
        }
        // With a type of ustar's it is a file, as for docker and podman.
        if header.may_be_old_directory() && entry.path.ends_with(b"/") {
            entry.kind = Kind::Directory;
        }
        let kind = entry.kind;
        self.path.clone_from(&entry.path);
        if entry.path.len() > self.limits.path || entry.link.len() > self.limits.path {
            return refuse(
                &entry.path,
                format!("has a path or target of more than {} bytes", self.limits.path),
            );
        }
        entry.size = if kind == Kind::File { size } else { 0 };
        self.begin(if header.has_data() { size } else { 0 })?;
        self.sparse(map, entry)?;
        self.lengths = self.lengths.saturating_add(entry.size);
        if self.lengths > self.limits.bytes {
            return refuse(&entry.path, self.too_large());
        }
        Ok(())
    }

    /// The next header; `None` at the end.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let first = self.read == 0;
        let Some(block) = self.block()? else { return Ok(None) };
        let header = Header(&block);
        if header.is_zero() {
            return match self.block()? {
                Some(next) if !Header(&next).is_zero() => refuse(b"", "the archive goes on after a block of zeros"),
                _ => Ok(None),
            };
        }
        if !header.sum_is_right() {
            return if first {
                refuse(b"", "this is not a tar archive")
            } else {
                refuse(b"", "a header's checksum is wrong: the archive is damaged")
            };
        }
        Ok(Some(block))
    }

    fn text(&mut self, header: &Header<'_>, bytes: &mut usize) -> Result<Vec<u8>> {
        let mut text = self.extension(header, bytes)?;
        if let Some(end) = text.iter().position(|byte| *byte == 0) {
            text.truncate(end);
        }
        Ok(text)
    }

    /// The data of an extended header; `bytes` counts those in front of one entry.
    fn extension(&mut self, header: &Header<'_>, bytes: &mut usize) -> Result<Vec<u8>> {
        let size = header.size()?;
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        // The header itself counts as well, or an endless row of empty ones would be free.
        *bytes = bytes.saturating_add(length).saturating_add(BLOCK);
        if *bytes > self.limits.metadata {
            let most = self.limits.metadata;
            return refuse(b"", format!("an entry has extended headers of more than {most} bytes"));
        }
        self.begin(size)?;
        let mut data = Vec::new();
        loop {
            let piece = self.data()?;
            if piece.is_empty() {
                self.skip()?;
                return Ok(data);
            }
            data.extend_from_slice(piece);
        }
    }

    /// Says how much data comes next.
    fn begin(&mut self, size: u64) -> Result<()> {
        if size > self.limits.bytes {
            return refuse(&self.path, self.too_large());
        }
        let over = size % BLOCK as u64;
        self.data = size;
        self.padding = if over == 0 { 0 } else { BLOCK as u64 - over };
        Ok(())
    }

    /// Passes over what is left of the current data, and its padding. An archive may end where the padding would begin:
    /// `umoci insert` writes such layers, and Go's readers take them.
    fn skip(&mut self) -> Result<()> {
        while !self.data()?.is_empty() {}
        let padding = std::mem::take(&mut self.padding);
        if padding > 0 && self.fill()? == 0 {
            return Ok(());
        }
        self.data = padding;
        while !self.data()?.is_empty() {}
        Ok(())
    }

    /// The next whole block; `None` at the end of the stream.
    pub(super) fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        self.settle();
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            let length = match self.fill()? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(self.truncated()),
                there => there.min(BLOCK - filled),
            };
            self.count(length)?;
            let buffer = self.source.fill_buf().map_err(Error::Source)?;
            block[filled..filled + length].copy_from_slice(&buffer[..length]);
            self.source.consume(length);
            filled += length;
        }
        Ok(Some(block))
    }

    /// Consumes what was handed out.
    fn settle(&mut self) {
        self.source.consume(std::mem::take(&mut self.lent));
    }

    /// Makes the source fill its buffer where it is empty: how much is in it, nothing at the end of the stream.
    fn fill(&mut self) -> Result<usize> {
        loop {
            match self.source.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Ok(result.map_err(Error::Source)?.len()),
            }
        }
    }

    /// Counts what is taken from the source.
    fn count(&mut self, length: usize) -> Result<()> {
        self.read += length as u64;
        if self.read > self.limits.bytes {
            return refuse(&self.path, self.too_large());
        }
        Ok(())
    }

    pub(super) fn truncated(&self) -> Error {
        bad(&self.path, "the archive ends in the middle: it is truncated")
    }

    pub(super) fn too_large(&self) -> String {
        format!("the archive unpacks to more than {} bytes", self.limits.bytes)
    }
}

/// What was found in front of an entry.
#[derive(Default)]
struct Extended {
    seen: bool,
    bytes: usize,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}
