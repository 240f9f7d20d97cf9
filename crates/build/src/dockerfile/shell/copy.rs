//! COPY and ADD in shell. From a build context the files are chosen here; from other stages the script chooses.

use super::super::selection::Selection;
use super::super::stage::Stage;
use super::super::tree::{self, Picked};
use super::super::{archive, prepared};
use super::{Script, array, text};
use crate::context::Source;
use crate::copy::Choice;
use crate::error::{Error, IoExt, Result};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::AtFlags;
use std::path::{Path, PathBuf};
use wiac_dockerfile::expand::Expander;
use wiac_dockerfile::ignore::IgnorePatterns;
use wiac_dockerfile::stages::Source as StageSource;
use wiac_dockerfile::{Add, Copy, CopySource, Transfer, Word};
use wiac_run::shell::quote;
use wiac_sys::root::{FileKind, Metadata};

/// What COPY and ADD have in common, with the variables replaced.
#[derive(Default)]
struct Wanted {
    sources: Vec<String>,
    inline: Vec<(String, String)>,
    /// As the shell reads it.
    destination: String,
    /// A word for the owner of directories that are made.
    made: String,
    /// The owner of what is copied; `''` keeps it.
    owner: String,
    /// The same for the mode.
    mode: String,
    excluded: Vec<String>,
    parents: bool,
    unpack: bool,
    /// The value of `--chown`, as the shell reads it: it counts for archives too.
    chown: Option<String>,
    /// `--link`: onto nothing, whatever the stage has.
    link: bool,
}

/// Where the script finds what is copied.
pub(super) enum From {
    Local(Option<String>),
    /// A directory of the script's with the merged tree.
    View(String),
}

impl Script<'_, '_> {
    pub(super) fn copy(&mut self, index: usize, stage: &Stage, copy: &Copy) -> Result<()> {
        let mut wanted = wanted(stage, &copy.transfer)?;
        wanted.parents = copy.parents;
        let from = self.from(copy.from.as_ref())?;
        if matches!(from, From::View(_)) && wanted.chown.is_none() {
            "''".clone_into(&mut wanted.owner);
        }
        self.transfer(index, &wanted, &from)
    }

    pub(super) fn add(&mut self, index: usize, stage: &Stage, add: &Add) -> Result<()> {
        let is_remote = |word: &Word| word.text.contains("://") || word.text.starts_with("git@");
        if let Some(word) = add.transfer.paths().find(|word| is_remote(word)) {
            self.leave_out(format!("ADD {word}: a download"));
            return Ok(());
        }
        let mut wanted = wanted(stage, &add.transfer)?;
        wanted.unpack = add.unpack.unwrap_or(true);
        self.transfer(index, &wanted, &From::Local(None))
    }

    /// A directory of `--build-context` that a stage starts from.
    pub(super) fn whole_context(&mut self, name: &str) -> Result<()> {
        let wanted = Wanted {
            sources: vec![".".to_owned()],
            destination: "/".to_owned(),
            made: "0:0".to_owned(),
            owner: "0:0".to_owned(),
            mode: "''".to_owned(),
            ..Wanted::default()
        };
        self.sources(&wanted, &From::Local(Some(name.to_owned())))
    }

    fn transfer(&mut self, index: usize, wanted: &Wanted, from: &From) -> Result<()> {
        let stage = array(index);
        let array = if wanted.link { "linked" } else { stage.as_str() };
        if !wanted.link || wanted.chown.is_some() {
            self.text.line(&format!("begin {stage}"));
        }
        if let Some(owner) = &wanted.chown {
            self.text.line(&format!("owner=$(ids {owner})"));
        }
        if wanted.link {
            if wanted.chown.is_some() {
                self.text.line("abandon");
            }
            self.text.line("linked=()");
            self.text.line("begin linked");
        }
        self.sources(wanted, from)?;
        for (name, content) in &wanted.inline {
            self.text.line("gather");
            let (name, content) = (quote(name), quote(content));
            self.text.line(&format!("printf %s {content} >\"$files\"/{name}"));
            let Wanted {
                destination,
                mode,
                made,
                ..
            } = wanted;
            self.text.line(&format!("dress {made} {mode}"));
            self.text.line(&format!("put_file {destination} {made}"));
        }
        self.text.line(&format!("finish {array}"));
        if wanted.link {
            self.text.line(&format!("{stage}+=(\"${{linked[@]}}\")"));
        }
        Ok(())
    }

    fn sources(&mut self, wanted: &Wanted, from: &From) -> Result<()> {
        match from {
            From::Local(name) => self.take_from_context(wanted, name.as_deref()),
            From::View(view) => {
                self.take_from_view(wanted, view);
                Ok(())
            }
        }
    }

