//! COPY and ADD with their variables replaced and their names looked up.

use super::chmod::Chmod;
use super::stage::Stage;
use super::why::Inputs;
use super::worker::Worker;
use crate::error::{Error, Result};
use crate::key::KeyMaker;
use std::path::{Path, PathBuf};
use wiac_dockerfile::expand::Expander;
use wiac_dockerfile::ignore::IgnorePatterns;
use wiac_dockerfile::{CopySource, Transfer, Word};
use wiac_oci::user::{UserSpec, lookup_user};

/// What COPY and ADD are to do.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// Paths and globs, as written but for variables.
    pub(super) sources: Vec<String>,
    /// Files written in the Dockerfile itself: name and content.
    pub(super) inline: Vec<(String, String)>,
    /// Absolute; a slash at its end means a directory.
    pub(super) destination: String,
    /// Owner and group of what is copied, unless those are kept, and of directories made on the way.
    pub(super) owner: (u32, u32),
    /// `--chown` is given: it counts for what is in archives too.
    pub(super) is_owner_given: bool,
    /// What comes from another stage or image keeps its owners where --chown doesn't say; in a build context they
    /// mean nothing.
    pub(super) keeps_owners: bool,
    /// Modes of what is copied; their own where not given.
    pub(super) mode: Option<Chmod>,
    /// `--parents`.
    pub(super) parents: bool,
    /// `--exclude`, as written and to match with.
    pub(super) excluded: Vec<String>,
    pub(super) exclude: IgnorePatterns,
    /// Archives are unpacked.
    pub(super) unpack: bool,
    /// `--link`: the layer depends on none below.
    pub(super) link: bool,
}

impl Worker<'_, '_> {
    /// Prepares what COPY and ADD have in common.
    pub(super) fn prepare(&self, stage: &Stage, transfer: &Transfer) -> Result<Prepared> {
        let mut prepared = Prepared::default();
        let lookup = |name: &str| stage.variable(name);
        let expander = Expander::new(stage.escape, &lookup);
        for source in &transfer.sources {
            match source {
                CopySource::Path(word) => prepared.sources.push(stage.expand(word)?.text),
                CopySource::Heredoc(heredoc) => {
                    let content = expander.heredoc(heredoc)?.text;
                    prepared.inline.push((file_name(&heredoc.name)?, content));
                }
            }
        }
        let written = stage.expand(&transfer.destination)?.text;
        prepared.destination = absolute(&stage.working_directory(), &written);
        if let Some(owner) = given(stage, transfer.chown.as_ref())? {
            prepared.owner = self.owner(stage, &owner)?;
            prepared.is_owner_given = true;
        }
        let mode = given(stage, transfer.chmod.as_ref())?;
        prepared.mode = mode.map(|mode| Chmod::parse(&mode)).transpose()?;
        prepared.excluded = transfer.exclude.iter().map(|word| word.text.clone()).collect();
        prepared.exclude = IgnorePatterns::from_patterns(prepared.excluded.iter().map(String::as_str))
            .map_err(|error| Error::wrong(format!("--exclude={}: the pattern is wrong", error.pattern)))?;
        // As in BuildKit: with modes to set the files are copied onto what is there.
        prepared.link = transfer.link && prepared.mode.is_none();
        Ok(prepared)
    }

    /// The owner that `--chown` or USER names, looked up in the image.
    pub(super) fn owner(&self, stage: &Stage, text: &str) -> Result<(u32, u32)> {
        let spec: UserSpec = text.parse()?;
        let stack = stage.stack(self.shared)?;
        let read = |path: &str| -> Result<String> {
            if stack.is_empty() {
                Ok(String::new())
            } else {
                Ok(stack.read_text(Path::new(path))?.unwrap_or_default())
            }
        };
        let user = lookup_user(&spec, &read("/etc/passwd")?, &read("/etc/group")?)?;
        // A user alone means its own id as the group, as in docker.
        Ok((user.uid, if text.contains(':') { user.gid } else { user.uid }))
    }
}

