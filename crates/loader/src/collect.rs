//! Collects the closure of programs, files and sets: what starts what, each file once.

use crate::arch::Architecture;
use crate::assemble::Assembly;
use crate::closure::{Closure, NeedKind, NeededBy, Program, Set};
use crate::dialect::Dialect;
use crate::elf::{Elf, ElfError, ElfKind};
use crate::error::{Error, InterpreterProblem};
use crate::explain::unreachable_path;
use crate::files::Files;
use crate::link::{Linked, Linker, Loader};
use crate::nearest;
use crate::search::{Candidate, Place};
use crate::shebang::{self, Shebang};
use crate::tokens::Expanded;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use wiac_sys::map::HashMap;
use wiac_sys::root::{FileKind, Resolved, Root, Shortage};

/// Where programs named without a slash are looked up unless the caller says otherwise: root's usual PATH.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The kernel starts a script, whose interpreter is a script, and so on: five of them, then a program.
const MAX_SCRIPTS: usize = 5;

/// The meeting point of everything that belongs to one closure.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let root = wiac_sys::root::Root::open("/")?;
/// let mut collector = wiac_loader::Collector::new(&root);
/// collector.add_program("sh")?;
/// collector.with(wiac_loader::Set::Certs);
/// let closure = collector.finish()?;
/// # Ok(())
/// # }
/// ```
pub struct Collector<'r> {
    pub(crate) files: Files<'r>,
    pub(crate) assembly: Assembly,
    pub(crate) sets: Vec<Set>,
    search_path: Vec<PathBuf>,
    cwd: PathBuf,
    dialects: HashMap<(Option<PathBuf>, Architecture), Rc<Dialect>>,
    hardware: HashMap<Architecture, HashMap<PathBuf, Rc<Vec<Expanded>>>>,
}

impl<'r> Collector<'r> {
    /// A collector of files of `root`, with [`DEFAULT_PATH`] and the working directory "/".
    pub fn new(root: &'r Root) -> Self {
        Self {
            files: Files::new(root),
            assembly: Assembly::default(),
            sets: Vec::new(),
            search_path: split_path(OsStr::new(DEFAULT_PATH)),
            cwd: PathBuf::from("/"),
            dialects: HashMap::default(),
            hardware: HashMap::default(),
        }
    }

    /// Sets where programs named without a slash are looked up: directories in the root, with colons between.
    #[must_use]
    pub fn search_path(mut self, path: impl AsRef<OsStr>) -> Self {
        self.search_path = split_path(path.as_ref());
        self
    }

    /// Sets the directory in the root that relative paths start from (relative entries of PATH and RPATH too).
    #[must_use]
    pub fn working_directory(mut self, path: impl AsRef<Path>) -> Self {
        self.cwd = Path::new("/").join(path);
        self
    }

    /// Adds a program (a path where `name` holds a slash, else looked up in PATH) with everything it takes to start
    /// it: interpreters, libraries, and the symlinks on the way to each.
    ///
    /// # Errors
    /// [`Error`]. What was found before the error stays in the collector.
    pub fn add_program(&mut self, name: impl AsRef<OsStr>) -> Result<(), Error> {
        let added = self.add_named(name.as_ref());
        self.judge(added)
    }

    fn add_named(&mut self, name: &OsStr) -> Result<(), Error> {
        let found = self.locate(name)?;
        let object = self.start(&found, NeededBy::User, 0)?;
        self.assembly.programs.push(Program {
            name: name.to_string_lossy().into_owned(),
            found,
            object,
        });
        Ok(())
    }

