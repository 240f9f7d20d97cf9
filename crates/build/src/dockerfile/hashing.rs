//! What the files that COPY takes contribute to a cache key, and how the file system describes them: whether one
//! changed while it was copied.

use super::selection::Selection;
use super::tree::{Picked, names, open_parent};
use crate::context::Source;
use crate::copy::{self, Choice};
use crate::error::{Error, IoExt, Result};
use crate::hashes::{self, HashTable};
use crate::key::KeyMaker;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use wiac_dockerfile::ignore::IgnorePatterns;

/// What the file system said of all files taken: another one means that something changed.
pub(super) type Fingerprint = String;

/// As many files as a [`Manifest`] names.
const MOST_NAMED: usize = 4096;

/// The files that a step takes, for whoever asks later what changed.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    /// Their paths, with a short hash of what they are; none where they are more than [`MOST_NAMED`].
    pub(super) files: Vec<(String, String)>,
    /// How many they are.
    pub(super) count: usize,
    /// Where they are too many: those whose remembered hash was another one.
    pub(super) changed: Vec<String>,
}

impl Manifest {
    fn add(&mut self, path: &Path, what: impl FnOnce() -> String) {
        self.count += 1;
        match self.count.cmp(&(MOST_NAMED + 1)) {
            std::cmp::Ordering::Less => {
                // One that was picked itself ends with a slash.
                let path = path.to_string_lossy().trim_end_matches('/').to_owned();
                self.files.push((path, what()));
            }
            std::cmp::Ordering::Equal => self.files = Vec::new(),
            std::cmp::Ordering::Greater => {}
        }
    }
}

/// Adds what the picked entries are: names, types, modes, contents and attributes; no times, and owners only where
/// they are kept.
pub(super) fn add_to_key(
    source: &Source,
    picked: &[Picked],
    exclude: &IgnorePatterns,
    owners: bool,
    key: &mut KeyMaker,
) -> Result<Fingerprint> {
    let mut walk = Walk::new(Some(key), source.hashes.as_ref(), owners);
    walk.all(source, picked, exclude)?;
    Ok(walk.stats.finish())
}

/// The same, and what the files are by name.
pub(super) fn add_to_key_named(
    source: &Source,
    picked: &[Picked],
    exclude: &IgnorePatterns,
    owners: bool,
    key: &mut KeyMaker,
) -> Result<(Fingerprint, Manifest)> {
    let mut walk = Walk::new(Some(key), source.hashes.as_ref(), owners);
    walk.manifest = Some(Manifest::default());
    walk.all(source, picked, exclude)?;
    let mut manifest = walk.manifest.take().unwrap_or_default();
    if let (true, Some(table)) = (manifest.files.is_empty(), &source.hashes) {
        manifest.changed = table.changed();
    }
    Ok((walk.stats.finish(), manifest))
}

/// The fingerprint alone, without reading any file.
pub(super) fn fingerprint(source: &Source, picked: &[Picked], exclude: &IgnorePatterns) -> Result<Fingerprint> {
    let mut walk = Walk::new(None, None, false);
    walk.all(source, picked, exclude)?;
    Ok(walk.stats.finish())
}

/// A walk through what is taken.
struct Walk<'h> {
    /// Gets what the files are; `None` where only the fingerprint is wanted.
    key: Option<&'h mut KeyMaker>,
    table: Option<&'h HashTable>,
    stats: KeyMaker,
    owners: bool,
    /// Directories that count only once something in them does.
    pending: Vec<String>,
    manifest: Option<Manifest>,
}

impl<'h> Walk<'h> {
    fn new(key: Option<&'h mut KeyMaker>, table: Option<&'h HashTable>, owners: bool) -> Self {
        Self {
            key,
            table,
            stats: KeyMaker::new("stats"),
            owners,
            pending: Vec::new(),
            manifest: None,
        }
    }

    fn all(&mut self, source: &Source, picked: &[Picked], exclude: &IgnorePatterns) -> Result<()> {
        for one in picked {
            self.add(one.name.as_bytes());
            let directory = open_parent(source, &one.path)?;
            let name = one.path.file_name().unwrap_or(OsStr::new("."));
            let selection = one.selection(source, exclude);
            // Of a directory the contents are copied: its own mode and owner count for nothing.
            if one.is_directory {
                self.directory(&selection, directory.as_fd(), name, Path::new(""))?;
            } else {
                self.entry(&selection, directory.as_fd(), name, Path::new(""))?;
            }
        }
        // Where that wasn't gone on with, something is missing.
        source.check()
    }

    fn add(&mut self, part: impl AsRef<[u8]>) {
        if let Some(key) = &mut self.key {
            key.add(part);
        }
    }

