//! Artifacts: manifests of files that make no root directory (image-spec, manifest.md, "Guidelines for Artifact Usage"); and
//! indexes with all they name.
//!
//! The store takes none. From a registry or layout to another they go byte for byte.

use super::Archive;
use super::incoming::{describe, is_artifact};
use super::layout::{self, blob_name};
use super::layout_directory;
use super::pending::write_file;
use super::save::Format;
use super::sink::Sink;
use crate::error::{Error, Result};
use crate::layer::to_compact_json;
use std::io::{self, Read};
use std::path::Path;
use wiac_oci::digest::{Digest, Hasher};
use wiac_oci::manifest::{Descriptor, ImageLayout, Index, Manifest, media_type};
use wiac_oci::reference::Reference;

/// Indexes in indexes that are followed: more is a cycle, or meant to hurt.
const DEEPEST: usize = 4;

/// The most bytes that the manifests of an index may have together.
const MOST_BYTES: usize = 64 << 20;

/// A manifest that is no image's, or an index with all it names.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// Its media type, digest and size.
    pub descriptor: Descriptor,
    /// Byte for byte.
    pub manifest: Vec<u8>,
    /// What it names, each once: the files, then the configuration.
    pub blobs: Vec<Descriptor>,
    /// Of an index the manifests that it names, in the order to send them.
    pub parts: Vec<(Descriptor, Vec<u8>)>,
    /// What the layout calls it that it was found in.
    pub names: Vec<Reference>,
}

/// Gives a manifest that an index names, compared with its digest.
pub type GetManifest<'g> = dyn Fn(&Descriptor) -> Result<Vec<u8>> + 'g;

/// Where the blobs of an artifact are.
pub trait BlobSource {
    /// A blob from an offset on. Who reads it compares its digest.
    ///
    /// # Errors
    /// Where it isn't there.
    fn blob<'s>(&'s self, blob: &Descriptor, from: u64) -> Result<Box<dyn Read + 's>>;
}

impl BlobSource for Archive {
    fn blob<'s>(&'s self, blob: &Descriptor, from: u64) -> Result<Box<dyn Read + 's>> {
        let name = blob_name(&blob.digest);
        let missing = || Error::archive(self.shown(), format!("{name} is missing: the layout isn't whole"));
        let mut content = self.open(&name)?.ok_or_else(missing)?;
        let skipped = io::copy(&mut content.by_ref().take(from), &mut io::sink());
        skipped.map_err(|error| Error::archive(self.shown(), error.to_string()))?;
        Ok(Box::new(content))
    }
}

impl Artifact {
    /// Looks at a document: `None` where it isn't an artifact's manifest, be it an image's or wrong.
    pub fn of(descriptor: &Descriptor, document: &[u8]) -> Option<Self> {
        if !media_type::is_manifest(&descriptor.media_type) {
            return None;
        }
        let manifest: Manifest = serde_json::from_slice(document).ok().filter(is_artifact)?;
        let mut found = Self::bare(descriptor, document);
        found.descriptor.artifact_type.clone_from(&manifest.artifact_type);
        found.add_blobs(manifest);
        Some(found)
    }

    fn bare(descriptor: &Descriptor, document: &[u8]) -> Self {
        Self {
            descriptor: describe(&descriptor.media_type, document),
            manifest: document.to_owned(),
            blobs: Vec::new(),
            parts: Vec::new(),
            names: Vec::new(),
        }
    }

    fn add_blobs(&mut self, manifest: Manifest) {
        for blob in manifest.layers.into_iter().chain([manifest.config]) {
            self.add_blob(blob);
        }
    }

    fn add_blob(&mut self, blob: Descriptor) {
        if self.blobs.iter().all(|known| known.digest != blob.digest) {
            self.blobs.push(blob);
        }
    }

    /// A manifest or index with everything that it names. `get` gives a manifest, compared with its digest.
    ///
    /// # Errors
    /// What `get` says; documents that can't be read, or are too many.
    pub fn whole(descriptor: &Descriptor, document: &[u8], get: &GetManifest<'_>) -> Result<Self> {
        let mut whole = Self::bare(descriptor, document);
        whole.take(descriptor, document, (get, 0))?;
        Ok(whole)
    }

