//! What has been seen of one root: lookups, directories with variants, and parsed objects, each read once.

use crate::elf::{Elf, ElfError, Scratch};
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;
use wiac_sys::map::HashMap;
use wiac_sys::root::{FileKind, Resolved, Root, Walk};

/// Longest configuration file read (ld.so.cache of a large desktop: 300 kB).
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Buffers for files are multiples of this, so that one that is spare serves the next file.
const BLOCK: usize = 16 * 1024;

/// A root and what has been read of it.
pub(crate) struct Files<'r> {
    pub walk: Walk<'r>,
    /// Where paths led, by their bytes: the same libraries are asked for again and again.
    found: HashMap<OsString, Rc<Resolved>>,
    /// By the bytes of canonical paths.
    objects: HashMap<OsString, Result<Rc<Elf>, ElfError>>,
    /// The file opened last, by its identity: a loader is read once more behind its headers.
    last: Option<((u64, u64), File)>,
    /// A buffer that is done with.
    pub spare: Vec<u8>,
    scratch: Scratch,
}

impl<'r> Files<'r> {
    pub fn new(root: &'r Root) -> Self {
        Self {
            walk: root.walk(),
            found: HashMap::default(),
            objects: HashMap::default(),
            last: None,
            spare: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Where a path leads; `None` where it leads nowhere, for whatever reason: one that says nothing of the path is told
    /// in the end (`Collector::judge`).
    pub fn find(&mut self, path: &Path) -> Option<Rc<Resolved>> {
        if let Some(known) = self.found.get(path.as_os_str()) {
            return Some(Rc::clone(known));
        }
        // Most paths tried lead nowhere, and nobody wants to read why.
        let resolved = Rc::new(self.walk.trace(path).ok()?);
        self.found.insert(path.as_os_str().to_owned(), Rc::clone(&resolved));
        Some(resolved)
    }

    /// The regular file that a path leads to.
    pub fn find_file(&mut self, path: &Path) -> Option<Rc<Resolved>> {
        self.find(path).filter(|found| found.metadata.kind == FileKind::File)
    }

    pub fn is_directory(&mut self, path: &Path) -> bool {
        self.find(path)
            .is_some_and(|found| found.metadata.kind == FileKind::Directory)
    }

    /// The ELF file at a resolved path.
    pub fn elf(&mut self, resolved: &Resolved) -> Result<Rc<Elf>, ElfError> {
        if let Some(known) = self.objects.get(resolved.path.as_os_str()) {
            return known.clone();
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let parsed = self
            .open(resolved)
            .map_err(|error| ElfError::Unreadable(error.errno()))
            .and_then(|file| Elf::parse_with(file, &mut scratch))
            .map(Rc::new);
        self.scratch = scratch;
        self.objects
            .insert(resolved.path.clone().into_os_string(), parsed.clone());
        parsed
    }

    /// The file at a resolved path, for reading at offsets.
    pub fn open(&mut self, resolved: &Resolved) -> Result<&File, wiac_sys::Error> {
        let identity = resolved.metadata.identity;
        let known = self.last.take().filter(|(of, _)| *of == identity);
        let file = match known {
            Some((_, file)) => file,
            None => self.walk.open_file(resolved)?,
        };
        Ok(&self.last.insert((identity, file)).1)
    }

    /// The content of a configuration file; `None` where there's none that can be read.
    pub fn read(&mut self, path: &Path) -> Option<Vec<u8>> {
        let resolved = self.find_file(path)?;
        self.read_start(&resolved, MAX_FILE).ok()
    }

    /// The first bytes of a file, at most `limit`.
    pub fn read_start(&mut self, resolved: &Resolved, limit: u64) -> Result<Vec<u8>, wiac_sys::Error> {
        let size = usize::try_from(resolved.metadata.size.min(limit)).unwrap_or_default();
        let mut file = self.walk.open_file(resolved)?;
        read_whole(&mut file, self.buffer(size), limit).map_err(|error| {
            let errno = rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO);
            let shown = resolved.path.display().to_string().escape_debug().to_string();
            wiac_sys::Error::new("read", shown, errno)
        })
    }

    /// A buffer of this length to read into.
    pub fn buffer(&mut self, length: usize) -> Vec<u8> {
        let mut data = std::mem::take(&mut self.spare);
        data.reserve_exact(length.next_multiple_of(BLOCK).saturating_sub(data.len()));
        data.resize(length, 0);
        data
    }
}

/// Reads a file in one go, in the length that was seen; one that has become shorter, or whose file system knows no lengths
/// (procfs), until it ends or to `limit`.
fn read_whole(file: &mut File, mut data: Vec<u8>, limit: u64) -> std::io::Result<Vec<u8>> {
    let size = data.len();
    let length = file.read(&mut data)?;
    data.truncate(length);
    if length < size || size == 0 {
        file.take(limit - length as u64).read_to_end(&mut data)?;
    }
    Ok(data)
}
