//! `-v HOST:CONTAINER[:OPTIONS]`.

use crate::docker_options::not_text;
use crate::error::{Failure, words};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use wiac_oci::image::ContainerConfig;
use wiac_oci::runtime::Mount;

/// What bind mounts are told beside the source and the destination.
const OPTIONS: [&str; 9] = [
    "ro", "rw", "private", "rprivate", "nosuid", "nodev", "noexec", "bind", "rbind",
];

/// Options that ask for nothing here: labels where there is no SELinux, caches of docker's virtual machine elsewhere.
const WITHOUT_EFFECT: [&str; 5] = ["z", "Z", "cached", "delegated", "consistent"];

/// Options of docker and podman that aren't there yet.
const NOT_YET: [&str; 12] = [
    "shared", "rshared", "slave", "rslave", "nocopy", "copy", "U", "O", "idmap", "exec", "suid", "dev",
];

/// The volumes of a container.
#[derive(Debug, Default)]
pub(crate) struct Volumes {
    /// In the order in which they are mounted: the outer one before what lies in it, as in docker.
    pub(crate) mounts: Vec<Mount>,
}

impl Volumes {
    /// Reads each `-v`, and makes nothing.
    ///
    /// # Errors
    /// What can't be understood; two for one place.
    pub(crate) fn parse(texts: &[OsString]) -> Result<Self, Failure> {
        let mut mounts: Vec<Mount> = Vec::with_capacity(texts.len());
        for (number, text) in texts.iter().enumerate() {
            // Said twice in the same words is said once, as in docker: arguments are put together from several sources.
            if texts[..number].contains(text) {
                continue;
            }
            let mount = parse(text)?;
            if mounts.iter().any(|other| other.destination == mount.destination) {
                return Err(Failure::usage(format!(
                    "-v {}: {} is the place of another volume too",
                    text.display(),
                    mount.destination
                )));
            }
            mounts.push(mount);
        }
        mounts.sort_by_key(|mount| Path::new(&mount.destination).components().count());
        Ok(Self { mounts })
    }

    /// Makes the directories of the host that are missing, as docker does. Those that this made, and those above them
    /// that it made on the way.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn make_missing(&self) -> Result<Missing, Failure> {
        let mut missing = Missing::default();
        for source in self.mounts.iter().filter_map(|mount| mount.source.as_deref()) {
            // A symlink that leads nowhere is there: making what it leads to is for who wrote it.
            if source.symlink_metadata().is_ok() {
                continue;
            }
            let not_there = source.ancestors().take_while(|path| path.symlink_metadata().is_err());
            missing.made.extend(not_there.map(Path::to_owned));
            missing.volumes.push(source.to_owned());
            std::fs::create_dir_all(source).map_err(|error| {
                Failure::usage(format!(
                    "can't make the volume's directory {}: {}",
                    source.display(),
                    words(&error)
                ))
            })?;
        }
        Ok(missing)
    }
}

/// Directories that had to be made.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    /// The volumes' own.
    pub(crate) volumes: Vec<PathBuf>,
    /// All of them; those of one volume from the innermost on.
    made: Vec<PathBuf>,
}

impl Missing {
    /// Takes them away again, where nobody has put anything into them.
    pub(crate) fn remove(&self) {
        let mut made: Vec<&PathBuf> = self.made.iter().collect();
        made.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
        for path in made {
            // What has got something in it meanwhile is somebody's.
            let _ = std::fs::remove_dir(path);
        }
    }
}

/// The directories that an image declares as volumes, outer ones first. docker and podman have an anonymous volume for each,
/// gone with a container of `--rm`; here they are of the container's own changes, which are.
pub(crate) fn of_image(image: &ContainerConfig) -> Vec<String> {
    let places: BTreeSet<String> = image.volumes.iter().map(|path| clean(path)).collect();
    places.into_iter().filter(|place| place != "/").collect()
}

/// The mount that a `-v` asks for.
fn parse(text: &OsStr) -> Result<Mount, Failure> {
    let wrong = |what: &str| Failure::usage(format!("-v {}: {what}", text.display()));
    let mut parts = text.as_bytes().splitn(3, |byte| *byte == b':');
    let (Some(source), Some(destination)) = (parts.next(), parts.next()) else {
        return Err(wrong(
            "named and anonymous volumes aren't there yet; write HOSTDIR:CONTAINERDIR[:ro]",
        ));
    };
    if !(source.starts_with(b"/") || source.starts_with(b".")) {
        return Err(wrong(
            "named volumes aren't there yet; a directory of the host begins with / or ./",
        ));
    }
    // The host's path is any; what the container sees stands in a configuration.
    let in_utf8 = |part| str::from_utf8(part).map_err(|_| not_text(text));
    let destination = in_utf8(destination)?;
    if !destination.starts_with('/') {
        return Err(wrong("the path in the container must begin with /"));
    }
    let destination = clean(destination);
    if destination == "/" {
        return Err(wrong("nothing can be mounted on the container's root itself"));
    }
    let options = match parts.next() {
        Some(text) => options(in_utf8(text)?).map_err(|what| wrong(&what))?,
        None => Vec::new(),
    };
    let source = crate::environment::absolute(OsStr::from_bytes(source))?;
    Ok(Mount::bind(source, &destination, &options))
}

