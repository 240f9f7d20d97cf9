//! Owner, mode, time and attributes of a file, as a value.

use crate::error::{IoExt, Result};
use crate::marks::PREFIXES;
use crate::owners::Intended;
use crate::path::magic_path;
use crate::tar::{Entry, Time, refuse};
use rustix::fd::{AsFd, AsRawFd};
use rustix::fs::Stat;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Metadata of a file.
#[derive(Debug, Clone)]
pub(crate) struct Meta {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub modified: Time,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Meta {
    /// What an entry says, without overlayfs's own attributes.
    ///
    /// # Errors
    /// Numbers that can't be owners.
    pub(crate) fn of(entry: &Entry) -> Result<Self> {
        // The largest number means "leave it" to chown(2).
        let id = |id: i64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
        let (Some(uid), Some(gid)) = (id(entry.uid), id(entry.gid)) else {
            let (uid, gid) = (entry.uid, entry.gid);
            return refuse(&entry.path, format!("has the owner {uid}:{gid}, which can't be set"));
        };
        for (name, _) in &entry.xattrs {
            if name.is_empty() || name.len() > 255 || name.contains(&0) {
                return refuse(&entry.path, "has an attribute whose name isn't valid");
            }
        }
        let xattrs = entry.xattrs.iter().filter(|(name, _)| !is_overlays(name)).cloned();
        Ok(Self {
            mode: entry.mode,
            uid,
            gid,
            modified: entry.modified,
            xattrs: xattrs.collect(),
        })
    }

    /// Puts what was meant in place of what is on disk.
    pub(crate) fn correct(&mut self, intended: &Intended) {
        (self.uid, self.gid) = (intended.uid, intended.gid);
        for missing in &intended.xattrs {
            self.xattrs.retain(|(name, _)| *name != missing.0);
            self.xattrs.push(missing.clone());
        }
    }

    /// What it costs in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self
                .xattrs
                .iter()
                .map(|(name, value)| name.len() + value.len() + 64)
                .sum::<usize>()
    }
}

/// All metadata of an open directory of a layer (which may be O_PATH).
pub(crate) fn meta_of_directory(directory: &rustix::fd::OwnedFd) -> Result<Meta> {
    let magic = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    let status = rustix::fs::fstat(directory).on("look at", &magic)?;
    Ok(meta(&status, attributes(&magic, true)?))
}

/// All metadata of a name in a directory of a layer.
pub(crate) fn meta_of_name(parent: impl AsFd, name: &OsStr, status: &Stat) -> Result<Meta> {
    Ok(meta(status, attributes(&magic_path(parent, name), false)?))
}

fn meta(status: &Stat, xattrs: Vec<(Vec<u8>, Vec<u8>)>) -> Meta {
    Meta {
        mode: status.st_mode & 0o7777,
        uid: status.st_uid,
        gid: status.st_gid,
        modified: Time {
            seconds: status.st_mtime,
            nanoseconds: u32::try_from(status.st_mtime_nsec).unwrap_or_default(),
        },
        xattrs,
    }
}

/// All attributes but overlayfs's bookkeeping.
fn attributes(path: &Path, follow: bool) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let all = crate::xattrs::all(path, follow).on("read the attributes of", path)?;
    Ok(all.into_iter().filter(|(name, _)| !is_bookkeeping(name)).collect())
}

/// Of overlayfs in any way.
fn is_overlays(name: &[u8]) -> bool {
    PREFIXES.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
}

/// Overlayfs's own on disk. What an overlay inside a container set is escaped as `overlay.overlay.`, and stays.
fn is_bookkeeping(name: &[u8]) -> bool {
    let rest = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix.as_bytes()));
    rest.is_some_and(|rest| !rest.starts_with(b"overlay."))
}
