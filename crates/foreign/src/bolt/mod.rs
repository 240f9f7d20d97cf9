//! A reader of bbolt's database files, in which containerd keeps its records (etcd-io/bbolt, `internal/common`).
//!
//! # The format
//! A file is a row of pages of equal size. Pages 0 and 1 are *meta pages*: each names the root of a B+ tree and the
//! number of the transaction that wrote it, with a checksum (FNV-1a) over both. The valid one with the higher number
//! counts. A *branch page* lists keys and pages, a *leaf page* keys and values; a page too small goes on in those that
//! follow (overflow). A value may be a *bucket*: the root page of another tree, or a whole small leaf page inside the
//! value (inline). All numbers are in the byte order of the machine that wrote them.
//!
//! # Reading without the lock
//! containerd holds an exclusive flock(2) on its files as long as it runs, so the lock can't be had. It isn't needed:
//! bbolt never writes a page that the last committed tree reaches. Transaction *T + 1* writes new pages to places that
//! are free in *T*, then the meta page that *T - 1* had; only *T + 2* may write where *T*'s own pages are. So what was
//! read by following *T*'s meta page is whole if *T* still is the last transaction afterwards; otherwise it is read
//! again. A meta page caught half-written fails its checksum, and the other one then fails that test.
//!
//! # Damaged and hostile files
//! Every offset and length is checked against the page it is in, every page number against the file; depth, page
//! length and the number of pages one reading may visit are bounded.

mod page;
#[cfg(test)]
pub(crate) mod writer;

use crate::error::{Error, IoExt, Result};
use page::{Meta, Page};
use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a reading is begun again before giving up on a busy writer: a busy machine is slow to read, too.
const PATIENCE: Duration = Duration::from_secs(15);
/// The deepest tree: with two keys a page, more entries than a file can have pages.
const DEEPEST: usize = 48;
/// The longest page with its overflow.
const LONGEST_PAGE: u64 = 64 << 20;
/// What one reading may read in all.
const MOST_BYTES: u64 = 256 << 20;

/// An open database file.
#[derive(Debug)]
pub(crate) struct Database {
    file: File,
    path: PathBuf,
}

impl Database {
    /// Opens a file to read; `None` where there is none.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            result => Ok(Some(Self {
                file: result.on("read", path)?,
                path: path.to_owned(),
            })),
        }
    }

    /// Runs `reading` on one committed state of the database, again while the writer is faster. What `reading` has to
    /// say of a state that is gone, errors too, is forgotten.
    pub(crate) fn read<T>(&self, reading: impl Fn(&Bucket<'_>) -> Result<T>) -> Result<T> {
        let begun = Instant::now();
        let mut pause = Duration::ZERO;
        while begun.elapsed() < PATIENCE {
            let meta = self.meta()?;
            let transaction = Transaction {
                database: self,
                meta,
                left: Cell::new(MOST_BYTES),
            };
            let result = reading(&Bucket {
                transaction: &transaction,
                root: Root::Page(meta.root),
            });
            if self.meta()? == meta {
                return result;
            }
            std::thread::sleep(pause);
            pause = (pause + Duration::from_millis(1)).min(Duration::from_millis(20));
        }
        Err(self.damaged("it changes faster than it can be read"))
    }

    /// The meta page that counts.
    fn meta(&self) -> Result<Meta> {
        let first = self.meta_at(0)?;
        let sizes = match first {
            Some(first) => vec![first.page_size],
            // The second page's place depends on the page size, which only a meta page tells.
            None => (10..=24).map(|power| 1 << power).collect(),
        };
        let mut second = None;
        for size in sizes {
            second = self.meta_at(size)?.filter(|meta| meta.page_size == size);
            if second.is_some() {
                break;
            }
        }
        let metas = first.into_iter().chain(second);
        metas
            .max_by_key(|meta| meta.transaction)
            .ok_or_else(|| self.damaged("it is no bolt database, or of another version or machine"))
    }

    fn meta_at(&self, offset: u64) -> Result<Option<Meta>> {
        let mut bytes = [0; page::META_LENGTH];
        match self.file.read_exact_at(&mut bytes, offset) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
            result => result.on("read", &self.path).map(|()| Meta::parse(&bytes)),
        }
    }

    fn damaged(&self, reason: impl Into<String>) -> Error {
        Error::damaged(&self.path, reason)
    }
}

/// One state of the database, as one meta page names it.
struct Transaction<'a> {
    database: &'a Database,
    meta: Meta,
    /// Bytes that may still be read.
    left: Cell<u64>,
}

