//! One layer streaming by: reading and hashing the blob | inflating | hashing the tar and unpacking, a thread each.

use super::input::detect;
use super::pipe::{PipeReader, PipeWriter, pipe};
use crate::blobs::{BlobDraft, FinishedBlob};
use std::io::{self, BufRead, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle, scope};
use wiac_layer::compression::{Checksum, Compression, buffered_decoder};
use wiac_oci::digest::{Algorithm, DiffId, Digest, Hasher};
use wiac_oci::manifest::{Descriptor, media_type};
use wiac_sys::error::words;

/// What a layer should turn out to be, as far as that is known.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Expected<'e> {
    /// Size and digest of the blob.
    pub(super) descriptor: Option<&'e Descriptor>,
    /// The hash of its tar.
    pub(super) diff_id: Option<&'e DiffId>,
    /// True where unpacking failed for a reason that isn't in the bytes: a download stays then.
    pub(super) blameless: Option<&'e AtomicBool>,
}

/// What became of a layer that streamed by.
pub(super) struct Streamed {
    /// Written and hashed, without a name yet; `None` where it wasn't to be kept.
    pub(super) blob: Option<FinishedBlob>,
    /// What the blob turned out to be.
    pub(super) media_type: &'static str,
    /// The hash of the tar.
    pub(super) diff_id: DiffId,
}

/// Sends the tar in `source` to `unpack`, keeps the source as `blob`, and compares both with what is expected.
///
/// # Errors
/// What is wrong, in words: of the blob first, since what unpacking says may be its consequence.
pub(super) fn stream<'s, U>(
    source: Box<dyn Read + Send + 's>,
    blob: Option<BlobDraft>,
    expected: Expected<'_>,
    unpack: impl FnOnce(&mut dyn BufRead) -> Result<U, String>,
) -> Result<(Streamed, U), String> {
    let (compression, source) = detect(source).map_err(|error| words(&error))?;
    let limit = expected.descriptor.map(|descriptor| descriptor.size);
    let algorithm = expected
        .diff_id
        .map_or(Algorithm::Sha256, |diff_id| diff_id.digest().algorithm());
    let (blob, unpacked, diff_id) = scope(|scope| {
        let (writer, compressed) = pipe();
        let reading = start(scope, move || keep(source, blob, limit, writer)).map_err(|error| words(&error))?;
        let hasher = Hasher::new(algorithm);
        let (unpacked, diff_id) = if compression == Compression::None {
            consume(compressed, hasher, unpack)
        } else {
            let (writer, plain) = pipe();
            // What a hash was told of needs no checksum.
            let checksum = expected.diff_id.map_or(Checksum::Compared, |_| Checksum::Ignored);
            let inflating = start(scope, move || inflate(compression, checksum, compressed, writer));
            inflating.map_err(|error| words(&error))?;
            consume(plain, hasher, unpack)
        };
        let (read, blob) = join(reading)?;
        let unpacked = match (read, unpacked) {
            // The reader saw unpacking stop, which has a reason of its own.
            (Err(error), Err(reason)) if error.kind() == io::ErrorKind::BrokenPipe => Err(reason),
            (Err(error), _) => return Err(words(&error)),
            (Ok(()), unpacked) => unpacked,
        };
        let is_blameless = expected.blameless.is_some_and(|flag| flag.load(Ordering::Relaxed));
        match unpacked {
            Ok(unpacked) => Ok((blob, unpacked, DiffId(diff_id))),
            Err(reason) => {
                // What is wrong must not be gone on with.
                if let Some(blob) = blob.filter(|_| !is_blameless) {
                    blob.finish().discard();
                }
                Err(reason)
            }
        }
    })?;
    let blob = blob.map(BlobDraft::finish);
    if let Err(reason) = compare(expected, blob.as_ref(), &diff_id) {
        // Not even a download that could be gone on with.
        if let Some(blob) = blob {
            blob.discard();
        }
        return Err(reason);
    }
    let media_type = match compression {
        Compression::Gzip => media_type::LAYER_GZIP,
        Compression::Zstd => media_type::LAYER_ZSTD,
        _ => media_type::LAYER,
    };
    Ok((
        Streamed {
            blob,
            media_type,
            diff_id,
        },
        unpacked,
    ))
}

