//! Inflating: one reader for every compression, with errors in plain words.

use super::Compression;
use std::error::Error;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use zstd::zstd_safe::DParameter;

/// Compressed bytes are asked for in pieces of this size.
const SOURCE_BUFFER: usize = 256 << 10;

/// What an xz stream may ask for; `xz -9` needs 65 MiB.
const XZ_MEMORY: u64 = 128 << 20;

/// Windows up to 128 MiB, which is what zstd(1) takes without being asked (`zstd --long`, `zstd -22`).
const ZSTD_WINDOW_LOG: u32 = 27;

/// Inflates `source`. Members in a row are one stream.
///
/// # Errors
/// When read: [`io::ErrorKind::InvalidData`] for a damaged or truncated stream and for anything but another member
/// after the end of one; what `source` reports comes through unchanged. Here: memory for the decoder is missing.
pub fn decoder<'r>(
    compression: Compression,
    source: Box<dyn Read + Send + 'r>,
) -> io::Result<Box<dyn Read + Send + 'r>> {
    if compression == Compression::None {
        return Ok(source);
    }
    let source = Box::new(BufReader::with_capacity(SOURCE_BUFFER, source));
    buffered_decoder(compression, source, Checksum::Compared)
}

/// What becomes of the checksum that zstd puts behind its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// It is compared, which takes about a tenth of the time of inflating.
    Compared,
    /// It isn't: the caller compares a better one.
    Ignored,
}

/// The same from a source whose own buffer is large: nothing is copied out of it.
///
/// # Errors
/// As [`decoder`].
pub fn buffered_decoder<'r>(
    compression: Compression,
    source: Box<dyn BufRead + Send + 'r>,
    checksum: Checksum,
) -> io::Result<Box<dyn Read + Send + 'r>> {
    let source = Source(source);
    let inner: Box<dyn Read + Send + 'r> = match compression {
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(NonEmpty::new(source))),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(NonEmpty::new(source))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            decoder.set_parameter(DParameter::ForceIgnoreChecksum(checksum == Checksum::Ignored))?;
            Box::new(decoder)
        }
        Compression::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(NonEmpty::new(source), stream))
        }
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(NonEmpty::new(source))),
        Compression::None => Box::new(source),
    };
    Ok(Box::new(Worded { compression, inner }))
}

/// The source of a decoder; marks its errors as its own.
struct Source<R>(R);

impl<R: BufRead> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf().map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            kind => io::Error::new(kind, SourceError(error)),
        })
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

impl<R: BufRead> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

#[derive(Debug)]
struct SourceError(io::Error);

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for SourceError {}

/// A compressed stream has at least one member: an empty source is a truncated one, which not all decoders see.
struct NonEmpty<R> {
    source: R,
    begun: bool,
}

impl<R> NonEmpty<R> {
    fn new(source: R) -> Self {
        Self { source, begun: false }
    }
}

impl<R: BufRead> BufRead for NonEmpty<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let bytes = self.source.fill_buf()?;
        if bytes.is_empty() && !self.begun {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.begun = true;
        Ok(bytes)
    }

    fn consume(&mut self, amount: usize) {
        self.source.consume(amount);
    }
}

impl<R: BufRead> Read for NonEmpty<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

fn read_buffered(source: &mut impl BufRead, buffer: &mut [u8]) -> io::Result<usize> {
    let bytes = source.fill_buf()?;
    let length = bytes.len().min(buffer.len());
    buffer[..length].copy_from_slice(&bytes[..length]);
    source.consume(length);
    Ok(length)
}

/// Gives the errors of a decoder one wording.
struct Worded<R> {
    compression: Compression,
    inner: R,
}

impl<R: Read> Read for Worded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| reword(self.compression, error))
    }
}

fn reword(compression: Compression, error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::Interrupted {
        return error;
    }
    match error.downcast::<SourceError>() {
        Ok(SourceError(source)) => source,
        Err(error) => {
            let word = compression.word();
            let text = if error.kind() == io::ErrorKind::UnexpectedEof {
                format!("the {word} stream ends in the middle: it is truncated")
            } else {
                format!("the {word} stream is damaged, or something else follows it: {error}")
            };
            io::Error::new(io::ErrorKind::InvalidData, text)
        }
    }
}
