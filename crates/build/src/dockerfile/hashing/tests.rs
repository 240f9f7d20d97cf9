//! Large directories, several threads, and files that change between being hashed and being copied.

use super::super::earlier::is_unchanged;
use super::super::tree::pick;
use super::*;
use crate::copy::{Copier, ListedTree, Options, Place};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use wiac_layer::Form;
use wiac_store::Store;

struct Room {
    _directory: tempfile::TempDir,
    store: Store,
    context: PathBuf,
}

impl Room {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("tempdir");
        let store = Store::open(&directory.path().join("data"), Form::User).expect("store");
        let context = directory.path().join("context");
        fs::create_dir(&context).expect("mkdir");
        Self {
            _directory: directory,
            store,
            context,
        }
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.context.join(name);
        fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
        fs::write(path, text).expect("written");
    }

    fn source(&self) -> Source {
        Source::context(&self.store, &self.context, None).expect("context")
    }
}

/// The key of everything in a context, and what was found out.
fn look(source: &Source, how: How) -> Result<(String, Inputs)> {
    let picked = everything(source);
    let mut key = KeyMaker::new("test");
    let inputs = add_to_key(source, &picked, &IgnorePatterns::default(), how, &mut key)?;
    Ok((key.finish(), inputs))
}

fn everything(source: &Source) -> Vec<Picked> {
    pick(source, &[".".to_owned()], &IgnorePatterns::default()).expect("there")
}

const ALONE: How = How {
    owners: false,
    list: true,
    is_busy: true,
};

const TOGETHER: How = How {
    is_busy: false,
    ..ALONE
};

#[test]
fn several_threads_find_what_one_finds() {
    let room = Room::new();
    for number in 0..9000 {
        let (a, b) = (number % 7, number % 45);
        room.write(&format!("{a}/{b} x/{number}"), &number.to_string());
    }
    let source = room.source();
    let (key, inputs) = look(&source, ALONE).expect("hashed");
    assert_eq!(
        (inputs.manifest.count, inputs.manifest.files.len()),
        (9000 + 7 + 315, 0)
    );
    let paths = |inputs: &Inputs| -> Vec<PathBuf> {
        let list = inputs.list.as_ref().expect("a list");
        list.iter().map(|listed| listed.path().to_owned()).collect()
    };
    assert!(paths(&inputs).is_sorted() && paths(&inputs).len() == 1 + 7 + 315);
    for _ in 0..5 {
        let (other_key, other) = look(&source, TOGETHER).expect("hashed");
        assert_eq!((&other_key, &other.fingerprint), (&key, &inputs.fingerprint));
        assert_eq!(paths(&other), paths(&inputs));
    }
    // From the table of an earlier build.
    source.save_hashes(&room.store).expect("saved");
    assert_eq!(look(&room.source(), TOGETHER).expect("hashed").0, key);
    // Each thing that counts, counts.
    room.write("6/44 x/more", "");
    assert_ne!(look(&room.source(), TOGETHER).expect("hashed").0, key);
    fs::rename(room.context.join("6/44 x/more"), room.context.join("6/more")).expect("renamed");
    assert_ne!(look(&room.source(), TOGETHER).expect("hashed").0, key);
    fs::remove_file(room.context.join("6/more")).expect("removed");
    assert_eq!(look(&room.source(), TOGETHER).expect("hashed").0, key);
    room.write("3/3 x/3", "4");
    assert_ne!(look(&room.source(), TOGETHER).expect("hashed").0, key);
}

#[test]
fn the_first_error_is_told() {
    let room = Room::new();
    for number in 0..9000 {
        room.write(&format!("{:03}/{number}", number % 100), "");
    }
    for name in ["003/fifo", "050/fifo", "099/fifo"] {
        let path = room.context.join(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR).expect("mkfifo");
    }
    let source = room.source();
    let expected = room.context.canonicalize().expect("there").join("003/fifo");
    for how in [ALONE, TOGETHER, TOGETHER, TOGETHER] {
        let Err(error) = look(&source, how) else {
            panic!("a FIFO is taken");
        };
        assert!(error.to_string().contains(&expected.display().to_string()), "{error}");
    }
}

/// Copies the context to `to`, by a list, with the earlier copy beside.
fn copy_again(source: &Source, list: &[ListedDirectory], directory: &Path, to: &str) {
    let context = crate::directory::open(&source.place).expect("open");
    let here = crate::directory::open(directory).expect("open");
    let tree = ListedTree {
        directories: list,
        source: context.as_fd(),
        earlier: here.as_fd(),
        earlier_path: Path::new("earlier"),
    };
    let place = Place {
        dir: here.as_fd(),
        name: OsStr::new(to),
        shown: Path::new(to),
    };
    let mut copier = Copier::new(Options::default());
    copier.copy_listed(tree, &source.place, &place).expect("copied");
}

#[test]
fn a_copy_is_what_its_key_says() {
    let room = Room::new();
    for name in ["a", "b", "sub/c", "sub/deep/d", "z"] {
        room.write(name, name);
    }
    std::os::unix::fs::symlink("a", room.context.join("link")).expect("symlink");
    // Older than what clocks tell apart.
    std::thread::sleep(std::time::Duration::from_millis(80));
    let first = room.source();
    look(&first, TOGETHER).expect("hashed");
    first.save_hashes(&room.store).expect("saved");
    let layers = tempfile::tempdir_in(room.context.parent().expect("parent")).expect("tempdir");
    let status = std::process::Command::new("cp")
        .arg("-a")
        .args([&room.context, &layers.path().join("earlier")])
        .status();
    assert!(status.expect("cp").success());
    room.write("z", "zet");
    let source = room.source();
    let (_, inputs) = look(&source, TOGETHER).expect("hashed");
    let list = inputs.list.expect("a list");
    // After it was hashed: what is linked stays what it was, what comes is not seen.
    room.write("b", "not b");
    copy_again(&source, &list, layers.path(), "now");
    let inode = |name: &str| fs::metadata(layers.path().join(name)).expect("there").ino();
    let text = |name: &str| fs::read_to_string(layers.path().join(name)).expect("read");
    for name in ["a", "b", "sub/c", "sub/deep/d"] {
        assert_eq!(
            inode(&format!("now/{name}")),
            inode(&format!("earlier/{name}")),
            "{name}"
        );
        assert_eq!(text(&format!("now/{name}")), name);
    }
    assert_eq!((text("now/z"), text("now/link")), ("zet".to_owned(), "a".to_owned()));
    let [one] = everything(&source).try_into().expect("one directory");
    let is_unchanged = || is_unchanged(&source, &one, &list).expect("looked at");
    assert!(is_unchanged());
    room.write("z", "another");
    assert!(!is_unchanged());
    room.write("sub/deep/more", "");
    copy_again(&source, &list, layers.path(), "later");
    assert!(!layers.path().join("later/sub/deep/more").exists());
}
