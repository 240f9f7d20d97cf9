//! Finds out why a program can't start, from the files in its root: what the kernel and the dynamic loader would have
//! met, in their order. The kernel's error number only decides where files alone don't.

use crate::arch::Architecture;
use crate::collect::Collector;
use crate::diagnosis::Diagnosis;
use crate::elf::{Elf, ElfError, ElfKind};
use crate::error::Error;
use crate::shebang;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use wiac_sys::root::{Blocked, FileKind, Link, Resolved, Root};

/// Nested scripts are followed no further than the kernel does.
const MAX_SCRIPTS: usize = 5;

/// A start that failed.
#[derive(Debug, Clone, Copy)]
pub struct FailedStart<'a> {
    /// The program as asked for: a path, or a name to be looked up in PATH.
    pub program: &'a OsStr,
    /// The working directory in the root.
    pub directory: &'a Path,
    /// PATH of the program's environment; `None` takes [`crate::DEFAULT_PATH`].
    pub search_path: Option<&'a OsStr>,
    /// What execve(2) answered; `None` where it succeeded but the program ended with 127, as one does whose libraries
    /// are missing.
    pub errno: Option<i32>,
}

/// Why a program didn't start in a root. Never fails: what can't be found out is a [`Diagnosis::Refused`] or, where
/// the program did start, [`Diagnosis::NoFault`].
pub fn explain(root: &Root, start: &FailedStart<'_>) -> Diagnosis {
    let mut collector = Collector::new(root).working_directory(start.directory);
    if let Some(path) = start.search_path {
        collector = collector.search_path(path);
    }
    let errno = start.errno.map(Errno::from_raw_os_error);
    let mut explainer = Explainer { collector, errno };
    if start.program.is_empty() {
        return not_in_path("", &[], None);
    }
    let diagnosis = explainer.command(start.program);
    let judged = explainer.collector.judge(Ok(diagnosis));
    judged.unwrap_or_else(Diagnosis::Other)
}

fn not_in_path(name: &str, searched: &[PathBuf], nearest: Option<String>) -> Diagnosis {
    Diagnosis::NotInPath {
        name: name.to_owned(),
        searched: searched.to_vec(),
        nearest,
    }
}

struct Explainer<'r> {
    collector: Collector<'r>,
    errno: Option<Errno>,
}

impl Explainer<'_> {
    fn command(&mut self, program: &OsStr) -> Diagnosis {
        let path = match self.collector.locate(program) {
            Ok(path) => path,
            Err(error) => return self.diagnose(error),
        };
        if let Some(diagnosis) = self.file(&path, 0) {
            return diagnosis;
        }
        match self.errno {
            Some(errno) => self.refused(&path, errno),
            None => Diagnosis::NoFault(path),
        }
    }

    /// What is wrong with a file that should be started; `None` where nothing is seen to be.
    fn file(&mut self, path: &Path, scripts: usize) -> Option<Diagnosis> {
        let resolved = match self.startable(path) {
            Ok(resolved) => resolved,
            Err(diagnosis) => return Some(*diagnosis),
        };
        match self.collector.files.elf(&resolved) {
            Ok(elf) if matches!(elf.kind, ElfKind::Other(_)) => Some(Diagnosis::NotAProgram(path.to_owned())),
            Ok(elf) => self.program(path, &resolved, &elf),
            Err(ElfError::NotElf) => self.script(path, &resolved, scripts),
            Err(ElfError::Unreadable(_)) => None,
            Err(problem) => Some(Diagnosis::Damaged {
                path: path.to_owned(),
                problem,
            }),
        }
    }

    /// The checks that the kernel makes before it looks into a file.
    fn startable(&mut self, path: &Path) -> Result<Rc<Resolved>, Box<Diagnosis>> {
        let resolved = match self.collector.files.walk.trace(path) {
            Ok(resolved) => resolved,
            Err(blocked) => return Err(Box::new(unreachable_path(path, &blocked))),
        };
        let path = path.to_owned();
        let mode = resolved.metadata.mode;
        let noexec = || {
            self.collector
                .files
                .walk
                .root()
                .is_noexec(&resolved.path)
                .unwrap_or(false)
        };
        match resolved.metadata.kind {
            FileKind::Directory => Err(Diagnosis::IsDirectory(path)),
            FileKind::Special | FileKind::Symlink => Err(Diagnosis::NotAFile(path)),
            FileKind::File if mode & 0o111 == 0 => Err(Diagnosis::NotExecutable { path, mode }),
            FileKind::File if self.errno == Some(Errno::ACCESS) && noexec() => Err(Diagnosis::NoexecMount(path)),
            FileKind::File => return Ok(Rc::new(resolved)),
        }
        .map_err(Box::new)
    }

    fn program(&mut self, path: &Path, resolved: &Rc<Resolved>, elf: &Rc<Elf>) -> Option<Diagnosis> {
        if let (Some(host), Some(_)) = (Architecture::host(), self.errno)
            && !host.runs(elf.architecture)
        {
            return Some(Diagnosis::WrongArchitecture {
                path: path.to_owned(),
                file: elf.architecture,
                host,
            });
        }
        if let Some(name) = &elf.interpreter {
            let interpreter = self.collector.relative(name);
            if let Err(cause) = self.startable(&interpreter) {
                return Some(Diagnosis::Interpreter {
                    program: path.to_owned(),
                    instead: self.other_loader(&interpreter),
                    interpreter,
                    cause,
                });
            }
        }
        match self.collector.program(path, resolved, elf) {
            Ok(_) => None,
            Err(error) => Some(self.diagnose(error)),
        }
    }

    fn script(&mut self, path: &Path, resolved: &Resolved, scripts: usize) -> Option<Diagnosis> {
        let head = self.collector.files.read_start(resolved, shebang::HEAD as u64).ok()?;
        let path = path.to_owned();
        if head.is_empty() {
            return Some(Diagnosis::Empty(path));
        }
        let Some(line) = shebang::parse(&head) else {
            let hidden = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head.trim_ascii_start());
            let hidden_shebang = hidden.len() < head.len() && hidden.starts_with(b"#!");
            return Some(Diagnosis::UnknownFormat { path, hidden_shebang });
        };
        if scripts >= MAX_SCRIPTS {
            return Some(Diagnosis::TooManyScripts(path));
        }
        let started = self.collector.relative(&line.interpreter);
        if let Some(cause) = self.file(&started, scripts + 1) {
            return Some(script(path, &line, &line.interpreter, cause));
        }
        let name = line.env_program()?;
        let cause = match self.collector.locate(OsStr::from_bytes(&name)) {
            Ok(started) => self.file(&started, scripts + 1),
            Err(error) => Some(self.diagnose(error)),
        };
        cause.map(|cause| script(path, &line, &name, cause))
    }

    /// The dynamic loader of another C library than the one that is missing.
    fn other_loader(&mut self, missing: &Path) -> Option<PathBuf> {
        let musl = missing.to_string_lossy().contains("ld-musl-");
        let prefix = if musl { "ld-linux" } else { "ld-musl-" };
        self.collector.loaders(prefix).into_iter().next()
    }

    fn refused(&mut self, path: &Path, errno: Errno) -> Diagnosis {
        match self.collector.files.find(path) {
            Some(resolved) if errno == Errno::ACCESS => Diagnosis::PermissionDenied {
                path: path.to_owned(),
                mode: resolved.metadata.mode,
                owner: (resolved.metadata.uid, resolved.metadata.gid),
            },
            _ => Diagnosis::Refused {
                path: path.to_owned(),
                errno,
            },
        }
    }

    fn diagnose(&mut self, error: Error) -> Diagnosis {
        match error {
            Error::NotInPath {
                name,
                searched,
                nearest,
                ..
            } => not_in_path(&name, &searched, nearest),
            Error::NotExecutable(path) => {
                let mode = self.collector.files.find(&path).map_or(0, |found| found.metadata.mode);
                Diagnosis::NotExecutable { path, mode }
            }
            Error::MissingLibraries(libraries) => {
                let program = libraries.first().and_then(|library| library.needed_by.first()).cloned();
                Diagnosis::MissingLibraries {
                    program: program.unwrap_or_default(),
                    libraries,
                }
            }
            Error::Unreachable(diagnosis) => *diagnosis,
            other => Diagnosis::Other(other),
        }
    }
}