impl Transaction<'_> {
    fn page(&self, number: u64) -> Result<Page> {
        let size = self.meta.page_size;
        let damaged = |what: &str| self.database.damaged(format!("page {number} {what}"));
        if number < 2 || number >= self.meta.pages {
            return Err(damaged("is none of the tree's"));
        }
        let offset = number.checked_mul(size).ok_or_else(|| damaged("is beyond the end"))?;
        let mut bytes = self.bytes(offset, size).map_err(|error| self.reading(number, error))?;
        let overflow = page::overflow(&bytes);
        let length = (u64::from(overflow) + 1) * size;
        if length > LONGEST_PAGE || u64::from(overflow) >= self.meta.pages - number {
            return Err(damaged("is too long"));
        }
        if overflow > 0 {
            bytes = self
                .bytes(offset, length)
                .map_err(|error| self.reading(number, error))?;
        }
        Page::parse(bytes, Some(number)).map_err(|what| damaged(&what))
    }

    fn bytes(&self, offset: u64, length: u64) -> Result<Vec<u8>, std::io::Error> {
        let left = self.left.get().checked_sub(length);
        self.left.set(left.ok_or(std::io::ErrorKind::FileTooLarge)?);
        let length = usize::try_from(length).map_err(|_| std::io::ErrorKind::FileTooLarge)?;
        let mut bytes = vec![0; length];
        self.database.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn reading(&self, number: u64, error: std::io::Error) -> Error {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => self.database.damaged(format!("page {number} is beyond the end")),
            std::io::ErrorKind::FileTooLarge => self.database.damaged("its tree goes on and on"),
            _ => Error::Io {
                action: "read",
                path: self.database.path.clone(),
                source: error,
            },
        }
    }
}

/// Keys, with values or further buckets.
#[derive(Clone)]
pub(crate) struct Bucket<'a> {
    transaction: &'a Transaction<'a>,
    root: Root,
}

/// Where a bucket's tree begins.
#[derive(Clone)]
enum Root {
    Page(u64),
    Inline(Vec<u8>),
}

/// What a key has.
pub(crate) enum Entry<'a> {
    /// Bytes.
    Value(Vec<u8>),
    /// More keys.
    Bucket(Bucket<'a>),
}

impl<'a> Bucket<'a> {
    /// What a key has, if it is there.
    pub(crate) fn entry(&self, key: &[u8]) -> Result<Option<Entry<'a>>> {
        let mut page = self.root_page()?;
        for _ in 0..DEEPEST {
            match page.find(key).map_err(|what| self.damaged(what))? {
                page::Found::Below(number) => page = self.transaction.page(number)?,
                page::Found::Here { is_bucket, value } => return self.open(is_bucket, value).map(Some),
                page::Found::Nothing => return Ok(None),
            }
        }
        Err(self.damaged("its tree is too deep".to_owned()))
    }

    /// The value of a key; `None` where there is none, or a bucket.
    pub(crate) fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(match self.entry(key)? {
            Some(Entry::Value(value)) => Some(value),
            _ => None,
        })
    }

    /// The bucket below a key; `None` where there is none, or a value.
    pub(crate) fn bucket(&self, key: &[u8]) -> Result<Option<Bucket<'a>>> {
        Ok(match self.entry(key)? {
            Some(Entry::Bucket(bucket)) => Some(bucket),
            _ => None,
        })
    }

    /// The bucket below keys, one below the other.
    pub(crate) fn descend(&self, keys: &[&[u8]]) -> Result<Option<Bucket<'a>>> {
        let mut bucket = self.clone();
        for key in keys {
            match bucket.bucket(key)? {
                Some(below) => bucket = below,
                None => return Ok(None),
            }
        }
        Ok(Some(bucket))
    }

    /// The buckets of this bucket, in the order of their keys.
    pub(crate) fn buckets(&self) -> Result<Vec<(Vec<u8>, Bucket<'a>)>> {
        let mut buckets = Vec::new();
        let mut waiting = vec![(self.root_page()?, 0)];
        while let Some((page, depth)) = waiting.pop() {
            if depth > DEEPEST {
                return Err(self.damaged("its tree is too deep".to_owned()));
            }
            for leaf in page.leaves().map_err(|what| self.damaged(what))? {
                if let Entry::Bucket(bucket) = self.open(leaf.is_bucket, leaf.value)? {
                    buckets.push((leaf.key, bucket));
                }
            }
            // The last first, so that the first is taken next.
            for number in page.below().map_err(|what| self.damaged(what))?.into_iter().rev() {
                waiting.push((self.transaction.page(number)?, depth + 1));
            }
        }
        Ok(buckets)
    }

    fn root_page(&self) -> Result<Page> {
        match &self.root {
            Root::Page(number) => self.transaction.page(*number),
            Root::Inline(bytes) => Page::parse(bytes.clone(), None).map_err(|what| self.damaged(what)),
        }
    }

    fn open(&self, is_bucket: bool, value: Vec<u8>) -> Result<Entry<'a>> {
        if !is_bucket {
            return Ok(Entry::Value(value));
        }
        let root = match page::bucket_root(&value).map_err(|what| self.damaged(what))? {
            0 => Root::Inline(value[page::BUCKET_LENGTH..].to_vec()),
            number => Root::Page(number),
        };
        Ok(Entry::Bucket(Bucket {
            transaction: self.transaction,
            root,
        }))
    }

    fn damaged(&self, what: String) -> Error {
        self.transaction.database.damaged(what)
    }
}

#[cfg(test)]
mod tests;
