//! Instructions of a Dockerfile that start no container: what their layers hold, and when they are made again.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use wiac_build::dockerfile::{Base, BaseImages, Request, Tools, build};
use wiac_build::fetch::{Download, Fetcher, Surroundings, Validators};
use wiac_build::progress::{Event, Progress};
use wiac_build::{Error, Result};
use wiac_dockerfile::remote::GitSource;
use wiac_layer::Form;
use wiac_oci::manifest::Platform;
use wiac_run::attach::Signals;
use wiac_store::Store;

/// A store and a build context.
struct Place {
    directory: tempfile::TempDir,
    store: Store,
}

struct NoImages;

impl BaseImages for NoImages {
    fn find(&mut self, name: &str, _: &Platform) -> Result<Base> {
        Err(Error::wrong(format!("there are no images here, and so no {name}")))
    }
}

struct NoNetwork;

impl Fetcher for NoNetwork {
    fn download<'f>(&'f self, address: &str, _: &Validators) -> Result<Download<'f>> {
        Err(Error::wrong(format!("there is no network here, and so no {address}")))
    }

    fn resolve(&self, git: &GitSource, _: &dyn Surroundings) -> Result<String> {
        Err(Error::wrong(format!(
            "there is no network here, and so no {}",
            git.remote
        )))
    }

    fn checkout(&self, git: &GitSource, _: &str, _: bool, _: &Path, _: &dyn Surroundings) -> Result<()> {
        Err(Error::wrong(format!(
            "there is no network here, and so no {}",
            git.remote
        )))
    }
}

struct Silence;

impl Progress for Silence {
    fn event(&mut self, _: Event<'_>) {}
}

impl Place {
    fn new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test needs root, since COPY sets owners: run it as root or in a container"
        );
        let directory = tempfile::tempdir().expect("tempdir");
        fs::create_dir(directory.path().join("context")).expect("mkdir");
        let store = Store::open(&directory.path().join("data"), Form::Trusted).expect("store");
        Self { directory, store }
    }

    /// A path in the build context.
    fn file(&self, path: &str) -> PathBuf {
        self.directory.path().join("context").join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.file(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        fs::write(path, text).expect("write");
    }

    /// Builds and returns the layers' directories, base first; or the message.
    fn build(&self, dockerfile: &str) -> std::result::Result<Vec<PathBuf>, String> {
        let request = Request {
            context: self.file(""),
            text: dockerfile.into(),
            build_args: BTreeMap::new(),
            ..Request::default()
        };
        let tools = Tools {
            store: &self.store,
            images: &mut NoImages,
            fetcher: &NoNetwork,
            cache: None,
            progress: &mut Silence,
            signals: &Signals::catch().expect("signals"),
            user_namespace: None,
        };
        let record = build(&request, tools).map_err(|error| error.to_string())?.record;
        Ok(record.layers.iter().map(|id| self.store.layer_diff(id)).collect())
    }

    fn layers(&self, dockerfile: &str) -> Vec<PathBuf> {
        self.build(dockerfile).expect("built")
    }

    fn message(&self, dockerfile: &str) -> String {
        self.build(dockerfile).expect_err("refused")
    }
}

/// The paths below a directory, sorted.
fn tree(directory: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(here) = waiting.pop() {
        for entry in fs::read_dir(here).expect("readdir") {
            let path = entry.expect("entry").path();
            paths.push(
                path.strip_prefix(directory)
                    .expect("below")
                    .to_string_lossy()
                    .into_owned(),
            );
            if path.symlink_metadata().expect("lstat").is_dir() {
                waiting.push(path);
            }
        }
    }
    paths.sort();
    paths
}

fn owner(path: &Path) -> (u32, u32) {
    let metadata = path.symlink_metadata().expect("lstat");
    (metadata.uid(), metadata.gid())
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("stat").permissions().mode() & 0o7777
}

