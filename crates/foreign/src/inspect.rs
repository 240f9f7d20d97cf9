//! Looks for marks in layers that overlayfs, as we mount it, can't use.
//!
//! We mount with `metacopy=off,redirect_dir=nofollow`, in one form of marks. A layer that its tool made from a tar has
//! nothing but whiteouts and opaque marks of the store's own form. Others come from id-shifting, hostile tars, or
//! fuse-overlayfs. The kernel refuses to follow redirects and files without data (EPERM, seen on 6.18), late and one by
//! one; marks of another form bring deleted files back without a word. Hence one walk over every file: what has
//! extended attributes is told by one call of llistxattr(2) each, and names come with the directory.

use crate::error::{Error, IoExt, Result};
use crate::image::{Layer, Marks};
use rustix::fs::{FileType, Mode, OFlags, RawDir, ResolveFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use wiac_layer::Form;

const REMEDY: &str = "copy it with `skopeo copy` to an oci-archive and load that";

/// Looks through the layers, several at once, and sets their form where one has opaque marks.
pub(crate) fn layers(layers: &mut [Layer]) -> Result<()> {
    let threads = std::thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(layers.len());
    let next = AtomicUsize::new(0);
    let shared: &[Layer] = layers;
    let work = || {
        let mut found = Vec::new();
        while let (at, Some(layer)) = take(&next, shared) {
            if layer.marks == Marks::Unknown {
                found.push((at, walk(&layer.diff)));
            }
        }
        found
    };
    let found: Vec<_> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads)
            .filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        let mut found = work();
        for other in others {
            match other.join() {
                Ok(more) => found.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        found
    });
    for (at, result) in found {
        layers[at].marks = result?.map_or(Marks::None, Marks::Of);
    }
    agree(layers)
}

/// Gives all layers the form that some of them have: those without marks of their own go with the others.
fn agree(layers: &mut [Layer]) -> Result<()> {
    let mut common: Option<Form> = None;
    for layer in layers.iter() {
        let Marks::Of(form) = layer.marks else {
            continue;
        };
        if let Some(other) = common.filter(|other| *other != form) {
            let (form, other) = (form.word(), other.word());
            let what = format!("it has {form}.overlay marks, another layer of the image {other}.overlay ones");
            return Err(refusal(&layer.diff, &what));
        }
        common = Some(form);
    }
    for layer in layers {
        layer.form = common.unwrap_or(layer.form);
    }
    Ok(())
}

/// The next layer that nobody has taken yet.
fn take<'a>(next: &AtomicUsize, layers: &'a [Layer]) -> (usize, Option<&'a Layer>) {
    let at = next.fetch_add(1, Ordering::Relaxed);
    (at, layers.get(at))
}

