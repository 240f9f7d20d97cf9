//! One page of a bolt file, out of its bytes. Pure; every offset is checked.

/// Header of a page: number (8), flags (2), count (2), overflow (4).
const HEADER: usize = 16;
/// Element of a branch page: offset of the key from the element (4), its length (4), page (8).
/// Element of a leaf page: flags (4), offset of the key from the element (4), lengths of key and value (4, 4).
const ELEMENT: usize = 16;
/// Header of a bucket in a value: root page (8), sequence (8).
pub(super) const BUCKET_LENGTH: usize = 16;

const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const META: u16 = 0x04;
const BUCKET: u32 = 0x01;

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
/// What a checksum covers: all of the meta page's record before it.
const SUMMED: usize = 56;
/// A meta page as far as it is used.
pub(super) const META_LENGTH: usize = HEADER + SUMMED + 8;

/// A valid meta page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) page_size: u64,
    /// The root page of the bucket of buckets.
    pub(super) root: u64,
    /// One more than the highest page in use.
    pub(super) pages: u64,
    pub(super) transaction: u64,
}

impl Meta {
    /// The meta page at the beginning of these bytes, if it is one that counts.
    pub(super) fn parse(page: &[u8]) -> Option<Self> {
        let bytes = page.get(HEADER..)?;
        let is_meta = number(page, 8, u16::from_ne_bytes)? & META != 0;
        let known = number(bytes, 0, u32::from_ne_bytes)? == MAGIC && number(bytes, 4, u32::from_ne_bytes)? == VERSION;
        let sum = number(bytes, SUMMED, u64::from_ne_bytes)?;
        if !is_meta || !known || checksum(bytes.get(..SUMMED)?) != sum {
            return None;
        }
        let page_size = u64::from(number(bytes, 8, u32::from_ne_bytes)?);
        if !page_size.is_power_of_two() || !(512..=16 << 20).contains(&page_size) {
            return None;
        }
        Some(Self {
            page_size,
            root: number(bytes, 16, u64::from_ne_bytes)?,
            pages: number(bytes, 40, u64::from_ne_bytes)?,
            transaction: number(bytes, 48, u64::from_ne_bytes)?,
        })
    }
}

/// FNV-1a with 64 bits.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn number<T, const N: usize>(bytes: &[u8], at: usize, convert: fn([u8; N]) -> T) -> Option<T> {
    let bytes = bytes.get(at..at.checked_add(N)?)?;
    Some(convert(bytes.try_into().ok()?))
}

/// How many pages follow that belong to this one.
pub(super) fn overflow(page: &[u8]) -> u32 {
    number(page, 12, u32::from_ne_bytes).unwrap_or(0)
}

/// The root page of a bucket; 0 where its only page follows inside the value.
pub(super) fn bucket_root(value: &[u8]) -> Result<u64, String> {
    if value.len() < BUCKET_LENGTH {
        return Err("a bucket is cut off".to_owned());
    }
    number(value, 0, u64::from_ne_bytes).ok_or_else(|| "a bucket is cut off".to_owned())
}

/// A branch or leaf page.
pub(super) struct Page {
    bytes: Vec<u8>,
    is_leaf: bool,
    count: usize,
}

/// A key of a leaf page, and what it has.
pub(super) struct Leaf {
    pub(super) key: Vec<u8>,
    pub(super) is_bucket: bool,
    pub(super) value: Vec<u8>,
}

/// Where a search for a key leads from one page.
pub(super) enum Found {
    /// To another page.
    Below(u64),
    /// The key is here.
    Here { is_bucket: bool, value: Vec<u8> },
    /// The tree hasn't got it.
    Nothing,
}

