//! Maps of sparse files: GNU tar's old one in the header, and its three in PAX records.

use super::header::number;
use super::pax::{not_valid, parsed};
use super::{BLOCK, Piece, bad, refuse};
use crate::error::Result;

/// What PAX records say about holes.
#[derive(Debug, Clone, Default)]
pub(super) struct PaxSparse {
    major: Option<u64>,
    minor: Option<u64>,
    name: Option<Vec<u8>>,
    /// The length of the file: "size" in the formats 0.x, "realsize" in 1.0.
    length: Option<u64>,
    pieces: Vec<Piece>,
    /// An offset of format 0.0 whose length comes with the next record.
    offset: Option<u64>,
    seen: bool,
}

/// Where the map of a file is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Map {
    /// There is none: the file has no holes.
    None,
    /// In the records: formats 0.0 and 0.1.
    Here(Vec<Piece>, u64),
    /// In front of the data: format 1.0. The length of the file.
    InData(u64),
}

impl PaxSparse {
    pub(super) fn is_empty(&self) -> bool {
        !self.seen
    }

    pub(super) fn take_name(&mut self) -> Option<Vec<u8>> {
        self.name.take()
    }

    /// One record whose key starts with `GNU.sparse.`; `key` is the rest of it.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.seen = true;
        match key {
            b"major" => self.major = parsed(key, value)?,
            b"minor" => self.minor = parsed(key, value)?,
            b"name" => self.name = (!value.is_empty()).then(|| value.to_vec()),
            b"size" | b"realsize" => self.length = parsed(key, value)?,
            b"offset" => self.offset = parsed(key, value)?,
            b"numbytes" => {
                let offset = self.offset.take().ok_or_else(|| not_valid(key, value))?;
                let length = parsed(key, value)?.ok_or_else(|| not_valid(key, value))?;
                self.pieces.push(Piece { offset, length });
            }
            b"map" => self.pieces = map(value)?,
            _ => {}
        }
        Ok(())
    }

    pub(super) fn map(self) -> Result<Map> {
        match (self.major, self.minor, self.length) {
            (None | Some(0), _, None) if self.pieces.is_empty() => Ok(Map::None),
            (None | Some(0), _, Some(length)) => Ok(Map::Here(self.pieces, length)),
            (Some(1), Some(0), Some(length)) => Ok(Map::InData(length)),
            _ => refuse(b"", "a sparse file is in a format that isn't known"),
        }
    }
}

/// "offset,length,offset,length…"
fn map(value: &[u8]) -> Result<Vec<Piece>> {
    let mut numbers = Vec::new();
    for number in value.split(|byte| *byte == b',') {
        numbers.extend(parsed::<u64>(b"GNU.sparse.map", number)?);
    }
    if numbers.len() % 2 != 0 {
        return Err(not_valid(b"GNU.sparse.map", value));
    }
    let pieces = numbers.chunks_exact(2).map(|pair| Piece {
        offset: pair[0],
        length: pair[1],
    });
    Ok(pieces.collect())
}

/// Takes the pieces from a header or from an extension of it; pieces of no offset and no length are places left free.
pub(super) fn take_old(field: &[u8], pieces: &mut Vec<Piece>) -> Result<()> {
    for pair in field.chunks_exact(24) {
        if pair[0] == 0 {
            break;
        }
        let value = |field| number(field).and_then(|value| u64::try_from(value).ok());
        match (value(&pair[..12]), value(&pair[12..])) {
            (Some(offset), Some(length)) => pieces.push(Piece { offset, length }),
            _ => return refuse(b"", "a sparse file's map isn't valid"),
        }
    }
    Ok(())
}

/// The old map in a header: its pieces, the length of the file, and whether more of the map follows.
pub(super) fn old_map(header: &[u8; BLOCK]) -> Result<(Vec<Piece>, u64, bool)> {
    let mut pieces = Vec::new();
    take_old(&header[386..482], &mut pieces)?;
    let length = number(&header[483..495]).and_then(|length| u64::try_from(length).ok());
    let length = length.ok_or_else(|| bad(b"", "a sparse file has no valid length"))?;
    Ok((pieces, length, header[482] != 0))
}

/// Makes sure that pieces are in order, inside the file, and as long together as the data; drops empty ones.
pub(super) fn checked(path: &[u8], mut pieces: Vec<Piece>, length: u64, data: u64) -> Result<Vec<Piece>> {
    let (mut end, mut sum) = (0, 0_u64);
    for piece in &pieces {
        let after = piece.offset.checked_add(piece.length).filter(|after| *after <= length);
        let Some(after) = after.filter(|_| piece.offset >= end) else {
            return refuse(path, "a sparse file's map isn't in order or goes beyond the file");
        };
        end = after;
        sum += piece.length;
    }
    if sum != data {
        return refuse(
            path,
            format!("a sparse file's map names {sum} bytes, but {data} follow"),
        );
    }
    pieces.retain(|piece| piece.length > 0);
    Ok(pieces)
}
