//! The bytes of two files of one length, without reading holes that both have: a stranger's tar makes huge ones.

use super::node::Spot;
use crate::error::{IoExt, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, SeekFrom};
use rustix::io::Errno;

/// Bytes read at a time.
const CHUNK: usize = 128 << 10;

/// Whether the files at these spots, of `size` bytes both, differ.
pub(super) fn differs(spots: &[Spot<'_>; 2], size: u64, path: &[u8]) -> Result<bool> {
    if size == 0 {
        return Ok(false);
    }
    let open = |spot: &Spot<'_>| {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::openat(spot.parent, spot.name, flags, Mode::empty()).at("open", path)
    };
    let files = [open(&spots[0])?, open(&spots[1])?];
    let length = CHUNK.min(usize::try_from(size).unwrap_or(CHUNK));
    let mut buffers = [vec![0; length], vec![0; length]];
    let mut at = 0;
    let mut skipping = size > CHUNK as u64;
    while at < size {
        if skipping {
            let next = [data(&files[0], at), data(&files[1], at)];
            let [Ok(found), Ok(meant)] = next else {
                // This file system doesn't tell.
                skipping = false;
                continue;
            };
            at = found.unwrap_or(size).min(meant.unwrap_or(size));
        }
        let [one, other] = &mut buffers;
        let read = fill(&files[0], one, at).at("read", path)?;
        let also = fill(&files[1], other, at).at("read", path)?;
        if one[..read] != other[..also] {
            return Ok(true);
        }
        if read == 0 {
            break;
        }
        at += read as u64;
    }
    Ok(false)
}

/// Where the next data is; `None` where only a hole follows.
fn data(file: &OwnedFd, at: u64) -> rustix::io::Result<Option<u64>> {
    match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Err(Errno::NXIO) => Ok(None),
        result => result.map(Some),
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &OwnedFd, buffer: &mut [u8], at: u64) -> rustix::io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut buffer[length..], at + length as u64))? {
            0 => break,
            count => length += count,
        }
    }
    Ok(length)
}