fn script(script: PathBuf, line: &shebang::Shebang, name: &[u8], cause: Diagnosis) -> Diagnosis {
    let interpreter = String::from_utf8_lossy(name).into_owned();
    if line.carriage_return
        && let Some(interpreter) = interpreter.strip_suffix('\r')
    {
        let interpreter = interpreter.to_owned();
        return Diagnosis::CarriageReturn { script, interpreter };
    }
    Diagnosis::Script {
        script,
        interpreter,
        cause: Box::new(cause),
    }
}

/// Whether this step, which isn't there, belongs to what the symlink says, rather than to what comes behind it: the last
/// symlink on the way was crossed before it.
fn is_on_the_way(at: &Path, link: &Link) -> bool {
    let mut target = link.path.parent().unwrap_or(Path::new("/")).to_owned();
    for component in link.target.components() {
        match component {
            Component::RootDir => target = PathBuf::from("/"),
            Component::ParentDir => drop(target.pop()),
            Component::Normal(name) => target.push(name),
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    target.starts_with(at)
}

/// The file that a failed step would have led through. A slash at the end of a path is the step ".", which is no name.
fn file_before(step: &Path) -> PathBuf {
    let bytes = step.as_os_str().as_bytes();
    match bytes.strip_suffix(b"/.") {
        Some(file) => PathBuf::from(OsStr::from_bytes(file)),
        None => step.parent().unwrap_or(step).to_owned(),
    }
}

/// What is wrong where a path led nowhere.
pub(crate) fn unreachable_path(path: &Path, blocked: &Blocked) -> Diagnosis {
    let path = path.to_owned();
    let at = blocked.at.clone();
    match (blocked.errno, blocked.links.last()) {
        (Errno::LOOP, Some(link)) => Diagnosis::LinkLoop {
            path,
            link: link.path.clone(),
        },
        (Errno::NOENT, Some(link)) if is_on_the_way(&at, link) => Diagnosis::DanglingLink {
            path,
            link: link.path.clone(),
            target: link.target.clone(),
        },
        (Errno::NOTDIR, _) => Diagnosis::NotADirectory {
            path,
            at: file_before(&at),
        },
        (Errno::NOENT, _) => Diagnosis::Missing { path, at },
        (errno, _) => Diagnosis::Refused { path, errno },
    }
}
