//! `--filter`: which images are meant, as docker and podman write it.

use crate::dates::{self, Moment};
use crate::error::Failure;
use crate::shown::Shown;

/// One condition.
#[derive(Debug)]
enum Condition {
    Reference(String),
    Dangling(bool),
    Label {
        name: String,
        value: Option<String>,
        has: bool,
    },
    /// Made before this moment. As in docker, neither is an image that doesn't say when it was made: `prune` would delete
    /// what is new.
    Before(Moment),
    /// The same of a second since 1970.
    Until(i64),
    /// Made after it.
    Since(Moment),
}

/// Conditions that all have to hold, but of several for references, as in docker, one.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    conditions: Vec<Condition>,
}

/// What may be written before the equals sign.
const NAMES: [&str; 8] = [
    "reference",
    "dangling",
    "label",
    "label!",
    "before",
    "since",
    "after",
    "until",
];

impl Filters {
    /// Reads `NAME=VALUE`. `made` tells when the image that is named was made; nothing is older or newer than one that doesn't say.
    pub(crate) fn parse(
        written: &[String],
        mut made: impl FnMut(&str) -> Result<Option<Moment>, Failure>,
    ) -> Result<Self, Failure> {
        let mut filters = Self::default();
        for text in written {
            let (name, value) = text
                .split_once('=')
                .ok_or_else(|| Failure::usage(format!("--filter {text}: expected NAME=VALUE")))?;
            filters.conditions.push(match name {
                "reference" => Condition::Reference(value.to_owned()),
                "dangling" => Condition::Dangling(truth(text, value)?),
                "label" => label(value, true),
                "label!" => label(value, false),
                "before" => Condition::Before(made(value)?.unwrap_or((i64::MIN, 0))),
                "since" | "after" => Condition::Since(made(value)?.unwrap_or((i64::MAX, 0))),
                "until" => Condition::Until(dates::moment(value, dates::now()).ok_or_else(|| {
                    Failure::usage(format!(
                        "--filter {text}: expected an age like 24h, or a time like 2026-01-31T12:00:00Z"
                    ))
                })?),
                _ => {
                    let hint = wiac_suggest::nearest(name, NAMES).map_or_else(
                        || format!("; there are {}", NAMES.join(", ")),
                        |near| format!(" (did you mean {near}?)"),
                    );
                    return Err(Failure::usage(format!(
                        "--filter {text}: no filter is called {name}{hint}"
                    )));
                }
            });
        }
        Ok(filters)
    }

    /// Adds the one that docker has as a word of its own: `wiac images NAME`.
    pub(crate) fn add_reference(&mut self, pattern: &str) {
        self.conditions.push(Condition::Reference(pattern.to_owned()));
    }

    /// Whether the image is meant.
    pub(crate) fn takes(&self, image: &Shown) -> bool {
        let is_reference = |condition: &&Condition| matches!(condition, Condition::Reference(_));
        let mut references = self.conditions.iter().filter(is_reference).peekable();
        let is_named = references.peek().is_none() || references.any(|condition| condition.holds(image));
        let mut others = self.conditions.iter().filter(|condition| !is_reference(condition));
        is_named && others.all(|condition| condition.holds(image))
    }

    /// Whether this name of an image is meant: the filter for references applies to each of them.
    pub(crate) fn takes_name(&self, name: &str) -> bool {
        let patterns = self.conditions.iter().filter_map(|condition| match condition {
            Condition::Reference(pattern) => Some(pattern),
            _ => None,
        });
        let mut patterns = patterns.peekable();
        patterns.peek().is_none() || patterns.any(|pattern| names(pattern, name))
    }

    /// The age condition alone, where it is all that can be asked.
    pub(crate) fn until(&self) -> Option<i64> {
        self.conditions.iter().find_map(|condition| match condition {
            Condition::Until(second) => Some(*second),
            _ => None,
        })
    }
}

impl Condition {
    fn holds(&self, image: &Shown) -> bool {
        match self {
            Self::Reference(pattern) => image.names.iter().any(|name| names(pattern, name)),
            Self::Dangling(wanted) => image.names.is_empty() == *wanted,
            Self::Label { name, value, has } => {
                let found = image.config.config.labels.get(name);
                found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found)) == *has
            }
            Self::Before(moment) => image.made().is_some_and(|made| made < *moment),
            Self::Until(second) => image.made().is_some_and(|made| made < (*second, 0)),
            Self::Since(moment) => image.made().is_some_and(|made| made > *moment),
        }
    }
}

