//! `.dockerignore`: which files of the build context are left out.
//!
//! Patterns are matched against whole paths and against every parent of a path; the last pattern that matches decides,
//! and `!` makes it re-include. `**` spans directories.

mod pattern;

#[cfg(test)]
mod tests;

use std::fmt;

use pattern::Pattern;

/// A line of a `.dockerignore` that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoreError {
    /// The line, from 1; for patterns that come from elsewhere their number.
    pub line: usize,
    /// The pattern.
    pub pattern: String,
}

impl fmt::Display for IgnoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pattern == "!" {
            return write!(f, "line {}: a lone ! re-includes nothing", self.line);
        }
        write!(f, "line {}: invalid pattern {:?}", self.line, self.pattern)
    }
}

impl std::error::Error for IgnoreError {}

/// The patterns of a `.dockerignore`, or of `--exclude`. No patterns ignore nothing.
#[derive(Debug, Clone, Default)]
pub struct IgnorePatterns {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    pattern: Pattern,
    /// Written with `!`.
    includes: bool,
}

/// What is known of a directory on a walk from the top, to judge what is in it: which patterns match it or a parent.
#[derive(Debug, Clone, Default)]
pub struct Matches {
    hits: Vec<bool>,
}

impl IgnorePatterns {
    /// Parses the text of a `.dockerignore`.
    pub fn parse(text: &str) -> Result<Self, IgnoreError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.split('\n').enumerate().filter(|(_, line)| !line.starts_with('#'));
        let rules = lines.map(|(at, line)| rule(at + 1, line)).filter_map(Result::transpose);
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
        })
    }

    /// Takes patterns that come one by one, as with `--exclude`.
    pub fn from_patterns<'p>(patterns: impl IntoIterator<Item = &'p str>) -> Result<Self, IgnoreError> {
        let rules = patterns.into_iter().enumerate().map(|(at, line)| rule(at + 1, line));
        Ok(Self {
            rules: rules.filter_map(Result::transpose).collect::<Result<_, _>>()?,
        })
    }

    /// Whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether there is a pattern that re-includes.
    pub fn has_negations(&self) -> bool {
        self.rules.iter().any(|rule| rule.includes)
    }

    /// Whether a file or directory is left out. `path` is relative to the build context, with slashes; the build context
    /// itself is never left out.
    pub fn is_ignored(&self, path: &str) -> bool {
        if self.is_empty() {
            return false;
        }
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let ends: Vec<usize> = ends.collect();
        let matching = |rule: &&Rule| ends.iter().any(|end| rule.pattern.matches(&path[..*end]));
        !is_top(path)
            && self
                .rules
                .iter()
                .rev()
                .find(matching)
                .is_some_and(|rule| !rule.includes)
    }

    /// What is known at the top of a walk.
    pub fn top(&self) -> Matches {
        Matches {
            hits: vec![false; self.rules.len()],
        }
    }

    /// Whether a file or directory is left out; `parent` is what is known of the directory it is in.
    pub fn is_ignored_in(&self, parent: &Matches, path: &str) -> bool {
        let rules = self.rules.iter().zip(&parent.hits).rev();
        let mut matching = rules.filter(|(rule, hit)| **hit || rule.pattern.matches(path));
        matching.next().is_some_and(|(rule, _)| !rule.includes)
    }

    /// What is known of a directory; `parent` is what is known of the directory it is in.
    pub fn enter(&self, parent: &Matches, directory: &str) -> Matches {
        let rules = self.rules.iter().zip(&parent.hits);
        Matches {
            hits: rules
                .map(|(rule, hit)| *hit || rule.pattern.matches(directory))
                .collect(),
        }
    }

    /// Whether a directory is left out with all that is in it, so that a walk need not enter it: no pattern could
    /// re-include anything below. `here` is what is known of the directory itself.
    pub fn can_prune(&self, here: &Matches, directory: &str) -> bool {
        let Some(last) = here.hits.iter().rposition(|hit| *hit) else {
            return false;
        };
        let mut later = self.rules[last + 1..].iter().filter(|rule| rule.includes);
        !self.rules[last].includes && !later.any(|rule| rule.pattern.may_match_below(directory))
    }
}

fn is_top(path: &str) -> bool {
    path.is_empty() || path == "."
}

/// The rule of a line; `None` if it is blank.
fn rule(line: usize, text: &str) -> Result<Option<Rule>, IgnoreError> {
    let text = text.trim();
    let (text, includes) = text.strip_prefix('!').map_or((text, false), |rest| (rest.trim(), true));
    if text.is_empty() {
        let lone = || {
            Err(IgnoreError {
                line,
                pattern: "!".to_owned(),
            })
        };
        return if includes { lone() } else { Ok(None) };
    }
    let cleaned = clean(text);
    let cleaned = cleaned
        .strip_prefix('/')
        .filter(|rest| !rest.is_empty())
        .unwrap_or(&cleaned);
    let pattern = Pattern::new(cleaned).map_err(|_| IgnoreError {
        line,
        pattern: text.to_owned(),
    })?;
    Ok(Some(Rule { pattern, includes }))
}

/// The shortest form of a path: no empty components, no `.`, and `..` resolved where it can be.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match (part, parts.last()) {
            ("" | ".", _) => {}
            ("..", None) if rooted => {}
            ("..", Some(last)) if *last != ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    let cleaned = parts.join("/");
    match (rooted, cleaned.is_empty()) {
        (true, _) => format!("/{cleaned}"),
        (false, true) => ".".to_owned(),
        (false, false) => cleaned,
    }
}
