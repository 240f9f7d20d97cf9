//! Reading the map of a sparse file, which may lie in the data or in blocks of its own.

use super::sparse::{self, Map};
use super::{BLOCK, Entry, Kind, Piece, Reader, bad, refuse};
use crate::error::Result;

impl Reader<'_> {
    /// Applies a map that was found in PAX records.
    pub(super) fn sparse(&mut self, map: Map, entry: &mut Entry) -> Result<()> {
        if entry.kind != Kind::File {
            return Ok(());
        }
        let (pieces, length) = match map {
            Map::None => return Ok(()),
            Map::Here(pieces, length) => (pieces, length),
            Map::InData(length) => (self.map_in_data()?, length),
        };
        entry.sparse = Some(sparse::checked(&entry.path, pieces, length, self.data)?);
        entry.size = length;
        Ok(())
    }

    /// Reads the map in front of the data: decimal numbers, one a line, first how many pairs; whole blocks.
    fn map_in_data(&mut self) -> Result<Vec<Piece>> {
        let invalid = |reader: &Self| bad(&reader.path, "a sparse file's map isn't valid");
        let (mut numbers, mut expected) = (Vec::new(), None);
        let (mut number, mut digits) = (0_u64, 0);
        for count in 1.. {
            if count * BLOCK > self.limits.metadata {
                return refuse(&self.path, "a sparse file's map is too long");
            }
            if self.data < BLOCK as u64 {
                return Err(invalid(self));
            }
            let block = self.block()?.ok_or_else(|| self.truncated())?;
            self.data -= BLOCK as u64;
            for byte in block {
                if byte.is_ascii_digit() {
                    let next = number
                        .checked_mul(10)
                        .and_then(|ten| ten.checked_add(u64::from(byte - b'0')));
                    number = next.ok_or_else(|| invalid(self))?;
                    digits += 1;
                    continue;
                }
                if byte != b'\n' || digits == 0 {
                    return Err(invalid(self));
                }
                if expected.is_none() {
                    expected = Some(number.checked_mul(2).ok_or_else(|| invalid(self))?);
                } else {
                    numbers.push(number);
                }
                (number, digits) = (0, 0);
                if expected == Some(numbers.len() as u64) {
                    let piece = |pair: &[u64]| Piece {
                        offset: pair[0],
                        length: pair[1],
                    };
                    return Ok(numbers.chunks_exact(2).map(piece).collect());
                }
            }
        }
        Err(invalid(self))
    }

    /// The old GNU map: in the header and in blocks after it that don't count as data.
    pub(super) fn old_sparse(&mut self, header: &[u8; BLOCK], entry: &mut Entry) -> Result<()> {
        let (mut pieces, length, mut more) = sparse::old_map(header)?;
        let mut blocks = 0;
        while more {
            blocks += 1;
            if blocks * BLOCK > self.limits.metadata {
                return refuse(&entry.path, "a sparse file's map is too long");
            }
            let block = self.block()?.ok_or_else(|| self.truncated())?;
            sparse::take_old(&block[..504], &mut pieces)?;
            more = block[504] != 0;
        }
        entry.sparse = Some(sparse::checked(&entry.path, pieces, length, self.data)?);
        self.lengths = self.lengths.saturating_add(length.saturating_sub(entry.size));
        entry.size = length;
        if self.lengths > self.limits.bytes {
            return refuse(&entry.path, self.too_large());
        }
        Ok(())
    }
}
