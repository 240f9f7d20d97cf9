//! COPY and ADD: files into the image.

use super::parts::Parts;
use crate::error::{Error, ErrorKind};
use crate::flags::{Flags, Takes};
use crate::heredoc;
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

/// The flags that COPY and ADD share.
const TRANSFER_FLAGS: [(&str, Takes); 4] = [
    ("chown", Takes::Value),
    ("chmod", Takes::Value),
    ("link", Takes::Bool),
    ("exclude", Takes::Values),
];

/// Types a COPY instruction.
pub(super) fn parse_copy(parts: Parts<'_>) -> Result<Copy, Error> {
    let own = [("from", Takes::Value), ("parents", Takes::Bool)];
    let flags = parts.flags(&[own.as_slice(), &TRANSFER_FLAGS].concat())?;
    let from = flags.word("from");
    if let Some(from) = from.as_ref().filter(|from| from.text.contains('$')) {
        return Err(Error::new(ErrorKind::VariableInFrom { place: "--from" }, from.span));
    }
    Ok(Copy {
        from,
        parents: flags.switch("parents").unwrap_or(false),
        transfer: parse_transfer(parts, &flags)?,
    })
}

/// Types an ADD instruction.
pub(super) fn parse_add(parts: Parts<'_>) -> Result<Add, Error> {
    let own = [
        ("checksum", Takes::Value),
        ("keep-git-dir", Takes::Bool),
        ("unpack", Takes::Bool),
    ];
    let flags = parts.flags(&[own.as_slice(), &TRANSFER_FLAGS].concat())?;
    Ok(Add {
        checksum: flags.word("checksum"),
        keep_git_dir: flags.switch("keep-git-dir"),
        unpack: flags.switch("unpack"),
        transfer: parse_transfer(parts, &flags)?,
    })
}

fn parse_transfer(parts: Parts<'_>, flags: &Flags) -> Result<Transfer, Error> {
    let (mut words, json) = parts.list()?;
    let Some(destination) = words.pop().filter(|_| !words.is_empty()) else {
        return parts.needs("at least one source and a destination");
    };
    if !json && heredoc::opening(&destination.text).is_some() {
        return Err(Error::new(
            ErrorKind::HeredocDestination { name: parts.name },
            destination.span,
        ));
    }
    let heredocs = parts.heredocs;
    let source = |word: Word| {
        let opening = heredoc::opening(&word.text).filter(|_| !json);
        let found = opening.and_then(|opening| heredocs.iter().rev().find(|heredoc| heredoc.name == opening.name));
        found.map_or(CopySource::Path(word), |heredoc| CopySource::Heredoc(heredoc.clone()))
    };
    Ok(Transfer {
        sources: words.into_iter().map(source).collect(),
        destination,
        json,
        chown: flags.word("chown"),
        chmod: flags.word("chmod"),
        link: flags.switch("link").unwrap_or(false),
        exclude: flags.words("exclude"),
    })
}
