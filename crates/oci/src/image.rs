//! The image configuration: what an image says about the containers made from it.
//!
//! Image specification: config.md; docker's extensions (Healthcheck, OnBuild, Shell, …) are fields of their own.
//! Fields without a name here are kept. Top-level fields are written in docker's (alphabetical) order.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Extra;
use crate::digest::DiffId;
use crate::lenient::{is_false, null_default, object_set};

/// The image JSON (image-spec, config.md).
///
/// Reading tolerates `null` where a list or map belongs; what was read is written back the same way each time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// CPU architecture, by Go's name: `amd64`, `arm64`.
    pub architecture: String,
    /// Who made the image.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// Defaults for containers made from the image.
    #[serde(deserialize_with = "null_default")]
    pub config: ContainerConfig,
    /// When it was made, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// What made each layer, base first; steps without a layer included.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    /// Operating system, by Go's name.
    pub os: String,
    /// Features of the operating system that the image needs (Windows).
    #[serde(
        rename = "os.features",
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    /// Version of the operating system (Windows).
    #[serde(rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// The layers, by the hashes of their tars.
    #[serde(deserialize_with = "null_default")]
    pub rootfs: RootFs,
    /// Variant of the CPU: `v7`, `v8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Fields without a name here (`docker_version`, `container_config`, `moby.buildkit.…`).
    #[serde(flatten)]
    pub extra: Extra,
}

impl ImageConfig {
    /// Reads an image configuration.
    ///
    /// # Errors
    /// What serde says of text that isn't one, with line and column.
    pub fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// The bytes that stand for this configuration, compact: their hash is the `ImageId`.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an image configuration has string keys only")
    }

    /// Makes the history tell of exactly `layers` layers, as `BuildKit` does before it adds a step: tools such as Nix and
    /// Bazel write none, and the next step would be taken for that of a layer below. Steps that say nothing are added at
    /// the end; where there are too many, the first ones count as having made no layer.
    pub fn fit_history(&mut self, layers: usize) {
        let told = self.history.iter().filter(|step| !step.empty_layer).count();
        let excess = self.history.iter_mut().filter(|step| !step.empty_layer);
        for step in excess.take(told.saturating_sub(layers)) {
            step.empty_layer = true;
        }
        let missing = layers.saturating_sub(told);
        self.history
            .extend(std::iter::repeat_with(History::default).take(missing));
    }
}

/// Defaults for a container (image-spec, config.md, "config"; names as docker writes them).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// `user`, `user:group`, `uid:gid` and mixtures; empty for root. See [`crate::user`].
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Ports as `80/tcp`, for information.
    #[serde(with = "object_set", skip_serializing_if = "BTreeSet::is_empty")]
    pub exposed_ports: BTreeSet<String>,
    /// Variables as `NAME=value`, in order.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The program and its fixed arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Default arguments to the entrypoint, or the command where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// How to find out whether the container still works (docker).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Directories that hold data of their own.
    #[serde(with = "object_set", skip_serializing_if = "BTreeSet::is_empty")]
    pub volumes: BTreeSet<String>,
    /// The working directory; empty for `/`.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Instructions for builds on top of the image (docker); written as `null` by docker, left out by us.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    /// Labels.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the container to end: `SIGTERM`, `15`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Seconds between the stop signal and SIGKILL (docker).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// The shell of RUN, CMD and ENTRYPOINT in their shell form (docker).
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
    /// The command is one line already escaped (Windows; docker).
    #[serde(deserialize_with = "null_default", skip_serializing_if = "is_false")]
    pub args_escaped: bool,
    /// Fields without a name here (`Hostname`, `Tty`, `Image`, …).
    #[serde(flatten)]
    pub extra: Extra,
}

/// docker's health check; times are in nanoseconds, 0 means "inherit".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", line]`; empty to inherit.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Time between checks.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// How long a check may take.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// Time after the start in which failures don't count.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Time between checks during the start period.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row that make the container unhealthy.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "is_zero")]
    pub retries: i64,
    /// Fields without a name here.
    #[serde(flatten)]
    pub extra: Extra,
}

// Serde hands a reference to whatever `skip_serializing_if` names.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// The layers of an image (image-spec, config.md, "rootfs").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The hashes of the layers' tars, base first.
    #[serde(deserialize_with = "null_default")]
    pub diff_ids: Vec<DiffId>,
    /// Fields without a name here.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Default for RootFs {
    fn default() -> Self {
        Self {
            kind: "layers".to_owned(),
            diff_ids: Vec::new(),
            extra: Extra::new(),
        }
    }
}

