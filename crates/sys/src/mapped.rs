//! A file's content as memory, without reading it first.

use rustix::io::Errno;
use std::ffi::c_void;
use std::fs::File;
use std::io::Result;
use std::ops::Deref;
use std::os::fd::AsRawFd;

/// The content that a file had when it was mapped, read as it is looked at: a large file costs what is needed of it, and no
/// copy.
///
/// For files that nobody writes in place or truncates, but replaces by another of the same name, as all of wiac's own are.
/// Whoever looks where the disk can't be read is ended by SIGBUS: what can be made anew belongs here, and nothing else.
#[derive(Debug)]
pub struct Mapped {
    start: *const c_void,
    length: usize,
}

// SAFETY: the mapping belongs to this value, not to a thread.
unsafe impl Send for Mapped {}
// SAFETY: it is only read.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Maps the whole of `file`, which need not stay open.
    ///
    /// # Errors
    /// What `fstat(2)` and `mmap(2)` say.
    pub fn new(file: &File) -> Result<Self> {
        let length = usize::try_from(file.metadata()?.len()).map_err(|_| Errno::FBIG)?;
        if length == 0 {
            // mmap(2) takes none.
            let start = std::ptr::NonNull::<c_void>::dangling().as_ptr();
            return Ok(Self { start, length });
        }
        // SAFETY: a new mapping, at a place of the kernel's choice, touches no other memory.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ,
                libc::MAP_PRIVATE,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        Ok(Self { start, length })
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: so many bytes are mapped for as long as this value lives (or none, at a pointer that isn't null), and by the
        // contract above nobody changes them.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.length) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: the mapping is ours, and nothing borrows from it any more.
            unsafe { libc::munmap(self.start.cast_mut(), self.length) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_seen_whole_and_outlives_its_name() {
        let path = std::env::temp_dir().join(format!("wiac-mapped-{}", std::process::id()));
        for length in [0, 1, 4096, 10_000] {
            let bytes: Vec<u8> = (0..length).map(|number: usize| number.to_le_bytes()[0]).collect();
            std::fs::write(&path, &bytes).expect("written");
            let mapped = Mapped::new(&File::open(&path).expect("opened")).expect("mapped");
            std::fs::remove_file(&path).expect("removed");
            assert!(*mapped == bytes[..], "{length} bytes");
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        assert!(Mapped::new(&File::open("/").expect("opened")).is_err());
    }
}
