//! `--change` of commit and import: instructions that change an image's configuration, without a build.

use super::config;
use super::stage::Stage;
use crate::error::{Error, Result};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use wiac_dockerfile::Kind;
use wiac_dockerfile::stages::Globals;
use wiac_oci::image::ImageConfig;
use wiac_oci::runtime::DEFAULT_PATH;
use wiac_store::Store;

/// Applies instructions such as `CMD ["sh"]` to a configuration. As in docker they leave no history.
///
/// # Errors
/// What isn't an instruction, and one that makes a layer or belongs to a build alone.
pub fn apply_changes(store: &Store, config: ImageConfig, changes: &[String]) -> Result<ImageConfig> {
    let history = config.history.clone();
    let has_path = config.config.env.iter().any(|entry| entry.starts_with("PATH="));
    let mut stage = Stage::new(store, &[], config, '\\')?;
    for change in changes {
        apply(&mut stage, change).map_err(|error| Error::wrong(format!("--change {change:?}: {error}")))?;
    }
    stage.config.history = history;
    if !has_path {
        // What a stage begins with is there for `ENV PATH=$PATH:…`: docker and podman leave the configuration without it.
        let default = format!("PATH={DEFAULT_PATH}");
        stage.config.config.env.retain(|entry| *entry != default);
    }
    Ok(stage.config)
}

fn apply(stage: &mut Stage, change: &str) -> Result<()> {
    let text = format!("FROM scratch\n{}\n", with_blank(change));
    // The place would be one in a file that nobody has.
    let dockerfile = wiac_dockerfile::parse(text.as_bytes()).map_err(|error| Error::wrong(error.kind.to_string()))?;
    let globals = Globals::new(&dockerfile, Vec::new(), &|_| None)?;
    match dockerfile.stages.as_slice() {
        [only] if only.instructions.is_empty() => Err(Error::wrong("there is no instruction in it")),
        [only] => only
            .instructions
            .iter()
            .try_for_each(|instruction| apply_one(stage, &globals, &instruction.kind)),
        _ => Err(refused("FROM")),
    }
}

/// podman's users write `CMD=/bin/sh` for `CMD /bin/sh`.
fn with_blank(change: &str) -> Cow<'_, str> {
    let change = change.trim_start();
    let end = change.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(change.len());
    match change[end..].strip_prefix('=') {
        Some(rest) if end > 0 => Cow::from(format!("{} {rest}", &change[..end])),
        _ => Cow::from(change),
    }
}

fn refused(name: &str) -> Error {
    Error::wrong(format!(
        "{name} can't be used here; CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and \
         WORKDIR can"
    ))
}

fn apply_one(stage: &mut Stage, globals: &Globals, kind: &Kind) -> Result<()> {
    match kind {
        Kind::Workdir(word) => {
            let path = stage.expand(word)?.text;
            let config = &mut stage.config.config;
            // As in a build, a relative one counts from the one before.
            let base = Path::new("/").join(&config.working_dir);
            config.working_dir = base.join(path).to_string_lossy().into_owned();
            Ok(())
        }
        Kind::Run(_) | Kind::Copy(_) | Kind::Add(_) | Kind::Arg(_) | Kind::Shell(_) | Kind::Maintainer(_) => {
            Err(refused(kind.name()))
        }
        kind => config::apply(stage, globals, &BTreeMap::new(), kind),
    }
}
