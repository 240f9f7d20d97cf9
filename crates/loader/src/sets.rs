//! Files asked for without a program: by path, with all below a directory, and the sets that distributions spread over
//! several places.

use crate::closure::{NeededBy, Program, Set};
use crate::collect::Collector;
use crate::elf::{Elf, ElfError};
use crate::error::Error;
use crate::search::{Candidate, Place};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use wiac_sys::root::{FileKind, Resolved};

/// Where distributions keep certificates: Debian and Alpine, Fedora and its relatives, SUSE, and OpenSSL's own place.
const CERTIFICATES: [&str; 10] = [
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/openssl.cnf",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/openssl.cnf",
    "/etc/pki/ca-trust/extracted",
    "/usr/lib/ssl",
    "/usr/local/share/ca-certificates",
];

/// The modules that glibc falls back to where nsswitch.conf says nothing.
const NSS_DEFAULT: [&str; 2] = ["files", "dns"];
/// Modules that one nsswitch.conf may name.
const MAX_MODULES: usize = 64;

/// Directories under one that was asked for: what lies deeper is no tree of files but a trap.
const MAX_DEPTH: usize = 128;

/// Names in the directories added, under way.
struct Tree {
    by: NeededBy,
    /// Whether ELF files get their closure.
    programs: bool,
    seen: HashSet<PathBuf>,
}

impl Collector<'_> {
    /// Adds a file or a directory (relative to the working directory) with all below it. ELF files among them get their closure; symlinks are kept and
    /// what they lead to is added, wherever in the root it is. One below a directory that leads to nothing stays as it
    /// is. Devices, FIFOs and sockets below a directory are left out. Scripts are files like any other here: their
    /// interpreters are not added.
    ///
    /// # Errors
    /// A path that leads nowhere, a device, or an ELF file whose libraries are missing (but below a directory, that is
    /// noted in [`Closure::incomplete`](crate::Closure::incomplete)).
    pub fn add(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = self.relative(path.as_ref().as_os_str().as_bytes());
        let added = self.add_path(path);
        self.judge(added)
    }

    fn add_path(&mut self, path: PathBuf) -> Result<(), Error> {
        let mut tree = Tree {
            by: NeededBy::User,
            programs: true,
            seen: HashSet::new(),
        };
        let resolved = self.lookup(&path)?;
        if resolved.metadata.kind == FileKind::Special {
            return Err(Error::NotAFile(path));
        }
        self.add_resolved(&path, &resolved, &mut tree, MAX_DEPTH)
    }

    pub(crate) fn collect_set(&mut self, set: Set) -> Result<(), Error> {
        match set {
            Set::Nss => self.nss(),
            Set::Certs => CERTIFICATES.iter().try_for_each(|path| self.add_existing(path, set)),
            Set::Tzdata => ["/usr/share/zoneinfo", "/etc/localtime", "/etc/timezone"]
                .iter()
                .try_for_each(|path| self.add_existing(path, set)),
        }
    }

    fn add_existing(&mut self, path: &str, set: Set) -> Result<(), Error> {
        let mut tree = Tree {
            by: NeededBy::Set(set),
            programs: false,
            seen: HashSet::new(),
        };
        let path = Path::new(path);
        match self.files.find(path) {
            Some(resolved) => self.add_resolved(path, &resolved, &mut tree, MAX_DEPTH),
            None => Ok(()),
        }
    }

    fn add_resolved(
        &mut self,
        path: &Path,
        resolved: &Rc<Resolved>,
        tree: &mut Tree,
        depth: usize,
    ) -> Result<(), Error> {
        self.assembly.resolved(&mut self.files.walk, resolved, tree.by, None);
        match resolved.metadata.kind {
            FileKind::Directory => self.add_directory(resolved, tree, depth),
            FileKind::File if tree.programs => self.add_object(path, resolved, tree),
            _ => Ok(()),
        }
    }

    fn add_directory(&mut self, directory: &Resolved, tree: &mut Tree, depth: usize) -> Result<(), Error> {
        if depth == 0 || !tree.seen.insert(directory.path.clone()) {
            return Ok(());
        }
        let entries = self.files.walk.read_dir(&directory.path);
        let entries = entries.map_err(|source| Error::Unreadable {
            path: directory.path.clone(),
            source,
        })?;
        for entry in entries {
            let path = directory.path.join(&entry.name);
            match self.files.walk.resolve(&path).map(Rc::new) {
                Ok(resolved) => match self.add_resolved(&path, &resolved, tree, depth - 1) {
                    Err(error) if is_incomplete(&error) => self.assembly.incomplete.push(error),
                    result => result?,
                },
                Err(_) if entry.kind == Some(FileKind::Symlink) => self.add_dangling(&path, tree.by),
                // Deleted meanwhile.
                Err(source) if source.errno() == rustix::io::Errno::NOENT => {}
                Err(source) => return Err(Error::Unreadable { path, source }),
            }
        }
        Ok(())
    }

    /// Keeps a symlink that leads to nothing.
    fn add_dangling(&mut self, path: &Path, by: NeededBy) {
        let walk = &mut self.files.walk;
        let Ok(resolved) = walk.resolve_nofollow(path) else {
            return;
        };
        if let Ok(target) = walk.root().read_link(&resolved.path) {
            let link = wiac_sys::root::Link {
                path: resolved.path,
                target,
                metadata: resolved.metadata,
            };
            self.assembly.link(walk, &link, by);
        }
    }

    /// Adds what an ELF file needs; any other file needs nothing. Object files and core dumps neither.
    fn add_object(&mut self, path: &Path, resolved: &Rc<Resolved>, tree: &Tree) -> Result<(), Error> {
        let elf = match self.files.elf(resolved) {
            Ok(elf) if elf.dynamic => elf,
            Err(ElfError::Unreadable(errno)) => {
                return Err(Error::Unreadable {
                    path: path.to_owned(),
                    source: wiac_sys::Error::new("open", crate::error::shown(path), errno),
                });
            }
            _ => return Ok(()),
        };
        let object = self.program(path, resolved, &elf)?;
        if tree.by == NeededBy::User {
            self.assembly.programs.push(Program {
                name: path.to_string_lossy().into_owned(),
                found: path.to_owned(),
                object,
            });
        }
        Ok(())
    }

    /// The NSS modules that glibc would load for what nsswitch.conf names, for each program that uses glibc.
    fn nss(&mut self) -> Result<(), Error> {
        self.add_existing("/etc/nsswitch.conf", Set::Nss)?;
        let conf = self.files.read(Path::new("/etc/nsswitch.conf")).unwrap_or_default();
        let mut names = vec!["libresolv.so.2".to_owned()];
        names.extend(modules(&conf).iter().map(|module| format!("libnss_{module}.so.2")));
        for path in self.libraries_called(b"libc.so.6") {
            let Some(resolved) = self.files.find_file(&path) else {
                continue;
            };
            if let Ok(libc) = self.files.elf(&resolved) {
                for name in &names {
                    self.add_library(name, &path, &resolved, &libc)?;
                }
            }
        }
        Ok(())
    }

    /// The objects whose soname is this one.
    fn libraries_called(&mut self, soname: &[u8]) -> Vec<PathBuf> {
        let mut needs: Vec<usize> = Vec::new();
        for need in self.assembly.objects().iter().flat_map(|object| &object.needs) {
            if need.name.as_bytes() == soname && !needs.contains(&need.object) {
                needs.push(need.object);
            }
        }
        let objects = self.assembly.objects();
        needs.into_iter().map(|index| objects[index].path.clone()).collect()
    }

    /// Adds a library as if the C library had named it; nothing where it isn't there or lacks something itself.
    fn add_library(&mut self, name: &str, path: &Path, resolved: &Rc<Resolved>, libc: &Rc<Elf>) -> Result<(), Error> {
        let mut elf = Elf::clone(libc);
        elf.needs.clear();
        elf.needs.push(crate::elf::NeededName {
            name: name.as_bytes().to_vec(),
            kind: crate::elf::NeedKind::Auxiliary,
        });
        let loader = elf
            .interpreter
            .take()
            .map(|name| PathBuf::from(OsStr::from_bytes(&name)));
        let loader = loader.and_then(|path| {
            let resolved = self.files.find_file(&path)?;
            let elf = self.files.elf(&resolved).ok()?;
            Some(candidate(&path, resolved, elf))
        });
        let interpreter = loader.map(|loader| (loader.found.as_os_str().as_bytes().to_vec(), loader));
        let libc = candidate(path, Rc::clone(resolved), Rc::new(elf));
        let (linked, _) = self.link(libc, interpreter)?;
        if !linked.missing.is_empty() {
            return Ok(());
        }
        for member in linked.members.iter().skip(1) {
            let by = NeededBy::Set(Set::Nss);
            self.assembly
                .resolved(&mut self.files.walk, &member.resolved, by, member.variant.as_deref());
        }
        Ok(())
    }
}

