//! What the kernel and the dynamic loader read from an ELF file (elf(5)): its architecture, interpreter and needs.
//!
//! Files are read in bounded pieces with pread, never mapped, so that a file cut short meanwhile is an error and not a
//! signal. No length, count or offset of the file is trusted.

use crate::arch::Architecture;
use object::Endianness;
use object::elf;
use object::pod::{self, Pod};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use std::os::unix::fs::FileExt;

/// Read at once: header, program headers and mostly the interpreter.
const HEAD: usize = 4096;
/// The kernel takes no more program headers than fit here.
const MAX_PROGRAM_HEADERS: u64 = 64 * 1024;
/// The kernel's limit of an interpreter's path (PATH_MAX).
const MAX_INTERPRETER: u64 = 4096;
/// Far beyond any dynamic section seen.
const MAX_DYNAMIC: u64 = 1024 * 1024;
/// Far beyond any string table of names and search paths seen.
const MAX_STRING: usize = 64 * 1024;
/// String tables up to this size are read whole, of larger ones only the strings wanted.
const WHOLE_STRINGS: u64 = 64 * 1024;
/// Objects that one object may ask for.
const MAX_NEEDS: usize = 4096;

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
        let mut head = Buffer::new(HEAD);
        let length = head.fill(source, 0)?;
        let bytes = &head.bytes()[..length];
        if !bytes.starts_with(&elf::ELFMAG) {
            return Err(ElfError::NotElf);
        }
        match bytes.get(4) {
            Some(&elf::ELFCLASS64) => Reader::<_, elf::FileHeader64<Endianness>>::open(source, bytes)?.elf(),
            Some(&elf::ELFCLASS32) => Reader::<_, elf::FileHeader32<Endianness>>::open(source, bytes)?.elf(),
            Some(_) => Err(ElfError::Invalid("class")),
            None => Err(ElfError::Truncated("header")),
        }
    }
}

/// An aligned buffer.
struct Buffer {
    words: Vec<u64>,
    length: usize,
}

impl Buffer {
    fn new(length: usize) -> Self {
        let words = vec![0; length.div_ceil(8)];
        Self { words, length }
    }

    fn bytes(&self) -> &[u8] {
        &pod::bytes_of_slice(&self.words)[..self.length]
    }

    /// Reads until the buffer is full or the file ends; gives what was read.
    fn fill(&mut self, source: &(impl Source + ?Sized), offset: u64) -> Result<usize> {
        let bytes = &mut pod::bytes_of_slice_mut(&mut self.words)[..self.length];
        let mut done = 0;
        while done < bytes.len() {
            match source.read_at(&mut bytes[done..], offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(more) => done += more,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(&error)),
            }
        }
        Ok(done)
    }
}

fn unreadable(error: &std::io::Error) -> ElfError {
    ElfError::Unreadable(rustix::io::Errno::from_io_error(error).unwrap_or(rustix::io::Errno::IO))
}

/// Reads exactly `length` bytes, which the caller has bounded.
fn read(source: &(impl Source + ?Sized), offset: u64, length: u64, part: &'static str) -> Result<Buffer> {
    let fits = offset.checked_add(length).is_some_and(|end| i64::try_from(end).is_ok());
    let length = usize::try_from(length).ok().filter(|_| fits);
    let length = length.ok_or(ElfError::Invalid(part))?;
    let mut buffer = Buffer::new(length);
    if buffer.fill(source, offset)? == length {
        Ok(buffer)
    } else {
        Err(ElfError::Truncated(part))
    }
}

/// As many values as a buffer holds.
fn view<T: Pod>(buffer: &Buffer) -> &[T] {
    let bytes = buffer.bytes();
    pod::slice_from_bytes(bytes, bytes.len() / size_of::<T>()).map_or(&[], |(slice, _)| slice)
}

/// A range of the file that stands at an address.
#[derive(Clone, Copy)]
struct Segment {
    address: u64,
    offset: u64,
    length: u64,
}

struct Reader<'s, S: Source + ?Sized, H: FileHeader<Endian = Endianness>> {
    source: &'s S,
    endian: Endianness,
    header: H,
    segments: Vec<Segment>,
}