/// The options that have an effect.
fn options(text: &str) -> Result<Vec<&str>, String> {
    let mut options = Vec::new();
    for option in text.split(',') {
        if NOT_YET.contains(&option) {
            return Err(format!("the option {option} isn't there yet"));
        }
        if OPTIONS.contains(&option) {
            options.push(option);
        } else if !WITHOUT_EFFECT.contains(&option) {
            return Err(format!(
                "unknown option {option:?}; there are {}, z and Z",
                OPTIONS.join(", ")
            ));
        }
    }
    if options.contains(&"ro") && options.contains(&"rw") {
        return Err("ro and rw exclude each other".to_owned());
    }
    Ok(options)
}

/// An absolute path without `.`, `..` and needless slashes, by its text alone.
fn clean(path: &str) -> String {
    let mut cleaned = PathBuf::from("/");
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => cleaned.push(name),
            Component::ParentDir => drop(cleaned.pop()),
            _ => {}
        }
    }
    cleaned.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Mount, Failure> {
        super::parse(OsStr::new(text))
    }

    fn parse_all(texts: &[&str]) -> Result<Volumes, Failure> {
        Volumes::parse(&texts.iter().map(OsString::from).collect::<Vec<_>>())
    }

    fn refusal(texts: &[&str]) -> String {
        parse_all(texts).expect_err(&texts.join(" ")).to_string()
    }

    #[test]
    fn volumes() {
        let mount = parse("/tmp:/data:ro").expect("a volume");
        assert_eq!(
            (mount.source.as_deref(), mount.destination.as_str()),
            (Some(Path::new("/tmp")), "/data")
        );
        assert!(mount.options.iter().any(|option| option == "ro"));
        for wrong in [
            "data:/data",
            "/data",
            "/tmp:data",
            "/tmp:/data:fast",
            "/tmp:/data:ro,rw",
            "/tmp:/data:",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(refusal(&["/tmp:/data:fast"]).contains("there are ro, rw"));
        assert!(refusal(&["/tmp:/data:rslave"]).contains("the option rslave isn't there yet"));
    }

    #[test]
    fn volumes_of_an_image() {
        let volumes = ["/b/c", "/b/", "d/../e", "/", "/b/./"].map(str::to_owned);
        let image = ContainerConfig {
            volumes: volumes.into_iter().collect(),
            ..ContainerConfig::default()
        };
        assert_eq!(of_image(&image), ["/b", "/b/c", "/e"]);
    }

    #[test]
    fn options_of_other_machines_change_nothing() {
        let plain = parse("/tmp:/data").expect("a volume").options;
        for option in WITHOUT_EFFECT {
            let text = format!("/tmp:/data:{option}");
            assert_eq!(parse(&text).expect(&text).options, plain, "{text}");
        }
    }

    #[test]
    fn places_are_cleaned_and_the_root_is_none() {
        assert_eq!(parse("/tmp://a/./b/../c/").expect("a volume").destination, "/a/c");
        for root in ["/", "//", "/.", "/a/..", "/a/../.."] {
            assert!(refusal(&[&format!("/tmp:{root}")]).contains("root itself"), "{root}");
        }
    }

    #[test]
    fn outer_volumes_come_first_and_each_place_has_one() {
        let volumes = parse_all(&["/usr:/a/b/c", "/tmp:/z", "/etc:/a", "/opt:/a/b"]).expect("volumes");
        let places: Vec<&str> = volumes.mounts.iter().map(|mount| mount.destination.as_str()).collect();
        assert_eq!(places, ["/z", "/a", "/a/b", "/a/b/c"]);
        let twice = parse_all(&["/usr:/a", "/tmp:/z", "/usr:/a"]).expect("volumes");
        assert_eq!(twice.mounts.len(), 2);
        assert!(refusal(&["/usr:/a", "/tmp:/a/"]).contains("/a is the place of another volume too"));
    }

    #[test]
    fn what_was_made_can_be_taken_away_again() {
        let place = tempfile::tempdir().expect("tempdir");
        let at = |path: &str| place.path().join(path);
        std::fs::create_dir(at("there")).expect("mkdir");
        let volume = |path: &str, number: usize| format!("{}:/v{number}", at(path).display());
        let texts = [volume("there", 0), volume("new/deep", 1), volume("new/other", 2)];
        let volumes = Volumes::parse(&texts.map(OsString::from)).expect("volumes");
        assert!(!at("new").exists(), "reading makes nothing");
        let missing = volumes.make_missing().expect("made");
        assert_eq!(missing.volumes, [at("new/deep"), at("new/other")]);
        assert!(at("new/deep").is_dir() && at("new/other").is_dir());
        std::fs::write(at("new/other/file"), "").expect("write");
        missing.remove();
        assert!(!at("new/deep").exists() && at("new/other/file").exists() && at("there").exists());
    }
}
