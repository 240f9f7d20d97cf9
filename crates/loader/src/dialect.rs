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
    let file = files.walk.open_file(resolved).ok()?;
    let mut found = Constants::default();
    for (offset, length) in &elf.constants {
        let length = usize::try_from((*length).min(MAX_CONSTANTS)).ok()?;
        let mut data = vec![0; length];
        let read = file.read_at(&mut data, *offset).ok()?;
        found.scan(&data[..read]);
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
        for string in data.split(|byte| *byte == 0) {
            // Most of what lies between two zeros is no text at all.
            if !string.starts_with(b"/") && !string.starts_with(b"lib") {
                self.take(&mut run);
                continue;
            }
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

fn is_directory(string: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-_.+".contains(byte);
    string.len() > 4 && string.starts_with(b"/") && string.ends_with(b"/") && string.iter().all(plain)
}
