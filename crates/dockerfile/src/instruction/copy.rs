//! COPY and ADD: files into the image.

use crate::model::{Heredoc, Word};

/// COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// What, where to, and as whom.
    pub transfer: Transfer,
    /// `--from`: a stage by name or number, a named context, or an image; never holds variables.
    pub from: Option<Word>,
    /// `--parents`: keep the sources' parent directories.
    pub parents: bool,
}

/// ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// What, where to, and as whom.
    pub transfer: Transfer,
    /// `--checksum` of a fetched file or commit; unexpanded.
    pub checksum: Option<Word>,
    /// `--keep-git-dir`, where given.
    pub keep_git_dir: Option<bool>,
    /// `--unpack`, where given: overrides what is unpacked by default.
    pub unpack: Option<bool>,
}

/// What COPY and ADD have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The sources in order; never empty.
    pub sources: Vec<CopySource>,
    /// The destination; unexpanded.
    pub destination: Word,
    /// Written as a JSON array.
    pub json: bool,
    /// `--chown`; unexpanded.
    pub chown: Option<Word>,
    /// `--chmod`; unexpanded.
    pub chmod: Option<Word>,
    /// `--link`: a layer of its own that depends on none below.
    pub link: bool,
    /// `--exclude` patterns in order; not expanded.
    pub exclude: Vec<Word>,
}

impl Transfer {
    /// The sources that are paths, globs or URLs.
    pub fn paths(&self) -> impl Iterator<Item = &Word> {
        self.sources.iter().filter_map(|source| match source {
            CopySource::Path(word) => Some(word),
            CopySource::Heredoc(_) => None,
        })
    }

    /// The sources that are heredocs.
    pub fn heredocs(&self) -> impl Iterator<Item = &Heredoc> {
        self.sources.iter().filter_map(|source| match source {
            CopySource::Path(_) => None,
            CopySource::Heredoc(heredoc) => Some(heredoc),
        })
    }
}

/// One source of COPY or ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopySource {
    /// A path, a glob, or in ADD a URL; unexpanded.
    Path(Word),
    /// A file written in the Dockerfile itself: named [`Heredoc::name`], mode 0644.
    Heredoc(Heredoc),
}
