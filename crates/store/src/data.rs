//! The data directory: where it is, that it is ours, and its layout.

use crate::error::{Error, IoExt, Result};
use crate::lock::Lock;
use crate::{sync, temporary};
use std::fs;
use std::path::{Path, PathBuf};
use wiac_layer::Form;

/// What the file `format` of a data directory says, before the form of its layers.
const FORMAT: &str = "wiac 2";

/// The format before: the same without blobs, diff IDs, exports and leases.
const OLDER: &str = "wiac 1";

/// The file `format` until it is whole.
const NEW_FORMAT: &str = "format.new";

/// The directories of the layout.
pub(crate) const DIRECTORIES: [&str; 15] = [
    "layers",
    "blobs",
    "partial",
    "diff-ids",
    "images/names",
    "images/records",
    "images/exports",
    "cache/steps",
    "cache/files",
    "containers",
    "failures",
    "leases",
    "unsynced",
    "tmp",
    "quarantine",
];

/// An open data directory.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    form: Form,
    boot_id: std::sync::OnceLock<String>,
}

/// Where the data directory is when `--data` doesn't say: `$WIAC_DATA`, else `/var/lib/wiac` as root and
/// `$XDG_DATA_HOME/wiac` (`~/.local/share/wiac`) otherwise. The original tool's `$DATADIR` counts last of all, and
/// only where it is empty or already ours. `None` for a user without a home: what anybody may make, as in /tmp, could be
/// a stranger's. `is_root`: before a user namespace was entered.
pub fn default_location(is_root: bool) -> Option<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(path) = variable("WIAC_DATA") {
        return Some(path);
    }
    if let Some(path) = variable("DATADIR").filter(|path| is_empty_or_ours(path)) {
        return Some(path);
    }
    if is_root {
        return Some(PathBuf::from("/var/lib/wiac"));
    }
    let home = || variable("HOME").or_else(home_in_database);
    let data_home = variable("XDG_DATA_HOME").or_else(|| home().map(|home| home.join(".local/share")));
    data_home.map(|place| place.join("wiac"))
}

/// This user's home as /etc/passwd has it (passwd(5)).
fn home_in_database() -> Option<PathBuf> {
    home_of(
        &fs::read_to_string("/etc/passwd").ok()?,
        rustix::process::getuid().as_raw(),
    )
}

fn home_of(database: &str, uid: u32) -> Option<PathBuf> {
    let uid = uid.to_string();
    let line = database.lines().find(|line| line.split(':').nth(2) == Some(&uid))?;
    let home = PathBuf::from(line.split(':').nth(5)?);
    home.is_absolute().then_some(home)
}

/// Whether a data directory is there, could be made, or is being made.
fn is_empty_or_ours(path: &Path) -> bool {
    let is_ours = |entry: std::io::Result<fs::DirEntry>| entry.is_ok_and(|entry| is_of_layout(&entry.file_name()));
    path.join("format").is_file() || fs::read_dir(path).is_ok_and(|mut entries| entries.all(is_ours))
}

/// Whether a name is of the layout's top.
fn is_of_layout(name: &std::ffi::OsStr) -> bool {
    let name = name.to_str().unwrap_or_default();
    ["format", NEW_FORMAT].contains(&name) || DIRECTORIES.iter().any(|known| known.split('/').next() == Some(name))
}

impl Store {
    /// Opens the data directory `root`, made where it is missing. What earlier commands left unfinished is swept,
    /// and layers that a crash of the machine may have damaged are set aside.
    ///
    /// # Errors
    /// When the directory isn't ours, has an unknown format, or can't be written.
    pub fn open(root: &Path, form: Form) -> Result<Self> {
        let root = std::path::absolute(root).on("find", root)?;
        if !check_format(&root, form)? {
            create(&root, form)?;
        }
        let store = Self {
            root,
            form,
            boot_id: std::sync::OnceLock::new(),
        };
        store.begin().or_else(|error| {
            // Somebody may have deleted an empty directory: each is made again.
            if !crate::collect::is_gone(&error) {
                return Err(error);
            }
            make_directories(&store.root)?;
            store.begin()
        })?;
        Ok(store)
    }

    fn begin(&self) -> Result<()> {
        temporary::sweep(self)?;
        sync::quarantine_unsynced(self)
    }

    /// The data directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The form of the layers made now.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The id of this boot of the machine, read when it is first needed.
    pub(crate) fn boot_id(&self) -> Result<&str> {
        if let Some(id) = self.boot_id.get() {
            return Ok(id);
        }
        let id = sync::boot_id()?;
        Ok(self.boot_id.get_or_init(|| id))
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }
}

/// Whether `root` is a data directory already: one whose layers have marks of this form. Those of the other form would
/// mean nothing to the kernel, and deleted files be back.
fn check_format(root: &Path, form: Form) -> Result<bool> {
    let path = root.join("format");
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        result => result.on("read", &path)?,
    };
    // The power went before what was written to it was on the disk.
    if text.is_empty() {
        return Ok(false);
    }
    let known = text.strip_prefix(FORMAT).or_else(|| text.strip_prefix(OLDER));
    match known.map(str::trim) {
        Some(word) if word == form.word() && text.starts_with(OLDER) => Ok(false),
        Some(word) if word == form.word() => Ok(true),
        Some(word) if [Form::Trusted, Form::User].iter().any(|known| known.word() == word) => Err(Error::OtherForm {
            path: root.to_owned(),
            owner: if form == Form::User { "root" } else { "an ordinary user" },
        }),
        _ => Err(Error::Format {
            path: root.to_owned(),
            found: text.trim_end().to_owned(),
            known: format!("{FORMAT} {}", form.word()),
        }),
    }
}

