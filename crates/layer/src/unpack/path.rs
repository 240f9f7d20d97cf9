//! Where an entry of an archive goes: its path checked, and what a name that starts with `.wh.` asks for.
//!
//! The names are those of the OCI image specification, layer.md, "Whiteouts"; they come from aufs, whose other
//! bookkeeping (`.wh..wh.plnk` and the like) means nothing here.

use crate::error::Result;
use crate::tar::refuse;

/// What every whiteout's name starts with.
pub(crate) const WHITEOUT: &[u8] = b".wh.";
/// What the names of aufs's bookkeeping start with.
const BOOKKEEPING: &[u8] = b".wh..wh.";
/// The name of an opaque mark.
pub(crate) const OPAQUE: &[u8] = b".wh..wh..opq";
/// NAME_MAX of limits.h.
const LONGEST_NAME: usize = 255;

/// What an entry means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning<'p> {
    /// The layer's root itself.
    Root,
    /// Something called `name` in a directory.
    Place(Place<'p>),
    /// Lower layers' `name` in a directory is hidden.
    Whiteout(Place<'p>),
    /// What lower layers have in a directory is hidden.
    Opaque(Vec<&'p [u8]>),
    /// Nothing.
    Ignored,
}

/// A name in a directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place<'p> {
    /// The names of the directories from the layer's root.
    pub parents: Vec<&'p [u8]>,
    /// The last name.
    pub name: &'p [u8],
}

/// Reads the path of an entry.
///
/// A slash in front means the layer's root, as for every other tool. `..` is refused wherever it stands: whether it
/// takes back the name or the directory that a symlink leads to is read in different ways.
///
/// # Errors
/// A path that is empty, has `..`, a zero byte or a name that is too long; a name that starts with `.wh.` and can't
/// be a whiteout.
pub(super) fn meaning(path: &[u8]) -> Result<Meaning<'_>> {
    let Some(mut parents) = components(path, "path")? else {
        return Ok(Meaning::Root);
    };
    if parents
        .iter()
        .any(|name| name.starts_with(BOOKKEEPING) && *name != OPAQUE)
    {
        return Ok(Meaning::Ignored);
    }
    let Some(name) = parents.pop() else {
        return Ok(Meaning::Root);
    };
    if parents.iter().any(|parent| parent.starts_with(WHITEOUT)) {
        return refuse(
            path,
            "lies in a directory whose name starts with .wh., which means a deletion in layers",
        );
    }
    if name == OPAQUE {
        return Ok(Meaning::Opaque(parents));
    }
    match name.strip_prefix(WHITEOUT) {
        None => Ok(Meaning::Place(Place { parents, name })),
        Some(b"" | b"." | b"..") => refuse(path, "is a whiteout of nothing"),
        Some(name) => Ok(Meaning::Whiteout(Place { parents, name })),
    }
}

/// Reads the target of a hard link: a file of the layer or of those below.
///
/// # Errors
/// As [`meaning`]; and the target is the root or starts with `.wh.`.
pub(super) fn link_target<'p>(entry: &[u8], target: &'p [u8]) -> Result<Place<'p>> {
    let names = components(target, "target").ok().flatten();
    let Some(mut parents) = names.filter(|names| !names.iter().any(|name| name.starts_with(WHITEOUT))) else {
        let target = crate::tar::shown(target);
        return refuse(
            entry,
            format!("is a hard link to \"{target}\", which can't be a file of a layer"),
        );
    };
    match parents.pop() {
        Some(name) => Ok(Place { parents, name }),
        None => refuse(entry, "is a hard link to the root directory"),
    }
}

/// The names of a path; `None` for the root.
fn components<'p>(path: &'p [u8], what: &str) -> Result<Option<Vec<&'p [u8]>>> {
    if path.is_empty() {
        return refuse(path, format!("an entry has an empty {what}"));
    }
    if path.contains(&0) {
        return refuse(path, format!("has a {what} with a zero byte"));
    }
    let mut names = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => return refuse(path, format!("has a {what} with \"..\"")),
            // A whiteout's name never comes to disk; what it hides may have the longest one.
            name if name.strip_prefix(WHITEOUT).unwrap_or(name).len() > LONGEST_NAME => {
                return refuse(path, format!("has a name of more than {LONGEST_NAME} bytes"));
            }
            name => names.push(name),
        }
    }
    Ok((!names.is_empty()).then_some(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place<'p>(parents: &[&'p [u8]], name: &'p [u8]) -> Place<'p> {
        Place {
            parents: parents.to_vec(),
            name,
        }
    }

    #[test]
    fn paths_are_read_from_the_layers_root() {
        for path in [&b"a/b"[..], b"/a/b", b"./a/./b/", b"//a//b"] {
            assert_eq!(meaning(path).expect("fine"), Meaning::Place(place(&[b"a"], b"b")));
        }
        for path in [&b"/"[..], b".", b"./", b"//./"] {
            assert_eq!(meaning(path).expect("fine"), Meaning::Root);
        }
    }

    #[test]
    fn marks_are_told_apart() {
        assert_eq!(
            meaning(b"a/.wh.b").expect("fine"),
            Meaning::Whiteout(place(&[b"a"], b"b"))
        );
        assert_eq!(meaning(b"a/.wh..wh..opq").expect("fine"), Meaning::Opaque(vec![b"a"]));
        assert_eq!(meaning(b".wh..wh..opq").expect("fine"), Meaning::Opaque(vec![]));
        for path in [&b".wh..wh.plnk/12.3"[..], b"a/.wh..wh.aufs", b".wh..wh.orph/"] {
            assert_eq!(meaning(path).expect("fine"), Meaning::Ignored);
        }
        assert_eq!(
            meaning(b"a/.why").expect("fine"),
            Meaning::Place(place(&[b"a"], b".why"))
        );
    }

    #[test]
    fn the_longest_name_can_be_deleted() {
        let mark = [WHITEOUT, &[b'x'; LONGEST_NAME]].concat();
        assert!(matches!(meaning(&mark), Ok(Meaning::Whiteout(_))));
        assert!(meaning(&[&mark[..], b"x"].concat()).is_err());
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        let long = [b'x'; 256];
        for path in [
            &b""[..],
            b"..",
            b"a/../b",
            b"/..",
            b"a\0b",
            b".wh.",
            b".wh..",
            b".wh...",
            b".wh.a/b",
            &long,
        ] {
            assert!(meaning(path).is_err(), "{}", path.escape_ascii());
        }
        for target in [&b""[..], b"/", b"../x", b"a/.wh.b", b".wh..wh.plnk/1.2"] {
            assert!(link_target(b"e", target).is_err(), "{}", target.escape_ascii());
        }
    }
}
