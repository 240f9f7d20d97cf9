//! The reading itself: headers, segments, the dynamic section and its strings, each bounded before it's read.

use super::{Elf, ElfError, ElfKind, NeedKind, NeededName, Result, Source};
use crate::arch::Architecture;
use object::Endianness;
use object::elf;
use object::pod::{self, Pod};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};

/// The kernel takes no more program headers than fit here.
const MAX_PROGRAM_HEADERS: u64 = 64 * 1024;
/// The kernel's limit of an interpreter's path (PATH_MAX).
const MAX_INTERPRETER: u64 = 4096;
/// Far beyond any dynamic section seen.
const MAX_DYNAMIC: u64 = 1024 * 1024;
/// Far beyond any string table of names and search paths seen.
const MAX_STRING: u64 = 64 * 1024;
/// String tables up to this size are read whole, of larger ones only the strings wanted: names of needed objects are few, those
/// of functions many.
const WHOLE_STRINGS: u64 = 8 * 1024;
/// Bytes before and behind a wanted string that are read with it, since the others wanted mostly stand beside it.
const AROUND: u64 = 256;
/// Objects that one object may ask for.
const MAX_NEEDS: usize = 4096;

/// An aligned buffer, which may be used again.
#[derive(Default)]
pub(super) struct Buffer {
    words: Vec<u64>,
    length: usize,
}

/// What is read of a file behind its first page.
#[derive(Default)]
pub(super) struct Parts {
    headers: Buffer,
    dynamic: Buffer,
    strings: Buffer,
    other: Buffer,
}

impl Buffer {
    /// Makes room for so many bytes; what they are is for [`Buffer::fill`] to say.
    pub fn resize(&mut self, length: usize) {
        self.words.resize(length.div_ceil(8), 0);
        self.length = length;
    }

    pub fn bytes(&self) -> &[u8] {
        &pod::bytes_of_slice(&self.words)[..self.length]
    }

    /// Reads until the buffer is full or the file ends; gives what was read.
    pub fn fill(&mut self, source: &(impl Source + ?Sized), offset: u64) -> Result<usize> {
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

/// A source whose beginning has been read.
pub(super) struct Headed<'h, S: ?Sized> {
    pub head: &'h [u8],
    pub source: &'h S,
}

impl<S: Source + ?Sized> Source for Headed<'_, S> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let known = self.head.get(start..).and_then(|rest| rest.get(..buffer.len()));
        match known {
            Some(known) => {
                buffer.copy_from_slice(known);
                Ok(buffer.len())
            }
            None => self.source.read_at(buffer, offset),
        }
    }
}

fn unreadable(error: &std::io::Error) -> ElfError {
    ElfError::Unreadable(rustix::io::Errno::from_io_error(error).unwrap_or(rustix::io::Errno::IO))
}

/// Reads exactly `length` bytes, which the caller has bounded.
fn read(
    source: &(impl Source + ?Sized),
    offset: u64,
    length: u64,
    part: &'static str,
    buffer: &mut Buffer,
) -> Result<()> {
    let fits = offset.checked_add(length).is_some_and(|end| i64::try_from(end).is_ok());
    let length = usize::try_from(length).ok().filter(|_| fits);
    let length = length.ok_or(ElfError::Invalid(part))?;
    buffer.resize(length);
    if buffer.fill(source, offset)? == length {
        Ok(())
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

pub(super) struct Reader<'s, S: Source + ?Sized, H: FileHeader<Endian = Endianness>> {
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
    pub fn open(source: &'s S, head: &[u8]) -> Result<Self> {
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

    pub fn elf(mut self, parts: &mut Parts) -> Result<Elf> {
        let endian = self.endian;
        let mut elf = self.empty();
        let mut headers = std::mem::take(&mut parts.headers);
        self.program_headers(&mut headers)?;
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
                elf::PT_INTERP if elf.interpreter.is_none() => {
                    elf.interpreter = Some(self.interpreter(segment, &mut parts.other)?);
                }
                elf::PT_DYNAMIC if !elf.dynamic => self.dynamic(segment, &mut elf, parts)?,
                _ => {}
            }
        }
        parts.headers = headers;
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

    fn program_headers(&self, headers: &mut Buffer) -> Result<()> {
        let size = self.header.e_phentsize(self.endian);
        let count = u64::from(self.header.e_phnum(self.endian));
        if count == 0 {
            headers.resize(0);
            return Ok(());
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
            headers,
        )
    }

    fn interpreter(&self, segment: Segment, buffer: &mut Buffer) -> Result<Vec<u8>> {
        if segment.length < 2 || segment.length > MAX_INTERPRETER {
            return Err(ElfError::Invalid("interpreter"));
        }
        read(self.source, segment.offset, segment.length, "interpreter", buffer)?;
        match buffer.bytes().split_last() {
            Some((0, path)) => Ok(until_nul(path).to_vec()),
            _ => Err(ElfError::Invalid("interpreter")),
        }
    }

    fn dynamic(&self, segment: Segment, elf: &mut Elf, parts: &mut Parts) -> Result<()> {
        if segment.length > MAX_DYNAMIC {
            return Err(ElfError::Invalid("dynamic section"));
        }
        elf.dynamic = true;
        let Parts { dynamic, strings, .. } = parts;
        read(self.source, segment.offset, segment.length, "dynamic section", dynamic)?;
        let tags = self.tags(view(dynamic))?;
        let mut strings = Strings::open(self, &tags, strings)?;
        let mut string = |offset: Option<u64>| offset.map(|offset| strings.get(offset)).transpose();
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
    /// The part that was read last, and where in the table it begins.
    part: &'s mut Buffer,
    start: u64,
}

impl<'s, S: Source + ?Sized> Strings<'s, S> {
    fn open<H: FileHeader<Endian = Endianness>>(
        reader: &Reader<'s, S, H>,
        tags: &Tags,
        buffer: &'s mut Buffer,
    ) -> Result<Self> {
        let part = "dynamic string table";
        let (offset, length) = match (tags.strings, tags.strings_length) {
            (Some(address), Some(length)) => {
                let offset = reader.offset(address, length).ok_or(ElfError::Invalid(part))?;
                (offset, length)
            }
            _ => (0, 0),
        };
        let whole = if length <= WHOLE_STRINGS { length } else { 0 };
        read(reader.source, offset, whole, part, buffer)?;
        Ok(Self {
            source: reader.source,
            offset,
            length,
            part: buffer,
            start: 0,
        })
    }

    fn get(&mut self, at: u64) -> Result<Vec<u8>> {
        let invalid = ElfError::Invalid("name in the dynamic section");
        if at >= self.length {
            return Err(invalid);
        }
        if let Some(string) = self.read_already(at) {
            return Ok(string);
        }
        for behind in [AROUND, MAX_STRING] {
            let start = at.saturating_sub(AROUND);
            let end = at.saturating_add(behind).min(self.length);
            let length = end.saturating_sub(start);
            let offset = self.offset.saturating_add(start);
            read(self.source, offset, length, "dynamic string table", self.part)?;
            self.start = start;
            if let Some(string) = self.read_already(at) {
                return Ok(string);
            }
        }
        Err(invalid)
    }

    /// The string at this place of the table, if it was read with its end.
    fn read_already(&self, at: u64) -> Option<Vec<u8>> {
        let inside = usize::try_from(at.checked_sub(self.start)?).ok()?;
        terminated(self.part.bytes().get(inside..)?)
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn terminated(bytes: &[u8]) -> Option<Vec<u8>> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some(bytes[..end].to_vec())
}
