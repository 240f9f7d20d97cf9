//! Which entries below a directory are taken: the ignore file of its tree, `--exclude`, and the patterns of
//! `--parents`.

use super::tree;
use crate::context::Source;
use crate::copy::Choice;
use crate::error::{Error, Result};
use std::path::Path;
use wiac_dockerfile::glob::Glob;
use wiac_dockerfile::ignore::IgnorePatterns;
use wiac_sys::root::FileKind;

/// The one pattern of a `--parents` source: what it matches is taken, with everything below.
#[derive(Debug, Clone)]
pub(super) struct Include {
    /// As written, from the pivot on.
    pub(super) written: String,
    patterns: IgnorePatterns,
    glob: Glob,
}

impl Include {
    /// Takes a pattern apart.
    ///
    /// # Errors
    /// A pattern of the wrong form.
    pub(super) fn parse(written: &str) -> Result<Self> {
        let wrong = |error: &dyn std::fmt::Display| Error::wrong(format!("{written}: {error}"));
        Ok(Self {
            written: written.to_owned(),
            patterns: IgnorePatterns::from_patterns([written]).map_err(|error| wrong(&error))?,
            glob: Glob::parse(written).map_err(|error| wrong(&error))?,
        })
    }
}

/// What is taken below one directory of a tree.
#[derive(Clone, Copy)]
pub(super) struct Selection<'s> {
    pub(super) source: &'s Source,
    /// The directory, from the tree's root.
    pub(super) base: &'s Path,
    pub(super) include: Option<&'s Include>,
    pub(super) exclude: &'s IgnorePatterns,
}

impl Selection<'_> {
    /// About how many files an earlier build met here.
    pub(super) fn known(&self) -> usize {
        let table = self.source.hashes.as_ref();
        table.map_or(0, |table| table.count_below(self.base))
    }

    /// What becomes of the entry at `relative`, counted from the directory. As in BuildKit the ignore file comes first:
    /// what it leaves out isn't there at all. Nothing is taken any more once the build is to end: whoever goes through the
    /// tree says so when that is done ([`Source::check`]).
    pub(super) fn choose(&self, relative: &Path, kind: FileKind) -> Choice {
        if !self.source.goes_on() {
            return Choice::Exclude;
        }
        let is_directory = kind == FileKind::Directory;
        if !self.is_seen(relative, is_directory) {
            return Choice::Exclude;
        }
        let path = relative.to_string_lossy();
        let is_included = self.include.is_none_or(|include| include.patterns.is_ignored(&path));
        let is_excluded = self.exclude.is_ignored(&path);
        if is_included && !is_excluded {
            return Choice::Include;
        }
        let may_hold_more = match self.include {
            Some(include) if !is_included => include.glob.may_match_below(&path),
            _ => self.exclude.has_negations(),
        };
        if is_directory && may_hold_more {
            Choice::Descend
        } else {
            Choice::Exclude
        }
    }

    fn is_seen(&self, relative: &Path, is_directory: bool) -> bool {
        if self.source.ignore.is_empty() {
            return true;
        }
        // What can't be looked at is named when it is copied.
        tree::is_seen(self.source, &self.base.join(relative), is_directory).unwrap_or(true)
    }
}
