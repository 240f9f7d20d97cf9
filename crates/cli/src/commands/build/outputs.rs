//! Where the result of a build goes: `-o`.

use super::Arguments;
use super::platforms::Images;
use super::values::fields;
use crate::data::Data;
use crate::error::Failure;
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use wiac_build::copy::{Copier, Options, Ownership, Place};
use wiac_layer::compression::Compression;
use wiac_layer::merged::LayerStack;
use wiac_layer::owners::OwnerRecord;
use wiac_layer::pack::{MergedOptions, pack_merged};
use wiac_oci::manifest::Descriptor;
use wiac_oci::reference::Reference;
use wiac_store::ImageRecord;
use wiac_store::transfer::{self, Format, Packing, save_into, save_to};

/// What `-o` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    kind: Kind,
    /// `None` for standard output, and for the store.
    destination: Option<PathBuf>,
    compression: Compression,
    level: Option<i32>,
    /// `name=`: names beside those of `-t`.
    names: Vec<Reference>,
    /// `push=true`, or the type is registry.
    push: bool,
    /// `push-by-digest=true`: the names stand for repositories, in which no tag is set.
    by_digest: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The image in the store.
    Image,
    /// Nothing: the steps alone, for the cache.
    Nothing,
    /// The files, in a directory.
    Local,
    /// The files, as a tar.
    Tar,
    /// An image layout, in an archive or a directory.
    Archive(Format),
}