/// Makes the layout, or adds what an older one lacks; the format file last, so that an interrupted start is made good
/// by the next.
fn create(root: &Path, form: Form) -> Result<()> {
    fs::create_dir_all(root).on("create", root)?;
    let lock = Lock::exclusive(root)?;
    if check_format(root, form)? {
        return Ok(());
    }
    for entry in fs::read_dir(root).on("read", root)? {
        if !is_of_layout(&entry.on("read", root)?.file_name()) {
            return Err(Error::Foreign { path: root.to_owned() });
        }
    }
    check_attributes(root, form)?;
    make_directories(root)?;
    // Layers hold set-user-id programs and files of all users: nobody else walks in here.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(root, mode).on("protect", root)?;
    let path = root.join(NEW_FORMAT);
    fs::write(&path, format!("{FORMAT} {}\n", form.word())).on("write", &path)?;
    fs::rename(&path, root.join("format")).on("rename", &path)?;
    drop(lock);
    Ok(())
}

fn make_directories(root: &Path) -> Result<()> {
    for directory in DIRECTORIES {
        let path = root.join(directory);
        fs::create_dir_all(&path).on("create", &path)?;
    }
    Ok(())
}

/// Makes sure that the file system holds attributes of the marks' kind. Without them a container on it runs until it
/// deletes a directory of a layer below, which then fails with an I/O error.
fn check_attributes(root: &Path, form: Form) -> Result<()> {
    let name = format!("{}.wiac", form.word());
    match rustix::fs::setxattr(root, &name, b"y", rustix::fs::XattrFlags::empty()) {
        Err(rustix::io::Errno::OPNOTSUPP) => Err(Error::NoAttributes {
            path: root.to_owned(),
            kind: form.word(),
        }),
        // What else may be wrong shows, and is said, where a mark is needed.
        Err(_) => Ok(()),
        Ok(()) => rustix::fs::removexattr(root, &name).on("mark", root),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_twice() {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = dir.path().join("data");
        Store::open(&root, Form::Trusted).expect("made");
        Store::open(&root, Form::Trusted).expect("opened");
        assert!(root.join("layers").is_dir());
    }

    #[test]
    fn a_home_is_found_in_the_database() {
        let database = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nodd:x:7:7:::\n";
        assert_eq!(home_of(database, 1000), Some(PathBuf::from("/home/ann")));
        assert_eq!(home_of(database, 7), None);
        assert_eq!(home_of(database, 100), None);
    }

    #[test]
    fn refuses_what_is_not_ours() {
        let dir = tempfile::tempdir().expect("tempdir");
        fs::write(dir.path().join("letters.txt"), "mine").expect("write");
        assert!(matches!(
            Store::open(dir.path(), Form::Trusted),
            Err(Error::Foreign { .. })
        ));
    }

    #[test]
    fn one_that_is_being_made_is_ours() {
        let dir = tempfile::tempdir().expect("tempdir");
        assert!(is_empty_or_ours(dir.path()));
        fs::create_dir_all(dir.path().join("images/names")).expect("mkdir");
        fs::write(dir.path().join("format.new"), "wi").expect("write");
        assert!(is_empty_or_ours(dir.path()));
        fs::write(dir.path().join("letters.txt"), "mine").expect("write");
        assert!(!is_empty_or_ours(dir.path()));
        Store::open(&dir.path().join("tmp"), Form::Trusted).expect("made");
        assert!(is_empty_or_ours(&dir.path().join("tmp")));
    }

    #[test]
    fn what_a_kill_left_of_the_making_is_gone_on_with() {
        let dir = tempfile::tempdir().expect("tempdir");
        fs::create_dir(dir.path().join("layers")).expect("mkdir");
        fs::write(dir.path().join("format.new"), "wi").expect("write");
        Store::open(dir.path(), Form::Trusted).expect("made");
        let mut names: Vec<_> = fs::read_dir(dir.path()).expect("list").flatten().collect();
        names.retain(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        assert_eq!(names.len(), 1, "the format alone: {names:?}");
    }

    #[test]
    fn what_a_power_loss_left_of_the_format_is_written_again() {
        let dir = tempfile::tempdir().expect("tempdir");
        Store::open(dir.path(), Form::Trusted).expect("made");
        let format = dir.path().join("format");
        fs::write(&format, "").expect("write");
        Store::open(dir.path(), Form::Trusted).expect("opened");
        assert_eq!(fs::read_to_string(&format).expect("read").trim(), "wiac 2 trusted");
    }

    #[test]
    fn refuses_layers_of_the_other_form() {
        let dir = tempfile::tempdir().expect("tempdir");
        Store::open(dir.path(), Form::Trusted).expect("made");
        let error = Store::open(dir.path(), Form::User).expect_err("the other form");
        assert!(error.to_string().contains("made by root"), "{error}");
    }

    #[test]
    fn an_older_one_gets_what_it_lacks() {
        let dir = tempfile::tempdir().expect("tempdir");
        fs::create_dir(dir.path().join("layers")).expect("mkdir");
        fs::write(dir.path().join("format"), "wiac 1 trusted\n").expect("write");
        assert!(Store::open(dir.path(), Form::User).is_err(), "of the other form");
        Store::open(dir.path(), Form::Trusted).expect("opened");
        assert!(dir.path().join("diff-ids").is_dir());
        let format = fs::read_to_string(dir.path().join("format")).expect("read");
        assert_eq!(format, "wiac 2 trusted\n");
    }

    #[test]
    fn refuses_an_unknown_format() {
        let dir = tempfile::tempdir().expect("tempdir");
        fs::write(dir.path().join("format"), "wiac 99\n").expect("write");
        let error = Store::open(dir.path(), Form::Trusted).expect_err("unknown");
        assert!(error.to_string().contains("wiac 99"), "{error}");
    }
}
