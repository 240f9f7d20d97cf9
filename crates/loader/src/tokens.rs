//! The names that the dynamic loader replaces in paths: `$ORIGIN`, `$LIB` and `$PLATFORM` (ld.so(8)).

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What the names stand for.
#[derive(Debug)]
pub(crate) struct Meanings<'a> {
    /// The directory of the object that the path stands in.
    pub origin: &'a Path,
    /// Everything that `$LIB` may be; which one depends on how the loader was built.
    pub libs: &'a [String],
    /// Everything that `$PLATFORM` may be; which one depends on the machine.
    pub platforms: &'a [&'a str],
}

/// One meaning of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub path: PathBuf,
    /// Set where the path holds only on certain machines.
    pub variant: Option<String>,
}

/// How many meanings of one path are looked at.
const MAX_MEANINGS: usize = 32;
/// The longest path that a meaning may become (PATH_MAX): every further one couldn't be opened.
const MAX_PATH: usize = 4096;

/// Whether the meaning of `text` depends on where the object lies.
pub(crate) fn names_origin(text: &[u8]) -> bool {
    let behind_dollar = |at: usize| text[at] == b'$' && matches!(token(&text[at + 1..]), Some((Token::Origin, _)));
    (0..text.len()).any(behind_dollar)
}

/// Every meaning of `text`: those for certain machines before the baseline. Other names behind a `$` stand for themselves.
pub(crate) fn expand(text: &[u8], meanings: &Meanings<'_>) -> Vec<Expanded> {
    let mut results = vec![(Vec::new(), None)];
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let token = (first == b'$').then(|| token(tail)).flatten();
        let Some((token, length)) = token else {
            for (path, _) in &mut results {
                path.push(first);
            }
            rest = tail;
            continue;
        };
        results = replace(&results, token, meanings);
        rest = &tail[length..];
    }
    let fits = |path: &Vec<u8>| path.len() < MAX_PATH;
    let results = results.into_iter().filter(|(path, _)| fits(path));
    results
        .map(|(path, variant)| Expanded {
            path: PathBuf::from(OsString::from_vec(path)),
            variant,
        })
        .collect()
}

type Partial = (Vec<u8>, Option<String>);

#[derive(Clone, Copy)]
enum Token {
    Origin,
    Lib,
    Platform,
}

fn replace(results: &[Partial], token: Token, meanings: &Meanings<'_>) -> Vec<Partial> {
    let mut next = Vec::new();
    for (path, variant) in results {
        let with = |value: &[u8]| {
            let short = if path.len() < MAX_PATH { value } else { &[] };
            [path.as_slice(), short].concat()
        };
        match token {
            Token::Origin => next.push((with(meanings.origin.as_os_str().as_bytes()), variant.clone())),
            Token::Lib => next.extend(meanings.libs.iter().map(|lib| (with(lib.as_bytes()), variant.clone()))),
            Token::Platform => {
                // The baseline comes last, because a search ends where it finds one.
                for (index, platform) in meanings.platforms.iter().enumerate().rev() {
                    let special = (index > 0).then(|| (*platform).to_owned());
                    next.push((with(platform.as_bytes()), variant.clone().or(special)));
                }
            }
        }
    }
    next.truncate(MAX_MEANINGS);
    next
}

/// The token at the start of what follows a `$`, and its length there.
fn token(text: &[u8]) -> Option<(Token, usize)> {
    let names: [(&[u8], Token); 3] = [
        (b"ORIGIN", Token::Origin),
        (b"LIB", Token::Lib),
        (b"PLATFORM", Token::Platform),
    ];
    let (braces, inner) = match text.strip_prefix(b"{") {
        Some(inner) => (true, inner),
        None => (false, text),
    };
    names.into_iter().find_map(|(name, token)| {
        let after = inner.strip_prefix(name)?.first();
        let ends = if braces {
            after == Some(&b'}')
        } else {
            !after.is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        };
        ends.then_some((token, name.len() + 2 * usize::from(braces)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        let libs = ["lib/x86_64-linux-gnu".to_owned(), "lib64".to_owned()];
        let meanings = Meanings {
            origin: Path::new("/opt/a"),
            libs: &libs,
            platforms: &["x86_64", "haswell"],
        };
        let expanded = expand(text.as_bytes(), &meanings);
        let show = |one: Expanded| {
            let mark = one.variant.map(|variant| format!(" ({variant})")).unwrap_or_default();
            format!("{}{mark}", one.path.display())
        };
        expanded.into_iter().map(show).collect()
    }

    #[test]
    fn replaces_both_forms() {
        assert_eq!(all("$ORIGIN/../b"), ["/opt/a/../b"]);
        assert!(names_origin(b"/x/${ORIGIN}/..") && !names_origin(b"/x/$LIB/$ORIGINS$"));
        assert_eq!(all("${ORIGIN}x"), ["/opt/ax"]);
        assert_eq!(all("/$LIB"), ["/lib/x86_64-linux-gnu", "/lib64"]);
        assert_eq!(all("/p/${PLATFORM}"), ["/p/haswell (haswell)", "/p/x86_64"]);
    }

    #[test]
    fn leaves_other_names() {
        for text in ["$ORIGINS", "$ORIGIN_", "${ORIGIN", "$", "$$", "$HOME/x", "${}"] {
            assert_eq!(all(text), [text]);
        }
        assert_eq!(all("$ORIGIN2"), ["/opt/a2"]);
    }

    #[test]
    fn stays_bounded() {
        assert!(all(&"$LIB$PLATFORM".repeat(2000)).len() <= MAX_MEANINGS);
    }
}
