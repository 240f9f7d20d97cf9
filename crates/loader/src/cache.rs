//! The cache of libraries, /etc/ld.so.cache: pure reading of its two formats (ldconfig(8)), bounded throughout.
//!
//! A library found here in several variants (glibc-hwcaps, or the older hardware capability bits) gives one hit each.

use crate::arch::Architecture;

const NEW_MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const OLD_MAGIC: &[u8] = b"ld.so-1.7.0";
const EXTENSION_MAGIC: u32 = 0xeaa4_2174;
const HWCAPS_SECTION: u32 = 1;
/// Marks an entry whose low 32 bits number a glibc-hwcaps name (bits 32 to 41 hold its ISA level).
const EXTENSION_BIT: u64 = 1 << 62;
const ISA_LEVEL: u64 = 0x3ff << 32;
const MAX_STRING: usize = 4096;
const MAX_HWCAPS: usize = 256;

/// A parsed cache file.
#[derive(Debug)]
pub(crate) struct Cache {
    data: Vec<u8>,
    big_endian: bool,
    /// Where entries begin, how long one is, and how many there are.
    entries: usize,
    size: usize,
    count: usize,
    /// What string offsets count from.
    strings: usize,
    hwcaps: Vec<Vec<u8>>,
}

/// A library that the cache knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    pub path: Vec<u8>,
    /// The hardware it's a variant for; `None` is the one that runs everywhere.
    pub variant: Option<String>,
}

impl Cache {
    /// Reads a cache; `None` where it's in neither format. `big_endian` counts only where the file doesn't say.
    pub fn parse(data: Vec<u8>, big_endian: bool) -> Option<Self> {
        if data.starts_with(NEW_MAGIC) {
            return Self::parse_new(data, 0, big_endian);
        }
        if !data.starts_with(OLD_MAGIC) {
            return None;
        }
        let old = Self {
            entries: 16,
            size: 12,
            count: 0,
            strings: 0,
            big_endian,
            hwcaps: Vec::new(),
            data,
        };
        let count = old.word(12)? as usize;
        let end = 16_usize.checked_add(count.checked_mul(12)?)?;
        let new = end.next_multiple_of(8);
        for start in [new, end] {
            if old.data.get(start..).is_some_and(|rest| rest.starts_with(NEW_MAGIC)) {
                return Self::parse_new(old.data, start, big_endian);
            }
        }
        (end <= old.data.len()).then_some(Self {
            count,
            strings: end,
            ..old
        })
    }

    fn parse_new(data: Vec<u8>, base: usize, big_endian: bool) -> Option<Self> {
        let big_endian = match data.get(base + 28)? & 3 {
            3 => true,
            2 => false,
            _ => big_endian,
        };
        let mut cache = Self {
            data,
            big_endian,
            entries: base + 48,
            size: 24,
            count: 0,
            strings: base,
            hwcaps: Vec::new(),
        };
        let count = cache.word(base + 20)? as usize;
        let end = cache.entries.checked_add(count.checked_mul(cache.size)?)?;
        if end > cache.data.len() {
            return None;
        }
        cache.count = count;
        let extension = cache.word(base + 32)? as usize;
        if extension != 0 {
            cache.hwcaps = cache.read_hwcaps(extension).unwrap_or_default();
        }
        Some(cache)
    }

    /// The names of the hwcaps section of the extension at `start`. Its offsets count from the start of the file, also
    /// where the older format stands in front; those of the names don't.
    fn read_hwcaps(&self, start: usize) -> Option<Vec<Vec<u8>>> {
        if self.word(start)? != EXTENSION_MAGIC {
            return None;
        }
        let sections = self.word(start + 4)?.min(64) as usize;
        for section in 0..sections {
            let at = start + 8 + section * 16;
            if self.word(at)? != HWCAPS_SECTION {
                continue;
            }
            let offset = self.word(at + 8)? as usize;
            let count = (self.word(at + 12)? as usize / 4).min(MAX_HWCAPS);
            let names = (0..count).map(|index| {
                let name = self.word(offset.checked_add(index * 4)?)?;
                self.string(name).map(<[u8]>::to_vec)
            });
            return names.collect();
        }
        Some(Vec::new())
    }

    /// Every library called `name` that a loader of this architecture would take, baseline and variants.
    pub fn lookup(&self, name: &[u8], architecture: Architecture) -> Vec<Hit> {
        let Some(found) = self.search(name) else {
            return Vec::new();
        };
        let same = |index: usize| self.key(index).is_some_and(|key| compare(name, key).is_eq());
        let first = (0..found)
            .rev()
            .take_while(|index| same(*index))
            .last()
            .unwrap_or(found);
        let flags = architecture.traits().cache_flags;
        (first..self.count)
            .take_while(|index| same(*index))
            .filter(|index| flags.is_empty() || self.flags(*index).is_some_and(|entry| flags.contains(&entry)))
            .filter_map(|index| self.hit(index))
            .collect()
    }

