//! How much space things take: the contents of layers, of directories, of blobs.

mod table;

pub use table::{Usage, Usages};

use crate::data::Store;
use crate::error::{Error, IoExt, Result};
use crate::layer::HeldLayer;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, statat};
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The bytes of the contents of all regular files below a directory, hard links once. No symlink is followed; what
/// vanishes meanwhile doesn't count.
pub fn contents_size(directory: &Path) -> Result<u64> {
    // A layer that lies elsewhere is a symlink to there.
    let directory = match directory.canonicalize() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        result => &result.on("look through", directory)?,
    };
    let mut walk = Walk::default();
    walk.enter(CWD, directory.as_os_str()).on("look through", directory)?;
    Ok(walk.size)
}

#[derive(Default)]
struct Walk {
    size: u64,
    /// Files with several names, by device and inode.
    seen: HashSet<(u64, u64)>,
}

impl Walk {
    fn enter(&mut self, parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(()),
            result => result?,
        };
        let mut buffer = Vec::with_capacity(32 << 10);
        let mut entries = RawDir::new(&directory, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = match entry {
                // Somebody deletes it meanwhile.
                Err(Errno::NOENT) => break,
                result => result?,
            };
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            match entry.file_type() {
                _ if name == "." || name == ".." => {}
                FileType::Directory => self.enter(directory.as_fd(), name)?,
                FileType::RegularFile | FileType::Unknown => self.file(directory.as_fd(), name)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn file(&mut self, parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<()> {
        let found = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(()),
            result => result?,
        };
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => return self.enter(parent, name),
            FileType::RegularFile => {}
            _ => return Ok(()),
        }
        if found.st_nlink < 2 || self.seen.insert((found.st_dev, found.st_ino)) {
            self.size += u64::try_from(found.st_size).unwrap_or(0);
        }
        Ok(())
    }
}

impl Store {
    /// The bytes of a layer's contents: counted when first asked, then remembered beside the layer.
    ///
    /// # Errors
    /// [`Error::NoSuchLayer`] where its directory is gone.
    pub fn layer_size(&self, layer: &HeldLayer) -> Result<u64> {
        if let Some(size) = self.layer_digests(&layer.id)?.size {
            return Ok(size);
        }
        let diff = self.layer_diff(&layer.id);
        if !diff.is_dir() {
            // It lies in another tool's store, and was deleted there.
            return Err(Error::NoSuchLayer {
                id: layer.id.to_string(),
            });
        }
        let size = contents_size(&diff)?;
        // Not worth a failure: a full disk shouldn't keep a list from being shown.
        let _ = self.update_digests(&layer.id, |digests| digests.size = Some(size));
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{Draft, LayerInfo};
    use std::fs;
    use wiac_layer::Form;

    #[test]
    fn contents_are_counted_once() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        let draft = Draft::new(&store).expect("draft");
        fs::create_dir(draft.diff().join("d")).expect("mkdir");
        fs::write(draft.diff().join("d/a"), "12345").expect("write");
        fs::hard_link(draft.diff().join("d/a"), draft.diff().join("b")).expect("link");
        std::os::unix::fs::symlink("/etc/passwd", draft.diff().join("s")).expect("symlink");
        let info = LayerInfo {
            form: Form::Trusted,
            lineage: String::new(),
            created_by: String::new(),
            created: String::new(),
            unpacked_from: None,
            elsewhere: None,
        };
        let layer = draft.commit(&store, &info).expect("layer");
        assert_eq!(store.layer_size(&layer).expect("counted"), 5);
        assert_eq!(store.layer_digests(&layer.id).expect("read").size, Some(5));
    }
}