    /// Paths that lead nowhere are passed over all the time. Where the kernel's reason said nothing of the path, neither
    /// what was found counts nor what seems to be missing.
    pub(crate) fn judge<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        match self.files.walk.take_shortage() {
            Some(Shortage { path, errno }) => Err(Error::Lookup {
                source: wiac_sys::Error::new("resolve", crate::error::shown(&path), errno),
                path,
            }),
            None => result,
        }
    }

    /// Adds the files of a set, as far as they exist. They're collected by [`Collector::finish`].
    pub fn with(&mut self, set: Set) {
        if !self.sets.contains(&set) {
            self.sets.push(set);
        }
    }

    /// The closure of all that was added.
    ///
    /// # Errors
    /// What goes wrong while the sets are collected.
    pub fn finish(mut self) -> Result<Closure, Error> {
        for set in std::mem::take(&mut self.sets) {
            let collected = self.collect_set(set);
            self.judge(collected)?;
        }
        self.assembly.merged_directories(&mut self.files.walk);
        self.judge(Ok(()))?;
        Ok(self.assembly.finish())
    }

    /// Where a program is: the path that execve(2) would be called with.
    pub(crate) fn locate(&mut self, name: &OsStr) -> Result<PathBuf, Error> {
        if name.as_bytes().contains(&b'/') {
            return Ok(self.relative(name.as_bytes()));
        }
        let mut denied = None;
        for directory in self.search_path.clone() {
            let path = self.cwd.join(directory).join(name);
            match self.files.find_file(&path) {
                Some(found) if found.metadata.mode & 0o111 != 0 && !name.is_empty() => return Ok(path),
                Some(_) => denied = denied.or(Some(path)),
                None => {}
            }
        }
        if let Some(path) = denied.filter(|_| !name.is_empty()) {
            return Err(Error::NotExecutable(path));
        }
        Err(Error::NotInPath {
            name: name.to_string_lossy().into_owned(),
            searched: self.search_path.clone(),
            nearest: nearest::program(&mut self.files, name, &self.cwd, &self.search_path),
            is_here: !name.is_empty() && self.files.find_file(&self.cwd.join(name)).is_some(),
        })
    }

    /// A path that may start at the working directory.
    pub(crate) fn relative(&self, path: &[u8]) -> PathBuf {
        self.cwd
            .join(OsStr::from_bytes(path.strip_prefix(b"./").unwrap_or(path)))
    }

    pub(crate) fn lookup(&mut self, path: &Path) -> Result<Rc<Resolved>, Error> {
        if let Some(found) = self.files.find(path) {
            return Ok(found);
        }
        match self.files.walk.trace(path) {
            Ok(resolved) => Ok(Rc::new(resolved)),
            Err(blocked) if matches!(blocked.errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                Err(Error::Unreachable(Box::new(unreachable_path(path, &blocked))))
            }
            Err(blocked) => Err(Error::Lookup {
                path: path.to_owned(),
                source: wiac_sys::Error::new("resolve", crate::error::shown(path), blocked.errno),
            }),
        }
    }

    /// Adds what starts when the kernel is told to start this file; gives its object.
    fn start(&mut self, path: &Path, by: NeededBy, scripts: usize) -> Result<usize, Error> {
        let resolved = self.lookup(path)?;
        if resolved.metadata.kind != FileKind::File {
            return Err(Error::NotAFile(path.to_owned()));
        }
        if resolved.metadata.mode & 0o111 == 0 {
            return Err(Error::NotExecutable(path.to_owned()));
        }
        match self.files.elf(&resolved) {
            Ok(elf) if matches!(elf.kind, ElfKind::Other(_)) => Err(Error::UnknownFormat {
                path: path.to_owned(),
                empty: false,
            }),
            Ok(elf) => {
                let object = self.program(path, &resolved, &elf)?;
                self.assembly.resolved(&mut self.files.walk, &resolved, by, None);
                Ok(object)
            }
            Err(ElfError::NotElf) => self.script(path, &resolved, by, scripts),
            Err(ElfError::Unreadable(errno)) => Err(Error::Unreadable {
                path: path.to_owned(),
                source: wiac_sys::Error::new("open", crate::error::shown(path), errno),
            }),
            Err(problem) => Err(Error::Malformed {
                path: path.to_owned(),
                needed_by: Vec::new(),
                problem,
            }),
        }
    }

    fn script(&mut self, path: &Path, resolved: &Resolved, by: NeededBy, scripts: usize) -> Result<usize, Error> {
        let unreadable = |source| Error::Unreadable {
            path: path.to_owned(),
            source,
        };
        let head = self
            .files
            .read_start(resolved, shebang::HEAD as u64)
            .map_err(unreadable)?;
        let line = shebang::parse(&head).ok_or_else(|| Error::UnknownFormat {
            path: path.to_owned(),
            empty: head.is_empty(),
        })?;
        if scripts >= MAX_SCRIPTS {
            return Err(Error::TooManyScripts(path.to_owned()));
        }
        let object = self.assembly.object(resolved, None);
        self.assembly.resolved(&mut self.files.walk, resolved, by, None);
        self.script_interpreter(path, &line, object, scripts)?;
        Ok(object)
    }

    fn script_interpreter(
        &mut self,
        script: &Path,
        line: &Shebang,
        object: usize,
        scripts: usize,
    ) -> Result<(), Error> {
        let wrap = |interpreter: &[u8]| {
            let interpreter = String::from_utf8_lossy(interpreter).into_owned();
            let carriage_return = line.carriage_return;
            let script = script.to_owned();
            move |source: Error| Error::Script {
                script,
                interpreter,
                carriage_return,
                source: Box::new(source),
            }
        };
        let by = NeededBy::Object(object);
        let path = self.relative(&line.interpreter);
        let interpreter = self.start(&path, by, scripts + 1).map_err(wrap(&line.interpreter))?;
        self.assembly
            .need(object, &line.interpreter, NeedKind::Script, interpreter);
        if let Some(name) = line.env_program() {
            let started = self
                .locate(OsStr::from_bytes(&name))
                .and_then(|path| self.start(&path, by, scripts + 1))
                .map_err(wrap(&name))?;
            self.assembly.need(object, &name, NeedKind::Env, started);
        }
        Ok(())
    }

    /// Adds an ELF program or library with all that it needs.
    pub(crate) fn program(&mut self, path: &Path, resolved: &Rc<Resolved>, elf: &Rc<Elf>) -> Result<usize, Error> {
        let interpreter = match &elf.interpreter {
            Some(name) => Some((name.clone(), self.interpreter(path, elf, name)?)),
            None => None,
        };
        let program = Candidate {
            found: path.to_owned(),
            resolved: Rc::clone(resolved),
            elf: Rc::clone(elf),
            variant: None,
            source: Place::Path,
        };
        let (linked, dialect) = self.link(program, interpreter)?;
        if !linked.missing.is_empty() {
            return Err(Error::MissingLibraries(linked.missing));
        }
        let object = self.assembly.linked(&mut self.files.walk, &linked);
        self.configuration(&linked, &dialect, object);
        self.own_place(&linked);
        Ok(object)
    }

    /// The objects of a process, as its dynamic loader would find them.
    pub(crate) fn link(
        &mut self,
        program: Candidate,
        interpreter: Option<(Vec<u8>, Candidate)>,
    ) -> Result<(Linked, Rc<Dialect>), Error> {
        let architecture = program.elf.architecture;
        let interpreter = match interpreter {
            Some((name, candidate)) => Some(Loader::named(name, candidate)),
            None if program.elf.needs.is_empty() => None,
            None => self.usual_loader(architecture).map(Loader::assumed),
        };
        let dialect = self.dialect(architecture, interpreter.as_ref().map(|loader| &loader.candidate));
        let hardware = self.hardware.entry(architecture).or_default();
        let linked = Linker::new(&mut self.files, &dialect, &self.cwd, hardware).run(program, interpreter)?;
        Ok((linked, dialect))
    }

    fn dialect(&mut self, architecture: Architecture, loader: Option<&Candidate>) -> Rc<Dialect> {
        let key = (loader.map(|loader| loader.found.clone()), architecture);
        if let Some(known) = self.dialects.get(&key) {
            return Rc::clone(known);
        }
        let parts = loader.map(|loader| (loader.found.as_path(), loader.resolved.as_ref(), loader.elf.as_ref()));
        let dialect = Rc::new(Dialect::of(&mut self.files, architecture, parts));
        self.dialects.insert(key, Rc::clone(&dialect));
        dialect
    }

    /// The loader that libraries of an architecture are meant for, since they don't name one: that of a program
    /// already here, else the one that the root has, glibc's first.
    fn usual_loader(&mut self, architecture: Architecture) -> Option<Candidate> {
        let known = self.dialects.keys().filter(|key| key.1 == architecture);
        if let Some(path) = known.filter_map(|key| key.0.clone()).min() {
            return self.loader_at(path, architecture);
        }
        let paths = ["ld-linux", "ld-musl-"].map(|prefix| self.loaders(prefix));
        let mut paths = paths.into_iter().flatten();
        paths.find_map(|path| self.loader_at(path, architecture))
    }

    /// The files of the directories for loaders whose name begins like this.
    pub(crate) fn loaders(&mut self, prefix: &str) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        for directory in ["/lib64", "/lib", "/libx32", "/lib32"] {
            let entries = self.files.walk.read_dir(directory).unwrap_or_default();
            let names = entries.into_iter().map(|entry| entry.name);
            let names = names.filter(|name| name.as_bytes().starts_with(prefix.as_bytes()));
            paths.extend(names.map(|name| Path::new(directory).join(name)));
        }
        paths
    }

    fn loader_at(&mut self, found: PathBuf, architecture: Architecture) -> Option<Candidate> {
        let resolved = self.files.find_file(&found)?;
        let elf = self.files.elf(&resolved).ok()?;
        (elf.architecture == architecture).then_some(Candidate {
            found,
            resolved,
            elf,
            variant: None,
            source: Place::Path,
        })
    }

    fn interpreter(&mut self, program: &Path, elf: &Elf, name: &[u8]) -> Result<Candidate, Error> {
        let path = self.relative(name);
        let fail = |problem| Error::Interpreter {
            program: program.to_owned(),
            interpreter: path.clone(),
            problem,
        };
        let Some(resolved) = self.files.find_file(&path) else {
            return Err(fail(InterpreterProblem::Missing));
        };
        let interpreter = self
            .files
            .elf(&resolved)
            .map_err(|problem| fail(InterpreterProblem::Malformed(problem)))?;
        if interpreter.architecture != elf.architecture {
            return Err(fail(InterpreterProblem::OtherArchitecture(interpreter.architecture)));
        }
        Ok(Candidate {
            found: path,
            resolved,
            elf: interpreter,
            variant: None,
            source: Place::Path,
        })
    }

    /// Notes a program that has to know its own place.
    fn own_place(&mut self, linked: &Linked) {
        let Some((program, libraries)) = linked.members.split_first() else {
            return;
        };
        let known = &mut self.assembly.needs_proc;
        if libraries.iter().any(|library| program.found_beside(library)) && !known.contains(&program.found) {
            known.push(program.found.clone());
        }
    }

    /// Adds the loader's own files, where libraries would not be found without them: glibc's cache, musl's path file.
    fn configuration(&mut self, linked: &Linked, dialect: &Dialect, object: usize) {
        let configured = linked.by_configuration.iter();
        let uncached = configured.map(|index| linked.members[*index].resolved.path.clone());
        for path in uncached.collect::<Vec<_>>() {
            if !self.assembly.needs_ldconfig.contains(&path) {
                self.assembly.needs_ldconfig.push(path);
            }
        }
        let path = match dialect {
            Dialect::Glibc(glibc) if !linked.by_cache.is_empty() => Some(&glibc.cache_path),
            Dialect::Glibc(_) => None,
            Dialect::Musl(musl) => musl.path_file.as_ref(),
        };
        if let Some(resolved) = path.and_then(|path| self.files.find_file(path)) {
            let by = NeededBy::Object(object);
            self.assembly.resolved(&mut self.files.walk, &resolved, by, None);
        }
    }
}

/// The directories of a PATH; an empty one is the working directory.
fn split_path(path: &OsStr) -> Vec<PathBuf> {
    let parts = path.as_bytes().split(|byte| *byte == b':');
    parts.map(|part| PathBuf::from(OsStr::from_bytes(part))).collect()
}
