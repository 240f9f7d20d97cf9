//! What has been seen of one root: lookups, directories with variants, and parsed objects, each read once.

use crate::elf::{Elf, ElfError};
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;
use wiac_sys::root::{FileKind, Resolved, Root, Walk};

/// Longest configuration file read (ld.so.cache of a large desktop: 300 kB).
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// A root and what has been read of it.
pub(crate) struct Files<'r> {
    pub walk: Walk<'r>,
    /// By the bytes of canonical paths.
    objects: HashMap<OsString, Result<Rc<Elf>, ElfError>>,
}

impl<'r> Files<'r> {
    pub fn new(root: &'r Root) -> Self {
        Self {
            walk: root.walk(),
            objects: HashMap::new(),
        }
    }

    /// Where a path leads; `None` where it leads nowhere, for whatever reason.
    pub fn find(&mut self, path: &Path) -> Option<Resolved> {
        self.walk.resolve(path).ok()
    }

    /// The regular file that a path leads to.
    pub fn find_file(&mut self, path: &Path) -> Option<Resolved> {
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
        let parsed = self
            .walk
            .open_file(resolved)
            .map_err(|error| ElfError::Unreadable(error.errno()))
            .and_then(|file| Elf::parse(&file))
            .map(Rc::new);
        self.objects
            .insert(resolved.path.clone().into_os_string(), parsed.clone());
        parsed
    }

    /// The content of a configuration file; `None` where there's none that can be read.
    pub fn read(&mut self, path: &Path) -> Option<Vec<u8>> {
        let resolved = self.find_file(path)?;
        self.read_start(&resolved, MAX_FILE).ok()
    }

    /// The first bytes of a file, at most `limit`.
    pub fn read_start(&mut self, resolved: &Resolved, limit: u64) -> Result<Vec<u8>, wiac_sys::Error> {
        let file = self.walk.open_file(resolved)?;
        let capacity = resolved.metadata.size.min(limit);
        let mut data = Vec::with_capacity(usize::try_from(capacity).unwrap_or_default());
        match file.take(limit).read_to_end(&mut data) {
            Ok(_) => Ok(data),
            Err(error) => {
                let errno = rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO);
                let shown = resolved.path.display().to_string().escape_debug().to_string();
                Err(wiac_sys::Error::new("read", shown, errno))
            }
        }
    }
}
