//! Platforms as they are written: `linux/amd64`, `linux/arm/v7`, `arm64`.
//!
//! containerd's `platforms` package: names of other origins are turned into Go's.

use crate::image::ImageConfig;
use crate::manifest::{Descriptor, Platform};
use std::fmt;
use std::str::FromStr;

/// Why a text is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("platform {0:?}: expected OS/ARCHITECTURE[/VARIANT], such as linux/arm64")]
pub struct PlatformError(String);

impl Platform {
    /// The one this program was built for.
    pub fn host() -> Self {
        Self {
            os: "linux".to_owned(),
            architecture: go_name(std::env::consts::ARCH).to_owned(),
            ..Self::default()
        }
    }

    /// What an image with this configuration runs on: Linux, where it names no system.
    pub fn of(config: &ImageConfig) -> Self {
        let is_named = !config.os.is_empty();
        Self {
            os: if is_named { &config.os } else { "linux" }.to_owned(),
            architecture: config.architecture.clone(),
            variant: config.variant.clone(),
            os_version: config.os_version.clone(),
            os_features: config.os_features.clone(),
            ..Self::default()
        }
    }

    /// Whether what is made for `other` is meant where this is wanted. A variant that isn't asked for doesn't matter; what is
    /// made for an older one runs on a newer one.
    pub fn takes(&self, other: &Self) -> bool {
        self.distance(other).is_some()
    }

    /// Whether Go, by whose names images go, knows the architecture.
    pub fn is_known(&self) -> bool {
        ARCHITECTURES.contains(&self.architecture.as_str())
    }

    /// How many variants older it is than what is wanted; `None` where it isn't meant.
    fn distance(&self, other: &Self) -> Option<u32> {
        if self.os != other.os || self.architecture != other.architecture {
            return None;
        }
        match (&self.variant, self.level(), other.level()) {
            (None, ..) => Some(0),
            (_, Some(wanted), Some(offered)) => wanted.checked_sub(offered),
            _ => (self.variant == other.variant).then_some(0),
        }
    }

    /// The number of the variant, where they are numbered: without one it is what containerd takes it for.
    fn level(&self) -> Option<u32> {
        let plain = match self.architecture.as_str() {
            "amd64" => 1,
            "arm" => 7,
            "arm64" => 8,
            _ => return None,
        };
        match self.variant.as_deref() {
            None | Some("") => Some(plain),
            Some(text) => text.strip_prefix('v').unwrap_or(text).parse().ok(),
        }
    }
}

/// Architectures that Linux runs on, by Go's names (go tool dist list, and those of containerd's platforms).
const ARCHITECTURES: [&str; 19] = [
    "386", "amd64", "arm", "armbe", "arm64", "arm64be", "loong64", "mips", "mipsle", "mips64", "mips64le", "ppc",
    "ppc64", "ppc64le", "riscv", "riscv64", "s390x", "sparc64", "wasm",
];

/// So many platforms are named where the one that is wanted isn't there.
const MOST_SHOWN: usize = 20;

/// Go's name of an architecture.
fn go_name(architecture: &str) -> &str {
    match architecture {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "x86" | "i386" | "i686" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// Which of an index's manifests is meant for `wanted`: of those that fit best the first. One alone that doesn't say what
/// it is for is taken as it is; statements about other manifests (attestations) are no images.
///
/// # Errors
/// Why there is none, in words.
pub fn choose<'d>(manifests: &'d [Descriptor], wanted: &Platform) -> Result<&'d Descriptor, String> {
    let images: Vec<&Descriptor> = manifests
        .iter()
        .filter(|descriptor| !is_attestation(descriptor))
        .collect();
    match images.as_slice() {
        [] => Err("there is no image in it".to_owned()),
        [only] if only.platform.is_none() => Ok(only),
        several => {
            let fitting = several.iter().filter_map(|image| {
                let distance = wanted.distance(image.platform.as_ref()?)?;
                Some((distance, *image))
            });
            let best = fitting.min_by_key(|(distance, _)| *distance);
            best.map(|(_, image)| image).ok_or_else(|| {
                let mut there: Vec<String> = Vec::new();
                for platform in several.iter().filter_map(|d| d.platform.as_ref()) {
                    let shown = platform.to_string();
                    if !there.contains(&shown) && there.len() < MOST_SHOWN {
                        there.push(shown);
                    }
                }
                if there.is_empty() {
                    return format!("there is no image for {wanted} in it: it says of nothing what it is for");
                }
                format!("there is no image for {wanted} in it, only for {}", there.join(", "))
            })
        }
    }
}

