//! The text files that name library directories: ld.so.conf with its includes (ldconfig(8)), and musl's path file.
//!
//! glibc's loader never reads ld.so.conf: ldconfig makes the cache of it. It's read here only where a root has no
//! cache, to find what ldconfig would put into one.

use crate::files::Files;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use wiac_sys::root::FileKind;

/// Includes within includes.
const MAX_DEPTH: usize = 8;
/// Directories and files that all the includes together may name.
const MAX_NAMES: usize = 1024;

/// The directories that /etc/ld.so.conf and the files it includes name, in order; empty where there's none.
pub(crate) fn ld_so_conf(files: &mut Files<'_>) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    let mut budget = MAX_NAMES;
    read(
        files,
        Path::new("/etc/ld.so.conf"),
        MAX_DEPTH,
        &mut budget,
        &mut directories,
    );
    directories
}

/// The directories of musl's path file: separated by colons or newlines.
pub(crate) fn musl_path(text: &[u8]) -> Vec<PathBuf> {
    text.split(|byte| matches!(byte, b':' | b'\n'))
        .filter(|name| !name.is_empty())
        .take(MAX_NAMES)
        .map(|name| PathBuf::from(OsStr::from_bytes(name)))
        .collect()
}

fn read(files: &mut Files<'_>, path: &Path, depth: usize, budget: &mut usize, directories: &mut Vec<PathBuf>) {
    let Some(text) = files.read(path) else {
        return;
    };
    for line in text.split(|byte| *byte == b'\n') {
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let line = line.trim_ascii();
        if line.is_empty() || *budget == 0 {
            continue;
        }
        *budget -= 1;
        if let Some(patterns) = keyword(line, b"include") {
            if depth > 0 {
                include(files, patterns, path, depth - 1, budget, directories);
            }
        } else if keyword(line, b"hwcap").is_none() {
            // A directory may carry the old "=libc6" behind it.
            let name = line.split(|byte| *byte == b'=').next().unwrap_or_default();
            let name = name.trim_ascii_end();
            if name.starts_with(b"/") {
                directories.push(PathBuf::from(OsStr::from_bytes(name)));
            }
        }
    }
}

fn keyword<'l>(line: &'l [u8], word: &[u8]) -> Option<&'l [u8]> {
    let rest = line.strip_prefix(word)?;
    rest.first()?.is_ascii_whitespace().then(|| rest.trim_ascii_start())
}

fn include(
    files: &mut Files<'_>,
    patterns: &[u8],
    from: &Path,
    depth: usize,
    budget: &mut usize,
    directories: &mut Vec<PathBuf>,
) {
    for pattern in patterns.split(u8::is_ascii_whitespace).filter(|text| !text.is_empty()) {
        let pattern = from.parent().unwrap_or(Path::new("/")).join(OsStr::from_bytes(pattern));
        for path in glob(files, &pattern) {
            if *budget > 0 {
                *budget -= 1;
                read(files, &path, depth, budget, directories);
            }
        }
    }
}

/// The paths that match a pattern (glob(7): `*`, `?`, `[a-z]`), sorted.
fn glob(files: &mut Files<'_>, pattern: &Path) -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::from("/")];
    for step in pattern.components().skip(1) {
        let step = step.as_os_str();
        if !step.as_bytes().iter().any(|byte| b"*?[".contains(byte)) {
            for path in &mut paths {
                path.push(step);
            }
            continue;
        }
        let mut next = Vec::new();
        for path in &paths {
            next.extend(
                names(files, path, step.as_bytes())
                    .into_iter()
                    .map(|name| path.join(name)),
            );
        }
        next.truncate(MAX_NAMES);
        paths = next;
    }
    paths
}

fn names(files: &mut Files<'_>, directory: &Path, pattern: &[u8]) -> Vec<OsString> {
    let Some(resolved) = files.find(directory) else {
        return Vec::new();
    };
    if resolved.metadata.kind != FileKind::Directory {
        return Vec::new();
    }
    let entries = files.walk.read_dir(&resolved.path).unwrap_or_default();
    let names = entries.into_iter().map(|entry| entry.name.into_vec());
    names
        .filter(|name| matches(pattern, name) && (name[0] != b'.' || pattern.first() == Some(&b'.')))
        .map(OsString::from_vec)
        .collect()
}

/// Whether a name matches a pattern of one step. Goes back to the last `*` only, so it takes no more than the
/// product of both lengths.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while seen < name.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, seen));
            at += 1;
        } else if let Some(length) = matches_one(&pattern[at..], name[seen]) {
            at += length;
            seen += 1;
        } else if let Some((start, used)) = star {
            star = Some((start, used + 1));
            at = start + 1;
            seen = used + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// The length of the pattern's first element where it matches this byte.
fn matches_one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => set(rest, byte).map_or((byte == b'[').then_some(1), |(length, found)| {
            found.then_some(length + 1)
        }),
        [b'\\', next, ..] => (*next == byte).then_some(2),
        [first, ..] => (*first == byte).then_some(1),
    }
}

/// The length of a set behind its `[`, and whether it holds the byte; `None` where it isn't closed.
fn set(text: &[u8], byte: u8) -> Option<(usize, bool)> {
    let negated = matches!(text.first(), Some(b'!' | b'^'));
    let start = usize::from(negated);
    let end = text.iter().skip(start + 1).position(|byte| *byte == b']')? + start + 1;
    let inner = &text[start..end];
    let mut found = false;
    let mut at = 0;
    while at < inner.len() {
        if at + 2 < inner.len() && inner[at + 1] == b'-' {
            found |= (inner[at]..=inner[at + 2]).contains(&byte);
            at += 3;
        } else {
            found |= inner[at] == byte;
            at += 1;
        }
    }
    Some((end + 1, found != negated))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        let yes = [
            ("*.conf", "a.conf"),
            ("a?c*", "abcd"),
            ("[a-c]x", "bx"),
            ("[!a]", "b"),
            ("*a*b", "xaybzb"),
        ];
        for (pattern, name) in yes {
            assert!(matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        let no = [
            ("*.conf", "a.con"),
            ("?", ""),
            ("[a-c]", "d"),
            ("[!a]", "a"),
            ("a", "ab"),
        ];
        for (pattern, name) in no {
            assert!(!matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        assert!(!matches("*a".repeat(40).as_bytes(), "a".repeat(39).as_bytes()));
        assert!(matches(b"[x", b"[x"));
    }

    #[test]
    fn reads_musl_paths() {
        let paths = musl_path(b"/lib:/usr/lib\n/opt/lib\n");
        assert_eq!(paths, ["/lib", "/usr/lib", "/opt/lib"].map(PathBuf::from));
    }
}
