//! Names of images in other tools' stores, as skopeo writes them (containers-transports(5)).
//!
//! `containers-storage:[driver@root+run:options]NAME` and, in the same manner, `docker-storage:[root]NAME`.

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Whose store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `containers-storage:`, of podman, buildah and CRI-O.
    Containers,
    /// `docker-storage:`, of docker and containerd.
    Docker,
}

impl Kind {
    /// What stands before the name.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Containers => "containers-storage:",
            Self::Docker => "docker-storage:",
        }
    }
}

/// Which store, where it isn't the caller's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Location {
    /// The storage driver: `overlay`; for containerd its namespace: `moby`.
    pub driver: Option<String>,
    /// The graph root, or docker's data root.
    pub root: Option<PathBuf>,
    /// The directory of what lasts until the next boot.
    pub run_root: Option<PathBuf>,
    /// Options of the driver, such as `overlay.imagestore=DIR`.
    pub options: Vec<String>,
}

/// A name in another tool's store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Whose store.
    pub kind: Kind,
    /// Which store.
    pub location: Location,
    /// A name, or an id or its beginning, as that tool takes it.
    pub name: String,
}

/// Recognises a name of another tool's store; `None` where the text is none.
///
/// # Errors
/// Where the text begins as one but what follows can't be understood.
pub fn parse(text: &str) -> Option<Result<Reference>> {
    [Kind::Containers, Kind::Docker].into_iter().find_map(|kind| {
        let rest = text.strip_prefix(kind.prefix())?;
        let parsed = parse_rest(kind, rest).map_err(|reason| Error::Name {
            text: text.to_owned(),
            reason,
        });
        Some(parsed)
    })
}

fn parse_rest(kind: Kind, rest: &str) -> Result<Reference, String> {
    let (location, name) = match rest.strip_prefix('[') {
        None => (Location::default(), rest),
        Some(inner) => {
            let (store, name) = inner
                .split_once(']')
                .ok_or("the bracket before the store isn't closed")?;
            (parse_store(store)?, name)
        }
    };
    if name.is_empty() {
        let prefix = kind.prefix();
        return Err(format!("an image's name or id belongs behind {prefix}"));
    }
    Ok(Reference {
        kind,
        location,
        name: name.to_owned(),
    })
}

/// What stands in the brackets: `driver@root+run:options`, most of which may be left out.
fn parse_store(store: &str) -> Result<Location, String> {
    let (driver, rest) = match store.split_once('@') {
        Some(("", _)) => return Err("the driver before @ is empty".to_owned()),
        Some((driver, rest)) => (Some(driver.to_owned()), rest),
        None => (None, store),
    };
    let (paths, options) = rest.split_once(':').unwrap_or((rest, ""));
    let (root, run_root) = paths.split_once('+').unwrap_or((paths, ""));
    Ok(Location {
        driver,
        root: absolute(root)?,
        run_root: absolute(run_root)?,
        options: options
            .split(',')
            .filter(|option| !option.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

fn absolute(path: &str) -> Result<Option<PathBuf>, String> {
    if path.is_empty() {
        return Ok(None);
    }
    if !Path::new(path).is_absolute() {
        return Err(format!("the store's directory {path:?} must be an absolute path"));
    }
    Ok(Some(PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(text: &str) -> Reference {
        parse(text).unwrap().unwrap()
    }

    #[test]
    fn other_names_are_none() {
        for text in [
            "alpine",
            "docker.io/alpine",
            "containers-storage",
            "docker://alpine",
            "",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_plain_name() {
        let reference = good("containers-storage:localhost/x:1");
        assert_eq!(reference.kind, Kind::Containers);
        assert_eq!(reference.name, "localhost/x:1");
        assert_eq!(reference.location, Location::default());
        assert_eq!(good("docker-storage:alpine").kind, Kind::Docker);
    }

    #[test]
    fn a_store_in_brackets() {
        let reference = good("containers-storage:[overlay@/a/b+/run/c:x=1,y=2]alpine:3@sha256:00");
        assert_eq!(reference.name, "alpine:3@sha256:00");
        assert_eq!(
            reference.location,
            Location {
                driver: Some("overlay".to_owned()),
                root: Some("/a/b".into()),
                run_root: Some("/run/c".into()),
                options: vec!["x=1".to_owned(), "y=2".to_owned()],
            }
        );
        let root = good("docker-storage:[/d]x").location;
        assert_eq!((root.driver, root.root), (None, Some("/d".into())));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, word) in [
            ("containers-storage:", "belongs behind"),
            ("docker-storage:[/d]", "belongs behind"),
            ("containers-storage:[/d", "closed"),
            ("containers-storage:[@/d]x", "driver"),
            ("containers-storage:[a/b]x", "absolute"),
            ("containers-storage:[/a+b]x", "absolute"),
        ] {
            let message = parse(text).unwrap().unwrap_err().to_string();
            assert!(message.contains(word), "{text}: {message}");
        }
    }
}
