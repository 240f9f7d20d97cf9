//! `--cache-to` and `--cache-from`: build caches that other machines use too.

mod export;
mod import;

pub(super) use export::{export, write_inline};
pub(super) use import::Imports;

use super::values::fields;
use crate::error::Failure;
use std::path::PathBuf;
use wiac_layer::compression::Compression;

/// The tag of a cache in an image layout that names none.
const TAG: &str = "latest";

/// What one `--cache-to` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CacheTo {
    place: To,
    /// Every step of every stage, not only those whose layers the result has.
    all: bool,
    /// A cache that can't be written is a warning.
    is_optional: bool,
    compression: Compression,
    level: Option<i32>,
}

/// Where a cache goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum To {
    /// An image layout.
    Local { directory: PathBuf, tag: String },
    /// A registry, by a name.
    Registry(String),
    /// The image's own configuration.
    Inline,
}

/// Where a cache comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CacheFrom {
    /// An image layout.
    Local {
        directory: PathBuf,
        tag: String,
        digest: Option<String>,
    },
    /// A registry: a cache, or an image that says which steps made it.
    Registry(String),
}

impl CacheTo {
    /// Parses the value of one `--cache-to`; a name alone means a registry.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let mut found = Self {
            place: To::Registry(text.to_owned()),
            all: false,
            is_optional: false,
            compression: Compression::Gzip,
            level: None,
        };
        if !text.contains('=') {
            return Ok(found);
        }
        let (mut kind, mut name, mut directory, mut tag) = (None, None, None, TAG.to_owned());
        for (key, value) in fields("--cache-to", text)? {
            let wrong = |what: &str| Failure::usage(format!("--cache-to {text}: {key}={value}: {what}"));
            match key.to_ascii_lowercase().as_str() {
                "type" => kind = Some(value),
                "ref" => name = Some(value.to_owned()),
                "dest" => directory = Some(PathBuf::from(value)),
                "tag" => value.clone_into(&mut tag),
                "mode" if matches!(value, "min" | "max") => found.all = value == "max",
                "mode" => return Err(wrong("min or max")),
                "ignore-error" => found.is_optional = value.parse().map_err(|_| wrong("true or false"))?,
                "compression" => {
                    found.compression = match value {
                        "gzip" => Compression::Gzip,
                        "zstd" => Compression::Zstd,
                        "uncompressed" | "none" => Compression::None,
                        _ => return Err(wrong("the compressions are gzip, zstd and uncompressed")),
                    }
                }
                "compression-level" => found.level = Some(value.parse().map_err(|_| wrong("a number"))?),
                // Each has one meaning here.
                "oci-mediatypes" | "image-manifest" | "oci-artifact" | "force-compression" => {}
                _ if !matches!(kind, None | Some("local" | "registry" | "inline")) => {
                    return Err(incomplete("--cache-to", text, kind, "dest"));
                }
                _ => {
                    return Err(wrong(
                        "unknown; there are type, ref, dest, tag, mode, ignore-error, compression and compression-level",
                    ));
                }
            }
        }
        found.place = match (kind, name, directory) {
            (Some("inline"), ..) => To::Inline,
            (Some("registry") | None, Some(name), _) => To::Registry(name),
            (Some("local"), _, Some(directory)) => To::Local { directory, tag },
            (kind, ..) => return Err(incomplete("--cache-to", text, kind, "dest")),
        };
        Ok(found)
    }

    /// Whether the cache goes into the image itself.
    pub(super) fn is_inline(&self) -> bool {
        self.place == To::Inline
    }
}

impl CacheFrom {
    /// Parses the value of one `--cache-from`; a name alone means a registry.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        if !text.contains('=') {
            return Ok(Self::Registry(text.to_owned()));
        }
        let (mut kind, mut name, mut directory) = (None, None, None);
        let (mut tag, mut digest) = (TAG.to_owned(), None);
        for (key, value) in fields("--cache-from", text)? {
            match key.to_ascii_lowercase().as_str() {
                "type" => kind = Some(value),
                "ref" => name = Some(value.to_owned()),
                "src" => directory = Some(PathBuf::from(value)),
                "tag" => value.clone_into(&mut tag),
                "digest" => digest = Some(value.to_owned()),
                _ if !matches!(kind, None | Some("local" | "registry" | "inline")) => {
                    return Err(incomplete("--cache-from", text, kind, "src"));
                }
                _ => {
                    return Err(Failure::usage(format!(
                        "--cache-from {text}: {key}: unknown; there are type, ref, src, tag and digest"
                    )));
                }
            }
        }
        match (kind, name, directory) {
            (Some("registry") | None, Some(name), _) => Ok(Self::Registry(name)),
            (Some("local"), _, Some(directory)) => Ok(Self::Local { directory, tag, digest }),
            (Some("inline"), ..) => Err(Failure::usage(format!(
                "--cache-from {text}: name the image that has it: type=registry,ref=NAME"
            ))),
            (kind, ..) => Err(incomplete("--cache-from", text, kind, "src")),
        }
    }
}

fn incomplete(option: &str, text: &str, kind: Option<&str>, directory: &str) -> Failure {
    Failure::usage(match kind {
        Some("registry") => format!("{option} {text}: name it by ref="),
        Some("local") => format!("{option} {text}: name the directory by {directory}="),
        Some(other) => format!("{option} {text}: unknown type {other}; there are local, registry and inline"),
        None => format!("{option} {text}: write type=local,{directory}=DIR or type=registry,ref=NAME"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_written_as_in_docker() {
        let to = CacheTo::parse("type=local,dest=d,mode=max,compression=zstd").expect("a place");
        assert!(to.all && to.compression == Compression::Zstd && !to.is_inline());
        assert_eq!(
            to.place,
            To::Local {
                directory: "d".into(),
                tag: "latest".to_owned()
            }
        );
        assert!(CacheTo::parse("type=inline").expect("a place").is_inline());
        let named = CacheFrom::Registry("localhost:5000/a:b".to_owned());
        assert_eq!(CacheFrom::parse("localhost:5000/a:b").expect("a name"), named);
        assert_eq!(
            CacheFrom::parse("type=registry,ref=localhost:5000/a:b").expect("a name"),
            named
        );
        for wrong in [
            "type=local",
            "type=registry",
            "type=gha",
            "type=local,dest=d,mode=middle",
            "dest=d",
            "type=local,what=1",
        ] {
            assert!(CacheTo::parse(wrong).is_err(), "{wrong}");
        }
        let said = format!("{:?}", CacheTo::parse("type=s3,region=x").expect_err("refused"));
        assert!(said.contains("unknown type s3"), "{said}");
        for wrong in ["type=local", "type=inline", "type=s3,ref=x", "type=local,dest=x"] {
            assert!(CacheFrom::parse(wrong).is_err(), "{wrong}");
        }
    }
}
