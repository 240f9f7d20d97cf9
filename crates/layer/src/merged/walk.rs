//! Following a path through the merged view, symlinks included.

use super::{Found, LayerStack, MergedDirectory, Resolved};
use crate::error::{Error, IoExt, Result};
use rustix::fd::OwnedFd;
use rustix::fs::FileType;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// Symlinks followed in one lookup, as in the kernel.
const MAX_LINKS: usize = 40;

/// A lookup under way.
pub(super) struct Walk {
    /// Components still to go, the next one last.
    rest: Vec<OsString>,
    /// Directories entered, the root first, each but the root with its name.
    entered: Vec<MergedDirectory>,
    names: Vec<OsString>,
    links: usize,
    asked: PathBuf,
}

impl Walk {
    pub(super) fn new(stack: &LayerStack, path: &Path) -> Result<Self> {
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

    pub(super) fn run(mut self) -> Result<Resolved> {
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