    /// An entry that may be taken; `relative` is empty for one that was picked itself.
    fn entry(
        &mut self,
        selection: &Selection<'_>,
        directory: BorrowedFd<'_>,
        name: &OsStr,
        relative: &Path,
    ) -> Result<()> {
        let path = selection.base.join(relative);
        let place = || selection.source.place.join(&path);
        let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).on("look at", &place())?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let is_picked = relative.as_os_str().is_empty();
        let choice = if is_picked {
            Choice::Include
        } else {
            selection.choose(relative, copy::kind(kind))
        };
        if choice == Choice::Exclude {
            return Ok(());
        }
        let header = self.header(relative, &stat);
        if choice == Choice::Descend {
            let outer = self.pending.len();
            self.pending.push(header);
            self.directory(selection, directory, name, relative)?;
            self.pending.truncate(outer);
            return Ok(());
        }
        for above in std::mem::take(&mut self.pending) {
            self.add(above);
        }
        self.add(header);
        self.stats.add(hashes::describe(&stat));
        match kind {
            FileType::Directory => {
                self.name(&path, &stat, &[]);
                self.directory(selection, directory, name, relative)
            }
            FileType::RegularFile => self.file(selection.source, directory, name, &path, &stat),
            FileType::Symlink => {
                let text = rustix::fs::readlinkat(directory, name, Vec::new()).on("read", &place())?;
                self.add(text.as_bytes());
                self.name(&path, &stat, &hashes::short(text.as_bytes()));
                Ok(())
            }
            // Another stage may have them; in a build context they are there by accident.
            _ if !selection.source.is_local => {
                self.add(format!("{}", stat.st_rdev));
                Ok(())
            }
            _ => Err(special(&place())),
        }
    }

    /// For the manifest, where one is wanted.
    fn name(&mut self, path: &Path, stat: &Stat, content: &[u8]) {
        /// Enough to tell a change by.
        const BYTES: usize = 8;
        let owner = self.owners.then_some((stat.st_uid, stat.st_gid));
        if let Some(manifest) = &mut self.manifest {
            manifest.add(path, || {
                let mut what = format!("{:o}", stat.st_mode);
                if let Some((uid, gid)) = owner {
                    let _ = write!(what, " {uid}:{gid}");
                }
                what.push(' ');
                for byte in &content[..content.len().min(BYTES)] {
                    let _ = write!(what, "{byte:02x}");
                }
                what
            });
        }
    }

    /// Path, type and mode, and the owner where that counts.
    fn header(&self, relative: &Path, stat: &Stat) -> String {
        let path = relative.as_os_str().as_encoded_bytes();
        let mut header = String::with_capacity(path.len() + 24);
        match std::str::from_utf8(path) {
            // What most are: the general way takes as long as everything else together.
            Ok(text)
                if path
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"/._- +".contains(byte)) =>
            {
                header.push_str(text);
            }
            _ => header.extend(path.escape_ascii().map(char::from)),
        }
        let _ = write!(header, " {:o}", stat.st_mode);
        if self.owners {
            let _ = write!(header, " {}:{}", stat.st_uid, stat.st_gid);
        }
        header
    }

    fn directory(
        &mut self,
        selection: &Selection<'_>,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        relative: &Path,
    ) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let place = selection.source.place.join(selection.base.join(relative));
        let directory = rustix::fs::openat(parent, name, flags, Mode::empty()).on("open", &place)?;
        if self.key.is_some() && self.pending.is_empty() && !relative.as_os_str().is_empty() {
            for (name, value) in crate::directory::attributes(directory.as_fd()).on("read the attributes of", &place)? {
                if name != "security.selinux" {
                    self.add(name.as_encoded_bytes());
                    self.add(value);
                }
            }
        }
        for name in names(directory.as_fd(), &place)? {
            self.entry(selection, directory.as_fd(), &name, &relative.join(&name))?;
        }
        Ok(())
    }

    fn file(
        &mut self,
        source: &Source,
        directory: BorrowedFd<'_>,
        name: &OsStr,
        path: &Path,
        stat: &Stat,
    ) -> Result<()> {
        if self.key.is_none() {
            return Ok(());
        }
        let goes_on = || source.goes_on();
        let hash = match self.table {
            Some(table) => table.hash(directory, name, path.as_os_str().as_bytes(), stat, &goes_on),
            None => hashes::hash_file(directory, name, &goes_on),
        };
        // A path is put together only for a message: there are very many files.
        let hash = match hash {
            Ok(hash) => hash,
            Err(error) => {
                source.check()?;
                return Err(error).on("read", &source.place.join(path));
            }
        };
        self.add(hash);
        self.name(path, stat, &hash);
        Ok(())
    }
}

fn special(place: &Path) -> Error {
    Error::wrong_with_hint(
        format!(
            "{} is a device, FIFO or socket, which COPY doesn't take",
            place.display()
        ),
        "leave it out by a line in .dockerignore",
    )
}