/// Looks through one layer directory; the form of its opaque marks, where it has any.
fn walk(top: &Path) -> Result<Option<Form>> {
    let root = rustix::fs::open(
        top,
        OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .on("open", top)?;
    let mut seen = Seen::default();
    let mut buffer = [MaybeUninit::uninit(); 8 << 10];
    let mut waiting = vec![PathBuf::new()];
    while let Some(relative) = waiting.pop() {
        let path = || top.join(&relative);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let directory = rustix::fs::openat2(&root, Path::new(".").join(&relative), flags, Mode::empty(), resolve)
            .on("open", &path())?;
        seen.attributes(&path(), |list| rustix::fs::flistxattr(&directory, list))?;
        let mut entries = RawDir::new(&directory, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.on("read", &path())?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            if name.as_bytes().starts_with(b".wh.") {
                // As in a tar: fuse-overlayfs where it may not make device nodes.
                return Err(refusal(&path().join(name), "it is a whiteout of fuse-overlayfs's form"));
            }
            match kind_of(&directory, &entry).on("read", &path())? {
                FileType::Directory => waiting.push(relative.join(name)),
                FileType::RegularFile => {
                    let file = path().join(name);
                    seen.attributes(&file, |list| rustix::fs::llistxattr(&file, list))?;
                }
                _ => {}
            }
        }
    }
    Ok(seen.form.map(|(form, _)| form))
}

/// The kind of an entry; some file systems don't tell it with the name.
fn kind_of(directory: impl rustix::fd::AsFd, entry: &rustix::fs::RawDirEntry<'_>) -> rustix::io::Result<FileType> {
    match entry.file_type() {
        FileType::Unknown => {
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            let stat = rustix::fs::statat(directory, entry.file_name(), flags)?;
            Ok(FileType::from_raw_mode(stat.st_mode))
        }
        known => Ok(known),
    }
}

/// What was met so far.
#[derive(Default)]
struct Seen {
    form: Option<(Form, PathBuf)>,
}

impl Seen {
    /// Takes the attributes of a file.
    fn attributes(&mut self, path: &Path, list: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> Result<()> {
        let mut short = [0u8; 512];
        let length = match list(&mut short) {
            Ok(0) | Err(Errno::NOTSUP) => return Ok(()),
            Ok(length) => length,
            Err(Errno::RANGE) => {
                // The kernel's own limit for the list of one file.
                let mut long = vec![0u8; 64 << 10];
                let length = list(&mut long).on("read the attributes of", path)?;
                return long[..length]
                    .split(|&byte| byte == 0)
                    .try_for_each(|name| self.attribute(name, path));
            }
            Err(errno) => return Err(errno).on("read the attributes of", path),
        };
        short[..length]
            .split(|&byte| byte == 0)
            .try_for_each(|name| self.attribute(name, path))
    }

    fn attribute(&mut self, name: &[u8], path: &Path) -> Result<()> {
        if name.starts_with(b"user.fuseoverlayfs.") {
            return Err(refusal(path, "it has marks of fuse-overlayfs's form"));
        }
        if name == b"user.containers.override_stat" {
            return Err(refusal(
                path,
                "its owner and mode are kept in an attribute (force_mask)",
            ));
        }
        let Some((form, mark)) = overlay_mark(name) else {
            return Ok(());
        };
        match mark {
            b"redirect" => Err(refusal(
                path,
                "it is redirected to another path of a lower layer (redirect_dir)",
            )),
            b"metacopy" => Err(refusal(path, "its data are in a lower layer (metacopy)")),
            b"opaque" => self.opaque(form, path),
            _ => Ok(()),
        }
    }

    fn opaque(&mut self, form: Form, path: &Path) -> Result<()> {
        match &self.form {
            Some((other, _)) if *other != form => {
                let what = format!(
                    "it has {}.overlay marks where others have {}'s",
                    form.word(),
                    other.word()
                );
                Err(refusal(path, &what))
            }
            Some(_) => Ok(()),
            None => {
                self.form = Some((form, path.to_owned()));
                Ok(())
            }
        }
    }
}

/// The form and the name of one of overlayfs's attributes.
fn overlay_mark(name: &[u8]) -> Option<(Form, &[u8])> {
    [Form::Trusted, Form::User].into_iter().find_map(|form| {
        let prefix = form.attribute("");
        Some((form, name.strip_prefix(prefix.as_bytes())?))
    })
}

fn refusal(path: &Path, what: &str) -> Error {
    Error::unsupported(path, what, REMEDY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{XattrFlags, setxattr};

    fn tree() -> tempfile::TempDir {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(top.path().join("a/b")).unwrap();
        std::fs::write(top.path().join("a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink("/", top.path().join("a/root")).unwrap();
        top
    }

    fn mark(path: impl AsRef<Path>, name: &str) {
        setxattr(path.as_ref(), name, b"y", XattrFlags::empty())
            .unwrap_or_else(|error| panic!("the temporary directory must take {name} ({error})"));
    }

    #[test]
    fn the_form_is_found() {
        let top = tree();
        assert_eq!(walk(top.path()).unwrap(), None);
        mark(top.path().join("a/b"), "user.overlay.opaque");
        assert_eq!(walk(top.path()).unwrap(), Some(Form::User));
        mark(top.path().join("a/b"), "user.overlay.origin");
        assert_eq!(walk(top.path()).unwrap(), Some(Form::User));
    }

    #[test]
    fn what_overlayfs_cannot_use_is_refused_by_name() {
        for (file, name, word) in [
            ("a/b", "user.overlay.redirect", "redirect"),
            ("a/b/file", "user.overlay.metacopy", "metacopy"),
            ("a", "user.fuseoverlayfs.opaque", "fuse-overlayfs"),
            ("a/b/file", "user.containers.override_stat", "force_mask"),
        ] {
            let top = tree();
            mark(top.path().join(file), name);
            let message = walk(top.path()).unwrap_err().to_string();
            let place = top.path().join(file);
            assert!(
                message.contains(word) && message.contains(place.to_str().unwrap()),
                "{message}"
            );
        }
        let top = tree();
        std::fs::write(top.path().join("a/.wh.b"), "").unwrap();
        assert!(walk(top.path()).unwrap_err().to_string().contains("fuse-overlayfs"));
    }

    #[test]
    fn many_attributes_are_all_seen() {
        let top = tree();
        for number in 0..40 {
            mark(top.path().join("a"), &format!("user.some-attribute-{number}"));
        }
        mark(top.path().join("a"), "user.overlay.opaque");
        assert_eq!(walk(top.path()).unwrap(), Some(Form::User));
    }

    #[test]
    fn layers_agree_on_a_form() {
        let tops = [tree(), tree(), tree()];
        let layer = |top: &tempfile::TempDir| Layer {
            diff: top.path().to_owned(),
            form: Form::Trusted,
            marks: Marks::Unknown,
            diff_id: None,
            size: None,
            tar_split: None,
            blob: None,
        };
        let mut image: Vec<_> = tops.iter().map(layer).collect();
        layers(&mut image).unwrap();
        assert!(
            image
                .iter()
                .all(|layer| (layer.form, layer.marks) == (Form::Trusted, Marks::None))
        );
        // What is known already isn't looked at again.
        mark(tops[0].path().join("a"), "user.overlay.opaque");
        layers(&mut image).unwrap();
        assert_eq!(image[0].marks, Marks::None);
        image[0].marks = Marks::Unknown;
        layers(&mut image).unwrap();
        assert_eq!(image[0].marks, Marks::Of(Form::User));
        assert!(image.iter().all(|layer| layer.form == Form::User));
        image[2].marks = Marks::Of(Form::Trusted);
        assert!(layers(&mut image).unwrap_err().to_string().contains("another layer"));
    }

    #[test]
    fn both_forms_are_refused() {
        let (mut seen, path) = (Seen::default(), Path::new("/x"));
        seen.attribute(b"trusted.overlay.opaque", path).unwrap();
        seen.attribute(b"trusted.overlay.opaque", path).unwrap();
        assert!(seen.attribute(b"user.overlay.opaque", path).is_err());
    }
}
