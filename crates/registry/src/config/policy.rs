//! policy.json: which images may come from where. Kinds that need signatures are refused, by name.
//!
//! containers-policy.json(5).

use crate::error::{Error, Result, read_optional};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use wiac_oci::reference::Reference;

/// A policy and the file it is from.
#[derive(Debug)]
pub(super) struct Policy {
    path: PathBuf,
    file: File,
}

#[derive(Debug, Deserialize)]
struct File {
    default: Vec<Requirement>,
    #[serde(default)]
    transports: BTreeMap<String, BTreeMap<String, Vec<Requirement>>>,
}

#[derive(Debug, Deserialize)]
struct Requirement {
    r#type: String,
}

impl Policy {
    /// The first file that is there; without one everything is accepted.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Option<Self>> {
        for path in paths {
            if let Some(bytes) = read_optional(path, super::LARGEST)? {
                let file = serde_json::from_slice(&bytes).map_err(|error| Error::configuration(path, error))?;
                let path = path.clone();
                return Ok(Some(Self { path, file }));
            }
        }
        Ok(None)
    }

    /// Refuses what isn't accepted.
    pub(super) fn check(&self, reference: &Reference) -> Result<()> {
        let (scope, requirements) = self.requirements(reference);
        let forbidden = |reason: String| Error::Forbidden {
            name: reference.to_string(),
            path: self.path.clone(),
            reason,
        };
        if requirements.is_empty() {
            return Err(forbidden(format!(
                "it lists no requirement for {scope}, which accepts nothing"
            )));
        }
        for requirement in requirements {
            match requirement.r#type.as_str() {
                "insecureAcceptAnything" => {}
                "reject" => return Err(forbidden(format!("it rejects {scope}"))),
                signed @ ("signedBy" | "sigstoreSigned" | "signedBaseLayer") => {
                    return Err(forbidden(format!(
                        "it wants signatures ({signed}) for {scope}, which wiac can't check; pull it with podman or skopeo"
                    )));
                }
                other => {
                    return Err(forbidden(format!(
                        "it has the unknown requirement {other:?} for {scope}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// The requirements of the narrowest scope that holds the reference.
    fn requirements(&self, reference: &Reference) -> (String, &[Requirement]) {
        if let Some(scopes) = self.file.transports.get("docker") {
            for scope in scopes_of(reference) {
                if let Some(requirements) = scopes.get(&scope) {
                    let shown = if scope.is_empty() {
                        "all registries".to_owned()
                    } else {
                        scope
                    };
                    return (shown, requirements);
                }
            }
        }
        ("everything".to_owned(), &self.file.default)
    }
}

/// From the reference itself up to its registry, the domains above that, and the whole transport.
fn scopes_of(reference: &Reference) -> Vec<String> {
    let name = reference.name();
    let exact = match (reference.tag(), reference.digest()) {
        (Some(tag), _) => format!("{name}:{tag}"),
        (None, Some(digest)) => format!("{name}@{digest}"),
        (None, None) => format!("{name}:latest"),
    };
    let mut scopes = vec![exact, name.clone()];
    let mut rest = name.as_str();
    while let Some((parent, _)) = rest.rsplit_once('/') {
        scopes.push(parent.to_owned());
        rest = parent;
    }
    let mut host = reference.registry().split(':').next().unwrap_or_default();
    while let Some((_, domain)) = host.split_once('.') {
        scopes.push(format!("*.{domain}"));
        host = domain;
    }
    scopes.push(String::new());
    scopes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str, name: &str) -> String {
        let policy = Policy {
            path: "/policy.json".into(),
            file: serde_json::from_str(text).unwrap(),
        };
        policy
            .check(&name.parse().unwrap())
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn the_narrowest_scope_counts() {
        let text = r#"{
            "default": [{"type": "reject"}],
            "transports": {
                "docker": {
                    "docker.io/library": [{"type": "insecureAcceptAnything"}],
                    "docker.io/library/bad": [{"type": "reject"}],
                    "registry.access.redhat.com": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"}],
                    "*.example.com": [{"type": "insecureAcceptAnything"}]
                },
                "docker-daemon": {"": [{"type": "insecureAcceptAnything"}]}
            }
        }"#;
        assert_eq!(verdict(text, "alpine"), "");
        assert_eq!(verdict(text, "r.example.com:5000/x"), "");
        assert_eq!(
            verdict(text, "bad:1"),
            "docker.io/library/bad:1 is forbidden by /policy.json: it rejects docker.io/library/bad"
        );
        assert!(verdict(text, "registry.access.redhat.com/ubi9").contains("wants signatures (signedBy)"));
        assert!(verdict(text, "quay.io/x").contains("rejects everything"));
    }

    #[test]
    fn accepting_nothing_and_the_unknown_are_refused() {
        assert!(verdict(r#"{"default": []}"#, "x").contains("accepts nothing"));
        assert!(verdict(r#"{"default": [{"type": "new"}]}"#, "x").contains("unknown requirement"));
    }
}
