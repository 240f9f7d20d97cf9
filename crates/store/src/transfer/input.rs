//! Where images are read from: a directory, a file, or a stream that is written to a file first.

use super::incoming::Incoming;
use super::{Archive, docker_archive, layout, skopeo_directory};
use crate::data::Store;
use crate::error::{Error, IoExt, Result};
use crate::temporary::Temporary;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tar_core::parse::{Limits, Parser};
use wiac_layer::compression::{Compression, decoder};
use wiac_oci::manifest::Platform;

/// A header of a tar.
const TAR_BLOCK: u64 = 512;

/// Inflated between two looks at how much it has become.
const STEP: u64 = 64 << 20;

/// So many bytes are written whatever they were inflated from.
const MOST_UNASKED: u64 = 1 << 30;

/// Beyond that, each byte may become so many: more than any image does, and less than what gzip can do at most.
const MOST_INFLATED: u64 = 1000;

impl Archive {
    /// Opens what the user named: a directory, or a tar, compressed or not.
    ///
    /// # Errors
    /// What can't be opened, or is neither.
    pub fn open_path(store: &Store, path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty()).on("open", path)?);
        if file.metadata().on("look at", path)?.is_dir() {
            return Self::directory(path);
        }
        Self::open_file(store, file, path)
    }

    /// The same for a file that is open: standard input. `shown`: its name in messages.
    pub fn open_file(store: &Store, file: File, shown: &Path) -> Result<Self> {
        let is_regular = file.metadata().on("look at", shown)?.is_file();
        let position = rustix::fs::tell(&file).unwrap_or(0);
        let mut first = [0; 6];
        if is_regular && position == 0 {
            let length = file.read_at(&mut first, 0).on("read", shown)?;
            if Compression::detect(&first[..length]) == Compression::None {
                return Self::tar(file, shown);
            }
        }
        Self::open_stream(store, Box::new(file), shown)
    }

    /// The same for what comes from elsewhere, from its beginning on.
    ///
    /// # Errors
    /// As [`Self::open_path`].
    pub fn open_stream(store: &Store, source: Box<dyn Read + Send>, shown: &Path) -> Result<Self> {
        let (compression, source) = detect(source).on("read", shown)?;
        let spooled = spool(store, compression, source, shown)?;
        Self::tar(spooled, shown)
    }

    /// The images in it, for one platform.
    ///
    /// # Errors
    /// Where it is neither an image layout nor one of docker's archives nor a directory of skopeo's, and what is wrong
    /// with one.
    pub fn images(&self, platform: &Platform) -> Result<Vec<Incoming>> {
        self.images_called(platform, None)
    }

    /// The same of what is called so, where a name is given; `@` and a number, from 0, is an image by its place.
    ///
    /// # Errors
    /// As [`Self::images`]; where nothing is called so.
    pub fn images_called(&self, platform: &Platform, called: Option<&str>) -> Result<Vec<Incoming>> {
        if layout::is_layout(self)? {
            return self.layout_with_names(platform, called);
        }
        if skopeo_directory::is_skopeo_directory(self)? {
            return Ok(vec![skopeo_directory::image(self, platform)?]);
        }
        if docker_archive::is_docker_archive(self)? {
            let mut images = docker_archive::images(self)?;
            if let Some(name) = called {
                docker_archive::choose(&mut images, name).map_err(|reason| Error::archive(self.shown(), reason))?;
            }
            return Ok(images);
        }
        if self.open("repositories")?.is_some() {
            return Err(Error::archive(
                self.shown(),
                "it is of the kind docker wrote before 1.10, without manifest.json: load and save it with docker once",
            ));
        }
        Err(Error::archive(
            self.shown(),
            "there is no image in it (neither oci-layout nor manifest.json); for a root filesystem use wiac import",
        ))
    }

    /// docker writes both kinds at once. The layout has the manifests; names may stand in the list alone.
    fn layout_with_names(&self, platform: &Platform, called: Option<&str>) -> Result<Vec<Incoming>> {
        let mut images = match (layout::images(self, platform, called), called) {
            (Err(error), Some(name)) if docker_archive::is_docker_archive(self)? => {
                let mut all = self.layout_with_names(platform, None)?;
                return docker_archive::choose(&mut all, name).map(|()| all).map_err(|_| error);
            }
            (images, _) => images?,
        };
        if docker_archive::is_docker_archive(self)?
            && images.iter().any(|image| image.names.is_empty())
            && let Ok(listed) = docker_archive::images(self)
        {
            for image in images.iter_mut().filter(|image| image.names.is_empty()) {
                let same = listed.iter().find(|other| other.config_bytes == image.config_bytes);
                image.names = same.map(|other| other.names.clone()).unwrap_or_default();
            }
        }
        Ok(images)
    }
}

/// How a stream is compressed, and the stream with its first bytes.
pub(super) fn detect<'r>(
    mut source: Box<dyn Read + Send + 'r>,
) -> io::Result<(Compression, Box<dyn Read + Send + 'r>)> {
    let mut first = Vec::new();
    source
        .by_ref()
        .take(Compression::MAGIC as u64)
        .read_to_end(&mut first)?;
    let compression = Compression::detect(&first);
    Ok((compression, Box::new(io::Cursor::new(first).chain(source))))
}

/// Inflates a stream into a file without a name.
fn spool(store: &Store, compression: Compression, source: Box<dyn Read + Send>, shown: &Path) -> Result<File> {
    let room = Temporary::new(store)?;
    let path = room.path().join("spool");
    let mut file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .on("create", &path)?;
    // It stays as long as it is open.
    drop(room);
    let taken = Arc::new(AtomicU64::new(0));
    let counted = Counted {
        source,
        taken: Arc::clone(&taken),
    };
    let mut plain = decoder(compression, Box::new(counted)).on("read", shown)?;
    let mut first = Vec::new();
    plain
        .by_ref()
        .take(TAR_BLOCK)
        .read_to_end(&mut first)
        .on("read", shown)?;
    refuse_other_than_tar(&first, shown)?;
    let mut written = io::copy(&mut io::Cursor::new(first).chain(&mut plain).take(STEP), &mut file);
    let mut length = 0;
    while let Ok(step @ 1..) = written {
        length += step;
        if length >= MOST_UNASKED && length / MOST_INFLATED > taken.load(Ordering::Relaxed) {
            return Err(Error::archive(
                shown,
                format!(
                    "it becomes more than {MOST_INFLATED} times as large when it is inflated: if that is meant, inflate it first"
                ),
            ));
        }
        written = io::copy(&mut plain.by_ref().take(STEP), &mut file);
    }
    written.on("read", shown)?;
    rustix::fs::seek(file.as_fd(), rustix::fs::SeekFrom::Start(0)).on("read", shown)?;
    Ok(file)
}

/// What doesn't begin like a tar isn't inflated to its end: it may never come.
fn refuse_other_than_tar(first: &[u8], shown: &Path) -> Result<()> {
    if first.iter().all(|byte| *byte == 0) {
        return Err(Error::archive(shown, "there is nothing in it"));
    }
    match Parser::new(Limits::default()).parse(first) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::archive(shown, format!("it is no tar that can be read: {error}"))),
    }
}

/// Counts what is read.
struct Counted<R> {
    source: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(into)?;
        self.taken.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}
