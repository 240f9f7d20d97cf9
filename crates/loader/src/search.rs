//! Where the dynamic loader looks for a library, in its order (ld.so(8), "DESCRIPTION"; musl's `load_library`).
//!
//! Variants for certain hardware (glibc-hwcaps, the older subdirectories, `$PLATFORM`) are found beside the baseline,
//! never instead of it, whatever this machine's processor is: the result works, and works best, on any machine.

use crate::arch::Architecture;
use crate::dialect::{Dialect, Glibc, Musl};
use crate::elf::{Elf, ElfError};
use crate::error::{Error, Tried, TriedResult};
use crate::files::Files;
use crate::tokens::{Expanded, Meanings, expand, names_origin};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use wiac_sys::map::HashMap;
use wiac_sys::root::Resolved;

/// Combinations of the older hardware subdirectories nest no deeper.
const MAX_LEGACY_DEPTH: usize = 3;
/// Directories that one search path names.
const MAX_PATH_ENTRIES: usize = 1024;

/// An object in one process, as far as searching depends on it.
#[derive(Debug)]
pub(crate) struct Member {
    pub elf: Rc<Elf>,
    /// The path it was found by.
    pub found: PathBuf,
    pub resolved: Rc<Resolved>,
    /// Who had it loaded; `None` for the program and its interpreter.
    pub loader: Option<usize>,
    pub variant: Option<String>,
    /// What `$ORIGIN` stands for.
    origin: PathBuf,
    rpath: Vec<Expanded>,
    runpath: Vec<Expanded>,
    /// The directories among those that depend on where the object itself lies.
    beside: Vec<PathBuf>,
}

/// A library that was found.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub found: PathBuf,
    pub resolved: Rc<Resolved>,
    pub elf: Rc<Elf>,
    pub variant: Option<String>,
    pub source: Place,
}

/// By what a library was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Path,
    Cache,
    Configured,
    Default,
}

/// The answer to one search.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub library: Option<Candidate>,
    pub variants: Vec<Candidate>,
    pub tried: Vec<Tried>,
}

impl Member {
    pub fn new(
        candidate: Candidate,
        loader: Option<usize>,
        variant: Option<String>,
        dialect: &Dialect,
        cwd: &Path,
    ) -> Self {
        let elf = candidate.elf;
        let origin = match dialect {
            // The kernel tells a program its own path without symlinks; a library's is taken as it was found.
            Dialect::Glibc(_) if loader.is_none() => &candidate.resolved.path,
            _ => &candidate.found,
        };
        let origin = origin.parent().unwrap_or(Path::new("/")).to_owned();
        let list = |text: &Option<Vec<u8>>| match text {
            Some(text) => dialect.directories(text, &origin, elf.architecture, cwd),
            None => Vec::new(),
        };
        // An object's DT_RPATH counts only where it has no DT_RUNPATH. musl knows no difference but this.
        let (rpath, runpath) = (list(&elf.rpath), list(&elf.runpath));
        let rpath = if elf.runpath.is_some() { Vec::new() } else { rpath };
        let text = elf.runpath.as_ref().or(elf.rpath.as_ref());
        let parts = text.into_iter().flat_map(|text| text.split(|byte| *byte == b':'));
        let beside = parts.filter(|part| names_origin(part));
        let beside = beside.flat_map(|part| dialect.directories(part, &origin, elf.architecture, cwd));
        let beside = beside.map(|one| one.path).collect();
        Self {
            found: candidate.found,
            resolved: candidate.resolved,
            loader,
            variant,
            origin,
            rpath,
            runpath,
            beside,
            elf,
        }
    }

    /// Whether `library` was found by where this object lies.
    pub fn found_beside(&self, library: &Self) -> bool {
        let directory = library.found.parent();
        self.beside.iter().any(|path| Some(path.as_path()) == directory)
    }
}

impl Dialect {
    /// The directories of a search path in an object.
    fn directories(&self, text: &[u8], origin: &Path, architecture: Architecture, cwd: &Path) -> Vec<Expanded> {
        let (libs, platforms) = match self {
            Self::Glibc(glibc) => (glibc.libs.as_slice(), architecture.traits().platforms),
            Self::Musl(_) => (&[][..], &[][..]),
        };
        let meanings = Meanings {
            origin,
            libs,
            platforms,
        };
        let parts = text.split(|byte| *byte == b':').take(MAX_PATH_ENTRIES);
        let paths = parts.flat_map(|part| expand(part, &meanings));
        paths
            .map(|one| Expanded {
                path: cwd.join(one.path),
                ..one
            })
            .collect()
    }