#[test]
fn what_is_ignored_can_t_be_copied_by_its_name() {
    let place = Place::new();
    place.write(".dockerignore", "*\n!taken\n!part/taken\n");
    for file in ["taken", "secret", "part/taken", "part/secret", "none/secret"] {
        place.write(file, file);
    }
    symlink("secret", place.file("taken-link")).expect("symlink");
    symlink("../secret", place.file("part/link")).expect("symlink");
    for source in ["secret", "part/secret", "none", "taken-link"] {
        let message = place.message(&format!("FROM scratch\nCOPY {source} /x/\n"));
        assert!(message.contains(".dockerignore leaves it out"), "{source}: {message}");
    }
    let layers = place.layers("FROM scratch\nCOPY part /x/\nCOPY p* /y/\nCOPY n* s* /z/\n");
    assert_eq!(tree(&layers[0]), ["x", "x/taken"]);
    assert_eq!(tree(&layers[1]), ["y", "y/taken"]);
    assert!(tree(&layers[2]).is_empty());
}

#[test]
fn a_symlink_doesn_t_lead_to_what_is_ignored() {
    let place = Place::new();
    place.write(".dockerignore", "secret\n");
    place.write("secret", "x");
    symlink("secret", place.file("link")).expect("symlink");
    let message = place.message("FROM scratch\nCOPY link /x\n");
    assert!(message.contains(".dockerignore leaves it out"), "{message}");
}

#[test]
fn a_directory_without_anything_taken_isn_t_made() {
    let place = Place::new();
    place.write(".dockerignore", "left\n!elsewhere\n");
    place.write("left/x", "x");
    place.write("elsewhere", "x");
    let layers = place.layers("FROM scratch\nWORKDIR /app\nCOPY . /app/\n");
    assert_eq!(tree(&layers[1]), ["app", "app/.dockerignore", "app/elsewhere"]);
}

#[test]
fn attributes_make_another_step() {
    let place = Place::new();
    place.write("dir/file", "x");
    let build = || place.layers("FROM scratch\nCOPY dir /\n");
    let first = build();
    assert_eq!(build(), first);
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(place.file("dir/file"), "user.mark", b"1", flags).expect("user xattrs on the test's disk");
    let second = build();
    assert_ne!(second, first);
    fs::create_dir(place.file("dir/sub")).expect("mkdir");
    let third = build();
    rustix::fs::setxattr(place.file("dir/sub"), "user.mark", b"1", flags).expect("user xattrs on the test's disk");
    assert_ne!(build(), third);
}

#[test]
fn a_default_of_arg_sees_the_arguments_before_it() {
    let place = Place::new();
    let layers = place.layers("FROM scratch\nARG A=1 B=$A C=${B}2\nCOPY <<E /f\n$A$B$C\nE\n");
    assert_eq!(fs::read_to_string(layers[0].join("f")).expect("f"), "1112\n");
}

#[test]
fn an_option_of_which_nothing_is_left_is_not_given() {
    let place = Place::new();
    place.write("file", "x");
    fs::set_permissions(place.file("file"), PermissionsExt::from_mode(0o640)).expect("chmod");
    let layers = place
        .layers("FROM scratch\nARG U\nCOPY --chmod=$U --chown=$U file /a\nADD --checksum=$U --chmod=${U} file /b\n");
    for (layer, name) in layers.iter().zip(["a", "b"]) {
        assert_eq!(
            (mode(&layer.join(name)), owner(&layer.join(name))),
            (0o640, (0, 0)),
            "{name}"
        );
    }
    assert!(
        place
            .message("FROM scratch\nCOPY --chmod=x$U file /a\n")
            .contains("--chmod=x")
    );
}

