//! What differs between two steps' inputs, in a line.

use super::ledger::Inputs;

/// As much of a value as is shown.
const SHOWN: usize = 60;

/// As many files as are named.
const NAMED: usize = 3;

/// Why `new` isn't `old`. `below`: what to say where the layers below are others.
pub(super) fn difference(old: &Inputs, new: &Inputs, below: &str) -> String {
    if old.key == new.key {
        return "its layer was pruned".to_owned();
    }
    let mut reasons = Vec::new();
    for (name, value) in &new.parts {
        let name = named(name, &new.kind);
        match old.parts.get(name.0) {
            None => reasons.push(format!("{} is new", name.1)),
            Some(earlier) if earlier != value => {
                reasons.push(format!("{} {} → {}", name.2, shown(earlier), shown(value)));
            }
            Some(_) => {}
        }
    }
    for name in old.parts.keys().filter(|name| !new.parts.contains_key(*name)) {
        reasons.push(format!("{} is gone", named(name, &new.kind).1));
    }
    reasons.extend(files(old, new));
    if old.below != new.below {
        reasons.push(below.to_owned());
    }
    if reasons.is_empty() {
        let has_mount = new.parts.keys().any(|name| name.starts_with("the mount "));
        let what = if has_mount {
            "what a mount shows"
        } else {
            "something that it takes"
        };
        reasons.push(format!("{what} is another"));
    }
    reasons.join("; ")
}

/// A part's own name, what it is called alone, and with a change.
fn named<'n>(name: &'n str, kind: &str) -> (&'n str, String, String) {
    if name == "text" {
        return (name, format!("the text of {kind}"), format!("{kind} text changed:"));
    }
    (name, name.to_owned(), name.to_owned())
}

/// A value on one line, cut where it is long.
fn shown(value: &str) -> String {
    if value.is_empty() {
        return "nothing".to_owned();
    }
    let mut line: String = value.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if value.chars().count() > SHOWN {
        line.push('…');
    }
    line
}

/// Which files are others.
fn files(old: &Inputs, new: &Inputs) -> Option<String> {
    let mut found: Vec<String> = Vec::new();
    if old.files.is_empty() || new.files.is_empty() {
        found.extend(new.changed.iter().map(|path| format!("{path} changed")));
        if found.is_empty() && old.entries != new.entries {
            return Some(format!("{} files instead of {}", new.entries, old.entries));
        }
    } else {
        for (path, hash) in &new.files {
            match old.files.get(path) {
                None => found.push(format!("{path} is new")),
                Some(earlier) if earlier != hash => found.push(format!("{path} changed")),
                Some(_) => {}
            }
        }
        let gone = old.files.keys().filter(|path| !new.files.contains_key(*path));
        found.extend(gone.map(|path| format!("{path} is gone")));
    }
    let more = found.len().saturating_sub(NAMED);
    found.truncate(NAMED);
    let mut text = found.join(", ");
    if more > 0 {
        text = format!("{text} and {more} more");
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(key: &str, parts: &[(&str, &str)], files: &[(&str, &str)], below: &str) -> Inputs {
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        Inputs {
            key: key.to_owned(),
            kind: "RUN".to_owned(),
            below: below.to_owned(),
            parts: pairs(parts),
            files: pairs(files),
            entries: files.len(),
            changed: Vec::new(),
        }
    }

    #[test]
    fn each_reason_has_its_words() {
        let base = inputs(
            "1",
            &[("text", "make"), ("ARG V", "1")],
            &[("a", "x"), ("b", "y")],
            "below",
        );
        let said = |new: &Inputs| difference(&base, new, "the base image is another");
        assert_eq!(said(&base), "its layer was pruned");
        let new = inputs(
            "2",
            &[("text", "make all"), ("ARG V", "2")],
            &[("a", "x"), ("b", "y")],
            "below",
        );
        assert_eq!(said(&new), "ARG V 1 → 2; RUN text changed: make → make all");
        let new = inputs(
            "2",
            &[("text", "make"), ("ENV X", "")],
            &[("b", "z"), ("c", "q")],
            "other",
        );
        assert_eq!(
            said(&new),
            "ENV X is new; ARG V is gone; b changed, c is new, a is gone; the base image is another"
        );
    }
}
