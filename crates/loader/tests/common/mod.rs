//! Tiny ELF files built in code, and roots built of them.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use wiac_loader::{Closure, Collector, EntryKind, Error};
use wiac_sys::root::Root;

pub const X86_64: u16 = 62;
pub const I386: u16 = 3;
pub const AARCH64: u16 = 183;
pub const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

const DT_NEEDED: u64 = 1;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
const DT_FLAGS_1: u64 = 0x6fff_fffb;
const DT_AUXILIARY: u64 = 0x7fff_fffd;
const DT_FILTER: u64 = 0x7fff_ffff;

/// An ELF file under way: a little endian x86-64 library unless told otherwise.
#[derive(Clone)]
pub struct ElfFile {
    pub machine: u16,
    pub wide: bool,
    interpreter: Option<String>,
    strings: Vec<u8>,
    tags: Vec<(u64, u64)>,
    /// `e_type`: ET_DYN.
    pub kind: u16,
    /// Bytes of an own read-only segment.
    constants: Vec<u8>,
}

pub fn elf() -> ElfFile {
    ElfFile {
        machine: X86_64,
        wide: true,
        interpreter: None,
        strings: vec![0],
        tags: Vec::new(),
        kind: 3,
        constants: Vec::new(),
    }
}

/// A program for glibc's loader on x86-64.
pub fn program() -> ElfFile {
    elf().interpreter(LOADER)
}

impl ElfFile {
    pub fn machine(mut self, machine: u16, wide: bool) -> Self {
        (self.machine, self.wide) = (machine, wide);
        self
    }

    pub fn interpreter(mut self, path: &str) -> Self {
        self.interpreter = Some(path.to_owned());
        self
    }

    pub fn needs(self, name: &str) -> Self {
        self.string(DT_NEEDED, name)
    }

    pub fn soname(self, name: &str) -> Self {
        self.string(DT_SONAME, name)
    }

    pub fn rpath(self, path: &str) -> Self {
        self.string(DT_RPATH, path)
    }

    pub fn runpath(self, path: &str) -> Self {
        self.string(DT_RUNPATH, path)
    }

    pub fn auxiliary(self, name: &str) -> Self {
        self.string(DT_AUXILIARY, name)
    }

    pub fn filter(self, name: &str) -> Self {
        self.string(DT_FILTER, name)
    }

    pub fn no_default_libraries(self) -> Self {
        self.tag(DT_FLAGS_1, 0x800)
    }

    pub fn constants(mut self, bytes: &[u8]) -> Self {
        self.constants = bytes.to_vec();
        self
    }

    pub fn tag(mut self, tag: u64, value: u64) -> Self {
        self.tags.push((tag, value));
        self
    }

    fn string(mut self, tag: u64, text: &str) -> Self {
        let offset = self.strings.len() as u64;
        self.strings.extend_from_slice(text.as_bytes());
        self.strings.push(0);
        self.tag(tag, offset)
    }

    fn word(&self, value: u64) -> Vec<u8> {
        if self.wide {
            value.to_le_bytes().to_vec()
        } else {
            u32::try_from(value).unwrap().to_le_bytes().to_vec()
        }
    }

    fn program_header(&self, kind: u32, offset: u64, length: u64) -> Vec<u8> {
        let flags = 4_u32.to_le_bytes().to_vec();
        let kind = kind.to_le_bytes().to_vec();
        let words = [offset, offset, offset, length, length]
            .map(|value| self.word(value))
            .concat();
        if self.wide {
            [kind, flags, words, self.word(8)].concat()
        } else {
            [kind, words, flags, self.word(8)].concat()
        }
    }

    /// The file: header, program headers (LOAD, LOAD, DYNAMIC, INTERP), interpreter, strings, dynamic section.
    pub fn build(&self) -> Vec<u8> {
        let (header, program_header) = if self.wide { (64, 56) } else { (52, 32) };
        let count = 3 + u64::from(self.interpreter.is_some());
        let interpreter_at = header + count * program_header;
        let interpreter = self.interpreter.as_ref().map(|path| [path.as_bytes(), &[0]].concat());
        let interpreter = interpreter.unwrap_or_default();
        let strings_at = interpreter_at + interpreter.len() as u64;
        let dynamic_at = (strings_at + self.strings.len() as u64).next_multiple_of(8);
        let mut tags = self.tags.clone();
        tags.extend([(5, strings_at), (10, self.strings.len() as u64), (0, 0)]);
        let dynamic: Vec<u8> = tags
            .iter()
            .flat_map(|(tag, value)| [self.word(*tag), self.word(*value)].concat())
            .collect();
        let constants_at = dynamic_at + dynamic.len() as u64;

        let mut file = self.header(count);
        file.extend(self.program_header(1, 0, constants_at));
        file.extend(self.program_header(1, constants_at, self.constants.len() as u64));
        file.extend(self.program_header(2, dynamic_at, dynamic.len() as u64));
        if self.interpreter.is_some() {
            file.extend(self.program_header(3, interpreter_at, interpreter.len() as u64));
        }
        file.extend(interpreter);
        file.extend(&self.strings);
        file.resize(usize::try_from(dynamic_at).unwrap(), 0);
        file.extend(dynamic);
        file.extend(&self.constants);
        file
    }

