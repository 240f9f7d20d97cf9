//! Image references as docker reads them: `host/repository:tag@digest`, with `docker.io/library` left out.
//!
//! The grammar is the distribution project's; the defaults are docker's. Pure text: no registry is asked.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, DigestError};

/// The registry of a reference that names none.
pub const DEFAULT_REGISTRY: &str = "docker.io";
/// The tag of a reference that names neither tag nor digest.
pub const DEFAULT_TAG: &str = "latest";

const OFFICIAL: &str = "library/";
const MAX_REPOSITORY: usize = 255;
const MAX_TAG: usize = 128;

/// Why a text is no reference; each says which part is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid reference {text:?}: {reason}")]
pub struct ReferenceError {
    /// The text as given.
    pub text: String,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Nothing where a repository belongs.
    #[error("the repository name is empty")]
    EmptyRepository,
    /// Two slashes in a row, or one at an end.
    #[error("the repository {0:?} has an empty part between slashes")]
    EmptyComponent(String),
    /// Upper case in the repository.
    #[error("the repository {repository:?} must be lower case: did you mean {suggestion:?}?")]
    UpperCase {
        /// The repository as written.
        repository: String,
        /// The same in lower case.
        suggestion: String,
    },
    /// A character or separator that a repository can't have.
    #[error(
        "the part {0:?} of the repository isn't letters and digits separated by a period, one or two underscores, or hyphens"
    )]
    Component(String),
    /// More than 255 characters.
    #[error("the repository is longer than {MAX_REPOSITORY} characters")]
    TooLong,
    /// Something that is no host name, address or port.
    #[error("{0:?} is no registry: expected a host name or address, and a port after a colon")]
    Registry(String),
    /// Nothing after the colon.
    #[error("the tag after the colon is empty")]
    EmptyTag,
    /// A tag with other characters, or one too long.
    #[error(
        "the tag {0:?} isn't up to {MAX_TAG} letters, digits, '_', '.' and '-' that start with none of the last two"
    )]
    Tag(String),
    /// A digest that is none.
    #[error("{0}")]
    Digest(#[from] DigestError),
    /// 64 hexadecimal digits, or some behind `sha256:`: an image's id. A name of that form would be found in its place.
    #[error("it is an image id, not a name")]
    Id,
}

/// A parsed reference; the registry and repository are always whole (`docker.io`, `library/alpine`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// The registry's host, with its port: `docker.io`, `localhost:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path in the registry: `library/alpine`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag as written; see [`Self::with_default_tag`].
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest as written.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same with `latest` where there is neither tag nor digest.
    #[must_use]
    pub fn with_default_tag(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// The same repository with another tag and no digest.
    ///
    /// # Errors
    /// [`Reason::Tag`] for what is no tag.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        let tag = check_tag(tag).map_err(|reason| ReferenceError {
            text: tag.to_owned(),
            reason,
        })?;
        Ok(Self {
            tag: Some(tag),
            digest: None,
            ..self.clone()
        })
    }

    /// The same with a digest; the tag stays.
    #[must_use]
    pub fn with_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// Registry and repository, in full: `docker.io/library/alpine`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Registry and repository as people write them: `alpine`.
    pub fn familiar_name(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return self.name();
        }
        match self.repository.strip_prefix(OFFICIAL) {
            Some(rest) if !rest.contains('/') && !looks_like_registry(rest) => rest.to_owned(),
            _ => self.repository.clone(),
        }
    }

    /// The whole reference as people write it: `alpine:3.20`.
    pub fn familiar(&self) -> String {
        let text = self.with_suffixes(self.familiar_name());
        if is_id(&text) { self.to_string() } else { text }
    }

    /// What is asked of the registry's `manifests/`: the digest, or the tag, or `latest`.
    pub fn tag_or_digest(&self) -> &str {
        self.digest
            .as_ref()
            .map_or_else(|| self.tag().unwrap_or(DEFAULT_TAG), Digest::as_str)
    }

    fn with_suffixes(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(digest.as_str());
        }
        name
    }
}

