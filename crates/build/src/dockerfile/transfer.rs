//! COPY: from the build context, a stage or an image into a new layer.

use super::Build;
use super::stage::Stage;
use super::tree::{self, Picked};
use super::writer::Writer;
use crate::context::Source;
use crate::error::{Error, IoExt, Result};
use crate::key::KeyMaker;
use std::path::{Path, PathBuf};
use wiac_dockerfile::stages::Source as StageSource;
use wiac_dockerfile::{Copy, CopySource, Transfer, Word};
use wiac_layer::Form;
use wiac_layer::merged::{Found, LayerStack};
use wiac_oci::user::{UserSpec, lookup_user};
use wiac_sys::root::Root;

/// A COPY with its variables replaced and its names looked up.
pub(super) struct Prepared {
    /// Paths and globs, as written but for variables.
    pub(super) sources: Vec<String>,
    /// Files written in the Dockerfile itself: name and content.
    pub(super) inline: Vec<(String, String)>,
    /// Absolute; a slash at its end means a directory.
    pub(super) destination: String,
    /// Owner and group of what is copied, unless those are kept, and of directories made on the way.
    pub(super) owner: (u32, u32),
    /// What comes from another stage or image keeps its owners where --chown doesn't say; in a build context they
    /// mean nothing.
    pub(super) keeps_owners: bool,
    /// Mode of what is copied; its own where not given.
    pub(super) mode: Option<u32>,
}

/// Where the files come from.
enum From {
    Context,
    Tree {
        layers: Vec<(PathBuf, String)>,
        description: String,
    },
}

impl Build<'_, '_> {
    /// Carries COPY out, or finds the layer that it made before; `true` for the latter.
    pub(super) fn copy(&mut self, stage: &mut Stage, copy: &Copy) -> Result<bool> {
        refuse_unsupported(copy)?;
        let mut prepared = self.prepare(stage, &copy.transfer)?;
        prepared.keeps_owners = copy.from.is_some() && copy.transfer.chown.is_none();
        let said = said(copy, &prepared);
        match self.copy_from(copy)? {
            From::Context => {
                let picked = tree::pick(&self.context, &prepared.sources)?;
                let key = copy_key(stage, &prepared, |key| {
                    tree::add_to_key(&mut self.context, &picked, false, key)
                })?;
                self.cached_or(stage, &key, said, |build, stage, draft| {
                    build.write(stage, &draft.diff(), None, &picked, &prepared)
                })
            }
            From::Tree { layers, description } => self.copy_tree(stage, &prepared, said, &layers, description),
        }
    }

    /// COPY from other layers asks twice: by what these layers are, which costs nothing, and then by the contents of
    /// the files it names.
    fn copy_tree(
        &mut self,
        stage: &mut Stage,
        prepared: &Prepared,
        said: String,
        layers: &[(PathBuf, String)],
        description: String,
    ) -> Result<bool> {
        let by_layers = copy_key(stage, prepared, |key| {
            let lineages: Vec<&String> = layers.iter().map(|(_, lineage)| lineage).collect();
            key.add_all(&lineages);
            Ok(())
        })?;
        if !self.request.no_cache
            && let Some(layer) = self.tools.store.cached_step(&by_layers)?
        {
            self.locks.push(layer.lock);
            stage.add_layer(self.tools.store, layer.id, said)?;
            return Ok(true);
        }
        let mut source = self.open_tree(layers, description)?;
        let picked = tree::pick(&source, &prepared.sources)?;
        let by_content = copy_key(stage, prepared, |key| {
            tree::add_to_key(&mut source, &picked, prepared.keeps_owners, key)
        })?;
        let cached = self.cached_or(stage, &by_content, said, |build, stage, draft| {
            build.write(stage, &draft.diff(), Some(&source), &picked, prepared)
        })?;
        if let Some(layer) = stage.layers.last() {
            self.tools.store.remember_step(&by_layers, &layer.id)?;
        }
        Ok(cached)
    }

