//! One layer streaming by: reading the blob and writing it down | inflating | unpacking, a thread each, of which the first
//! two hash what they hand on.

use super::hashing::Hashing;
use super::input::detect;
use super::pipe::{PipeReader, PipeWriter, hashed_pipe};
use crate::blobs::{BlobDraft, FinishedBlob};
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle, scope};
use wiac_layer::compression::{Checksum, Compression, buffered_decoder};
use wiac_oci::digest::{Algorithm, DiffId, Digest};
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

/// Why a layer isn't taken.
#[derive(Debug)]
pub(super) struct Wrong {
    /// In words.
    pub(super) reason: String,
    /// It is in the bytes that came: nothing of them was kept to go on with.
    pub(super) is_in_bytes: bool,
}

impl<T: Into<String>> From<T> for Wrong {
    fn from(reason: T) -> Self {
        Self {
            reason: reason.into(),
            is_in_bytes: false,
        }
    }
}

/// Sends the tar in `source` to `unpack`, keeps the source as `blob`, and compares both with what is expected. `hashing`: that
/// of other layers under way, too.
///
/// # Errors
/// What is wrong: of the blob first, since what unpacking says may be its consequence.
pub(super) fn stream<'s, U>(
    source: Box<dyn Read + Send + 's>,
    blob: Option<BlobDraft>,
    expected: Expected<'_>,
    hashing: &Arc<Hashing>,
    unpack: impl FnOnce(&mut dyn BufRead) -> Result<U, String>,
) -> Result<(Streamed, U), Wrong> {
    let (compression, source) = detect(source).map_err(|error| words(&error))?;
    let limit = expected.descriptor.map(|descriptor| descriptor.size);
    let of_tar = expected
        .diff_id
        .map_or(Algorithm::Sha256, |diff_id| diff_id.digest().algorithm());
    let (blob, unpacked, digests) = scope(|scope| {
        // What isn't compressed is blob and tar at once, and mostly hashed once.
        let mut of_blob: Vec<Algorithm> = blob.iter().map(BlobDraft::algorithm).collect();
        if compression == Compression::None && !of_blob.contains(&of_tar) {
            of_blob.push(of_tar);
        }
        let streams = of_blob.into_iter().map(|algorithm| hashing.stream(algorithm));
        let (writer, compressed) = hashed_pipe(streams.collect());
        let reading = start(scope, move || keep(source, blob, limit, writer)).map_err(|error| words(&error))?;
        let (unpacked, inflating) = if compression == Compression::None {
            (consume(compressed, unpack), None)
        } else {
            let (writer, plain) = hashed_pipe(vec![hashing.stream(of_tar)]);
            // What a hash was told of needs no checksum.
            let checksum = expected.diff_id.map_or(Checksum::Compared, |_| Checksum::Ignored);
            let inflating = start(scope, move || inflate(compression, checksum, compressed, writer));
            let inflating = inflating.map_err(|error| words(&error))?;
            (consume(plain, unpack), Some(inflating))
        };
        let inflated = inflating.map(join).transpose()?;
        let (read, blob) = join(reading)?;
        let (of_blob, unpacked) = match (read, unpacked) {
            // The reader saw unpacking stop, which has a reason of its own.
            (Err(error), Err(reason)) if error.kind() == io::ErrorKind::BrokenPipe => (Vec::new(), Err(reason)),
            (Err(error), _) => return Err(words(&error).into()),
            (Ok(digests), unpacked) => (digests, unpacked),
        };
        let is_blameless = expected.blameless.is_some_and(|flag| flag.load(Ordering::Relaxed));
        match unpacked {
            Ok(unpacked) => Ok((
                blob,
                unpacked,
                Digests {
                    of_blob,
                    of_tar: inflated,
                },
            )),
            Err(reason) => {
                // What is wrong must not be gone on with.
                if let Some(blob) = blob.filter(|_| !is_blameless) {
                    blob.discard();
                }
                Err(Wrong {
                    reason,
                    is_in_bytes: !is_blameless,
                })
            }
        }
    })?;
    let (blob, diff_id) = digests.of(blob, of_tar)?;
    if let Err(reason) = compare(expected, blob.as_ref(), &diff_id) {
        // Not even a download that could be gone on with.
        if let Some(blob) = blob {
            blob.discard();
        }
        return Err(Wrong {
            reason,
            is_in_bytes: true,
        });
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

/// What was hashed on the way.
struct Digests {
    of_blob: Vec<Digest>,
    /// `None` where that is the blob.
    of_tar: Option<Vec<Digest>>,
}

impl Digests {
    /// The blob with its digest, and that of the tar.
    fn of(&self, blob: Option<BlobDraft>, of_tar: Algorithm) -> Result<(Option<FinishedBlob>, DiffId), String> {
        let find = |digests: &[Digest], algorithm| {
            let found = digests.iter().find(|digest| digest.algorithm() == algorithm);
            found.cloned().ok_or("not all of it was read")
        };
        let diff_id = find(self.of_tar.as_ref().unwrap_or(&self.of_blob), of_tar)?;
        let finish = |blob: BlobDraft| find(&self.of_blob, blob.algorithm()).map(|digest| blob.finish_as(digest));
        Ok((blob.map(finish).transpose()?, DiffId(diff_id)))
    }
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

/// Writes the blob down, no longer than it may be, and hands it on; gives its digests.
fn keep(
    mut source: impl Read,
    mut blob: Option<BlobDraft>,
    limit: Option<u64>,
    writer: PipeWriter,
) -> (io::Result<Vec<Digest>>, Option<BlobDraft>) {
    let mut length = 0;
    let result = writer.copy(&mut source, |piece| {
        length += piece.len() as u64;
        if let Some(limit) = limit.filter(|limit| length > *limit) {
            return Err(io::Error::other(format!(
                "it is longer than the {limit} bytes its descriptor says"
            )));
        }
        let written = blob.as_mut().map_or(Ok(()), |blob| blob.append(piece));
        written.map_err(|error| {
            let reason = format!("can't write its blob to the data directory: {}", words(&error));
            io::Error::new(error.kind(), reason)
        })
    });
    (result, blob)
}

/// Gives the digest of what comes out; none where something goes wrong, which the reader is told, and speaks of.
fn inflate(compression: Compression, checksum: Checksum, compressed: PipeReader, writer: PipeWriter) -> Vec<Digest> {
    match buffered_decoder(compression, Box::new(compressed), checksum) {
        Ok(mut plain) => writer.copy(&mut plain, |_| Ok(())).unwrap_or_default(),
        Err(error) => {
            let _ = writer.fail(error);
            Vec::new()
        }
    }
}

/// Unpacks a tar. The pipe's end is closed when this returns, which ends the threads before it.
fn consume<U>(mut tar: PipeReader, unpack: impl FnOnce(&mut dyn BufRead) -> Result<U, String>) -> Result<U, String> {
    unpack(&mut tar)
}

fn join<T>(reading: ScopedJoinHandle<'_, T>) -> Result<T, String> {
    reading.join().map_err(|_| "a thread has panicked".to_owned())
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
