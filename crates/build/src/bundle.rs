//! Bundles: programs with everything they need to start, as a directory or as the layer of an image.

use crate::copy;
use crate::directory::{self, Owner, Shown, open_in};
use crate::dockerfile::empty_config;
use crate::error::{Error, IoExt, Result};
use crate::hashes::HashTable;
use crate::key::KeyMaker;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Mode};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use wiac_layer::Form;
use wiac_loader::{Closure, Collector, EntryKind, Set};
use wiac_oci::image::{History, ImageConfig};
use wiac_oci::runtime::DEFAULT_PATH;
use wiac_oci::time::now;
use wiac_store::layer::Draft;
use wiac_store::{HeldLayer, LayerId, LayerInfo, Store};
use wiac_sys::root::Root;

/// What the name of a bundle begins with wherever an image is named: `bundle://bash,ls`.
pub const SCHEME: &str = "bundle://";

/// What goes into a bundle.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Programs: paths, or names looked up in PATH.
    pub programs: Vec<OsString>,
    /// What programs load without saying so.
    pub sets: Vec<Set>,
    /// Files and directories beside.
    pub files: Vec<PathBuf>,
}

/// Computes the closure of what is wanted in `root`; names without a slash are looked for in `search_path`.
///
/// # Errors
/// What isn't there, named with who needs it and where it was looked for.
pub fn closure(root: &Root, search_path: &str, working_directory: &Path, wanted: &Wanted) -> Result<Closure> {
    let mut collector = Collector::new(root)
        .search_path(search_path)
        .working_directory(working_directory);
    for program in &wanted.programs {
        collector.add_program(program)?;
    }
    for set in &wanted.sets {
        collector.with(*set);
    }
    for file in &wanted.files {
        collector.add(file)?;
    }
    Ok(collector.finish()?)
}

/// Copies a closure out of `root` into the directory `destination`, which may have things in it already: directories
/// there stay as they are, files are replaced. New directories look like those they are copied from, times included.
///
/// # Errors
/// What can't be read or written; a file that stands where a directory should go, and the other way round.
pub fn place(root: &Path, closure: &Closure, destination: &Path, ownership: copy::Ownership) -> Result<copy::Report> {
    let mut placing = Placing {
        copier: copy::Copier::new(copy::Options {
            ownership,
            ..copy::Options::default()
        }),
        owner: match ownership {
            copy::Ownership::Keep => Owner::Copied,
            copy::Ownership::Fixed { .. } | copy::Ownership::Caller => Owner::Left,
        },
        open: vec![(
            PathBuf::from("/"),
            directory::open(root)?,
            directory::open(destination)?,
            false,
        )],
        root,
        destination,
    };
    for entry in &closure.entries {
        placing.leave_to(entry.path.parent().unwrap_or(Path::new("/")))?;
        match entry.kind {
            EntryKind::Directory => placing.enter(&entry.path)?,
            EntryKind::File | EntryKind::Symlink(_) => placing.copy(&entry.path)?,
        }
    }
    placing.leave_to(Path::new("/"))?;
    Ok(placing.copier.report())
}

/// A walk through the sorted entries of a closure.
struct Placing<'p> {
    copier: copy::Copier,
    /// Of directories.
    owner: Owner,
    /// Directories entered, the root first: path, source, copy, and whether the copy was made here.
    open: Vec<(PathBuf, OwnedFd, OwnedFd, bool)>,
    root: &'p Path,
    destination: &'p Path,
}

impl Placing<'_> {
    /// Leaves directories until `path` is the innermost one. What was made gets its metadata now that all is in it.
    fn leave_to(&mut self, path: &Path) -> Result<()> {
        while let Some((here, from, to, made)) = self.open.pop_if(|(here, ..)| !path.starts_with(&*here)) {
            if made {
                let (from_path, to_path) = self.shown(&here);
                let from = Shown {
                    directory: from.as_fd(),
                    path: &from_path,
                };
                let to = Shown {
                    directory: to.as_fd(),
                    path: &to_path,
                };
                directory::copy_metadata(from, to, self.owner)?;
            }
        }
        Ok(())
    }

    fn shown(&self, path: &Path) -> (PathBuf, PathBuf) {
        let relative = path.strip_prefix("/").unwrap_or(path);
        (self.root.join(relative), self.destination.join(relative))
    }

    fn enter(&mut self, path: &Path) -> Result<()> {
        let (from_path, to_path) = self.shown(path);
        let name = path.file_name().unwrap_or_default();
        let Some((_, from, to, _)) = self.open.last() else {
            return Err(outside());
        };
        let from = open_in(from, name).on("open", &from_path)?;
        let made = match rustix::fs::mkdirat(to, name, Mode::from_raw_mode(0o700)) {
            Ok(()) => true,
            Err(rustix::io::Errno::EXIST) => false,
            Err(errno) => return Err(errno).on("create", &to_path),
        };
        let to = open_in(to, name).on("open", &to_path)?;
        if made {
            // The rest follows when all is in it; a run that is cut off leaves a directory that others can enter, since the
            // next one takes it for somebody's own.
            let mode = rustix::fs::fstat(&from).on("look at", &from_path)?.st_mode;
            let mode = Mode::from_raw_mode(mode) & (Mode::RWXU | Mode::RWXG | Mode::RWXO) | Mode::RWXU;
            rustix::fs::fchmod(&to, mode).on("change the mode of", &to_path)?;
        }
        self.open.push((path.to_owned(), from, to, made));
        Ok(())
    }

    fn copy(&mut self, path: &Path) -> Result<()> {
        let (from_path, to_path) = self.shown(path);
        let name = path.file_name().unwrap_or_default();
        let Some((_, from, to, _)) = self.open.last() else {
            return Err(outside());
        };
        let from = copy::Place {
            dir: from.as_fd(),
            name,
            shown: &from_path,
        };
        Ok(self.copier.copy(
            &from,
            &copy::Place {
                dir: to.as_fd(),
                name,
                shown: &to_path,
            },
        )?)
    }
}

