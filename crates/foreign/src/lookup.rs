//! Identifiers and their beginnings, and what a mistyped name was probably meant to be.

use std::collections::BTreeSet;
use wiac_oci::reference::Reference;

/// Whether a text is lower-case hexadecimal.
pub(crate) fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The digits of a whole id: `sha256:` and 64 of them, or the 64 alone.
pub(crate) fn whole_id(name: &str) -> Option<&str> {
    let digits = name.strip_prefix("sha256:").unwrap_or(name);
    (digits.len() == 64 && is_hex(digits)).then_some(digits)
}

/// What the ids that begin with a text are: none, one, or how many.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Beginning<'a> {
    None,
    One(&'a str),
    Many(usize),
}

/// The ids that begin with `prefix`; the same id twice counts once.
pub(crate) fn beginning<'a>(prefix: &str, ids: impl IntoIterator<Item = &'a str>) -> Beginning<'a> {
    if !is_hex(prefix) {
        return Beginning::None;
    }
    let found: BTreeSet<_> = ids.into_iter().filter(|id| id.starts_with(prefix)).collect();
    match (found.len(), found.first()) {
        (1, Some(id)) => Beginning::One(id),
        (0, _) => Beginning::None,
        (count, _) => Beginning::Many(count),
    }
}

/// The name of the store nearest to what was asked for, as people write it: one that lacks a registry only, one that is
/// spelt nearly so, or another tag of the same repository.
pub(crate) fn nearest<'a>(asked: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let spellings: Vec<(String, String)> = names.into_iter().flat_map(spellings).collect();
    let candidates = || spellings.iter().filter(|(_, shown)| shown != asked);
    let same = |wanted: &str| candidates().find(|(spelling, _)| spelling == wanted);
    let repository = asked.split(['@', ':']).next().unwrap_or(asked);
    let found = same(asked)
        .or_else(|| {
            same(wiac_suggest::nearest(
                asked,
                candidates().map(|(spelling, _)| spelling.as_str()),
            )?)
        })
        .or_else(|| candidates().find(|(spelling, _)| spelling.split(':').next() == Some(repository)));
    found.map(|(_, shown)| shown.clone())
}

/// The ways to write a name, each with the one that is shown.
fn spellings(name: &str) -> Vec<(String, String)> {
    let Ok(parsed) = name.parse::<Reference>() else {
        return vec![(name.to_owned(), name.to_owned())];
    };
    let familiar = parsed.familiar();
    let shown = familiar.strip_suffix(":latest").unwrap_or(&familiar).to_owned();
    let path = parsed.repository().rsplit('/').next().unwrap_or_default().to_owned();
    let tagged = parsed.tag().map(|tag| format!("{path}:{tag}"));
    let spellings = [
        Some(familiar),
        Some(shown.clone()),
        Some(parsed.to_string()),
        tagged,
        Some(path),
    ];
    spellings
        .into_iter()
        .flatten()
        .map(|spelling| (spelling, shown.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings() {
        let ids = ["abc1", "abd2", "abc1"];
        assert_eq!(beginning("abc", ids), Beginning::One("abc1"));
        assert_eq!(beginning("ab", ids), Beginning::Many(2));
        assert_eq!(beginning("x", ids), Beginning::None);
        assert_eq!(beginning("", ids), Beginning::None);
    }

    #[test]
    fn suggestions_leave_out_what_people_leave_out() {
        let names = ["localhost/worker:latest", "docker.io/library/debian:12"];
        assert_eq!(nearest("workr", names).as_deref(), Some("localhost/worker"));
        assert_eq!(nearest("debian:testing", names).as_deref(), Some("debian:12"));
        assert_eq!(nearest("worker", names).as_deref(), Some("localhost/worker"));
        assert_eq!(nearest("debian:11", names).as_deref(), Some("debian:12"));
        assert_eq!(nearest("debain:12", names).as_deref(), Some("debian:12"));
        assert_eq!(nearest("localhost/wroker", names).as_deref(), Some("localhost/worker"));
        assert_eq!(nearest("something", names), None);
    }
}
