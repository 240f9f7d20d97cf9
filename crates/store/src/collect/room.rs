//! Where things wait for their deletion, out of everybody's sight.

use crate::data::Store;
use crate::error::{Error, IoExt, Result};
use crate::lock::Lock;
use crate::temporary::{Temporary, remove_tree};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// How many things are moved on a full disk before they are deleted: the lock of each is held meanwhile.
const MOST: usize = 200;

/// A directory in `tmp/`; or `tmp/` itself, where the disk is too full to make one.
pub(super) enum Room {
    Own(Temporary),
    /// What was moved into `tmp/`, and the locks that keep sweepers off.
    Beside {
        parent: PathBuf,
        moved: Vec<(PathBuf, Lock)>,
    },
}

impl Room {
    pub(super) fn new(store: &Store) -> Result<Self> {
        match Temporary::new(store) {
            Err(Error::Io { source, .. })
                if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) =>
            {
                let parent = store.path("tmp");
                Ok(Self::Beside {
                    parent,
                    moved: Vec::new(),
                })
            }
            result => result.map(Self::Own),
        }
    }

    /// Whether the disk was too full for a directory: there may be more to take when this is deleted.
    pub(super) fn is_cramped(&self) -> bool {
        matches!(self, Self::Beside { .. })
    }

    /// Whether a path in `tmp/` is this collector's.
    pub(super) fn has(&self, path: &Path) -> bool {
        match self {
            Self::Own(room) => room.path() == path,
            Self::Beside { moved, .. } => moved.iter().any(|(known, _)| known == path),
        }
    }

    /// Moves something in that is locked; `None` where there are too many already.
    pub(super) fn take(&mut self, path: &Path, name: &str, lock: Lock) -> Result<Option<PathBuf>> {
        let place = match self {
            Self::Own(room) => room.path().join(name),
            Self::Beside { moved, .. } if moved.len() >= MOST => return Ok(None),
            Self::Beside { parent, .. } => parent.join(name),
        };
        fs::rename(path, &place).on("move away", path)?;
        if let Self::Beside { moved, .. } = self {
            moved.push((place.clone(), lock));
        }
        Ok(Some(place))
    }

    /// Deletes everything in it.
    pub(super) fn remove(self) -> Result<()> {
        match self {
            Self::Own(room) => room.remove(),
            Self::Beside { moved, .. } => moved
                .iter()
                .try_for_each(|(path, _lock)| match path.symlink_metadata() {
                    Ok(meta) if meta.is_dir() => remove_tree(path),
                    _ => super::remove_file(path),
                }),
        }
    }
}
