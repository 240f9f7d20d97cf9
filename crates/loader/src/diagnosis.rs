//! Why a program can't start, as data and as one or two lines of text.

use crate::arch::Architecture;
use crate::elf::ElfError;
use crate::error::{Error, MissingLibrary, Tried, TriedResult, shown};
use rustix::io::Errno;
use std::fmt;
use std::path::{Path, PathBuf};
use wiac_sys::error::describe;

/// Why a program can't start, or didn't run. `Display` gives one or two lines without a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Diagnosis {
    /// No directory of PATH holds a program of this name.
    NotInPath {
        /// The name.
        name: String,
        /// The directories of PATH, in order.
        searched: Vec<PathBuf>,
        /// A program there whose name differs by a letter or two.
        nearest: Option<String>,
    },
    /// There's no such file.
    Missing {
        /// The path as asked for.
        path: PathBuf,
        /// The first step of it that isn't there.
        at: PathBuf,
    },
    /// A symlink leads to nothing.
    DanglingLink {
        /// The path as asked for.
        path: PathBuf,
        /// The last symlink crossed.
        link: PathBuf,
        /// Its text.
        target: PathBuf,
    },
    /// Symlinks lead in a circle.
    LinkLoop {
        /// The path as asked for.
        path: PathBuf,
        /// A symlink of the circle.
        link: PathBuf,
    },
    /// A step of the path is a file where a directory should be.
    NotADirectory {
        /// The path as asked for.
        path: PathBuf,
        /// What should be a directory.
        at: PathBuf,
    },
    /// It's a directory.
    IsDirectory(PathBuf),
    /// It's a device, a FIFO or a socket.
    NotAFile(PathBuf),
    /// Nobody may execute it: no `x` in its mode.
    NotExecutable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Others may execute it, but not this user; or a directory above it is closed to them.
    PermissionDenied {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Its owner and group.
        owner: (u32, u32),
    },
    /// It lies on a mount with the option noexec.
    NoexecMount(PathBuf),
    /// There's nothing in it.
    Empty(PathBuf),
    /// It's neither an ELF file nor begins with `#!`.
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Whether a `#!` stands behind a byte order mark or blank space, where the kernel doesn't see it.
        hidden_shebang: bool,
    },
    /// It's an ELF file, but an object file or a core dump.
    NotAProgram(PathBuf),
    /// It's an ELF file, but a damaged one.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: ElfError,
    },
    /// It's made for another machine.
    WrongArchitecture {
        /// The file.
        path: PathBuf,
        /// Whom it's made for.
        file: Architecture,
        /// What this machine is.
        host: Architecture,
    },
    /// The interpreter it names (PT_INTERP, the dynamic loader) can't be used.
    Interpreter {
        /// The program.
        program: PathBuf,
        /// The path it names.
        interpreter: PathBuf,
        /// Why that one can't start.
        cause: Box<Diagnosis>,
        /// The loader of another C library that is there instead.
        instead: Option<PathBuf>,
    },
    /// Its interpreter is there, but libraries are missing. Never empty.
    MissingLibraries {
        /// The program.
        program: PathBuf,
        /// The libraries, who needs them, and where they were looked for.
        libraries: Vec<MissingLibrary>,
    },
    /// The first line of a script ends with a carriage return, which the kernel takes for a part of the name.
    CarriageReturn {
        /// The script.
        script: PathBuf,
        /// The interpreter without it.
        interpreter: String,
    },
    /// What a script names behind `#!` (or has env(1) look up) can't start.
    Script {
        /// The script.
        script: PathBuf,
        /// The interpreter as it stands there.
        interpreter: String,
        /// Why that one can't start.
        cause: Box<Diagnosis>,
    },
    /// Scripts whose interpreters are scripts, more than the kernel takes.
    TooManyScripts(PathBuf),
    /// The kernel refused for a reason that isn't in the files.
    Refused {
        /// The program.
        path: PathBuf,
        /// The kernel's answer.
        errno: Errno,
    },
    /// Something else is wrong with the files.
    Other(Error),
    /// Nothing is seen to be wrong: the program started and ended by itself.
    NoFault(PathBuf),
}