/// Starts a thread that the work can't do without.
pub(super) fn start<'s, T: Send + 's>(
    scope: &'s Scope<'s, '_>,
    work: impl FnOnce() -> T + Send + 's,
) -> io::Result<ScopedJoinHandle<'s, T>> {
    std::thread::Builder::new().spawn_scoped(scope, work).map_err(|error| {
        let hint = "this user or this cgroup has as many as it may (ulimit -u, pids.max)";
        io::Error::new(error.kind(), format!("can't start a thread: {}; {hint}", words(&error)))
    })
}

/// Writes the blob down, no longer than it may be, and hands it on.
fn keep(
    mut source: impl Read,
    mut blob: Option<BlobDraft>,
    limit: Option<u64>,
    writer: PipeWriter,
) -> (io::Result<()>, Option<BlobDraft>) {
    let mut length = 0;
    let result = writer.copy(&mut source, |piece| {
        length += piece.len() as u64;
        if let Some(limit) = limit.filter(|limit| length > *limit) {
            return Err(io::Error::other(format!(
                "it is longer than the {limit} bytes its descriptor says"
            )));
        }
        let written = blob.as_mut().map_or(Ok(()), |blob| blob.write_all(piece));
        written.map_err(|error| {
            let reason = format!("can't write its blob to the data directory: {}", words(&error));
            io::Error::new(error.kind(), reason)
        })
    });
    (result.map(drop), blob)
}

fn inflate(compression: Compression, checksum: Checksum, compressed: PipeReader, writer: PipeWriter) {
    // The reader is told what goes wrong, and speaks of it.
    let _ = match buffered_decoder(compression, Box::new(compressed), checksum) {
        Ok(mut plain) => writer.copy(&mut plain, |_| Ok(())),
        Err(error) => writer.fail(error),
    };
}

/// Unpacks a tar while it is hashed. The pipe's end is closed when this returns, which ends the threads before it.
fn consume<U>(
    tar: PipeReader,
    hasher: Hasher,
    unpack: impl FnOnce(&mut dyn BufRead) -> Result<U, String>,
) -> (Result<U, String>, Digest) {
    let mut tar = Hashing { tar, hasher, hashed: 0 };
    let unpacked = unpack(&mut tar);
    (unpacked, tar.hasher.finish())
}

fn join<T>(reading: ScopedJoinHandle<'_, T>) -> Result<T, String> {
    reading.join().map_err(|_| "the reading thread has panicked".to_owned())
}

/// Compares a layer with what its descriptor and its image's configuration say.
fn compare(expected: Expected<'_>, blob: Option<&FinishedBlob>, diff_id: &DiffId) -> Result<(), String> {
    if let (Some(descriptor), Some(blob)) = (expected.descriptor, blob) {
        if blob.size != descriptor.size {
            return Err(format!("it has {} bytes instead of {}", blob.size, descriptor.size));
        }
        descriptor
            .digest
            .verify_digest(blob.digest.clone())
            .map_err(|error| format!("it is damaged: {error}"))?;
    }
    match expected.diff_id {
        Some(expected) => expected
            .digest()
            .verify_digest(diff_id.digest().clone())
            .map_err(|error| format!("its tar is not the one the configuration names: {error}")),
        None => Ok(()),
    }
}

/// Hashes what is read, a buffer at a time: then it is in the processor's cache when it is written.
struct Hashing {
    tar: PipeReader,
    hasher: Hasher,
    /// So much of what lies in the buffer is hashed.
    hashed: usize,
}

impl BufRead for Hashing {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let buffer = self.tar.fill_buf()?;
        self.hasher.update(&buffer[self.hashed..]);
        self.hashed = buffer.len();
        Ok(buffer)
    }

    fn consume(&mut self, amount: usize) {
        self.tar.consume(amount);
        self.hashed -= amount;
    }
}

impl Read for Hashing {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(into)?;
        self.consume(length);
        Ok(length)
    }
}