#[test]
fn owners_are_kept_between_stages_but_not_from_the_context() {
    let place = Place::new();
    place.write("dir/file", "x");
    chown(place.file("dir/file"), Some(7), Some(8)).expect("chown");
    let layers = place.layers(
        "FROM scratch AS a\nCOPY --chown=5:6 dir /srv/\nFROM scratch\nCOPY dir /context/\n\
         COPY --from=a /srv /kept/\nCOPY --from=a --chown=9 /srv /given/\n",
    );
    assert_eq!(owner(&layers[0].join("context/file")), (0, 0));
    assert_eq!(owner(&layers[1].join("kept/file")), (5, 6));
    assert_eq!(owner(&layers[1].join("kept")), (0, 0));
    assert_eq!(owner(&layers[2].join("given/file")), (9, 9));
}

#[test]
fn another_owner_in_a_stage_makes_another_step() {
    let place = Place::new();
    place.write("file", "x");
    let build = |owner: u32| {
        place.layers(&format!(
            "FROM scratch AS a\nCOPY --chown={owner} file /file\nFROM scratch\nCOPY --from=a /file /file\n"
        ))
    };
    assert_ne!(build(1), build(2));
}

#[test]
fn a_new_destination_is_made_like_a_missing_parent() {
    let place = Place::new();
    place.write("dir/file", "x");
    fs::set_permissions(place.file("dir"), fs::Permissions::from_mode(0o700)).expect("chmod");
    let layers = place.layers("FROM scratch\nCOPY --chown=3:4 --chmod=640 dir /a/b\n");
    for path in ["a", "a/b"] {
        assert_eq!(
            (mode(&layers[0].join(path)), owner(&layers[0].join(path))),
            (0o755, (3, 4))
        );
    }
    assert_eq!(mode(&layers[0].join("a/b/file")), 0o640);
}

#[test]
fn a_working_directory_belongs_to_the_user() {
    let place = Place::new();
    place.write("etc/passwd", "app:x:12:12::/:/bin/sh\n");
    let layers = place.layers("FROM scratch\nCOPY etc /etc/\nUSER app\nWORKDIR /srv/app\n");
    assert_eq!(owner(&layers[1].join("srv/app")), (12, 12));
    let layers = place.layers("FROM scratch\nCOPY etc /etc/\nWORKDIR /srv/app\n");
    assert_eq!(owner(&layers[1].join("srv/app")), (0, 0));
}

#[test]
fn a_file_takes_the_place_of_a_symlink_to_a_directory() {
    let place = Place::new();
    fs::create_dir_all(place.file("root/real")).expect("mkdir");
    symlink("real", place.file("root/name")).expect("symlink");
    place.write("name", "x");
    let layers = place.layers("FROM scratch\nCOPY root /\nCOPY name /\n");
    assert_eq!(tree(&layers[1]), ["name"]);
}

#[test]
fn triggers_of_a_stage_are_carried_out() {
    let place = Place::new();
    place.write("f", "x");
    let layers = place
        .build("FROM scratch AS a\nONBUILD COPY f /\nFROM a\nLABEL x=y\n")
        .expect("built");
    assert_eq!(layers.len(), 1);
    assert_eq!(fs::read_to_string(layers[0].join("f")).expect("copied"), "x");
}

#[test]
fn a_file_that_changes_while_it_is_copied_is_copied_again() {
    let place = Place::new();
    for number in 0..300 {
        place.write(&format!("files/{number}"), "filler");
    }
    let path = place.file("files/299");
    let dockerfile = "FROM scratch\nCOPY files /files\n";
    for round in 0..30 {
        // Other contents each time: no earlier build has copied them well.
        let texts = [format!("A{round}"), format!("B{round}")];
        let ended = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for text in texts.iter().cycle() {
                    fs::write(&path, text).expect("written");
                    if ended.load(std::sync::atomic::Ordering::Relaxed) {
                        break;
                    }
                    std::thread::sleep(std::time::Duration::from_micros(300));
                }
            });
            place.build(dockerfile).expect("built");
            ended.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        for now in &texts {
            fs::write(&path, now).expect("written");
            let layers = place.build(dockerfile).expect("built");
            assert_eq!(fs::read_to_string(layers[0].join("files/299")).expect("copied"), *now);
        }
    }
}