impl Output {
    /// Parses the value of one `-o`: a path alone means a directory, `-` a tar on standard output.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let mut output = Self {
            kind: Kind::Local,
            destination: None,
            compression: Compression::Gzip,
            level: None,
            names: Vec::new(),
            push: false,
            by_digest: false,
        };
        if text == "-" {
            output.kind = Kind::Tar;
            return Ok(output);
        }
        if !text.contains('=') {
            output.destination = Some(PathBuf::from(text));
            return Ok(output);
        }
        let (mut kind, mut is_tar, mut is_loaded) = (None, true, true);
        for (key, value) in fields("-o", text)? {
            let wrong = |what: &str| Failure::usage(format!("-o {text}: {key}={value}: {what}"));
            match key.to_ascii_lowercase().as_str() {
                "type" => kind = Some(value.to_owned()),
                "dest" => {
                    is_loaded = false;
                    output.destination = (value != "-").then(|| PathBuf::from(value));
                }
                "tar" => is_tar = value.parse().map_err(|_| wrong("true or false"))?,
                "compression" => {
                    output.compression = match value {
                        "gzip" => Compression::Gzip,
                        "zstd" => Compression::Zstd,
                        "uncompressed" | "none" => Compression::None,
                        _ => return Err(wrong("the compressions are gzip, zstd and uncompressed")),
                    }
                }
                "compression-level" => output.level = Some(value.parse().map_err(|_| wrong("a number"))?),
                "push" => output.push = value.parse().map_err(|_| wrong("true or false"))?,
                "push-by-digest" => output.by_digest = value.parse().map_err(|_| wrong("true or false"))?,
                "name" => output
                    .names
                    .push(crate::place::new_name(value).map_err(|problem| wrong(&problem))?),
                "rewrite-timestamp" | "oci-mediatypes" | "unpack" | "store" | "force-compression"
                | "name-canonical" => {}
                _ => {
                    return Err(wrong(
                        "unknown; there are type, dest, tar, compression and compression-level",
                    ));
                }
            }
        }
        output.kind = match kind.as_deref() {
            Some("local") | None => Kind::Local,
            Some("tar") => Kind::Tar,
            // docker's own images are where `run` looks for them: here the store is.
            Some("image") => Kind::Image,
            Some("docker") if is_loaded => Kind::Image,
            Some("registry") => {
                output.push = true;
                Kind::Image
            }
            Some("cacheonly") => Kind::Nothing,
            Some("oci") if is_tar => Kind::Archive(Format::OciArchive),
            Some("oci") => Kind::Archive(Format::OciDirectory),
            Some("docker") => Kind::Archive(Format::DockerArchive),
            Some(other) => {
                return Err(Failure::usage(format!(
                    "-o {text}: unknown type {other}; there are local, tar, oci, docker, image, registry and cacheonly"
                )));
            }
        };
        let needs_place = matches!(output.kind, Kind::Local | Kind::Archive(Format::OciDirectory));
        if needs_place && output.destination.is_none() {
            return Err(Failure::usage(format!("-o {text}: name the directory by dest=")));
        }
        Ok(output)
    }

    /// Whether the image goes to the store.
    pub(super) fn is_image(&self) -> bool {
        self.kind == Kind::Image
    }

    /// What `-o` says beside `-t` and `--push` is as if it stood there.
    pub(super) fn complete(arguments: &mut Arguments, outputs: &[Self]) -> Result<(), Failure> {
        for output in outputs.iter().filter(|output| output.by_digest) {
            let tagged = output.names.iter().find(|name| name.tag().is_some());
            if output.names.is_empty() || tagged.is_some() {
                return Err(Failure::usage(
                    "-o: push-by-digest=true sets no tag: name the repository alone, by name=",
                ));
            }
        }
        let named = outputs.iter().filter(|output| !output.by_digest);
        arguments
            .tag
            .extend(named.clone().flat_map(|output| output.names.iter().cloned()));
        arguments.push |= named.clone().any(|output| output.push);
        if arguments.push && arguments.tag.is_empty() {
            return Err(Failure::usage(
                "what is to be pushed needs a name: give it by --tag, or by name= where -o says push",
            ));
        }
        Ok(())
    }

    /// The repositories that get what was built under its digest alone.
    pub(super) fn repositories(outputs: &[Self]) -> impl Iterator<Item = &Reference> {
        let by_digest = outputs.iter().filter(|output| output.push && output.by_digest);
        by_digest.flat_map(|output| &output.names)
    }

    /// How layers are packed that are pushed, or that nothing is said of.
    pub(super) fn pushed_packing(outputs: &[Self], clamp: Option<i64>) -> Result<Packing, Failure> {
        let mut asked = outputs.iter().filter(|output| output.push);
        let asked_first = asked.next();
        let how = |output: &Self| (output.compression, output.level);
        if let Some(other) = asked.find(|other| Some(how(other)) != asked_first.map(how)) {
            return Err(Failure::usage(format!(
                "-o: what is pushed is packed in one way, not in {:?} and {:?}; build twice",
                asked_first.map_or(Compression::Gzip, |first| first.compression),
                other.compression
            )));
        }
        let (compression, level) = asked_first.map_or((Compression::Gzip, None), how);
        Ok(Packing {
            compression,
            level,
            clamp,
        })
    }

    /// Writes what was built; gives what the image's name points to where it is written as an image.
    pub(super) fn write(
        &self,
        data: &Data,
        images: &Images,
        names: &[Reference],
        clamp: Option<i64>,
    ) -> Result<Option<Descriptor>, Failure> {
        let record = &images.records[0];
        let several = images.records.len() > 1;
        if several && matches!(self.kind, Kind::Tar | Kind::Archive(Format::DockerArchive)) {
            return Err(Failure::usage(
                "-o: what was built for several platforms goes into type=oci, type=local or type=image",
            ));
        }
        match (self.kind, &self.destination) {
            (Kind::Image | Kind::Nothing, _) => {}
            (Kind::Local, destination) => {
                let directory = destination.clone().unwrap_or_default();
                for record in images.records.iter().filter(|_| several) {
                    to_directory(data, record, &directory.join(platform_directory(record)))?;
                }
                if !several {
                    to_directory(data, record, &directory)?;
                }
            }
            (Kind::Tar, Some(path)) => transfer::write_file(path, |file| to_tar(data, record, clamp, file))?,
            (Kind::Tar, None) => to_tar(data, record, clamp, &mut standard_output()?)?,
            (Kind::Archive(format), destination) => {
                let names = names.iter().cloned().map(Reference::with_default_tag).collect();
                let wanted = [images.wanted(names, None)];
                let packing = Packing {
                    compression: self.compression,
                    level: self.level,
                    clamp,
                };
                let written = if let Some(path) = destination {
                    save_to(&data.store, &wanted, format, &packing, path)?
                } else {
                    let out = (&mut standard_output()?, Path::new("standard output"));
                    save_into(&data.store, &wanted, format, &packing, out)?
                };
                return Ok(written.into_iter().next());
            }
        }
        Ok(None)
    }
}

/// The directory for one of several platforms, called as buildx calls it: `linux_arm64`.
fn platform_directory(record: &ImageRecord) -> String {
    let config = &record.config;
    let parts = [Some(&config.os), Some(&config.architecture), config.variant.as_ref()];
    let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
    parts.join("_")
}