/// The values of a dynamic section, strings still as offsets.
#[derive(Default)]
struct Tags {
    strings: Option<u64>,
    strings_length: Option<u64>,
    soname: Option<u64>,
    rpath: Option<u64>,
    runpath: Option<u64>,
    flags: u64,
    needs: Vec<(NeedKind, u64)>,
}

impl<'s, S: Source + ?Sized, H: FileHeader<Endian = Endianness>> Reader<'s, S, H> {
    fn open(source: &'s S, head: &[u8]) -> Result<Self> {
        let (header, _) = pod::from_bytes::<H>(head).map_err(|()| ElfError::Truncated("header"))?;
        if !header.is_little_endian() && !header.is_big_endian() {
            return Err(ElfError::Invalid("byte order"));
        }
        let endian = header.endian().map_err(|_| ElfError::Invalid("byte order"))?;
        if header.e_version(endian) != u32::from(elf::EV_CURRENT) {
            return Err(ElfError::Invalid("version"));
        }
        Ok(Self {
            source,
            endian,
            header: *header,
            segments: Vec::new(),
        })
    }

    fn elf(mut self) -> Result<Elf> {
        let endian = self.endian;
        let mut elf = self.empty();
        let headers = self.program_headers()?;
        for header in view::<H::ProgramHeader>(&headers) {
            if header.p_type(endian) == elf::PT_LOAD {
                let segment = segment(header, endian);
                let place = match header.p_flags(endian) & (elf::PF_W | elf::PF_X) {
                    0 => Some(0),
                    elf::PF_X => Some(elf.constants.len()),
                    _ => None,
                };
                if let Some(place) = place {
                    elf.constants.insert(place, (segment.offset, segment.length));
                }
                self.segments.push(segment);
            }
        }
        for header in view::<H::ProgramHeader>(&headers) {
            let segment = segment(header, endian);
            match header.p_type(endian) {
                elf::PT_INTERP if elf.interpreter.is_none() => elf.interpreter = Some(self.interpreter(segment)?),
                elf::PT_DYNAMIC if !elf.dynamic => self.dynamic(segment, &mut elf)?,
                _ => {}
            }
        }
        Ok(elf)
    }

    fn empty(&self) -> Elf {
        let kind = match self.header.e_type(self.endian) {
            elf::ET_EXEC => ElfKind::Executable,
            elf::ET_DYN => ElfKind::Shared,
            other => ElfKind::Other(other),
        };
        Elf {
            architecture: Architecture {
                machine: self.header.e_machine(self.endian),
                wide: self.header.is_class_64(),
                little_endian: self.header.is_little_endian(),
            },
            kind,
            interpreter: None,
            dynamic: false,
            soname: None,
            rpath: None,
            runpath: None,
            no_default_libraries: false,
            needs: Vec::new(),
            constants: Vec::new(),
        }
    }

    fn program_headers(&self) -> Result<Buffer> {
        let size = self.header.e_phentsize(self.endian);
        let count = u64::from(self.header.e_phnum(self.endian));
        if count == 0 {
            return Ok(Buffer::new(0));
        }
        let length = count * u64::from(size);
        if usize::from(size) != size_of::<H::ProgramHeader>() || length > MAX_PROGRAM_HEADERS {
            return Err(ElfError::Invalid("program headers"));
        }
        read(
            self.source,
            self.header.e_phoff(self.endian).into(),
            length,
            "program headers",
        )
    }

    fn interpreter(&self, segment: Segment) -> Result<Vec<u8>> {
        if segment.length < 2 || segment.length > MAX_INTERPRETER {
            return Err(ElfError::Invalid("interpreter"));
        }
        let buffer = read(self.source, segment.offset, segment.length, "interpreter")?;
        match buffer.bytes().split_last() {
            Some((0, path)) => Ok(until_nul(path).to_vec()),
            _ => Err(ElfError::Invalid("interpreter")),
        }
    }

