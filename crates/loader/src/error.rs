//! Why a closure can't be computed: each error names the file, who needs it, and where it was looked for.

use crate::arch::Architecture;
use crate::diagnosis::Diagnosis;
use crate::elf::ElfError;
use rustix::io::Errno;
use std::fmt;
use std::path::{Path, PathBuf};
use wiac_sys::error::describe;

/// Why the closure of a program can't be computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// No directory of PATH holds a program of this name.
    NotInPath {
        /// The name as asked for.
        name: String,
        /// The directories of PATH, in order.
        searched: Vec<PathBuf>,
        /// A program there whose name differs by a letter or two.
        nearest: Option<String>,
        /// A file of this name is in the working directory, where nobody looks for a name without a slash.
        is_here: bool,
    },
    /// A path leads nowhere: a missing file, a loop of symlinks, or a file where a directory should be.
    Unreachable(Box<Diagnosis>),
    /// A path can't be followed for another reason.
    Lookup {
        /// The path as asked for.
        path: PathBuf,
        /// The step that failed.
        source: wiac_sys::Error,
    },
    /// A file that's there but can't be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The call that failed.
        source: wiac_sys::Error,
    },
    /// A program that isn't a regular file.
    NotAFile(PathBuf),
    /// A program without permission to execute.
    NotExecutable(PathBuf),
    /// Neither ELF nor `#!`: the kernel wouldn't start it.
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Whether there's nothing in it at all.
        empty: bool,
    },
    /// A damaged ELF file.
    Malformed {
        /// The file.
        path: PathBuf,
        /// Who needs it, from the program down; empty for the program itself.
        needed_by: Vec<PathBuf>,
        /// What is wrong with it.
        problem: ElfError,
    },
    /// The interpreter that a program names (PT_INTERP) can't be had.
    Interpreter {
        /// The program.
        program: PathBuf,
        /// The path it names.
        interpreter: PathBuf,
        /// Why not.
        problem: InterpreterProblem,
    },
    /// The interpreter that a script names behind `#!` can't be started.
    Script {
        /// The script.
        script: PathBuf,
        /// The path or, behind env(1), the name of its interpreter.
        interpreter: String,
        /// Whether the line ends with a carriage return (a file with DOS line ends).
        carriage_return: bool,
        /// Why not.
        source: Box<Error>,
    },
    /// Scripts whose interpreters are scripts, more than the kernel takes.
    TooManyScripts(PathBuf),
    /// Libraries that are nowhere. Never empty.
    MissingLibraries(Vec<MissingLibrary>),
    /// More objects than any real program has.
    TooMany(PathBuf),
}

/// What is wrong with a program's interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterpreterProblem {
    /// The path leads nowhere.
    Missing,
    /// It's made for another machine than the program.
    OtherArchitecture(Architecture),
    /// It's no sound ELF file.
    Malformed(ElfError),
}

/// A library that isn't where the dynamic loader looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingLibrary {
    /// The name as it stands in the object that needs it.
    pub name: String,
    /// From the program down to the object that needs it. Never empty.
    pub needed_by: Vec<PathBuf>,
    /// Where it was looked for, in order.
    pub tried: Vec<Tried>,
}

/// A place where a library was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The path in the root.
    pub path: PathBuf,
    /// Why it wasn't taken.
    pub result: TriedResult,
}

