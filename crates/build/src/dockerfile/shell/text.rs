//! The script while it grows: commands with a comment for each step.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use wiac_run::shell::quote;

/// Where a comment is cut off.
const WIDTH: usize = 110;

/// Commands with their comments.
#[derive(Debug, Default)]
pub(super) struct Text(pub(super) String);

impl Text {
    /// A comment after an empty line. Nothing in it can end it.
    pub(super) fn note(&mut self, why: &str) {
        self.0.push('\n');
        self.remark(why);
    }

    /// A comment without an empty line before it, broken where it gets too long.
    pub(super) fn remark(&mut self, why: &str) {
        let clean: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mut line = "#".to_owned();
        for word in clean.split_whitespace() {
            if line.chars().count() > 1 && line.chars().count() + word.chars().count() >= WIDTH {
                self.line(&line);
                "#".clone_into(&mut line);
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(&line);
    }

    /// A command.
    pub(super) fn line(&mut self, command: &str) {
        self.0.push_str(command);
        self.0.push('\n');
    }

    /// A command of these words, each quoted.
    pub(super) fn command<W: AsRef<OsStr>>(&mut self, name: &str, words: &[W]) {
        self.line(&format!("{name} {}", quoted_all(words)));
    }
}

/// Words with spaces between, each as bash reads it back.
pub(super) fn quoted_all<W: AsRef<OsStr>>(words: &[W]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quote(word.as_ref().as_bytes())).collect();
    quoted.join(" ")
}

/// A path as bash reads it back.
pub(super) fn path(path: &Path) -> String {
    quote(path.as_os_str().as_bytes())
}

/// A word that ends a here-document which doesn't hold it.
pub(super) fn end_word(text: &str, wanted: &str) -> String {
    let mut word = wanted.to_owned();
    while text.lines().any(|line| line == word) {
        word.push('_');
    }
    word
}