    fn copy_from(&mut self, copy: &Copy) -> Result<From> {
        let Some(word) = &copy.from else {
            return Ok(From::Context);
        };
        let store = self.tools.store;
        let described = |name: String, layers: Vec<(PathBuf, String)>| From::Tree {
            layers,
            description: name,
        };
        if let StageSource::Stage(index) = self.dockerfile.source(word)? {
            let stage = self
                .stages
                .get(&index)
                .ok_or_else(|| Error::wrong(format!("stage {word} isn't built yet")))?;
            let layers = stage
                .layers
                .iter()
                .map(|l| (store.layer_diff(&l.id), l.lineage.clone()))
                .collect();
            return Ok(described(
                format!("stage {}", self.dockerfile.stages[index].display_name()),
                layers,
            ));
        }
        let (ids, _, _) = self.base_image(&word.text)?;
        let layer = |id| Ok((store.layer_diff(id), store.layer_info(id)?.lineage));
        let layers = ids.iter().map(layer).collect::<Result<_>>()?;
        Ok(described(format!("image {word}"), layers))
    }

    fn open_tree(&self, layers: &[(PathBuf, String)], description: String) -> Result<Source> {
        let directories: Vec<PathBuf> = layers.iter().map(|(path, _)| path.clone()).collect();
        if directories.is_empty() {
            return Err(Error::wrong(format!(
                "{description} is empty: there is nothing to copy from it"
            )));
        }
        let fd = wiac_run::view::open_merged(&directories, self.tools.store.form() == Form::User)?;
        let root = Root::from_fd(fd).on("open", Path::new(&description))?;
        Ok(Source::tree(root, PathBuf::from(&description), description))
    }

    fn prepare(&self, stage: &Stage, transfer: &Transfer) -> Result<Prepared> {
        let mut sources = Vec::new();
        let mut inline = Vec::new();
        for source in &transfer.sources {
            match source {
                CopySource::Path(word) => sources.push(stage.expand(word)?.text),
                CopySource::Heredoc(heredoc) => {
                    let lookup = |name: &str| stage.variable(name);
                    let expander = wiac_dockerfile::expand::Expander::new(stage.escape, &lookup);
                    inline.push((file_name(&heredoc.name)?, expander.heredoc(heredoc)?.text));
                }
            }
        }
        let destination = absolute(&stage.working_directory(), &stage.expand(&transfer.destination)?.text);
        let several = sources.len() + inline.len() > 1;
        if several && !destination.ends_with('/') {
            return Err(Error::wrong_with_hint(
                format!("{destination}: several sources need a directory to go into"),
                "put a slash behind the destination",
            ));
        }
        Ok(Prepared {
            sources,
            inline,
            destination,
            owner: match &transfer.chown {
                Some(word) => self.owner(stage, &stage.expand(word)?.text)?,
                None => (0, 0),
            },
            keeps_owners: false,
            mode: mode(stage, transfer.chmod.as_ref())?,
        })
    }

