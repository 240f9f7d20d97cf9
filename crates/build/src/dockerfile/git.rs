//! A git repository in ADD: known by its commit, checked out where its files are needed.

use super::tree::{self, Picked};
use super::worker::Shared;
use crate::context::Source;
use crate::error::{Error, IoExt, Result};
use crate::key::KeyMaker;
use std::path::PathBuf;
use wiac_dockerfile::remote::GitSource;
use wiac_sys::root::Root;

/// A commit of a repository.
pub(super) struct Checkout {
    git: GitSource,
    commit: String,
    keep_git_dir: bool,
    /// A directory of its own.
    directory: PathBuf,
}

impl Checkout {
    /// Finds out which commit is meant. `directory` is empty, and the files go there if they are needed.
    pub(super) fn resolve(
        shared: &Shared<'_>,
        git: GitSource,
        checksum: Option<&str>,
        keep_git_dir: Option<bool>,
        directory: PathBuf,
    ) -> Result<Self> {
        let wrong = |reason: String| Error::wrong(format!("{}: {reason}", git.shown()));
        let keep_git_dir = match (keep_git_dir, git.keep_git_dir) {
            (Some(given), Some(written)) if given != written => {
                return Err(wrong("--keep-git-dir and the address disagree about .git".to_owned()));
            }
            (given, written) => given.or(written).unwrap_or(false),
        };
        let checksum = match (checksum, git.checksum.as_deref()) {
            (Some(given), Some(written)) if given != written => {
                return Err(wrong(format!("--checksum says {given}, the address {written}")));
            }
            (given, written) => given.or(written),
        };
        let is_commit = |text: &&str| matches!(text.len(), 7..=64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if let Some(text) = checksum.filter(|text| !is_commit(text)) {
            return Err(wrong(format!(
                "--checksum={text}: the checksum of a repository is a commit, 40 or 64 hexadecimal digits"
            )));
        }
        let commit = shared.fetcher.resolve(&git, shared)?;
        if let Some(expected) = checksum.filter(|expected| !commit.starts_with(&expected.to_ascii_lowercase())) {
            let name = git.reference.as_deref().unwrap_or("HEAD");
            return Err(wrong(format!(
                "{name} is the commit {commit}, and {expected} is expected"
            )));
        }
        Ok(Self {
            git,
            commit,
            keep_git_dir,
            directory,
        })
    }

    /// Adds what the files are: the commit says it all, but what is in `.git` names the repository too.
    pub(super) fn add_to_key(&self, key: &mut KeyMaker) {
        key.add("git");
        key.add(&self.commit);
        key.add(&self.git.directory);
        key.add(format!("{} {}", self.keep_git_dir, self.git.submodules));
        if self.git.commit_time {
            key.add("mtime=commit");
        }
        if self.keep_git_dir {
            key.add(self.git.shown());
            key.add(self.git.reference.as_deref().unwrap_or_default());
        }
    }

    /// Gets the files.
    pub(super) fn fetch(&self, shared: &Shared<'_>) -> Result<()> {
        shared
            .fetcher
            .checkout(&self.git, &self.commit, self.keep_git_dir, &self.directory, shared)
    }

    /// The files as a source to copy from.
    pub(super) fn source(&self) -> Result<(Source, Picked)> {
        let root = Root::open(&self.directory).on("open", &self.directory)?;
        let shown = self.git.shown();
        let source = Source::tree(root, PathBuf::from(&shown), shown);
        let directory = format!("./{}", self.git.directory);
        let picked = tree::pick_literal(&source, &directory)?;
        if !picked.is_directory {
            return Err(Error::wrong(format!(
                "{}: {} isn't a directory of it",
                source.description, self.git.directory
            )));
        }
        Ok((source, picked))
    }
}
