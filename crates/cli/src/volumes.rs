//! `-v HOST:CONTAINER[:OPTIONS]`.

use crate::error::{Failure, words};
use std::path::Path;
use wiac_oci::runtime::Mount;

/// The mount that a `-v` asks for. As in docker, a missing directory on the host is made.
pub(crate) fn parse(text: &str) -> Result<Mount, Failure> {
    let mut parts = text.splitn(3, ':');
    let (Some(source), Some(destination)) = (parts.next(), parts.next()) else {
        return Err(Failure::usage(format!(
            "-v {text}: named and anonymous volumes aren't there yet; write HOSTDIR:CONTAINERDIR[:ro]"
        )));
    };
    if !(source.starts_with('/') || source.starts_with('.')) {
        return Err(Failure::usage(format!(
            "-v {text}: named volumes aren't there yet; a directory of the host begins with / or ./"
        )));
    }
    if !destination.starts_with('/') {
        return Err(Failure::usage(format!(
            "-v {text}: the path in the container must begin with /"
        )));
    }
    let options: Vec<&str> = parts
        .next()
        .map(|options| options.split(',').collect())
        .unwrap_or_default();
    if let Some(unknown) = options.iter().find(|option| !is_known(option)) {
        return Err(Failure::usage(format!("-v {text}: unknown option {unknown:?}")));
    }
    let source = crate::environment::absolute(source)?;
    make_missing(&source)?;
    let text = source.to_str().ok_or_else(|| {
        let shown = source.display();
        Failure::usage(format!(
            "-v {shown}: the path isn't text in UTF-8, which a configuration needs"
        ))
    })?;
    Ok(Mount::bind(text, destination, &options))
}

fn is_known(option: &&str) -> bool {
    matches!(
        *option,
        "ro" | "rw" | "z" | "Z" | "rprivate" | "private" | "nosuid" | "nodev" | "noexec" | "bind" | "rbind"
    )
}

fn make_missing(source: &Path) -> Result<(), Failure> {
    if source.symlink_metadata().is_err() {
        std::fs::create_dir_all(source).map_err(|error| {
            Failure::usage(format!(
                "can't make the volume's directory {}: {}",
                source.display(),
                words(&error)
            ))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes() {
        let mount = parse("/tmp:/data:ro").expect("a volume");
        assert_eq!(
            (mount.source.as_deref(), mount.destination.as_str()),
            (Some("/tmp"), "/data")
        );
        assert!(mount.options.iter().any(|option| option == "ro"));
        for wrong in ["data:/data", "/data", "/tmp:data", "/tmp:/data:fast"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
