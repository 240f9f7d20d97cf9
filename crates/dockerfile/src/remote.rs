//! Sources that lie elsewhere: files of the web, and git repositories with a ref and a directory.
//!
//! What counts as which is BuildKit's rule (frontend/dockerfile/dfgitutil, util/gitutil).

use std::path::Path;

/// A source that has to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// A file, by its address.
    Web(String),
    /// A git repository.
    Git(GitSource),
}

/// A git repository, and what of it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitSource {
    /// What git fetches from: an address, or `user@host:path`.
    pub remote: String,
    /// A branch, a tag, a whole ref or a commit; the repository's HEAD where none is named.
    pub reference: Option<String>,
    /// A directory of the repository, relative and without `..`; empty for its root.
    pub directory: String,
    /// The commit that it has to be.
    pub checksum: Option<String>,
    /// Whether `.git` stays, where that is said.
    pub keep_git_dir: Option<bool>,
    /// Whether submodules are fetched as well.
    pub submodules: bool,
    /// Whether files get the time of the commit instead of that of the checkout.
    pub commit_time: bool,
}

impl Remote {
    /// What a source of ADD names; `None` for a path of the build context.
    ///
    /// # Errors
    /// In words, for a git repository whose parameters make no sense.
    pub fn of_source(text: &str) -> Result<Option<Self>, String> {
        if let Some(git) = GitSource::parse(text)? {
            return Ok(Some(Self::Git(git)));
        }
        Ok(is_web(text).then(|| Self::Web(text.to_owned())))
    }

    /// The same for a build context, where `github.com/…` means a repository too.
    ///
    /// # Errors
    /// As [`Remote::of_source`].
    pub fn of_context(text: &str) -> Result<Option<Self>, String> {
        if text.starts_with("github.com/") {
            return Self::of_source(&with_suffix(&format!("https://{text}")));
        }
        Self::of_source(text)
    }
}

/// `https://github.com/a/b#x` is `https://github.com/a/b.git#x`: only with the suffix it is known to be a repository.
fn with_suffix(text: &str) -> String {
    let end = text.find(['#', '?']).unwrap_or(text.len());
    let (path, rest) = text.split_at(end);
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    format!("{path}.git{rest}")
}

/// Whether `text` is the address of something in the web: http or https.
pub fn is_web(text: &str) -> bool {
    scheme(text).is_some_and(|(scheme, _)| matches!(scheme.as_str(), "http" | "https"))
}

/// The scheme in small letters, and what follows it.
fn scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_scheme.then(|| (scheme.to_ascii_lowercase(), rest))
}

/// `user@host:path`, as ssh and git take it.
fn is_scp_style(text: &str) -> bool {
    let Some((user, rest)) = text.split_once('@') else {
        return false;
    };
    let Some((host, _)) = rest.split_once(':') else {
        return false;
    };
    let is_name = |text: &str, also: &[u8]| {
        !text.is_empty()
            && !text.starts_with('-')
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || also.contains(&byte))
    };
    is_name(user, b"-_") && is_name(host, b"-.")
}

impl GitSource {
    /// Reads an address; `None` where it isn't a git repository's.
    ///
    /// # Errors
    /// In words, for parameters that make no sense.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        let (before, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (address, query) = before.split_once('?').unwrap_or((before, ""));
        let is_repository = match scheme(address) {
            Some((scheme, rest)) => match scheme.as_str() {
                "git" | "ssh" => true,
                "http" | "https" => {
                    let is_git = |path: &str| Path::new(path).extension().is_some_and(|extension| extension == "git");
                    rest.split_once('/').is_some_and(|(_, path)| is_git(path))
                }
                _ => false,
            },
            None => is_scp_style(address),
        };
        if !is_repository {
            return Ok(None);
        }
        let mut git = Self {
            remote: address.to_owned(),
            reference: None,
            directory: String::new(),
            checksum: None,
            keep_git_dir: None,
            submodules: true,
            commit_time: false,
        };
        let (reference, directory) = fragment.split_once(':').unwrap_or((fragment, ""));
        git.set_reference(reference)?;
        git.set_directory(directory)?;
        let mut known = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            if known.contains(&key) {
                return Err(format!("it has the parameter {key} twice"));
            }
            known.push(key);
            git.parameter(key, &decoded(&value.replace('+', " ")))?;
        }
        Ok(Some(git))
    }

    /// How messages call it: without what could be a password.
    pub fn shown(&self) -> String {
        match self.remote.split_once("://") {
            Some((scheme, rest)) => {
                let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
                let host = host.rsplit('@').next().unwrap_or(host);
                format!("{scheme}://{host}/{path}")
            }
            None => self.remote.clone(),
        }
    }

    fn set_reference(&mut self, reference: &str) -> Result<(), String> {
        if reference.is_empty() {
            return Ok(());
        }
        // git would take it for an option, or for something else than one ref.
        let is_wrong = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
        if reference.starts_with(['-', '+']) || reference.contains("..") || reference.contains(is_wrong) {
            return Err(format!("{reference:?} can't be a ref of git"));
        }
        match &self.reference {
            Some(other) if other != reference => Err(format!("it names two refs, {other} and {reference}")),
            _ => {
                self.reference = Some(reference.to_owned());
                Ok(())
            }
        }
    }

    fn set_directory(&mut self, written: &str) -> Result<(), String> {
        let mut parts: Vec<&str> = Vec::new();
        for part in written.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        let directory = parts.join("/");
        if !directory.is_empty() && !self.directory.is_empty() && self.directory != directory {
            return Err(format!("it names two directories, {} and {directory}", self.directory));
        }
        if !directory.is_empty() {
            self.directory = directory;
        }
        Ok(())
    }

    fn parameter(&mut self, key: &str, value: &str) -> Result<(), String> {
        let flag = || match value {
            "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(format!("{key}={value}: true or false is expected")),
        };
        let is_flag = matches!(key, "keep-git-dir" | "submodules" | "fetch-by-commit");
        if value.is_empty() && !is_flag {
            return Err(format!("its parameter {key} has no value"));
        }
        let prefixed = |prefix: &str| format!("{prefix}{}", value.strip_prefix(prefix).unwrap_or(value));
        match key {
            "ref" => self.set_reference(value),
            "tag" => self.set_reference(&prefixed("refs/tags/")),
            "branch" => self.set_reference(&prefixed("refs/heads/")),
            "subdir" => self.set_directory(value),
            "checksum" | "commit" => {
                self.checksum = Some(value.to_owned());
                Ok(())
            }
            "keep-git-dir" => flag().map(|flag| self.keep_git_dir = Some(flag)),
            "submodules" => flag().map(|flag| self.submodules = flag),
            "fetch-by-commit" => flag().map(drop),
            "mtime" if matches!(value, "checkout" | "commit") => {
                self.commit_time = value == "commit";
                Ok(())
            }
            "mtime" => Err(format!("mtime={value}: commit or checkout is expected")),
            _ => Err(format!(
                "it has the unknown parameter {key}; there are ref, tag, branch, subdir, checksum, keep-git-dir, \
                 submodules and mtime"
            )),
        }
    }
}