/// Whether an ELF file lacks something, or is none that starts; not whether it can't be read.
fn is_incomplete(error: &Error) -> bool {
    matches!(
        error,
        Error::MissingLibraries(_) | Error::Interpreter { .. } | Error::Malformed { .. }
    )
}

fn candidate(path: &Path, resolved: Rc<Resolved>, elf: Rc<Elf>) -> Candidate {
    Candidate {
        found: path.to_owned(),
        resolved,
        elf,
        variant: None,
        source: Place::Path,
    }
}

/// The services of an nsswitch.conf (nsswitch.conf(5)), with glibc's own defaults; names fit for a file name only.
fn modules(conf: &[u8]) -> Vec<String> {
    let mut modules: Vec<String> = NSS_DEFAULT.map(str::to_owned).to_vec();
    for line in conf.split(|byte| *byte == b'\n') {
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let mut action = false;
        for word in line[colon + 1..].split(u8::is_ascii_whitespace) {
            action |= word.starts_with(b"[");
            let name = str::from_utf8(word).unwrap_or_default();
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let new = !modules.iter().any(|known| known == name);
            if !action && plain && new && !name.is_empty() && modules.len() < MAX_MODULES {
                modules.push(name.to_owned());
            }
            action &= !word.ends_with(b"]");
        }
    }
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_services() {
        let conf =
            b"# comment\npasswd: files systemd\nhosts: files mymachines [NOTFOUND=return success=continue] dns\n\
            group: files ../evil\n";
        assert_eq!(modules(conf), ["files", "dns", "systemd", "mymachines"]);
    }
}
