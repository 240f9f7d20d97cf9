//! A build cache that travels: which steps made which layers. It is the configuration of a manifest whose layers are the
//! steps' (an artifact in a registry or an image layout), or a field of an image's own configuration, which other tools
//! pass over.

use crate::Extra;
use crate::digest::DiffId;
use crate::image::ImageConfig;
use serde::{Deserialize, Serialize};

/// The media type of a cache's configuration.
pub const CONFIG: &str = "application/vnd.wiac.build-cache.config.v1+json";

/// The field of an image configuration that names the steps of its layers.
pub const FIELD: &str = "wiac.build-cache.v1";

/// The version written, and the only one read.
const VERSION: u32 = 1;

/// More text than this of an instruction isn't kept.
const LONGEST: usize = 400;

/// The longest key or lineage: 512 bits in hexadecimal.
const LONGEST_KEY: usize = 128;

/// The configuration of a cache. Its layers are those of the manifest, in the same order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildCache {
    /// Of this document.
    version: u32,
    /// One for each layer of the manifest.
    pub layers: Vec<CachedLayer>,
}

/// A layer and the steps that are known to make it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CachedLayer {
    /// The hash of its tar.
    pub diff_id: DiffId,
    /// The keys of the steps.
    pub keys: Vec<String>,
    /// What it is for the keys of steps above it: a key, or random where the step was made to run again.
    pub lineage: String,
    /// The instruction.
    #[serde(default)]
    pub created_by: String,
    /// When, RFC 3339.
    #[serde(default)]
    pub created: String,
}

/// What an image configuration says of one of its layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InlineLayer {
    /// Which one, from 0, base first.
    pub layer: usize,
    /// As in [`CachedLayer`].
    pub keys: Vec<String>,
    /// As in [`CachedLayer`].
    pub lineage: String,
    /// What the history says of it: where it says something else, somebody changed the layers.
    pub created_by: String,
}

impl BuildCache {
    /// A cache of these layers.
    pub fn new(mut layers: Vec<CachedLayer>) -> Self {
        for layer in &mut layers {
            layer.created_by = layer.created_by.chars().take(LONGEST).collect();
        }
        Self {
            version: VERSION,
            layers,
        }
    }

    /// Reads a configuration. What anybody could have written is checked: keys and lineages are hexadecimal, times are
    /// times.
    ///
    /// # Errors
    /// In words.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let cache: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if cache.version != VERSION {
            return Err(format!("it has version {}, known is {VERSION}", cache.version));
        }
        for layer in &cache.layers {
            check(&layer.keys, &layer.lineage)?;
            if !layer.created.is_empty() && !is_time(&layer.created) {
                return Err(format!("{:?} is no time", layer.created));
            }
        }
        Ok(cache)
    }

    /// The document.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What an image says of its own layers; `None` where it says nothing.
    ///
    /// # Errors
    /// In words, where the field isn't what it should be.
    pub fn of_image(config: &ImageConfig) -> Result<Option<Self>, String> {
        let Some(value) = config.extra.get(FIELD) else {
            return Ok(None);
        };
        let inline: Vec<InlineLayer> = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
        let history: Vec<_> = config.history.iter().filter(|step| !step.empty_layer).collect();
        let mut layers = Vec::new();
        for one in inline {
            check(&one.keys, &one.lineage)?;
            let made = history.get(one.layer);
            let said = made.and_then(|step| step.created_by.as_deref()).unwrap_or_default();
            let Some(diff_id) = config.rootfs.diff_ids.get(one.layer).filter(|_| said == one.created_by) else {
                continue;
            };
            let created = made.and_then(|step| step.created.clone()).unwrap_or_default();
            layers.push(CachedLayer {
                diff_id: diff_id.clone(),
                keys: one.keys,
                lineage: one.lineage,
                created_by: one.created_by,
                created: if is_time(&created) { created } else { String::new() },
            });
        }
        Ok(Some(Self::new(layers)))
    }
}

/// Takes what an image says of its layers out of its configuration: on another image it would mean other layers.
pub fn strip(extra: &mut Extra) {
    extra.remove(FIELD);
}

/// Says in an image's configuration which steps made its layers.
pub fn write_inline(config: &mut ImageConfig, layers: &[InlineLayer]) {
    // Plain structs with string keys become JSON always.
    let value = serde_json::to_value(layers).unwrap_or_default();
    config.extra.insert(FIELD.to_owned(), value);
}

