//! The end of an unpacking: directories get their metadata and marks, those below before those above.

use super::{Unpacked, Unpacker};
use crate::error::{IoExt, Result, not_marked};
use crate::marks::hide_whiteouts_in;
use crate::merged::directory_at;
use crate::meta::Meta;
use crate::meta::meta_of_directory;
use crate::path::split;
use crate::spot::Spot;
use crate::tar::Time;
use rustix::fd::AsFd;
use rustix::fs::{FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// A directory that no layer has: root's, open to all.
const PLAIN: Meta = Meta {
    mode: 0o755,
    uid: 0,
    gid: 0,
    modified: Time {
        seconds: 0,
        nanoseconds: 0,
    },
    xattrs: Vec::new(),
};

/// What overlayfs is to know of a directory.
#[derive(Clone, Copy)]
struct Marks {
    opaque: bool,
    /// There are whiteouts in it.
    listed: bool,
}

impl Unpacker<'_> {
    pub(super) fn finish(mut self) -> Result<Unpacked> {
        self.directories.add_unnamed(b"")?;
        if self.directories.get(b"").is_some_and(|root| root.opaque) {
            self.hide_below_root()?;
        }
        self.directories.hide();
        while let Some((path, directory, hidden)) = self.directories.take_last() {
            let meta = match &directory.meta {
                Some(meta) => (**meta).clone(),
                None if hidden => PLAIN,
                None => self.meta_from_below(&path)?,
            };
            // On the root itself overlayfs doesn't look for a mark.
            let opaque = !path.is_empty() && (directory.opaque || self.directories.is_whiteout(&path));
            let marks = Marks {
                opaque,
                listed: directory.has_whiteouts && !path.is_empty(),
            };
            self.dress_directory(&path, &meta, marks, directory.made)?;
        }
        self.result.owners = (!self.dresser.record.is_empty()).then_some(self.dresser.record);
        Ok(self.result)
    }

    /// Gives a directory its marks and metadata. `made`: the permission bits it has now, where they are known.
    fn dress_directory(&mut self, path: &[u8], meta: &Meta, marks: Marks, made: Option<u32>) -> Result<()> {
        let is_plain = !marks.opaque && !marks.listed && made == Some(meta.mode) && meta.xattrs.is_empty();
        if let Some((above, name)) = split(path).filter(|_| is_plain) {
            // Most are so, and get their time through the directory they are in, without being opened.
            let spot = Spot {
                parent: self.inside.directory(above).at("open", above)?,
                name: OsStr::from_bytes(name),
                path: path.to_vec(),
            };
            return self.dresser.dress_unopened(&spot, meta, made);
        }
        let fd = self.inside.open(path, OFlags::RDONLY).at("open", path)?;
        if marks.opaque {
            let name = self.options.form.attribute("opaque");
            rustix::fs::fsetxattr(&fd, name, b"y", XattrFlags::empty()).at("mark as opaque", path)?;
        }
        if marks.listed {
            hide_whiteouts_in(&fd, self.options.form).at("mark", path)?;
        }
        self.dresser.dress(fd.as_fd(), path, meta, made)
    }

    /// The metadata of a directory that the archive doesn't name: that of the layers below, as far as they are seen.
    fn meta_from_below(&mut self, path: &[u8]) -> Result<Meta> {
        let is_root = path.is_empty();
        self.result.depends_on_lower |= !is_root;
        let lower = self.lower()?;
        if lower.is_empty() {
            return Ok(PLAIN);
        }
        let found = directory_at(lower, path)?;
        let Some((directory, layer)) = found.as_ref().and_then(|found| found.topmost_and_layer()) else {
            return Ok(PLAIN);
        };
        let mut meta = meta_of_directory(directory)?;
        if let Some(intended) = lower.intended(layer, path) {
            meta.correct(intended);
        }
        // Nearly every archive leaves the root out, and nearly every root is plain.
        let is_plain = (meta.mode, meta.uid, meta.gid) == (PLAIN.mode, PLAIN.uid, PLAIN.gid) && meta.xattrs.is_empty();
        self.result.depends_on_lower |= is_root && !is_plain;
        Ok(meta)
    }

    /// Hides everything of the layers below, name by name: overlayfs takes no opaque mark on a layer's root.
    fn hide_below_root(&mut self) -> Result<()> {
        self.result.depends_on_lower = true;
        let lower = self.lower()?;
        let names = if lower.is_empty() {
            Vec::new()
        } else {
            lower.root()?.names()?
        };
        for name in names {
            let path = name.as_bytes();
            let kind = FileType::CharacterDevice;
            match rustix::fs::mknodat(self.inside.root(), name.as_os_str(), kind, Mode::empty(), 0) {
                Err(Errno::EXIST) if self.directories.get(path).is_some() => self.directories.make_opaque(path),
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(not_marked(errno, path)),
            }
        }
        Ok(())
    }
}