fn outside() -> Error {
    Error::wrong("the closure has an entry outside of its root")
}

/// A bundle in the store.
#[derive(Debug)]
pub struct Bundle {
    /// Its one layer, held.
    pub layer: HeldLayer,
    /// An image configuration for it: it starts the first program.
    pub config: ImageConfig,
    /// The layer was there already.
    pub cached: bool,
}

/// What [`layer`] would put into the layer for `programs`, and the configuration it would have.
///
/// # Errors
/// As [`closure`].
pub fn plan(programs: &str) -> Result<(Closure, ImageConfig)> {
    let wanted = parse(programs)?;
    let root = Root::open("/").on("open", Path::new("/"))?;
    let closure = closure(&root, DEFAULT_PATH, Path::new("/"), &wanted)?;
    let config = bare_config(&closure);
    Ok((closure, config))
}

/// The layer for `programs`, names with commas between, from the host's own root. The same files give the same layer.
///
/// # Errors
/// As [`closure`] and [`place`].
pub fn layer(store: &Store, programs: &str) -> Result<Bundle> {
    let wanted = parse(programs)?;
    let root = Root::open("/").on("open", Path::new("/"))?;
    // The same names must mean the same programs for everybody: the caller's PATH doesn't count.
    let closure = closure(&root, DEFAULT_PATH, Path::new("/"), &wanted)?;
    let key = key(store, &closure)?;
    let said = format!("BUNDLE {programs}");
    let cached = store.cached_step(&key)?;
    let was_cached = cached.is_some();
    let layer = if let Some(layer) = cached {
        layer
    } else {
        let draft = Draft::new(store)?;
        place(Path::new("/"), &closure, &draft.diff(), ownership(store))?;
        let info = LayerInfo {
            form: store.form(),
            lineage: key.clone(),
            created_by: said.clone(),
            created: now(),
            unpacked_from: None,
            elsewhere: None,
        };
        let layer = draft.commit(store, &info)?;
        store.remember_step(&key, &layer.id)?;
        layer
    };
    let config = config(store, &closure, &layer.id, said)?;
    Ok(Bundle {
        layer,
        config,
        cached: was_cached,
    })
}

/// In a user namespace the host's root is nobody: what it owns belongs to the namespace's root in a bundle.
fn ownership(store: &Store) -> copy::Ownership {
    match store.form() {
        Form::Trusted => copy::Ownership::Keep,
        Form::User => copy::Ownership::Caller,
    }
}

fn parse(programs: &str) -> Result<Wanted> {
    if programs.split(',').any(str::is_empty) {
        return Err(Error::wrong_with_hint(
            format!("{SCHEME}{programs}: a program has no name"),
            "write names with commas between, such as bundle://sh,ls",
        ));
    }
    Ok(Wanted {
        programs: programs.split(',').map(OsString::from).collect(),
        ..Wanted::default()
    })
}

/// It starts the first program.
fn bare_config(closure: &Closure) -> ImageConfig {
    let mut config = empty_config(&wiac_oci::manifest::Platform::host());
    config.config.env = vec![format!("PATH={DEFAULT_PATH}")];
    config.config.cmd = closure
        .programs
        .first()
        .map(|program| vec![program.found.to_string_lossy().into_owned()]);
    config
}

fn config(store: &Store, closure: &Closure, layer: &LayerId, said: String) -> Result<ImageConfig> {
    let mut config = bare_config(closure);
    let created = Some(store.layer_info(layer)?.created);
    config.created.clone_from(&created);
    config.history.push(History {
        created,
        created_by: Some(said),
        ..History::default()
    });
    Ok(config)
}

/// What makes a bundle the same bundle: every path with its type, owner, mode and contents.
fn key(store: &Store, closure: &Closure) -> Result<String> {
    let root = directory::open(Path::new("/"))?;
    let hashes = HashTable::load(store, Path::new("/"))?;
    let mut key = KeyMaker::new("bundle");
    for entry in &closure.entries {
        key.add(entry.path.as_os_str().as_bytes());
        key.add(format!("{:o}", entry.metadata.mode));
        if ownership(store) == copy::Ownership::Keep {
            key.add(format!("{} {}", entry.metadata.uid, entry.metadata.gid));
        }
        match &entry.kind {
            EntryKind::Directory => key.add("directory"),
            EntryKind::Symlink(text) => key.add(text.as_os_str().as_bytes()),
            EntryKind::File => {
                let relative = entry.path.strip_prefix("/").unwrap_or(&entry.path);
                let stat = rustix::fs::statat(&root, relative, AtFlags::SYMLINK_NOFOLLOW).on("look at", &entry.path)?;
                let hash = hashes
                    .hash(root.as_fd(), relative.as_os_str(), &entry.path, &stat)
                    .on("read", &entry.path)?;
                key.add(hash);
            }
        }
    }
    hashes.save(store)?;
    Ok(key.finish())
}
