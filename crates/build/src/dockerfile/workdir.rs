//! WORKDIR: a directory that is made where it is missing.

use super::cached::Made;
use super::prepared::{Prepared, clean};
use super::stage::Stage;
use super::why::Inputs;
use super::worker::Worker;
use super::writer::Writer;
use crate::error::{Error, Result};
use std::path::Path;
use wiac_dockerfile::Word;
use wiac_layer::merged::{Found, LayerStack};

impl Worker<'_, '_> {
    /// WORKDIR: the directory is made where it is missing, for the user that is set, which makes a layer; otherwise
    /// only the configuration changes.
    pub(super) fn workdir(&mut self, stage: &mut Stage, word: &Word) -> Result<bool> {
        // Where nothing is left of its variables the directory stays what it was.
        let text = stage.expand(word)?.text;
        let path = clean(&stage.working_directory().join(&text));
        let said = format!("WORKDIR {}", path.display());
        stage.config.config.working_dir = path.to_string_lossy().into_owned();
        if exists(&stage.stack(self.shared)?, &path)? {
            stage.add_history(said, true);
            return Ok(true);
        }
        let user = &stage.config.config.user;
        let owner = if user.is_empty() {
            (0, 0)
        } else {
            self.owner(stage, user)?
        };
        let mut key = stage.key("WORKDIR");
        key.add(&stage.config.config.working_dir);
        key.add(format!("{owner:?}"));
        let prepared = Prepared {
            destination: format!("{}/", path.display()),
            owner,
            ..Prepared::default()
        };
        let mut inputs = Inputs::new("WORKDIR", stage);
        inputs.add("text", &said);
        inputs.add("the owner", format!("{}:{}", owner.0, owner.1));
        self.note_inputs(inputs);
        self.cached_or(stage, &key.finish(), said, |build, stage, draft| {
            Writer::new(&stage.stack(build.shared)?, &draft.diff(), &prepared)?.make_directory(&path)?;
            Ok(Made::Whole)
        })
    }
}

fn exists(stack: &LayerStack, path: &Path) -> Result<bool> {
    if path == Path::new("/") {
        return Ok(true);
    }
    if stack.is_empty() {
        return Ok(false);
    }
    match stack.resolve(path)?.found {
        None => Ok(false),
        Some(Found::Directory(_)) => Ok(true),
        Some(Found::Other { .. }) => Err(Error::wrong(format!(
            "{} is there already and no directory",
            path.display()
        ))),
    }
}