    /// The meanings of a name in a dynamic section, which may hold tokens as well.
    pub fn names(&self, name: &[u8], member: &Member) -> Vec<Vec<u8>> {
        let Self::Glibc(glibc) = self else {
            return vec![name.to_vec()];
        };
        if !name.contains(&b'$') {
            return vec![name.to_vec()];
        }
        let meanings = Meanings {
            origin: &member.origin,
            libs: &glibc.libs,
            platforms: member.elf.architecture.traits().platforms,
        };
        let mut expanded = expand(name, &meanings);
        expanded.sort_by_key(|one| one.variant.is_some());
        let bytes = |one: &Expanded| one.path.as_os_str().as_bytes().to_vec();
        expanded.iter().map(bytes).collect()
    }
}

/// Searches on behalf of one process.
pub(crate) struct Search<'s, 'r> {
    pub files: &'s mut Files<'r>,
    pub dialect: &'s Dialect,
    pub cwd: &'s Path,
    pub hardware: &'s mut HashMap<PathBuf, Rc<Vec<Expanded>>>,
}

impl Search<'_, '_> {
    /// Looks for `name` on behalf of `members[by]`.
    ///
    /// # Errors
    /// A file of that name that is no sound ELF file, on which the loader would give up as well.
    pub fn run(&mut self, name: &[u8], members: &[Member], by: usize) -> Result<Answer, Error> {
        let mut answer = Answer::default();
        let path = Path::new(OsStr::from_bytes(name));
        if name.contains(&b'/') {
            let path = self.cwd.join(path);
            self.accept(&path, None, Place::Path, members, by, &mut answer)?;
            return Ok(answer);
        }
        if name.is_empty() || name == b"." || name == b".." {
            return Ok(answer);
        }
        match self.dialect {
            Dialect::Glibc(glibc) => self.glibc(glibc, path, members, by, &mut answer)?,
            Dialect::Musl(musl) => self.musl(musl, path, members, by, &mut answer)?,
        }
        if answer.library.is_none() && !answer.variants.is_empty() {
            answer.library = Some(answer.variants.remove(0));
        }
        Ok(answer)
    }

