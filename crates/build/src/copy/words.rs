//! What the paths of `wiac copy` say by how they're written: a slash or a dot at the end means a directory. Pure.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The destination, a path in the layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    /// Its names, without empty ones and "."; ".." is left in.
    pub(super) names: Vec<OsString>,
    /// Whether the way it's written says that it's a directory: it ends in "/", "." or "..".
    pub(super) is_directory: bool,
}

impl Destination {
    pub(super) fn parse(text: &OsStr) -> Self {
        let parts: Vec<&[u8]> = text.as_bytes().split(|byte| *byte == b'/').collect();
        let is_directory = matches!(parts.last(), None | Some(&b"" | &b"." | &b".."));
        let names = parts
            .into_iter()
            .filter(|part| !matches!(*part, b"" | b"."))
            .map(|part| OsStr::from_bytes(part).to_owned())
            .collect();
        Self { names, is_directory }
    }
}

/// How a source is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form<'a> {
    /// `parent/name`: the entry itself.
    Entry { parent: &'a OsStr, name: &'a OsStr },
    /// `directory/`: what that leads to, which has to be a directory.
    Directory { path: &'a OsStr, name: &'a OsStr },
    /// `.`, `..`, `/` and all that ends so: what is in the directory.
    Contents { path: &'a OsStr },
}

impl<'a> Form<'a> {
    pub(super) fn of(path: &'a Path) -> Self {
        let path = path.as_os_str();
        let bytes = path.as_bytes();
        let length = bytes.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let start = bytes[..length]
            .iter()
            .rposition(|byte| *byte == b'/')
            .map_or(0, |slash| slash + 1);
        let name = &bytes[start..length];
        if matches!(name, b"" | b"." | b"..") {
            return Self::Contents { path };
        }
        let name = OsStr::from_bytes(name);
        if length < bytes.len() {
            return Self::Directory { path, name };
        }
        let parent = if start == 0 { b"." } else { &bytes[..start] };
        Self::Entry {
            parent: OsStr::from_bytes(parent),
            name,
        }
    }
}

/// Whether a source stands for what is in a directory.
pub(super) fn is_contents(path: &Path) -> bool {
    matches!(Form::of(path), Form::Contents { .. })
}

/// The names with ".." worked in, which never leads above the first.
pub(super) fn clamped(names: &[OsString]) -> Vec<&OsStr> {
    let mut clamped: Vec<&OsStr> = Vec::new();
    for name in names {
        if name == ".." {
            clamped.pop();
        } else {
            clamped.push(name);
        }
    }
    clamped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_destinations() {
        let parse = |text: &str| {
            let found = Destination::parse(OsStr::new(text));
            let names: Vec<String> = found
                .names
                .iter()
                .map(|name| name.to_string_lossy().into_owned())
                .collect();
            (names.join("|"), found.is_directory)
        };
        assert_eq!(parse("/"), (String::new(), true));
        assert_eq!(parse("."), (String::new(), true));
        assert_eq!(parse("a"), ("a".to_owned(), false));
        assert_eq!(parse("/a//b"), ("a|b".to_owned(), false));
        assert_eq!(parse("a/b/"), ("a|b".to_owned(), true));
        assert_eq!(parse("a/."), ("a".to_owned(), true));
        assert_eq!(parse("a/../b"), ("a|..|b".to_owned(), false));
        assert_eq!(parse(".."), ("..".to_owned(), true));
    }

    #[test]
    fn reads_sources() {
        let entry = |parent: &'static str, name: &'static str| Form::Entry {
            parent: OsStr::new(parent),
            name: OsStr::new(name),
        };
        let contents = |path: &'static str| Form::Contents { path: OsStr::new(path) };
        assert_eq!(Form::of(Path::new("a")), entry(".", "a"));
        assert_eq!(Form::of(Path::new("/a")), entry("/", "a"));
        assert_eq!(Form::of(Path::new("../b/a")), entry("../b/", "a"));
        let directory = Form::Directory {
            path: OsStr::new("b/a//"),
            name: OsStr::new("a"),
        };
        assert_eq!(Form::of(Path::new("b/a//")), directory);
        for path in [".", "..", "/", "a/.", "a/..", "a/./", "//"] {
            assert_eq!(Form::of(Path::new(path)), contents(path));
        }
    }
}
