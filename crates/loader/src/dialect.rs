//! Which dynamic loader a program asks for, and what that one takes for granted.
//!
//! glibc's directories, its cache and the meaning of `$LIB` are compiled into its loader. They're read from the
//! loader's own constants where these can be recognised (so distributions that move them, such as NixOS, are right),
//! and come from the architecture's table where not.

use crate::arch::Architecture;
use crate::cache::Cache;
use crate::conf;
use crate::elf::Elf;
use crate::files::Files;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use wiac_sys::root::Resolved;

/// Read-only segments beyond this are no dynamic loader's.
const MAX_CONSTANTS: u64 = 1024 * 1024;
const MAX_DIRECTORIES: usize = 16;
/// One in each byte.
const EVERY: u64 = 0x0101_0101_0101_0101;

/// How a dynamic loader finds libraries.
#[derive(Debug)]
pub(crate) enum Dialect {
    Glibc(Glibc),
    Musl(Musl),
}

/// glibc's ld.so(8).
#[derive(Debug)]
pub(crate) struct Glibc {
    /// Searched last, in order.
    pub directories: Vec<PathBuf>,
    /// Where the cache stands, whether or not there's one.
    pub cache_path: PathBuf,
    pub cache: Option<Cache>,
    /// The directories of ld.so.conf; empty where there's a cache.
    pub configured: Vec<PathBuf>,
    /// Everything `$LIB` may mean.
    pub libs: Vec<String>,
}

/// musl's loader.
#[derive(Debug)]
pub(crate) struct Musl {
    /// Searched last, in order.
    pub directories: Vec<PathBuf>,
    /// The file that names these directories, where there's one.
    pub path_file: Option<PathBuf>,
}

impl Dialect {
    /// The dialect of the loader that a program asks for under this name, or that libraries of this architecture
    /// would be loaded by.
    pub fn of(files: &mut Files<'_>, architecture: Architecture, loader: Option<(&Path, &Resolved, &Elf)>) -> Self {
        if let Some((path, _, _)) = loader
            && let Some(name) = musl_name(path)
        {
            return Self::Musl(Musl::new(files, path, &name));
        }
        let constants = loader.and_then(|(_, resolved, elf)| constants(files, resolved, elf));
        Self::Glibc(Glibc::new(files, architecture, &constants.unwrap_or_default()))
    }
}

/// The architecture in the name of musl's loader, `ld-musl-x86_64.so.1`.
fn musl_name(path: &Path) -> Option<Vec<u8>> {
    let name = path.file_name()?.as_bytes();
    let name = name.strip_prefix(b"ld-musl-")?;
    let end = name.windows(3).position(|part| part == b".so")?;
    Some(name[..end].to_vec())
}

impl Musl {
    fn new(files: &mut Files<'_>, loader: &Path, architecture: &[u8]) -> Self {
        // A loader below another prefix (/opt/musl/lib/ld-musl…) looks for its path file there.
        let prefix = loader.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
        let name = [b"etc/ld-musl-", architecture, b".path"].concat();
        let path_file = prefix.join(OsStr::from_bytes(&name));
        match files.read(&path_file) {
            Some(text) => Self {
                directories: conf::musl_path(&text),
                path_file: Some(path_file),
            },
            None => Self {
                directories: ["/lib", "/usr/local/lib", "/usr/lib"].map(PathBuf::from).to_vec(),
                path_file: None,
            },
        }
    }
}

impl Glibc {
    fn new(files: &mut Files<'_>, architecture: Architecture, constants: &Constants) -> Self {
        let directories = if constants.directories.is_empty() {
            let defaults = architecture.default_directories();
            defaults.into_iter().map(PathBuf::from).collect()
        } else {
            constants.directories.clone()
        };
        let cache_path = constants
            .cache
            .clone()
            .unwrap_or_else(|| PathBuf::from("/etc/ld.so.cache"));
        let cache = files
            .read(&cache_path)
            .and_then(|data| Cache::parse(data, !architecture.little_endian));
        let usual = cache_path == Path::new("/etc/ld.so.cache");
        let configured = if cache.is_none() && usual {
            conf::ld_so_conf(files)
        } else {
            Vec::new()
        };
        let mut libs = architecture.lib_names();
        if let Some(known) = libs.iter().find(|lib| constants.libs.contains(lib)).cloned() {
            libs = vec![known];
        }
        Self {
            directories,
            cache_path,
            cache,
            configured,
            libs,
        }
    }
}

/// What a loader's read-only data says.
#[derive(Debug, Default)]
struct Constants {
    directories: Vec<PathBuf>,
    cache: Option<PathBuf>,
    libs: Vec<String>,
}