/// Why a path wasn't taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriedResult {
    /// There's no file.
    NotThere,
    /// It can't be read.
    Unreadable(Errno),
    /// It's made for another machine, and the loader passes it over.
    OtherArchitecture(Architecture),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInPath {
                name,
                searched,
                nearest,
                is_here,
            } => not_in_path(f, name, searched, nearest.as_deref(), *is_here),
            Self::Unreachable(diagnosis) => diagnosis.fmt(f),
            Self::Lookup { path, source } => write!(f, "{}: {}", shown(path), describe(source.errno())),
            Self::Unreadable { path, source } => write!(f, "can't read {}: {}", shown(path), describe(source.errno())),
            Self::NotAFile(path) => write!(f, "{} is not a regular file", shown(path)),
            Self::NotExecutable(path) => write!(f, "{} is not executable", shown(path)),
            Self::UnknownFormat { path, empty: true } => write!(f, "{} is empty", shown(path)),
            Self::UnknownFormat { path, .. } => {
                write!(f, "{} is neither an ELF program nor a script with #!", shown(path))
            }
            Self::Malformed {
                path,
                needed_by,
                problem,
            } => {
                write!(f, "{}: {problem}", shown(path))?;
                needed(f, needed_by)
            }
            Self::Interpreter {
                program,
                interpreter,
                problem,
            } => write!(
                f,
                "{} needs the interpreter {}, {problem}",
                shown(program),
                shown(interpreter)
            ),
            Self::Script {
                script,
                interpreter,
                carriage_return: true,
                ..
            } => write!(
                f,
                "the first line of {} ends with a carriage return, so the kernel looks for \"{}\": save the file with Unix line ends",
                shown(script),
                interpreter.escape_debug()
            ),
            Self::Script {
                script,
                interpreter,
                source,
                ..
            } => write!(
                f,
                "{} asks for {} in its first line: {source}",
                shown(script),
                interpreter.escape_debug()
            ),
            Self::TooManyScripts(path) => write!(
                f,
                "{}: its interpreter is a script whose interpreter is a script, and so on beyond the kernel's limit",
                shown(path)
            ),
            Self::MissingLibraries(missing) => {
                for (index, library) in missing.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "\n" };
                    write!(f, "{separator}{library}")?;
                }
                Ok(())
            }
            Self::TooMany(path) => write!(f, "{} needs more objects than any program has", shown(path)),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Lookup { source, .. } | Self::Unreadable { source, .. } => Some(source),
            Self::Script { source, .. } => Some(source.as_ref()),
            Self::Malformed { problem, .. } => Some(problem),
            _ => None,
        }
    }
}

impl fmt::Display for InterpreterProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("which is not there"),
            Self::OtherArchitecture(architecture) => write!(f, "which is made for {architecture}"),
            Self::Malformed(problem) => write!(f, "which is damaged: {problem}"),
        }
    }
}

impl fmt::Display for MissingLibrary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "library {} not found", self.name.escape_debug())?;
        needed(f, &self.needed_by)?;
        let mut directories: Vec<&Path> = Vec::new();
        for tried in &self.tried {
            match tried.result {
                TriedResult::NotThere => {
                    let directory = tried.path.parent().unwrap_or(&tried.path);
                    if !directories.contains(&directory) {
                        directories.push(directory);
                    }
                }
                TriedResult::Unreadable(errno) => write!(f, "; {}: {}", shown(&tried.path), describe(errno))?,
                TriedResult::OtherArchitecture(other) => write!(f, "; {} is made for {other}", shown(&tried.path))?,
            }
        }
        if directories.is_empty() {
            return Ok(());
        }
        let directories: Vec<_> = directories.into_iter().map(shown).collect();
        write!(f, "; looked in {}", directories.join(", "))
    }
}

fn not_in_path(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    searched: &[PathBuf],
    nearest: Option<&str>,
    is_here: bool,
) -> fmt::Result {
    let searched: Vec<_> = searched.iter().map(|path| shown(path)).collect();
    write!(
        f,
        "program {} not found in PATH ({})",
        name.escape_debug(),
        searched.join(":")
    )?;
    match nearest {
        _ if is_here => write!(f, "; for the file in this directory write ./{}", name.escape_debug()),
        Some(nearest) => write!(f, "; did you mean {}?", nearest.escape_debug()),
        None => Ok(()),
    }
}

fn needed(f: &mut fmt::Formatter<'_>, chain: &[PathBuf]) -> fmt::Result {
    for (index, path) in chain.iter().rev().enumerate() {
        let word = if index == 0 {
            ", needed by"
        } else {
            ", which is needed by"
        };
        write!(f, "{word} {}", shown(path))?;
    }
    Ok(())
}

/// A path fit for a terminal, whatever a hostile root calls its files.
pub(crate) fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string().replace("\\'", "'")
}
