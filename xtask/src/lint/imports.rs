//! Imports only point down: what ARCHITECTURE.md draws, checked against each crate's manifest.

use super::manifest;
use crate::{Outcome, shell};

/// A crate, which of ours it may import, and whether it stays clear of the kernel (pure).
struct Rule {
    name: &'static str,
    imports: &'static [&'static str],
    pure: bool,
}

/// From the top down. What a crate may import stands below it.
const RULES: [Rule; 13] = [
    rule(
        "cli",
        &[
            "build",
            "store",
            "foreign",
            "registry",
            "run",
            "loader",
            "layer",
            "oci",
            "dockerfile",
            "template",
            "suggest",
            "sys",
        ],
    ),
    rule(
        "build",
        &["store", "run", "loader", "layer", "oci", "dockerfile", "suggest", "sys"],
    ),
    rule("store", &["layer", "oci", "suggest", "sys"]),
    rule("foreign", &["layer", "oci", "suggest", "sys"]),
    rule("registry", &["oci", "suggest", "sys"]),
    rule("run", &["oci", "sys"]),
    rule("loader", &["suggest", "sys"]),
    rule("layer", &["sys"]),
    pure("oci", &["suggest"]),
    pure("dockerfile", &["suggest"]),
    pure("template", &["suggest"]),
    pure("suggest", &[]),
    rule("sys", &[]),
];

/// What reaches the kernel: not for a pure crate.
const KERNEL: [&str; 4] = ["rustix", "libc", "nix", "tempfile"];

const fn rule(name: &'static str, imports: &'static [&'static str]) -> Rule {
    Rule {
        name,
        imports,
        pure: false,
    }
}

const fn pure(name: &'static str, imports: &'static [&'static str]) -> Rule {
    Rule {
        name,
        imports,
        pure: true,
    }
}

/// Checks every crate.
pub(super) fn check() -> Outcome {
    let workspace = shell::workspace();
    let architecture = std::fs::read_to_string(workspace.join("ARCHITECTURE.md"))?;
    let mut problems = Vec::new();
    for entry in std::fs::read_dir(workspace.join("crates"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path.join("Cargo.toml"))?;
        if !architecture.contains(&format!("| `{name}` |")) {
            problems.push(format!("crates/{name}: not in the table of ARCHITECTURE.md"));
        }
        problems.extend(broken(&name, &text));
    }
    problems.sort();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("\n").into())
    }
}

/// What a crate's manifest breaks.
fn broken(name: &str, manifest: &str) -> Vec<String> {
    let Some(rule) = RULES.iter().find(|rule| rule.name == name) else {
        return vec![format!(
            "crates/{name}: say in xtask/src/lint/imports.rs what it may import"
        )];
    };
    let mut problems = Vec::new();
    for dependency in manifest::dependencies(manifest) {
        match dependency.name.strip_prefix("wiac-") {
            Some(ours) if !rule.imports.contains(&ours) => {
                problems.push(format!("crates/{name}: imports {ours}, which isn't below it"));
            }
            None if rule.pure && !dependency.dev && KERNEL.contains(&dependency.name.as_str()) => {
                problems.push(format!("crates/{name}: imports {}, but is pure", dependency.name));
            }
            _ => {}
        }
    }
    // The only crate with unsafe code has lints of its own.
    if name != "sys" && !manifest::has_workspace_lints(manifest) {
        problems.push(format!("crates/{name}: [lints] workspace = true is missing"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINTS: &str = "[lints]\nworkspace = true\n";

    #[test]
    fn imports_point_down() {
        for (at, rule) in RULES.iter().enumerate() {
            for import in rule.imports {
                assert!(
                    RULES[at + 1..].iter().any(|below| below.name == *import),
                    "{} imports {import}",
                    rule.name
                );
            }
        }
    }

    #[test]
    fn an_import_upwards_is_found() {
        let manifest = format!("[dev-dependencies]\nwiac-build.workspace = true\n{LINTS}");
        assert_eq!(
            broken("store", &manifest),
            ["crates/store: imports build, which isn't below it"]
        );
        assert!(broken("cli", &manifest).is_empty());
    }

    #[test]
    fn a_pure_crate_stays_pure() {
        let manifest = format!("[dependencies]\nrustix.workspace = true\n{LINTS}");
        assert_eq!(broken("oci", &manifest).len(), 1);
        assert!(broken("store", &manifest).is_empty());
        assert_eq!(broken("oci", "").len(), 1, "the workspace's lints");
    }
}
