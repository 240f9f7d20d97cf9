//! Where images are, as skopeo, podman and buildah write it (containers-transports(5)): what stands before the first colon
//! is known here alone.

use crate::data::Data;
use crate::error::Failure;
use std::path::Path;
use wiac_foreign::Kind;
use wiac_oci::manifest::Platform;
use wiac_oci::reference::Reference;
use wiac_store::transfer::{Archive, Format, Incoming, Loaded, load};

/// A place where images are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place<'t> {
    /// A registry.
    Registry(&'t str),
    /// An image layout or an archive.
    File(Inside<'t>),
    /// A name of the store, or of another tool's.
    Name(&'t str),
}

/// An image in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inside<'t> {
    /// As it was written.
    pub(crate) text: &'t str,
    /// What is written there; what is read is told by its content.
    pub(crate) format: Format,
    /// The directory or file.
    pub(crate) path: &'t Path,
    /// What it is called in it.
    pub(crate) called: Option<&'t str>,
}

/// What stands before the path of files.
const FILES: [(&str, Format); 4] = [
    ("oci:", Format::OciDirectory),
    ("dir:", Format::OciDirectory),
    ("oci-archive:", Format::OciArchive),
    ("docker-archive:", Format::DockerArchive),
];

/// What a text names.
pub(crate) fn parse(text: &str) -> Place<'_> {
    if let Some(inside) = inside(text) {
        return Place::File(inside);
    }
    match text.strip_prefix("docker://") {
        Some(name) => Place::Registry(name),
        None => Place::Name(text),
    }
}

/// The image in files that a text names.
pub(crate) fn inside(text: &str) -> Option<Inside<'_>> {
    let (path, format) = FILES
        .iter()
        .find_map(|(prefix, format)| Some((text.strip_prefix(prefix)?, *format)))?;
    // A colon may be part of a path that is there.
    let mut colons = path.match_indices(':').map(|(at, _)| at);
    let first = colons.clone().next().filter(|_| !Path::new(path).exists());
    let is_there = |at: &usize| Path::new(&path[..*at]).exists();
    let (path, called) = match first.map(|first| colons.find(is_there).unwrap_or(first)) {
        Some(at) => (&path[..at], Some(&path[at + 1..]).filter(|called| !called.is_empty())),
        None => (path, None),
    };
    Some(Inside {
        text,
        format,
        path: Path::new(path),
        called,
    })
}

/// Says what to write in the place of those that aren't there.
///
/// # Errors
/// That, for one of them.
pub(crate) fn refuse_unknown(text: &str, is_source: bool) -> Result<(), Failure> {
    let remedy = match text.split_once(':').map_or("", |(transport, _)| transport) {
        "docker-daemon" if is_source => "docker-storage:NAME reads its images where they lie",
        "docker-daemon" => "write docker-archive:FILE, and let docker load it",
        "dir" if !is_source => "write an image layout: oci:DIR",
        "ostree" | "sif" | "tarball" | "atomic" => "wiac transfer --help lists the places there are",
        _ => return Ok(()),
    };
    Err(Failure::usage(format!("{text}: there is no such place here; {remedy}")))
}

/// The same for docker's images as skopeo names them, wherever an image may be named: others may be names of docker.io's.
///
/// # Errors
/// That, for one of them.
pub(crate) fn refuse_daemon(text: &str) -> Result<(), Failure> {
    if text.starts_with("docker-daemon:") {
        return refuse_unknown(text, true);
    }
    Ok(())
}

/// What somebody wants of another tool's store, where wiac never writes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    /// That an image goes.
    Delete,
    /// That a name goes.
    Untag,
    /// That an image comes.
    Add,
}

/// Says which command of the tool does it.
///
/// # Errors
/// That, for a name in another tool's store.
pub(crate) fn refuse_other_tools(text: &str, change: Change) -> Result<(), Failure> {
    let Some(reference) = wiac_foreign::parse(text) else {
        return Ok(());
    };
    let reference = reference?;
    let root = match (reference.kind, &reference.location.root) {
        (Kind::Containers, Some(root)) => format!(" --root {}", root.display()),
        _ => String::new(),
    };
    let (tool, untag) = match reference.kind {
        Kind::Containers => (format!("podman{root}"), "untag"),
        Kind::Docker => ("docker".to_owned(), "rmi"),
    };
    let name = &reference.name;
    let how = match change {
        Change::Delete => format!("{tool} rmi {name} deletes it"),
        Change::Untag => format!("{tool} {untag} {name} takes the name away"),
        Change::Add => {
            format!("give the image a name of wiac's own, and let that tool load it: wiac save NAME | {tool} load")
        }
    };
    Err(Failure::usage(format!(
        "{text}: wiac never writes to another tool's store; {how}"
    )))
}

/// A name for an image: one with a digest would let anything pass for what has that digest, and one that says where an image
/// is would be taken for that place.
pub(crate) fn new_name(text: &str) -> Result<Reference, String> {
    refuse_other_tools(text, Change::Add).map_err(|failure| failure.to_string())?;
    if let Some(inside) = inside(text) {
        let escape = match text.parse::<Reference>() {
            Ok(name) => format!(" (where the name {text} is meant: {name})"),
            Err(_) => String::new(),
        };
        return Err(format!(
            "it says where an image is, and is no name; give the image a name, and then: wiac transfer NAME {}{escape}",
            inside.text
        ));
    }
    refuse_unknown(text, false).map_err(|failure| failure.to_string())?;
    let name: Reference = text.parse().map_err(|error| format!("{error}"))?;
    match name.digest() {
        None => Ok(name),
        Some(_) => Err("a digest belongs to a manifest and can't be given: name a tag".to_owned()),
    }
}