    fn take(
        &mut self,
        descriptor: &Descriptor,
        document: &[u8],
        (get, depth): (&GetManifest<'_>, usize),
    ) -> Result<()> {
        let wrong = |reason: String| Error::image(descriptor.digest.short(), reason);
        if media_type::is_manifest(&descriptor.media_type) {
            let manifest = serde_json::from_slice(document);
            self.add_blobs(manifest.map_err(|error| wrong(format!("its manifest can't be read: {error}")))?);
            return Ok(());
        }
        let index: Index =
            serde_json::from_slice(document).map_err(|error| wrong(format!("its index can't be read: {error}")))?;
        for child in index.manifests {
            if !media_type::is_manifest(&child.media_type) && !media_type::is_index(&child.media_type) {
                // As in the caches of BuildKit: a blob.
                self.add_blob(child);
                continue;
            }
            if self.parts.iter().any(|(known, _)| known.digest == child.digest) {
                continue;
            }
            let bytes = get(&child)?;
            let total: usize = self.parts.iter().map(|(_, part)| part.len()).sum();
            if depth == DEEPEST || total + bytes.len() > MOST_BYTES {
                return Err(wrong("its indexes are nested too deeply, or name too much".to_owned()));
            }
            self.take(&child, &bytes, (get, depth + 1))?;
            self.parts.push((describe(&child.media_type, &bytes), bytes));
        }
        Ok(())
    }

    /// Calls it what somebody wrote behind the path of a layout, in place of its names.
    pub fn call(&mut self, name: &str) {
        self.names.clear();
        layout_directory::call(&mut self.descriptor.annotations, name);
    }

    /// The artifact that is alone in an image layout, or called so; `None` where that is something else.
    ///
    /// # Errors
    /// A layout that can't be read, or whose manifest is damaged.
    pub fn in_archive(archive: &Archive, called: Option<&str>, is_whole: bool) -> Result<Option<Self>> {
        let Some(only) = layout::only_manifest(archive, called)? else {
            return Ok(None);
        };
        let found = if is_whole {
            let get = |part: &Descriptor| layout::document(archive, part, "a manifest");
            Some(Self::whole(&only.descriptor, &only.bytes, &get)?)
        } else {
            Self::of(&only.descriptor, &only.bytes)
        };
        Ok(found.map(|artifact| Self {
            names: only.names,
            ..artifact
        }))
    }

    /// Writes it into an image layout, a directory or a tar, under its names.
    ///
    /// # Errors
    /// A blob that can't be had or isn't what its digest says; docker's archives have no place for it.
    pub fn save(&self, source: &dyn BlobSource, format: Format, path: &Path) -> Result<()> {
        let entries = layout_directory::entries(&self.descriptor, &self.names);
        match format {
            Format::OciDirectory => layout_directory::add(path, entries, |sink| self.write(source, sink)),
            Format::OciArchive => write_file(path, |file| {
                let mut sink = Sink::tar(file, path);
                self.write(source, &mut sink)?;
                sink.document("oci-layout", &to_compact_json(&ImageLayout::default()))?;
                sink.document("index.json", &to_compact_json(&Index::new(entries)))?;
                sink.finish()
            }),
            Format::DockerArchive => Err(Error::archive(
                path,
                "an archive of docker's holds images alone, each of one platform: write oci: or oci-archive:",
            )),
        }
    }

    fn write(&self, source: &dyn BlobSource, sink: &mut Sink<'_>) -> Result<()> {
        for blob in &self.blobs {
            let mut verified = Verified::new(source.blob(blob, 0)?, blob);
            sink.stream(&blob_name(&blob.digest), &mut verified, blob.size)?;
        }
        for (part, bytes) in &self.parts {
            sink.document(&blob_name(&part.digest), bytes)?;
        }
        sink.document(&blob_name(&self.descriptor.digest), &self.manifest)
    }
}

/// Bytes that have to be a blob's: the last of them come only if all are right.
struct Verified<R> {
    inner: R,
    left: u64,
    hasher: Option<Hasher>,
    expected: Digest,
}

impl<R: Read> Verified<R> {
    fn new(inner: R, blob: &Descriptor) -> Self {
        Self {
            inner,
            left: blob.size,
            hasher: Some(Hasher::new(blob.digest.algorithm())),
            expected: blob.digest.clone(),
        }
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.by_ref().take(self.left).read(buffer)?;
        self.left -= count as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }
        if self.left == 0
            && let Some(hasher) = self.hasher.take()
        {
            let wrong = |error: wiac_oci::digest::DigestError| {
                io::Error::new(io::ErrorKind::InvalidData, format!("the blob is damaged: {error}"))
            };
            self.expected.verify_digest(hasher.finish()).map_err(wrong)?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes(&'static [u8]);

    impl BlobSource for Bytes {
        fn blob<'s>(&'s self, _blob: &Descriptor, from: u64) -> Result<Box<dyn Read + 's>> {
            Ok(Box::new(
                self.0.get(usize::try_from(from).unwrap_or(0)..).unwrap_or_default(),
            ))
        }
    }