    fn header(&self, count: u64) -> Vec<u8> {
        let mut file = vec![0x7f, b'E', b'L', b'F', if self.wide { 2 } else { 1 }, 1, 1];
        file.resize(16, 0);
        file.extend(self.kind.to_le_bytes());
        file.extend(self.machine.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        let (size, program_header) = if self.wide { (64_u16, 56_u16) } else { (52, 32) };
        for value in [0, u64::from(size), 0] {
            file.extend(self.word(value));
        }
        file.extend(0_u32.to_le_bytes());
        for value in [size, program_header, u16::try_from(count).unwrap(), 0, 0, 0] {
            file.extend(value.to_le_bytes());
        }
        file
    }
}

/// A root in a temporary directory.
pub struct Tree(tempfile::TempDir);

impl Tree {
    /// Holds a glibc loader for x86-64 and nothing else.
    pub fn new() -> Self {
        Self::empty().elf(LOADER, &elf().soname("ld-linux-x86-64.so.2"))
    }

    pub fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    /// A file that may be executed.
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let at = self.path(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(&at, content).unwrap();
        std::fs::set_permissions(&at, PermissionsExt::from_mode(0o755)).unwrap();
        self
    }

    pub fn mode(self, path: &str, mode: u32) -> Self {
        std::fs::set_permissions(self.path(path), PermissionsExt::from_mode(mode)).unwrap();
        self
    }

    pub fn elf(self, path: &str, file: &ElfFile) -> Self {
        self.file(path, file.build())
    }

    pub fn link(self, path: &str, target: &str) -> Self {
        let at = self.path(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        symlink(target, at).unwrap();
        self
    }

    pub fn directory(self, path: &str) -> Self {
        std::fs::create_dir_all(self.path(path)).unwrap();
        self
    }

    pub fn root(&self) -> Root {
        Root::open(self.0.path()).unwrap()
    }

    pub fn try_closure(&self, program: &str) -> Result<Closure, Error> {
        let root = self.root();
        let mut collector = Collector::new(&root);
        collector.add_program(program)?;
        collector.finish()
    }

    pub fn closure(&self, program: &str) -> Closure {
        self.try_closure(program)
            .unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    /// The files of a program's closure, without the program and its interpreter.
    pub fn libraries(&self, program: &str) -> Vec<String> {
        let closure = self.closure(program);
        let object = &closure.objects[closure.programs[0].object];
        let started = object.path.clone();
        let mut files = files(&closure);
        files.retain(|path| Path::new(path) != started && !path.contains("/ld-"));
        files
    }
}

/// The regular files of a closure; variants are marked.
pub fn files(closure: &Closure) -> Vec<String> {
    let files = closure.entries.iter().filter(|entry| entry.kind == EntryKind::File);
    files
        .map(|entry| {
            let variant = entry.variant.as_ref().map(|name| format!(" ({name})"));
            format!("{}{}", entry.path.display(), variant.unwrap_or_default())
        })
        .collect()
}

/// The symlinks of a closure, as `PATH -> TARGET`.
pub fn links(closure: &Closure) -> Vec<String> {
    let links = closure.entries.iter().filter_map(|entry| match &entry.kind {
        EntryKind::Symlink(target) => Some(format!("{} -> {}", entry.path.display(), target.display())),
        _ => None,
    });
    links.collect()
}

/// An entry of a cache under way: flags, name, path, and the hardware it's for.
pub type CacheEntry<'a> = (u32, &'a str, &'a str, Option<&'a str>);

/// A cache file in glibc's newer format. Names must stand in the cache's own order, greatest first.
pub fn cache(entries: &[CacheEntry<'_>]) -> Vec<u8> {
    let mut hwcaps: Vec<&str> = entries.iter().filter_map(|entry| entry.3).collect();
    hwcaps.dedup();
    let mut strings = Vec::new();
    let start = 48 + 24 * entries.len();
    let mut place = |text: &str| {
        let at = u32::try_from(start + strings.len()).unwrap();
        strings.extend_from_slice(text.as_bytes());
        strings.push(0);
        at
    };
    let mut table = Vec::new();
    for (flags, name, path, hwcap) in entries {
        for value in [*flags, place(name), place(path), 0] {
            table.extend(value.to_le_bytes());
        }
        let index = hwcap.map(|name| hwcaps.iter().position(|known| *known == name).unwrap() as u64);
        table.extend(index.map_or(0, |index| 1 << 62 | index).to_le_bytes());
    }
    let names: Vec<u8> = hwcaps.iter().flat_map(|name| place(name).to_le_bytes()).collect();
    while !(start + strings.len()).is_multiple_of(4) {
        strings.push(0);
    }
    let extension = u32::try_from(start + strings.len()).unwrap();
    let mut file = b"glibc-ld.so.cache1.1".to_vec();
    let count = u32::try_from(entries.len()).unwrap();
    for value in [count, u32::try_from(strings.len()).unwrap(), 2, extension, 0, 0, 0] {
        file.extend(value.to_le_bytes());
    }
    file.extend(table);
    file.extend(strings);
    let names_length = u32::try_from(names.len()).unwrap();
    for value in [0xeaa4_2174, 1, 1, 0, extension + 24, names_length] {
        file.extend(value.to_le_bytes());
    }
    file.extend(names);
    file
}
