//! Following the directories on an entry's way, through symlinks that the same archive made, and making those that
//! are missing.

use super::Unpacker;
use crate::error::{IoExt, Result};
use crate::marks::{is_whiteout, status};
use crate::path::join;
use crate::spot::Spot;
use crate::tar::refuse;
use crate::unpack::path::Place;
use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Symlinks followed on one way, as in the kernel.
const MAX_LINKS: usize = 40;

/// Names on one way, those of symlinks included: a symlink can't make it endless.
const MAX_NAMES: usize = 8192;

/// Whether missing directories are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Make,
    Leave,
}

impl Unpacker<'_> {
    /// The path in the layer of the directory that `names` lead to; it is there afterwards.
    pub(super) fn made(&mut self, names: &[&[u8]], entry: &[u8]) -> Result<Vec<u8>> {
        let path = names.join(&b'/');
        match self.inside.directory(&path) {
            Ok(_) => Ok(path),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => match self.follow(names, entry, Missing::Make)? {
                Some(path) => Ok(path),
                None => refuse(entry, "its directory can't be made"),
            },
            Err(errno) => Err(errno).at("open", &path),
        }
    }

    /// Where a place is whose directory exists; `None` where it doesn't.
    pub(super) fn existing<'p>(&mut self, place: &Place<'p>, entry: &[u8]) -> Result<Option<Spot<'p>>> {
        let Some(above) = self.follow(&place.parents, entry, Missing::Leave)? else {
            return Ok(None);
        };
        Ok(Some(Spot {
            parent: self.inside.directory(&above).at("open", &above)?,
            name: OsStr::from_bytes(place.name),
            path: join(&above, place.name),
        }))
    }

    /// Goes name by name. A symlink that leads above the root stays at the root, as in a chroot.
    fn follow(&mut self, names: &[&[u8]], entry: &[u8], missing: Missing) -> Result<Option<Vec<u8>>> {
        let mut waiting: Vec<Vec<u8>> = names.iter().rev().map(|name| name.to_vec()).collect();
        let mut path = Vec::new();
        let mut links = 0;
        while let Some(name) = waiting.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    path.truncate(path.iter().rposition(|byte| *byte == b'/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let parent = self.inside.directory(&path).at("open", &path)?;
            let next = join(&path, &name);
            let name = OsStr::from_bytes(&name);
            let found = status(&parent, name).at("look up", &next)?;
            let kind = found.as_ref().map(|stat| FileType::from_raw_mode(stat.st_mode));
            match (found, kind) {
                (_, Some(FileType::Directory)) => path = next,
                (_, Some(FileType::Symlink)) => {
                    links += 1;
                    let text = rustix::fs::readlinkat(&parent, name, Vec::new()).at("read the link", &next)?;
                    let text = text.as_bytes();
                    if text.starts_with(b"/") {
                        path.clear();
                    }
                    waiting.extend(text.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
                    if links > MAX_LINKS || waiting.len() > MAX_NAMES {
                        return refuse(entry, "there are too many symlinks on its way");
                    }
                }
                (Some(stat), _) if !is_whiteout(&stat) => {
                    return match missing {
                        Missing::Leave => Ok(None),
                        Missing::Make => {
                            let above = crate::tar::shown(&next);
                            refuse(
                                entry,
                                format!("can't be made: the archive has \"{above}\", and not as a directory"),
                            )
                        }
                    };
                }
                _ if missing == Missing::Leave => return Ok(None),
                (found, _) => {
                    if found.is_some() {
                        rustix::fs::unlinkat(&parent, name, AtFlags::empty()).at("remove", &next)?;
                    }
                    self.make_unnamed(&parent, name, &next)?;
                    path = next;
                }
            }
        }
        Ok(Some(path))
    }

    /// Makes a directory that gets its metadata at the end.
    pub(super) fn make_unnamed(&mut self, parent: &rustix::fd::OwnedFd, name: &OsStr, path: &[u8]) -> Result<()> {
        rustix::fs::mkdirat(parent, name, Mode::RWXU).at("create", path)?;
        self.directories.add_unnamed(path)
    }
}
