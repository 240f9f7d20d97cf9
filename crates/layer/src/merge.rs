//! Several layer directories made one, by hard links: no data is read or written. For stacks of more layers than the
//! kernel takes.

use crate::Form;
use crate::copy;
use crate::dress::{Dresser, OwnerPolicy};
use crate::error::{IoExt, Result, not_marked};
use crate::marks::{hide_whiteouts_in, refuse_beyond_us};
use crate::merged::{Descent, Found, LayerStack, MergedDirectory};
use crate::meta::{meta_of_directory, meta_of_name};
use crate::owners::OwnerRecord;
use crate::path::{join, magic_path, shown};
use crate::spot::Spot;
use crate::unpack::inside::Inside;
use crate::xattrs;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, XattrFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How to merge.
#[derive(Clone, Copy, Default)]
pub struct MergeOptions<'a> {
    /// There are more layers below: what these delete of them stays marked.
    pub keep_marks: bool,
    /// For each layer, base first, what couldn't be put on disk as it was meant; may be shorter than the layers.
    pub owners: &'a [Option<&'a OwnerRecord>],
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Merged {
    /// Files that are another name of the layer's file.
    pub linked: u64,
    /// Files that had to be copied: another file system, too many names, or not the caller's.
    pub copied: u64,
    /// What of the layers' records holds for the result; `None` where nothing does.
    pub owners: Option<OwnerRecord>,
}

/// Merges layer directories, base first, into the empty directory `into`: what is seen through them, with their
/// topmost metadata. Names of one file in one layer stay names of one file. Holds up to two descriptors for each layer:
/// merge more than a few hundred in blocks.
///
/// # Errors
/// [`crate::Error::Archive`] for marks that can't be merged; [`crate::Error::Io`] for what the disk says. What was
/// made so far stays: the caller removes the directory.
pub fn merge(layers: &[PathBuf], into: impl AsFd, form: Form, options: &MergeOptions<'_>) -> Result<Merged> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(into, ".", flags, Mode::empty()).on("open", Path::new("."))?;
    let stack = LayerStack::new(layers.to_vec());
    let mut merging = Merging {
        dresser: Dresser::new(&root, OwnerPolicy::Set)?,
        inside: Inside::new(root),
        form,
        options,
        copies: HashMap::new(),
        result: Merged::default(),
    };
    merging.run(&stack)?;
    merging.dresser.record.extend(merging.result.owners.take());
    let record = merging.dresser.record;
    merging.result.owners = (!record.is_empty()).then_some(record);
    Ok(merging.result)
}

struct Merging<'m> {
    dresser: Dresser,
    inside: Inside,
    form: Form,
    options: &'m MergeOptions<'m>,
    /// Files with several names that were copied: where the copy is.
    copies: HashMap<(u64, u64), Vec<u8>>,
    result: Merged,
}

/// A directory whose names are being merged.
struct Level {
    path: Vec<u8>,
    /// Still to come, the next one last.
    names: Vec<OsString>,
    /// Nothing of the layers below shows through.
    hides: bool,
    /// It is this directory that gets the mark for that.
    opaque: bool,
    /// There are whiteouts in it, and it isn't the root, of which overlayfs leaves them out anyway.
    has_whiteouts: bool,
}

