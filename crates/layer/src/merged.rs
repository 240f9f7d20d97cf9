//! The merged view of a stack of layers, without mounting it: what a container on these layers would see.
//!
//! Lookups go component by component through descriptors and never follow a symlink by the kernel, so that a layer
//! written by a stranger can't lead out of the stack.

use crate::error::{Error, IoExt, Result};
use crate::marks::{is_opaque, is_whiteout, status};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Dir, FileType, Mode, OFlags, Stat};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Symlinks followed in one lookup, as in the kernel.
const MAX_LINKS: usize = 40;

/// Directories of layers, base first.
#[derive(Debug, Default)]
pub struct LayerStack {
    directories: Vec<PathBuf>,
    /// The directories opened, topmost first, from the first lookup on.
    roots: OnceLock<Vec<Arc<OwnedFd>>>,
}

/// A clone opens the directories anew.
impl Clone for LayerStack {
    fn clone(&self) -> Self {
        Self::new(self.directories.clone())
    }
}

/// One directory of the merged tree: the directories it is merged from, topmost first.
#[derive(Debug, Clone)]
pub struct MergedDirectory {
    parts: Vec<Arc<OwnedFd>>,
}

/// What a lookup found.
#[derive(Debug)]
pub enum Found {
    /// A directory, merged from one or more layers.
    Directory(MergedDirectory),
    /// Anything else: its directory in the topmost layer that has it, its name there, its status.
    Other {
        /// The directory in one layer.
        parent: Arc<OwnedFd>,
        /// The name in it.
        name: OsString,
        /// Its status.
        status: Box<Stat>,
    },
}

/// Where a path leads: what is there, under which path without symlinks.
#[derive(Debug)]
pub struct Resolved {
    /// The path from the root, without symlinks; components past the first missing one as they were given.
    pub path: PathBuf,
    /// What is there; `None` where nothing is.
    pub found: Option<Found>,
    /// The deepest directory that exists on the way, with the number of components of `path` that lead to it.
    pub deepest: (MergedDirectory, usize),
}

impl LayerStack {
    /// The stack of these directories, base first.
    pub fn new(directories: Vec<PathBuf>) -> Self {
        Self {
            directories,
            roots: OnceLock::new(),
        }
    }

    /// The directories, base first.
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// The same with one more directory on top.
    #[must_use]
    pub fn with_upper(&self, upper: &Path) -> Self {
        let mut directories = self.directories.clone();
        directories.push(upper.to_owned());
        Self::new(directories)
    }

    /// Whether there is no layer at all.
    pub fn is_empty(&self) -> bool {
        self.directories.is_empty()
    }

    /// The root directory.
    pub fn root(&self) -> Result<MergedDirectory> {
        if let Some(roots) = self.roots.get() {
            return Ok(MergedDirectory { parts: roots.clone() });
        }
        let mut parts = Vec::with_capacity(self.directories.len());
        for path in self.directories.iter().rev() {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            parts.push(Arc::new(rustix::fs::open(path, flags, Mode::empty()).on("open", path)?));
        }
        Ok(MergedDirectory {
            parts: self.roots.get_or_init(|| parts).clone(),
        })
    }

    /// Follows `path`, symlinks included, from the root; ".." never leads above it.
    ///
    /// # Errors
    /// Too many symlinks, a component that is no directory, or what the disk says.
    pub fn resolve(&self, path: &Path) -> Result<Resolved> {
        Walk::new(self, path)?.run()
    }

    /// The text of a small file such as /etc/passwd; `None` where it doesn't exist or isn't a regular file.
    pub fn read_text(&self, path: &Path) -> Result<Option<String>> {
        /// Nobody's user database is larger.
        const LIMIT: u64 = 16 << 20;
        let Some(Found::Other { parent, name, status }) = self.resolve(path)?.found else {
            return Ok(None);
        };
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name.as_os_str(), flags, Mode::empty()).on("open", path)?;
        let mut bytes = Vec::new();
        std::fs::File::from(file)
            .take(LIMIT)
            .read_to_end(&mut bytes)
            .on("read", path)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

impl MergedDirectory {
    /// The directory in the topmost layer that has it: the one whose owner, mode and times count.
    pub fn topmost(&self) -> Option<&OwnedFd> {
        self.parts.first().map(AsRef::as_ref)
    }

