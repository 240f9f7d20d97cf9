//! Compressed streams: which compression one has, inflating it, and deflating in parallel.
//!
//! Every format here allows several members (frames, streams) in a row to be one stream: RFC 1952 section 2.2 for
//! gzip, RFC 8878 section 3.1 for zstd; xz(1) and bzip2(1) say the same of theirs. The encoder relies on it: blocks
//! are deflated independently of each other, so the bytes don't depend on the number of threads.

mod block;
mod decode;
mod encode;

pub use decode::{Checksum, buffered_decoder, decoder};
pub use encode::Encoder;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// The .xz format.
    Xz,
    /// The format of bzip2.
    Bzip2,
}

impl Compression {
    /// How many bytes [`Self::detect`] looks at.
    pub const MAGIC: usize = 6;

    /// Recognises a compression by the first bytes of a stream (of which there may be fewer than [`Self::MAGIC`]).
    /// What isn't recognised is taken as not compressed.
    pub fn detect(first_bytes: &[u8]) -> Self {
        match first_bytes {
            // The third byte is the method; RFC 1952 knows no other than deflate.
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            // A frame, or a skippable frame in front of it.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => Self::Bzip2,
            _ => Self::None,
        }
    }

    /// Its name: "none", "gzip", "zstd", "xz", "bzip2".
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        }
    }
}

#[cfg(test)]
mod tests;
