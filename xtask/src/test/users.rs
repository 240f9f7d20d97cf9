//! The ordinary users of the tests, with and without subordinate ids.

use crate::{Outcome, shell};
use std::path::Path;
use std::process::Command;

/// How many ids newuidmap may give to a user.
const COUNT: u32 = 65_536;

/// Which ids a user may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ids {
    /// A range besides its own.
    Subordinate,
    /// Its own alone.
    Single,
}

/// Makes the user where it is missing, and its subordinate ids as asked for.
pub(super) fn ensure(name: &str, ids: Ids) -> Outcome {
    let known = std::fs::read_to_string("/etc/passwd")?;
    if !known.lines().any(|line| line.split(':').next() == Some(name)) {
        shell::run(Command::new("useradd").args(["--create-home", "--shell", "/bin/bash", name]))?;
    }
    for file in ["/etc/subuid", "/etc/subgid"] {
        let path = Path::new(file);
        let text = if path.exists() {
            std::fs::read_to_string(path)?
        } else {
            String::new()
        };
        let wanted = arranged(&text, name, ids);
        if wanted != text {
            std::fs::write(path, wanted)?;
        }
    }
    Ok(())
}

/// The text of a subordinate id file in which the user has a range of its own, or none.
fn arranged(text: &str, name: &str, ids: Ids) -> String {
    let is_users = |line: &str| line.split(':').next() == Some(name);
    match ids {
        Ids::Subordinate if text.lines().any(is_users) => text.to_owned(),
        Ids::Subordinate => {
            let end = |line: &str| {
                let mut fields = line.split(':').skip(1).map(|field| field.parse::<u32>().unwrap_or(0));
                fields.next().unwrap_or(0) + fields.next().unwrap_or(0)
            };
            let start = text.lines().map(end).max().unwrap_or(0).max(100_000);
            let separator = if text.is_empty() || text.ends_with('\n') {
                ""
            } else {
                "\n"
            };
            format!("{text}{separator}{name}:{start}:{COUNT}\n")
        }
        Ids::Single => text.split_inclusive('\n').filter(|line| !is_users(line)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_range_follows_the_last() {
        assert_eq!(arranged("", "t", Ids::Subordinate), "t:100000:65536\n");
        let text = "a:100000:65536\nb:165536:65536\n";
        assert_eq!(arranged(text, "t", Ids::Subordinate), format!("{text}t:231072:65536\n"));
        assert_eq!(arranged(text, "a", Ids::Subordinate), text);
    }

    #[test]
    fn a_single_id_has_no_range() {
        assert_eq!(arranged("a:1:2\nt:100000:65536\n", "t", Ids::Single), "a:1:2\n");
    }
}