impl Merging<'_> {
    fn run(&mut self, stack: &LayerStack) -> Result<()> {
        if stack.is_empty() {
            return Ok(());
        }
        let mut descent = Descent::new(stack);
        let mut levels = vec![self.enter(&mut descent, stack.root()?, Vec::new(), !self.options.keep_marks, false)?];
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.names.pop() else {
                if let Some(level) = levels.pop() {
                    self.leave(descent.current(&level.path)?, &level)?;
                    descent.leave();
                }
                continue;
            };
            let path = join(&level.path, name.as_bytes());
            let found = descent.current(&level.path)?.look_up(&name)?;
            match found.found {
                None => {}
                Some((Found::Directory(directory), layer)) => {
                    self.note(&path, layer);
                    let parent = self.inside.directory(&level.path).at("open", &level.path)?;
                    rustix::fs::mkdirat(&parent, &name, Mode::RWXU).at("create", &path)?;
                    let (hides, opaque) = (level.hides || found.hides, !level.hides && found.hides);
                    let next = self.enter(&mut descent, directory, path, hides, opaque)?;
                    levels.push(next);
                }
                Some((Found::Other { parent, name, status }, layer)) => {
                    self.note(&path, layer);
                    let to = Spot {
                        parent: self.inside.directory(&level.path).at("open", &level.path)?,
                        name: &name,
                        path,
                    };
                    self.file(&parent, &name, &status, &to)?;
                }
            }
        }
        Ok(())
    }

    fn enter(
        &mut self,
        descent: &mut Descent<'_>,
        directory: MergedDirectory,
        path: Vec<u8>,
        hides: bool,
        opaque: bool,
    ) -> Result<Level> {
        let (mut names, deleted) = directory.names_and_deleted()?;
        names.reverse();
        if !hides && !deleted.is_empty() {
            let parent = self.inside.directory(&path).at("open", &path)?;
            for name in &deleted {
                let kind = FileType::CharacterDevice;
                let made = rustix::fs::mknodat(&parent, name, kind, Mode::empty(), 0);
                made.map_err(|errno| not_marked(errno, &join(&path, name.as_bytes())))?;
            }
        }
        descent.enter(directory);
        Ok(Level {
            has_whiteouts: !hides && !deleted.is_empty() && !path.is_empty(),
            path,
            names,
            hides,
            opaque,
        })
    }

    /// Gives a directory its mark and metadata, after all is in it.
    fn leave(&mut self, directory: &MergedDirectory, level: &Level) -> Result<()> {
        let Some((topmost, layer)) = directory.topmost_and_layer() else {
            return Ok(());
        };
        if level.path.is_empty() {
            self.note(b"", layer);
        }
        let path = shown(&level.path);
        let attributes =
            xattrs::all(&magic_path(topmost, OsStr::new(".")), true).on("read the attributes of", &path)?;
        refuse_beyond_us(&level.path, &attributes)?;
        let meta = meta_of_directory(topmost)?;
        let fd = self.inside.open(&level.path, OFlags::RDONLY).on("open", &path)?;
        if level.opaque {
            let name = self.form.attribute("opaque");
            rustix::fs::fsetxattr(&fd, name, b"y", XattrFlags::empty()).on("mark as opaque", &path)?;
        }
        if level.has_whiteouts {
            hide_whiteouts_in(&fd, self.form).on("mark", &path)?;
        }
        self.dresser.dress(fd.as_fd(), &level.path, &meta, None)
    }

    /// Links a file, or copies it.
    fn file(&mut self, parent: &OwnedFd, name: &OsStr, status: &Stat, to: &Spot<'_>) -> Result<()> {
        let attributes = xattrs::all(&magic_path(parent, name), false).at("read the attributes of", &to.path)?;
        refuse_beyond_us(&to.path, &attributes)?;
        // The width of these fields differs between architectures.
        #[allow(clippy::unnecessary_cast)]
        let file = (status.st_dev as u64, status.st_ino as u64);
        if let Some(copy) = self.copies.get(&file).cloned() {
            return self.link_copy(&copy, to);
        }
        match rustix::fs::linkat(parent, name, &to.parent, to.name, AtFlags::empty()) {
            Ok(()) => {
                self.result.linked += 1;
                return Ok(());
            }
            Err(Errno::MLINK | Errno::XDEV | Errno::PERM | Errno::NOTSUP) => {}
            Err(errno) => return Err(errno).at("link", &to.path),
        }
        self.copy(parent, name, status, to)?;
        self.result.copied += 1;
        if status.st_nlink > 1 {
            self.copies.insert(file, to.path.clone());
        }
        Ok(())
    }

    /// Gives a copy that was made before another name.
    fn link_copy(&mut self, copy: &[u8], to: &Spot<'_>) -> Result<()> {
        let slash = copy.iter().rposition(|byte| *byte == b'/');
        let (above, name) = slash.map_or((&b""[..], copy), |slash| (&copy[..slash], &copy[slash + 1..]));
        let parent = self.inside.directory(above).at("open", above)?;
        let name = OsStr::from_bytes(name);
        rustix::fs::linkat(&parent, name, &to.parent, to.name, AtFlags::empty()).at("link", &to.path)
    }

    fn copy(&mut self, parent: &OwnedFd, name: &OsStr, status: &Stat, to: &Spot<'_>) -> Result<()> {
        let meta = meta_of_name(parent, name, status)?;
        let kind = FileType::from_raw_mode(status.st_mode);
        match kind {
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let from = rustix::fs::openat(parent, name, flags, Mode::empty()).at("open", &to.path)?;
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file =
                    rustix::fs::openat(&to.parent, to.name, flags, Mode::RUSR | Mode::WUSR).at("create", &to.path)?;
                copy::contents(&from, &file).at("copy", &to.path)?;
                self.dresser.dress(file.as_fd(), &to.path, &meta, None)
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(parent, name, Vec::new()).at("read the link", &to.path)?;
                rustix::fs::symlinkat(&target, &to.parent, to.name).at("create", &to.path)?;
                self.dresser.dress_unopened(to, &meta, None)
            }
            _ => {
                let made = rustix::fs::mknodat(&to.parent, to.name, kind, Mode::empty(), status.st_rdev);
                made.at("create", &to.path)?;
                self.dresser.dress_unopened(to, &meta, Some(0))
            }
        }
    }

    /// Keeps what a layer's record says about a path that comes from it.
    fn note(&mut self, path: &[u8], layer: usize) {
        let record = self.options.owners.get(layer).copied().flatten();
        if let Some(intended) = record.and_then(|record| record.get(path)) {
            self.result
                .owners
                .get_or_insert_default()
                .insert(path, intended.clone());
        }
    }
}