    /// The owner that `--chown` or USER names, looked up in the image.
    fn owner(&self, stage: &Stage, text: &str) -> Result<(u32, u32)> {
        let spec: UserSpec = text.parse()?;
        let stack = stage.stack(self.tools.store);
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

    fn write(
        &mut self,
        stage: &Stage,
        diff: &Path,
        source: Option<&Source>,
        picked: &[Picked],
        prepared: &Prepared,
    ) -> Result<()> {
        let stack = stage.stack(self.tools.store);
        let source = source.unwrap_or(&self.context);
        let mut writer = Writer::new(&stack, diff, prepared)?;
        for one in picked {
            writer.put(source, one)?;
        }
        for (name, content) in &prepared.inline {
            writer.put_text(name, content)?;
        }
        Ok(())
    }

    /// WORKDIR: the directory is made where it is missing, for the user that is set, which makes a layer; otherwise only the configuration
    /// changes.
    pub(super) fn workdir(&mut self, stage: &mut Stage, word: &Word) -> Result<bool> {
        let text = stage.expand(word)?.text;
        if text.is_empty() {
            return Err(Error::wrong(format!(
                "WORKDIR {word} is empty once its variables are replaced"
            )));
        }
        let path = clean(&stage.working_directory().join(&text));
        let said = format!("WORKDIR {}", path.display());
        stage.config.config.working_dir = path.to_string_lossy().into_owned();
        if exists(&stage.stack(self.tools.store), &path)? {
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
            sources: Vec::new(),
            inline: Vec::new(),
            destination: format!("{}/", path.display()),
            owner,
            keeps_owners: false,
            mode: None,
        };
        self.cached_or(stage, &key.finish(), said, |build, stage, draft| {
            Writer::new(&stage.stack(build.tools.store), &draft.diff(), &prepared)?.make_directory(&path)
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

/// A heredoc's name becomes a file's name: nothing of it may lead elsewhere.
fn file_name(name: &str) -> Result<String> {
    match Path::new(name).file_name().and_then(|name| name.to_str()) {
        Some(last) if last == name => Ok(last.to_owned()),
        _ => Err(Error::wrong(format!("{name:?} can't be the name of a file"))),
    }
}

/// `path` from the working directory on, without "." and ".."; a slash at the end, or a last ".", stays as a slash.
fn absolute(working_directory: &Path, path: &str) -> String {
    let is_directory =
        path.ends_with('/') || path == "." || path.ends_with("/.") || path == ".." || path.ends_with("/..");
    let mut text = clean(&working_directory.join(path)).to_string_lossy().into_owned();
    if is_directory && !text.ends_with('/') {
        text.push('/');
    }
    text
}

/// An absolute path without "." and "..", which end at the root.
fn clean(path: &Path) -> PathBuf {
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

fn mode(stage: &Stage, chmod: Option<&Word>) -> Result<Option<u32>> {
    let Some(word) = chmod else { return Ok(None) };
    let text = stage.expand(word)?.text;
    match u32::from_str_radix(&text, 8) {
        Ok(mode) if mode <= 0o7777 => Ok(Some(mode)),
        _ => Err(Error::wrong_with_hint(
            format!("--chmod={text}: no octal mode"),
            "write up to four digits, such as 0755",
        )),
    }
}

fn copy_key(stage: &Stage, prepared: &Prepared, add: impl FnOnce(&mut KeyMaker) -> Result<()>) -> Result<String> {
    let mut key = stage.key("COPY");
    key.add_all(&prepared.sources);
    key.add_all(
        &prepared
            .inline
            .iter()
            .flat_map(|(name, text)| [name, text])
            .collect::<Vec<_>>(),
    );
    key.add(&prepared.destination);
    key.add(format!(
        "{:?} {} {:?}",
        prepared.owner, prepared.keeps_owners, prepared.mode
    ));
    add(&mut key)?;
    Ok(key.finish())
}

fn said(copy: &Copy, prepared: &Prepared) -> String {
    let mut words = vec!["COPY".to_owned()];
    words.extend(copy.from.iter().map(|from| format!("--from={from}")));
    words.extend(copy.transfer.chown.iter().map(|chown| format!("--chown={chown}")));
    words.extend(copy.transfer.chmod.iter().map(|chmod| format!("--chmod={chmod}")));
    words.extend(prepared.sources.iter().cloned());
    words.extend(prepared.inline.iter().map(|(name, _)| format!("<<{name}")));
    words.push(prepared.destination.clone());
    words.join(" ")
}

fn refuse_unsupported(copy: &Copy) -> Result<()> {
    let missing = [
        (copy.parents, "COPY --parents"),
        (!copy.transfer.exclude.is_empty(), "COPY --exclude"),
    ];
    match missing.iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(Error::wrong(format!("{what} isn't there yet"))),
        None => Ok(()),
    }
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
