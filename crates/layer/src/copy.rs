//! Copying a file's contents, sharing blocks where the file system can, and keeping holes.

use rustix::fd::AsFd;
use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// Copies all of `from` into the empty file `to`.
pub(crate) fn contents(from: impl AsFd, to: impl AsFd) -> rustix::io::Result<()> {
    let (from, to) = (from.as_fd(), to.as_fd());
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    let length = u64::try_from(rustix::fs::fstat(from)?.st_size).unwrap_or_default();
    let mut at = 0;
    while let Some((start, end)) = next_data(from, at, length)? {
        range(from, to, start, end)?;
        at = end;
    }
    rustix::fs::ftruncate(to, length)
}

/// The next part of a file that isn't a hole, from `at` on; `None` where only a hole is left. A file system that knows
/// no holes says that all is data.
pub(crate) fn next_data(file: impl AsFd, at: u64, length: u64) -> rustix::io::Result<Option<(u64, u64)>> {
    if at >= length {
        return Ok(None);
    }
    let start = match rustix::fs::seek(&file, SeekFrom::Data(at)) {
        Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL) => return Ok(Some((at, length))),
        result => result?,
    };
    let end = match rustix::fs::seek(&file, SeekFrom::Hole(start)) {
        // It has become shorter since.
        Err(Errno::NXIO) => return Ok(None),
        result => result?.min(length),
    };
    Ok((start < end).then_some((start, end)))
}

fn range(from: impl AsFd, to: impl AsFd, start: u64, end: u64) -> rustix::io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    let mut at = start;
    while at < end {
        let most = usize::try_from(end - at).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = rustix::io::retry_on_intr(|| rustix::io::pread(&from, &mut buffer[..most], at))?;
        if count == 0 {
            break;
        }
        let mut data = &buffer[..count];
        while !data.is_empty() {
            let written = rustix::io::retry_on_intr(|| rustix::io::pwrite(&to, data, at))?;
            data = &data[written..];
            at += written as u64;
        }
    }
    Ok(())
}
