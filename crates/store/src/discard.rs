//! Layers that were made for a moment only.

use crate::data::Store;
use crate::error::{IoExt, Result};
use crate::layer::LayerId;
use crate::lock::Lock;
use crate::temporary::Temporary;
use std::fs;

impl Store {
    /// Deletes a layer that no image, no cache and no container ever knew of. The caller made it and has let its lock go.
    /// One that somebody uses, or that is gone, stays as it is.
    ///
    /// # Errors
    /// What can't be deleted.
    pub fn discard_layer(&self, id: &LayerId) -> Result<()> {
        let path = self.layer_directory(id);
        if !path.exists() {
            return Ok(());
        }
        let Some(_lock) = Lock::try_exclusive(&path)? else {
            return Ok(());
        };
        let room = Temporary::new(self)?;
        fs::rename(&path, room.path().join(id.as_str())).on("move away", &path)?;
        let mark = self.path("unsynced").join(self.boot_id()?).join(id.as_str());
        // Where it is synced already there is none.
        let _ = fs::remove_file(mark);
        room.remove()
    }
}