impl Inside<'_> {
    /// Opens what it is in.
    ///
    /// # Errors
    /// What can't be opened, or is no archive.
    pub(crate) fn open(&self, data: &Data) -> Result<Archive, Failure> {
        if self.path.as_os_str().is_empty() {
            return Err(Failure::usage(format!(
                "{}: a path belongs behind the colon",
                self.text
            )));
        }
        Ok(Archive::open_path(&data.store, self.path)?)
    }

    /// The only image, for one platform, that is meant.
    ///
    /// # Errors
    /// Where there is none, or several.
    pub(crate) fn only_image(&self, archive: &Archive, platform: &Platform) -> Result<Incoming, Failure> {
        let mut images = archive.images_called(platform, self.called)?;
        merge_names(&mut images);
        let count = images.len();
        match images.pop().filter(|_| count == 1) {
            Some(only) => Ok(only),
            None => Err(Failure::new(format!(
                "{0}: there are {count} images in it; name one behind the path ({0}:NAME), or take them all with wiac load",
                self.path.display(),
            ))),
        }
    }

    /// Takes the image into the store, under the names that it has there.
    ///
    /// # Errors
    /// As above, and what is wrong with it.
    pub(crate) fn load(&self, data: &Data, platform: &Platform) -> Result<(Loaded, Vec<Reference>), Failure> {
        let archive = self.open(data)?;
        let image = self.only_image(&archive, platform)?;
        let loaded = load(&data.store, &image, &archive, data.owner_policy())?;
        for name in &image.names {
            data.store
                .name_manifest(name, &loaded.image.id, loaded.manifest.as_ref())?;
        }
        Ok((loaded, image.names))
    }
}

/// What stands there under several names is one image.
fn merge_names(images: &mut Vec<Incoming>) {
    let mut merged: Vec<Incoming> = Vec::new();
    for image in images.drain(..) {
        let is_same =
            |known: &&mut Incoming| known.manifest == image.manifest && known.config_bytes == image.config_bytes;
        match merged.iter_mut().find(is_same) {
            Some(known) => known.names.extend(image.names),
            None => merged.push(image),
        }
    }
    *images = merged;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (Format, &str, Option<&str>) {
        let inside = inside(text).expect("a place of files");
        (inside.format, inside.path.to_str().expect("text"), inside.called)
    }

    #[test]
    fn places_are_told_by_what_stands_before() {
        assert_eq!(parse("docker://a/b"), Place::Registry("a/b"));
        assert_eq!(file("oci:dir"), (Format::OciDirectory, "dir", None));
        assert_eq!(file("oci:dir:"), (Format::OciDirectory, "dir", None));
        assert_eq!(
            file("oci:dir:a.example/b:1"),
            (Format::OciDirectory, "dir", Some("a.example/b:1"))
        );
        assert_eq!(file("docker-archive:/x.tar"), (Format::DockerArchive, "/x.tar", None));
        assert_eq!(parse("localhost:5000/x"), Place::Name("localhost:5000/x"));
        assert_eq!(parse("containers-storage:x"), Place::Name("containers-storage:x"));
    }

    #[test]
    fn a_path_that_is_there_may_have_a_colon() {
        let place = tempfile::tempdir().expect("tempdir");
        let path = place.path().join("co:lon");
        std::fs::create_dir(&path).expect("mkdir");
        let path = path.to_str().expect("text");
        for called in [None, Some("x"), Some("x/y:1")] {
            let text = called.map_or(format!("oci:{path}"), |called| format!("oci:{path}:{called}"));
            assert_eq!(file(&text), (Format::OciDirectory, path, called));
        }
    }

    #[test]
    fn names_are_no_places() {
        for (text, words) in [
            ("containers-storage:x", "podman load"),
            ("docker-storage:x", "docker load"),
            ("oci-archive:x.tar", "wiac transfer NAME oci-archive:x.tar"),
            ("oci:x", "the name oci:x is meant: docker.io/library/oci:x"),
            ("docker-daemon:x", "let docker load it"),
            (&format!("x@sha256:{}", "0".repeat(64)), "name a tag"),
        ] {
            let said = new_name(text).expect_err(text);
            assert!(said.contains(words), "{text}: {said}");
        }
        assert_eq!(new_name("docker.io/library/oci:1").expect("a name").familiar(), "oci:1");
    }

    #[test]
    fn other_tools_have_commands_of_their_own() {
        let said = |text: &str, change| refuse_other_tools(text, change).expect_err(text).to_string();
        assert!(said("docker-storage:x:1", Change::Delete).contains("docker rmi x:1 deletes it"));
        assert!(said("containers-storage:x", Change::Untag).contains("podman untag x takes"));
        let store = "containers-storage:[overlay@/s+/r]x";
        assert!(said(store, Change::Delete).contains("podman --root /s rmi x"));
        assert!(refuse_other_tools("x", Change::Delete).is_ok());
    }
}