/// BuildKit's statements about a manifest stand beside it, for a platform that doesn't exist.
fn is_attestation(descriptor: &Descriptor) -> bool {
    descriptor.annotations.contains_key("vnd.docker.reference.type")
        || descriptor
            .platform
            .as_ref()
            .is_some_and(|platform| platform.os == "unknown")
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let wrong = || PlatformError(text.to_owned());
        let lower = text.to_ascii_lowercase();
        let parts: Vec<&str> = lower.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(wrong());
        }
        let (os, architecture, variant) = match parts.as_slice() {
            ["linux"] => return Ok(Self::host()),
            // A word alone has to be an architecture that there is: it may as well be a slip of the pen.
            [architecture] if ARCHITECTURES.contains(&go_name(architecture)) => ("linux", *architecture, None),
            [os, architecture] => (*os, *architecture, None),
            [os, architecture, variant] => (*os, *architecture, Some((*variant).to_owned())),
            _ => return Err(wrong()),
        };
        Ok(Self {
            os: os.to_owned(),
            architecture: go_name(architecture).to_owned(),
            variant,
            ..Self::default()
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_and_written() {
        for (text, written) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("aarch64", "linux/arm64"),
            ("riscv64", "linux/riscv64"),
            ("linux/new", "linux/new"),
            ("linux/arm/v7", "linux/arm/v7"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), written);
        }
        for text in ["", "linux/", "a/b/c/d", "foo", "amd46", "windows"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_image_says_what_it_is_for() {
        let config = ImageConfig {
            architecture: "arm".to_owned(),
            variant: Some("v7".to_owned()),
            os_version: Some("10.0".to_owned()),
            ..ImageConfig::default()
        };
        let platform = Platform::of(&config);
        assert_eq!(platform.to_string(), "linux/arm/v7");
        assert_eq!(platform.os_version.as_deref(), Some("10.0"));
        let config = ImageConfig {
            os: "freebsd".to_owned(),
            ..config
        };
        assert_eq!(Platform::of(&config).os, "freebsd");
    }

    #[test]
    fn a_variant_counts_only_where_it_is_wanted() {
        let [arm, v7]: [Platform; 2] = ["linux/arm", "linux/arm/v7"].map(|text| text.parse().unwrap());
        assert!(arm.takes(&v7) && v7.takes(&arm));
        let takes = |wanted: &str, other: &str| {
            let [wanted, other]: [Platform; 2] = [wanted, other].map(|text| text.parse().unwrap());
            wanted.takes(&other)
        };
        assert!(takes("linux/arm64/v8", "linux/arm64") && takes("linux/arm/v7", "linux/arm/v6"));
        assert!(takes("linux/amd64/v3", "linux/amd64") && !takes("linux/amd64/v2", "linux/amd64/v3"));
        assert!(!takes("linux/arm/v6", "linux/arm") && !takes("linux/riscv64/x", "linux/riscv64"));
    }

    #[test]
    fn what_is_for_nothing_is_told() {
        let blob = |text: &str| Descriptor::new("layer", crate::digest::Digest::sha256(text), 1);
        let error = choose(&[blob("a"), blob("b")], &Platform::host()).unwrap_err();
        assert!(error.ends_with("it says of nothing what it is for"), "{error}");
        let mut other = blob("a");
        other.platform = Some("plan9/amd64".parse().unwrap());
        let error = choose(&[other.clone(), other], &Platform::host()).unwrap_err();
        assert!(error.ends_with("only for plan9/amd64"), "{error}");
    }

    #[test]
    fn statements_about_images_are_none() {
        let entry = |name: &str| Descriptor::new("m", crate::digest::Digest::sha256(name), 1);
        let image = entry("image");
        let mut marked = entry("marked");
        marked.annotations.insert(
            "vnd.docker.reference.type".to_owned(),
            "attestation-manifest".to_owned(),
        );
        let mut unknown = entry("unknown");
        unknown.platform = Some(Platform {
            os: "unknown".to_owned(),
            architecture: "unknown".to_owned(),
            ..Platform::default()
        });
        let all = [marked, unknown, image.clone()];
        assert_eq!(
            choose(&all, &Platform::host()),
            Ok(&image),
            "one alone needn't say what it is for"
        );
        assert!(choose(&all[..2], &Platform::host()).is_err());
        let mut other = image;
        other.platform = Some("plan9/amd64".parse().unwrap());
        assert!(choose(&[other], &Platform::host()).is_err());
    }

    #[test]
    fn the_nearest_variant_is_chosen() {
        let entry = |platform: &str| {
            let mut entry = Descriptor::new("m", crate::digest::Digest::sha256(platform), 1);
            entry.platform = Some(platform.parse().unwrap());
            entry
        };
        let there = ["linux/arm/v5", "linux/arm/v7", "linux/arm/v6", "linux/arm64/v8"].map(entry);
        let chosen = |wanted: &str| {
            let found = choose(&there, &wanted.parse().unwrap()).unwrap();
            found.platform.as_ref().unwrap().to_string()
        };
        assert_eq!(chosen("linux/arm/v7"), "linux/arm/v7");
        assert_eq!(chosen("linux/arm/v6"), "linux/arm/v6");
        assert_eq!(chosen("linux/arm/v8"), "linux/arm/v7");
        assert_eq!(
            chosen("linux/arm"),
            "linux/arm/v5",
            "the first, where none is asked for"
        );
        assert_eq!(chosen("linux/arm64"), "linux/arm64/v8");
    }
}
