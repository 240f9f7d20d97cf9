//! A layer's directory exchanged for another one under the same id: what refers to the layer doesn't notice.

use crate::data::Store;
use crate::error::{IoExt, Result};
use crate::layer::{DESCRIPTION, Draft, LayerId, LayerInfo, to_json};
use crate::lock::Lock;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

impl Draft {
    /// Puts the draft in the place of a layer, which goes to `quarantine/`. At every moment one of the two is there, and the
    /// draft is on the disk before. Gives the name that layer has in `quarantine/`; `None` where somebody uses it.
    ///
    /// # Errors
    /// What the disk says: both are where they were then.
    pub(crate) fn replace(&self, store: &Store, id: &LayerId, info: &LayerInfo) -> Result<Option<String>> {
        self.write(DESCRIPTION, &to_json(info))?;
        let root = File::open(store.root()).on("open", store.root())?;
        rustix::fs::syncfs(&root).on("sync", store.root())?;
        // The collector clears the quarantine of what nobody uses.
        let _own = Lock::shared(self.directory())?;
        let directory = store.layer_directory(id);
        let (name, aside) = free_place(store, id);
        // Held for no longer than the two renames take: who wants to use the layer waits for it.
        let Some(_lock) = Lock::unless_used(&directory)? else {
            return Ok(None);
        };
        fs::rename(self.directory(), &aside).on("move", self.directory())?;
        let exchanged = renameat_with(CWD, &aside, CWD, &directory, RenameFlags::EXCHANGE);
        if exchanged.is_err() {
            let _ = fs::rename(&aside, self.directory());
        }
        exchanged.on("put a layer in the place of", &directory)?;
        for parent in ["layers", "quarantine"] {
            sync_directory(&store.path(parent))?;
        }
        Ok(Some(name))
    }
}

/// A name in `quarantine/`. Not the layer's own: both may be collected at once, and the layer may be damaged once more.
fn free_place(store: &Store, id: &LayerId) -> (String, PathBuf) {
    let quarantine = store.path("quarantine");
    let mut number = 1;
    loop {
        let name = format!("{id}-{number}");
        let path = quarantine.join(&name);
        if path.symlink_metadata().is_err() {
            return (name, path);
        }
        number += 1;
    }
}

fn sync_directory(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .on("sync", path)
}
