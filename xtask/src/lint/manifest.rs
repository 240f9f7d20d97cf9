//! What this task needs of a `Cargo.toml`: which crates stand in which of its dependency tables.

/// A dependency.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dependency {
    /// Its name in the manifest.
    pub(super) name: String,
    /// Only tests, examples and benchmarks see it.
    pub(super) dev: bool,
}

/// The dependencies of a manifest, in the forms that this workspace writes them.
pub(super) fn dependencies(text: &str) -> Vec<Dependency> {
    let mut found = Vec::new();
    let mut table = String::new();
    for line in text.lines().map(|line| line.split('#').next().unwrap_or(line).trim()) {
        if let Some(header) = line.strip_prefix('[') {
            header.trim_end_matches(']').clone_into(&mut table);
            // [dependencies.name]
            if let Some((parent, name)) = table.rsplit_once("dependencies.") {
                found.push(Dependency {
                    name: name.trim_matches('"').to_owned(),
                    dev: parent.ends_with("dev-"),
                });
            }
        } else if table.ends_with("dependencies") {
            let name: String = line
                .chars()
                .take_while(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
                .collect();
            if !name.is_empty() {
                found.push(Dependency {
                    name,
                    dev: table.ends_with("dev-dependencies"),
                });
            }
        }
    }
    found
}

/// Whether the crate takes its lints from the workspace.
pub(super) fn has_workspace_lints(text: &str) -> bool {
    text.lines()
        .skip_while(|line| line.trim() != "[lints]")
        .nth(1)
        .is_some_and(|line| line.trim() == "workspace = true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_told_apart() {
        let text = "[package]\nname = \"x\"\n[dependencies]\n# no = 1\nwiac-sys.workspace = true\nlibc = \"1\"\n\
                    [dev-dependencies]\ntempfile = { version = \"3\" }\n[target.'cfg(unix)'.dependencies.nix]\n\
                    version = \"1\"\n[lints]\nworkspace = true\n";
        let shown: Vec<_> = dependencies(text).into_iter().map(|d| (d.name, d.dev)).collect();
        let expected = [("wiac-sys", false), ("libc", false), ("tempfile", true), ("nix", false)];
        assert_eq!(shown, expected.map(|(name, dev)| (name.to_owned(), dev)));
        assert!(has_workspace_lints(text) && !has_workspace_lints("[lints]\n"));
    }
}
