//! What the kernel and the dynamic loader read from an ELF file (elf(5)): its architecture, interpreter and needs.
//!
//! Files are read in bounded pieces with pread, never mapped, so that a file cut short meanwhile is an error and not a
//! signal. No length, count or offset of the file is trusted.

mod read;

use crate::arch::Architecture;
use object::Endianness;
use object::elf;
use read::{Buffer, Headed, Parts, Reader};
use std::os::unix::fs::FileExt;

/// Read at once: header, program headers and mostly the interpreter.
const HEAD: usize = 4096;

/// What files are read into, one after the other: made anew for each, such buffers leave holes in memory that no other one
/// fits in.
#[derive(Default)]
pub(crate) struct Scratch {
    head: Buffer,
    parts: Parts,
}

/// What stands in an ELF file for those that start it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    /// Whom it's made for.
    pub architecture: Architecture,
    /// How it may be used.
    pub kind: ElfKind,
    /// PT_INTERP: the program interpreter; `None` in static programs and most libraries.
    pub interpreter: Option<Vec<u8>>,
    /// Whether it has a dynamic section.
    pub dynamic: bool,
    /// DT_SONAME: the name that others know it by.
    pub soname: Option<Vec<u8>>,
    /// DT_RPATH, which counts only where there's no DT_RUNPATH.
    pub rpath: Option<Vec<u8>>,
    /// DT_RUNPATH.
    pub runpath: Option<Vec<u8>>,
    /// Whether DF_1_NODEFLIB forbids the default directories.
    pub no_default_libraries: bool,
    /// DT_NEEDED, DT_AUXILIARY and DT_FILTER, in order.
    pub needs: Vec<NeededName>,
    /// Where read-only data may stand, likeliest first: for the one object whose constants are read, the dynamic
    /// loader.
    pub(crate) constants: Vec<(u64, u64)>,
}

/// How an ELF file may be used: its `e_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElfKind {
    /// ET_EXEC: a program with a fixed address.
    Executable,
    /// ET_DYN: a library or a position independent program.
    Shared,
    /// Object files and core dumps, which nobody starts.
    Other(u16),
}

/// An object that another one asks for, under this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededName {
    /// The name as it stands in the file: `libc.so.6`, or a path.
    pub name: Vec<u8>,
    /// What for.
    pub kind: NeedKind,
}

/// What an object asks another one for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeedKind {
    /// DT_NEEDED.
    Needed,
    /// DT_FILTER: its symbols are looked up in that object.
    Filter,
    /// DT_AUXILIARY: the same, but it may be missing.
    Auxiliary,
}

/// Why a file is no sound ELF file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// The first four bytes are others.
    #[error("not an ELF file")]
    NotElf,
    /// The part named lies, in whole or in part, beyond the end of the file.
    #[error("{0} beyond the end of the file: cut short or damaged")]
    Truncated(&'static str),
    /// The part named holds a value that can't be.
    #[error("{0} with an impossible value: damaged")]
    Invalid(&'static str),
    /// The file can't be read.
    #[error("{}", wiac_sys::error::describe(*.0))]
    Unreadable(rustix::io::Errno),
}

type Result<T> = std::result::Result<T, ElfError>;

/// Bytes at offsets: a file, or a slice in tests and under the fuzzer.
pub trait Source {
    /// Reads up to `buffer.len()` bytes from `offset` on; zero at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize>;
}

impl Source for std::fs::File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

impl Source for [u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        let rest = rest.unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}

impl Elf {
    /// Reads what [`Elf`] holds from a file.
    ///
    /// # Errors
    /// [`ElfError`], for everything but a file that the kernel and the dynamic loader could read as well.
    pub fn parse(source: &(impl Source + ?Sized)) -> Result<Self> {
        Self::parse_with(source, &mut Scratch::default())
    }

    /// The same with buffers that served other files.
    pub(crate) fn parse_with(source: &(impl Source + ?Sized), scratch: &mut Scratch) -> Result<Self> {
        let Scratch { head, parts } = scratch;
        head.resize(HEAD);
        let length = head.fill(source, 0)?;
        let bytes = &head.bytes()[..length];
        if !bytes.starts_with(&elf::ELFMAG) {
            return Err(ElfError::NotElf);
        }
        let source = &Headed { head: bytes, source };
        match bytes.get(4) {
            Some(&elf::ELFCLASS64) => Reader::<_, elf::FileHeader64<Endianness>>::open(source, bytes)?.elf(parts),
            Some(&elf::ELFCLASS32) => Reader::<_, elf::FileHeader32<Endianness>>::open(source, bytes)?.elf(parts),
            Some(_) => Err(ElfError::Invalid("class")),
            None => Err(ElfError::Truncated("header")),
        }
    }
}
