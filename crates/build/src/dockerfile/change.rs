//! `--change` of commit and import: instructions that change an image's configuration, without a build.

use super::config;
use super::stage::Stage;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;
use wiac_dockerfile::Kind;
use wiac_dockerfile::stages::Globals;
use wiac_oci::image::ImageConfig;
use wiac_store::Store;

/// Applies instructions such as `CMD ["sh"]`, one each, to a configuration. As in docker they leave no history.
///
/// # Errors
/// What isn't an instruction, and one that makes a layer or belongs to a build alone.
pub fn apply_changes(store: &Store, config: ImageConfig, changes: &[String]) -> Result<ImageConfig> {
    let history = config.history.clone();
    let mut stage = Stage::new(store, &[], config, '\\')?;
    for change in changes {
        apply(&mut stage, change).map_err(|error| Error::wrong(format!("--change {change:?}: {error}")))?;
    }
    stage.config.history = history;
    Ok(stage.config)
}

fn apply(stage: &mut Stage, change: &str) -> Result<()> {
    let text = format!("FROM scratch\n{change}\n");
    let dockerfile = wiac_dockerfile::parse(text.as_bytes())?;
    let globals = Globals::new(&dockerfile, Vec::new(), &|_| None)?;
    let instructions = dockerfile.stages.first().map(|first| first.instructions.as_slice());
    let [instruction] = instructions.unwrap_or_default() else {
        return Err(Error::wrong("one instruction is expected"));
    };
    match &instruction.kind {
        Kind::Workdir(word) => {
            let path = stage.expand(word)?.text;
            let config = &mut stage.config.config;
            // As in a build, a relative one counts from the one before.
            let base = Path::new("/").join(&config.working_dir);
            config.working_dir = base.join(path).to_string_lossy().into_owned();
            Ok(())
        }
        Kind::Run(_) | Kind::Copy(_) | Kind::Add(_) | Kind::Arg(_) | Kind::Shell(_) | Kind::Maintainer(_) => {
            Err(Error::wrong(format!(
                "{} can't be used here; CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, \
                 VOLUME and WORKDIR can",
                instruction.kind.name()
            )))
        }
        kind => config::apply(stage, &globals, &BTreeMap::new(), kind),
    }
}
