//! `--annotation`, as docker buildx takes it: `[KIND[[PLATFORM]],…:]NAME=VALUE`, where a kind is manifest, index,
//! manifest-descriptor or index-descriptor.

use crate::error::Failure;
use std::collections::BTreeMap;
use wiac_oci::manifest::Platform;

/// What the documents of a build are to say beside.
#[derive(Debug, Default)]
pub(super) struct Annotations {
    /// Of manifests: of all, or of one platform's.
    manifests: OfPlatforms,
    /// Of the descriptors that manifests have in an index and in a layout.
    descriptors: OfPlatforms,
    /// Of the index.
    pub(super) index: BTreeMap<String, String>,
    /// Of the descriptor that the index has in a layout.
    pub(super) index_descriptor: BTreeMap<String, String>,
}

/// Names with their values: of all manifests, or of one platform's.
#[derive(Debug, Default)]
struct OfPlatforms(Vec<(Option<Platform>, String, String)>);

impl OfPlatforms {
    fn of(&self, platform: &Platform) -> BTreeMap<String, String> {
        let own = self.0.iter().filter(|(wanted, _, _)| match wanted {
            Some(wanted) => wanted.to_string() == platform.to_string(),
            None => true,
        });
        own.map(|(_, name, value)| (name.clone(), value.clone())).collect()
    }
}

impl Annotations {
    /// Takes the values apart. `platforms`: those that are built; with several of them there will be an index.
    pub(super) fn parse(written: &[String], platforms: &[Platform]) -> Result<Self, Failure> {
        let mut annotations = Self::default();
        for text in written {
            annotations.add(text, platforms)?;
        }
        Ok(annotations)
    }

    /// What the manifest for `platform` says.
    pub(super) fn of(&self, platform: &Platform) -> BTreeMap<String, String> {
        self.manifests.of(platform)
    }

    /// What the descriptor of the manifest for `platform` says.
    pub(super) fn of_descriptor(&self, platform: &Platform) -> BTreeMap<String, String> {
        self.descriptors.of(platform)
    }

    fn add(&mut self, text: &str, platforms: &[Platform]) -> Result<(), Failure> {
        let several = platforms.len() > 1;
        let wrong = |what: &str| Failure::usage(format!("--annotation {text}: {what}"));
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| wrong("NAME=VALUE is expected, with manifest: or index: before it, or manifest-descriptor: or index-descriptor:"))?;
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
            if let Some(platform) = platform.as_ref().filter(|_| several)
                && !platforms.iter().any(|built| built.to_string() == platform.to_string())
            {
                return Err(wrong(&format!("nothing is built for {platform}")));
            }
            let (name, value) = (name.to_owned(), value.to_owned());
            match kind {
                "manifest" => self.manifests.0.push((platform, name, value)),
                "manifest-descriptor" => self.descriptors.0.push((platform, name, value)),
                _ if !several => {
                    return Err(wrong(
                        "an index is made for several platforms alone: name them by --platform",
                    ));
                }
                "index" => drop(self.index.insert(name, value)),
                _ => drop(self.index_descriptor.insert(name, value)),
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
        let platforms = ["linux/arm64", "linux/amd64"].map(|text| text.parse().expect("a platform"));
        Annotations::parse(&[text.to_owned()], &platforms[usize::from(!several)..])
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
        let descriptors = parse("manifest-descriptor[linux/arm64],index-descriptor:k=v", true).expect("both");
        assert_eq!(descriptors.of_descriptor(&arm)["k"], "v");
        assert_eq!(descriptors.index_descriptor["k"], "v");
        assert!(descriptors.of(&arm).is_empty() && descriptors.index.is_empty());
        let amd: Platform = "linux/amd64".parse().expect("a platform");
        assert!(descriptors.of_descriptor(&amd).is_empty());
        let single = parse("manifest-descriptor:k=v", false).expect("a layout's");
        assert_eq!(single.of_descriptor(&amd)["k"], "v");
        for (text, several) in [
            ("k", false),
            ("index:k=v", false),
            ("index-descriptor:k=v", false),
            ("manifest:=v", false),
            ("manifest[linux/s390x]:k=v", true),
        ] {
            assert!(parse(text, several).is_err(), "{text}");
        }
    }
}
