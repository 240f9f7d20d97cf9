//! A user's store of podman, and the border between users.

use crate::tools::{Place, run};
use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use wiac_foreign::{Caller, Image, Marks};
use wiac_layer::Form;

const USER: &str = "wiac-test";

fn id() -> u32 {
    let known = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = known.lines().find(|line| line.split(':').next() == Some(USER));
    let line = line.unwrap_or_else(|| panic!("the user {USER} is needed (cargo xtask test makes it)"));
    line.split(':').nth(2).unwrap().parse().unwrap()
}

/// A home directory with the image `localhost/built:1`.
struct Home {
    place: Place,
    path: PathBuf,
}

impl Home {
    fn new() -> Self {
        let place = Place::new();
        let path = place.path("home");
        std::fs::create_dir_all(path.join("run")).unwrap();
        for path in [path.clone(), path.join("run")] {
            std::os::unix::fs::chown(path, Some(id()), Some(id())).unwrap();
        }
        let home = Self { place, path };
        run(podman(&home.place)
            .arg("import")
            .arg(home.place.path("base.tar"))
            .arg("localhost/base:latest"));
        let mut build = podman(&home.place);
        run(build
            .args(["build", "--network=none", "--tag", "localhost/built:1"])
            .arg(home.place.path("context")));
        home
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // podman leaves a process behind that keeps the user namespace.
        let id = std::fs::read_to_string(self.path.join("run/libpod/tmp/pause.pid")).unwrap_or_default();
        if let Some(id) = id.trim().parse().ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        }
    }
}

fn podman(place: &Place) -> Command {
    let home = place.path("home");
    let mut command = Command::new("podman");
    command.args(["--cgroup-manager=cgroupfs", "--events-backend=none", "--runtime=crun"]);
    command.uid(id()).gid(id());
    command
        .current_dir("/")
        .env("XDG_RUNTIME_DIR", home.join("run"))
        .env("HOME", home);
    command
        .env("STORAGE_DRIVER", "overlay")
        .env("PODMAN_IGNORE_CGROUPSV1_WARNING", "1");
    command
}

/// Opens an image as the user: in a thread that has become them.
fn open(name: &str, home: &std::path::Path) -> wiac_foreign::Result<Image> {
    let caller = Caller {
        uid: id(),
        variables: BTreeMap::from([("HOME".to_owned(), home.as_os_str().to_owned())]),
        system: PathBuf::new(),
    };
    let reference = wiac_foreign::parse(name).unwrap().unwrap();
    let as_user = move || {
        let (user, group) = (
            rustix::process::Uid::from_raw(id()),
            rustix::process::Gid::from_raw(id()),
        );
        rustix::thread::set_thread_res_gid(group, group, group).unwrap();
        rustix::thread::set_thread_res_uid(user, user, user).unwrap();
        wiac_foreign::open(&reference, &caller)
    };
    std::thread::spawn(as_user).join().unwrap()
}

#[test]
fn an_image_of_a_user() {
    let user = Home::new();
    let home = &user.path;
    let image = open("containers-storage:built:1", home).unwrap();
    assert_eq!(image.store, home.join(".local/share/containers/storage"));
    let marks: Vec<_> = image.layers.iter().map(|layer| (layer.marks, layer.form)).collect();
    let user = Form::User;
    assert_eq!(
        marks,
        [(Marks::None, user), (Marks::Of(user), user), (Marks::None, user)]
    );
}

#[test]
fn root_and_another_users_store() {
    let user = Home::new();
    let home = &user.path;
    let store = home.join(".local/share/containers/storage");
    let name = format!("containers-storage:[overlay@{}]built:1", store.display());
    let message = crate::tools::open(&name).unwrap_err().to_string();
    assert!(message.contains(&format!("belongs to user {}", id())), "{message}");
    let secret = tempfile::tempdir().unwrap();
    std::fs::set_permissions(secret.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let name = format!("containers-storage:[overlay@{}/store]x", secret.path().display());
    let message = open(&name, home).unwrap_err().to_string();
    assert!(message.contains("this user may not read it"), "{message}");
}