fn check(keys: &[String], lineage: &str) -> Result<(), String> {
    let is_key =
        |text: &str| !text.is_empty() && text.len() <= LONGEST_KEY && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut all = keys.iter().map(String::as_str).chain([lineage]);
    match all.find(|text| !is_key(text)) {
        None => Ok(()),
        Some(wrong) => Err(format!(
            "{:?} is no key of a step",
            wrong.chars().take(40).collect::<String>()
        )),
    }
}

/// RFC 3339 as far as it is seen: nothing but what a time is made of.
fn is_time(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_digit() || b"-:.+TZtz".contains(&byte);
    text.len() <= 40 && text.starts_with(|first: char| first.is_ascii_digit()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::image::History;

    const NOW: &str = "2026-01-01T00:00:00Z";

    fn layer(key: &str) -> CachedLayer {
        CachedLayer {
            diff_id: DiffId(Digest::sha256("x")),
            keys: vec![key.to_owned()],
            lineage: "ab12".to_owned(),
            created_by: "RUN true".to_owned(),
            created: NOW.to_owned(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let cache = BuildCache::new(vec![layer("12ab")]);
        assert_eq!(BuildCache::parse(&cache.to_bytes()), Ok(cache));
        for key in ["", "../../etc", "xyz", &"a".repeat(200)] {
            assert!(
                BuildCache::parse(&BuildCache::new(vec![layer(key)]).to_bytes()).is_err(),
                "{key}"
            );
        }
        let mut wrong = layer("12");
        wrong.created = "\u{1b}[2J".to_owned();
        assert!(BuildCache::parse(&BuildCache::new(vec![wrong]).to_bytes()).is_err());
        assert!(
            BuildCache::parse(br#"{"version":2,"layers":[]}"#)
                .unwrap_err()
                .contains("version 2")
        );
    }

    #[test]
    fn what_anybody_could_have_written_into_an_image_is_checked() {
        let of_image = |key: &str, lineage: &str, created: &str| {
            let mut config = ImageConfig::default();
            config.rootfs.diff_ids = vec![DiffId(Digest::sha256("a"))];
            config.history = vec![History {
                created: Some(created.to_owned()),
                created_by: Some("RUN a".to_owned()),
                ..History::default()
            }];
            let inline = InlineLayer {
                layer: 0,
                keys: vec![key.to_owned()],
                lineage: lineage.to_owned(),
                created_by: "RUN a".to_owned(),
            };
            write_inline(&mut config, &[inline]);
            BuildCache::of_image(&config).map(|cache| cache.expect("a cache").layers.remove(0).created)
        };
        assert_eq!(of_image("12", "ab", NOW), Ok(NOW.to_owned()));
        assert_eq!(of_image("12", "ab", "1 \u{1b}[2J"), Ok(String::new()));
        assert!(of_image("../../names/x", "ab", NOW).is_err());
        assert!(of_image("12", "../ab", NOW).is_err());
    }

    #[test]
    fn keys_and_times_have_a_greatest_length() {
        assert!(check(&["a".repeat(LONGEST_KEY)], "1").is_ok());
        assert!(check(&["a".repeat(LONGEST_KEY + 1)], "1").is_err());
        for time in ["2026-01-01T00:00:00Z", &"1".repeat(40)] {
            assert!(is_time(time), "{time}");
        }
        for text in ["", "Z", "2026-01-01\n", "1 day", &"1".repeat(41)] {
            assert!(!is_time(text), "{text}");
        }
        let long = CachedLayer {
            created_by: "é".repeat(LONGEST + 1),
            ..layer("12")
        };
        assert_eq!(BuildCache::new(vec![long]).layers[0].created_by, "é".repeat(LONGEST));
    }

    #[test]
    fn an_image_that_was_changed_says_nothing_of_other_layers() {
        let mut config = ImageConfig::default();
        config.rootfs.diff_ids = vec![DiffId(Digest::sha256("a")), DiffId(Digest::sha256("b"))];
        let step = |by: &str| History {
            created_by: Some(by.to_owned()),
            ..History::default()
        };
        config.history = vec![step("COPY a"), step("RUN b")];
        let inline = |layer, by: &str| InlineLayer {
            layer,
            keys: vec!["12".to_owned()],
            lineage: "12".to_owned(),
            created_by: by.to_owned(),
        };
        write_inline(
            &mut config,
            &[inline(1, "RUN b"), inline(0, "RUN b"), inline(7, "RUN b")],
        );
        let found = BuildCache::of_image(&config).unwrap().unwrap();
        assert_eq!(found.layers.len(), 1);
        assert_eq!(found.layers[0].diff_id, config.rootfs.diff_ids[1]);
        strip(&mut config.extra);
        assert_eq!(BuildCache::of_image(&config), Ok(None));
    }
}