fn truth(text: &str, value: &str) -> Result<bool, Failure> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Failure::usage(format!("--filter {text}: expected true or false"))),
    }
}

fn label(text: &str, has: bool) -> Condition {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    };
    Condition::Label { name, value, has }
}

/// Whether a pattern means a name: with or without its tag, with or without the registry that is left out.
fn names(pattern: &str, name: &str) -> bool {
    let Ok(reference) = name.parse::<wiac_oci::reference::Reference>() else {
        return false;
    };
    let forms = [
        reference.familiar(),
        reference.familiar_name(),
        reference.to_string(),
        reference.name(),
    ];
    forms.iter().any(|form| matches(pattern.as_bytes(), form.as_bytes()))
}

/// A shell pattern: `*` and `?` don't match a slash.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let Some((&first, rest)) = pattern.split_first() else {
        return text.is_empty();
    };
    match first {
        b'*' => {
            let end = text.iter().position(|byte| *byte == b'/').unwrap_or(text.len());
            let rest = &rest[rest.iter().take_while(|byte| **byte == b'*').count()..];
            (0..=end).any(|skipped| matches(rest, &text[skipped..]))
        }
        b'?' => text
            .split_first()
            .is_some_and(|(&byte, after)| byte != b'/' && matches(rest, after)),
        b'[' => class(rest, text),
        b'\\' if !rest.is_empty() => text.first() == rest.first() && matches(&rest[1..], &text[1..]),
        byte => text.first() == Some(&byte) && matches(rest, &text[1..]),
    }
}

/// `[a-z]` or `[^a-z]`, from after the bracket.
fn class(pattern: &[u8], text: &[u8]) -> bool {
    let Some(end) = pattern.iter().skip(1).position(|byte| *byte == b']').map(|at| at + 1) else {
        return false;
    };
    let (set, negated) = match pattern[..end].strip_prefix(b"^") {
        Some(set) => (set, true),
        None => (&pattern[..end], false),
    };
    let Some((&byte, after)) = text.split_first() else {
        return false;
    };
    let mut found = false;
    let mut at = 0;
    while at < set.len() {
        if set.get(at + 1) == Some(&b'-') && at + 2 < set.len() {
            found |= (set[at]..=set[at + 2]).contains(&byte);
            at += 3;
        } else {
            found |= set[at] == byte;
            at += 1;
        }
    }
    found != negated && byte != b'/' && matches(&pattern[end + 1..], after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wiac_oci::image::ImageConfig;

    #[test]
    fn an_image_of_unknown_age_is_neither_older_nor_newer() {
        let image = |created: Option<&str>| Shown {
            id: String::new(),
            names: Vec::new(),
            digests: Vec::new(),
            manifest: None,
            config: ImageConfig {
                created: created.map(str::to_owned),
                ..ImageConfig::default()
            },
            layers: Vec::new(),
        };
        let takes = |filter: &str, created| {
            let filters = Filters::parse(&[filter.to_owned()], |_| Ok(Some((1_000, 500)))).expect("a filter");
            filters.takes(&image(created))
        };
        for filter in ["until=24h", "before=other", "since=other"] {
            assert!(!takes(filter, None), "{filter}");
            assert!(!takes(filter, Some("0001-01-01T00:00:00Z")), "{filter}");
        }
        assert!(takes("until=24h", Some("2020-01-01T00:00:00Z")));
        assert!(takes("before=other", Some("1970-01-01T00:00:00Z")));
        assert!(takes("since=other", Some("2020-01-01T00:00:00Z")));
        assert!(takes("before=other", Some("1970-01-01T00:16:40.0000004Z")));
        assert!(takes("since=other", Some("1970-01-01T00:16:40.0000006Z")));
        assert!(!takes("since=other", Some("1970-01-01T00:16:40.0000005Z")));
    }

    #[test]
    fn references_by_pattern() {
        for (pattern, name) in [
            ("debian", "debian:12"),
            ("debian:12", "debian:12"),
            ("deb*", "debian:12"),
            ("*:12", "debian:12"),
            ("docker.io/library/debian", "debian:12"),
            ("quay.io/*/x", "quay.io/a/x:latest"),
            ("debia[m-o]", "debian:12"),
            ("d?bian:1[^3]", "debian:12"),
        ] {
            assert!(names(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("deb", "debian:12"),
            ("*", "quay.io/a/x:latest"),
            ("debian:1", "debian:12"),
            ("[", "a"),
        ] {
            assert!(!names(pattern, name), "{pattern} {name}");
        }
    }
}
