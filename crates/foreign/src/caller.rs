//! Whose stores are looked at: the user, their home, their environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The variables that say where a store lies.
const VARIABLES: [&str; 11] = [
    "CONTAINERS_REGISTRIES_CONF",
    "CONTAINERS_STORAGE_CONF",
    "DOCKER_CONFIG",
    "HOME",
    "STORAGE_DRIVER",
    "STORAGE_OPTS",
    "UID",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
];

/// Who asks for an image.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The user's id outside of any namespace that was entered for them: 0 has the system's stores, others their own.
    pub uid: u32,
    /// Environment variables that name directories or drivers.
    pub variables: BTreeMap<String, OsString>,
    /// What stands before `/etc`, `/usr/share` and `/var/lib`: empty but in tests.
    pub system: PathBuf,
}

impl Caller {
    /// The user of this process. To be taken *before* the process enters a user namespace: inside, everybody is root.
    pub fn current() -> Self {
        let variables = VARIABLES
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::env::var_os(name)?)))
            .collect();
        Self {
            uid: rustix::process::geteuid().as_raw(),
            variables,
            system: PathBuf::new(),
        }
    }

    pub(crate) fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// A variable that is set to something.
    pub(crate) fn variable(&self, name: &str) -> Option<&OsString> {
        self.variables.get(name).filter(|value| !value.is_empty())
    }

    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.variable(name).map(PathBuf::from)
    }

    /// A directory of the XDG base directory specification: the variable, or its default below the home directory.
    pub(crate) fn xdg(&self, variable: &str, default: &str) -> Option<PathBuf> {
        self.path(variable)
            .filter(|path| path.is_absolute())
            .or_else(|| Some(self.path("HOME")?.join(default)))
    }

    /// A path of the system.
    pub(crate) fn system_path(&self, path: &str) -> PathBuf {
        if self.system.as_os_str().is_empty() {
            return PathBuf::from(path);
        }
        self.system.join(path.trim_start_matches('/'))
    }

    /// Replaces `$UID`, `$HOME` and the like in a path of a configuration file.
    pub(crate) fn expand(&self, path: &str) -> PathBuf {
        let mut expanded = String::new();
        let mut rest = path;
        while let Some(at) = rest.find('$') {
            expanded.push_str(&rest[..at]);
            let (name, after) = variable_name(&rest[at + 1..]);
            if name == "UID" {
                expanded.push_str(&self.uid.to_string());
            } else if let Some(value) = self.variable(name) {
                expanded.push_str(&value.to_string_lossy());
            }
            rest = after;
        }
        expanded.push_str(rest);
        Path::new(&expanded).components().collect()
    }
}

/// The name at the beginning of what follows a dollar sign (`NAME` or `{NAME}`), and what follows it.
fn variable_name(text: &str) -> (&str, &str) {
    if let Some((name, after)) = text.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
        return (name, after);
    }
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_in_paths() {
        let caller = Caller {
            uid: 7,
            variables: BTreeMap::from([("HOME".to_owned(), "/h".into())]),
            system: PathBuf::new(),
        };
        for (path, expected) in [
            ("/a/$UID/b", "/a/7/b"),
            ("$HOME/x", "/h/x"),
            ("${HOME}x/$UNKNOWN/y/", "/hx/y"),
            ("/plain", "/plain"),
        ] {
            assert_eq!(caller.expand(path), Path::new(expected), "{path}");
        }
    }
}
