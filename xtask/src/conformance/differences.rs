//! The differences that are meant, each with its reason: a file of lines `case tool what: reason`, in which `*` stands
//! for any case, tool or thing.

use crate::Outcome;
use std::path::Path;

/// What the file says.
pub(super) struct Differences {
    lines: Vec<Line>,
}

struct Line {
    words: [String; 3],
    reason: String,
    used: bool,
}

impl Differences {
    /// Reads the file.
    pub(super) fn read(path: &Path) -> Outcome<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut lines = Vec::new();
        for line in text
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        {
            let wrong = || format!("{}: {line:?}: write `case tool what: reason`", path.display());
            let (key, reason) = line.split_once(": ").ok_or_else(wrong)?;
            let words: Vec<String> = key.split_whitespace().map(str::to_owned).collect();
            let words = words.try_into().map_err(|_| wrong())?;
            lines.push(Line {
                words,
                reason: reason.to_owned(),
                used: false,
            });
        }
        Ok(Self { lines })
    }

    /// The reason of `case tool what`, if there is one.
    pub(super) fn reason(&mut self, key: &str) -> Option<String> {
        let mut words = key.splitn(3, ' ');
        let words = [words.next()?, words.next()?, words.next()?];
        let fits = |line: &&mut Line| {
            line.words
                .iter()
                .zip(words)
                .all(|(known, word)| known == "*" || known == word)
        };
        let line = self.lines.iter_mut().find(fits)?;
        line.used = true;
        Some(line.reason.clone())
    }

    /// Lines that no difference needed.
    pub(super) fn unused(&self) -> impl Iterator<Item = String> {
        let unused = self.lines.iter().filter(|line| !line.used);
        unused.map(|line| line.words.join(" "))
    }
}
