//! Owners that couldn't be set when a layer was unpacked: kept beside the layer, for when it is packed again.

use crate::data::Store;
use crate::error::{IoExt, Result};
use crate::layer::{Draft, LayerId};
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;
use wiac_layer::owners::OwnerRecord;

/// The file beside a layer's `diff`.
const FILE: &str = "owners";

impl Draft {
    /// Writes down the owners that the layer's files should have.
    pub(crate) fn write_owners(&self, owners: &OwnerRecord) -> Result<()> {
        let mut bytes = Vec::new();
        owners.write(&mut bytes).on("write", Path::new(FILE))?;
        self.write(FILE, &bytes)
    }
}

impl Store {
    /// The owners that a layer's files should have, where they couldn't be set.
    pub fn layer_owners(&self, id: &LayerId) -> Result<Option<OwnerRecord>> {
        let path = self.layer_directory(id).join(FILE);
        match File::open(&path) {
            Ok(file) => OwnerRecord::read(&mut BufReader::new(file)).on("read", &path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).on("open", &path),
        }
    }
}