impl Diagnosis {
    /// The exit code that docker and shells use for it: 127 where something isn't there, 126 where it's there but
    /// can't be executed.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotInPath { .. }
            | Self::Missing { .. }
            | Self::DanglingLink { .. }
            | Self::MissingLibraries { .. }
            | Self::CarriageReturn { .. }
            | Self::NoFault(_) => 127,
            Self::Refused { errno, .. } if *errno == Errno::NOENT => 127,
            Self::Interpreter { cause, .. } | Self::Script { cause, .. } => cause.exit_code(),
            _ => 126,
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInPath {
                name,
                searched,
                nearest,
            } => not_in_path(f, name, searched, nearest.as_deref()),
            Self::Missing { path, at } if path == at => write!(f, "{} does not exist", shown(path)),
            Self::Missing { path, at } => write!(f, "{} does not exist: there is no {}", shown(path), shown(at)),
            Self::DanglingLink { path, link, target } => {
                subject(f, path, link)?;
                write!(f, " is a symlink to {}, which does not exist", shown(target))
            }
            Self::LinkLoop { path, link } => {
                subject(f, path, link)?;
                f.write_str(" is a symlink that leads back to itself")
            }
            Self::NotADirectory { path, at } => {
                write!(f, "{} does not exist: {} is not a directory", shown(path), shown(at))
            }
            Self::IsDirectory(path) => write!(f, "{} is a directory, not a program", shown(path)),
            Self::NotAFile(path) => write!(f, "{} is a device, FIFO or socket, not a program", shown(path)),
            Self::NotExecutable { path, mode } => write!(
                f,
                "{0} is not executable (mode {mode:04o})\nchmod +x {0} makes it so",
                shown(path)
            ),
            Self::PermissionDenied { path, mode, owner } => write!(
                f,
                "this user may not execute {} (mode {mode:04o}, owner {}:{}), or not enter a directory above it",
                shown(path),
                owner.0,
                owner.1
            ),
            Self::NoexecMount(path) => write!(f, "{} is on a file system mounted with noexec", shown(path)),
            Self::Empty(path) => write!(f, "{} is empty", shown(path)),
            Self::UnknownFormat { path, hidden_shebang } => unknown_format(f, path, *hidden_shebang),
            Self::NotAProgram(path) => write!(f, "{} is an object file or core dump, not a program", shown(path)),
            Self::Damaged { path, problem } => write!(f, "{} is a damaged program: {problem}", shown(path)),
            Self::WrongArchitecture { path, file, host } => {
                write!(f, "{} is a program for {file}, but this machine is {host}", shown(path))
            }
            Self::Interpreter {
                program,
                interpreter,
                cause,
                instead,
            } => interpreter_line(f, program, interpreter, cause, instead.as_deref()),
            Self::MissingLibraries { program, libraries } => missing(f, program, libraries),
            Self::CarriageReturn { script, interpreter } => write!(
                f,
                "the first line of {} ends with a carriage return, so the kernel looks for {:?}\nsave the file with Unix line ends",
                shown(script),
                format!("{interpreter}\r")
            ),
            Self::Script {
                script,
                interpreter,
                cause,
            } => write!(
                f,
                "{} is a script for {}, which can't start: {cause}",
                shown(script),
                interpreter.escape_debug()
            ),
            Self::TooManyScripts(path) => write!(
                f,
                "{}: its interpreter is a script whose interpreter is a script, beyond the kernel's limit of five",
                shown(path)
            ),
            Self::Refused { path, errno } => write!(
                f,
                "the kernel did not start {}: {}; its files show no reason",
                shown(path),
                describe(*errno)
            ),
            Self::Other(error) => error.fmt(f),
            Self::NoFault(path) => write!(f, "{} has all that it needs to start", shown(path)),
        }
    }
}

