//! Deflating one block into a member of its own.

use super::Compression;
use std::io::{self, Write};

/// Deflates blocks one after the other; each thread has its own.
pub(super) enum BlockEncoder {
    None,
    Gzip(libdeflater::Compressor),
    Zstd(zstd::bulk::Compressor<'static>),
    Xz(u32),
    Bzip2(bzip2::Compression),
}

/// How many bytes go into one block. The larger, the better it packs and the more memory it takes; a window of zstd's
/// usual levels is 2 MiB, bzip2's blocks are 900 kB, xz's dictionary at its usual level is 8 MiB.
pub(super) fn block_size(compression: Compression) -> usize {
    match compression {
        Compression::None | Compression::Gzip => 1 << 20,
        Compression::Zstd => 4 << 20,
        Compression::Bzip2 => 900_000,
        Compression::Xz => 8 << 20,
    }
}

impl BlockEncoder {
    /// A level of `None` is the usual one of the format's own program; of gzip the one that packs as that does, for
    /// libdeflate's levels pack better: its 4 comes within a hundredth of `gzip -6`, in two thirds of the time of its 6.
    pub(super) fn new(compression: Compression, level: Option<i32>) -> io::Result<Self> {
        let check = |least: i32, most: i32, usual: i32| {
            let level = level.unwrap_or(usual);
            if (least..=most).contains(&level) {
                return Ok(level);
            }
            let text = format!("{} has levels {least} to {most}, not {level}", compression.word());
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        };
        Ok(match compression {
            Compression::None => Self::None,
            Compression::Gzip => {
                let level = libdeflater::CompressionLvl::new(check(0, 12, 4)?).map_err(|_| other("gzip"))?;
                Self::Gzip(libdeflater::Compressor::new(level))
            }
            Compression::Zstd => {
                let mut encoder = zstd::bulk::Compressor::new(check(1, 22, 3)?)?;
                encoder.include_checksum(true)?;
                Self::Zstd(encoder)
            }
            Compression::Xz => Self::Xz(check(0, 9, 6)?.unsigned_abs()),
            Compression::Bzip2 => Self::Bzip2(bzip2::Compression::new(check(1, 9, 9)?.unsigned_abs())),
        })
    }

    /// One member that inflates to `block`.
    pub(super) fn encode(&mut self, block: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::None => Ok(block.to_vec()),
            Self::Gzip(encoder) => {
                let mut member = vec![0; encoder.gzip_compress_bound(block.len())];
                let length = encoder.gzip_compress(block, &mut member).map_err(|_| other("gzip"))?;
                member.truncate(length);
                Ok(member)
            }
            Self::Zstd(encoder) => encoder.compress(block),
            Self::Xz(level) => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), *level);
                encoder.write_all(block)?;
                encoder.finish()
            }
            Self::Bzip2(level) => {
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), *level);
                encoder.write_all(block)?;
                encoder.finish()
            }
        }
    }
}

fn other(word: &str) -> io::Error {
    io::Error::other(format!("the {word} encoder failed"))
}