impl fmt::Display for Reference {
    /// The canonical form, in full.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_suffixes(self.name()))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        parse(text).map_err(|reason| ReferenceError {
            text: text.to_owned(),
            reason,
        })
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

fn parse(text: &str) -> Result<Reference, Reason> {
    if is_id(text) {
        return Err(Reason::Id);
    }
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest.parse()?)),
        None => (text, None),
    };
    let (registry, rest) = split_registry(name);
    let (repository, tag) = match rest.split_once(':') {
        Some((repository, tag)) => (repository, Some(check_tag(tag)?)),
        None => (rest, None),
    };
    check_registry(registry)?;
    check_repository(repository)?;
    let registry = if registry == "index.docker.io" {
        DEFAULT_REGISTRY
    } else {
        registry
    };
    let official = registry == DEFAULT_REGISTRY && !repository.contains('/');
    let repository = format!("{}{repository}", if official { OFFICIAL } else { "" });
    if repository.len() > MAX_REPOSITORY {
        return Err(Reason::TooLong);
    }
    Ok(Reference {
        registry: registry.to_owned(),
        repository,
        tag,
        digest,
    })
}

fn is_id(text: &str) -> bool {
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match text.strip_prefix("sha256:") {
        Some(digits) => !digits.is_empty() && is_hex(digits),
        None => text.len() == 64 && is_hex(text),
    }
}

/// The part before the first slash is a registry if it can't be part of a repository.
fn split_registry(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((first, rest)) if looks_like_registry(first) => (first, rest),
        _ => (DEFAULT_REGISTRY, name),
    }
}

fn looks_like_registry(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':']) || part.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn check_registry(registry: &str) -> Result<(), Reason> {
    let wrong = || Reason::Registry(registry.to_owned());
    let (host, port) = match registry.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or_else(wrong)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
            if after.is_empty() {
                ("", None)
            } else {
                ("", Some(after.strip_prefix(':').ok_or_else(wrong)?))
            }
        }
        None => registry
            .split_once(':')
            .map_or((registry, None), |(host, port)| (host, Some(port))),
    };
    if !registry.starts_with('[') && !host.split('.').all(is_host_label) {
        return Err(wrong());
    }
    match port {
        Some(port) if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) => Err(wrong()),
        Some(port) if port.parse::<u16>().is_err() => Err(wrong()),
        _ => Ok(()),
    }
}

fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn check_repository(repository: &str) -> Result<(), Reason> {
    if repository.is_empty() {
        return Err(Reason::EmptyRepository);
    }
    if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
        let suggestion = repository.to_ascii_lowercase();
        return Err(Reason::UpperCase {
            repository: repository.to_owned(),
            suggestion,
        });
    }
    for component in repository.split('/') {
        if component.is_empty() {
            return Err(Reason::EmptyComponent(repository.to_owned()));
        }
        if !is_component(component) {
            return Err(Reason::Component(component.to_owned()));
        }
    }
    Ok(())
}

/// Letters and digits, separated by `.`, `_`, `__` or any number of `-`.
fn is_component(component: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !component.starts_with(is_word) || !component.ends_with(is_word) {
        return false;
    }
    component
        .split(is_word)
        .filter(|separator| !separator.is_empty())
        .all(|separator| matches!(separator, "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-'))
}

fn check_tag(tag: &str) -> Result<String, Reason> {
    if tag.is_empty() {
        return Err(Reason::EmptyTag);
    }
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let starts_well = is_word(tag.as_bytes()[0]);
    if starts_well && tag.len() <= MAX_TAG && tag.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-')) {
        return Ok(tag.to_owned());
    }
    Err(Reason::Tag(tag.to_owned()))
}

#[cfg(test)]
mod tests;