impl Page {
    /// A page out of its bytes, overflow included; inline pages have no number.
    pub(super) fn parse(bytes: Vec<u8>, expected: Option<u64>) -> Result<Self, String> {
        let cut_off = || "is cut off".to_owned();
        let own = number(&bytes, 0, u64::from_ne_bytes).ok_or_else(cut_off)?;
        let flags = number(&bytes, 8, u16::from_ne_bytes).ok_or_else(cut_off)?;
        let count = usize::from(number(&bytes, 10, u16::from_ne_bytes).ok_or_else(cut_off)?);
        if let Some(expected) = expected.filter(|expected| *expected != own) {
            return Err(format!("has the number {own} in place of {expected}"));
        }
        let is_leaf = match flags {
            LEAF => true,
            BRANCH if expected.is_some() => false,
            _ => return Err(format!("is neither branch nor leaf (flags {flags:#x})")),
        };
        if HEADER + count * ELEMENT > bytes.len() {
            return Err(cut_off());
        }
        Ok(Self { bytes, is_leaf, count })
    }

    /// Where a key is, or which page to look at next.
    pub(super) fn find(&self, key: &[u8]) -> Result<Found, String> {
        if self.is_leaf {
            for at in 0..self.count {
                let (flags, found, value) = self.leaf(at)?;
                if found == key {
                    return Ok(Found::Here {
                        is_bucket: flags & BUCKET != 0,
                        value: value.to_vec(),
                    });
                }
            }
            return Ok(Found::Nothing);
        }
        // The last page whose first key isn't greater; a key before them all would be put into the first.
        let mut below = None;
        for at in 0..self.count {
            let (first, number) = self.branch(at)?;
            if at > 0 && first > key {
                break;
            }
            below = Some(number);
        }
        Ok(below.map_or(Found::Nothing, Found::Below))
    }

    /// What a leaf page has; nothing for a branch page.
    pub(super) fn leaves(&self) -> Result<Vec<Leaf>, String> {
        let count = if self.is_leaf { self.count } else { 0 };
        let leaf = |at| {
            let (flags, key, value) = self.leaf(at)?;
            Ok(Leaf {
                key: key.to_vec(),
                is_bucket: flags & BUCKET != 0,
                value: value.to_vec(),
            })
        };
        (0..count).map(leaf).collect()
    }

    /// The pages below a branch page; none for a leaf page.
    pub(super) fn below(&self) -> Result<Vec<u64>, String> {
        let count = if self.is_leaf { 0 } else { self.count };
        (0..count).map(|at| self.branch(at).map(|(_, number)| number)).collect()
    }

    fn leaf(&self, at: usize) -> Result<(u32, &[u8], &[u8]), String> {
        let element = HEADER + at * ELEMENT;
        let flags = self.number32(element)?;
        let (key_length, value_length) = (self.number32(element + 8)?, self.number32(element + 12)?);
        let key = self.slice(element, self.number32(element + 4)?, 0, key_length)?;
        let value = self.slice(element, self.number32(element + 4)?, key_length, value_length)?;
        Ok((flags, key, value))
    }

    fn branch(&self, at: usize) -> Result<(&[u8], u64), String> {
        let element = HEADER + at * ELEMENT;
        let key = self.slice(element, self.number32(element)?, 0, self.number32(element + 4)?)?;
        let number = number(&self.bytes, element + 8, u64::from_ne_bytes).ok_or("is cut off")?;
        Ok((key, number))
    }

    fn number32(&self, at: usize) -> Result<u32, String> {
        number(&self.bytes, at, u32::from_ne_bytes).ok_or_else(|| "is cut off".to_owned())
    }

    /// Bytes at an offset from an element.
    fn slice(&self, element: usize, offset: u32, skip: u32, length: u32) -> Result<&[u8], String> {
        let start = element as u64 + u64::from(offset) + u64::from(skip);
        let range = usize::try_from(start)
            .ok()
            .zip(usize::try_from(start + u64::from(length)).ok());
        range
            .and_then(|(start, end)| self.bytes.get(start..end))
            .ok_or_else(|| "has a key or value beyond its end".to_owned())
    }
}
