//! Where an image goes: the files it is made of, written into a tar or a directory.

use super::pending::write_by_rename;
use crate::error::{IoExt, Result};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use tar_core::EntryType;
use tar_core::builder::EntryBuilder;

/// A tar or a directory being written.
pub(super) enum Sink<'o> {
    /// A tar. Nothing in it depends on when and by whom it is written.
    Tar {
        /// Where to.
        out: &'o mut File,
        /// Its name in messages.
        shown: PathBuf,
        /// Directories that have an entry.
        directories: Vec<String>,
    },
    /// A directory.
    Directory(PathBuf),
}

impl<'o> Sink<'o> {
    /// A tar written to `out`.
    pub(super) fn tar(out: &'o mut File, shown: &Path) -> Self {
        Self::Tar {
            out,
            shown: shown.to_owned(),
            directories: Vec::new(),
        }
    }

    /// Writes a small file.
    pub(super) fn document(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.entry(name, bytes.len() as u64, |out| out.write_all(bytes))
    }

    /// Copies a file to its end, within the kernel where that is possible.
    pub(super) fn file(&mut self, name: &str, file: &File, size: u64) -> Result<()> {
        self.entry(name, size, |out| copy(&mut file.take(size), out, size))
    }

    /// Copies a stream of a known length.
    pub(super) fn stream(&mut self, name: &str, source: &mut dyn Read, size: u64) -> Result<()> {
        self.entry(name, size, |out| copy(&mut source.take(size), out, size))
    }

    fn entry(&mut self, name: &str, size: u64, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
        match self {
            Self::Tar {
                out,
                shown,
                directories,
            } => {
                let missing = parents(name).filter(|parent| !directories.iter().any(|known| known == parent));
                for parent in missing.map(str::to_owned).collect::<Vec<_>>() {
                    header(out, &format!("{parent}/"), 0).on("write", shown)?;
                    directories.push(parent);
                }
                header(out, name, size)
                    .and_then(|()| write(out))
                    .and_then(|()| pad(out, size))
                    .on("write", shown)
            }
            Self::Directory(directory) => {
                let path = directory.join(name);
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent).on("create", parent)?;
                }
                write_by_rename(&path, write)
            }
        }
    }

    /// Ends a tar.
    pub(super) fn finish(self) -> Result<()> {
        match self {
            Self::Tar { out, shown, .. } => out.write_all(&[0; 1024]).on("write", &shown),
            Self::Directory(_) => Ok(()),
        }
    }
}

/// `a`, `a/b` for `a/b/c`.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').map(|(at, _)| &name[..at])
}

fn header(out: &mut File, name: &str, size: u64) -> io::Result<()> {
    let mut entry = EntryBuilder::new_ustar();
    let is_directory = name.ends_with('/');
    let kind = if is_directory {
        EntryType::Directory
    } else {
        EntryType::Regular
    };
    let built = entry
        .path(name)
        .entry_type(kind)
        .size(size)
        .and_then(|entry| entry.mode(if is_directory { 0o755 } else { 0o644 }))
        .and_then(|entry| entry.uid(0))
        .and_then(|entry| entry.gid(0))
        .and_then(|entry| entry.mtime(0));
    built.map_err(|error| io::Error::other(error.to_string()))?;
    out.write_all(&entry.finish_bytes())
}

fn copy(source: &mut impl Read, out: &mut File, size: u64) -> io::Result<()> {
    match io::copy(source, out)? {
        copied if copied == size => Ok(()),
        copied => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("the source ended after {copied} of {size} bytes"),
        )),
    }
}

fn pad(out: &mut File, size: u64) -> io::Result<()> {
    let rest = size.next_multiple_of(512) - size;
    io::copy(&mut io::repeat(0).take(rest), out).map(drop)
}