    fn artifact() -> Artifact {
        let config = describe(media_type::EMPTY, b"{}");
        let layers = vec![describe("text/plain", b"{}"), config.clone()];
        let manifest = to_compact_json(&Manifest::new(config, layers));
        let descriptor = describe(media_type::MANIFEST, &manifest);
        Artifact::of(&descriptor, &manifest).expect("an artifact")
    }

    #[test]
    fn goes_into_a_layout_and_out_of_it() {
        let artifact = artifact();
        assert_eq!(artifact.blobs.len(), 1, "each blob once");
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("layout");
        for _ in 0..2 {
            let saved = artifact.save(&Bytes(b"{}"), Format::OciDirectory, &path);
            saved.expect("written");
        }
        let archive = Archive::directory(&path).expect("a directory");
        let found = Artifact::in_archive(&archive, None, false)
            .expect("read")
            .expect("it is there");
        assert_eq!(
            (found.descriptor, found.manifest),
            (artifact.descriptor, artifact.manifest)
        );
        let mut bytes = String::new();
        let mut blob = archive.blob(&artifact.blobs[0], 1).expect("a blob");
        blob.read_to_string(&mut bytes).expect("read");
        assert_eq!(bytes, "}");
    }

    #[test]
    fn a_wrong_blob_is_not_written() {
        for wrong in [&b"[]"[..], b"{"] {
            let dir = tempfile::tempdir().expect("tempdir");
            let path = dir.path().join("layout");
            let error = artifact().save(&Bytes(wrong), Format::OciDirectory, &path);
            let error = error.expect_err("refused").to_string();
            assert!(
                error.contains("damaged") || error.contains("ended after 1 of 2"),
                "{error}"
            );
            assert!(!path.join("index.json").exists());
            let left = std::fs::read_dir(path.join("blobs/sha256")).expect("a directory");
            assert_eq!(left.count(), 0, "nothing half-written stays");
            let path = dir.path().join("archive.tar");
            artifact()
                .save(&Bytes(wrong), Format::OciArchive, &path)
                .expect_err("refused");
            assert!(!path.exists());
        }
    }

    #[test]
    fn images_are_none() {
        let config = Descriptor::new(media_type::CONFIG, Digest::sha256("x"), 1);
        let image = to_compact_json(&Manifest::new(config, Vec::new()));
        assert!(Artifact::of(&describe(media_type::MANIFEST, &image), &image).is_none());
        assert!(Artifact::of(&describe(media_type::INDEX, b"{}"), b"{}").is_none());
        let path = Path::new("x.tar");
        let refused = artifact().save(&Bytes(b"{}"), Format::DockerArchive, path);
        assert!(refused.expect_err("no place").to_string().contains("oci-archive"));
    }
}