fn constants(files: &mut Files<'_>, resolved: &Resolved, elf: &Elf) -> Option<Constants> {
    let mut found = Constants::default();
    for (offset, length) in &elf.constants {
        let length = usize::try_from((*length).min(MAX_CONSTANTS)).ok()?;
        let mut data = files.buffer(length);
        let file = files.open(resolved).ok()?;
        let read = file.read_at(&mut data, *offset).ok()?;
        found.scan(&data[..read]);
        files.spare = data;
        if found.cache.is_some() && !found.directories.is_empty() {
            break;
        }
    }
    Some(found)
}

impl Constants {
    /// Looks for the list of directories (strings that begin and end with a slash, one behind the other), the path of
    /// the cache, and a relative library directory.
    fn scan(&mut self, data: &[u8]) {
        let mut run: Vec<&[u8]> = Vec::new();
        let mut behind = 0;
        for start in beginnings(data) {
            if start != behind {
                self.take(&mut run);
            }
            let string = data[start..].split(|byte| *byte == 0).next().unwrap_or_default();
            behind = start + string.len() + 1;
            if is_directory(string) && run.len() < MAX_DIRECTORIES {
                run.push(string);
                continue;
            }
            self.take(&mut run);
            if string.starts_with(b"/") && string.ends_with(b"/ld.so.cache") {
                self.cache = self
                    .cache
                    .take()
                    .or_else(|| Some(PathBuf::from(OsStr::from_bytes(string))));
            } else if string.starts_with(b"lib") && string.len() < 64 {
                self.libs.extend(str::from_utf8(string).map(str::to_owned));
            }
        }
        self.take(&mut run);
    }

    fn take(&mut self, run: &mut Vec<&[u8]>) {
        if run.is_empty() {
            return;
        }
        if self.directories.is_empty() && run.iter().any(|name| name.windows(4).any(|part| part == b"/lib")) {
            let directories = run.iter().map(|name| &name[..name.len() - 1]);
            self.directories = directories.map(|name| PathBuf::from(OsStr::from_bytes(name))).collect();
        }
        run.clear();
    }
}

/// Where strings begin that start with a slash or "lib": in front, or behind a zero. Eight bytes are looked at together, since
/// such strings are few.
fn beginnings(data: &[u8]) -> Vec<usize> {
    let of_string = |start: &usize| data[*start..].starts_with(b"/") || data[*start..].starts_with(b"lib");
    let mut found = Vec::new();
    // In front there's an end, too.
    let mut before = 0;
    for (index, bytes) in data.chunks(8).enumerate() {
        let mut word = [0xff; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        let word = u64::from_le_bytes(word);
        let first = zeros(word ^ (EVERY * u64::from(b'/'))) | zeros(word ^ (EVERY * u64::from(b'l')));
        if first & zeros((word << 8) | before) != 0 {
            let start = index * 8;
            let behind_zero = |start: &usize| *start == 0 || data[start - 1] == 0;
            found.extend((start..start + bytes.len()).filter(behind_zero).filter(of_string));
        }
        before = word >> 56;
    }
    found
}

/// The highest bit of each byte that is zero.
fn zeros(word: u64) -> u64 {
    let low = EVERY * 0x7f;
    !(((word & low) + low) | word | low)
}

fn is_directory(string: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-_.+".contains(byte);
    string.len() > 4 && string.starts_with(b"/") && string.ends_with(b"/") && string.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What [`beginnings`] should find, byte by byte.
    fn one_by_one(data: &[u8]) -> Vec<usize> {
        let wanted = |at: usize| data[at..].starts_with(b"/") || data[at..].starts_with(b"lib");
        let mut places = 0..data.len();
        let found = places
            .by_ref()
            .filter(|at| (*at == 0 || data[at - 1] == 0) && wanted(*at));
        found.collect()
    }

    #[test]
    fn finds_strings_wherever_they_begin() {
        let text = b"/first\0lib\0li\0\0/usr/lib/\0/\0x/lib\0lib64\0\x2e\x2f\0\x6c\x80/\0\x01lib\0\x00/";
        for cut in 0..text.len() {
            for end in cut..=text.len() {
                let part = &text[cut..end];
                assert_eq!(beginnings(part), one_by_one(part), "{part:?}");
            }
        }
    }

    #[test]
    fn tells_zero_bytes_exactly() {
        for byte in 0..=255_u8 {
            for place in 0..8 {
                let word = 0x0101_0101_0101_0101_u64 & !(0xff << (8 * place)) | u64::from(byte) << (8 * place);
                let expected = if byte == 0 { 0x80 << (8 * place) } else { 0 };
                assert_eq!(zeros(word), expected, "{word:x}");
            }
        }
    }
}
