//! The form of the table of file hashes: for each directory, in the order of their paths,
//!
//! ```text
//! length of the path (4 bytes), of the records (4), path, records
//! ```
//!
//! and for each file in it, in the order of their names: device, inode, size, time of modification and of change in nanoseconds
//! (8 bytes each), the hash (32), the length of the name (2), the name. All numbers have the lowest byte first.

use super::ContentHash;
use rustix::fs::Stat;
use std::ops::Range;

/// The numbers before a directory's path.
pub(super) const HEAD: usize = 8;

/// The numbers that a file is known by, as they stand in the table.
const KNOWN_BY: usize = 40;

/// No record is shorter: the numbers, the hash, the length of the name, a name of one letter.
pub(super) const LEAST: usize = KNOWN_BY + size_of::<ContentHash>() + 2 + 1;

/// What the kernel says of a file: a change of its contents changes at least one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(pub(super) [u8; KNOWN_BY]);

impl Identity {
    /// The times of modification and of change, in nanoseconds.
    pub(super) fn times(&self) -> [u64; 2] {
        let number = |at: usize| self.0[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        [number(24), number(32)]
    }
}

/// What the kernel says of a file.
pub(super) fn identity(stat: &Stat) -> Identity {
    let nanoseconds = |seconds: i64, rest: u64| seconds.cast_unsigned().wrapping_mul(1_000_000_000).wrapping_add(rest);
    let numbers = [
        stat.st_dev,
        stat.st_ino,
        stat.st_size.cast_unsigned(),
        nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
        nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
    ];
    let mut bytes = [0; KNOWN_BY];
    for (to, number) in bytes.chunks_exact_mut(8).zip(numbers) {
        to.copy_from_slice(&number.to_le_bytes());
    }
    Identity(bytes)
}

/// What the kernel says of a file, as bytes: where they are the same, it is the same file, and unchanged.
pub(crate) fn same_file(stat: &Stat) -> [u8; KNOWN_BY] {
    identity(stat).0
}

/// Where one directory is in the table.
pub(super) struct Section {
    path: Range<usize>,
    records: Range<usize>,
}

impl Section {
    pub(super) fn path<'t>(&self, table: &'t [u8]) -> &'t [u8] {
        table.get(self.path.clone()).unwrap_or_default()
    }

    pub(super) fn records<'t>(&self, table: &'t [u8]) -> &'t [u8] {
        table.get(self.records.clone()).unwrap_or_default()
    }
}

/// Where the directories are that begin at `start`; `None` where that isn't a table, or not whole.
pub(super) fn index(table: &[u8], start: usize) -> Option<Vec<Section>> {
    let mut sections: Vec<Section> = Vec::new();
    let mut at = start;
    while at != table.len() {
        let length = |at: usize| Some(u32::from_le_bytes(*table.get(at..)?.first_chunk()?) as usize);
        let path = at + HEAD..at + HEAD + length(at)?;
        let records = path.end..path.end + length(at + 4)?;
        at = records.end;
        let section = Section { path, records };
        let is_in_order = sections
            .last()
            .is_none_or(|last| last.path(table) < section.path(table));
        if at > table.len() || !is_in_order {
            return None;
        }
        sections.push(section);
    }
    Some(sections)
}

/// Adds a directory to a table.
pub(super) fn add_section(table: &mut Vec<u8>, path: &[u8], records: &[u8]) {
    // A path is shorter than a page, and no directory has as many files: one that had is left out.
    if let (Ok(path_length), Ok(length)) = (u32::try_from(path.len()), u32::try_from(records.len())) {
        table.extend(path_length.to_le_bytes());
        table.extend(length.to_le_bytes());
        table.extend(path);
        table.extend(records);
    }
}

/// One file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'r> {
    pub(super) name: &'r [u8],
    pub(super) identity: [u8; KNOWN_BY],
    pub(super) hash: &'r ContentHash,
}

impl Record<'_> {
    pub(super) fn add_to(&self, records: &mut Vec<u8>) {
        // Names have at most 255 bytes.
        if let Ok(length) = u16::try_from(self.name.len()) {
            records.extend(self.identity);
            records.extend(self.hash);
            records.extend(length.to_le_bytes());
            records.extend(self.name);
        }
    }
}

/// Records of one directory, in the order of their names.
#[derive(Debug)]
pub(super) struct Records<'r>(pub(super) &'r [u8]);

impl<'r> Records<'r> {
    /// The first record, and those behind it.
    fn first(&self) -> Option<(Record<'r>, Self)> {
        let (identity, rest) = self.0.split_first_chunk()?;
        let (hash, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        let record = Record {
            name,
            identity: *identity,
            hash,
        };
        Some((record, Self(rest)))
    }

    /// The record of this name, which comes behind those that were asked for before.
    pub(super) fn find(&mut self, name: &[u8]) -> Option<Record<'r>> {
        while let Some((record, rest)) = self.first().filter(|(record, _)| record.name <= name) {
            *self = rest;
            if record.name == name {
                return Some(record);
            }
        }
        None
    }
}

impl<'r> Iterator for Records<'r> {
    type Item = Record<'r>;

    fn next(&mut self) -> Option<Record<'r>> {
        let (record, rest) = self.first()?;
        *self = rest;
        Some(record)
    }
}

/// Old records and new ones, of which the latter count, in order.
pub(super) fn merge(old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut merged = Vec::with_capacity(old.len() + new.len());
    let mut new = Records(new).peekable();
    for record in Records(old) {
        while let Some(earlier) = new.next_if(|new| new.name < record.name) {
            earlier.add_to(&mut merged);
        }
        if new.peek().is_none_or(|new| new.name != record.name) {
            record.add_to(&mut merged);
        }
    }
    new.for_each(|record| record.add_to(&mut merged));
    merged
}