    fn dynamic(&self, segment: Segment, elf: &mut Elf) -> Result<()> {
        if segment.length > MAX_DYNAMIC {
            return Err(ElfError::Invalid("dynamic section"));
        }
        elf.dynamic = true;
        let buffer = read(self.source, segment.offset, segment.length, "dynamic section")?;
        let tags = self.tags(view(&buffer))?;
        let strings = Strings::open(self, &tags)?;
        let string = |offset: Option<u64>| offset.map(|offset| strings.get(offset)).transpose();
        elf.soname = string(tags.soname)?;
        elf.rpath = string(tags.rpath)?;
        elf.runpath = string(tags.runpath)?;
        elf.no_default_libraries = tags.flags & u64::from(elf::DF_1_NODEFLIB) != 0;
        for (kind, offset) in tags.needs {
            let name = strings.get(offset)?;
            elf.needs.push(NeededName { name, kind });
        }
        Ok(())
    }

    fn tags(&self, entries: &[H::Dyn]) -> Result<Tags> {
        let mut tags = Tags::default();
        for entry in entries {
            let value = entry.d_val(self.endian).into();
            match entry.tag32(self.endian) {
                Some(elf::DT_NULL) => break,
                Some(elf::DT_STRTAB) => tags.strings = Some(value),
                Some(elf::DT_STRSZ) => tags.strings_length = Some(value),
                Some(elf::DT_SONAME) => tags.soname = Some(value),
                Some(elf::DT_RPATH) => tags.rpath = Some(value),
                Some(elf::DT_RUNPATH) => tags.runpath = Some(value),
                Some(elf::DT_FLAGS_1) => tags.flags = value,
                Some(elf::DT_NEEDED) => tags.needs.push((NeedKind::Needed, value)),
                Some(elf::DT_FILTER) => tags.needs.push((NeedKind::Filter, value)),
                Some(elf::DT_AUXILIARY) => tags.needs.push((NeedKind::Auxiliary, value)),
                _ => {}
            }
        }
        if tags.needs.len() > MAX_NEEDS {
            return Err(ElfError::Invalid("list of needed libraries"));
        }
        Ok(tags)
    }

    /// The place in the file of `length` bytes at an address.
    fn offset(&self, address: u64, length: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let inside = address.checked_sub(segment.address)?;
            let end = inside.checked_add(length)?;
            (end <= segment.length).then(|| segment.offset.checked_add(inside))?
        })
    }
}

fn segment<P: ProgramHeader<Endian = Endianness>>(header: &P, endian: Endianness) -> Segment {
    Segment {
        address: header.p_vaddr(endian).into(),
        offset: header.p_offset(endian).into(),
        length: header.p_filesz(endian).into(),
    }
}

/// The dynamic string table.
struct Strings<'s, S: Source + ?Sized> {
    source: &'s S,
    offset: u64,
    length: u64,
    whole: Option<Buffer>,
}

impl<'s, S: Source + ?Sized> Strings<'s, S> {
    fn open<H: FileHeader<Endian = Endianness>>(reader: &Reader<'s, S, H>, tags: &Tags) -> Result<Self> {
        let part = "dynamic string table";
        let (offset, length) = match (tags.strings, tags.strings_length) {
            (Some(address), Some(length)) => {
                let offset = reader.offset(address, length).ok_or(ElfError::Invalid(part))?;
                (offset, length)
            }
            _ => (0, 0),
        };
        let whole = if length <= WHOLE_STRINGS {
            Some(read(reader.source, offset, length, part)?)
        } else {
            None
        };
        Ok(Self {
            source: reader.source,
            offset,
            length,
            whole,
        })
    }

    fn get(&self, at: u64) -> Result<Vec<u8>> {
        let invalid = ElfError::Invalid("name in the dynamic section");
        if at >= self.length {
            return Err(invalid);
        }
        if let Some(whole) = &self.whole {
            let bytes = usize::try_from(at).ok().and_then(|at| whole.bytes().get(at..));
            return terminated(bytes.unwrap_or_default()).ok_or(invalid);
        }
        let most = (self.length - at).min(MAX_STRING as u64);
        for length in [most.min(256), most] {
            let buffer = read(self.source, self.offset + at, length, "dynamic string table")?;
            if let Some(string) = terminated(buffer.bytes()) {
                return Ok(string);
            }
        }
        Err(invalid)
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn terminated(bytes: &[u8]) -> Option<Vec<u8>> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some(bytes[..end].to_vec())
}