    /// What `--from` names, made ready to be looked at.
    pub(super) fn from(&mut self, word: Option<&Word>) -> Result<From> {
        let Some(word) = word else {
            return Ok(From::Local(None));
        };
        if self.contexts.contains_key(&word.text) {
            return Ok(From::Local(Some(word.text.clone())));
        }
        let is_renamed = self.request.image_contexts.contains_key(&word.text);
        let array = match self.dockerfile.source(word)? {
            StageSource::Stage(index) if !is_renamed => array(index),
            _ => self.image_array(&word.text)?,
        };
        let view = format!("\"$tmp/view-{array}\"");
        self.text.line(&format!("look {array} {view}"));
        Ok(From::View(view))
    }

    fn image_array(&mut self, name: &str) -> Result<String> {
        if let Some(number) = self.images.get(name) {
            return Ok(format!("image_{number}"));
        }
        let number = self.images.len();
        self.images.insert(name.to_owned(), number);
        let array = format!("image_{number}");
        self.text.line(&format!("{array}=()"));
        if name != "scratch" {
            let platform = self.platform.clone();
            // A step is under way where its mounts are made: the image's own need another place.
            self.image(&array, name, &platform)?;
        }
        Ok(array)
    }

    pub(super) fn local(&self, name: Option<&str>) -> Result<&Source> {
        match name {
            None => Ok(&self.context),
            Some(name) => self
                .contexts
                .get(name)
                .ok_or_else(|| Error::wrong(format!("there is no build context {name}"))),
        }
    }

    fn take_from_context(&mut self, wanted: &Wanted, name: Option<&str>) -> Result<()> {
        let exclude = IgnorePatterns::from_patterns(wanted.excluded.iter().map(String::as_str))
            .map_err(|error| Error::wrong(format!("--exclude={}: the pattern is wrong", error.pattern)))?;
        let source = self.local(name)?;
        let picked = if wanted.parents {
            tree::pick_parents(source, &wanted.sources)?
        } else {
            tree::pick(source, &wanted.sources, &exclude)?
        };
        let mut lines = Vec::new();
        for one in &picked {
            lines.extend(one_of_context(source, one, &exclude, wanted)?);
        }
        for line in lines {
            self.text.line(&line);
        }
        Ok(())
    }

    fn take_from_view(&mut self, wanted: &Wanted, view: &str) {
        let mut patterns = Vec::new();
        for pattern in &wanted.excluded {
            match expression(pattern) {
                Some(expression) => patterns.push(expression),
                None => {
                    return self.leave_out(format!(
                        "--exclude={pattern}, which lets files in again, from another stage"
                    ));
                }
            }
        }
        let Wanted {
            destination,
            made,
            owner,
            mode,
            ..
        } = wanted;
        let rest = format!("{destination} {made} {owner} {mode} {}", text::quoted_all(&patterns));
        for source in &wanted.sources {
            let clean = clean(source);
            if wanted.parents {
                let (base, pattern) = source.split_once("/./").unwrap_or(("", source));
                let pattern = pattern.trim_start_matches('/').trim_start_matches("./");
                let line = format!(
                    "take_parents {view} {} {} {rest}",
                    quote(self::clean(base)),
                    quote(pattern)
                );
                self.text.line(&line);
            } else if wiac_dockerfile::glob::has_wildcards(source) {
                let pattern = clean.trim_start_matches('/');
                self.text.line(&format!(
                    "while IFS= read -r -d '' path; do take {view} \"/$path\" {rest}; done < <(matching {view} {})",
                    quote(pattern)
                ));
            } else {
                self.text.line(&format!("take {view} {} {rest}", quote(&clean)));
            }
        }
    }
}

/// The commands for one entry of a build context.
fn one_of_context(source: &Source, one: &Picked, exclude: &IgnorePatterns, wanted: &Wanted) -> Result<Vec<String>> {
    let path = source.place.join(&one.path);
    let Wanted {
        destination,
        mode,
        made,
        ..
    } = wanted;
    let mut lines = Vec::new();
    if wanted.unpack && !one.is_directory && archive::open(source, one)?.is_some() {
        let owner = if wanted.chown.is_some() { made } else { "''" };
        lines.push(format!("unpack {destination} {made} {} {owner}", text::path(&path)));
        return Ok(lines);
    }
    lines.push("gather".to_owned());
    if !one.is_directory {
        let name = quote(one.name.as_encoded_bytes());
        lines.push(format!(
            "cp -a --no-preserve=ownership -T -- {} \"$files\"/{name}",
            text::path(&path)
        ));
        lines.push(format!("dress {made} {mode}"));
        lines.push(format!("put_file {destination} {made}"));
        return Ok(lines);
    }
    if source.ignore.is_empty() && exclude.is_empty() && one.include.is_none() {
        lines.push(format!(
            "cp -a --no-preserve=ownership -T -- {} \"$files\"",
            text::path(&path)
        ));
    } else {
        let mut chosen = Vec::new();
        let directory = tree::open_directory(source, &one.path)?;
        choose(&one.selection(source, exclude), &directory, Path::new(""), &mut chosen)?;
        let names: Vec<&std::ffi::OsStr> = chosen.iter().map(|path| path.as_os_str()).collect();
        lines.push(format!(
            "gather_these {} {}",
            text::path(&path),
            text::quoted_all(&names)
        ));
    }
    lines.push(format!("dress {made} {mode}"));
    lines.push(format!("put_contents {destination} {made}"));
    Ok(lines)
}