    /// Binary search: the entries are sorted, greatest first.
    fn search(&self, name: &[u8]) -> Option<usize> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match compare(name, self.key(middle)?) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    fn hit(&self, index: usize) -> Option<Hit> {
        let at = self.entries + index * self.size;
        let path = self.string(self.word(at + 8)?)?.to_vec();
        if path.first() != Some(&b'/') {
            return None;
        }
        let variant = if self.size == 24 {
            self.variant(at, &path)?
        } else {
            None
        };
        // The older format has no word for it.
        let variant = variant.or_else(|| hwcaps_directory(&path));
        Some(Hit { path, variant })
    }

    /// The hardware that the entry at `at` is for. An entry with a damaged number is no entry.
    #[allow(
        clippy::option_option,
        reason = "outside: a sound entry; inside: for certain hardware only"
    )]
    fn variant(&self, at: usize, path: &[u8]) -> Option<Option<String>> {
        let hwcap = self.long(at + 16)?;
        if hwcap == 0 {
            return Some(None);
        }
        let name = if (hwcap & !ISA_LEVEL) >> 32 == EXTENSION_BIT >> 32 {
            let index = usize::try_from(hwcap & u64::from(u32::MAX)).ok()?;
            self.hwcaps.get(index)?.clone()
        } else {
            let mut steps = path.rsplit(|byte| *byte == b'/');
            steps.nth(1).unwrap_or_default().to_vec()
        };
        Some(Some(String::from_utf8_lossy(&name).into_owned()))
    }

    fn flags(&self, index: usize) -> Option<u32> {
        self.word(self.entries + index * self.size)
    }

    /// What begins with an entry's name: [`compare`] sees where it ends.
    fn key(&self, index: usize) -> Option<&[u8]> {
        let offset = self.word(self.entries + index * self.size + 4)?;
        self.data.get(self.strings.checked_add(offset as usize)?..)
    }

    fn string(&self, offset: u32) -> Option<&[u8]> {
        let start = self.strings.checked_add(offset as usize)?;
        let rest = self.data.get(start..)?;
        let rest = &rest[..rest.len().min(MAX_STRING)];
        let end = rest.iter().position(|byte| *byte == 0)?;
        Some(&rest[..end])
    }

    fn word(&self, at: usize) -> Option<u32> {
        let bytes = self.data.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    fn long(&self, at: usize) -> Option<u64> {
        let bytes = self.data.get(at..at.checked_add(8)?)?.try_into().ok()?;
        Some(if self.big_endian {
            u64::from_be_bytes(bytes)
        } else {
            u64::from_le_bytes(bytes)
        })
    }
}

/// The subdirectory of a glibc-hwcaps directory that a path lies in.
fn hwcaps_directory(path: &[u8]) -> Option<String> {
    let mut steps = path.rsplit(|byte| *byte == b'/').skip(1);
    let name = steps.next()?;
    let below = steps.next()? == b"glibc-hwcaps";
    below.then(|| String::from_utf8_lossy(name).into_owned())
}

/// The cache's own order of names: bytes, but a run of digits counts as one number, which is greater than any byte. The second
/// name ends at a zero or with the slice.
pub(crate) fn compare(mut a: &[u8], mut b: &[u8]) -> std::cmp::Ordering {
    use std::cmp::Ordering;
    let first_of = |name: &[u8]| name.first().copied().filter(|byte| *byte != 0);
    while let Some(first) = a.first() {
        match (first.is_ascii_digit(), b.first().is_some_and(u8::is_ascii_digit)) {
            (true, true) => {
                let order = number(&mut a).cmp(&number(&mut b));
                if order.is_ne() {
                    return order;
                }
            }
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (false, false) => {
                let order = Some(*first).cmp(&first_of(b));
                if order.is_ne() {
                    return order;
                }
                a = &a[1..];
                b = &b[1..];
            }
        }
    }
    first_of(b).map_or(Ordering::Equal, |_| Ordering::Less)
}

/// Takes the digits off the front; the number wraps as the loader's does.
fn number(text: &mut &[u8]) -> i32 {
    let mut value = 0_i32;
    while let Some((digit, rest)) = text.split_first().filter(|(digit, _)| digit.is_ascii_digit()) {
        value = value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0'));
        *text = rest;
    }
    value
}
