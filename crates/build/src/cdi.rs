//! Devices that vendors describe: the Container Device Interface (cncf-tags/container-device-interface, SPEC.md), as far as a step
//! of a build needs it: device nodes, mounts and variables.
//!
//! Specifications are read in JSON. Those in YAML, and devices that ask for hooks or other changes of the container, are
//! refused when they are asked for: a device that is there by half fails somewhere else.

use crate::error::{Error, IoExt, Result};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wiac_oci::runtime::Mount;

/// Where specifications are: the last counts where several describe a device.
const DIRECTORIES: [&str; 3] = ["/etc/cdi", "/var/run/cdi", "/etc/buildkit/cdi"];

/// For tests: another directory instead of these.
const OTHER_DIRECTORY: &str = "WIAC_CDI_DIRECTORY";

/// A further name that devices are asked for by (BuildKit's docs/cdi.md).
const CLASS: &str = "org.mobyproject.buildkit.device.class";

/// Whether a device needs no `--allow` (the same).
const AUTO_ALLOW: &str = "org.mobyproject.buildkit.device.autoallow";

/// Devices by their whole names, `vendor.example/class=name`.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    devices: BTreeMap<String, Device>,
    /// Specifications that can't be read.
    unread: Vec<PathBuf>,
}

/// A device, with what all of its specification need.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) name: String,
    annotations: BTreeMap<String, String>,
    edits: Vec<Edits>,
}

#[derive(Debug, Deserialize)]
struct Specification {
    kind: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    devices: Vec<Described>,
    #[serde(default, rename = "containerEdits")]
    edits: Edits,
}

#[derive(Debug, Deserialize)]
struct Described {
    name: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default, rename = "containerEdits")]
    edits: Edits,
}

/// What becomes of the container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Edits {
    #[serde(default)]
    env: Vec<String>,
    #[serde(default)]
    device_nodes: Vec<Node>,
    #[serde(default)]
    mounts: Vec<Bound>,
    /// Hooks, groups, network devices and whatever comes later.
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    path: String,
    host_path: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bound {
    host_path: String,
    container_path: String,
    #[serde(default)]
    options: Vec<String>,
}

impl Registry {
    /// Reads what this machine has.
    ///
    /// # Errors
    /// A specification that isn't one, or can't be read.
    pub(crate) fn read() -> Result<Self> {
        match std::env::var_os(OTHER_DIRECTORY) {
            Some(directory) => Self::of([Path::new(&directory)]),
            None => Self::of(DIRECTORIES.map(Path::new)),
        }
    }

    fn of<'d>(directories: impl IntoIterator<Item = &'d Path>) -> Result<Self> {
        let mut registry = Self::default();
        for directory in directories {
            let entries = match std::fs::read_dir(directory) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                result => result.on("read", directory)?,
            };
            let paths: std::io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
            let mut paths = paths.on("read", directory)?;
            paths.sort();
            for path in paths {
                registry.add(path)?;
            }
        }
        Ok(registry)
    }

    fn add(&mut self, path: PathBuf) -> Result<()> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => {}
            Some("yaml" | "yml") => {
                self.unread.push(path);
                return Ok(());
            }
            _ => return Ok(()),
        }
        let text = std::fs::read(&path).on("read", &path)?;
        let specification: Specification = serde_json::from_slice(&text)
            .map_err(|error| Error::wrong(format!("{}: no CDI specification: {error}", path.display())))?;
        for described in specification.devices {
            let mut annotations = specification.annotations.clone();
            annotations.extend(described.annotations);
            let device = Device {
                name: format!("{}={}", specification.kind, described.name),
                annotations,
                edits: vec![specification.edits.clone(), described.edits],
            };
            self.devices.insert(device.name.clone(), device);
        }
        Ok(())
    }

    /// The devices that `name` means, as BuildKit finds them: `kind=name`, `kind=*` for all of a kind, `kind` for the first of
    /// it, or else the class that devices say they are of.
    pub(crate) fn find(&self, name: &str) -> Vec<&Device> {
        let (kind, one) = name.split_once('=').unwrap_or((name, ""));
        let of_kind = || {
            let all = self.devices.values();
            all.filter(|device| device.name.split_once('=').is_some_and(|(its, _)| its == kind))
        };
        let found: Vec<&Device> = match one {
            "" => of_kind().take(1).collect(),
            "*" => of_kind().collect(),
            _ => self.devices.get(name).into_iter().collect(),
        };
        if !found.is_empty() {
            return found;
        }
        let is_of_class = |device: &&Device| device.annotations.get(CLASS).is_some_and(|class| class == name);
        self.devices.values().filter(is_of_class).collect()
    }

    /// What to do where a device isn't there.
    pub(crate) fn hint(&self) -> String {
        let unread: Vec<String> = self.unread.iter().map(|path| path.display().to_string()).collect();
        if unread.is_empty() {
            return format!("a CDI specification in {} describes devices", DIRECTORIES.join(", "));
        }
        format!(
            "CDI specifications are read in JSON, and {} is not: make it anew so (nvidia-ctk cdi generate --format=json)",
            unread.join(", ")
        )
    }
}