impl Prepared {
    /// Whether more than one source is named; a pattern is one, whatever it matches.
    pub(super) fn has_several(&self) -> bool {
        self.sources.len() + self.inline.len() > 1
    }

    /// The key of the step, with the inputs that `add` adds.
    pub(super) fn key<T>(
        &self,
        stage: &Stage,
        kind: &str,
        add: impl FnOnce(&mut KeyMaker) -> Result<T>,
    ) -> Result<(String, T)> {
        let mut key = if self.link {
            KeyMaker::new(&format!("{kind} --link"))
        } else {
            stage.key(kind)
        };
        key.add_all(&self.sources);
        let inline: Vec<&String> = self.inline.iter().flat_map(|(name, text)| [name, text]).collect();
        key.add_all(&inline);
        key.add_all(&self.excluded);
        key.add(&self.destination);
        let Self {
            owner,
            is_owner_given,
            keeps_owners,
            mode,
            parents,
            unpack,
            ..
        } = self;
        key.add(format!(
            "{owner:?} {is_owner_given} {keeps_owners} {mode:?} {parents} {unpack}"
        ));
        let result = add(&mut key)?;
        Ok((key.finish(), result))
    }
}

impl Prepared {
    /// The same for whoever asks later what changed.
    pub(super) fn inputs(&self, stage: &Stage, kind: &str, said: &str) -> Inputs {
        let mut inputs = Inputs::new(kind, stage);
        if self.link {
            inputs.on_nothing();
        }
        inputs.add("text", said);
        inputs.add("the owner", format!("{}:{}", self.owner.0, self.owner.1));
        for (name, content) in &self.inline {
            inputs.add(format!("the heredoc {name}"), content);
        }
        for pattern in &self.excluded {
            inputs.add(format!("--exclude={pattern}"), "");
        }
        inputs
    }
}

/// A heredoc's name becomes a file's name: nothing of it may lead elsewhere.
pub(super) fn file_name(name: &str) -> Result<String> {
    match Path::new(name).file_name().and_then(|name| name.to_str()) {
        Some(last) if last == name => Ok(last.to_owned()),
        _ => Err(Error::wrong(format!("{name:?} can't be the name of a file"))),
    }
}

/// `path` from the working directory on, without "." and ".."; a slash at the end, or a last ".", stays as a slash.
pub(super) fn absolute(working_directory: &Path, path: &str) -> String {
    let is_directory =
        path.ends_with('/') || path == "." || path.ends_with("/.") || path == ".." || path.ends_with("/..");
    let mut text = clean(&working_directory.join(path)).to_string_lossy().into_owned();
    if is_directory && !text.ends_with('/') {
        text.push('/');
    }
    text
}

/// An absolute path without "." and "..", which end at the root.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::from("/");
    for component in path.components() {
        match component {
            std::path::Component::Normal(name) => cleaned.push(name),
            std::path::Component::ParentDir => drop(cleaned.pop()),
            _ => {}
        }
    }
    cleaned
}

/// What an option of COPY or ADD says; nothing where nothing is left of its variables, as in BuildKit.
pub(super) fn given(stage: &Stage, option: Option<&Word>) -> Result<Option<String>> {
    let text = option.map(|word| stage.expand(word)).transpose()?;
    Ok(text.map(|expanded| expanded.text).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations() {
        let cases = [
            ("/", ".", "/"),
            ("/app", ".", "/app/"),
            ("/app", "x", "/app/x"),
            ("/app", "x/", "/app/x/"),
            ("/app", "/x/../y", "/y"),
            ("/app", "../../..", "/"),
            ("/", "/", "/"),
        ];
        for (directory, path, expected) in cases {
            assert_eq!(absolute(Path::new(directory), path), expected, "{directory} {path}");
        }
    }

    #[test]
    fn a_heredoc_names_one_file() {
        assert!(file_name("EOF").is_ok());
        assert!(file_name("../x").is_err() && file_name("..").is_err() && file_name("").is_err());
    }
}
