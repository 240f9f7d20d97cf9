//! The names in a directory, a buffer at a time, so that a directory of any size takes little memory.

use rustix::fs::{FileType, RawDir, SeekFrom, seek};
use rustix::io::Result;
use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

/// Bytes asked of the kernel at a time.
const SIZE: usize = 32 * 1024;

/// A name in a directory.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: CString,
    /// What the directory says it is; `Unknown` where the file system doesn't.
    pub(super) file_type: FileType,
    inode: u64,
}

/// How far a directory has been read.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Read but not yet handed out, the next one last.
    entries: Vec<Entry>,
    /// Where to read on: getdents(2), `d_off`.
    cookie: u64,
    done: bool,
}

/// What the kernel writes names to; one serves all directories.
pub(super) struct Buffer(Box<[MaybeUninit<u8>]>);

impl Buffer {
    pub(super) fn new() -> Self {
        Self(Box::new_uninit_slice(SIZE))
    }
}

impl Listing {
    /// The next name other than "." and "..".
    pub(super) fn next(&mut self, dir: BorrowedFd<'_>, buffer: &mut Buffer) -> Result<Option<Entry>> {
        while self.entries.is_empty() && !self.done {
            self.fill(dir, buffer)?;
        }
        Ok(self.entries.pop())
    }

    fn fill(&mut self, dir: BorrowedFd<'_>, buffer: &mut Buffer) -> Result<()> {
        let mut names = RawDir::new(dir, &mut buffer.0);
        loop {
            let Some(entry) = names.next() else {
                self.done = true;
                break;
            };
            let entry = entry?;
            self.cookie = entry.next_entry_cookie();
            if entry.file_name() != c"." && entry.file_name() != c".." {
                self.entries.push(Entry {
                    name: entry.file_name().to_owned(),
                    file_type: entry.file_type(),
                    inode: entry.ino(),
                });
            }
            if names.is_buffer_empty() {
                break;
            }
        }
        // In the order in which inodes lie on disk; the last is handed out first.
        self.entries
            .sort_unstable_by_key(|entry| std::cmp::Reverse(entry.inode));
        Ok(())
    }

    /// Moves a directory that was opened anew to where the reading stopped.
    pub(super) fn resume(&self, dir: BorrowedFd<'_>) -> Result<()> {
        if self.done || self.cookie == 0 {
            return Ok(());
        }
        seek(dir, SeekFrom::Start(self.cookie)).map(drop)
    }
}
