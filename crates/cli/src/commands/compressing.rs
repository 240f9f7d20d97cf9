//! `--compression` and `--compression-level`: how layers are packed that were made here.

use super::save::source_date_epoch;
use crate::error::Failure;
use clap::{Args, ValueEnum};
use wiac_layer::compression::Compression;
use wiac_store::transfer::Packing;

/// How layers made here are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compress {
    /// Not at all
    None,
    /// gzip
    Gzip,
    /// zstd
    Zstd,
}

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Compressing {
    /// How layers made here are compressed; a layer that came in keeps its bytes
    #[arg(
        long,
        value_name = "HOW",
        default_value = "gzip",
        visible_alias = "compression-format"
    )]
    compression: Compress,
    /// How hard: gzip 1 to 12 (by itself 4, which packs as gzip -6), zstd 1 to 19 (by itself 3)
    #[arg(long, value_name = "LEVEL")]
    compression_level: Option<i32>,
}

impl Compressing {
    /// Whether zstd is asked for.
    pub(crate) fn is_zstd(&self) -> bool {
        self.compression == Compress::Zstd
    }

    /// What they come to.
    pub(crate) fn packing(&self) -> Result<Packing, Failure> {
        packing(self.compression, self.compression_level)
    }
}

/// How layers made here are packed.
pub(crate) fn packing(compress: Compress, level: Option<i32>) -> Result<Packing, Failure> {
    let (compression, highest) = match compress {
        Compress::None => (Compression::None, 0),
        Compress::Gzip => (Compression::Gzip, 12),
        Compress::Zstd => (Compression::Zstd, 19),
    };
    if let Some(level) = level.filter(|level| !(1..=highest).contains(level)) {
        return Err(Failure::usage(match compress {
            Compress::None => format!("--compression-level {level}: nothing is compressed here"),
            _ => format!("--compression-level {level}: {} has 1 to {highest}", compression.word()),
        }));
    }
    Ok(Packing {
        compression,
        level,
        clamp: source_date_epoch()?,
    })
}
