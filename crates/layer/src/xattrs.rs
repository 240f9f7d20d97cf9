//! Extended attributes of a path, all at once.

use rustix::fd::AsFd;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The kernel's limit of a list of names and of a value: xattr(7).
const LIMIT: usize = 64 << 10;

/// Names and values of all attributes that can be read, sorted by name; of what a symlink leads to where `follow`.
/// A file system without attributes has none.
pub(crate) fn all(path: &Path, follow: bool) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    if follow {
        collect(
            |buffer| rustix::fs::listxattr(path, buffer),
            |name, buffer| rustix::fs::getxattr(path, name, buffer),
        )
    } else {
        collect(
            |buffer| rustix::fs::llistxattr(path, buffer),
            |name, buffer| rustix::fs::lgetxattr(path, name, buffer),
        )
    }
}

/// The same of an open file.
pub(crate) fn of_file(file: impl AsFd) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    collect(
        |buffer| rustix::fs::flistxattr(&file, buffer),
        |name, buffer| rustix::fs::fgetxattr(&file, name, buffer),
    )
}

fn collect(
    list: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
    get: impl Fn(&OsStr, &mut [u8]) -> rustix::io::Result<usize>,
) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let names = match sized(list) {
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        result => result?,
    };
    let mut found = Vec::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        match sized(|buffer| get(OsStr::from_bytes(name), buffer)) {
            Ok(value) => found.push((name.to_vec(), value)),
            // Gone meanwhile, or listed though it can't be read.
            Err(Errno::NODATA | Errno::NOTSUP) => {}
            Err(errno) => return Err(errno),
        }
    }
    found.sort();
    Ok(found)
}

/// Calls with a buffer that is large enough: a small one first, then one of the kernel's limit.
fn sized(call: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut small = [0; 256];
    match call(&mut small) {
        Ok(length) => return Ok(small[..length].to_vec()),
        Err(Errno::RANGE) => {}
        Err(errno) => return Err(errno),
    }
    // An empty buffer doesn't ask for the size here: rustix answers 0.
    let mut large = vec![0; LIMIT];
    let length = call(&mut large)?;
    large.truncate(length);
    Ok(large)
}
