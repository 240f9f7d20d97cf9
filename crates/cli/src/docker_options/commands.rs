//! Commands of docker and podman that wiac has under another name, or not yet.

use crate::error::Failure;

/// What there is instead.
const OTHERWISE: [(&str, &str); 26] = [
    ("artifact", "wiac transfer and wiac referrers"),
    ("builder", "wiac cache and wiac prune --cache"),
    ("buildx", "wiac build and wiac cache"),
    ("bud", "wiac build"),
    ("container", "wiac run, commit and export"),
    (
        "cp",
        "wiac copy, into a layer directory; for what is in an image: wiac export IMAGE | tar -x PATH",
    ),
    (
        "create",
        "wiac run; for what is in an image: wiac export IMAGE | tar -x PATH, or wiac build -o DIRECTORY",
    ),
    ("diff", "the directory diff of a container layer"),
    (
        "image",
        "wiac images, inspect, history, layers (podman's tree), tag, rmi, save, load and prune",
    ),
    ("info", "wiac df and wiac --version"),
    ("ls", "wiac images"),
    ("mount", "wiac layers, which shows the directories"),
    ("registry", "wiac login, tags and search"),
    ("rm", "rm -r of a container layer; a container of an image leaves none"),
    ("start", "wiac run with the same container layer"),
    ("restart", "wiac run with the same container layer"),
    ("system", "wiac df, wiac prune and wiac store check"),
    ("top", "ps(1), as for any process"),
    ("ps", "ps(1): a container runs as long as its wiac run"),
    ("stop", "kill(1), which wiac run passes on"),
    ("kill", "kill(1), which wiac run passes on"),
    ("version", "wiac --version"),
    ("from", "FROM in a Dockerfile, and wiac build"),
    ("add", "ADD in a Dockerfile, or wiac copy, into a layer directory"),
    ("umount", "nothing: a container's mounts end with it"),
    ("unmount", "nothing: a container's mounts end with it"),
];

/// What isn't there.
const NOT_YET: [&str; 34] = [
    "attach",
    "auto-update",
    "checkpoint",
    "compose",
    "config",
    "context",
    "events",
    "exec",
    "generate",
    "healthcheck",
    "init",
    "kube",
    "logs",
    "machine",
    "network",
    "node",
    "pause",
    "play",
    "plugin",
    "pod",
    "port",
    "quadlet",
    "rename",
    "secret",
    "service",
    "stack",
    "stats",
    "swarm",
    "trust",
    "unpause",
    "unshare",
    "update",
    "volume",
    "wait",
];

/// What to say of a word that is no command of ours, if it is one of theirs.
pub(super) fn elsewhere(name: &str) -> Option<Failure> {
    if let Some((_, ours)) = OTHERWISE.iter().find(|(theirs, _)| *theirs == name) {
        return Some(Failure::usage(format!("there is no command {name}: use {ours}")));
    }
    NOT_YET.contains(&name).then(|| {
        Failure::usage(format!(
            "{name} isn't there yet: docker or podman has it, wiac doesn't so far"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::table::COMMANDS;

    #[test]
    fn what_is_there_is_not_said_to_be_elsewhere() {
        for entry in &COMMANDS {
            assert!(elsewhere(entry.name).is_none(), "{}", entry.name);
        }
        assert!(elsewhere("ps").is_some_and(|said| said.to_string().contains("ps(1)")));
        assert!(elsewhere("exec").is_some_and(|said| said.to_string().contains("isn't there yet")));
        assert!(elsewhere("rnu").is_none());
    }
}