fn standard_output() -> Result<File, Failure> {
    let output = std::io::stdout();
    if output.is_terminal() {
        return Err(Failure::usage(
            "standard output is a terminal: name a file by dest=, or send it to a pipe",
        ));
    }
    Ok(File::from(output.as_fd().try_clone_to_owned()?))
}

fn stack(data: &Data, record: &ImageRecord) -> LayerStack {
    LayerStack::new(record.layers.iter().map(|id| data.store.layer_diff(id)).collect())
}

fn to_tar(data: &Data, record: &ImageRecord, clamp: Option<i64>, file: &mut File) -> Result<(), Failure> {
    let mut records = Vec::with_capacity(record.layers.len());
    for id in &record.layers {
        records.push(data.store.layer_owners(id)?);
    }
    let owners: Vec<Option<&OwnerRecord>> = records.iter().map(Option::as_ref).collect();
    let mut out = BufWriter::with_capacity(1 << 20, file);
    pack_merged(
        &stack(data, record),
        &mut out,
        &MergedOptions { owners: &owners, clamp },
    )?;
    Ok(out.flush()?)
}

/// As in docker the files belong to the caller.
fn to_directory(data: &Data, record: &ImageRecord, directory: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(directory).map_err(|error| {
        Failure::new(format!(
            "can't create {}: {}",
            directory.display(),
            crate::error::words(&error)
        ))
    })?;
    let stack = stack(data, record);
    if stack.is_empty() {
        return Ok(());
    }
    let is_user = data.store.form() == wiac_layer::Form::User;
    let from = wiac_run::view::open_merged(stack.directories(), is_user)?;
    let to = File::open(directory)?;
    let mut copier = Copier::new(Options {
        ownership: Ownership::Caller,
        xattrs: false,
        merged: wiac_build::copy::Merged::SourceBelow,
        ..Options::default()
    });
    let place = |dir, shown| Place {
        dir,
        name: std::ffi::OsStr::new("."),
        shown,
    };
    Ok(copier.copy(
        &place(from.as_fd(), Path::new("the image")),
        &place(to.as_fd(), directory),
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_docker_s() {
        let kind = |text: &str| Output::parse(text).map(|output| (output.kind, output.destination));
        assert_eq!(kind("out").expect("a path"), (Kind::Local, Some("out".into())));
        assert_eq!(kind("-").expect("a tar"), (Kind::Tar, None));
        assert_eq!(
            kind("type=tar,dest=x.tar").expect("a tar"),
            (Kind::Tar, Some("x.tar".into()))
        );
        assert_eq!(
            kind("type=docker,dest=-").expect("docker's"),
            (Kind::Archive(Format::DockerArchive), None)
        );
        assert_eq!(kind("type=docker").expect("the store"), (Kind::Image, None));
        assert_eq!(kind("type=cacheonly").expect("nothing"), (Kind::Nothing, None));
        assert_eq!(
            kind("type=oci,tar=false,dest=d").expect("a layout"),
            (Kind::Archive(Format::OciDirectory), Some("d".into()))
        );
        for wrong in [
            "type=local",
            "type=what,dest=x",
            "dest=x,what=y",
            "type=oci,tar=false",
            "type=image,push=perhaps",
            "type=image,name=X",
        ] {
            assert!(Output::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_and_pushing_are_as_those_of_the_options() {
        let completed = |texts: &[&str]| {
            let outputs: Vec<Output> = texts
                .iter()
                .map(|text| Output::parse(text).expect("an output"))
                .collect();
            let mut arguments = Arguments::default();
            Output::complete(&mut arguments, &outputs).map(|()| (arguments.tag.len(), arguments.push))
        };
        assert_eq!(completed(&["type=image,name=x,push=true"]).ok(), Some((1, true)));
        assert_eq!(
            completed(&["type=image,name=x", "type=docker,name=y"]).ok(),
            Some((2, false))
        );
        assert_eq!(completed(&["type=registry,name=x"]).ok(), Some((1, true)));
        assert_eq!(completed(&["type=image,push=false"]).ok(), Some((0, false)));
        assert!(completed(&["type=registry"]).is_err());
        let by_digest = "type=image,name=x/y,push-by-digest=true,name-canonical=true,push=true";
        assert_eq!(completed(&[by_digest]).ok(), Some((0, false)));
        for wrong in [
            "type=image,push-by-digest=true,push=true",
            "type=image,name=x:1,push-by-digest=true",
        ] {
            assert!(completed(&[wrong]).is_err(), "{wrong}");
        }
    }
}
