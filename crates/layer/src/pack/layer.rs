//! Packing one layer directory: its marks become the files that OCI layers have for them.

use super::emit::{Emitter, refuse_reserved};
use super::{PackOptions, Packed};
use crate::error::{IoExt, Result};
use crate::marks::{is_opaque, is_whiteout};
use crate::merged::directory_at;
use crate::owners::{Intended, OwnerRecord};
use crate::path::join;
use crate::tar::{Limits, refuse};
use crate::unpack::inside::Inside;
use crate::unpack::path::{OPAQUE, WHITEOUT};
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Packs the layer directory `layer` (which may be O_PATH) as a tar. The same tree on the same layers gives the same
/// bytes.
///
/// # Errors
/// [`crate::Error::Archive`] for what a tar can't express, with the path and the reason; [`crate::Error::Sink`]
/// where `out` fails; [`crate::Error::Io`] where the layer can't be read.
pub fn pack(layer: impl AsFd, out: &mut dyn Write, options: &PackOptions<'_>) -> Result<Packed> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(layer, ".", flags, Mode::empty()).on("open", Path::new("."))?;
    let mut packing = Packing {
        inside: Inside::new(root),
        emitter: Emitter::new(out, options.clamp),
        options,
    };
    packing.run()?;
    packing.emitter.finish()
}

struct Packing<'p, 'w> {
    inside: Inside,
    emitter: Emitter<'w>,
    options: &'p PackOptions<'p>,
}

/// A name of a directory, by what it is called in the tar.
struct Item {
    packed_as: Vec<u8>,
    name: OsString,
    found: Found,
}

enum Found {
    Opaque,
    Whiteout,
    File(Box<Stat>),
    Directory,
}

/// A directory whose names are being packed.
struct Level {
    path: Vec<u8>,
    /// Still to come, the next one last.
    items: Vec<Item>,
}

impl Packing<'_, '_> {
    fn run(&mut self) -> Result<()> {
        let mut levels = vec![self.enter(Vec::new())?];
        while let Some(level) = levels.last_mut() {
            let Some(item) = level.items.pop() else {
                levels.pop();
                continue;
            };
            let path = join(&level.path, item.name.as_bytes());
            refuse_too_long(&path)?;
            match item.found {
                Found::Opaque => self.emitter.opaque(&level.path)?,
                Found::Whiteout => self.emitter.whiteout(&level.path, &item.name)?,
                Found::Directory => {
                    let next = self.enter(path)?;
                    levels.push(next);
                }
                Found::File(stat) => {
                    let parent = self.inside.directory(&level.path).at("open", &level.path)?;
                    let intended = intended(self.options.owners, &path);
                    self.emitter.file(&parent, &item.name, &path, &stat, intended)?;
                }
            }
        }
        Ok(())
    }

    /// Packs a directory itself and lists it.
    fn enter(&mut self, path: Vec<u8>) -> Result<Level> {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        refuse_reserved(&path, name)?;
        let directory = self.inside.open(&path, OFlags::RDONLY).at("open", &path)?;
        self.emitter
            .directory(&directory, &path, intended(self.options.owners, &path))?;
        let mut items = Vec::new();
        if self.hides_something(directory.as_fd(), &path)? {
            items.push(Item {
                packed_as: OPAQUE.to_vec(),
                name: OsString::new(),
                found: Found::Opaque,
            });
        }
        for entry in Dir::read_from(&directory).at("list", &path)? {
            let entry = entry.at("list", &path)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                items.push(item(directory.as_fd(), name, entry.file_type()).at("look at", &join(&path, name))?);
            }
        }
        items.sort_unstable_by(|a, b| b.packed_as.cmp(&a.packed_as));
        Ok(Level { path, items })
    }

    /// Whether the directory is opaque and a lower layer has one there.
    fn hides_something(&self, directory: impl AsFd, path: &[u8]) -> Result<bool> {
        if path.is_empty() || self.options.lower.is_empty() || !is_opaque(directory)? {
            return Ok(false);
        }
        Ok(directory_at(self.options.lower, path)?.is_some())
    }
}

/// Refuses what nobody could unpack: the limit is the kernel's, and that of our own reading.
fn refuse_too_long(path: &[u8]) -> Result<()> {
    let most = Limits::default().path;
    if path.len() > most {
        let reason = format!(
            "its path has {} bytes, more than the {most} that can be unpacked again",
            path.len()
        );
        return refuse(path, reason);
    }
    Ok(())
}

fn item(directory: impl AsFd, name: &[u8], kind: FileType) -> rustix::io::Result<Item> {
    let mut item = Item {
        packed_as: name.to_vec(),
        name: OsString::from_vec(name.to_vec()),
        found: Found::Directory,
    };
    if kind != FileType::Directory {
        let stat = rustix::fs::statat(directory, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW)?;
        if is_whiteout(&stat) {
            item.packed_as = [WHITEOUT, name].concat();
            item.found = Found::Whiteout;
        } else if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            item.found = Found::File(Box::new(stat));
        }
    }
    Ok(item)
}

pub(super) fn intended<'o>(owners: Option<&'o OwnerRecord>, path: &[u8]) -> Option<&'o Intended> {
    owners.and_then(|owners| owners.get(path))
}
