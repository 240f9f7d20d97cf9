//! Rules about source files: unsafe code, printing, length.

use crate::{Outcome, shell};
use std::path::{Path, PathBuf};

/// Files longer than this are listed, and longer than this fail.
const LONG: usize = 450;
const TOO_LONG: usize = 600;

/// The one crate with unsafe code, and those that may print.
const UNSAFE: &str = "crates/sys/";
const PRINTING: [&str; 2] = ["crates/cli/", "xtask/"];

/// Checks all sources.
pub(super) fn check() -> Outcome {
    let workspace = shell::workspace();
    let mut problems = Vec::new();
    for directory in ["crates", "xtask", "fuzz/fuzz_targets"] {
        for path in sources(&workspace.join(directory))? {
            let name = path.strip_prefix(&workspace)?.display().to_string();
            check_file(&name, &std::fs::read_to_string(&path)?, &mut problems);
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("\n").into())
    }
}

fn sources(directory: &Path) -> Outcome<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn check_file(name: &str, text: &str, problems: &mut Vec<String>) {
    let length = text.lines().count();
    if length > TOO_LONG {
        problems.push(format!("{name}: {length} lines, more than {TOO_LONG}: split it"));
    } else if length > LONG {
        eprintln!("{name}: {length} lines, getting long");
    }
    // Tests and examples of a library may print.
    let may_print = PRINTING.iter().any(|start| name.starts_with(start)) || !name.contains("/src/");
    for (number, line) in text.lines().enumerate() {
        let code = code(line);
        if !name.starts_with(UNSAFE) && has_unsafe(&code) {
            problems.push(format!("{name}:{}: unsafe code outside of crates/sys", number + 1));
        }
        if !may_print && prints(&code) {
            problems.push(format!("{name}:{}: only crates/cli prints", number + 1));
        }
    }
}

/// A line without its comment and without what its strings say.
fn code(line: &str) -> String {
    let (mut code, mut in_string) = (String::new(), false);
    let mut rest = line.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\\' if in_string => drop(rest.next()),
            '\'' if !in_string && rest.peek() == Some(&'"') => drop(rest.next()),
            '/' if !in_string && rest.peek() == Some(&'/') => break,
            '"' => in_string = !in_string,
            other if !in_string => code.push(other),
            _ => {}
        }
    }
    code
}

fn has_unsafe(code: &str) -> bool {
    let starts = ["{", "fn ", "impl ", "extern ", "trait "];
    code.match_indices("unsafe").any(|(at, word)| {
        let before = code[..at].chars().next_back();
        let rest = &code[at + word.len()..];
        let is_word = !before.is_some_and(|c| c.is_alphanumeric() || c == '_');
        is_word
            && rest.starts_with([' ', '('])
            && (rest.starts_with('(') || starts.iter().any(|s| rest[1..].starts_with(s)))
    })
}

fn prints(code: &str) -> bool {
    let macros = ["println!", "print!", "dbg!"];
    macros.iter().any(|name| {
        code.match_indices(name).any(|(at, _)| {
            let before = code[..at].strip_suffix('e').unwrap_or(&code[..at]).chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(name: &str, text: &str) -> Vec<String> {
        let mut problems = Vec::new();
        check_file(name, text, &mut problems);
        problems
    }

    #[test]
    fn unsafe_code_is_found() {
        for line in [
            "let x = unsafe { y() };",
            "unsafe fn f() {",
            "unsafe impl Send for X {}",
            "#[unsafe(no_mangle)]",
        ] {
            assert_eq!(problems("crates/run/src/a.rs", line).len(), 1, "{line}");
            assert!(problems("crates/sys/src/a.rs", line).is_empty(), "{line}");
        }
        for line in [
            "// unsafe { }",
            "#![forbid(unsafe_code)]",
            "the_unsafe {",
            "//! unsafe fn",
        ] {
            assert!(problems("crates/run/src/a.rs", line).is_empty(), "{line}");
        }
    }

    #[test]
    fn printing_is_found() {
        for line in ["println!(\"a\");", "  eprint!(\"a\")", "std::println!()", "dbg!(x)"] {
            assert_eq!(problems("crates/run/src/a.rs", line).len(), 1, "{line}");
            assert!(problems("crates/cli/src/a.rs", line).is_empty(), "{line}");
            assert!(problems("crates/run/tests/a.rs", line).is_empty(), "{line}");
        }
        assert!(problems("crates/run/src/a.rs", "pretty_print!(x); // println!()").is_empty());
    }

    #[test]
    fn length_is_limited() {
        assert!(problems("a.rs", &"\n".repeat(TOO_LONG)).is_empty());
        assert_eq!(problems("a.rs", &"\n".repeat(TOO_LONG + 1)).len(), 1);
    }
}