impl Device {
    /// Whether it needs no leave.
    pub(crate) fn is_free(&self) -> bool {
        matches!(
            self.annotations.get(AUTO_ALLOW).map(String::as_str),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True")
        )
    }

    /// Everything that counts for the result of a step.
    pub(crate) fn described(&self) -> String {
        format!("{} {:?}", self.name, self.edits)
    }

    /// Its variables.
    pub(crate) fn environment(&self) -> impl Iterator<Item = &String> {
        self.edits.iter().flat_map(|edits| &edits.env)
    }

    /// What is bound into the container: device nodes as the host's own, and other files.
    ///
    /// # Errors
    /// It asks for more than that.
    pub(crate) fn mounts(&self) -> Result<Vec<Mount>> {
        let mut mounts = Vec::new();
        for edits in &self.edits {
            if let Some(what) = edits.others.keys().next() {
                return Err(Error::wrong_with_hint(
                    format!("device {}: its CDI specification asks for {what}", self.name),
                    "wiac gives device nodes, mounts and env, and nothing else; describe the device by these",
                ));
            }
            let nodes = edits.device_nodes.iter();
            mounts
                .extend(nodes.map(|node| Mount::bind(node.host_path.as_ref().unwrap_or(&node.path), &node.path, &[])));
            mounts.extend(edits.mounts.iter().map(|bound| {
                let options: Vec<&str> = bound.options.iter().map(String::as_str).collect();
                Mount::bind(&bound.host_path, &bound.container_path, &options)
            }));
        }
        Ok(mounts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECIFICATION: &str = r#"{"cdiVersion": "0.6.0", "kind": "example.com/dice",
        "annotations": {"org.mobyproject.buildkit.device.class": "random"},
        "containerEdits": {"env": ["DICE=all"]},
        "devices": [
            {"name": "b", "containerEdits": {"deviceNodes": [{"path": "/dev/dice", "hostPath": "/dev/urandom"}]}},
            {"name": "a", "annotations": {"org.mobyproject.buildkit.device.autoallow": "true"},
             "containerEdits": {"mounts": [{"hostPath": "/etc", "containerPath": "/e", "options": ["ro"]}]}},
            {"name": "c", "containerEdits": {"hooks": [{"hookName": "createContainer", "path": "/bin/true"}]}}]}"#;

    fn registry() -> Registry {
        let directory = tempfile::tempdir().expect("tempdir");
        std::fs::write(directory.path().join("dice.json"), SPECIFICATION).expect("written");
        std::fs::write(directory.path().join("gpu.yaml"), "kind: nvidia.com/gpu\n").expect("written");
        Registry::of([directory.path(), Path::new("/nowhere")]).expect("read")
    }

    #[test]
    fn devices_are_found_by_name_kind_and_class() {
        let registry = registry();
        let names = |asked: &str| -> Vec<String> {
            let found = registry.find(asked).into_iter();
            found
                .map(|device| device.name.rsplit('=').next().unwrap_or_default().to_owned())
                .collect()
        };
        assert_eq!(names("example.com/dice=b"), ["b"]);
        assert_eq!(names("example.com/dice"), ["a"]);
        assert_eq!(names("example.com/dice=*"), ["a", "b", "c"]);
        assert_eq!(names("random"), ["a", "b", "c"]);
        assert!(names("example.com/dice=z").is_empty() && names("nvidia.com/gpu").is_empty());
        assert!(registry.hint().contains("gpu.yaml"));
    }

    #[test]
    fn a_device_says_what_it_needs() {
        let registry = registry();
        let one = |name: &str| registry.find(name)[0].clone();
        let dice = one("example.com/dice=b");
        assert!(!dice.is_free() && one("example.com/dice=a").is_free());
        assert_eq!(dice.environment().collect::<Vec<_>>(), ["DICE=all"]);
        assert_eq!(
            dice.mounts().expect("known"),
            [Mount::bind("/dev/urandom", "/dev/dice", &[])]
        );
        let refused = one("example.com/dice=c").mounts().expect_err("hooks").to_string();
        assert!(refused.contains("hooks"), "{refused}");
    }
}