/// The link that is to blame, and the path it was met on where that's another one.
fn subject(f: &mut fmt::Formatter<'_>, path: &Path, link: &Path) -> fmt::Result {
    if path == link {
        f.write_str(&shown(path))
    } else {
        write!(f, "{} can't be reached: {}", shown(path), shown(link))
    }
}

fn not_in_path(f: &mut fmt::Formatter<'_>, name: &str, searched: &[PathBuf], nearest: Option<&str>) -> fmt::Result {
    if name.is_empty() {
        return f.write_str("the program's name is empty");
    }
    let searched: Vec<_> = searched.iter().map(|path| shown(path)).collect();
    write!(
        f,
        "{} is in no directory of PATH ({})",
        name.escape_debug(),
        searched.join(":")
    )?;
    match nearest {
        Some(nearest) => write!(f, "\ndid you mean {}?", nearest.escape_debug()),
        None => Ok(()),
    }
}

fn unknown_format(f: &mut fmt::Formatter<'_>, path: &Path, hidden_shebang: bool) -> fmt::Result {
    if hidden_shebang {
        write!(
            f,
            "the #! of {} is not at its very beginning, where the kernel looks for it",
            shown(path)
        )
    } else {
        write!(
            f,
            "{} is neither an ELF program nor a script\na script's first line names its interpreter, like #!/bin/sh",
            shown(path)
        )
    }
}

fn interpreter_line(
    f: &mut fmt::Formatter<'_>,
    program: &Path,
    interpreter: &Path,
    cause: &Diagnosis,
    instead: Option<&Path>,
) -> fmt::Result {
    write!(
        f,
        "{} is there, but its dynamic loader can't be used: {cause}",
        shown(program)
    )?;
    let Some(instead) = instead else {
        return Ok(());
    };
    let libc = |path: &Path| {
        let musl = path.to_string_lossy().contains("ld-musl-");
        if musl { "musl" } else { "glibc" }
    };
    let (wanted, present) = (libc(interpreter), libc(instead));
    write!(f, "\nit was built for {wanted}; here is {present} ({})", shown(instead))
}

fn missing(f: &mut fmt::Formatter<'_>, program: &Path, libraries: &[MissingLibrary]) -> fmt::Result {
    // One that several need is missing once.
    let is_first =
        |(at, library): &(usize, &MissingLibrary)| libraries[..*at].iter().all(|earlier| earlier.name != library.name);
    let names: Vec<_> = libraries
        .iter()
        .enumerate()
        .filter(is_first)
        .map(|(_, library)| {
            let name = library.name.escape_debug();
            match library.needed_by.last().filter(|by| *by != program) {
                Some(by) => format!("{name} (needed by {})", shown(by)),
                None => name.to_string(),
            }
        })
        .collect();
    let plural = if names.len() == 1 { "a library" } else { "libraries" };
    write!(f, "{} lacks {plural}: {}", shown(program), names.join(", "))?;
    let mut directories = Vec::new();
    let mut unfit: Vec<&Tried> = Vec::new();
    for tried in libraries.iter().flat_map(|library| &library.tried) {
        if tried.result != TriedResult::NotThere && !unfit.contains(&tried) {
            unfit.push(tried);
        }
        let directory = tried.path.parent().unwrap_or(&tried.path);
        if !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    if directories.is_empty() {
        return Ok(());
    }
    let directories: Vec<_> = directories.into_iter().map(shown).collect();
    write!(f, "\nlooked in {}", directories.join(", "))?;
    for Tried { path, result } in unfit {
        match result {
            TriedResult::NotThere => {}
            TriedResult::Unreadable(errno) => write!(f, "\n{}: {}", shown(path), describe(*errno))?,
            TriedResult::OtherArchitecture(other) => write!(f, "\n{} is made for {other}", shown(path))?,
        }
    }
    Ok(())
}