/// The name that a file of the web gets, as in BuildKit: the last part of its path, else `__unnamed__`.
pub fn file_name(address: &str) -> String {
    let end = address.find(['?', '#']).unwrap_or(address.len());
    let path = address[..end].split_once("://").map_or("", |(_, rest)| rest);
    let path = path.split_once('/').map_or("", |(_, path)| path);
    let path = decoded(path);
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    match name {
        "" | "." | ".." => "__unnamed__".to_owned(),
        name if name.contains('\0') => "__unnamed__".to_owned(),
        name => name.to_owned(),
    }
}

/// Without percent-encoding (RFC 3986, 2.1); what isn't one stays as it is.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = text.get(at + 1..at + 3).filter(|_| byte == b'%');
        if let Some(value) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            decoded.push(value);
            at += 3;
        } else {
            decoded.push(byte);
            at += 1;
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(text: &str) -> GitSource {
        match Remote::of_context(text) {
            Ok(Some(Remote::Git(git))) => git,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn what_is_a_repository() {
        let repositories = [
            "https://example.org/a/b.git",
            "HTTPS://example.org/a/b.git#main",
            "git://example.org/a",
            "ssh://git@example.org:22/a",
            "git@example.org:a/b",
        ];
        for text in repositories {
            assert!(matches!(Remote::of_source(text), Ok(Some(Remote::Git(_)))), "{text}");
        }
        let others = ["https://example.org/a.tar", "http://x/git", "https://example.org.git"];
        for text in others {
            assert_eq!(Remote::of_source(text), Ok(Some(Remote::Web(text.to_owned()))));
        }
        for text in [
            "a/b.git",
            "./git@x:y",
            "github.com/a/b",
            "ftp://x/y.git",
            "C:/x.git",
            "a b@c:d",
        ] {
            assert_eq!(Remote::of_source(text), Ok(None), "{text}");
        }
        assert_eq!(git("github.com/a/b#v1:d").remote, "https://github.com/a/b.git");
    }

    #[test]
    fn refs_and_directories() {
        let found = git("https://x/a.git#v1.2:some/../dir/./");
        assert_eq!(
            (found.reference.as_deref(), found.directory.as_str()),
            (Some("v1.2"), "dir")
        );
        assert_eq!(git("https://x/a.git#:../../etc").directory, "etc");
        assert_eq!(git("git@x:a.git").reference, None);
        let found = git("https://x/a.git?tag=v1&subdir=d%2Fe&keep-git-dir&submodules=false&checksum=abc");
        assert_eq!(found.reference.as_deref(), Some("refs/tags/v1"));
        assert_eq!(found.directory, "d/e");
        assert_eq!((found.keep_git_dir, found.submodules), (Some(true), false));
        assert_eq!(found.checksum.as_deref(), Some("abc"));
        assert!(!found.commit_time && !git("https://x/a.git?mtime=checkout").commit_time);
        assert!(git("https://x/a.git?mtime=commit&ref=v1").commit_time);
        for wrong in [
            "#--upload-pack=x",
            "#a..b",
            "?ref=a#b",
            "?ref",
            "?what=1",
            "?submodules=2",
            "?mtime=now",
            "?mtime",
            "?checksum=abc&checksum=def",
            "#a b",
        ] {
            assert!(GitSource::parse(&format!("https://x/a.git{wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(git("https://me:secret@x.org/a.git#m").shown(), "https://x.org/a.git");
        assert_eq!(git("git@x.org:a").shown(), "git@x.org:a");
    }

    #[test]
    fn names_of_files() {
        let cases = [
            ("https://x.org/a/b.tar.gz?x=/y", "b.tar.gz"),
            ("https://x.org/a/", "a"),
            ("https://x.org", "__unnamed__"),
            ("https://x.org/", "__unnamed__"),
            ("https://x.org/a%20b", "a b"),
            ("https://x.org/a%2f..", "__unnamed__"),
            ("https://x.org/..%2fb", "b"),
        ];
        for (address, expected) in cases {
            assert_eq!(file_name(address), expected, "{address}");
        }
    }
}
