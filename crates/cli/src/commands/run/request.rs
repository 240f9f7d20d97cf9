//! The words behind `wiac run`: what to run on, and the command.

use super::arguments::What;
use crate::docker_options::not_text;
use crate::error::Failure;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// What the command line asks to run on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Directories, topmost first as written, and the container layer.
    Chain {
        /// The directories, topmost first.
        lowers: Vec<PathBuf>,
        /// The container layer.
        layer: PathBuf,
    },
    /// An image by name, id, or `bundle://…`.
    Image(String),
    /// A directory to build.
    Build(PathBuf),
}

impl Request {
    /// Takes from the words what says what to run on; the command is left in them.
    /// `rm`: the container is to be deleted when it ends.
    pub(super) fn parse(what: &mut What, rm: bool) -> Result<Self, Failure> {
        if let Some(path) = what.build.take() {
            strip_separator(&mut what.words);
            return Ok(Self::Build(path));
        }
        if let Some(chain) = what.lower.take() {
            return Self::chain(&chain, &mut what.words, rm);
        }
        if what.words.is_empty() {
            return Err(Failure::usage(
                "nothing to run: name an image, bundle://PROGRAM, or LOWER[:LOWER…] CONTAINERLAYER COMMAND…",
            ));
        }
        let first = what.words.remove(0);
        if is_chain(&first) {
            return Self::chain(&first, &mut what.words, rm);
        }
        if let Some(part) = odd_part(&first) {
            return Err(Failure::usage(format!(
                "{}: \"{}\" doesn't begin with /, ./ or ../, as each directory of a chain does (a colon in a path is \
                 written \\:, and with --lower a path may begin with anything)",
                first.display(),
                part.display()
            )));
        }
        strip_separator(&mut what.words);
        first.into_string().map(Self::Image).map_err(|first| not_text(&first))
    }

    fn chain(text: &OsStr, words: &mut Vec<OsString>, rm: bool) -> Result<Self, Failure> {
        if rm {
            return Err(Failure::usage(
                "--rm: a container layer that is named stays; delete its directory, or run an image",
            ));
        }
        if words.len() < 2 {
            return Err(Failure::usage("usage: wiac run LOWER[:LOWER…] CONTAINERLAYER COMMAND…"));
        }
        let layer = PathBuf::from(words.remove(0));
        let lowers: Vec<PathBuf> = split_chain(text).into_iter().map(PathBuf::from).collect();
        if lowers.iter().chain([&layer]).any(|path| path.as_os_str().is_empty()) {
            return Err(Failure::usage(format!(
                "a directory has no name in LOWER[:LOWER…] CONTAINERLAYER, here \"{}\" {:?}",
                text.display(),
                layer.display()
            )));
        }
        strip_separator(words);
        Ok(Self::Chain { lowers, layer })
    }
}

fn strip_separator(words: &mut Vec<OsString>) {
    if words.first().is_some_and(|word| word == "--") {
        words.remove(0);
    }
}

/// A chain is told from a name by its parts: each begins like a path.
fn is_chain(text: &OsStr) -> bool {
    split_chain(text).iter().all(|part| is_like_a_path(part))
}

fn is_like_a_path(text: &OsStr) -> bool {
    let text = text.as_bytes();
    ["/", "./", "../"]
        .iter()
        .any(|start| text.starts_with(start.as_bytes()))
}

/// What makes no chain of words that begin as one; no image has such a name.
fn odd_part(text: &OsStr) -> Option<OsString> {
    let parts = split_chain(text);
    is_like_a_path(text)
        .then(|| parts.into_iter().find(|part| !is_like_a_path(part)))
        .flatten()
}

/// Splits at colons; `\:` is a colon of a path, `\\` a backslash.
fn split_chain(text: &OsStr) -> Vec<OsString> {
    let mut parts = vec![Vec::new()];
    let mut bytes = text.as_bytes().iter().copied();
    while let Some(byte) = bytes.next() {
        let part = parts.len() - 1;
        match byte {
            b':' => parts.push(Vec::new()),
            b'\\' => match bytes.next() {
                Some(next @ (b':' | b'\\')) => parts[part].push(next),
                Some(next) => parts[part].extend([b'\\', next]),
                None => parts[part].push(b'\\'),
            },
            other => parts[part].push(other),
        }
    }
    parts.into_iter().map(OsString::from_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_and_names() {
        for chain in ["/a", "./a:../b:/c", "/a\\:b:/c"] {
            assert!(is_chain(OsStr::new(chain)), "{chain}");
        }
        for name in ["alpine", "alpine:3", "localhost:5000/x:1", "bundle://sh,ls", "/a:b"] {
            assert!(!is_chain(OsStr::new(name)), "{name}");
        }
        let odd = |text: &str| odd_part(OsStr::new(text));
        assert_eq!(split_chain(OsStr::new("/a\\:b:/c\\\\d")), ["/a:b", "/c\\d"]);
        assert_eq!(odd("./a:b:/c").as_deref(), Some(OsStr::new("b")));
        assert_eq!(odd("/a:").as_deref(), Some(OsStr::new("")));
        assert!(odd("alpine:3").is_none() && odd("/a:./b").is_none());
    }
}