/// What is selected below a directory, each directory before what is in it. `true` where there is something.
pub(super) fn choose(
    selection: &Selection<'_>,
    directory: &OwnedFd,
    relative: &Path,
    chosen: &mut Vec<PathBuf>,
) -> Result<bool> {
    let shown = selection.source.place.join(selection.base).join(relative);
    let before = chosen.len();
    for name in tree::names(directory.as_fd(), &shown)? {
        let stat = rustix::fs::statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW).on("look at", &shown)?;
        let kind = Metadata::from(&stat).kind;
        let is_directory = kind == FileKind::Directory;
        let path = relative.join(&name);
        let choice = selection.choose(&path, kind);
        if choice == Choice::Exclude {
            continue;
        }
        let at = chosen.len();
        chosen.push(Path::new(".").join(&path));
        if is_directory {
            let below = crate::directory::open_in(directory, &name).on("open", &shown)?;
            let has_more = choose(selection, &below, &path, chosen)?;
            if choice == Choice::Descend && !has_more {
                chosen.truncate(at);
            }
        }
    }
    Ok(chosen.len() > before)
}

fn wanted(stage: &Stage, transfer: &Transfer) -> Result<Wanted> {
    let lookup = |name: &str| stage.variable(name);
    let expander = Expander::new(stage.escape, &lookup);
    let mut wanted = Wanted {
        made: "0:0".to_owned(),
        owner: "0:0".to_owned(),
        mode: "''".to_owned(),
        ..Wanted::default()
    };
    for source in &transfer.sources {
        match source {
            CopySource::Path(word) => wanted.sources.push(stage.expand(word)?.text),
            CopySource::Heredoc(heredoc) => {
                let name = prepared::file_name(&heredoc.name)?;
                wanted.inline.push((name, expander.heredoc(heredoc)?.text));
            }
        }
    }
    let destination = stage.expand(&transfer.destination)?.text;
    wanted.destination = quote(prepared::absolute(&stage.working_directory(), &destination));
    if let Some(owner) = prepared::given(stage, transfer.chown.as_ref())? {
        wanted.chown = Some(quote(owner));
        "\"$owner\"".clone_into(&mut wanted.made);
        wanted.owner.clone_from(&wanted.made);
    }
    let mode = prepared::given(stage, transfer.chmod.as_ref())?;
    wanted.link = transfer.link && mode.is_none();
    if let Some(text) = mode {
        // chmod(1) takes bits away from directories only where there are five digits.
        let is_octal = text.bytes().all(|byte| byte.is_ascii_digit());
        wanted.mode = quote(if is_octal { format!("{text:0>5}") } else { text });
    }
    wanted.excluded = transfer.exclude.iter().map(|word| word.text.clone()).collect();
    Ok(wanted)
}

fn clean(path: &str) -> String {
    prepared::clean(&Path::new("/").join(path))
        .to_string_lossy()
        .into_owned()
}

/// An ignore pattern as an extended regular expression; `None` for one that lets files in again.
fn expression(pattern: &str) -> Option<String> {
    let pattern = pattern.trim_start_matches('/').trim_end_matches('/');
    if pattern.starts_with('!') {
        return None;
    }
    let mut expression = String::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("**/") {
            expression.push_str("(.*/)?");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("**") {
            expression.push_str(".*");
            rest = after;
        } else {
            match first {
                '*' => expression.push_str("[^/]*"),
                '?' => expression.push_str("[^/]"),
                '.' | '+' | '(' | ')' | '{' | '}' | '|' | '^' | '$' => expression.extend(['\\', first]),
                other => expression.push(other),
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    Some(expression)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_expressions() {
        assert_eq!(expression("**/*.o").as_deref(), Some(r"(.*/)?[^/]*\.o"));
        assert_eq!(expression("/doc/").as_deref(), Some("doc"));
        assert_eq!(expression("!x"), None);
    }
}