    fn glibc(
        &mut self,
        glibc: &Glibc,
        name: &Path,
        members: &[Member],
        by: usize,
        answer: &mut Answer,
    ) -> Result<(), Error> {
        for directory in inherited(members, by) {
            if self.directory(directory, name, Place::Path, members, by, answer)? {
                return Ok(());
            }
        }
        let member = &members[by];
        let defaults_allowed = !member.elf.no_default_libraries;
        if let Some(cache) = &glibc.cache {
            for hit in cache.lookup(name.as_os_str().as_bytes(), member.elf.architecture) {
                let path = PathBuf::from(OsStr::from_bytes(&hit.path));
                let default = glibc.directories.iter().any(|directory| path.starts_with(directory));
                if default && !defaults_allowed {
                    continue;
                }
                if self.accept(&path, hit.variant, Place::Cache, members, by, answer)? {
                    return Ok(());
                }
            }
        }
        let configured = glibc.configured.iter().map(|path| (path, Place::Configured));
        let defaults = glibc.directories.iter().map(|path| (path, Place::Default));
        for (path, place) in configured.chain(defaults.filter(|_| defaults_allowed)) {
            let directory = Expanded {
                path: path.clone(),
                variant: None,
            };
            if self.directory(&directory, name, place, members, by, answer)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// musl makes no difference between DT_RPATH and DT_RUNPATH: both are inherited.
    fn musl(
        &mut self,
        musl: &Musl,
        name: &Path,
        members: &[Member],
        by: usize,
        answer: &mut Answer,
    ) -> Result<(), Error> {
        let mut next = Some(by);
        while let Some(index) = next {
            let member = &members[index];
            for directory in member.runpath.iter().chain(&member.rpath) {
                let path = directory.path.join(name);
                if self.accept(&path, None, Place::Path, members, by, answer)? {
                    return Ok(());
                }
            }
            next = member.loader;
        }
        for directory in &musl.directories {
            let path = self.cwd.join(directory).join(name);
            if self.accept(&path, None, Place::Default, members, by, answer)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Tries one of glibc's directories with its variants; true where the baseline is there.
    fn directory(
        &mut self,
        directory: &Expanded,
        name: &Path,
        place: Place,
        members: &[Member],
        by: usize,
        answer: &mut Answer,
    ) -> Result<bool, Error> {
        let architecture = members[by].elf.architecture;
        let variants = self.hardware_directories(&directory.path, architecture);
        for variant in variants.iter() {
            let path = variant.path.join(name);
            self.accept(&path, variant.variant.clone(), place, members, by, answer)?;
        }
        let path = directory.path.join(name);
        self.accept(&path, directory.variant.clone(), place, members, by, answer)
    }

    /// Takes a file if it's there and made for the same architecture; true where it's the baseline.
    fn accept(
        &mut self,
        path: &Path,
        variant: Option<String>,
        source: Place,
        members: &[Member],
        by: usize,
        answer: &mut Answer,
    ) -> Result<bool, Error> {
        let mut tried = |result| {
            let path = path.to_owned();
            answer.tried.push(Tried { path, result });
        };
        let Some(resolved) = self.files.find_file(path) else {
            tried(TriedResult::NotThere);
            return Ok(false);
        };
        let elf = match self.files.elf(&resolved) {
            Ok(elf) => elf,
            Err(ElfError::Unreadable(errno)) => {
                tried(TriedResult::Unreadable(errno));
                return Ok(false);
            }
            Err(_) if variant.is_some() => return Ok(false),
            Err(problem) => {
                return Err(Error::Malformed {
                    path: path.to_owned(),
                    needed_by: chain(members, by),
                    problem,
                });
            }
        };
        if elf.architecture != members[by].elf.architecture {
            tried(TriedResult::OtherArchitecture(elf.architecture));
            return Ok(false);
        }
        let candidate = Candidate {
            found: path.to_owned(),
            resolved,
            elf,
            variant,
            source,
        };
        if candidate.variant.is_some() {
            answer.variants.push(candidate);
            return Ok(false);
        }
        answer.library = Some(candidate);
        Ok(true)
    }

    /// The subdirectories of a directory that hold variants, as far as they exist.
    fn hardware_directories(&mut self, directory: &Path, architecture: Architecture) -> Rc<Vec<Expanded>> {
        if let Some(known) = self.hardware.get(directory) {
            return Rc::clone(known);
        }
        let mut found = Vec::new();
        if self.files.is_directory(directory) {
            let traits = architecture.traits();
            let hwcaps = directory.join("glibc-hwcaps");
            if !traits.hwcaps.is_empty() && self.files.is_directory(&hwcaps) {
                self.subdirectories(&hwcaps, traits.hwcaps, 0, &mut found);
            }
            self.subdirectories(directory, traits.legacy, MAX_LEGACY_DEPTH - 1, &mut found);
        }
        let found = Rc::new(found);
        self.hardware.insert(directory.to_owned(), Rc::clone(&found));
        found
    }

    fn subdirectories(&mut self, directory: &Path, names: &[&str], depth: usize, found: &mut Vec<Expanded>) {
        for name in names {
            let path = directory.join(name);
            if !self.files.is_directory(&path) {
                continue;
            }
            if depth > 0 {
                self.subdirectories(&path, names, depth - 1, found);
            }
            let variant = Some((*name).to_owned());
            found.push(Expanded { path, variant });
        }
    }
}

/// The search paths that hold for what `members[by]` needs: where it has a DT_RUNPATH only that one, else the
/// DT_RPATH of it and of all those that had it loaded, up to the program.
fn inherited(members: &[Member], by: usize) -> Vec<&Expanded> {
    let member = &members[by];
    if member.elf.runpath.is_some() {
        return member.runpath.iter().collect();
    }
    let mut directories = Vec::new();
    let mut next = Some(by);
    let mut program_seen = false;
    while let Some(index) = next {
        directories.extend(&members[index].rpath);
        program_seen |= index == 0;
        next = members[index].loader;
    }
    if !program_seen {
        directories.extend(&members[0].rpath);
    }
    directories
}

/// Who needs `members[index]`, from the program down to that member itself.
pub(crate) fn chain(members: &[Member], index: usize) -> Vec<PathBuf> {
    let mut chain = Vec::new();
    let mut next = Some(index);
    while let Some(index) = next {
        chain.push(members[index].found.clone());
        next = members[index].loader;
    }
    chain.reverse();
    chain
}
