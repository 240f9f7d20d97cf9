//! `--annotation`, as docker buildx takes it: `[manifest|index[[PLATFORM]],…:]NAME=VALUE`.

use crate::error::Failure;
use std::collections::BTreeMap;
use wiac_oci::manifest::Platform;

/// What the documents of a build are to say beside.
#[derive(Debug, Default)]
pub(super) struct Annotations {
    /// Of manifests: of all, or of one platform's.
    manifests: Vec<(Option<Platform>, String, String)>,
    /// Of the index.
    pub(super) index: BTreeMap<String, String>,
}

impl Annotations {
    /// Takes the values apart. `several`: there will be an index.
    pub(super) fn parse(written: &[String], several: bool) -> Result<Self, Failure> {
        let mut annotations = Self::default();
        for text in written {
            annotations.add(text, several)?;
        }
        Ok(annotations)
    }

    /// What the manifest for `platform` says.
    pub(super) fn of(&self, platform: &Platform) -> BTreeMap<String, String> {
        let own = self.manifests.iter().filter(|(wanted, _, _)| match wanted {
            Some(wanted) => wanted.to_string() == platform.to_string(),
            None => true,
        });
        own.map(|(_, name, value)| (name.clone(), value.clone())).collect()
    }

    fn add(&mut self, text: &str, several: bool) -> Result<(), Failure> {
        let wrong = |what: &str| Failure::usage(format!("--annotation {text}: {what}"));
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| wrong("NAME=VALUE is expected, with manifest: or index: before it"))?;
        // A name may have colons of its own: only what is known before the first one counts as a kind.
        let kinds = name.split_once(':').filter(|(kinds, _)| is_kinds(kinds));
        let (kinds, name) = kinds.unwrap_or(("manifest", name));
        if name.is_empty() {
            return Err(wrong("the name is empty"));
        }
        for kind in kinds.split(',') {
            let (kind, platform) = match kind.split_once('[') {
                Some((kind, rest)) => (kind, Some(rest.trim_end_matches(']'))),
                None => (kind, None),
            };
            let platform: Option<Platform> = platform
                .map(str::parse)
                .transpose()
                .map_err(|error: wiac_oci::platform::PlatformError| wrong(&error.to_string()))?;
            match kind {
                "manifest" => self.manifests.push((platform, name.to_owned(), value.to_owned())),
                "index" if !several => {
                    return Err(wrong(
                        "an index is made for several platforms alone: name them by --platform",
                    ));
                }
                "index" => drop(self.index.insert(name.to_owned(), value.to_owned())),
                _ => return Err(wrong("descriptors get no annotations: manifest and index do")),
            }
        }
        Ok(())
    }
}

fn is_kinds(text: &str) -> bool {
    text.split(',').all(|kind| {
        let kind = kind.split('[').next().unwrap_or(kind);
        matches!(kind, "manifest" | "index" | "manifest-descriptor" | "index-descriptor")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, several: bool) -> Result<Annotations, Failure> {
        Annotations::parse(&[text.to_owned()], several)
    }

    #[test]
    fn kinds_are_docker_s() {
        let arm: Platform = "linux/arm64".parse().expect("a platform");
        let plain = parse("org.example:x=a=b", false).expect("a manifest's");
        assert_eq!(plain.of(&arm)["org.example:x"], "a=b");
        let both = parse("manifest,index:k=v", true).expect("both");
        assert_eq!((both.index["k"].as_str(), both.of(&arm)["k"].as_str()), ("v", "v"));
        let one = parse("manifest[linux/amd64]:k=v", true).expect("one platform's");
        assert!(one.of(&arm).is_empty());
        for (text, several) in [
            ("k", false),
            ("index:k=v", false),
            ("manifest:=v", false),
            ("manifest-descriptor:k=v", true),
        ] {
            assert!(parse(text, several).is_err(), "{text}");
        }
    }
}