    /// All names in it, sorted.
    pub fn names(&self) -> Result<Vec<OsString>> {
        let (mut names, mut hidden) = (BTreeSet::new(), BTreeSet::new());
        for part in &self.parts {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let directory = rustix::fs::openat(part, ".", flags, Mode::empty()).on("open", Path::new("."))?;
            let mut whiteouts = Vec::new();
            for entry in Dir::new(directory).on("list", Path::new("."))? {
                let entry = entry.on("list", Path::new("."))?;
                let name = OsStr::from_bytes(entry.file_name().to_bytes());
                if name == "." || name == ".." || hidden.contains(name) || names.contains(name) {
                    continue;
                }
                match status(part, name).on("look up", Path::new(name))? {
                    Some(stat) if is_whiteout(&stat) => whiteouts.push(name.to_owned()),
                    Some(_) => drop(names.insert(name.to_owned())),
                    None => {}
                }
            }
            hidden.extend(whiteouts);
        }
        Ok(names.into_iter().collect())
    }

    /// Looks `name` up, without following it if it is a symlink.
    pub fn entry(&self, name: &OsStr) -> Result<Option<Found>> {
        let mut merged: Vec<Arc<OwnedFd>> = Vec::new();
        for part in &self.parts {
            let Some(stat) = status(part, name).on("look up", Path::new(name))? else {
                continue;
            };
            if is_whiteout(&stat) {
                break;
            }
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                // A file below a directory of a higher layer is hidden by it.
                if merged.is_empty() {
                    return Ok(Some(Found::Other {
                        parent: Arc::clone(part),
                        name: name.to_owned(),
                        status: Box::new(stat),
                    }));
                }
                break;
            }
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let directory = rustix::fs::openat(part, name, flags, Mode::empty()).on("open", Path::new(name))?;
            let opaque = is_opaque(directory.as_fd())?;
            merged.push(Arc::new(directory));
            if opaque {
                break;
            }
        }
        Ok((!merged.is_empty()).then_some(Found::Directory(Self { parts: merged })))
    }
}

/// A lookup under way.
struct Walk {
    /// Components still to go, the next one last.
    rest: Vec<OsString>,
    /// Directories entered, the root first, each but the root with its name.
    entered: Vec<MergedDirectory>,
    names: Vec<OsString>,
    links: usize,
    asked: PathBuf,
}

impl Walk {
    fn new(stack: &LayerStack, path: &Path) -> Result<Self> {
        let mut walk = Self {
            rest: Vec::new(),
            entered: vec![stack.root()?],
            names: Vec::new(),
            links: 0,
            asked: path.to_owned(),
        };
        walk.push(path);
        Ok(walk)
    }

    fn push(&mut self, path: &Path) {
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => self.rest.push(name.to_owned()),
                Component::ParentDir => self.rest.push("..".into()),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
    }

    fn run(mut self) -> Result<Resolved> {
        while let Some(name) = self.rest.pop() {
            if name == ".." {
                if self.names.pop().is_some() {
                    self.entered.pop();
                }
                continue;
            }
            let Some(current) = self.entered.last() else { break };
            match current.entry(&name)? {
                Some(Found::Directory(directory)) => {
                    self.entered.push(directory);
                    self.names.push(name);
                }
                Some(Found::Other { parent, name, status }) => {
                    if FileType::from_raw_mode(status.st_mode) == FileType::Symlink {
                        self.follow(&parent, &name)?;
                    } else if self.rest.is_empty() {
                        return self.finish(
                            Some(Found::Other {
                                parent,
                                name: name.clone(),
                                status,
                            }),
                            vec![name],
                        );
                    } else {
                        return Err(Error::Merged {
                            path: self.asked,
                            reason: "a component is not a directory",
                        });
                    }
                }
                None => {
                    let mut missing = vec![name];
                    missing.extend(std::mem::take(&mut self.rest).into_iter().rev());
                    return self.finish(None, missing);
                }
            }
        }
        let Some(last) = self.entered.last() else {
            return Err(Error::Merged {
                path: self.asked,
                reason: "the stack has no root",
            });
        };
        let found = Found::Directory(last.clone());
        self.finish(Some(found), Vec::new())
    }

