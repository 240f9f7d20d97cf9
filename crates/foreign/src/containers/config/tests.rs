//! Where stores are looked for.

use super::*;
use std::collections::BTreeMap;
use std::ffi::OsString;

/// A machine of its own, below a temporary directory.
struct Machine {
    top: tempfile::TempDir,
    caller: Caller,
}

impl Machine {
    fn new(uid: u32) -> Self {
        let top = tempfile::tempdir().unwrap();
        let home = top.path().join("home");
        let caller = Caller {
            uid,
            variables: BTreeMap::from([("HOME".to_owned(), home.into_os_string())]),
            system: top.path().to_owned(),
        };
        Self { top, caller }
    }

    fn file(&self, path: &str, text: &str) -> &Self {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn store(&self, path: &str) -> &Self {
        std::fs::create_dir_all(self.path(path).join("overlay-images")).unwrap();
        self
    }

    fn set(&mut self, name: &str, value: impl Into<OsString>) -> &Self {
        self.caller.variables.insert(name.to_owned(), value.into());
        self
    }

    fn path(&self, path: &str) -> PathBuf {
        self.top.path().join(path)
    }

    fn roots(&self, location: &Location) -> Vec<PathBuf> {
        let roots = Store::find(location, &self.caller).unwrap().roots;
        let relative = roots
            .iter()
            .map(|root| root.strip_prefix(self.top.path()).unwrap_or(root).to_owned());
        relative.collect()
    }

    fn own_roots(&self) -> Vec<PathBuf> {
        self.roots(&Location::default())
    }
}

fn paths<const N: usize>(paths: [&str; N]) -> Vec<PathBuf> {
    paths.map(PathBuf::from).to_vec()
}

#[test]
fn defaults() {
    let machine = Machine::new(0);
    assert_eq!(
        machine.store("var/lib/containers/storage").own_roots(),
        paths(["var/lib/containers/storage"])
    );
    let machine = Machine::new(1000);
    let expected = "home/.local/share/containers/storage";
    assert_eq!(machine.store(expected).own_roots(), paths([expected]));
}

#[test]
fn the_administrators_file() {
    let machine = Machine::new(0);
    let text = |root: &str| {
        format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{root}\"\n[storage.options]\nadditionalimagestores = [\"{}\", \"/nowhere\"]\nsize = \"\"\n[storage.options.overlay]\nmountopt = \"nodev\"\n",
            machine.path("more").display()
        )
    };
    machine.store("a").store("b").store("more");
    machine.file(
        "usr/share/containers/storage.conf",
        &text(machine.path("a").to_str().unwrap()),
    );
    assert_eq!(machine.own_roots(), paths(["a", "more"]));
    machine.file(
        "etc/containers/storage.conf",
        &text(machine.path("b").to_str().unwrap()),
    );
    assert_eq!(machine.own_roots(), paths(["b", "more"]));
}

#[test]
fn a_user_has_the_systems_path_and_an_own_file() {
    let mut machine = Machine::new(1000);
    let system = format!(
        "[storage]\ngraphroot = '/var/x'\nrootless_storage_path = '{}/$UID'",
        machine.top.path().display()
    );
    machine.file("etc/containers/storage.conf", &system).store("1000");
    assert_eq!(machine.own_roots(), paths(["1000"]));
    let own = format!(
        "[storage]\ngraphroot = \"{}\"\nimagestore = \"{}\"",
        machine.path("own").display(),
        machine.path("images").display()
    );
    machine
        .file("config/containers/storage.conf", &own)
        .store("own")
        .store("images");
    let config = machine.path("config");
    assert_eq!(
        machine.set("XDG_CONFIG_HOME", config).own_roots(),
        paths(["images", "own"])
    );
}

#[test]
fn variables_go_before_files() {
    let mut machine = Machine::new(0);
    let text = format!("[storage]\ngraphroot = \"{}\"", machine.path("named").display());
    machine.file("some.conf", &text).store("named").store("more");
    machine.file("etc/containers/storage.conf", "[storage]\ngraphroot = '/var/x'");
    let (file, options) = (
        machine.path("some.conf"),
        format!("overlay.imagestore={}", machine.path("more").display()),
    );
    machine.set("CONTAINERS_STORAGE_CONF", file);
    assert_eq!(
        machine.set("STORAGE_OPTS", options).own_roots(),
        paths(["named", "more"])
    );
    machine.set("STORAGE_DRIVER", "vfs");
    let message = Store::find(&Location::default(), &machine.caller)
        .unwrap_err()
        .to_string();
    assert!(message.contains("driver vfs"), "{message}");
}

#[test]
fn a_location_names_everything() {
    let machine = Machine::new(0);
    machine
        .store("x")
        .store("more")
        .file("etc/containers/storage.conf", "[storage]\ngraphroot = '/var/x'");
    let location = Location {
        driver: Some("overlay2".to_owned()),
        root: Some(machine.path("x")),
        options: vec![format!(".imagestore={}", machine.path("more").display())],
        ..Location::default()
    };
    assert_eq!(machine.roots(&location), paths(["x", "more"]));
}

#[test]
fn what_is_no_store_of_directories_is_named() {
    let machine = Machine::new(0);
    let message = |root: &str| {
        let location = Location {
            root: Some(machine.path(root)),
            ..Location::default()
        };
        Store::find(&location, &machine.caller).unwrap_err().to_string()
    };
    assert!(message("nothing").starts_with("no podman store at"));
    std::fs::create_dir_all(machine.path("v/vfs-images")).unwrap();
    assert!(message("v").contains("driver vfs"));
    machine.file("etc/containers/storage.conf", "[storage\n");
    let wrong = Store::find(&Location::default(), &machine.caller)
        .unwrap_err()
        .to_string();
    assert!(
        wrong.contains("can't understand") && wrong.contains("storage.conf") && !wrong.contains('\n'),
        "{wrong}"
    );
}

#[test]
fn additional_stores_do_where_the_own_one_is_not_made_yet() {
    let machine = Machine::new(0);
    let conf = |own: &str| {
        let [own, shared] = [own, "shared"].map(|path| machine.path(path).display().to_string());
        let text = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{own}\"\n[storage.options]\nadditionalimagestores = [\"{shared}\"]\n"
        );
        machine.file("etc/containers/storage.conf", &text);
    };
    conf("own");
    assert!(matches!(
        Store::find(&Location::default(), &machine.caller),
        Err(Error::NoStore { .. })
    ));
    machine.store("shared");
    assert_eq!(machine.own_roots(), paths(["shared"]));
    std::fs::create_dir(machine.path("own")).unwrap();
    assert_eq!(machine.own_roots(), paths(["shared"]));
    machine.store("own");
    assert_eq!(machine.own_roots(), paths(["own", "shared"]));
    // What the own one has is still refused where it can't be used.
    std::fs::create_dir_all(machine.path("vfs/vfs-images")).unwrap();
    machine.file(
        "etc/containers/storage.conf",
        &format!("[storage]\ngraphroot = \"{}\"\n", machine.path("vfs").display()),
    );
    assert!(matches!(
        Store::find(&Location::default(), &machine.caller),
        Err(Error::Unsupported { .. })
    ));
}