/// One step of an image's making (image-spec, config.md, "history").
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// When, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By which command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// A note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// True for a step that made no layer.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "is_false")]
    pub empty_layer: bool,
    /// Fields without a name here.
    #[serde(flatten)]
    pub extra: Extra,
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const DOCKER: &str = r#"{
        "architecture": "amd64", "os": "linux", "docker_version": "20.10", "created": "2024-01-01T00:00:00Z",
        "variant": "v1", "os.version": "10", "author": "a",
        "config": {
            "Hostname": "", "Tty": false, "User": "www", "ExposedPorts": {"80/tcp": {}}, "Env": ["A=1", "B=2"],
            "Cmd": null, "Entrypoint": ["/x"], "Volumes": null, "WorkingDir": "/w", "OnBuild": null,
            "Labels": null, "ArgsEscaped": true, "StopSignal": "SIGQUIT", "Shell": ["/bin/sh", "-c"],
            "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 5000000000, "Retries": 3}
        },
        "rootfs": {"type": "layers", "diff_ids": ["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},
        "history": [{"created_by": "ADD"}, {"created_by": "CMD", "empty_layer": true}],
        "moby.buildkit.cache.v0": "Zm9v"
    }"#;

    /// Drops what is equal to a missing field: null.
    fn without_null(value: Value) -> Value {
        match value {
            Value::Object(map) => Value::Object(
                map.into_iter()
                    .filter(|(_, v)| !v.is_null())
                    .map(|(k, v)| (k, without_null(v)))
                    .collect(),
            ),
            other => other,
        }
    }

    #[test]
    fn reads_docker_and_loses_nothing() {
        let config = ImageConfig::parse(DOCKER.as_bytes()).unwrap();
        assert_eq!(config.config.entrypoint.as_deref(), Some(&["/x".to_owned()][..]));
        assert_eq!(config.config.cmd, None);
        assert!(config.config.exposed_ports.contains("80/tcp"));
        assert_eq!(config.config.healthcheck.as_ref().unwrap().retries, 3);
        assert!(config.history[1].empty_layer);
        assert_eq!(config.extra["docker_version"], "20.10");
        let written: Value = serde_json::from_slice(&config.to_bytes()).unwrap();
        assert_eq!(
            without_null(written),
            without_null(serde_json::from_str(DOCKER).unwrap())
        );
    }

    #[test]
    fn a_history_fits_its_layers() {
        let step = |by: &str, empty_layer| History {
            created_by: Some(by.to_owned()),
            empty_layer,
            ..History::default()
        };
        let fitted = |history: &[History], layers| {
            let mut config = ImageConfig {
                history: history.to_vec(),
                ..ImageConfig::default()
            };
            config.fit_history(layers);
            config.history
        };
        let two = [step("a", false), step("b", true), step("c", false)];
        assert_eq!(fitted(&two, 2), two);
        assert_eq!(fitted(&[], 2), [History::default(), History::default()]);
        assert_eq!(fitted(&two, 3)[..3], two);
        assert_eq!(fitted(&two, 3).len(), 4);
        assert_eq!(fitted(&two, 1), [step("a", true), step("b", true), step("c", false)]);
    }

    #[test]
    fn writing_is_stable() {
        let once = ImageConfig::parse(DOCKER.as_bytes()).unwrap().to_bytes();
        let twice = ImageConfig::parse(&once).unwrap().to_bytes();
        assert_eq!(once, twice);
    }

    #[test]
    fn an_empty_document_is_an_image_without_layers() {
        let config = ImageConfig::parse(b"{}").unwrap();
        assert_eq!(config, ImageConfig::default());
        assert_eq!(config.rootfs.kind, "layers");
        assert_eq!(
            ImageConfig::parse(br#"{"rootfs":null,"config":null,"history":null}"#).unwrap(),
            config
        );
    }

    #[test]
    fn an_empty_entrypoint_is_not_a_missing_one() {
        let config = ImageConfig::parse(br#"{"config":{"Entrypoint":[],"Cmd":[]}}"#).unwrap();
        assert_eq!(config.config.entrypoint, Some(vec![]));
        assert!(
            String::from_utf8(config.to_bytes())
                .unwrap()
                .contains(r#""Entrypoint":[],"Cmd":[]"#)
        );
    }
}
