//! From a tar to a layer directory.
//!
//! Everything happens relative to open directories of the layer, and no symlink is ever followed by the kernel: what
//! an archive plants, and what another process swaps meanwhile, can't lead out. What a symlink that the same archive
//! made means on the way to a later entry (`lib64 -> usr/lib64`, then `lib64/x`) is worked out here, inside the
//! layer: the file comes to `usr/lib64/x`. docker (in a chroot of the layer) and containerd (by paths bounded to the
//! layer) do the same. A symlink of a layer below isn't looked at, again as with both.
//!
//! Directories get their owner, mode, attributes and times at the very end: files put into them would change the
//! times, and a directory may be read-only. So do the directories that the archive puts files into without naming
//! them: they take after the layers below, which therefore may come to be while this one is unpacked.

mod create;
mod directories;
mod finish;
pub(crate) mod inside;
mod link;
mod lower;
pub(crate) mod path;
mod remove;
mod resolve;

pub use crate::dress::OwnerPolicy;
pub use crate::tar::Limits;

use crate::Form;
use crate::dress::Dresser;
use crate::error::{IoExt, Result, not_marked};
use crate::merged::LayerStack;
use crate::owners::OwnerRecord;
use crate::path::join;
use crate::spot::Spot;
use crate::tar::{Entry, Kind, Reader, refuse};
use directories::Directories;
use inside::Inside;
use path::{Meaning, Place};
use rustix::fd::AsFd;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io::BufRead;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Large enough to make few calls, small enough to stay in the processor's cache between read and write.
pub const BUFFER: usize = 256 << 10;

/// How to unpack.
pub struct UnpackOptions<'a> {
    /// The form of the marks.
    pub form: Form,
    /// What becomes of owners.
    pub owners: OwnerPolicy,
    /// The layers below, once they are complete; called at most once, and only when they are needed: for a hard link
    /// to a file of theirs, and at the end for directories that the archive doesn't name. Where owners are recorded,
    /// the stack brings the records of its layers ([`LayerStack::with_owners`]): what is taken from them is on disk as
    /// somebody else's.
    pub lower: &'a (dyn Fn() -> Result<LayerStack> + Sync),
    /// What the archive may ask for.
    pub limits: Limits,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// The lengths of all files that came of it, holes included: what was replaced doesn't count.
    pub size: u64,
    /// The number of entries.
    pub entries: u64,
    /// Directories' metadata or hard-linked files were taken from below: the same tar on other layers gives another
    /// directory.
    pub depends_on_lower: bool,
    /// What couldn't be put on disk as it was meant; `None` where all could.
    pub owners: Option<OwnerRecord>,
}

/// Unpacks an archive into the empty directory `into` (which may be O_PATH). File data is written from `tar`'s own buffer,
/// which should be large ([`BUFFER`]). Stops at the end-of-archive mark, but
/// reads the source to its end, so that the caller's hash covers all of it.
///
/// # Errors
/// [`crate::Error::Archive`] for what the archive must not have, with the entry and the reason;
/// [`crate::Error::Source`] where it can't be read; [`crate::Error::Io`] where the disk or the kernel refuses. What
/// was unpacked so far stays: the caller removes the directory.
pub fn unpack(mut tar: impl BufRead, into: impl AsFd, options: &UnpackOptions<'_>) -> Result<Unpacked> {
    let mut reader = Reader::new(&mut tar, options.limits);
    let mut unpacker = Unpacker::new(into, options)?;
    let mut entry = Entry::default();
    while reader.next(&mut entry)? {
        unpacker.result.entries += 1;
        unpacker.take(&entry, &mut reader)?;
        let most = options.limits.memory;
        if unpacker.dresser.recorded > most {
            return refuse(
                &entry.path,
                format!("the archive has too many owners to record: more than {most} bytes"),
            );
        }
    }
    reader.drain()?;
    unpacker.finish()
}

/// An unpacking under way.
struct Unpacker<'a> {
    options: &'a UnpackOptions<'a>,
    inside: Inside,
    /// What has to be known of directories until the end.
    directories: Directories,
    dresser: Dresser,
    lower: Option<LayerStack>,
    result: Unpacked,
}

impl<'a> Unpacker<'a> {
    fn new(into: impl AsFd, options: &'a UnpackOptions<'a>) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(into, ".", flags, Mode::empty()).on("open", Path::new("."))?;
        let dresser = Dresser::new(&root, options.owners)?;
        Ok(Self {
            options,
            inside: Inside::new(root),
            directories: Directories::new(options.limits.memory),
            dresser,
            lower: None,
            result: Unpacked {
                size: 0,
                entries: 0,
                depends_on_lower: false,
                owners: None,
            },
        })
    }

    /// Puts one entry in its place.
    fn take(&mut self, entry: &Entry, reader: &mut Reader<'_>) -> Result<()> {
        match path::meaning(&entry.path)? {
            Meaning::Ignored => Ok(()),
            Meaning::Root if entry.kind == Kind::Directory => self.directories.name(b"", entry, None),
            Meaning::Root => refuse(&entry.path, "the root of a layer can only be a directory"),
            Meaning::Opaque(parents) => {
                let path = self.made(&parents, &entry.path)?;
                self.directories.make_opaque(&path);
                Ok(())
            }
            Meaning::Whiteout(place) => self.whiteout(&place, entry),
            Meaning::Place(place) => self.place(&place, entry, reader),
        }
    }

    fn place(&mut self, place: &Place<'_>, entry: &Entry, reader: &mut Reader<'_>) -> Result<()> {
        let spot = self.spot(place, &entry.path)?;
        match entry.kind {
            Kind::Directory => self.directory(&spot, entry),
            Kind::File => self.file(&spot, entry, reader),
            Kind::Symlink => self.symlink(&spot, entry),
            Kind::HardLink => self.hard_link(&spot, entry),
            Kind::CharacterDevice | Kind::BlockDevice => self.device(&spot, entry),
            Kind::Fifo => self.fifo(&spot, entry),
        }
    }

    /// Marks a name of lower layers as deleted. It says nothing about what this layer has there itself, whichever
    /// comes first in the archive (OCI image specification, layer.md): a directory of the same name is opaque.
    fn whiteout(&mut self, place: &Place<'_>, entry: &Entry) -> Result<()> {
        let spot = self.spot(place, &entry.path)?;
        self.directories.note_whiteout(&spot.path)?;
        let kind = FileType::CharacterDevice;
        match rustix::fs::mknodat(&spot.parent, spot.name, kind, Mode::empty(), 0) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(not_marked(errno, &spot.path)),
        }
    }

    /// Finds the directory of a place, and makes it where it isn't there.
    fn spot<'p>(&mut self, place: &Place<'p>, entry: &[u8]) -> Result<Spot<'p>> {
        let above = self.made(&place.parents, entry)?;
        Ok(Spot {
            parent: self.inside.directory(&above).at("open", &above)?,
            name: OsStr::from_bytes(place.name),
            path: join(&above, place.name),
        })
    }

    /// The layers below.
    fn lower(&mut self) -> Result<&LayerStack> {
        if self.lower.is_none() {
            self.lower = Some((self.options.lower)()?);
        }
        Ok(self.lower.get_or_insert_default())
    }
}