    fn follow(&mut self, parent: &OwnedFd, name: &OsStr) -> Result<()> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Error::Merged {
                path: self.asked.clone(),
                reason: "too many symlinks on the way",
            });
        }
        let text = rustix::fs::readlinkat(parent, name, Vec::new()).on("read the symlink", Path::new(name))?;
        let target = PathBuf::from(OsString::from_vec(text.into_bytes()));
        if target.is_absolute() {
            self.entered.truncate(1);
            self.names.clear();
        }
        self.push(&target);
        Ok(())
    }

    fn finish(mut self, found: Option<Found>, tail: Vec<OsString>) -> Result<Resolved> {
        let depth = self.names.len();
        let mut path = PathBuf::from("/");
        path.extend(&self.names);
        for name in tail {
            if name == ".." {
                path.pop()
            } else {
                path.push(name);
                true
            };
        }
        let Some(deepest) = self.entered.pop() else {
            return Err(Error::Merged {
                path: self.asked,
                reason: "the stack has no root",
            });
        };
        Ok(Resolved {
            path,
            found,
            deepest: (deepest, depth),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Form;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn stack(layers: &[&[(&str, &str)]]) -> (tempfile::TempDir, LayerStack) {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut paths = Vec::new();
        for (number, files) in layers.iter().enumerate() {
            let layer = dir.path().join(number.to_string());
            fs::create_dir(&layer).expect("mkdir");
            for (path, text) in *files {
                make(&layer.join(path), text);
            }
            paths.push(layer);
        }
        (dir, LayerStack::new(paths))
    }

    fn make(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
        match text.split_once(':') {
            Some(("link", target)) => symlink(target, path).expect("symlink"),
            Some(("whiteout", _)) => {
                rustix::fs::mknodat(rustix::fs::CWD, path, FileType::CharacterDevice, Mode::empty(), 0)
                    .expect("whiteout");
            }
            _ => fs::write(path, text).expect("write"),
        }
    }

    fn read(stack: &LayerStack, path: &str) -> Option<String> {
        stack.read_text(Path::new(path)).expect("readable")
    }

    #[test]
    fn the_topmost_wins() {
        let (_dir, stack) = stack(&[
            &[("etc/passwd", "old"), ("etc/group", "base")],
            &[("etc/passwd", "new")],
        ]);
        assert_eq!(read(&stack, "/etc/passwd").as_deref(), Some("new"));
        assert_eq!(read(&stack, "/etc/group").as_deref(), Some("base"));
        assert_eq!(read(&stack, "/etc/shadow"), None);
    }

    #[test]
    fn deletions_hide() {
        let (_dir, stack) = stack(&[
            &[("a/b", "x"), ("c", "y")],
            &[("c", "whiteout:")],
            &[("a", "whiteout:")],
        ]);
        assert_eq!(read(&stack, "/c"), None);
        assert_eq!(read(&stack, "/a/b"), None);
    }

    #[test]
    fn an_opaque_directory_hides() {
        let (dir, stack) = stack(&[&[("d/old", "x")], &[("d/new", "y")]]);
        let name = Form::User.attribute("opaque");
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(dir.path().join("1/d"), name, b"y", flags).expect("user xattrs on the test's disk");
        assert_eq!(read(&stack, "/d/old"), None);
        assert_eq!(read(&stack, "/d/new").as_deref(), Some("y"));
    }

    #[test]
    fn links_are_resolved_in_the_merged_tree() {
        let (_dir, stack) = stack(&[
            &[
                ("usr/lib64/x", "x"),
                ("lib64", "link:usr/lib64"),
                ("abs", "link:/usr/lib64"),
            ],
            &[("usr/lib64/y", "y"), ("up", "link:../../../usr/lib64")],
        ]);
        for path in ["/lib64/y", "/abs/y", "/up/x", "lib64/../lib64/y"] {
            assert!(read(&stack, path).is_some(), "{path}");
        }
        let resolved = stack.resolve(Path::new("/lib64/new/file")).expect("resolved");
        assert_eq!(resolved.path, Path::new("/usr/lib64/new/file"));
        assert!(resolved.found.is_none());
        assert_eq!(resolved.deepest.1, 2);
    }

    #[test]
    fn a_loop_of_links_is_an_error() {
        let (_dir, stack) = stack(&[&[("a", "link:b"), ("b", "link:a")]]);
        assert!(stack.resolve(Path::new("/a")).is_err());
    }
}
